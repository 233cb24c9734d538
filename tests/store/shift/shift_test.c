/*
 * How much of the region is keys and values: at the first refused write, size by size; and after each of seven shifts
 * of the sizes, none of which is refused. Arguments: MiB of the region, pattern of the tests' names, first seed, seeds;
 * it prints what it finds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "store/classes.h"
#include "tests/store/fixture.h"

#define NOW 1000u
#define PAYLOAD_LEAST 90.0 /* percent */
#define PAYLOAD_KEPT 86u
#define LARGE_BYTES 9000u

struct sizes {
    uint32_t least;
    uint32_t most;
};

static const struct sizes shifts[] = {
    {84, 276}, {1000, 3000}, {120, 400}, {5000, 9000}, {300, 700}, {10000, 50000}, {84, 276}, {2000, 4000},
};
#define SHIFTS (sizeof(shifts) / sizeof(shifts[0]))

static uint64_t arg_mib = 64, arg_seed = 9, arg_seeds = 1;
static uint8_t value[1 << 20];

static double percent(const struct store *s, uint64_t bytes)
{
    return 100.0 * (double)bytes / (double)store_metrics(s)->bytes_limit;
}

static double payload_percent(const struct store *s)
{
    return percent(s, store_metrics(s)->bytes_payload);
}

static uint64_t free_slot_bytes(const struct store *s)
{
    struct store_class c[STORE_CLASSES_MAX];
    uint64_t bytes = 0;
    for (unsigned i = store_classes(s, c); i-- > 0;) bytes += (c[i].pages * c[i].slots - c[i].used) * c[i].slot_bytes;
    return bytes;
}

static uint32_t random_size(struct random *r, struct sizes sizes)
{
    return sizes.least + random_below(r, sizes.most - sizes.least + 1);
}

static enum store_status set(struct store *s, uint64_t n, uint32_t len)
{
    char buf[24];
    struct store_key k = fixture_key_n(buf, n);
    return store_set(s, &k, value, len, NULL, STORE_SET, 0, NOW);
}

static void test_first_refusal(void **state)
{
    (void)state;
    static const struct sizes sizes[] = {{84, 276},    {200, 200},     {300, 700},     {1000, 4000},
                                         {5000, 9000}, {10000, 60000}, {30000, 300000}};
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct store *s = fixture_store(arg_mib * MIB, sizeof(value));
        struct random r = {i + 1};
        for (uint64_t n = 0; set(s, n, random_size(&r, sizes[i])) == STORE_OK; n++) {
        }
        print_message("values of %u to %u bytes: %.1f%% payload at the first refusal\n", sizes[i].least, sizes[i].most,
                      payload_percent(s));
        assert_true(payload_percent(s) >= PAYLOAD_LEAST);
        assert_true(store_metrics(s)->moved_most <= 4096);
        store_check(s);
        store_destroy(&s);
    }
}

/* Keys first..last-1 are there, but for those that were picked out of their middle. */
struct window {
    uint64_t first;
    uint64_t last;
};

/* Deletes one item, mostly not the oldest: holes everywhere. */
static void delete_one(struct store *s, struct random *r, struct window *w)
{
    char buf[24];
    uint64_t span = w->last - w->first;
    for (unsigned i = 0; i < 8; i++) {
        struct store_key k = fixture_key_n(buf, w->first + random_next(r) % span);
        if (store_delete(s, &k, NOW) == STORE_OK) return;
    }
    for (; w->first < w->last; w->first++) {
        struct store_key k = fixture_key_n(buf, w->first);
        if (store_delete(s, &k, NOW) == STORE_OK) return;
    }
}

/*
 * Writes items of these sizes, twice what memory holds, and deletes as much as it writes, none being refused. Then,
 * with nothing deleted, what is refused first finds memory full.
 */
