/* Eviction: what goes and what stays, the bounds of an operation's work, memory for any size while there is any to
 * evict. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/store/fixture.h"

#define FIFO_PARTS 10u /* into so many and more a fifo divides what it has by age */
#define NOW 1000000u

static uint8_t value[2 * MIB];

static struct store *evicting(uint64_t memory_limit, enum store_eviction eviction)
{
    struct store *s = NULL;
    struct store_config config = {
        .memory_limit = memory_limit, .max_value = MIB, .max_key = 65535, .eviction = eviction};
    assert_int_equal(store_create(&s, &config), 0);
    return s;
}

static uint64_t evictions(const struct store *s)
{
    const struct store_metrics *m = store_metrics(s);
    return m->evicted_new + m->evicted_cold + m->evicted_page + m->evicted_class;
}

static enum store_status set_n(struct store *s, uint64_t n, uint32_t len)
{
    char buf[24];
    struct store_key k = fixture_key_n(buf, n);
    fixture_fill(value, len < 16 ? len : 16, n);
    return store_set(s, &k, value, len, NULL, STORE_SET, 0, NOW);
}

static bool has_n(struct store *s, uint64_t n)
{
    char buf[24];
    uint8_t start[16];
    struct store_key k = fixture_key_n(buf, n);
    struct store_value v;
    if (store_get(s, &k, NOW, &v) != STORE_OK) return false;
    fixture_fill(start, v.len < 16 ? v.len : 16, n);
    assert_memory_equal(v.data, start, v.len < 16 ? v.len : 16);
    return true;
}

/* A write, and that it kept to its bounds: what is larger itself may have as much more moved for it. */
static enum store_status bounded_set(struct store *s, uint64_t n, uint32_t len)
{
    const struct store_metrics *m = store_metrics(s);
    uint64_t gone = evictions(s), moved = m->moved_bytes;
    enum store_status status = set_n(s, n, len);
    assert_true(evictions(s) - gone <= 32);
    assert_true(m->moved_bytes - moved <= 4096 + (len > 4000 ? len + 100 : 0));
    return status;
}

static void test_none_refuses(void **state)
{
    (void)state;
    struct store *s = evicting(8 * MIB, STORE_EVICT_NONE);
    uint64_t n = 0;
    while (bounded_set(s, n, 500) == STORE_OK) n++;
    for (uint64_t i = 0; i < n; i++) assert_true(has_n(s, i));
    assert_int_equal(evictions(s), 0);
    assert_int_equal(store_metrics(s)->bytes_eviction, 0);
    store_check(s);
    store_destroy(&s);
}

/* Of items that came in this order, and were not deleted, the oldest have gone; but for what memory is divided into,
 * and what went for another reason. */
static void assert_order(struct store *s, uint64_t first, uint64_t end)
{
    uint64_t count = 0, part = store_count(s) / FIFO_PARTS, missing = 0, late = 0;
    for (uint64_t n = first; n < end; n++) count += has_n(s, n);
    uint64_t oldest = end - count;
    for (uint64_t n = first; n + part < oldest; n++) late += has_n(s, n);
    assert_true(late < count / 50); /* those at the end of long chains */
    for (uint64_t n = oldest + part; n < end; n++) missing += !has_n(s, n);
    assert_true(missing <= store_metrics(s)->evicted_page + store_metrics(s)->evicted_class && missing < count / 20);
}

/* First in, first out, however often it is read; what is deleted and stored again is new. */
static void test_fifo(void **state)
{
    (void)state;
    struct store *s = evicting(8 * MIB, STORE_EVICT_FIFO);
    for (uint64_t n = 0; n < 60000; n++) {
        assert_int_equal(bounded_set(s, n, 300), STORE_OK);
        has_n(s, n / 2);
    }
    assert_true(store_count(s) > 15000);
    assert_int_equal(evictions(s), 60000 - store_count(s));
    assert_order(s, 0, 60000);
    store_check(s);
    for (uint64_t round = 0; round < 20; round++)
        for (uint64_t n = 59000; n < 60000; n++) { /* stale entries come and go */
            char buf[24];
            struct store_key k = fixture_key_n(buf, n);
            assert_int_equal(store_delete(s, &k, NOW), STORE_OK);
            assert_int_equal(bounded_set(s, n, 300), STORE_OK);
        }
    store_check(s);
    assert_true(store_metrics(s)->bytes_eviction <= 4 * 65536);
    for (uint64_t n = 60000; n < 75000; n++) assert_int_equal(bounded_set(s, n, 300), STORE_OK);
    store_check(s);
    store_destroy(&s);
}

