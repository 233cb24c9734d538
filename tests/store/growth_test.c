/* A million items through many splits, back through the merges; sizes that shift; the sweep. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/store/fixture.h"

#define NOW 1000u
#define ITEMS 1000000u
#define CHECK_EVERY 250000u

static void assert_item(struct store *s, uint64_t n)
{
    char buf[24];
    struct store_key k = fixture_key_n(buf, n);
    struct store_value v;
    assert_int_equal(store_get(s, &k, NOW, &v), STORE_OK);
    assert_int_equal(v.len, 8);
    assert_memory_equal(v.data, &n, 8);
}

static void test_no_item_is_lost(void **state)
{
    (void)state;
    struct store *s = fixture_store(96 * MIB, 1000);
    const struct store_metrics *m = store_metrics(s);
    struct random r = {5};
    char buf[24];
    for (uint64_t n = 0; n < ITEMS; n++) {
        struct store_key k = fixture_key_n(buf, n);
        assert_int_equal(store_set(s, &k, &n, 8, NULL, STORE_SET, 0, NOW), STORE_OK);
        assert_item(s, (random_next(&r) >> 1) % (n + 1));
        if (n % CHECK_EVERY == 0) store_check(s);
    }
    store_check(s);
    assert_int_equal(store_count(s), ITEMS);
    assert_true(m->splits > ITEMS / 12 - 2048);
    assert_true((double)m->bytes_index / ITEMS < 8.6);
    for (uint64_t n = 0; n < ITEMS; n++) assert_item(s, n);
    for (uint64_t n = 0; n < ITEMS; n++) {
        struct store_key k = fixture_key_n(buf, n);
        assert_int_equal(store_delete(s, &k, NOW), STORE_OK);
        if (n + 1 < ITEMS) assert_item(s, n + 1 + (random_next(&r) >> 1) % (ITEMS - n - 1));
        if (n % CHECK_EVERY == 0) store_check(s);
    }
    fixture_settle(s, NOW, 200000);
    store_check(s);
    assert_int_equal(m->bytes_index, 65536);
    assert_int_equal(m->bytes_used, 0);
    store_destroy(&s);
}

/* The three passes of a batch find what single look-ups find. */
static void test_batch(void **state)
{
    (void)state;
    struct store *s = fixture_store(16 * MIB, 1000);
    char buf[32][24];
    for (uint64_t n = 0; n < 100000; n++) {
        struct store_key k = fixture_key_n(buf[0], n);
        assert_int_equal(store_set(s, &k, &n, 8, NULL, STORE_SET, 0, NOW), STORE_OK);
    }
    for (uint64_t first = 0; first < 110000; first += 32) {
        struct store_key keys[32];
        for (unsigned i = 0; i < 32; i++) {
            keys[i] = fixture_key_n(buf[i], first + i);
            store_prefetch_bucket(s, keys[i].hash);
        }
        for (unsigned i = 0; i < 32; i++) store_prefetch_item(s, keys[i].hash);
        if (first % 3 == 0) store_flush(s); /* hints only: they may be of yesterday */
        for (unsigned i = 0; i < 32; i++) {
            struct store_value v;
            assert_int_equal(store_get(s, &keys[i], NOW, &v), STORE_NOT_FOUND);
        }
        for (unsigned i = 0; i < 32; i++)
            assert_int_equal(store_set(s, &keys[i], "x", 1, NULL, STORE_SET, 0, NOW), STORE_OK);
    }
    store_destroy(&s);
}

/*
 * Memory nearly full of one size, then the sizes shift: an old item goes for each new one, at random. Had a class kept
 * its pages, the first shift would be refused.
 */
static void shift(struct store *s, struct random *r, uint64_t keys, uint64_t payload_most, uint32_t least,
                  uint32_t most)
{
    static uint8_t value[20000];
    const struct store_metrics *m = store_metrics(s);
    char buf[24];
    uint64_t refused = m->refused;
    for (uint64_t i = 0; i < keys * 3; i++) {
        struct store_key k = fixture_key_n(buf, (random_next(r) >> 1) % keys);
        uint32_t len = least + random_below(r, most - least + 1);
        while (m->bytes_payload + len + 16 > payload_most) {
            struct store_key victim = fixture_key_n(buf, (random_next(r) >> 1) % keys);
            store_delete(s, &victim, NOW);
        }
        k = fixture_key_n(buf, (random_next(r) >> 1) % keys);
        assert_int_equal(store_set(s, &k, value, len, NULL, STORE_SET, 0, NOW), STORE_OK);
    }
    assert_int_equal(m->refused, refused);
    store_check(s);
}

