/* RACK's window and timer, tail loss probes. RFC 8985. */
#include "net/tcp/tcp.h"
#include "net/tcp/tcp_board.h"
#include "net/tcp/tcp_rack.h"
#include "tests/net/loss/segments.h"
#include "tests/net/sim/cmocka_all.h"

#define US UINT64_C(1000)
#define TICK_NS (UINT64_C(1) << WHEEL_TICK_SHIFT)

static const struct tcp_conn *conn(const struct script *s) { return tcp_conn_of(s->stream); }

/* Segment 0 comes after segment 1: not lost, and from now on holes are given time. */
static void see_reordering(struct script *s)
{
    loss_open_and_send(s, 40);
    s->now += LOSS_RTT_NS;
    LOSS_ACK(s, 1, loss_at(1), loss_at(2));
    script_send(s, A, 1, loss_at(2), 65535, NULL, 0);
    while (script_next_frame(s)) {}
    assert_true(conn(s)->board->rack.reordering);
    assert_int_equal(net_stack_metrics(s->stack)->retransmits, 0);
}

static void test_hole_is_given_time(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    see_reordering(&s);
    LOSS_ACK(&s, loss_at(2), loss_at(3), loss_at(9)); /* six beyond the hole */
    for (struct script_segment t; s.head != s.tail;) {
        t = script_next(&s);
        assert_true(t.seq >= loss_at(10)); /* only new data */
    }
    uint64_t from = s.now;
    script_wait(&s, 20 * US);
    script_expect_nothing(&s);
    script_wait(&s, 100 * US);
    struct script_segment t = script_expect(&s, A, loss_at(2), 1, LOSS_MSS);
    assert_in_range(t.at - from, LOSS_RTT_NS / 4, LOSS_RTT_NS / 4 + 2 * TICK_NS);
    assert_int_equal(net_stack_metrics(s.stack)->sack_recoveries, 1);
    assert_int_equal(script_destroy(&s), 0);
}

/* It comes within its time: nothing is sent twice, and the window stays. */
static void test_reordering_costs_nothing(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    see_reordering(&s);
    uint32_t cwnd = conn(&s)->cwnd;
    LOSS_ACK(&s, loss_at(2), loss_at(3), loss_at(9));
    script_wait(&s, 20 * US);
    script_send(&s, A, 1, loss_at(9), 65535, NULL, 0);
    script_wait(&s, 100 * US);
    assert_int_equal(net_stack_metrics(s.stack)->retransmits, 0);
    assert_int_equal(net_stack_metrics(s.stack)->sack_recoveries, 0);
    assert_true(conn(&s)->cwnd >= cwnd);
    while (script_next_frame(&s)) {}
    assert_int_equal(script_destroy(&s), 0);
}

/* RFC 8985 6.2 step 4: each round trip with a D-SACK widens the window, up to a round trip; 16 recoveries later it is back. */
static void test_window_adapts(void **state)
{
    (void)state;
    struct tcp_board b = {.rack = {.multiplier = 1, .min_rtt = 100000}};
    assert_int_equal(tcp_rack_window(&b, 100000, 1000), 25000);
    b.sacked = 2001;
    assert_int_equal(tcp_rack_window(&b, 100000, 1000), 0); /* no reordering so far: three beyond the hole are enough */
    tcp_rack_dsack(&b, 1, 1000);
    assert_int_equal(tcp_rack_window(&b, 100000, 1000), 50000);
    tcp_rack_dsack(&b, 500, 1200); /* of the same round trip */
    assert_int_equal(tcp_rack_window(&b, 100000, 1000), 50000);
    for (tcp_seq una = 1000; una < 300000; una += 1000) tcp_rack_dsack(&b, una, una + 1000);
    assert_int_equal(tcp_rack_window(&b, 100000, 1000), 100000);
    for (unsigned i = 0; i < 16; i++) tcp_rack_recovered(&b);
    assert_int_equal(tcp_rack_window(&b, 100000, 1000), 25000);
}

/* A round trip of 200 ns: the window is not 50 ns but what lies between two turns that bring ACKs. */
static void test_window_at_tiny_round_trips(void **state)
{
    (void)state;
    struct tcp_board b = {.rack = {.multiplier = 1, .min_rtt = 200, .reordering = true}};
    assert_int_equal(tcp_rack_window(&b, 200, 1000), 50);
    for (uint64_t i = 1; i < 40; i++) tcp_rack_heard(&b, 1000000 + 3000 * i, 200);
    assert_in_range(tcp_rack_window(&b, 200, 1000), 2900, 3100);
    tcp_rack_heard(&b, UINT64_C(1000000000), 200); /* a pause says nothing */
    assert_in_range(tcp_rack_window(&b, 200, 1000), 2900, 3100);
    b.rack = (struct tcp_rack){.multiplier = 1, .reordering = true};
    assert_in_range(tcp_rack_window(&b, 0, 1000), 1, 1); /* never nothing */
}