static void delete_n(struct store *s, uint64_t n)
{
    char buf[24];
    struct store_key k = fixture_key_n(buf, n);
    assert_int_equal(store_delete(s, &k, NOW), STORE_OK);
}

/* The labels of age go round many times while nothing is evicted, the index grows and shrinks meanwhile; then the order
 * is that of the last turnover. */
static void test_fifo_after_deletes(void **state)
{
    (void)state;
    struct store *s = evicting(8 * MIB, STORE_EVICT_FIFO);
    uint64_t n = 0, first = 0;
    for (unsigned round = 0; round < 8; round++) {
        for (uint64_t end = n + 30000; n < end; n++) {
            assert_int_equal(bounded_set(s, n, 300), STORE_OK);
            if (n - first >= 15000) delete_n(s, first++);
        }
        if (round % 2)
            for (; n - first > 100; first++) delete_n(s, first);
        store_check(s);
    }
    assert_int_equal(evictions(s), 0);
    for (uint64_t end = n + 15000; n < end; n++) assert_int_equal(bounded_set(s, n, 300), STORE_OK);
    for (uint64_t end = n + 15000; n < end; n++) assert_int_equal(bounded_set(s, n, 300), STORE_OK);
    assert_true(evictions(s) > 5000);
    assert_order(s, first, n);
    store_check(s);
    store_destroy(&s);
}

/* Items that are read outlive any number of items that are not; who comes back soon after its eviction stays longer. */
static void test_hybrid_keeps_what_is_read(void **state)
{
    (void)state;
    struct store *s = evicting(8 * MIB, STORE_EVICT_HYBRID);
    for (uint64_t n = 0; n < 5000; n++) assert_int_equal(set_n(s, n, 300), STORE_OK);
    for (uint64_t n = 5000; n < 200000; n++) {
        assert_int_equal(bounded_set(s, n, 300), STORE_OK);
        assert_true(has_n(s, n % 5000));
    }
    assert_true(evictions(s) > 150000);
    assert_true(store_metrics(s)->evicted_new > evictions(s) / 10 * 9);
    store_check(s);
    uint64_t ghosts = store_metrics(s)->ghost_hits;
    for (uint64_t n = 196000; n < 200000; n++) /* of these many went a moment ago */
        if (!has_n(s, n)) assert_int_equal(bounded_set(s, n, 300), STORE_OK);
    assert_true(store_metrics(s)->ghost_hits > ghosts);
    store_check(s);
    store_destroy(&s);
}

static void test_ghost_is_remembered(void **state)
{
    (void)state;
    struct store *s = evicting(8 * MIB, STORE_EVICT_HYBRID);
    uint64_t n = 0;
    for (; n < 100000; n++) assert_int_equal(set_n(s, n, 300), STORE_OK);
    uint64_t gone = 0, before = store_metrics(s)->ghost_hits;
    for (uint64_t i = n - 1; i > n / 2 && !gone; i--) { /* the youngest that went as new */
        if (has_n(s, i)) continue;
        assert_int_equal(set_n(s, i, 300), STORE_OK);
        if (store_metrics(s)->ghost_hits > before) gone = i;
    }
    assert_true(gone > 0);
    for (uint64_t i = n; i < n + 4000; i++) assert_int_equal(set_n(s, i, 300), STORE_OK);
    assert_true(has_n(s, gone)); /* a new item would have left the ring by now, unread */
    store_destroy(&s);
}

