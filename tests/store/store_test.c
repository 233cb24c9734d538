/* The operations one by one: conditions, what stands beside a value, sizes, limits. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/store/fixture.h"

#define NOW 1000000u

static struct store *s;

static int setup(void **state)
{
    (void)state;
    s = fixture_store(16 * MIB, MIB);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    store_check(s);
    store_destroy(&s);
    assert_null(s);
    return 0;
}

static enum store_status write_mode(const char *key, const char *value, enum store_mode mode, uint64_t cas)
{
    struct store_key k = fixture_key(key, strlen(key));
    return store_set(s, &k, value, (uint32_t)strlen(value), NULL, mode, cas, NOW);
}

static void test_modes(void **state)
{
    (void)state;
    assert_int_equal(write_mode("a", "1", STORE_REPLACE, 0), STORE_NOT_STORED);
    assert_int_equal(write_mode("a", "1", STORE_APPEND, 0), STORE_NOT_STORED);
    assert_int_equal(write_mode("a", "1", STORE_PREPEND, 0), STORE_NOT_STORED);
    assert_int_equal(write_mode("a", "1", STORE_CAS, 1), STORE_NOT_FOUND);
    fixture_assert_absent(s, "a");
    assert_int_equal(write_mode("a", "one", STORE_ADD, 0), STORE_OK);
    assert_int_equal(write_mode("a", "two", STORE_ADD, 0), STORE_NOT_STORED);
    fixture_assert_get(s, "a", "one");
    assert_int_equal(write_mode("a", ">", STORE_APPEND, 0), STORE_OK);
    assert_int_equal(write_mode("a", "<", STORE_PREPEND, 0), STORE_OK);
    fixture_assert_get(s, "a", "<one>");
    assert_int_equal(write_mode("a", "other", STORE_REPLACE, 0), STORE_OK);
    fixture_assert_get(s, "a", "other");
    assert_int_equal(store_count(s), 1);
    struct store_key k = fixture_key("a", 1);
    assert_int_equal(store_delete(s, &k, NOW), STORE_OK);
    assert_int_equal(store_delete(s, &k, NOW), STORE_NOT_FOUND);
    fixture_assert_absent(s, "a");
}

static uint64_t cas_of(const char *key)
{
    struct store_key k = fixture_key(key, strlen(key));
    struct store_value v;
    assert_int_equal(store_gets(s, &k, NOW, &v), STORE_OK);
    return v.cas;
}

static void test_cas(void **state)
{
    (void)state;
    fixture_set(s, "a", "one");
    assert_int_equal(write_mode("a", "two", STORE_CAS, 0), STORE_EXISTS);
    uint64_t cas = cas_of("a");
    assert_int_not_equal(cas, 0);
    assert_int_equal(cas_of("a"), cas);
    fixture_assert_get(s, "a", "one");
    assert_int_equal(write_mode("a", "two", STORE_CAS, cas), STORE_OK);
    assert_int_equal(write_mode("a", "six", STORE_CAS, cas), STORE_EXISTS);
    fixture_assert_get(s, "a", "two");
    uint64_t next = cas_of("a");
    assert_true(next != cas);
    assert_int_equal(write_mode("a", "ten", STORE_SET, 0), STORE_OK); /* same size: in place */
    assert_int_equal(write_mode("a", "six", STORE_CAS, next), STORE_EXISTS);
    next = cas_of("a");
    struct store_key k = fixture_key("a", 1);
    assert_int_equal(store_touch(s, &k, NOW + 5000, NOW), STORE_OK); /* a touch is no change */
    assert_int_equal(cas_of("a"), next);
    assert_int_equal(store_delete(s, &k, NOW), STORE_OK);
    fixture_set(s, "a", "new");
    assert_int_equal(write_mode("a", "six", STORE_CAS, next), STORE_EXISTS);
}

static void set_meta(const char *key, uint32_t flags, uint64_t expires_ms)
{
    struct store_key k = fixture_key(key, strlen(key));
    struct store_meta meta = {.flags = flags, .expires_ms = expires_ms};
    assert_int_equal(store_set(s, &k, "value", 5, &meta, STORE_SET, 0, NOW), STORE_OK);
}

static void assert_meta(const char *key, uint64_t now_ms, uint32_t flags, uint64_t expires_ms)
{
    struct store_key k = fixture_key(key, strlen(key));
    struct store_value v;
    assert_int_equal(store_get(s, &k, now_ms, &v), STORE_OK);
    assert_int_equal(v.meta.flags, flags);
    assert_int_equal(v.meta.expires_ms, expires_ms);
    fixture_assert_value(s, v, (const uint8_t *)"value", 5);
}

