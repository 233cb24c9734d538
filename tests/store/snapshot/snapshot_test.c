/* What is taken is what is loaded: sizes, fields, expiry, CAS, into any number of shards. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/store/snapshot/support.h"

#define NOW SUPPORT_NOW
#define ITEMS 400u
#define VALUE_MAX (3u * MIB + 17u)

static uint8_t *value_bytes, *key_bytes;

/* Item n of the test: every shape, around every border. */
static const uint32_t value_lens[] = {0,      1,      7,     100,    300,    9000,    9400,          32000,
                                      32768,  33000,  65536, 200000, 262000, 262096,  262097,        262144,
                                      262145, 524192, 1,     2,      70000,  1 << 20, 3 * MIB + 17u, 5};
static const uint32_t key_lens[] = {1 + 16, 16, 250, 255, 256, 300, 16, 9300, 16, 65535, 16};
#define COUNT(a) ((uint32_t)(sizeof(a) / sizeof((a)[0])))

static struct store_key item_key(uint32_t n)
{
    uint32_t len = n < ITEMS / 2 ? key_lens[n % COUNT(key_lens)] : 16;
    fixture_fill(key_bytes, len, n + 1);
    memcpy(key_bytes, &n, sizeof(n));
    return fixture_key(key_bytes, len);
}

static uint32_t item_len(uint32_t n)
{
    return n < ITEMS / 8 ? value_lens[n % COUNT(value_lens)] : n % 700;
}

static struct store_meta item_meta(uint32_t n)
{
    static const uint64_t expiries[] = {0, NOW + 5000, 0, NOW + 77777, NOW + 100};
    return (struct store_meta){.flags = n % 3 ? 0 : n * 0x01010101u, .expires_ms = expiries[n % 5]};
}

static struct store *shard_of(struct store **stores, unsigned shards, const struct store_key *key)
{
    struct slot_map slots;
    slot_map_init(&slots, shards);
    return stores[slots.owner[slot_of_key(key->data, key->len)]];
}

static void stores_create(struct store **stores, unsigned shards)
{
    for (unsigned i = 0; i < shards; i++) stores[i] = fixture_store(64 * MIB, VALUE_MAX);
}

static void stores_destroy(struct store **stores, unsigned shards)
{
    for (unsigned i = 0; i < shards; i++) {
        store_check(stores[i]);
        store_destroy(&stores[i]);
    }
}

static void stores_fill(struct store **stores, unsigned shards, uint64_t *cas)
{
    for (uint32_t n = 0; n < ITEMS; n++) {
        struct store_key k = item_key(n);
        struct store *s = shard_of(stores, shards, &k);
        struct store_meta meta = item_meta(n);
        struct store_value v;
        fixture_fill(value_bytes, item_len(n), n);
        assert_int_equal(store_set(s, &k, value_bytes, item_len(n), &meta, STORE_SET, 0, NOW), STORE_OK);
        cas[n] = 0;
        if (n % 4) continue;
        assert_int_equal(store_gets(s, &k, NOW, &v), STORE_OK);
        cas[n] = v.cas;
    }
}

static void assert_item(struct store **stores, unsigned shards, uint32_t n, uint64_t now_ms, uint64_t cas)
{
    struct store_key k = item_key(n);
    struct store *s = shard_of(stores, shards, &k);
    struct store_meta meta = item_meta(n);
    struct store_value v;
    bool expired = meta.expires_ms && meta.expires_ms <= now_ms;
    assert_int_equal(store_get(s, &k, now_ms, &v), expired ? STORE_NOT_FOUND : STORE_OK);
    if (expired) return;
    fixture_fill(value_bytes, item_len(n), n);
    fixture_assert_value(s, v, value_bytes, item_len(n));
    assert_int_equal(v.meta.flags, meta.flags);
    assert_int_equal(v.meta.expires_ms, meta.expires_ms);
    if (!cas) return;
    assert_int_equal(store_gets(s, &k, now_ms, &v), STORE_OK);
    assert_int_equal(v.cas, cas);
}

static void test_round_trip(void **state)
{
    (void)state;
    static const unsigned shards[][2] = {{1, 1}, {2, 2}, {4, 3}, {3, 8}, {1, 5}, {8, 1}};
    for (unsigned i = 0; i < COUNT(shards); i++) {
        struct store *from[SUPPORT_SHARDS], *to[SUPPORT_SHARDS];
        uint64_t cas[ITEMS], now_ms = i % 2 ? NOW : NOW + 1000;
        unsigned had = shards[i][0], has = shards[i][1];
        stores_create(from, had);
        stores_fill(from, had, cas);
        support_take(from, had, support_path("round"));
        stores_destroy(from, had);

        struct snapshot_load sum;
        stores_create(to, has);
        assert_int_equal(support_load(to, has, support_path("round"), now_ms, &sum), 0);
        assert_int_equal(sum.expired, i % 2 ? 0 : ITEMS / 5);
        assert_int_equal(sum.items + sum.expired, ITEMS);
        assert_int_equal(sum.no_memory + sum.too_large, 0);
        for (uint32_t n = 0; n < ITEMS; n++) assert_item(to, has, n, now_ms, cas[n]);
        stores_destroy(to, has);
    }
}