/* Nothing is evicted while there is room. */
static void test_nothing_goes_while_there_is_room(void **state)
{
    (void)state;
    struct store *s = evicting(32 * MIB, STORE_EVICT_HYBRID);
    const struct store_metrics *m = store_metrics(s);
    uint64_t n = 0;
    for (; evictions(s) == 0; n++) assert_int_equal(set_n(s, n, 1000), STORE_OK);
    assert_true(m->bytes_payload > m->bytes_limit / 100 * 90);
    for (uint64_t i = 0; i < 100000; i++) assert_int_equal(set_n(s, i, 1000), STORE_OK);
    assert_true(m->bytes_payload > m->bytes_limit / 100 * 90);
    assert_true(m->bytes_used + m->bytes_index + m->bytes_eviction + m->bytes_free <= m->bytes_limit);
    store_check(s);
    store_destroy(&s);
}

/* One class's memory serves another's need: no write is refused while there is something to evict. */
static void test_sizes_shift(void **state)
{
    (void)state;
    static const struct {
        uint32_t least, most, count;
    } shifts[] = {{84, 276, 250000},   {300, 1200, 60000}, {20, 60, 700000},   {200, 900, 80000},
                  {1000, 3000, 25000}, {84, 276, 250000},  {400, 401, 100000}, {2000, 9000, 12000}};
    for (unsigned policy = STORE_EVICT_FIFO; policy <= STORE_EVICT_HYBRID; policy++) {
        struct store *s = evicting(32 * MIB, (enum store_eviction)policy);
        const struct store_metrics *m = store_metrics(s);
        struct random r = {policy};
        uint64_t n = 0;
        unsigned count = policy == STORE_EVICT_FIFO ? sizeof(shifts) / sizeof(shifts[0]) : 4;
        for (unsigned i = 0; i < count; i++) {
            for (uint32_t j = 0; j < shifts[i].count; j++) {
                uint32_t len = shifts[i].least + random_below(&r, shifts[i].most - shifts[i].least + 1);
                assert_int_equal(bounded_set(s, n++, len - 16), STORE_OK);
                if (random_below(&r, 4) == 0) has_n(s, n - 1 - random_below(&r, n < 20000 ? (uint32_t)n : 20000));
            }
            store_check(s);
            uint64_t room = m->bytes_limit - m->bytes_index - m->bytes_eviction;
            print_message(
                "policy %u, %u to %u bytes: items %lu payload %.1f%% of all, %.1f%% beside index; evicted new "
                "%lu cold %lu page %lu class %lu moves %lu evacuations %lu\n",
                policy, shifts[i].least, shifts[i].most, m->items,
                100.0 * (double)m->bytes_payload / (double)m->bytes_limit,
                100.0 * (double)m->bytes_payload / (double)room, m->evicted_new, m->evicted_cold, m->evicted_page,
                m->evicted_class, m->moves, m->evacuations);
            if (shifts[i].least > 80) assert_true(m->bytes_payload > room / 100 * 85);
        }
        assert_int_equal(m->refused, 0);
        store_destroy(&s);
    }
}

/* What is pinned is neither evicted nor moved; the others make room around it. */
static void test_pinned_stay(void **state)
{
    (void)state;
    struct store *s = evicting(8 * MIB, STORE_EVICT_HYBRID);
    struct store_pin *pin[50];
    struct store_value view[50];
    char buf[24];
    for (uint64_t n = 0; n < 50; n++) {
        struct store_key k = fixture_key_n(buf, n);
        assert_int_equal(set_n(s, n, n % 5 == 0 ? 70000 : 400), STORE_OK);
        assert_int_equal(store_get(s, &k, NOW, &view[n]), STORE_OK);
        pin[n] = store_pin(s, view[n].item);
        assert_non_null(pin[n]);
    }
    struct random r = {5};
    for (uint64_t n = 50; n < 60000; n++) assert_int_equal(bounded_set(s, n, random_below(&r, 2000)), STORE_OK);
    store_check(s);
    for (uint64_t n = 0; n < 50; n++) {
        uint8_t start[16];
        fixture_fill(start, 16, n);
        assert_memory_equal(view[n].data, start, 16);
        assert_true(has_n(s, n));
        store_unpin(s, pin[n]);
    }
    for (uint64_t n = 60000; n < 160000; n++) assert_int_equal(bounded_set(s, n, random_below(&r, 2000)), STORE_OK);
    for (uint64_t n = 0; n < 50; n++) assert_false(has_n(s, n));
    store_check(s);
    store_destroy(&s);
}

