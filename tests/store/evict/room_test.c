/* Room for a large value in a store full of small ones, made in bounded steps while it waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "store/shard.h"
#include "tests/store/fixture.h"

#define NOW UINT64_C(1000000)
#define STEPS_MOST 200000u
#define SMALL_BYTES 64u

static uint64_t evictions(const struct store *s)
{
    const struct store_metrics *m = store_metrics(s);
    return m->evicted_new + m->evicted_cold + m->evicted_page + m->evicted_class;
}

static enum store_status set_n(struct store *s, uint64_t n, uint32_t len)
{
    static uint8_t value[4096];
    char buf[24];
    struct store_key k = fixture_key_n(buf, n);
    return store_set(s, &k, value, len, NULL, STORE_SET, 0, NOW);
}

/* Small items, twice as many as fit. Returns the next number. */
static uint64_t fill(struct store *s)
{
    uint64_t n = 0;
    for (uint64_t bytes = 0; bytes < 2 * store_metrics(s)->bytes_limit; bytes += SMALL_BYTES + 32)
        assert_int_equal(set_n(s, n++, SMALL_BYTES), STORE_OK);
    assert_true(evictions(s) > 0);
    return n;
}

static struct store *full_store(uint64_t bytes, enum store_eviction eviction)
{
    struct store *s = fixture_store_evicting(bytes, (uint32_t)bytes, eviction);
    fill(s);
    return s;
}

static enum store_status reserve(struct store *s, const char *name, uint32_t len, struct store_write *w)
{
    struct store_key k = fixture_key(name, strlen(name));
    return store_reserve(s, &k, len, NULL, false, w);
}

/* A step keeps to its bounds. */
static unsigned bounded_step(struct store *s, uint64_t now_ms)
{
    const struct store_metrics *m = store_metrics(s);
    uint64_t gone = evictions(s), moved = m->moved_bytes;
    unsigned work = store_step(s, now_ms);
    assert_true(evictions(s) - gone <= 32);
    assert_true(m->moved_bytes - moved <= 4096);
    return work;
}

/* Steps until there is room; small_between: others store meanwhile. */
static unsigned wait_for_room(struct store *s, uint32_t len, unsigned small_between, struct store_write *w)
{
    unsigned steps = 0;
    uint64_t n = 1u << 30;
    for (; reserve(s, "large", len, w) != STORE_OK; steps++) {
        if (steps == STEPS_MOST) fail_msg("no room for %u bytes after %u steps", len, steps);
        bounded_step(s, NOW);
        for (unsigned i = 0; i < small_between; i++) assert_int_equal(set_n(s, n++, SMALL_BYTES), STORE_OK);
    }
    return steps;
}

static void fill_and_read(struct store *s, struct store_write *w, uint32_t len)
{
    struct store_key k = fixture_key("large", 5);
    struct store_value v;
    uint8_t *value = malloc(len);
    fixture_fill(value, len, 7);
    store_write_fill(w, value, len);
    assert_int_equal(store_commit(s, w, &k, STORE_SET, 0, NULL, NOW), STORE_OK);
    assert_int_equal(store_get(s, &k, NOW, &v), STORE_OK);
    fixture_assert_value(s, v, value, len);
    free(value);
}

/* Of any size up to seven eighths of what is beside the head; what is larger is refused at once, and costs nobody. */
static void test_any_size_finds_room(void **state)
{
    (void)state;
    const uint64_t limit = 32 * MIB;
    static const unsigned eighths[] = {1, 2, 4, 7};
    for (unsigned policy = STORE_EVICT_FIFO; policy <= STORE_EVICT_HYBRID; policy++)
        for (unsigned i = 0; i < 4; i++)
            for (unsigned between = 0; between <= 2; between += 2) {
                struct store *s = full_store(limit, (enum store_eviction)policy);
                uint64_t bytes = limit - store_metrics(s)->bytes_head;
                uint32_t len = (uint32_t)(bytes / 8 * eighths[i] - 3 * PAGE_BYTES);
                struct store_write w;
                assert_int_equal(reserve(s, "large", len, &w), STORE_NO_MEMORY);
                assert_true(store_makes_room(s, len));
                unsigned steps = wait_for_room(s, len, between, &w);
                print_message("policy %u, %u bytes of %lu, %u small writes a step: room after %u steps\n", policy, len,
                              limit, between, steps);
                fill_and_read(s, &w, len);
                store_check(s);
                store_destroy(&s);
            }
}

/* Steps with the clock at that time: whether any of them evicts. */
static bool evicts_at(struct store *s, uint64_t now_ms)
{
    uint64_t gone = evictions(s);
    for (unsigned i = 0; i < 20; i++) bounded_step(s, now_ms);
    return evictions(s) > gone;
}

