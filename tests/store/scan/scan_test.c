/* Iteration: what stands throughout is seen once, whatever happens to the table between two calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "store/scan.h"
#include "tests/store/fixture.h"

#define NOW 1000000u
#define STANDING 40000u /* keys 0.. that are never deleted */
#define PASSING 200000u /* the keys after them come and go */

struct seen {
    uint8_t times[STANDING + PASSING];
    uint64_t entries;
};

static uint64_t key_number(const uint8_t *key, uint32_t len)
{
    char text[24] = {0};
    assert_int_equal(len, 16);
    memcpy(text, key, len);
    return strtoull(text + 4, NULL, 10);
}

static void see(void *arg, const struct store_entry *e)
{
    struct seen *seen = arg;
    uint8_t buf[24];
    const uint8_t *key = store_entry_key(NULL, e, buf);
    uint64_t n = key_number(key, e->key_len);
    assert_true(n < STANDING + PASSING);
    assert_int_equal(e->hash, store_hash(key, e->key_len));
    assert_int_equal(e->value.meta.flags, n & 0xff);
    seen->times[n]++;
    seen->entries++;
}

static void set_n(struct store *s, uint64_t n, uint32_t len)
{
    static uint8_t value[300];
    char buf[24];
    struct store_key k = fixture_key_n(buf, n);
    struct store_meta meta = {.flags = n & 0xff};
    assert_int_equal(store_set(s, &k, value, len, &meta, STORE_SET, 0, NOW), STORE_OK);
}

static void delete_n(struct store *s, uint64_t n)
{
    char buf[24];
    struct store_key k = fixture_key_n(buf, n);
    store_delete(s, &k, NOW);
}

static void test_scan_at_rest(void **state)
{
    (void)state;
    struct store *s = fixture_store(32 * MIB, MIB);
    struct seen *seen = calloc(1, sizeof(*seen));
    assert_int_equal(store_scan(s, 0, UINT32_MAX, NOW, see, seen), 0);
    assert_int_equal(seen->entries, 0);
    for (uint64_t n = 0; n < STANDING; n++) set_n(s, n, (uint32_t)n % 100);
    uint32_t cursor = 0;
    unsigned calls = 0;
    do {
        uint64_t before = seen->entries;
        cursor = store_scan(s, cursor, 4, NOW, see, seen);
        assert_true(seen->entries - before < 200); /* bounded */
        calls++;
    } while (cursor);
    assert_true(calls > STANDING / 12 / 4);
    for (uint64_t n = 0; n < STANDING; n++) assert_int_equal(seen->times[n], 1);
    free(seen);
    store_destroy(&s);
}

enum churn { CHURN_GROW, CHURN_SHRINK, CHURN_BOTH };

/* Between two calls the table grows or shrinks by several levels in all, items are overwritten, moved, deleted. */
static void scan_under_churn(enum churn churn, uint64_t seed)
{
    struct store *s = fixture_store(64 * MIB, MIB);
    struct seen *seen = calloc(1, sizeof(*seen));
    struct random r = {seed};
    uint32_t high = churn == CHURN_GROW ? STANDING : STANDING + PASSING;
    for (uint64_t n = 0; n < high; n++) set_n(s, n, random_below(&r, 60));
    uint32_t cursor = 0, growing = 0;
    do {
        cursor = store_scan(s, cursor, 1 + random_below(&r, 16), NOW, see, seen);
        if (high == STANDING || high == STANDING + PASSING) growing = high == STANDING;
        bool up = churn == CHURN_GROW || (churn == CHURN_BOTH && growing);
        for (unsigned i = 0; i < (churn == CHURN_BOTH ? 400 : 100); i++) {
            if (up && high < STANDING + PASSING)
                set_n(s, high++, random_below(&r, 60));
            else if (!up && high > STANDING)
                delete_n(s, --high);
        }
        for (unsigned i = 0; i < 4; i++) set_n(s, random_below(&r, STANDING), random_below(&r, 300));
        fixture_settle(s, NOW, churn == CHURN_BOTH ? 80 : 20);
    } while (cursor);
    for (uint64_t n = 0; n < STANDING; n++) assert_int_equal(seen->times[n], 1);
    if (churn == CHURN_GROW)
        assert_true(store_metrics(s)->splits > 5000);
    else
        assert_true(store_metrics(s)->merges > (churn == CHURN_BOTH ? 500u : 5000u));
    store_check(s);
    free(seen);
    store_destroy(&s);
}

static void test_scan_while_growing(void **state)
{
    (void)state;
    scan_under_churn(CHURN_GROW, 1);
}

static void test_scan_while_shrinking(void **state)
{
    (void)state;
    scan_under_churn(CHURN_SHRINK, 2);
}

static void test_scan_while_breathing(void **state)
{
    (void)state;
    for (uint64_t seed = 3; seed < 6; seed++) scan_under_churn(CHURN_BOTH, seed);
}