/* Large values among small ones, in pieces. */
static void test_large_values(void **state)
{
    (void)state;
    struct store *s = evicting(64 * MIB, STORE_EVICT_HYBRID);
    const struct store_metrics *m = store_metrics(s);
    struct random r = {9};
    for (uint64_t n = 0; n < 20000; n++) {
        uint32_t len = n % 100 == 0 ? random_below(&r, MIB) : random_below(&r, 8000);
        assert_int_equal(bounded_set(s, n, len), STORE_OK);
        for (unsigned i = 0; i < 4; i++) store_step(s, NOW);
    }
    assert_int_equal(m->refused, 0);
    assert_true(m->bytes_payload > m->bytes_limit / 100 * 85);
    store_check(s);
    store_destroy(&s);
}

/* Conditions hold on an item that its own write might have evicted. */
static void test_append_in_need(void **state)
{
    (void)state;
    struct store *s = evicting(4 * MIB, STORE_EVICT_FIFO);
    char buf[24];
    struct random r = {3};
    for (uint64_t n = 0; n < 30000; n++) {
        uint64_t of = n < 200 ? n : n - random_below(&r, 200);
        struct store_key k = fixture_key_n(buf, of);
        enum store_mode mode = n % 3 == 0 ? STORE_APPEND : n % 3 == 1 ? STORE_PREPEND : STORE_SET;
        enum store_status status = store_set(s, &k, value, 1500, NULL, mode, 0, NOW);
        assert_true(status == STORE_OK || (mode != STORE_SET && status == STORE_NOT_STORED));
    }
    store_check(s);
    store_destroy(&s);
}

static void test_flush_and_deletes(void **state)
{
    (void)state;
    for (unsigned policy = STORE_EVICT_FIFO; policy <= STORE_EVICT_HYBRID; policy++) {
        struct store *s = evicting(8 * MIB, (enum store_eviction)policy);
        uint64_t free_before = store_metrics(s)->bytes_free;
        struct random r = {7};
        for (uint64_t n = 0; n < 300000; n++) {
            if (n % 60000 == 50000) store_flush(s);
            assert_int_equal(bounded_set(s, n, random_below(&r, 200)), STORE_OK);
            if (n % 10000 == 0) store_check(s);
        }
        char buf[24];
        for (uint64_t n = 0; n < 300000; n++) {
            struct store_key k = fixture_key_n(buf, n);
            store_delete(s, &k, NOW);
        }
        fixture_settle(s, NOW, 100000);
        assert_int_equal(store_count(s), 0);
        store_check(s);
        store_flush(s);
        fixture_settle(s, NOW, 1000);
        assert_int_equal(store_metrics(s)->bytes_free, free_before);
        assert_int_equal(store_metrics(s)->bytes_eviction, 0);
        store_check(s);
        store_destroy(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none_refuses),        cmocka_unit_test(test_fifo),
        cmocka_unit_test(test_fifo_after_deletes),  cmocka_unit_test(test_hybrid_keeps_what_is_read),
        cmocka_unit_test(test_ghost_is_remembered), cmocka_unit_test(test_nothing_goes_while_there_is_room),
        cmocka_unit_test(test_sizes_shift),         cmocka_unit_test(test_pinned_stay),
        cmocka_unit_test(test_large_values),        cmocka_unit_test(test_append_in_need),
        cmocka_unit_test(test_flush_and_deletes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