static void test_too_large_is_refused_at_once(void **state)
{
    (void)state;
    struct store *s = full_store(16 * MIB, STORE_EVICT_HYBRID);
    struct store_write w;
    uint32_t len = 15 * MIB;
    assert_false(store_makes_room(s, len));
    for (unsigned i = 0; evicts_at(s, NOW); i++) assert_true(i < 10000); /* what is always kept free */
    assert_int_equal(reserve(s, "large", len, &w), STORE_NO_MEMORY);
    assert_false(evicts_at(s, NOW));
    store_destroy(&s);
    s = fixture_store_evicting(16 * MIB, 16 * MIB, STORE_EVICT_HYBRID); /* but an empty one takes it */
    assert_int_equal(reserve(s, "large", len, &w), STORE_OK);
    store_abort(s, &w);
    store_destroy(&s);
}

/* Items of many sizes until one is refused. Returns the next number. */
static uint64_t fill_to_refusal(struct store *s)
{
    uint64_t n = 0;
    while (set_n(s, n, 40 + (uint32_t)(n * 7919 % 3000)) == STORE_OK) n++;
    return n;
}

/* Without eviction too a value waits for what is free, but lies in pages in part; for nothing else. */
static void test_room_by_moves(void **state)
{
    (void)state;
    struct store *s = fixture_store(64 * MIB, 64 * MIB);
    struct store_write w;
    uint64_t count = fill_to_refusal(s);
    assert_int_equal(reserve(s, "large", 16 * MIB, &w), STORE_NO_MEMORY);
    assert_false(store_makes_room(s, 16 * MIB));
    char buf[24];
    for (uint64_t n = 0; n < count; n++) {
        struct store_key k = fixture_key_n(buf, n);
        if (n * 2654435761u >> 13 & 1) assert_int_equal(store_delete(s, &k, NOW), STORE_OK);
    }
    uint64_t items = store_count(s);
    assert_int_equal(reserve(s, "large", 60 * MIB, &w), STORE_NO_MEMORY);
    assert_false(store_makes_room(s, 60 * MIB));
    assert_int_equal(reserve(s, "large", 24 * MIB, &w), STORE_NO_MEMORY);
    unsigned steps = 0;
    for (; reserve(s, "large", 24 * MIB, &w) != STORE_OK; steps++) {
        assert_true(store_makes_room(s, 24 * MIB));
        assert_true(steps < STEPS_MOST);
        bounded_step(s, NOW);
    }
    print_message("24 MiB by moves alone: room after %u steps\n", steps);
    assert_true(steps > 100);
    fill_and_read(s, &w, 24 * MIB);
    assert_int_equal(store_count(s), items + 1);
    store_check(s);
    /* What is left cannot be gathered: whoever asks is told so after some steps, not for ever. */
    for (steps = 0; reserve(s, "large", 2 * MIB, &w) != STORE_OK && store_makes_room(s, 2 * MIB); steps++)
        bounded_step(s, NOW);
    assert_true(steps < STEPS_MOST / 4);
    assert_int_equal(evictions(s), 0);
    store_destroy(&s);
}

/* Nobody asks again: two seconds later nothing is evicted any more for its sake. */
static void test_room_fades(void **state)
{
    (void)state;
    struct store *s = full_store(64 * MIB, STORE_EVICT_HYBRID);
    struct store_write w;
    for (unsigned i = 0; evicts_at(s, NOW); i++) assert_true(i < 10000); /* what is always kept free */
    assert_int_equal(reserve(s, "large", 32 * MIB, &w), STORE_NO_MEMORY);
    assert_true(evicts_at(s, NOW));
    assert_true(evicts_at(s, NOW + 1999));
    uint64_t items = store_count(s);
    for (unsigned i = 0; evicts_at(s, NOW + 2000); i++) assert_true(i < 10000); /* for the next large one: a 32nd */
    assert_true(store_count(s) > items / 10 * 9);
    assert_int_equal(reserve(s, "large", 32 * MIB, &w), STORE_NO_MEMORY);
    assert_true(evicts_at(s, NOW + 3999));
    for (unsigned i = 0; reserve(s, "large", 32 * MIB, &w) != STORE_OK; i++) {
        assert_true(i < STEPS_MOST);
        bounded_step(s, NOW + 3999);
    }
    store_abort(s, &w);
    store_destroy(&s);
}

/* One much smaller than the last large one, long after it: it does not fade at once. And what comes meanwhile and is
 * smaller still does not end its wait. */
static void test_smaller_than_the_last(void **state)
{
    (void)state;
    struct store *s = full_store(64 * MIB, STORE_EVICT_HYBRID);
    struct store_write w;
    wait_for_room(s, 24 * MIB, 0, &w);
    store_abort(s, &w);
    fill(s);
    store_step(s, NOW + 10000);
    assert_int_equal(reserve(s, "large", 8 * MIB, &w), STORE_NO_MEMORY);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(reserve(s, "other", 40000, &w), STORE_OK);
        store_abort(s, &w);
        assert_true(evicts_at(s, NOW + 10000));
    }
    assert_true(evicts_at(s, NOW + 11999));
    store_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_size_finds_room),
        cmocka_unit_test(test_too_large_is_refused_at_once),
        cmocka_unit_test(test_room_by_moves),
        cmocka_unit_test(test_room_fades),
        cmocka_unit_test(test_smaller_than_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