static void test_sizes_shift(void **state)
{
    (void)state;
    struct store *s = fixture_store(64 * MIB, 20000);
    const struct store_metrics *m = store_metrics(s);
    struct random r = {11};
    shift(s, &r, 200000, m->bytes_limit / 100 * 80, 200, 300);
    uint64_t moves = m->moves;
    shift(s, &r, 40000, m->bytes_limit / 100 * 84, 1000, 3000);
    assert_true(m->moves > moves);
    shift(s, &r, 200000, m->bytes_limit / 100 * 80, 300, 400);
    shift(s, &r, 12000, m->bytes_limit / 100 * 84, 5000, 9000);
    shift(s, &r, 6000, m->bytes_limit / 100 * 84, 9000, 20000);
    shift(s, &r, 200000, m->bytes_limit / 100 * 78, 200, 500);
    assert_true(m->bytes_payload > m->bytes_limit / 100 * 75);
    store_destroy(&s);
}

/* What expires comes back without being asked for, in steps, and what has not expired stays. */
static void test_sweep(void **state)
{
    (void)state;
    struct store *s = fixture_store(32 * MIB, 100000);
    const struct store_metrics *m = store_metrics(s);
    char buf[24];
    uint8_t value[30000] = {0};
    for (uint64_t n = 0; n < 50000; n++) {
        struct store_key k = fixture_key_n(buf, n);
        struct store_meta meta = {.expires_ms = n % 5 == 0 ? 0 : n % 5 == 1 ? 900000 : 60000 + n % 7};
        uint32_t len = n % 500 == 2 ? 30000 : 40;
        assert_int_equal(store_set(s, &k, value, len, &meta, STORE_SET, 0, NOW), STORE_OK);
    }
    for (uint64_t now_ms = NOW; now_ms < 59000; now_ms += 10) assert_int_equal(store_step(s, now_ms), 0);
    assert_int_equal(store_count(s), 50000);
    uint64_t before;
    unsigned steps = 0;
    for (uint64_t now_ms = 60100; store_count(s) > 20000; steps++) {
        before = store_count(s);
        store_step(s, now_ms);
        assert_true(before - store_count(s) <= 32);
        if (steps % 1000 == 999) now_ms += 100;
        assert_true(steps < 100000);
    }
    store_check(s);
    assert_int_equal(m->expired, 30000);
    fixture_settle(s, 904000, 20000);
    assert_int_equal(store_count(s), 10000);
    for (uint64_t n = 0; n < 50000; n += 5) {
        struct store_key k = fixture_key_n(buf, n);
        struct store_value v;
        assert_int_equal(store_get(s, &k, 904000, &v), STORE_OK);
    }
    store_check(s);
    store_destroy(&s);
}

/* A full store makes room from expired items before it refuses. */
static void test_expired_make_room(void **state)
{
    (void)state;
    struct store *s = fixture_store(8 * MIB, 100000);
    struct store_meta meta = {.expires_ms = 50000};
    char buf[24];
    uint8_t value[1000] = {0};
    uint64_t n = 0;
    for (;; n++) {
        struct store_key k = fixture_key_n(buf, n);
        if (store_set(s, &k, value, sizeof(value), &meta, STORE_SET, 0, NOW) != STORE_OK) break;
    }
    for (uint64_t i = n; i < 2 * n - n / 20; i++) {
        struct store_key k = fixture_key_n(buf, i);
        struct store_value v;
        assert_int_equal(store_get(s, &k, 50000, &v), STORE_NOT_FOUND);
        assert_int_equal(store_set(s, &k, value, sizeof(value), NULL, STORE_SET, 0, 50000), STORE_OK);
    }
    store_check(s);
    store_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_item_is_lost),   cmocka_unit_test(test_batch),
        cmocka_unit_test(test_sizes_shift),       cmocka_unit_test(test_sweep),
        cmocka_unit_test(test_expired_make_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
