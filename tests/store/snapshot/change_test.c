/*
 * A snapshot is taken while the store changes under it. Every key has its history: the versions that it had since the
 * snapshot began. What is loaded of a key is one of these; a key that was always there is there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/store/snapshot/support.h"

#define KEYS 3000u
#define NONE 0u
#define NOW SUPPORT_NOW
#define VALUE_MAX 400000u

/* A version is the seed of a value; NONE: absent. `since` of each key are the versions from the begin on. */
struct history {
    uint32_t last;
    uint32_t first; /* of since: they count up from it */
    bool absent;    /* was, at some moment */
};

static struct history keys[KEYS];
static uint32_t next_version;
static uint8_t bytes[VALUE_MAX];
static struct random dice;

static uint32_t version_len(uint32_t key, uint32_t version)
{
    uint32_t x = (version + key) * 2654435761u >> 8;
    if (x % 331 == 0) return 40000 + x % (VALUE_MAX - 40000);
    return x % 7 == 0 ? x % 9000 : x % 300;
}

static void version_bytes(uint32_t key, uint32_t version)
{
    fixture_fill(bytes, version_len(key, version), (uint64_t)version << 32 | key);
}

static void change(struct store *s, uint32_t key)
{
    char text[32];
    struct store_key k = fixture_key_n(text, key);
    struct history *h = &keys[key];
    if (random_below(&dice, 4) == 0) {
        store_delete(s, &k, NOW);
        h->last = NONE;
        h->absent = true;
        return;
    }
    uint32_t version = ++next_version;
    version_bytes(key, version);
    enum store_status status = store_set(s, &k, bytes, version_len(key, version), NULL, STORE_SET, 0, NOW);
    if (status == STORE_OK)
        h->last = version;
    else
        assert_int_equal(status, STORE_NO_MEMORY);
}

/* From now on the versions count. */
static void histories_begin(void)
{
    for (uint32_t i = 0; i < KEYS; i++) {
        keys[i].first = keys[i].last;
        keys[i].absent = keys[i].last == NONE;
    }
}

static bool value_is(const struct store *s, struct store_value v, uint32_t key, uint32_t version)
{
    uint32_t done = 0;
    if (v.len != version_len(key, version)) return false;
    version_bytes(key, version);
    do {
        if (memcmp(v.data, bytes + done, v.data_len) != 0) return false;
        done += v.data_len;
    } while (store_next_fragment(s, &v));
    return true;
}

/* The first eight bytes of a version's value tell it from the others; short ones are tried out. */
static bool one_of_its_own(const struct store *s, const struct store_value *v, uint32_t key, uint32_t from)
{
    if (keys[key].first && value_is(s, *v, key, keys[key].first)) return true;
    for (uint32_t version = from + 1; version <= next_version; version++)
        if (version_len(key, version) == v->len && value_is(s, *v, key, version)) return true;
    return false;
}

static void assert_loaded(struct store *to, uint32_t from_version)
{
    uint64_t found = 0;
    for (uint32_t i = 0; i < KEYS; i++) {
        char text[32];
        struct store_key k = fixture_key_n(text, i);
        struct store_value v;
        if (store_get(to, &k, NOW, &v) != STORE_OK) {
            assert_true(keys[i].absent);
            continue;
        }
        found++;
        assert_true(one_of_its_own(to, &v, i, from_version));
    }
    assert_int_equal(found, store_count(to));
}

/* Changes between the steps: in the first half the store grows, then it shrinks; some readers hold pins meanwhile. */
static void run(uint32_t seed, unsigned changes_a_step)
{
    struct store *s = fixture_store(48 * MIB, VALUE_MAX), *to = fixture_store(64 * MIB, VALUE_MAX);
    struct slot_map slots;
    struct taking t;
    struct snapshot_load sum;
    struct store_pin *pin = NULL;
    dice.state = seed;
    next_version = 0;
    memset(keys, 0, sizeof(keys));
    for (uint32_t i = 0; i < KEYS / 2; i++) change(s, random_below(&dice, KEYS));
    histories_begin();
    uint32_t from_version = next_version;
    slot_map_init(&slots, 1);
    taking_begin(&t, &s, 1, &slots, support_path("change"));
    for (unsigned step = 0; taking_step(&t, step % 3 == 0); step++) {
        struct store_value v;
        char text[32];
        for (unsigned i = 0; i < changes_a_step; i++) change(s, random_below(&dice, KEYS));
        struct store_key k = fixture_key_n(text, random_below(&dice, KEYS));
        if (pin) store_unpin(s, pin);
        pin = store_get(s, &k, NOW, &v) == STORE_OK ? store_pin(s, v.item) : NULL;
        store_step(s, NOW);
        if (step % 16 == 0) store_check(s);
    }
    if (pin) store_unpin(s, pin);
    taking_finish(&t);
    store_check(s);
    assert_int_equal(store_metrics(s)->pins, 0);
    assert_int_equal(support_load(&to, 1, support_path("change"), NOW, &sum), 0);
    assert_loaded(to, from_version);
    store_check(to);
    store_destroy(&s);
    store_destroy(&to);
}

