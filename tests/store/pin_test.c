/* Pins, open writes and flushes: whose bytes must stay, and when they come back. */
#include <setjmp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/store/fixture.h"

#define NOW 1000u
#define LARGE 200000u

static struct store *s;

static int setup(void **state)
{
    (void)state;
    s = fixture_store(8 * MIB, MIB);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_settle(s, NOW, 1000);
    store_check(s);
    assert_int_equal(store_metrics(s)->pins, 0);
    store_destroy(&s);
    return 0;
}

static struct store_pin *pin(const char *key, struct store_value *v)
{
    struct store_key k = fixture_key(key, strlen(key));
    assert_int_equal(store_get(s, &k, NOW, v), STORE_OK);
    struct store_pin *p = store_pin(s, v->item);
    assert_non_null(p);
    return p;
}

static void test_overwritten(void **state)
{
    (void)state;
    struct store_value v;
    fixture_set(s, "a", "first");
    struct store_pin *p = pin("a", &v);
    fixture_set(s, "a", "other"); /* the same size, yet not in place */
    fixture_assert_get(s, "a", "other");
    assert_memory_equal(v.data, "first", 5);
    assert_int_equal(store_count(s), 1);
    assert_int_equal(store_metrics(s)->bytes_used, 32);
    store_unpin(s, p);
    assert_int_equal(store_metrics(s)->bytes_used, 16);
    fixture_assert_get(s, "a", "other");
}

static void test_counted(void **state)
{
    (void)state;
    struct store_value v;
    fixture_set(s, "a", "first");
    struct store_pin *p = pin("a", &v);
    assert_ptr_equal(pin("a", &v), p);
    store_pin_ref(p);
    assert_int_equal(store_metrics(s)->pins, 1);
    struct store_key k = fixture_key("a", 1);
    assert_int_equal(store_delete(s, &k, NOW), STORE_OK);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(store_metrics(s)->bytes_used, 16);
        assert_memory_equal(v.data, "first", 5);
        store_check(s);
        store_unpin(s, p);
    }
    assert_int_equal(store_metrics(s)->bytes_used, 0);
}

static void test_run_out(void **state)
{
    (void)state;
    struct store_config config = {.memory_limit = 4 * MIB, .max_value = 100, .max_key = 250, .pins_max = 64};
    struct store *small = NULL;
    struct store_pin *pins[64];
    struct store_value v;
    char buf[24];
    assert_int_equal(store_create(&small, &config), 0);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i <= 64; i++) {
            struct store_key k = fixture_key_n(buf, i);
            assert_int_equal(store_set(small, &k, buf, k.len, NULL, STORE_SET, 0, NOW), STORE_OK);
            assert_int_equal(store_get(small, &k, NOW, &v), STORE_OK);
            struct store_pin *p = store_pin(small, v.item);
            assert_int_equal(p == NULL, i == 64);
            if (p) pins[i] = p;
        }
        store_check(small);
        for (unsigned i = 0; i < 64; i++) store_unpin(small, pins[i]);
    }
    assert_int_equal(store_metrics(small)->pins_refused, 2);
    store_destroy(&small);
}

/* Neighbours come and go, pages are evacuated and flushed: the pinned bytes stay, whole and chained. */
static void test_bytes_stay(void **state)
{
    (void)state;
    uint8_t *large = malloc(LARGE);
    struct store_key k = fixture_key("large", 5);
    struct store_value small_view, large_view;
    struct random r = {7};
    char buf[24];
    fixture_fill(large, LARGE, 3);
    fixture_set(s, "small", "stays");
    assert_int_equal(store_set(s, &k, large, LARGE, NULL, STORE_SET, 0, NOW), STORE_OK);
    struct store_pin *small_pin = pin("small", &small_view), *large_pin = pin("large", &large_view);
    for (unsigned i = 0; i < 60000; i++) {
        uint8_t value[410] = {0};
        struct store_key n = fixture_key_n(buf, random_below(&r, 20000));
        if (random_below(&r, 2)) {
            store_delete(s, &n, NOW);
        } else {
            store_set(s, &n, value, random_below(&r, 10) + i % 40000 / 100, NULL, STORE_SET, 0, NOW);
        }
        if (i == 20000) store_flush(s);
        if (i == 20000 || i == 40000) fixture_assert_value(s, large_view, large, LARGE);
        if (i % 5000 == 0) store_check(s);
    }
    assert_true(store_metrics(s)->moves > 0);
    assert_memory_equal(small_view.data, "stays", 5);
    fixture_assert_value(s, large_view, large, LARGE);
    fixture_assert_absent(s, "small");
    store_unpin(s, small_pin);
    uint64_t used = store_metrics(s)->bytes_used;
    store_unpin(s, large_pin);
    assert_true(store_metrics(s)->bytes_used <= used - LARGE);
    free(large);
}

/* The last unpin comes before the flushed pages were looked at, or after. */
static void flush_and_unpin(uint32_t len, bool settle_first, bool neighbours)
{
    uint8_t *value = malloc(len);
    struct store_key k = fixture_key("a", 1);
    struct store_value v;
    fixture_fill(value, len, len);
    if (neighbours) fixture_set(s, "b", "neighbour");
    assert_int_equal(store_set(s, &k, value, len, NULL, STORE_SET, 0, NOW), STORE_OK);
    struct store_pin *p = pin("a", &v);
    store_flush(s);
    fixture_assert_absent(s, "a");
    store_check(s);
    if (settle_first) fixture_settle(s, NOW, 1000);
    if (neighbours) fixture_set(s, "b", "neighbour");
    store_check(s);
    fixture_assert_value(s, v, value, len);
    store_unpin(s, p);
    store_check(s);
    store_flush(s);
    fixture_settle(s, NOW, 1000);
    assert_int_equal(store_metrics(s)->bytes_used, 0);
    free(value);
}