static void test_meta(void **state)
{
    (void)state;
    struct store_key k = fixture_key("a", 1);
    static const uint64_t expiries[] = {0, NOW + 7000, NOW + 7001, NOW + 1, UINT64_C(1) << 45};
    for (unsigned i = 0; i < 5; i++)
        for (uint32_t flags = 0; flags < 3; flags++) {
            set_meta("a", flags << 20, expiries[i]);
            assert_meta("a", NOW, flags << 20, expiries[i]);
            for (unsigned to = 0; to < 5; to++) {
                assert_int_equal(store_touch(s, &k, expiries[to], NOW), STORE_OK);
                assert_meta("a", NOW, flags << 20, expiries[to]);
            }
        }
    set_meta("a", 7, NOW + 500);
    assert_meta("a", NOW + 499, 7, NOW + 500);
    struct store_value v;
    assert_int_equal(store_get(s, &k, NOW + 500, &v), STORE_NOT_FOUND);
    assert_int_equal(store_count(s), 0);
    set_meta("a", 0, 0);
    set_meta("a", 0, NOW - 1); /* stored, and gone at once */
    assert_int_equal(store_count(s), 0);
    set_meta("a", 0, 0);
    assert_int_equal(store_touch(s, &k, NOW, NOW), STORE_OK);
    assert_int_equal(store_touch(s, &k, 0, NOW), STORE_NOT_FOUND);
    assert_int_equal(store_metrics(s)->bytes_used, 0);
}

/* An item pays only for what it has. */
static void test_item_is_tight(void **state)
{
    (void)state;
    static const struct {
        struct store_meta meta;
        uint32_t bytes; /* 4 of header, 16 of key, 28 of value, fields */
    } rows[] = {{{0, 0}, 48}, {{0, 5000000}, 56}, {{9, 5000000}, 56}, {{9, 5000001}, 64}, {{9, 0}, 56}};
    struct store_key k = fixture_key("0123456789abcdef", 16);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(store_set(s, &k, "0123456789012345678901234567", 28, &rows[i].meta, STORE_SET, 0, NOW),
                         STORE_OK);
        assert_int_equal(store_metrics(s)->bytes_used, rows[i].bytes);
        assert_int_equal(store_metrics(s)->bytes_payload, 44);
    }
}

/* Every size near a border, written in uneven parts and read back whole. */
static void roundtrip(uint32_t key_len, uint32_t len, uint32_t part)
{
    uint8_t *key = malloc(key_len), *value = malloc(len + 1);
    fixture_fill(key, key_len, key_len + 1);
    fixture_fill(value, len, len);
    struct store_key k = fixture_key(key, key_len);
    struct store_write w;
    struct store_value v;
    struct store_meta meta = {.flags = len, .expires_ms = NOW + 77777};
    assert_int_equal(store_reserve(s, &k, len, &(struct store_meta){0}, len & 1, &w), STORE_OK);
    for (uint32_t done = 0; done < len; done += part)
        store_write_fill(&w, value + done, part < len - done ? part : len - done);
    assert_int_equal(w.filled, len);
    assert_int_equal(store_get(s, &k, NOW, &v), STORE_NOT_FOUND);
    assert_int_equal(store_commit(s, &w, &k, STORE_SET, 0, &meta, NOW), STORE_OK);
    assert_int_equal(store_get(s, &k, NOW, &v), STORE_OK);
    fixture_assert_value(s, v, value, len);
    assert_int_equal(v.meta.flags, len);
    assert_int_equal(v.meta.expires_ms, NOW + 77777);
    store_check(s);
    assert_int_equal(store_delete(s, &k, NOW), STORE_OK);
    assert_int_equal(store_metrics(s)->bytes_used, 0);
    free(key);
    free(value);
}

static void test_sizes(void **state)
{
    (void)state;
    static const uint32_t lens[] = {0,     1,     7,     500,   4096,  9300,  9340,   9360,   9400,
                                    18720, 40000, 57300, 57344, 65480, 65536, 131072, 300001, MIB};
    static const uint32_t keys[] = {1, 16, 255, 256, 300, 9340, 9400, 57400, 65500, 65535};
    for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
        for (unsigned j = 0; j < sizeof(keys) / sizeof(keys[0]); j++) roundtrip(keys[j], lens[i], 1 + lens[i] / 7);
    for (uint32_t len = 65400; len < 65560; len++) roundtrip(16, len, 30000);
    for (uint32_t len = 9290; len < 9370; len++) roundtrip(20, len, 10000);
}

static void test_too_large(void **state)
{
    (void)state;
    uint8_t *bytes = calloc(1, MIB + 1);
    struct store_key k = fixture_key("a", 1), long_key = fixture_key(bytes, 65536);
    struct store_write w;
    assert_int_equal(store_set(s, &k, bytes, MIB + 1, NULL, STORE_SET, 0, NOW), STORE_TOO_LARGE);
    assert_int_equal(store_reserve(s, &k, MIB + 1, NULL, false, &w), STORE_TOO_LARGE);
    assert_int_equal(store_set(s, &long_key, bytes, 1, NULL, STORE_SET, 0, NOW), STORE_TOO_LARGE);
    assert_int_equal(store_set(s, &k, bytes, MIB, NULL, STORE_SET, 0, NOW), STORE_OK);
    assert_int_equal(store_set(s, &k, bytes, 1, NULL, STORE_APPEND, 0, NOW), STORE_TOO_LARGE);
    struct store_value v;
    assert_int_equal(store_get(s, &k, NOW, &v), STORE_OK);
    assert_int_equal(v.len, MIB);
    free(bytes);
}

