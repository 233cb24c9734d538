/*
 * Misses of the store's eviction beside those of textbook LRU, FIFO and CLOCK of as many items: the store itself, built
 * small, is asked for each key and given it when it is not there. Capacity is a tenth of the popular keys.
 * Usage: hitratio [requests in millions, 8 by default]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "bench/zipf.h"
#include "store/store.h"

#define REGION_BYTES (8u << 20)
#define VALUE_BYTES 100u
#define THETA 0.99
#define NOW_MS 1000000u

enum pattern { ZIPF, ONE_HIT, SCAN, PATTERN_COUNT };
static const char *const pattern_names[] = {"zipf 0.99", "zipf, 20% one-hit keys", "zipf, a third in scans"};

struct workload {
    enum pattern pattern;
    const struct zipf *zipf;
    uint32_t keys; /* popular ones */
    struct rng rng;
    uint32_t next_new; /* one-hit key */
    uint32_t scan_at, scan_left;
};

/* A scan reads a run of the keys in their order, half as many as fit. */
static uint32_t workload_next(struct workload *w)
{
    uint64_t random = rng_next(&w->rng);
    if (w->pattern == ONE_HIT && rng_scale((uint32_t)rng_next(&w->rng), 5) == 0) return w->next_new++;
    if (w->pattern == SCAN) {
        uint32_t run = w->keys / 20;
        if (w->scan_left == 0 && rng_scale((uint32_t)rng_next(&w->rng), run * 2) == 0) {
            w->scan_left = run;
            w->scan_at = rng_scale((uint32_t)rng_next(&w->rng), w->keys);
        }
        if (w->scan_left > 0) {
            w->scan_left--;
            w->scan_at = w->scan_at + 1 < w->keys ? w->scan_at + 1 : 0;
            return w->scan_at;
        }
    }
    /* Popularity has nothing to do with the order of a scan. */
    return (uint32_t)((uint64_t)zipf_draw(w->zipf, random) * 2654435761u % w->keys);
}

static struct workload workload_begin(enum pattern pattern, const struct zipf *zipf)
{
    return (struct workload){
        .pattern = pattern, .zipf = zipf, .keys = zipf->n, .rng = {.state = 1}, .next_new = zipf->n};
}

/* ---- the store ---- */

static struct store *store_make(enum store_eviction eviction)
{
    struct store *s = NULL;
    struct store_config config = {
        .memory_limit = REGION_BYTES, .max_value = VALUE_BYTES, .max_key = 250, .eviction = eviction};
    if (store_create(&s, &config) != 0) {
        fputs("hitratio: no store\n", stderr);
        exit(1);
    }
    return s;
}

/* True: it was there. */
static bool store_request(struct store *s, uint32_t id)
{
    static uint8_t value[VALUE_BYTES];
    char key[16];
    memset(key, 'k', sizeof key);
    memcpy(key, &id, sizeof id);
    struct store_key k = {.data = (const uint8_t *)key, .len = sizeof key, .hash = store_hash(key, sizeof key)};
    struct store_value v;
    if (store_get(s, &k, NOW_MS, &v) == STORE_OK) return true;
    if (store_set(s, &k, value, VALUE_BYTES, NULL, STORE_SET, 0, NOW_MS) != STORE_OK) {
        fputs("hitratio: a write was refused\n", stderr);
        exit(1);
    }
    return false;
}

/* Items that fit. */
static uint32_t store_capacity(void)
{
    struct store *s = store_make(STORE_EVICT_HYBRID);
    for (uint32_t id = 0; id < REGION_BYTES / VALUE_BYTES * 2; id++) store_request(s, id);
    uint32_t items = (uint32_t)store_count(s);
    store_destroy(&s);
    return items;
}

