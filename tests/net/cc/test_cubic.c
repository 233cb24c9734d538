/* CUBIC against the formulas of RFC 9438, in virtual time, on a connection without a wire. */
#include <math.h>
#include <stdlib.h>
#include "net/tcp/tcp_cc_cubic.c"
#include "tests/net/sim/cmocka_all.h"

#define MSS 1460u
#define SECOND UINT64_C(1000000000)
#define MS UINT64_C(1000000)
#define SEGMENTS(n) ((n)*MSS)

static struct net_stack stack;

static void conn_init(struct tcp_conn *c, uint64_t rtt)
{
    memset(c, 0, sizeof *c);
    stack.now = 1000 * SECOND;
    c->stream.ops = &stack.stream_ops;
    c->mss = MSS;
    c->srtt = (uint32_t)rtt;
    c->cc = NET_TCP_CUBIC;
    tcp_cc_init(c);
}

static void lose(struct tcp_conn *c, uint32_t cwnd, enum tcp_cc_event event)
{
    c->cwnd = cwnd;
    tcp_cc_congestion(c, cwnd, event);
    c->cwnd = c->ssthresh;
}

/* A round trip of acknowledgements, two segments each, evenly spread. */
static void round_trip(struct tcp_conn *c)
{
    uint64_t start = stack.now;
    uint32_t window = c->cwnd;
    for (uint32_t acked = 0; acked < window; acked += 2 * MSS) {
        stack.now = start + (uint64_t)c->srtt * acked / window;
        c->snd_una += 2 * MSS;
        c->snd_nxt = c->snd_una + window;
        tcp_cc_of(c)->on_ack(c, 2 * MSS, 0);
    }
    stack.now = start + c->srtt;
}

static double seconds_since(uint64_t start)
{
    return (double)(stack.now - start) / 1e9;
}

static double formula(double t, double k, double w_max)
{
    return 0.4 * pow(t - k, 3) + w_max;
}

/* 4.2: concave to w_max, flat, convex beyond; within 2% of the curve all the way. */
static void test_follows_the_curve(void **state)
{
    (void)state;
    struct tcp_conn c;
    const double w_max = 1000, k = cbrt(w_max * 0.3 / 0.4);
    conn_init(&c, 100 * MS);
    lose(&c, SEGMENTS(1000), TCP_CC_LOSS);
    assert_in_range(c.cwnd, SEGMENTS(700) - MSS, SEGMENTS(700));
    uint64_t start = stack.now;
    unsigned flat = 0;
    while (seconds_since(start) < 2 * k) {
        round_trip(&c);
        double t = seconds_since(start), want = formula(t, k, w_max), got = (double)c.cwnd / MSS;
        if (fabs(got - want) > 0.02 * want) fail_msg("at %.2f s %.1f segments instead of %.1f", t, got, want);
        flat += fabs(got - w_max) < 0.01 * w_max;
    }
    assert_in_range(flat, 40, 75); /* within 1% of w_max: 2 * cbrt(10 / 0.4) = 5.8 s */
}

/* 4.3: at 1 ms the curve hardly moves; what Reno would have leads, with its own slope above the old window. */
static void test_is_friendly_to_reno(void **state)
{
    (void)state;
    struct tcp_conn c;
    conn_init(&c, MS);
    lose(&c, SEGMENTS(100), TCP_CC_LOSS);
    unsigned rounds = 0;
    for (; c.cwnd < SEGMENTS(100) && rounds < 200; rounds++) round_trip(&c);
    assert_in_range(rounds, 54, 60); /* 30 segments at 9/17 a round trip: 57 */
    uint32_t before = c.cwnd;
    for (unsigned i = 0; i < 20; i++) round_trip(&c);
    assert_in_range(c.cwnd - before, SEGMENTS(19), SEGMENTS(22));
}