struct one {
    struct store *s;
    const uint8_t *key, *value;
    uint32_t key_len, value_len;
    uint64_t cas;
    unsigned calls;
};

static void see_one(void *arg, const struct store_entry *e)
{
    struct one *one = arg;
    uint8_t *buf = malloc(e->key_len);
    assert_int_equal(e->key_len, one->key_len);
    assert_memory_equal(store_entry_key(one->s, e, buf), one->key, one->key_len);
    fixture_assert_value(one->s, e->value, one->value, one->value_len);
    assert_int_equal(e->value.cas, one->cas);
    assert_int_equal(e->value.meta.expires_ms, NOW + 1);
    one->calls++;
    free(buf);
}

/* Keys over several pieces; an item whose time has passed is not seen. */
static void test_scan_entry(void **state)
{
    (void)state;
    static const uint32_t keys[] = {1, 250, 256, 9300, 30000, 65535}, lens[] = {0, 5, 9000, 70000};
    struct store *s = fixture_store(16 * MIB, MIB);
    uint8_t *key = malloc(65535), *value = malloc(70000);
    for (unsigned i = 0; i < 6; i++)
        for (unsigned j = 0; j < 4; j++) {
            fixture_fill(key, keys[i], i + 1);
            fixture_fill(value, lens[j], j + 1);
            struct store_key k = fixture_key(key, keys[i]);
            struct store_meta meta = {.flags = 3, .expires_ms = NOW + 1};
            struct one one = {s, key, value, keys[i], lens[j], 0, 0};
            struct store_value v;
            assert_int_equal(store_set(s, &k, value, lens[j], &meta, STORE_SET, 0, NOW), STORE_OK);
            assert_int_equal(store_gets(s, &k, NOW, &v), STORE_OK);
            one.cas = v.cas;
            assert_int_equal(store_scan(s, 0, UINT32_MAX, NOW, see_one, &one), 0);
            assert_int_equal(one.calls, 1);
            assert_int_equal(store_scan(s, 0, UINT32_MAX, NOW + 1, see_one, &one), 0);
            assert_int_equal(one.calls, 1);
            assert_int_equal(store_delete(s, &k, NOW), STORE_OK);
        }
    free(key);
    free(value);
    store_destroy(&s);
}

#define LOTS 200000u
#define BINS 256u

/* Every item is as likely as any other, in buckets that have been split and in those that have not. */
static void test_draw(void **state)
{
    (void)state;
    static uint32_t held[BINS], drawn[BINS];
    struct store *s = fixture_store(64 * MIB, 1000);
    struct random random = {.state = 7};
    struct store_entry e;
    assert_false(store_draw(s, 1, NOW, &e));
    for (uint64_t n = 0; n < STANDING; n++) {
        char buf[24];
        struct store_key k = fixture_key_n(buf, n);
        set_n(s, n, 10);
        held[k.hash % BINS]++;
        if (n == 0) assert_true(store_draw(s, 1, NOW, &e) && e.hash == k.hash);
    }
    for (uint32_t i = 0; i < LOTS; i++) {
        uint8_t buf[24];
        assert_true(store_draw(s, random_next(&random), NOW, &e));
        const uint8_t *key = store_entry_key(s, &e, buf);
        assert_int_equal(e.hash, store_hash(key, e.key_len));
        drawn[e.hash % BINS]++;
    }
    double chi = 0;
    for (uint32_t i = 0; i < BINS; i++) {
        double expected = (double)LOTS * held[i] / STANDING, off = drawn[i] - expected;
        chi += off * off / expected;
    }
    assert_true(chi > BINS - 120 && chi < BINS + 120); /* five standard deviations of 23 */
    store_destroy(&s);
}

/* Of many that have expired and a few that have not, it is one of the few. */
static void test_draw_of_expired(void **state)
{
    (void)state;
    struct store *s = fixture_store(64 * MIB, 1000);
    struct store_meta soon = {.expires_ms = NOW + 5};
    struct store_entry e;
    for (uint64_t n = 0; n < 3000; n++) {
        char buf[24];
        struct store_key k = fixture_key_n(buf, n);
        assert_int_equal(store_set(s, &k, "v", 1, n % 1000 == 7 ? NULL : &soon, STORE_SET, 0, NOW), STORE_OK);
    }
    for (uint64_t seed = 1; seed < 50; seed++) {
        uint8_t buf[24];
        assert_true(store_draw(s, seed, NOW + 10, &e));
        assert_int_equal(key_number(store_entry_key(s, &e, buf), e.key_len) % 1000, 7);
    }
    store_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan_at_rest),         cmocka_unit_test(test_scan_while_growing),
        cmocka_unit_test(test_scan_while_shrinking), cmocka_unit_test(test_scan_while_breathing),
        cmocka_unit_test(test_scan_entry),           cmocka_unit_test(test_draw),
        cmocka_unit_test(test_draw_of_expired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
