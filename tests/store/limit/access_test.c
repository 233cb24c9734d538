/* The last access, which only items that are asked for it keep. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/store/fixture.h"

#define NOW UINT64_C(1700000000000)

static struct store *s;

static struct store_access ask(const char *key, uint64_t now_ms, struct store_value *v)
{
    struct store_key k = fixture_key(key, strlen(key));
    struct store_access access;
    assert_int_equal(store_get_access(s, &k, now_ms, v, &access), STORE_OK);
    return access;
}

static void set(const char *key, const void *value, uint32_t len, const struct store_meta *meta, uint64_t now_ms)
{
    struct store_key k = fixture_key(key, strlen(key));
    assert_int_equal(store_set(s, &k, value, len, meta, STORE_SET, 0, now_ms), STORE_OK);
}

static void get(const char *key, uint64_t now_ms)
{
    struct store_key k = fixture_key(key, strlen(key));
    struct store_value v;
    assert_int_equal(store_get(s, &k, now_ms, &v), STORE_OK);
}

/* With every set of fields and every shape: nothing else of the item changes, and it grows once, by what is kept. */
static void test_access(void **state)
{
    (void)state;
    static const struct store_meta metas[] = {{0, 0}, {7, 0}, {0, NOW + 500000}, {7, NOW + 500001}};
    static const uint32_t lens[] = {5, 3000, 9350, 20000, 200000};
    uint8_t *bytes = malloc(200000);
    for (unsigned i = 0; i < 4; i++)
        for (unsigned j = 0; j < 5; j++) {
            struct store_value v;
            fixture_fill(bytes, lens[j], j + 1);
            s = fixture_store(8 * MIB, MIB);
            set("a", bytes, lens[j], &metas[i], NOW);
            uint64_t used = store_metrics(s)->bytes_used;
            struct store_access access = ask("a", NOW + 3000, &v);
            assert_false(access.read_before);
            fixture_assert_value(s, v, bytes, lens[j]);
            access = ask("a", NOW + 10000, &v);
            assert_true(access.known && access.read_before);
            assert_int_equal(access.idle_s, 7);
            get("a", NOW + 12000);
            access = ask("a", NOW + 15999, &v);
            assert_int_equal(access.idle_s, 3);
            fixture_assert_value(s, v, bytes, lens[j]);
            assert_int_equal(v.meta.flags, metas[i].flags);
            assert_int_equal(v.meta.expires_ms, metas[i].expires_ms);
            if (lens[j] < 9000) assert_in_range(store_metrics(s)->bytes_used, used, used + 16 + lens[j] / 16);
            store_check(s);
            set("a", bytes, lens[j], &metas[i], NOW + 20000); /* a new value has not been read */
            access = ask("a", NOW + 24000, &v);
            assert_true(access.known && !access.read_before);
            assert_int_equal(access.idle_s, 4);
            store_check(s);
            store_destroy(&s);
        }
    free(bytes);
}

static void test_access_survives_changes(void **state)
{
    (void)state;
    struct store_value v;
    struct store_key k = fixture_key("a", 1);
    s = fixture_store(8 * MIB, MIB);
    set("a", "value", 5, NULL, NOW);
    ask("a", NOW, &v);
    assert_int_equal(store_gets(s, &k, NOW + 5000, &v), STORE_OK); /* takes room for a CAS */
    uint64_t cas = v.cas;
    assert_int_equal(store_touch(s, &k, NOW + 90000, NOW + 6000), STORE_OK);
    struct store_access access = ask("a", NOW + 8000, &v);
    assert_true(access.known && access.read_before);
    assert_int_equal(access.idle_s, 2);
    assert_int_equal(v.meta.expires_ms, NOW + 90000);
    assert_int_equal(store_gets(s, &k, NOW + 9000, &v), STORE_OK);
    assert_int_equal(v.cas, cas);
    assert_int_equal(store_set(s, &k, "!", 1, NULL, STORE_APPEND, 0, NOW + 10000), STORE_OK);
    access = ask("a", NOW + 11000, &v);
    assert_true(access.known);
    assert_int_equal(access.idle_s, 1);
    fixture_assert_value(s, v, (const uint8_t *)"value!", 6);
    assert_int_equal(store_get(s, &k, NOW + 90000, &v), STORE_NOT_FOUND);
    struct store_access none;
    assert_int_equal(store_get_access(s, &k, NOW, &v, &none), STORE_NOT_FOUND);
    store_check(s);
    store_destroy(&s);
}

/* Who has not asked: the flag tells lately from never, and no item has grown. */
static void test_others_do_not_pay(void **state)
{
    (void)state;
    struct store_value v;
    s = fixture_store(8 * MIB, MIB);
    set("a", "value", 5, NULL, NOW);
    uint64_t used = store_metrics(s)->bytes_used;
    get("a", NOW);
    assert_int_equal(store_metrics(s)->bytes_used, used);
    struct store_access access = ask("a", NOW + 5000, &v);
    assert_true(access.read_before && !access.known);
    store_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_access),
        cmocka_unit_test(test_access_survives_changes),
        cmocka_unit_test(test_others_do_not_pay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
