/* What operations do for others is measured, and what they do for themselves is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/store/fixture.h"

#define NOW 1000u

static uint8_t value[MIB];

static void set_n(struct store *s, uint64_t n, uint32_t len)
{
    char buf[24];
    struct store_key k = fixture_key_n(buf, n);
    assert_int_equal(store_set(s, &k, value, len, NULL, STORE_SET, 0, NOW), STORE_OK);
}

/* The most that is noted from now on. */
static uint64_t *most_of(struct store *s)
{
    uint64_t *most = (uint64_t *)(uintptr_t)&store_metrics(s)->cycles_work_most;
    *most = 0;
    return most;
}

static void test_splits(void **state)
{
    (void)state;
    struct store *s = fixture_store(8 * MIB, MIB);
    const uint64_t *most = most_of(s);
    uint64_t n = 0;
    for (; n < 100; n++) set_n(s, n, 50);
    for (unsigned i = 0; i < 10000; i++) set_n(s, i % 90 + 1, 50); /* in place */
    uint64_t first_page = *most;                                   /* of a size that was new */
    *most_of(s) = 0;
    for (unsigned i = 0; i < 10000; i++) set_n(s, i % 90 + 1, 50);
    assert_int_equal(*most, 0);
    assert_true(first_page > 0);
    while (store_metrics(s)->splits == 0) {
        *most_of(s) = 0;
        set_n(s, n++, 50);
    }
    assert_true(*most > 0);
    store_destroy(&s);
}

/* Evictions beyond one for one, and slots that are looked for. */
static void test_evictions(void **state)
{
    (void)state;
    struct store *s = fixture_store_evicting(8 * MIB, MIB, STORE_EVICT_HYBRID);
    const struct store_metrics *m = store_metrics(s);
    uint64_t n = 0;
    while (m->evicted_new == 0) set_n(s, n++, 200);
    const uint64_t *most = most_of(s);
    set_n(s, n++, 30000);
    assert_true(*most > 0);
    *most_of(s) = 0;
    set_n(s, n++, 200);
    set_n(s, n++, 200);
    assert_true(*most > 0);
    store_destroy(&s);
}

static uint64_t evicted(const struct store_metrics *m)
{
    return m->evicted_new + m->evicted_cold + m->evicted_page + m->evicted_class;
}

/* Sizes change places by pages, each with the free slots of many writes: no write pays for a page at once. */
static void test_evictions_are_spread(void **state)
{
    (void)state;
    struct store *s = fixture_store_evicting(64 * MIB, MIB, STORE_EVICT_HYBRID);
    const struct store_metrics *m = store_metrics(s);
    uint64_t n = 0, many = 0;
    uint32_t random = 1;
    for (uint64_t before = 0; n < 800000; before = evicted(m)) {
        random = random * 1664525u + 1013904223u;
        set_n(s, n++, 84 + (random >> 16) % 193);
        many += n > 400000 && evicted(m) - before > 8;
    }
    assert_true(evicted(m) > 400000);
    assert_true(m->evacuations > 0);
    assert_in_range(many, 0, 200); /* of 400,000; 32 at once each time would be 2,000 */
    store_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_splits), cmocka_unit_test(test_evictions),
                                       cmocka_unit_test(test_evictions_are_spread)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