/* Two round trips without an answer: the last segment once more; after that only the timeout. RFC 8985 7.3. */
static void test_tail_probe(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    loss_open_and_send(&s, 3);
    uint64_t from = s.now;
    script_wait(&s, SCRIPT_MS);
    struct script_segment t = script_expect(&s, A, loss_at(2), 1, LOSS_MSS);
    assert_in_range(t.at - from, 2 * LOSS_RTT_NS, 2 * LOSS_RTT_NS + 2 * TICK_NS);
    script_expect_nothing(&s);
    script_wait(&s, 5 * SCRIPT_MS);
    script_expect(&s, A, loss_at(0), 1, LOSS_MSS);
    assert_int_equal(net_stack_metrics(s.stack)->tlp_probes, 1);
    assert_int_equal(net_stack_metrics(s.stack)->rto_fired, 1);
    assert_int_equal(script_destroy(&s), 0);
}

/* New data is the better probe, whatever the congestion window says. */
static void test_tail_probe_with_new_data(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    loss_open_and_send(&s, 20);
    script_wait(&s, SCRIPT_MS);
    script_expect(&s, A, loss_at(10), 1, LOSS_MSS);
    script_expect_nothing(&s);
    assert_int_equal(net_stack_metrics(s.stack)->retransmits, 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* A lone segment's ACK may be held back by the peer: the probe waits for that. */
static void test_lone_segment(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    loss_open_and_send(&s, 1);
    uint64_t from = s.now;
    script_wait(&s, 3 * SCRIPT_MS);
    struct script_segment t = script_expect(&s, A, loss_at(0), 1, LOSS_MSS);
    assert_in_range(t.at - from, SCRIPT_MS + LOSS_RTT_NS, SCRIPT_MS + 2 * LOSS_RTT_NS);
    assert_int_equal(script_destroy(&s), 0);
}

/* The last three of five are lost: the probe's block shows the other two, which go as its ACKs come (RFC 6937). */
static void test_probe_shows_the_tail(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    loss_open_and_send(&s, 5);
    s.now += LOSS_RTT_NS;
    script_send(&s, A, 1, loss_at(2), 65535, NULL, 0);
    script_wait(&s, 3 * LOSS_RTT_NS);
    script_expect(&s, A, loss_at(4), 1, LOSS_MSS);
    s.now += LOSS_RTT_NS;
    LOSS_ACK(&s, loss_at(2), loss_at(4), loss_at(5));
    script_expect(&s, A, loss_at(2), 1, LOSS_MSS);
    LOSS_ACK(&s, loss_at(3), loss_at(4), loss_at(5));
    script_expect(&s, A, loss_at(3), 1, LOSS_MSS);
    script_send(&s, A, 1, loss_at(5), 65535, NULL, 0);
    script_wait(&s, 20 * SCRIPT_MS);
    script_expect_nothing(&s);
    assert_int_equal(net_stack_metrics(s.stack)->rto_fired, 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* RFC 8985 7.4: a loss that the probe itself mended still halves the window; a probe that came twice does not. */
static void test_probe_that_mends(void **state)
{
    (void)state;
    for (int needless = 0; needless < 2; needless++) {
        struct script s;
        script_create(&s, NULL);
        loss_open_and_send(&s, 3);
        script_wait(&s, 3 * LOSS_RTT_NS);
        script_expect(&s, A, loss_at(2), 1, LOSS_MSS);
        s.now += LOSS_RTT_NS;
        uint32_t cwnd = conn(&s)->cwnd;
        if (needless) LOSS_ACK(&s, loss_at(3), loss_at(2), loss_at(3));
        else script_send(&s, A, 1, loss_at(3), 65535, NULL, 0);
        script_write(&s, 500);
        s.now += LOSS_RTT_NS;
        script_send(&s, A, 1, loss_at(3) + 500, 65535, NULL, 0);
        if (needless) assert_true(conn(&s)->cwnd >= cwnd);
        else assert_true(conn(&s)->cwnd < cwnd);
        assert_int_equal(net_stack_metrics(s.stack)->dsacks_received, needless);
        while (script_next_frame(&s)) {}
        assert_int_equal(script_destroy(&s), 0);
    }
}

/* A peer without SACK gets no probe: RFC 8985 7.2. */
static void test_no_probe_without_sack(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_open(&s, 65535);
    script_write(&s, 3000);
    while (script_next_frame(&s)) {}
    script_wait(&s, 4 * SCRIPT_MS);
    script_expect_nothing(&s);
    assert_int_equal(script_destroy(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hole_is_given_time),
        cmocka_unit_test(test_reordering_costs_nothing),
        cmocka_unit_test(test_window_adapts),
        cmocka_unit_test(test_window_at_tiny_round_trips),
        cmocka_unit_test(test_tail_probe),
        cmocka_unit_test(test_tail_probe_with_new_data),
        cmocka_unit_test(test_lone_segment),
        cmocka_unit_test(test_probe_shows_the_tail),
        cmocka_unit_test(test_probe_that_mends),
        cmocka_unit_test(test_no_probe_without_sack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
