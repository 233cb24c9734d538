/*
 * What the store costs, as a table beside its limits: look-ups with their value in batches, sets of mixed sizes, single
 * inserts while the index grows from one item to all, and into a full store that evicts. Keys of 16 bytes, values
 * of 64. Arguments: [items, in thousands; default 10000] [huge].
 *
 * A sample longer than 10 us counts as disturbed, and is left out, if the kernel took the processor away in its block
 * of 1,024 (involuntary context switches). What a hypervisor takes cannot be seen from inside: an empty loop of the
 * same length, measured in turn with the inserts, shows how often it strikes. It does not strike the same insert again:
 * the store is filled three times over by the same inserts, and of each the shortest is what it takes by itself.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <rte_cycles.h>
#include "bench/histogram.h"
#include "bench/rng.h"
#include "bench/zipf.h"
#include "store/store.h"

#define KEY_BYTES 16u
#define VALUE_BYTES 64u
#define BATCH_MAX 32u
#define ROUNDS 5u
#define FILLS 3u
#define REQUESTS (1u << 20)
#define BLOCK 1024u
#define LONG_NS 10000u
#define STEP_BUSY_NS 100000u /* as the server's loop paces store_step: server/core.c */
#define STEP_IDLE_NS 100000000u

static double ns_per_tsc;
static uint64_t sum; /* keeps the reads */
static uint8_t value[65536];