static void test_flush_keeps_pinned(void **state)
{
    (void)state;
    static const uint32_t lens[] = {10, 5000, 30000, LARGE};
    for (unsigned i = 0; i < 4; i++)
        for (unsigned how = 0; how < 4; how++) flush_and_unpin(lens[i], how & 1, how & 2);
}

static void commit_across_flush(uint32_t len, unsigned settle_at, unsigned flushes)
{
    uint8_t *value = malloc(len);
    struct store_key k = fixture_key("a", 1);
    struct store_write w;
    struct store_value v;
    fixture_fill(value, len, len + 5);
    fixture_set(s, "a", "old");
    fixture_set(s, "b", "old");
    assert_int_equal(store_reserve(s, &k, len, NULL, false, &w), STORE_OK);
    store_write_fill(&w, value, len / 2);
    for (unsigned i = 0; i < flushes; i++) {
        store_flush(s);
        if (settle_at & 1u << i) fixture_settle(s, NOW, 1000);
    }
    store_check(s);
    store_write_fill(&w, value + len / 2, len - len / 2);
    fixture_assert_absent(s, "a");
    assert_int_equal(store_metrics(s)->writes_open, 1);
    assert_int_equal(store_commit(s, &w, &k, STORE_ADD, 0, NULL, NOW), STORE_OK);
    store_check(s);
    fixture_settle(s, NOW, 1000);
    assert_int_equal(store_get(s, &k, NOW, &v), STORE_OK);
    fixture_assert_value(s, v, value, len);
    assert_int_equal(store_count(s), 1);
    assert_int_equal(store_delete(s, &k, NOW), STORE_OK);
    assert_int_equal(store_metrics(s)->bytes_used, 0);
    free(value);
}

static void test_flush_keeps_open_writes(void **state)
{
    (void)state;
    static const uint32_t lens[] = {1, 4000, 30000, LARGE};
    for (unsigned i = 0; i < 4; i++)
        for (unsigned settle = 0; settle < 4; settle++) commit_across_flush(lens[i], settle, 2);
}

static void test_abort_gives_back(void **state)
{
    (void)state;
    struct store_key k = fixture_key("a", 1);
    struct store_write w;
    fixture_set(s, "a", "old");
    for (uint32_t len = 0; len < LARGE; len = len * 3 + 1) {
        assert_int_equal(store_reserve(s, &k, len, NULL, true, &w), STORE_OK);
        store_check(s);
        store_abort(s, &w);
        fixture_assert_get(s, "a", "old");
        assert_int_equal(store_metrics(s)->bytes_used, 8);
    }
    assert_int_equal(store_metrics(s)->writes_open, 0);
}

static uint8_t *fill_value;

static void *fill_elsewhere(void *arg)
{
    struct store_write *w = arg;
    while (w->filled < LARGE)
        store_write_fill(w, fill_value + w->filled, LARGE - w->filled < 777 ? LARGE - w->filled : 777);
    return NULL;
}

/* Another thread fills the reserved memory while the owner goes on, evacuates and flushes. */
static void test_fill_on_another_core(void **state)
{
    (void)state;
    struct store_key k = fixture_key("a", 1);
    struct store_write w;
    struct store_value v;
    struct random r = {3};
    char buf[24];
    fill_value = malloc(LARGE);
    fixture_fill(fill_value, LARGE, 9);
    for (unsigned round = 0; round < 20; round++) {
        pthread_t thread;
        assert_int_equal(store_reserve(s, &k, LARGE, NULL, false, &w), STORE_OK);
        assert_int_equal(pthread_create(&thread, NULL, fill_elsewhere, &w), 0);
        for (unsigned i = 0; i < 2000; i++) {
            struct store_key n = fixture_key_n(buf, random_below(&r, 5000));
            store_set(s, &n, fill_value, random_below(&r, 1500), NULL, STORE_SET, 0, NOW);
            if (i == 1000 && round % 4 == 0) store_flush(s);
            if (i % 3 == 0) store_delete(s, &n, NOW);
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(store_commit(s, &w, &k, STORE_SET, 0, NULL, NOW), STORE_OK);
        assert_int_equal(store_get(s, &k, NOW, &v), STORE_OK);
        fixture_assert_value(s, v, fill_value, LARGE);
    }
    free(fill_value);
}

/* A flush is no pause, and its memory can be used at once. */
static void test_flush_frees_memory(void **state)
{
    (void)state;
    char buf[24];
    uint8_t value[500] = {0};
    uint64_t first = 0;
    for (unsigned round = 0; round < 4; round++) {
        uint64_t n = 0;
        for (;; n++) {
            struct store_key k = fixture_key_n(buf, n);
            if (store_set(s, &k, value, sizeof(value), NULL, STORE_SET, 0, NOW) != STORE_OK) break;
        }
        if (round == 0) first = n;
        assert_true(n + n / 50 >= first);
        store_flush(s);
        assert_int_equal(store_count(s), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_overwritten, setup, teardown),
        cmocka_unit_test_setup_teardown(test_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_run_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bytes_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flush_keeps_pinned, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flush_keeps_open_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_abort_gives_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fill_on_another_core, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flush_frees_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
