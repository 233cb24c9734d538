/*
 * What the store costs: nanoseconds a get in batches of 1, 8 and 32, a set, a pin; the slowest inserts while the index
 * grows; bytes of memory an item beside its key and value. Uniform keys of 16 bytes.
 * Arguments: [items, in thousands; default 1000] [huge].
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <rte_cycles.h>
#include "store/store.h"

#define KEY_BYTES 16u
#define BATCH_MAX 32u
#define ROUNDS 5u
#define REQUESTS (1u << 20)
#define HISTOGRAM_NS 200000u

static const uint32_t value_sizes[] = {32, 64, 256};
static double ns_per_tsc;
static uint64_t sum; /* keeps the reads */

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void calibrate(void)
{
    double ns = now_ns();
    uint64_t tsc = rte_rdtsc();
    while (now_ns() - ns < 5e7) {
    }
    ns_per_tsc = (now_ns() - ns) / (double)(rte_rdtsc() - tsc);
}

static uint64_t random_next(uint64_t *x)
{
    *x ^= *x >> 12;
    *x ^= *x << 25;
    *x ^= *x >> 27;
    return *x * 0x2545f4914f6cdd1du;
}

static void make_key(char *buf, struct store_key *key, uint64_t n)
{
    static const char hex[] = "0123456789abcdef";
    for (unsigned i = 0; i < KEY_BYTES; i++, n >>= 4) buf[KEY_BYTES - 1 - i] = hex[n & 15];
    *key = (struct store_key){.data = (const uint8_t *)buf, .len = KEY_BYTES, .hash = store_hash(buf, KEY_BYTES)};
}

static struct store *create(uint64_t bytes, bool huge)
{
    struct store *s = NULL;
    struct store_config config = {.memory_limit = bytes, .max_value = 1u << 20, .max_key = 250, .huge_pages = huge};
    if (store_create(&s, &config) == 0) return s;
    fprintf(stderr, "store_bench: no store of %" PRIu64 " bytes\n", bytes);
    exit(1);
}

/* Inserts n items, with the time of each in a histogram. */
static void bench_fill(struct store *s, uint64_t n, uint32_t value_len, uint32_t *histogram)
{
    static uint8_t value[4096];
    double worst = 0, total = 0;
    memset(histogram, 0, HISTOGRAM_NS * sizeof(*histogram));
    for (uint64_t i = 0; i < n; i++) {
        char buf[KEY_BYTES];
        struct store_key key;
        uint64_t tsc = rte_rdtsc();
        make_key(buf, &key, i);
        if (store_set(s, &key, value, value_len, NULL, STORE_SET, 0, 1) != STORE_OK) exit(1);
        double ns = (double)(rte_rdtsc() - tsc) * ns_per_tsc;
        histogram[ns < HISTOGRAM_NS ? (uint32_t)ns : HISTOGRAM_NS - 1]++;
        total += ns;
        if (ns > worst) worst = ns;
    }
    uint64_t seen = 0;
    uint32_t p50 = 0, p999 = 0;
    for (uint32_t ns = 0; ns < HISTOGRAM_NS; ns++) {
        seen += histogram[ns];
        if (!p50 && seen >= n / 2) p50 = ns;
        if (!p999 && seen >= n - n / 1000) p999 = ns;
    }
    printf("  insert while growing: mean %.0f, p50 %u, p99.9 %u, worst %.0f ns\n", total / (double)n, p50, p999, worst);
}

/* Requests as they come in: their keys lie one behind the other. */
static char (*requests)[KEY_BYTES];

static void make_requests(uint64_t n)
{
    uint64_t x = 88172645463325252u;
    struct store_key key;
    for (unsigned i = 0; i < REQUESTS; i++) make_key(requests[i], &key, (random_next(&x) >> 32) * n >> 32);
}

static struct store_key request_key(uint64_t i)
{
    return (struct store_key){(const uint8_t *)requests[i], KEY_BYTES, store_hash(requests[i], KEY_BYTES)};
}