/* The limit holds; what does not fit is refused, and what stood there stands. */
static void test_byte_limit(void **state)
{
    (void)state;
    char buf[24];
    uint8_t value[3000], bigger[9000];
    uint64_t n = 0;
    for (;; n++) {
        struct store_key k = fixture_key_n(buf, n);
        fixture_fill(value, sizeof(value), n);
        enum store_status status = store_set(s, &k, value, sizeof(value), NULL, STORE_SET, 0, NOW);
        if (status == STORE_NO_MEMORY) break;
        assert_int_equal(status, STORE_OK);
    }
    const struct store_metrics *m = store_metrics(s);
    assert_true(m->bytes_payload > m->bytes_limit / 100 * 93);
    assert_true(m->bytes_used + m->bytes_index <= m->bytes_limit);
    assert_int_equal(store_count(s), n);
    memset(bigger, 1, sizeof(bigger));
    for (uint64_t i = 0; i < n; i++) {
        struct store_key k = fixture_key_n(buf, i);
        struct store_value v;
        assert_int_equal(store_set(s, &k, bigger, sizeof(bigger), NULL, STORE_SET, 0, NOW), STORE_NO_MEMORY);
        fixture_fill(value, sizeof(value), i);
        assert_int_equal(store_get(s, &k, NOW, &v), STORE_OK);
        fixture_assert_value(s, v, value, sizeof(value));
    }
    assert_true(m->refused >= n);
    for (uint64_t i = 0; i < n; i++) { /* the same size and smaller ones go in place */
        struct store_key k = fixture_key_n(buf, i);
        assert_int_equal(store_set(s, &k, bigger, i & 1 ? 3000 : 100, NULL, STORE_SET, 0, NOW), STORE_OK);
    }
    assert_int_equal(store_count(s), n);
}

static void test_all_memory_comes_back(void **state)
{
    (void)state;
    char buf[24];
    uint8_t value[2000] = {0};
    const struct store_metrics *m = store_metrics(s);
    uint64_t free_before = m->bytes_free;
    for (unsigned round = 0; round < 3; round++) {
        uint64_t n = 0;
        struct random r = {round + 1};
        for (;; n++) {
            struct store_key k = fixture_key_n(buf, n);
            if (store_set(s, &k, value, random_below(&r, 20 << round * 3), NULL, STORE_SET, 0, NOW) != STORE_OK) break;
        }
        assert_true(n > 1000);
        store_check(s);
        for (uint64_t i = 0; i < n; i++) {
            struct store_key k = fixture_key_n(buf, i);
            assert_int_equal(store_delete(s, &k, NOW), STORE_OK);
        }
        fixture_settle(s, NOW, 200000);
        assert_int_equal(m->bytes_used, 0);
        assert_int_equal(m->bytes_payload, 0);
        assert_int_equal(m->bytes_free, free_before);
    }
}

static void test_region(void **state)
{
    (void)state;
    uint64_t touched = 0;
    struct store_config config = {.memory_limit = 8 * MIB, .max_value = 4 * MIB, .max_key = 250, .touched = &touched};
    struct store *other = NULL;
    void *base;
    size_t bytes, page_bytes;
    assert_int_equal(store_create(&other, &config), 0);
    store_region(other, &base, &bytes, &page_bytes);
    assert_int_equal(bytes, 8 * MIB);
    assert_int_equal(page_bytes, 4096);
    assert_int_equal(touched, bytes);
    uint8_t *value = calloc(1, 4 * MIB);
    struct store_key k = fixture_key("a", 1);
    struct store_value v;
    assert_int_equal(store_set(other, &k, value, 4 * MIB, NULL, STORE_SET, 0, NOW), STORE_OK);
    assert_int_equal(store_get(other, &k, NOW, &v), STORE_OK);
    do assert_true(v.data >= (uint8_t *)base && v.data + v.data_len <= (uint8_t *)base + bytes);
    while (store_next_fragment(other, &v));
    free(value);
    store_destroy(&other);
    config.memory_limit = 1000;
    assert_int_equal(store_create(&other, &config), -EINVAL);
    config.memory_limit = UINT64_C(64) << 30;
    assert_int_equal(store_create(&other, &config), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_modes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cas, setup, teardown),
        cmocka_unit_test_setup_teardown(test_meta, setup, teardown),
        cmocka_unit_test_setup_teardown(test_item_is_tight, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_large, setup, teardown),
        cmocka_unit_test_setup_teardown(test_byte_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_all_memory_comes_back, setup, teardown),
        cmocka_unit_test(test_region),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