/* 4.7: a loss below the last w_max lowers it further, so that a newcomer finds room. */
static void test_fast_convergence(void **state)
{
    (void)state;
    struct tcp_conn c;
    conn_init(&c, 100 * MS);
    lose(&c, SEGMENTS(1000), TCP_CC_LOSS);
    assert_int_equal(cubic_of(&c)->w_max, SEGMENTS(1000));
    lose(&c, SEGMENTS(800), TCP_CC_LOSS);
    assert_int_equal(cubic_of(&c)->w_max, SEGMENTS(680));
    lose(&c, SEGMENTS(900), TCP_CC_LOSS); /* above: no newcomer */
    assert_int_equal(cubic_of(&c)->w_max, SEGMENTS(900));
    uint64_t start = stack.now;
    const double k = cbrt(900 * 0.3 / 0.4);
    while (seconds_since(start) < k) round_trip(&c);
    assert_in_range(c.cwnd, SEGMENTS(890), SEGMENTS(901));
}

/* 4.8: after a timeout the curve begins at the window where slow start ends, without a K. */
static void test_timeout_starts_anew(void **state)
{
    (void)state;
    struct tcp_conn c;
    conn_init(&c, 100 * MS);
    lose(&c, SEGMENTS(1000), TCP_CC_TIMEOUT);
    assert_int_equal(c.ssthresh, SEGMENTS(700));
    c.cwnd = MSS;
    unsigned rounds = 0;
    for (; c.cwnd < c.ssthresh; rounds++) round_trip(&c);
    assert_in_range(rounds, 9, 11); /* doubles */
    uint64_t start = stack.now;
    uint32_t begin = c.cwnd;
    while (seconds_since(start) < 5) round_trip(&c);
    double want = formula(5, 0, (double)begin / MSS);
    assert_in_range(c.cwnd, (uint32_t)(0.98 * want) * MSS, (uint32_t)(1.02 * want + 1) * MSS);
}

/* 4.2: time in which the application was the limit is no time for the curve. */
static void test_pause_does_not_count(void **state)
{
    (void)state;
    struct tcp_conn c;
    conn_init(&c, 100 * MS);
    lose(&c, SEGMENTS(1000), TCP_CC_LOSS);
    for (unsigned i = 0; i < 20; i++) round_trip(&c);
    uint32_t before = c.cwnd;
    stack.now += 60 * SECOND; /* on the curve: 50,000 segments */
    for (unsigned i = 0; i < 2; i++) round_trip(&c);
    assert_in_range(c.cwnd, before, before + SEGMENTS(30));
}

/* A window of so many bytes that the curve leaves 32 bits; the largest and the least MSS. */
static void test_extremes_stay_in_range(void **state)
{
    (void)state;
    static const uint16_t sizes[] = {64, 536, 8948, 65495};
    for (unsigned i = 0; i < RTE_DIM(sizes); i++) {
        struct tcp_conn c;
        conn_init(&c, 1); /* ns */
        c.mss = sizes[i];
        lose(&c, TCP_CWND_MAX, TCP_CC_LOSS);
        for (unsigned n = 0; n < 2000; n++) {
            stack.now += SECOND;
            uint32_t before = c.cwnd;
            tcp_cc_of(&c)->on_ack(&c, c.cwnd, 0);
            assert_in_range(c.cwnd, before, TCP_CWND_MAX);
        }
        lose(&c, 2u * c.mss, TCP_CC_LOSS);
        assert_int_equal(c.cwnd, 2u * c.mss);
        tcp_cc_of(&c)->on_ack(&c, 1, 0);
        assert_in_range(c.cwnd, 2u * c.mss, 4u * c.mss);
    }
}

static void test_cube_root(void **state)
{
    (void)state;
    srandom(7);
    for (uint64_t r = 0; r < 2000000; r += 1 + (uint64_t)random() % 300) {
        assert_int_equal(cube_root(r * r * r), r);
        if (r) assert_int_equal(cube_root(r * r * r - 1), r - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_follows_the_curve),
        cmocka_unit_test(test_is_friendly_to_reno),
        cmocka_unit_test(test_fast_convergence),
        cmocka_unit_test(test_timeout_starts_anew),
        cmocka_unit_test(test_pause_does_not_count),
        cmocka_unit_test(test_extremes_stay_in_range),
        cmocka_unit_test(test_cube_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