static double run_store(struct workload w, enum store_eviction eviction, uint64_t requests)
{
    struct store *s = store_make(eviction);
    uint64_t missed = 0;
    for (uint64_t i = 0; i < requests; i++) missed += !store_request(s, workload_next(&w)) && i >= requests / 2;
    store_destroy(&s);
    return 100.0 * (double)missed / (double)(requests - requests / 2);
}

/* ---- the references: a list of ids, the oldest first ---- */

enum reference { LRU, FIFO, CLOCK };

struct list {
    uint32_t *next, *prev; /* [ids + 1]; the last is the head; next[id] == id: not in it */
    bool *used;            /* CLOCK: since it was last passed */
    uint32_t head, count, capacity;
};

static void list_remove(struct list *l, uint32_t id)
{
    l->next[l->prev[id]] = l->next[id];
    l->prev[l->next[id]] = l->prev[id];
    l->next[id] = id;
    l->count--;
}

static void list_append(struct list *l, uint32_t id)
{
    uint32_t last = l->prev[l->head];
    l->prev[id] = last;
    l->next[id] = l->head;
    l->next[last] = l->prev[l->head] = id;
    l->count++;
}

static bool list_request(struct list *l, enum reference reference, uint32_t id)
{
    if (l->next[id] != id) {
        l->used[id] = true;
        if (reference == LRU) {
            list_remove(l, id);
            list_append(l, id);
        }
        return true;
    }
    while (l->count == l->capacity) {
        uint32_t oldest = l->next[l->head];
        bool spared = reference == CLOCK && l->used[oldest];
        l->used[oldest] = false;
        list_remove(l, oldest);
        if (spared) list_append(l, oldest);
    }
    l->used[id] = false;
    list_append(l, id);
    return false;
}

static double run_reference(struct workload w, enum reference reference, uint32_t capacity, uint64_t requests)
{
    size_t ids = w.keys + requests;
    struct list l = {.next = malloc((ids + 1) * sizeof(uint32_t)),
                     .prev = malloc((ids + 1) * sizeof(uint32_t)),
                     .used = calloc(ids + 1, sizeof(bool)),
                     .head = (uint32_t)ids,
                     .capacity = capacity};
    if (!l.next || !l.prev || !l.used) exit(1);
    for (uint32_t id = 0; id <= ids; id++) l.next[id] = l.prev[id] = id;
    uint64_t missed = 0;
    for (uint64_t i = 0; i < requests; i++)
        missed += !list_request(&l, reference, workload_next(&w)) && i >= requests / 2;
    free(l.next);
    free(l.prev);
    free(l.used);
    return 100.0 * (double)missed / (double)(requests - requests / 2);
}

int main(int argc, char **argv)
{
    uint64_t requests = (argc > 1 ? strtoull(argv[1], NULL, 10) : 8) * 1000000;
    uint32_t capacity = store_capacity();
    struct zipf *zipf = zipf_create(capacity * 10, THETA);
    if (!zipf || requests == 0) return 1;
    printf("misses, %% of requests; %u of %u keys fit, %llu M requests, the second half counted\n", capacity, zipf->n,
           (unsigned long long)requests / 1000000);
    printf("%-24s %8s %8s %8s %8s %8s   hybrid below LRU\n", "", "hybrid", "fifo", "LRU", "FIFO", "CLOCK");
    for (unsigned p = 0; p < PATTERN_COUNT; p++) {
        struct workload w = workload_begin((enum pattern)p, zipf);
        double hybrid = run_store(w, STORE_EVICT_HYBRID, requests), fifo = run_store(w, STORE_EVICT_FIFO, requests);
        double lru = run_reference(w, LRU, capacity, requests);
        printf("%-24s %8.2f %8.2f %8.2f %8.2f %8.2f   %.1f%%\n", pattern_names[p], hybrid, fifo, lru,
               run_reference(w, FIFO, capacity, requests), run_reference(w, CLOCK, capacity, requests),
               100.0 * (1.0 - hybrid / lru));
        fflush(stdout);
    }
    zipf_destroy(&zipf);
    return 0;
}
