/*
 * One thread changes a store, another reads its window as a device would: at any time, words of 8 bytes, in its own
 * order. A value's number must not be older than the last change that was over when the look-up began, nor than what
 * an earlier look-up saw, nor newer than what has begun. Arguments: [changes].
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include "rdma/window_read.h"
#include "tests/store/fixture.h"

#define KEYS 4u
#define NOW_MS 1700000000000u
#define VALUE_MAX 9000u

static uint64_t arg_changes = 120000;

static struct race {
    struct store *s;
    struct window_map *map;
    const uint8_t *window;
    char text[KEYS][24];
    struct store_key key[KEYS];
    uint64_t begun[KEYS], over[KEYS], seen[KEYS]; /* numbers of changes */
    bool reading, ended;
    alignas(64) uint8_t buffer[WINDOW_GET_BYTES];
} race;

static uint32_t len_of(struct random *r)
{
    switch (random_below(r, 4)) {
    case 0: return VALUE_MAX;
    case 1: return VALUE_MAX - 8;
    default: return 64 + random_below(r, 2) * 8;
    }
}

static void change(struct random *r, uint64_t number)
{
    static uint8_t value[VALUE_MAX];
    uint32_t k = random_below(r, KEYS), what = random_below(r, 16), len = len_of(r);
    if (what == 1 && random_below(r, 50)) what = 2;
    __atomic_store_n(&race.begun[k], number, __ATOMIC_SEQ_CST);
    if (what == 0) {
        store_delete(race.s, &race.key[k], NOW_MS);
    } else if (what == 1) {
        for (unsigned i = 0; i < KEYS; i++) __atomic_store_n(&race.begun[i], number, __ATOMIC_SEQ_CST);
        store_flush(race.s);
        for (unsigned i = 0; i < KEYS; i++) __atomic_store_n(&race.over[i], number, __ATOMIC_SEQ_CST);
    } else {
        for (uint32_t i = 0; i < len; i += 8) memcpy(value + i, &number, 8);
        assert_int_equal(store_set(race.s, &race.key[k], value, len, NULL, STORE_SET, 0, NOW_MS), STORE_OK);
    }
    store_step(race.s, NOW_MS);
    __atomic_store_n(&race.over[k], number, __ATOMIC_SEQ_CST);
}

static void *changer(void *arg)
{
    struct random r = {42};
    (void)arg;
    while (!__atomic_load_n(&race.reading, __ATOMIC_SEQ_CST)) sched_yield();
    for (uint64_t number = 1; number <= arg_changes; number++) change(&r, number);
    __atomic_store_n(&race.ended, true, __ATOMIC_SEQ_CST);
    return NULL;
}

/* What races here is meant to. */
__attribute__((no_sanitize("thread"), noinline)) static void device_read(const struct window_piece *p, bool backwards)
{
    const volatile uint64_t *from = (const volatile uint64_t *)(const void *)(race.window + p->at);
    uint32_t words = p->bytes / 8;
    for (uint32_t i = 0; i < words; i++) {
        uint32_t at = backwards ? words - 1 - i : i;
        uint64_t word = from[at];
        memcpy(p->into + (size_t)at * 8, &word, 8);
    }
    for (uint32_t i = words * 8; i < p->bytes; i++) p->into[i] = race.window[p->at + i];
}

static void look(uint32_t k, struct random *r)
{
    struct window_get g;
    uint64_t over = __atomic_load_n(&race.over[k], __ATOMIC_SEQ_CST), number;
    const struct store_key *key = &race.key[k];
    enum window_step step = window_get_begin(&g, race.map, key->data, key->len, key->hash, race.buffer);
    for (; step == WINDOW_READ; step = window_get_on(&g))
        for (unsigned i = 0; i < g.piece_count; i++) device_read(&g.pieces[i], random_below(r, 2));
    if (step != WINDOW_VALUE) return;
    assert_true(g.value_len >= 8);
    memcpy(&number, g.value, 8);
    for (uint32_t i = 0; i < g.value_len; i += 8) assert_memory_equal(g.value + i, &number, 8);
    assert_true(number >= over && number >= race.seen[k]);
    assert_true(number <= __atomic_load_n(&race.begun[k], __ATOMIC_SEQ_CST));
    race.seen[k] = number;
}

static void test_race(void **state)
{
    (void)state;
    struct store_config config = {.memory_limit = MIB, .max_value = 65536, .max_key = 250, .window = true};
    pthread_t thread;
    struct random r = {7};
    void *base;
    size_t bytes;
    assert_int_equal(store_create(&race.s, &config), 0);
    store_window_tick(race.s, NOW_MS);
    assert_true(store_window(race.s, &base, &bytes));
    race.window = base;
    race.map = window_map_create(bytes);
    for (unsigned k = 0; k < KEYS; k++) race.key[k] = fixture_key_n(race.text[k], k);
    assert_int_equal(pthread_create(&thread, NULL, changer, NULL), 0);
    __atomic_store_n(&race.reading, true, __ATOMIC_SEQ_CST);
    while (!__atomic_load_n(&race.ended, __ATOMIC_SEQ_CST)) look(random_below(&r, KEYS), &r);
    pthread_join(thread, NULL);
    for (unsigned k = 0; k < KEYS; k++) look(k, &r);
    store_check(race.s);
    const struct window_counts *c = &race.map->counts;
    print_message("%lu look-ups beside %lu changes: %lu values, %lu misses of an item\n", c->gets, arg_changes,
                  c->values, c->miss_item);
    assert_true(c->values > 0);
    window_map_destroy(&race.map);
    store_destroy(&race.s);
}

int main(int argc, char **argv)
{
    if (argc > 1) arg_changes = strtoull(argv[1], NULL, 0);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_race)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