static void test_changes(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 6; seed++) run(seed, seed * seed);
}

/* A flush in the middle: what had been written is there, what had not is not; no pin is left. */
static void test_flush_in_between(void **state)
{
    (void)state;
    struct store *s = fixture_store(32 * MIB, VALUE_MAX), *to = fixture_store(32 * MIB, VALUE_MAX);
    struct slot_map slots;
    struct taking t;
    struct snapshot_load sum;
    slot_map_init(&slots, 1);
    for (uint32_t i = 0; i < 100; i++) {
        char text[32];
        struct store_key k = fixture_key_n(text, i);
        fixture_fill(bytes, 100000, i);
        assert_int_equal(store_set(s, &k, bytes, 100000, NULL, STORE_SET, 0, NOW), STORE_OK);
    }
    taking_begin(&t, &s, 1, &slots, support_path("flush"));
    for (unsigned i = 0; i < 100; i++) assert_true(taking_step(&t, 3));
    store_flush(s);
    fixture_set(s, "after", "1");
    taking_finish(&t);
    fixture_settle(s, NOW, 1000);
    assert_int_equal(store_metrics(s)->pins, 0);
    store_check(s);
    assert_int_equal(support_load(&to, 1, support_path("flush"), NOW, &sum), 0);
    assert_in_range(sum.items, 10, 90);
    for (uint32_t i = 0; i < 100; i++) {
        char text[32];
        struct store_key k = fixture_key_n(text, i);
        struct store_value v;
        if (store_get(to, &k, NOW, &v) != STORE_OK) continue;
        fixture_fill(bytes, 100000, i);
        fixture_assert_value(to, v, bytes, 100000);
    }
    store_destroy(&s);
    store_destroy(&to);
}

/* Given up in the middle of long items: the pins come back. */
static void test_cancel(void **state)
{
    (void)state;
    struct store *s = fixture_store(32 * MIB, VALUE_MAX);
    struct slot_map slots;
    struct taking t;
    slot_map_init(&slots, 1);
    for (uint32_t i = 0; i < 60; i++) {
        char text[32];
        struct store_key k = fixture_key_n(text, i);
        fixture_fill(bytes, 200000, i);
        assert_int_equal(store_set(s, &k, bytes, 200000, NULL, STORE_SET, 0, NOW), STORE_OK);
    }
    for (unsigned steps = 1; steps < 40; steps += 3) {
        taking_begin(&t, &s, 1, &slots, support_path("cancel"));
        for (unsigned i = 0; i < steps; i++) taking_step(&t, 1);
        assert_true(store_metrics(s)->pins > 0);
        taking_abandon(&t);
        assert_int_equal(store_metrics(s)->pins, 0);
        store_check(s);
    }
    store_destroy(&s);
}

/* Where no pin is to be had for a long item, the snapshot waits, and goes on when one is. */
static void test_out_of_pins(void **state)
{
    (void)state;
    struct store_config config = {.memory_limit = 32 * MIB, .max_value = VALUE_MAX, .max_key = 250, .pins_max = 64};
    struct store *s = NULL;
    struct store_pin *pins[128];
    struct slot_map slots;
    struct taking t;
    struct snapshot_load sum;
    uint32_t held = 0;
    assert_int_equal(store_create(&s, &config), 0);
    slot_map_init(&slots, 1);
    for (uint32_t i = 0; i < 128; i++) {
        char text[32];
        struct store_value v;
        struct store_key k = fixture_key_n(text, i);
        fixture_fill(bytes, 100000, i);
        assert_int_equal(store_set(s, &k, bytes, i < 4 ? 100000 : 10, NULL, STORE_SET, 0, NOW), STORE_OK);
        if (i < 4) continue;
        assert_int_equal(store_get(s, &k, NOW, &v), STORE_OK);
        pins[held] = store_pin(s, v.item);
        if (pins[held]) held++;
    }
    taking_begin(&t, &s, 1, &slots, support_path("pins"));
    for (unsigned i = 0; i < 100; i++) assert_true(taking_step(&t, 3));
    while (held > 0) store_unpin(s, pins[--held]);
    taking_finish(&t);
    store_check(s);
    struct store *to = fixture_store(32 * MIB, VALUE_MAX);
    assert_int_equal(support_load(&to, 1, support_path("pins"), NOW, &sum), 0);
    assert_int_equal(sum.items, 128);
    store_destroy(&to);
    store_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_flush_in_between),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_out_of_pins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