static double clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Processor time, so that others on the machine cost only what they do to its caches. */
static double now_ns(void)
{
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* By the clock on the wall: the TSC goes on while others have the processor. */
static void calibrate(void)
{
    double ns = clock_ns(CLOCK_MONOTONIC);
    uint64_t tsc = rte_rdtsc();
    while (clock_ns(CLOCK_MONOTONIC) - ns < 5e7) {
    }
    ns_per_tsc = (clock_ns(CLOCK_MONOTONIC) - ns) / (double)(rte_rdtsc() - tsc);
}

static void row(const char *what, double measured, double limit)
{
    if (limit > 0)
        printf("%-44s %9.1f ns  %9.0f  %s\n", what, measured, limit, measured <= limit ? "met" : "NOT MET");
    else
        printf("%-44s %9.1f ns\n", what, measured);
    fflush(stdout);
}

static long switches(void)
{
    struct rusage r;
    getrusage(RUSAGE_THREAD, &r);
    return r.ru_nivcsw;
}

static void make_key(char *buf, struct store_key *key, uint64_t n)
{
    static const char hex[] = "0123456789abcdef";
    for (unsigned i = 0; i < KEY_BYTES; i++, n >>= 4) buf[KEY_BYTES - 1 - i] = hex[n & 15];
    *key = (struct store_key){.data = (const uint8_t *)buf, .len = KEY_BYTES, .hash = store_hash(buf, KEY_BYTES)};
}

static struct store *create(uint64_t bytes, bool huge, enum store_eviction eviction)
{
    struct store *s = NULL;
    struct store_config config = {
        .memory_limit = bytes, .max_value = 1u << 20, .max_key = 250, .huge_pages = huge, .eviction = eviction};
    if (store_create(&s, &config) == 0) return s;
    fprintf(stderr, "store_bench: no store of %" PRIu64 " bytes\n", bytes);
    exit(1);
}

static void set(struct store *s, const struct store_key *key, uint32_t len)
{
    if (store_set(s, key, value, len, NULL, STORE_SET, 0, 1) == STORE_OK) return;
    fprintf(stderr, "store_bench: a write was refused\n");
    exit(1);
}

/* Single steps, and those of them that were long. */
struct steps {
    struct histogram histogram;
    uint64_t samples[BLOCK];
    uint64_t disturbed, longest;
};

static void steps_count(struct steps *t, unsigned n, bool disturbed)
{
    for (unsigned i = 0; i < n; i++) {
        uint64_t ns = (uint64_t)((double)t->samples[i] * ns_per_tsc);
        if (disturbed && ns > LONG_NS) {
            t->disturbed++;
            continue;
        }
        histogram_record(&t->histogram, ns);
        t->longest += ns > LONG_NS;
    }
}

/* Gaps of an empty loop that lasts as long. */
static void idle_block(struct steps *t, uint64_t cycles)
{
    uint64_t begin = rte_rdtsc(), last = begin, most = 0;
    long before = switches();
    while (last - begin < cycles) {
        uint64_t now = rte_rdtsc();
        if (now - last > most) most = now - last;
        last = now;
    }
    t->samples[0] = most;
    steps_count(t, 1, switches() != before);
}

struct sizes {
    uint32_t least, most;
};

/* Of the n-th item: the same in each fill. */
static uint32_t size_of(struct sizes sizes, uint64_t n)
{
    return sizes.least + rng_scale((uint32_t)(n * 0x9e3779b97f4a7c15u >> 32), sizes.most - sizes.least + 1);
}

static const struct sizes values = {VALUE_BYTES, VALUE_BYTES}, mixed = {84, 276};

static void insert_block(struct store *s, struct steps *t, uint64_t first, unsigned n, struct sizes sizes)
{
    long before = switches();
    for (unsigned i = 0; i < n; i += BATCH_MAX) {
        char buf[BATCH_MAX][KEY_BYTES];
        struct store_key key[BATCH_MAX];
        for (unsigned k = 0; k < BATCH_MAX; k++) {
            make_key(buf[k], &key[k], first + i + k);
            store_prefetch_bucket(s, key[k].hash);
        }
        for (unsigned k = 0; k < BATCH_MAX; k++) {
            uint32_t len = size_of(sizes, first + i + k);
            uint64_t tsc = rte_rdtsc();
            set(s, &key[k], len);
            t->samples[i + k] = rte_rdtsc() - tsc;
        }
    }
    steps_count(t, n, switches() != before);
}

static void report_steps(const struct steps *t, double limit)
{
    row("  p99.9", (double)histogram_quantile(&t->histogram, 0.999), 2000);
    row("  p99.999", (double)histogram_quantile(&t->histogram, 0.99999), limit);
    row("  longest", (double)t->histogram.max, limit);
}

/* All inserts, each in turn with an empty loop. */
static void fill_first(struct store *s, uint64_t n, uint32_t *least)
{
    static struct steps inserts, idle;
    for (uint64_t first = 0; first < n; first += BLOCK) {
        uint64_t tsc = rte_rdtsc();
        insert_block(s, &inserts, first, BLOCK, values);
        idle_block(&idle, rte_rdtsc() - tsc);
        for (unsigned i = 0; i < BLOCK; i++) least[first + i] = (uint32_t)inserts.samples[i];
    }
    row("insert, the table growing", histogram_mean(&inserts.histogram), 0);
    report_steps(&inserts, 0);
    printf("  over 10 us: %" PRIu64 " of %" PRIu64 " (%" PRIu64 " splits); an empty loop of that length: %" PRIu64
           "; left out as disturbed: %" PRIu64 ", %" PRIu64 "\n",
           inserts.longest, n, store_metrics(s)->splits, idle.longest, inserts.disturbed, idle.disturbed);
}

static void fill_again(struct store *s, uint64_t n, struct sizes sizes, uint32_t *least)
{
    static struct steps inserts;
    for (uint64_t first = 0; first < n; first += BLOCK) {
        insert_block(s, &inserts, first, BLOCK, sizes);
        for (unsigned i = 0; i < BLOCK; i++)
            if (inserts.samples[i] < least[first + i]) least[first + i] = (uint32_t)inserts.samples[i];
    }
}

static uint32_t *least_create(uint64_t n)
{
    uint32_t *least = malloc(n * sizeof(*least));
    if (!least) exit(1);
    return memset(least, 0xff, n * sizeof(*least));
}

/* What is left of all fills, from the first insert on. */
static void report_least(const char *what, struct steps *inserts, const uint32_t *least, uint64_t first, uint64_t n)
{
    for (; first < n; first += BLOCK) {
        for (unsigned i = 0; i < BLOCK; i++) inserts->samples[i] = least[first + i];
        steps_count(inserts, BLOCK, false);
    }
    row(what, histogram_mean(&inserts->histogram), 0);
    report_steps(inserts, LONG_NS);
    printf("  over 10 us: %" PRIu64 "\n", inserts->longest);
}

/* The store filled for the last time. */
static struct store *bench_fill(uint64_t n, bool huge)
{
    static struct steps inserts;
    uint32_t *least = least_create(n);
    struct store *s = NULL;
    for (unsigned fill = 0; fill < FILLS; fill++) {
        store_destroy(&s);
        s = create(n * (KEY_BYTES + VALUE_BYTES + 20) + (32u << 20), huge, STORE_EVICT_NONE);
        fill == 0 ? fill_first(s, n, least) : fill_again(s, n, values, least);
    }
    report_least("the same, each insert's shortest of 3 fills", &inserts, least, 0, n);
    free(least);
    return s;
}

/* Three times what fits: of the last third each insert's shortest of three equal fills. */
static void bench_evict(bool huge)
{
    static struct steps inserts;
    const uint64_t n = 3072 * BLOCK, evicting = n / 3 * 2;
    uint32_t *least = least_create(n);
    for (unsigned fill = 0; fill < FILLS; fill++) {
        struct store *s = create(n / 3 * (180 + KEY_BYTES + 20), huge, STORE_EVICT_HYBRID);
        fill_again(s, n, mixed, least);
        const struct store_metrics *m = store_metrics(s);
        if (fill == FILLS - 1)
            printf(
                "inserts of 84-276 B into a full store: %.1f%% payload, %.2f evictions each, the longest work that the "
                "store itself measured %.1f us\n",
                100.0 * (double)m->bytes_payload / (double)m->bytes_limit,
                (double)(m->evicted_new + m->evicted_cold + m->evicted_page + m->evicted_class) / (double)(n / 3 * 2),
                (double)m->cycles_work_most * ns_per_tsc / 1e3);
        store_destroy(&s);
    }
    report_least("insert that evicts, shortest of 3 fills", &inserts, least, evicting, n);
    free(least);
}

/* Requests as they come in: their keys lie one behind the other. */
static char (*requests)[KEY_BYTES];

static void make_requests(uint64_t n, double theta)
{
    struct rng r = {42};
    struct zipf *z = theta > 0 ? zipf_create((uint32_t)n, theta) : NULL;
    struct store_key key;
    for (unsigned i = 0; i < REQUESTS; i++) {
        uint64_t random = rng_next(&r);
        /* The popular ones are spread over all items. */
        make_key(requests[i], &key, z ? zipf_draw(z, random) * 2654435761u % n : (random >> 32) * n >> 32);
    }
    if (z) zipf_destroy(&z);
}

static void batch_begin(struct store *s, struct store_key *key, uint64_t first, unsigned batch)
{
    for (unsigned k = 0; k < batch; k++) {
        const char *at = requests[first + k];
        key[k] = (struct store_key){(const uint8_t *)at, KEY_BYTES, store_hash(at, KEY_BYTES)};
        if (batch > 1) store_prefetch_bucket(s, key[k].hash);
    }
    for (unsigned k = 0; batch > 1 && k < batch; k++) store_prefetch_item(s, key[k].hash);
}

static double get_all(struct store *s, unsigned batch)
{
    double start = now_ns();
    for (uint64_t i = 0; i < REQUESTS; i += batch) {
        struct store_key key[BATCH_MAX];
        batch_begin(s, key, i, batch);
        for (unsigned k = 0; k < batch; k++) {
            struct store_value v;
            if (store_get(s, &key[k], 1, &v) != STORE_OK) exit(1);
            for (uint32_t at = 0; at < v.len; at += 64) sum += v.data[at];
            sum += v.data[v.len - 1];
        }
    }
    return (now_ns() - start) / REQUESTS;
}

/* The median round, and the best one: between them lies what others did to this machine. */
static void bench_get(struct store *s, unsigned batch, const char *what, double limit)
{
    double ns[ROUNDS];
    char text[64];
    for (unsigned round = 0; round < ROUNDS; round++) {
        double now = get_all(s, batch);
        unsigned at = round;
        for (; at > 0 && ns[at - 1] > now; at--) ns[at] = ns[at - 1];
        ns[at] = now;
    }
    snprintf(text, sizeof(text), "get, %s, batch of %u (best %.1f)", what, batch, ns[0]);
    row(text, ns[ROUNDS / 2], limit);
}

static uint32_t size_between(struct rng *r, uint32_t least, uint32_t most)
{
    return least + rng_scale((uint32_t)(rng_next(r) >> 32), most - least + 1);
}

/* A million items of 84-276 bytes, each overwritten with another size again and again; nine tenths are payload. */
static void bench_set(bool huge)
{
    const uint64_t n = 1000000;
    struct store *s = create(n * (180 + KEY_BYTES) / 89 * 100, huge, STORE_EVICT_NONE);
    struct rng r = {7};
    make_requests(n, 0);
    for (uint64_t i = 0; i < n; i++) {
        char buf[KEY_BYTES];
        struct store_key key;
        make_key(buf, &key, i);
        set(s, &key, size_between(&r, mixed.least, mixed.most));
    }
    for (unsigned round = 0; round < 3; round++) {
        uint64_t moves = store_metrics(s)->moves;
        double start = now_ns();
        for (uint64_t i = 0; i < REQUESTS; i += BATCH_MAX) {
            struct store_key key[BATCH_MAX];
            batch_begin(s, key, i, BATCH_MAX);
            for (unsigned k = 0; k < BATCH_MAX; k++) set(s, &key[k], size_between(&r, mixed.least, mixed.most));
        }
        char text[64];
        const struct store_metrics *m = store_metrics(s);
        snprintf(text, sizeof(text), "set of 84-276 B (%.1f%% payload, %.2f moves)",
                 100.0 * (double)m->bytes_payload / (double)m->bytes_limit, (double)(m->moves - moves) / REQUESTS);
        row(text, (now_ns() - start) / REQUESTS, 180);
    }
    store_destroy(&s);
}

/*
 * The paced sweep: a million items whose times pass within ten seconds. Its steps come as the server's loop makes them,
 * on a clock of its own; what they take of the processor is measured.
 */
static void bench_sweep(bool huge)
{
    const uint64_t n = 1000000, spread_ms = 10000, start_ms = 1000000;
    struct store *s = create(n * (KEY_BYTES + VALUE_BYTES + 24) + (32u << 20), huge, STORE_EVICT_NONE);
    struct rng r = {5};
    for (uint64_t i = 0; i < n; i++) {
        char buf[KEY_BYTES];
        struct store_key key;
        struct store_meta meta = {.flags = 0, .expires_ms = start_ms + 1 + rng_next(&r) % spread_ms};
        make_key(buf, &key, i);
        if (store_set(s, &key, value, VALUE_BYTES, &meta, STORE_SET, 0, start_ms) != STORE_OK) exit(1);
    }
    uint64_t ns = 0, end_ns = spread_ms * 1000000, steps = 0;
    double begin = now_ns();
    while (ns < end_ns || store_count(s) > 0) {
        ns += store_step(s, start_ms + ns / 1000000) ? STEP_BUSY_NS : STEP_IDLE_NS;
        steps++;
        if (ns > 10 * end_ns) break;
    }
    double took = now_ns() - begin;
    printf("sweep of 1 M items due within 10 s: %.2f%% of a core (limit 2%%), %.0f ns an item, %.0f ns a step; memory "
           "is back "
           "%.2f s after the last one was due (limit 10)\n",
           100.0 * took / (double)ns, took / (double)n, took / (double)steps, ((double)ns - (double)end_ns) / 1e9);
    store_destroy(&s);
}

/* What this machine's memory does just now: 1 GiB, a random line, 32 asked for at a time. On a quiet one 15-37 ns. */
static void bench_memory(void)
{
    const uint64_t lines = 1u << 24;
    uint8_t *p = aligned_alloc(2u << 20, lines * 64);
    struct rng r = {3};
    if (!p) exit(1);
    madvise(p, lines * 64, MADV_HUGEPAGE);
    memset(p, 1, lines * 64);
    double start = now_ns();
    for (unsigned i = 0; i < REQUESTS; i += BATCH_MAX) {
        const uint8_t *line[BATCH_MAX];
        for (unsigned k = 0; k < BATCH_MAX; k++) {
            line[k] = p + (rng_next(&r) & (lines - 1)) * 64;
            __builtin_prefetch(line[k]);
        }
        for (unsigned k = 0; k < BATCH_MAX; k++) sum += *line[k];
    }
    row("a random line of memory, 32 at a time", (now_ns() - start) / REQUESTS, 0);
    free(p);
}

static void bench_growth_and_gets(uint64_t n, bool huge)
{
    struct store *s = bench_fill(n, huge);
    const struct store_metrics *m = store_metrics(s);
    printf("  bytes an item above key and value: %.2f in items + %.2f in index\n",
           (double)m->bytes_used / (double)m->items - KEY_BYTES - VALUE_BYTES,
           (double)m->bytes_index / (double)m->items);
    make_requests(n, 0);
    bench_get(s, 1, "uniform", 0);
    bench_get(s, 8, "uniform", 0);
    bench_get(s, 32, "uniform", 60);
    make_requests(n, 0.99);
    bench_get(s, 32, "zipf 0.99", 40);
    store_destroy(&s);
}

int main(int argc, char **argv)
{
    uint64_t n = (argc > 1 ? strtoull(argv[1], NULL, 0) : 10000) * 1000 / BLOCK * BLOCK;
    bool huge = argc > 2 && strcmp(argv[2], "huge") == 0;
    requests = malloc(REQUESTS * sizeof(*requests));
    if (!requests || n == 0 || n > UINT32_MAX) return 1;
    calibrate();
    printf("%" PRIu64 " items, keys of %u bytes, values of %u\n%-44s %12s %10s\n", n, KEY_BYTES, VALUE_BYTES, "",
           "measured", "limit");
    bench_memory();
    bench_growth_and_gets(n, huge);
    bench_memory();
    bench_set(huge);
    bench_evict(huge);
    bench_sweep(huge);
    free(requests);
    return sum == 42;
}