static void shift(struct store *s, struct random *r, struct window *w, struct sizes sizes)
{
    const struct store_metrics *m = store_metrics(s);
    uint64_t most = m->bytes_limit / 100 * PAYLOAD_KEPT;
    for (uint64_t written = 0; written < m->bytes_limit * 2;) {
        uint32_t len = random_size(r, sizes);
        while (m->bytes_payload + len + 16 > most) delete_one(s, r, w);
        assert_int_equal(set(s, w->last++, len), STORE_OK);
        written += len;
    }
    while (set(s, w->last, random_size(r, sizes)) == STORE_OK) w->last++;
}

static void test_shifts(void **state)
{
    (void)state;
    struct store *s = fixture_store(arg_mib * MIB, sizeof(value));
    struct random r = {9};
    struct window w = {0, 0};
    for (unsigned i = 0; i < SHIFTS; i++) {
        shift(s, &r, &w, shifts[i]);
        const struct store_metrics *m = store_metrics(s);
        print_message("values of %u to %u bytes: %.1f%% payload, %lu items, %lu moved, %lu bytes at most at a time\n",
                      shifts[i].least, shifts[i].most, payload_percent(s), m->items, m->moves, m->moved_most);
        assert_true(payload_percent(s) >= PAYLOAD_LEAST);
        assert_true(m->moved_most <= 4096);
        store_check(s);
    }
    store_destroy(&s);
}

/* The same with eviction: nothing is deleted, what is new finds room for itself. */
static void evicting_shifts(enum store_eviction policy, const char *name, uint64_t seed)
{
    struct store_config config = {
        .memory_limit = arg_mib * MIB, .max_value = sizeof(value), .max_key = 250, .eviction = policy};
    struct store *s = NULL;
    struct random r = {seed};
    uint64_t n = 0;
    assert_int_equal(store_create(&s, &config), 0);
    const struct store_metrics *m = store_metrics(s);
    for (unsigned i = 0; i < SHIFTS; i++) {
        for (uint64_t written = 0; written < m->bytes_limit * 2;) {
            uint32_t len = random_size(&r, shifts[i]);
            assert_int_equal(set(s, n++, len), STORE_OK);
            if (len > LARGE_BYTES) store_step(s, NOW); /* the server's loop turns while such a value comes in */
            written += len;
        }
        store_step(s, NOW);
        print_message("%s, values of %u to %u bytes: %.1f%% payload; index %.1f, headers %.1f, rounding %.1f, eviction "
                      "%.1f, head %.1f, free pages %.1f, free slots %.1f\n",
                      name, shifts[i].least, shifts[i].most, payload_percent(s), percent(s, m->bytes_index),
                      percent(s, m->bytes_headers), percent(s, m->bytes_used - m->bytes_payload - m->bytes_headers),
                      percent(s, m->bytes_eviction), percent(s, m->bytes_head), percent(s, m->bytes_free),
                      percent(s, free_slot_bytes(s)));
        assert_true(payload_percent(s) >= PAYLOAD_LEAST);
        store_check(s);
    }
    assert_int_equal(m->refused, 0);
    store_destroy(&s);
}

static void test_hybrid_shifts(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < arg_seeds; i++) evicting_shifts(STORE_EVICT_HYBRID, "hybrid", arg_seed + i);
}

static void test_fifo_shifts(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < arg_seeds; i++) evicting_shifts(STORE_EVICT_FIFO, "fifo", arg_seed + i);
}

int main(int argc, char **argv)
{
    if (argc > 1) arg_mib = strtoull(argv[1], NULL, 0);
    if (argc > 2) cmocka_set_test_filter(argv[2]);
    if (argc > 3) arg_seed = strtoull(argv[3], NULL, 0);
    if (argc > 4) arg_seeds = strtoull(argv[4], NULL, 0);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_first_refusal), cmocka_unit_test(test_shifts),
                                       cmocka_unit_test(test_hybrid_shifts), cmocka_unit_test(test_fifo_shifts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
