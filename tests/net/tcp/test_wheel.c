/* The timing wheel against a naive list: nothing early, nothing late, nothing lost. */
#include <stdlib.h>
#include "net/tcp/wheel.h"
#include "tests/net/sim/cmocka_all.h"

#define NODES 300u
#define TICK_NS (UINT64_C(1) << WHEEL_TICK_SHIFT)

static uint64_t rng = 42;

static uint64_t random_u64(void)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return rng;
}

/* Lengths of all magnitudes, from less than a tick to hours. */
static uint64_t random_span(void) { return random_u64() >> (20 + random_u64() % 44); }

static void test_against_list(void **state)
{
    (void)state;
    static struct wheel w;
    static struct wheel_node nodes[NODES];
    static uint64_t at[NODES]; /* 0: not armed */
    uint64_t now = UINT64_C(123456789012);
    unsigned fired = 0;
    wheel_init(&w, now, nodes, sizeof *nodes);
    for (unsigned step = 0; step < 200000; step++) {
        unsigned i = (unsigned)(random_u64() % NODES);
        if (random_u64() % 8 == 0) {
            wheel_disarm(&w, i);
            at[i] = 0;
        } else {
            at[i] = now + random_span();
            wheel_arm(&w, i, wheel_tick(at[i]), now);
        }
        now += random_u64() % 4 ? random_span() >> 6 : 0;
        uint32_t k;
        while ((k = wheel_pop(&w, now)) != WHEEL_NONE) {
            assert_true(at[k] != 0);
            assert_true(at[k] <= now); /* not early */
            at[k] = 0;
            fired++;
        }
        uint64_t first = UINT64_MAX;
        for (k = 0; k < NODES; k++) {
            if (!at[k]) continue;
            assert_true(at[k] + 2 * TICK_NS > now); /* not late */
            if (at[k] < first) first = at[k];
        }
        if (first == UINT64_MAX) assert_int_equal(wheel_deadline(&w), UINT64_MAX);
        else assert_true(wheel_deadline(&w) <= first + 2 * TICK_NS);
    }
    assert_true(fired > 10000);
}

/* Days without a turn of the wheel, by which its ticks have wrapped: nothing gets lost, and it does not spin. */
static void test_far_behind(void **state)
{
    (void)state;
    static struct wheel w;
    static struct wheel_node nodes[2];
    uint64_t now = UINT64_C(5000000000);
    wheel_init(&w, now, nodes, sizeof *nodes);
    wheel_arm(&w, 0, wheel_tick(now + 1), now);
    now += UINT64_C(25) * 24 * 3600 * 1000000000;
    uint32_t due = wheel_tick(now + UINT64_C(1000000));
    wheel_arm(&w, 1, due, now);
    bool first = false;
    unsigned early = 0;
    for (uint32_t k; (k = wheel_pop(&w, now)) != WHEEL_NONE;) {
        if (k == 0) {
            first = true;
            continue;
        }
        wheel_arm(&w, 1, due, now);
        assert_true(++early < 1000);
    }
    assert_true(first);
    assert_int_equal(wheel_pop(&w, now + UINT64_C(900000)), WHEEL_NONE);
    assert_int_equal(wheel_pop(&w, now + UINT64_C(1000000) + TICK_NS), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_list), cmocka_unit_test(test_far_behind)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