static void bench_get(struct store *s, unsigned batch)
{
    double best = 1e18;
    for (unsigned round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        for (uint64_t i = 0; i < REQUESTS; i += batch) {
            struct store_key key[BATCH_MAX];
            for (unsigned k = 0; k < batch; k++) {
                key[k] = request_key(i + k);
                if (batch > 1) store_prefetch_bucket(s, key[k].hash);
            }
            for (unsigned k = 0; batch > 1 && k < batch; k++) store_prefetch_item(s, key[k].hash);
            for (unsigned k = 0; k < batch; k++) {
                struct store_value v;
                if (store_get(s, &key[k], 1, &v) != STORE_OK) exit(1);
                for (uint32_t at = 0; at < v.len; at += 64) sum += v.data[at];
                sum += v.data[v.len - 1];
            }
        }
        double ns = (now_ns() - start) / REQUESTS;
        if (ns < best) best = ns;
    }
    printf("  get, batch of %2u: %.1f ns\n", batch, best);
}

static void bench_set(struct store *s, uint32_t value_len, bool batched, const char *what, uint32_t jitter)
{
    static uint8_t value[4096];
    uint64_t x = 1234567;
    double start = now_ns();
    for (uint64_t i = 0; i < REQUESTS; i += BATCH_MAX) {
        struct store_key key[BATCH_MAX];
        for (unsigned k = 0; k < BATCH_MAX; k++) {
            key[k] = request_key(i + k);
            if (batched) store_prefetch_bucket(s, key[k].hash);
        }
        for (unsigned k = 0; batched && k < BATCH_MAX; k++) store_prefetch_item(s, key[k].hash);
        for (unsigned k = 0; k < BATCH_MAX; k++) {
            uint32_t len = value_len - (jitter ? (uint32_t)(random_next(&x) % jitter) : 0);
            if (store_set(s, &key[k], value, len, NULL, STORE_SET, 0, 1) != STORE_OK) exit(1);
        }
    }
    printf("  set, %s: %.1f ns\n", what, (now_ns() - start) / REQUESTS);
}

static void bench_pin(struct store *s, uint64_t n)
{
    struct store_pin *pins[256];
    uint64_t x = 99, count = 0;
    double pin_ns = 0;
    for (unsigned round = 0; round < 2000; round++) {
        uint32_t items[256];
        for (unsigned k = 0; k < 256; k++) {
            char buf[KEY_BYTES];
            struct store_key key;
            struct store_value v;
            make_key(buf, &key, (random_next(&x) >> 32) * n >> 32);
            if (store_get(s, &key, 1, &v) != STORE_OK) exit(1);
            items[k] = v.item;
        }
        double start = now_ns();
        for (unsigned k = 0; k < 256; k++) pins[k] = store_pin(s, items[k]);
        for (unsigned k = 0; k < 256; k++) store_unpin(s, pins[k]);
        pin_ns += now_ns() - start;
        count += 256;
    }
    printf("  pin and unpin: %.1f ns\n", pin_ns / (double)count);
}

static void print_memory(const struct store *s, uint32_t value_len)
{
    const struct store_metrics *m = store_metrics(s);
    double n = (double)m->items;
    double item_pages = (double)(m->bytes_limit - m->bytes_free - m->bytes_index) / n;
    printf("  bytes an item beside key and value: items %.2f + index %.2f = %.2f (pages taken, head included: %.2f)\n",
           (double)m->bytes_used / n - KEY_BYTES - value_len, (double)m->bytes_index / n,
           (double)(m->bytes_used + m->bytes_index) / n - KEY_BYTES - value_len,
           item_pages + (double)m->bytes_index / n - KEY_BYTES - value_len);
}

int main(int argc, char **argv)
{
    uint64_t n = (argc > 1 ? strtoull(argv[1], NULL, 0) : 1000) * 1000;
    bool huge = argc > 2 && strcmp(argv[2], "huge") == 0;
    uint32_t *histogram = malloc(HISTOGRAM_NS * sizeof(*histogram));
    requests = malloc(REQUESTS * sizeof(*requests));
    if (!histogram || !requests || n == 0) return 1;
    calibrate();
    make_requests(n);
    for (unsigned i = 0; i < sizeof(value_sizes) / sizeof(value_sizes[0]); i++) {
        uint32_t len = value_sizes[i];
        printf("%" PRIu64 " items, values of %u bytes\n", n, len);
        struct store *s = create(n * (len + 80) + (32u << 20), huge);
        bench_fill(s, n, len, histogram);
        print_memory(s, len);
        bench_get(s, 1);
        bench_get(s, 8);
        bench_get(s, 32);
        bench_set(s, len, false, "same size, one at a time", 0);
        bench_set(s, len, true, "same size, batch of 32", 0);
        bench_set(s, len, true, "sizes that vary, batch of 32", 24);
        bench_pin(s, n);
        store_destroy(&s);
    }
    free(requests);
    free(histogram);
    return sum == 42;
}
