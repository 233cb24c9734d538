/* The pace of the sweep: memory of expired items is back within ten seconds of a core's housekeeping, for little work.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>
#include "tests/store/fixture.h"

#define NOW 1000000u
#define ITEMS 1000000u
#define STEP_BUSY_US 100u    /* as server/core.c steps: while there is work */
#define STEP_IDLE_US 100000u /* and while there is none */

static void set_n(struct store *s, uint64_t n, uint64_t expires_ms)
{
    char buf[24];
    uint8_t value[40] = {0};
    struct store_key k = fixture_key_n(buf, n);
    struct store_meta meta = {.expires_ms = expires_ms};
    assert_int_equal(store_set(s, &k, value, n % 40, &meta, STORE_SET, 0, NOW), STORE_OK);
}

/* Housekeeping from one time to another. Returns the processor's microseconds. */
static double housekeep(struct store *s, uint64_t from_us, uint64_t to_us, unsigned *steps)
{
    struct timespec a, b;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    for (uint64_t us = from_us; us < to_us; ++*steps) us += store_step(s, us / 1000) ? STEP_BUSY_US : STEP_IDLE_US;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    return (double)(b.tv_sec - a.tv_sec) * 1e6 + (double)(b.tv_nsec - a.tv_nsec) / 1e3;
}

static void test_all_at_once(void **state)
{
    (void)state;
    struct store *s = fixture_store(128 * MIB, MIB);
    const struct store_metrics *m = store_metrics(s);
    uint64_t due_ms = NOW + 60000;
    unsigned steps = 0;
    for (uint64_t n = 0; n < ITEMS; n++) set_n(s, n, due_ms + n % 500);
    for (uint64_t n = ITEMS; n < ITEMS + 1000; n++) set_n(s, n, 0);
    housekeep(s, NOW * 1000ull, due_ms * 1000, &steps);
    assert_int_equal(store_count(s), ITEMS + 1000);
    assert_true(steps < 2000); /* nothing to do costs nothing */
    steps = 0;
    double spent_us = housekeep(s, due_ms * 1000, (due_ms + 10000) * 1000, &steps);
    print_message("%u items expired in %u steps of 10 s: %.2f%% of a core\n", ITEMS, steps, spent_us / 1e5);
    assert_int_equal(store_count(s), 1000);
    assert_int_equal(m->expired, ITEMS);
    assert_int_equal(m->expired_swept, ITEMS);
    assert_int_equal(m->expired_unfetched, ITEMS);
    assert_true(m->bytes_used < 100000);
    store_check(s);
    store_destroy(&s);
}

/* A trickle: each is gone a few seconds after its time, to the millisecond for who asks. */
static void test_trickle(void **state)
{
    (void)state;
    struct store *s = fixture_store(64 * MIB, MIB);
    unsigned steps = 0;
    for (uint64_t n = 0; n < 100000; n++) set_n(s, n, NOW + 1 + n); /* one a millisecond */
    for (uint64_t at_ms = NOW; at_ms < NOW + 100000; at_ms += 1000) {
        char buf[24];
        struct store_value v;
        struct store_key k = fixture_key_n(buf, at_ms - NOW + 500);
        assert_int_equal(store_get(s, &k, at_ms + 500, &v), STORE_OK);
        assert_int_equal(store_get(s, &k, at_ms + 501, &v), STORE_NOT_FOUND);
        housekeep(s, at_ms * 1000 + 501000, (at_ms + 1000) * 1000, &steps);
        uint64_t left = NOW + 100000 - at_ms;
        assert_true(store_count(s) <= left + 4000); /* at most five seconds late */
        assert_true(store_count(s) + 1001 >= left);
    }
    store_check(s);
    store_destroy(&s);
}

/* Where nothing is evicted, what has expired a moment ago makes room at once: the sweep's leisure costs no write. */
static void test_room_at_once(void **state)
{
    (void)state;
    struct store *s = fixture_store(2 * MIB, MIB);
    struct store_meta meta = {.expires_ms = NOW + 60000};
    uint8_t value[40] = {0};
    char buf[24];
    uint64_t n = 0;
    enum store_status status = STORE_OK;
    for (; status == STORE_OK; n++) {
        struct store_key k = fixture_key_n(buf, n);
        status = store_set(s, &k, value, sizeof(value), &meta, STORE_SET, 0, NOW);
    }
    assert_int_equal(status, STORE_NO_MEMORY);
    struct store_key k = fixture_key_n(buf, n);
    assert_int_equal(store_set(s, &k, value, sizeof(value), NULL, STORE_SET, 0, NOW + 59999), STORE_NO_MEMORY);
    assert_int_equal(store_set(s, &k, value, sizeof(value), NULL, STORE_SET, 0, NOW + 60001), STORE_OK);
    assert_true(store_metrics(s)->expired_swept > 0);
    store_check(s);
    store_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_at_once), cmocka_unit_test(test_trickle),
                                       cmocka_unit_test(test_room_at_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