/* A CAS that somebody may hold of an item that is no more is not given again. */
static void test_cas_goes_on_above(void **state)
{
    (void)state;
    struct store *from = fixture_store(16 * MIB, MIB), *to = fixture_store(16 * MIB, MIB);
    struct store_key a = fixture_key("a", 1), b = fixture_key("b", 1);
    struct store_value v;
    struct snapshot_load sum;
    fixture_set(from, "a", "1");
    fixture_set(from, "b", "1");
    assert_int_equal(store_gets(from, &a, NOW, &v), STORE_OK);
    uint64_t kept = v.cas;
    assert_int_equal(store_gets(from, &b, NOW, &v), STORE_OK);
    uint64_t given = v.cas;
    assert_int_equal(store_delete(from, &b, NOW), STORE_OK);
    support_take(&from, 1, support_path("cas"));
    assert_int_equal(support_load(&to, 1, support_path("cas"), NOW, &sum), 0);
    fixture_set(to, "b", "2");
    assert_int_equal(store_gets(to, &b, NOW, &v), STORE_OK);
    assert_true(v.cas > given);
    assert_int_equal(store_set(to, &a, "2", 1, NULL, STORE_CAS, kept, NOW), STORE_OK);
    store_destroy(&from);
    store_destroy(&to);
}

static void test_empty(void **state)
{
    (void)state;
    struct store *s[2] = {fixture_store(16 * MIB, MIB), fixture_store(16 * MIB, MIB)};
    struct snapshot_load sum;
    support_take(s, 2, support_path("empty"));
    assert_int_equal(support_load(s, 1, support_path("empty"), NOW, &sum), 0);
    assert_int_equal(sum.items, 0);
    assert_int_equal(support_load(s, 1, support_path("nothing-there"), NOW, &sum), -ENOENT);
    stores_destroy(s, 2);
}

/* What is given up, or ends in the middle, leaves the snapshot before it alone. */
static void test_the_last_one_stays(void **state)
{
    (void)state;
    struct store *s = fixture_store(16 * MIB, MIB);
    struct slot_map slots;
    struct taking t;
    struct snapshot_load sum;
    size_t before, after;
    slot_map_init(&slots, 1);
    fixture_set(s, "a", "1");
    support_take(&s, 1, support_path("last"));
    uint8_t *first = support_read_file(support_path("last"), &before);
    fixture_set(s, "b", "2");
    taking_begin(&t, &s, 1, &slots, support_path("last"));
    assert_int_equal(access(support_path("last.tmp"), F_OK), 0);
    taking_abandon(&t);
    assert_int_not_equal(access(support_path("last.tmp"), F_OK), 0);
    support_write_file(support_path("last.tmp"), first, 20); /* of a process that was killed */
    uint8_t *still = support_read_file(support_path("last"), &after);
    assert_int_equal(before, after);
    assert_memory_equal(first, still, before);
    free(first);
    free(still);
    support_take(&s, 1, support_path("last"));
    struct store *to = fixture_store(16 * MIB, MIB);
    assert_int_equal(support_load(&to, 1, support_path("last"), NOW, &sum), 0);
    assert_int_equal(sum.items, 2);
    store_destroy(&to);
    stores_destroy(&s, 1);
}

static void test_it_does_not_fit(void **state)
{
    (void)state;
    struct store *from = fixture_store(64 * MIB, VALUE_MAX), *to = fixture_store(2 * MIB, 100000);
    char text[32];
    for (uint32_t n = 0; n < 2000; n++) {
        struct store_key k = fixture_key_n(text, n);
        fixture_fill(value_bytes, 4000, n);
        assert_int_equal(store_set(from, &k, value_bytes, n == 7 ? 200000 : 4000, NULL, STORE_SET, 0, NOW), STORE_OK);
    }
    struct snapshot_load sum;
    support_take(&from, 1, support_path("large"));
    assert_int_equal(support_load(&to, 1, support_path("large"), NOW, &sum), 0);
    assert_int_equal(sum.too_large, 1);
    assert_true(sum.items == store_count(to) || sum.no_memory == 0);
    assert_int_equal(sum.items + sum.no_memory + sum.too_large, 2000);
    stores_destroy(&from, 1);
    stores_destroy(&to, 1);
}

static int setup(void **state)
{
    (void)state;
    value_bytes = malloc(VALUE_MAX);
    key_bytes = malloc(SNAPSHOT_KEY_MAX);
    return value_bytes && key_bytes ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    free(value_bytes);
    free(key_bytes);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),      cmocka_unit_test(test_cas_goes_on_above),
        cmocka_unit_test(test_empty),           cmocka_unit_test(test_the_last_one_stays),
        cmocka_unit_test(test_it_does_not_fit),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
