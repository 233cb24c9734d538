/* The connection table against an array of keys, through growth, spills and removals. */
#include <stdlib.h>
#include <string.h>
#include "net/tcp/tcp_table.h"
#include "net/tcp/tcp_tuple.h"
#include "tests/net/sim/cmocka_all.h"

#define ENTRIES 20000u

static uint64_t keys[ENTRIES]; /* 0: not in the table */

static uint64_t key_of(const void *arg, uint32_t ref)
{
    (void)arg;
    return keys[ref];
}

static void check_all(const struct tcp_table *t)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        if (!keys[i]) continue;
        n++;
        assert_int_equal(tcp_table_find(t, keys[i]), i);
    }
    assert_int_equal(t->entries, n);
    assert_int_equal(tcp_table_find(t, UINT64_C(0xffffffffffff)), TCP_TABLE_NONE);
}

/* Spreads small numbers, as tcp_tuple.h spreads tuples. */
static uint64_t key_make(uint64_t x)
{
    static const uint64_t secret[2] = {0x1234567890abcdef, 0xfedcba0987654321};
    return tcp_key_v4(secret, x, 7);
}

static void run(void)
{
    struct tcp_table t;
    uint64_t rng = 7;
    memset(keys, 0, sizeof keys);
    assert_int_equal(tcp_table_init(&t, ENTRIES, key_of, NULL), 0);
    for (uint32_t step = 0; step < 200000; step++) {
        rng = rng * UINT64_C(6364136223846793005) + 1442695040888963407u;
        uint32_t i = (uint32_t)(rng >> 40) % ENTRIES;
        if (!keys[i]) {
            keys[i] = key_make((uint64_t)(i + 1) << 32 | 0x0a000001);
            tcp_table_insert(&t, keys[i], i);
        } else if (step > 100000) {
            tcp_table_remove(&t, keys[i]);
            keys[i] = 0;
        }
        if (step % 20000 == 0) check_all(&t);
    }
    check_all(&t);
    for (uint32_t i = 0; i < ENTRIES; i++) {
        if (!keys[i]) continue;
        tcp_table_remove(&t, keys[i]);
        keys[i] = 0;
    }
    assert_int_equal(t.entries, 0);
    tcp_table_fini(&t);
}

static void test_against_array(void **state)
{
    (void)state;
    run();
}

static void test_replace(void **state)
{
    (void)state;
    struct tcp_table t;
    memset(keys, 0, sizeof keys);
    assert_int_equal(tcp_table_init(&t, 100, key_of, NULL), 0);
    keys[3] = 33;
    tcp_table_insert(&t, 33, 3);
    keys[4] = 33;
    tcp_table_replace(&t, 33, 4);
    keys[3] = 0;
    assert_int_equal(tcp_table_find(&t, 33), 4);
    tcp_table_fini(&t);
}

/* Every key in one bucket: a hash that an attacker had broken, or bad luck. Slow, but right. */
static void test_one_bucket(void **state)
{
    (void)state;
    struct tcp_table t;
    memset(keys, 0, sizeof keys);
    assert_int_equal(tcp_table_init(&t, 200, key_of, NULL), 0);
    uint32_t n = 0;
    for (uint64_t key = 1; n < 200; key++) {
        if (((uint32_t)key_make(key) & 1023) != 17) continue;
        keys[n] = key_make(key);
        tcp_table_insert(&t, keys[n], n);
        n++;
    }
    check_all(&t);
    for (uint32_t i = 0; i < 200; i += 2) {
        tcp_table_remove(&t, keys[i]);
        keys[i] = 0;
        check_all(&t);
    }
    tcp_table_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_array),
        cmocka_unit_test(test_replace),
        cmocka_unit_test(test_one_bucket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
