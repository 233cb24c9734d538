/* Congestion control without a wire: the initial window, NewReno, HyStart++, DCTCP's estimate, undo. */
#include <math.h>
#include <string.h>
#include "net/tcp/tcp_cc_dctcp.c"
#include "net/tcp/tcp_ecn.h"
#include "net/tcp/tcp_hystart.h"
#include "tests/net/sim/cmocka_all.h"

#define MSS 1000u
#define US UINT64_C(1000)
#define MS UINT64_C(1000000)

static struct net_stack stack;

static void conn_init(struct tcp_conn *c, enum net_tcp_cc cc, uint16_t mss)
{
    memset(c, 0, sizeof *c);
    c->stream.ops = &stack.stream_ops;
    c->mss = mss;
    c->cc = (uint8_t)cc;
    c->iss = c->snd_una = c->snd_nxt = c->snd_max = 0xffff0000;
    tcp_cc_init(c);
}

/* RFC 6928 2. */
static void test_initial_window(void **state)
{
    (void)state;
    static const struct {
        uint16_t mss;
        uint32_t window;
    } rows[] = {{64, 640}, {536, 5360}, {1448, 14480}, {1460, 14600}, {8948, 17896}, {65483, 130966}};
    for (unsigned i = 0; i < RTE_DIM(rows); i++)
        for (enum net_tcp_cc cc = 0; cc < NET_TCP_CC_COUNT; cc++) {
            struct tcp_conn c;
            conn_init(&c, cc, rows[i].mss);
            assert_int_equal(c.cwnd, rows[i].window);
        }
}

static void test_names(void **state)
{
    (void)state;
    assert_int_equal(net_tcp_cc_find("cubic"), NET_TCP_CUBIC);
    assert_int_equal(net_tcp_cc_find("newreno"), NET_TCP_NEWRENO);
    assert_int_equal(net_tcp_cc_find("dctcp"), NET_TCP_DCTCP);
    assert_true(net_tcp_cc_find("vegas") < 0);
    assert_int_equal(net_tcp_ecn_find("on"), NET_TCP_ECN_ON);
    assert_int_equal(net_tcp_ecn_find("passive"), NET_TCP_ECN_PASSIVE);
    assert_true(net_tcp_ecn_find("") < 0);
}

static void ack(struct tcp_conn *c, uint32_t bytes, uint64_t rtt)
{
    c->snd_una += bytes;
    tcp_cc_of(c)->on_ack(c, bytes, rtt);
    c->snd_nxt = c->snd_max = c->snd_una + c->cwnd;
}

/* A window of ACKs with the same round trip time. */
static void round_trip(struct tcp_conn *c, uint64_t rtt)
{
    for (uint32_t left = c->cwnd; left; left -= RTE_MIN(left, 2 * MSS)) ack(c, RTE_MIN(left, 2 * MSS), rtt);
}

/* RFC 5681 3.1: doubles up to ssthresh, then a segment a round trip; half after a loss, never below two segments. */
static void test_newreno(void **state)
{
    (void)state;
    struct tcp_conn c;
    conn_init(&c, NET_TCP_NEWRENO, MSS);
    round_trip(&c, 0);
    assert_int_equal(c.cwnd, 20 * MSS);
    tcp_cc_congestion(&c, 20 * MSS, TCP_CC_LOSS);
    assert_int_equal(c.ssthresh, 10 * MSS);
    c.cwnd = c.ssthresh;
    for (unsigned i = 1; i <= 20; i++) {
        round_trip(&c, 0);
        assert_in_range(c.cwnd, (10 + i) * MSS - MSS, (10 + i) * MSS);
    }
    c.cwnd = 4 * MSS;
    c.ssthresh = 5 * MSS;
    round_trip(&c, 0); /* not beyond ssthresh by doubling */
    assert_in_range(c.cwnd, 5 * MSS, 6 * MSS);
    tcp_cc_congestion(&c, 3 * MSS, TCP_CC_TIMEOUT);
    assert_int_equal(c.ssthresh, 2 * MSS);
}

/* An ACK that covers a great deal opens the window by 8 segments at most: RFC 9406 4.2. */
static void test_slow_start_is_bounded(void **state)
{
    (void)state;
    struct tcp_conn c;
    conn_init(&c, NET_TCP_CUBIC, MSS);
    ack(&c, 10 * MSS, 0);
    assert_int_equal(c.cwnd, 18 * MSS);
}

static void test_idle_restarts(void **state)
{
    (void)state;
    for (enum net_tcp_cc cc = 0; cc < NET_TCP_CC_COUNT; cc++) {
        struct tcp_conn c;
        conn_init(&c, cc, MSS);
        c.cwnd = 100 * MSS;
        tcp_cc_idle(&c);
        assert_int_equal(c.cwnd, 10 * MSS);
        c.cwnd = 3 * MSS;
        tcp_cc_idle(&c);
        assert_int_equal(c.cwnd, 3 * MSS);
    }
}

/* RFC 9406 4.2: a round that is longer by an eighth begins the conservative phase; five rounds of it end slow start. */
static void test_hystart_ends_slow_start(void **state)
{
    (void)state;
    struct tcp_conn c;
    conn_init(&c, NET_TCP_CUBIC, MSS);
    for (unsigned i = 0; i < 3; i++) round_trip(&c, 100 * MS); /* the first ACK ends a round of its own */
    assert_int_equal(c.ssthresh, TCP_CWND_MAX);
    assert_int_equal(c.cwnd, 80 * MSS);
    round_trip(&c, 113 * MS);
    uint32_t before = c.cwnd;
    assert_in_range(before, 100 * MSS, 125 * MSS); /* eight samples are needed, a fifth of the round */
    round_trip(&c, 120 * MS);
    assert_in_range(c.cwnd, before * 5 / 4 - MSS, before * 5 / 4 + MSS); /* a quarter a round now */
    assert_int_equal(c.ssthresh, TCP_CWND_MAX);
    for (unsigned i = 0; i < 4 && c.ssthresh == TCP_CWND_MAX; i++) round_trip(&c, 130 * MS);
    assert_in_range(c.ssthresh, before * 2, before * 4);
    assert_true(c.cwnd <= c.ssthresh + MSS);
}

/* 4.2: a round trip shorter than when the conservative phase began was a false alarm. */
static void test_hystart_resumes(void **state)
{
    (void)state;
    struct tcp_conn c;
    conn_init(&c, NET_TCP_CUBIC, MSS);
    for (unsigned i = 0; i < 2; i++) round_trip(&c, 100 * MS);
    round_trip(&c, 115 * MS);
    for (unsigned i = 0; i < 2; i++) round_trip(&c, 100 * MS);
    uint32_t before = c.cwnd;
    round_trip(&c, 100 * MS);
    assert_int_equal(c.cwnd, 2 * before);
    assert_int_equal(c.ssthresh, TCP_CWND_MAX);
}

/* Within a data centre a pause of the peer is no queue, 66 us more are. */
static void test_hystart_near(void **state)
{
    (void)state;
    struct tcp_conn c;
    conn_init(&c, NET_TCP_CUBIC, MSS);
    for (unsigned i = 0; i < 6; i++) round_trip(&c, i & 1 ? 60 * US : 10 * US);
    assert_int_equal(c.cwnd, 640 * MSS);
    conn_init(&c, NET_TCP_CUBIC, MSS);
    for (unsigned i = 0; i < 12; i++) round_trip(&c, 10 * US + i * 70 * US);
    assert_true(c.ssthresh < TCP_CWND_MAX);
}

/* One sample a round trip, as a connection without timestamps takes them, is enough. */
static void test_hystart_few_samples(void **state)
{
    (void)state;
    struct tcp_conn c;
    conn_init(&c, NET_TCP_CUBIC, MSS);
    for (unsigned i = 0; i < 12; i++) {
        uint32_t left = c.cwnd;
        ack(&c, 2 * MSS, 100 * US * (1 + i)); /* the queue grows */
        for (left -= 2 * MSS; left >= 2 * MSS; left -= 2 * MSS) ack(&c, 2 * MSS, 0);
    }
    assert_true(c.ssthresh < 200 * MSS);
}

/* RFC 8257 3.3: alpha follows the share of marked bytes with a gain of 1/16; cwnd falls by half of it. */
static void test_dctcp_alpha(void **state)
{
    (void)state;
    struct tcp_conn c;
    conn_init(&c, NET_TCP_DCTCP, MSS);
    c.ssthresh = c.cwnd = 100 * MSS;
    double alpha = 1;
    assert_int_equal(dctcp_of(&c)->alpha, ALPHA_ONE);
    ack(&c, MSS, 0); /* the window of the beginning ends */
    tcp_seq start = dctcp_of(&c)->start;
    for (unsigned window = 0; window < 60; window++) {
        unsigned marked = window < 40 ? 0 : 50; /* of 100 */
        start = dctcp_of(&c)->start;
        uint32_t bytes = 0, with_mark = 0;
        while (dctcp_of(&c)->start == start) {
            if (with_mark < marked * MSS) {
                tcp_cc_of(&c)->on_mark(&c, MSS);
                with_mark += MSS;
            }
            ack(&c, MSS, 0);
            bytes += MSS;
        }
        alpha = alpha * 15 / 16 + (double)with_mark / bytes / 16;
        c.cwnd = 100 * MSS;
        if (window == 0) alpha = (double)dctcp_of(&c)->alpha / ALPHA_ONE; /* begins with a part of a window */
        double got = (double)dctcp_of(&c)->alpha / ALPHA_ONE;
        if (fabs(got - alpha) > 0.01) fail_msg("window %u: alpha %.4f instead of %.4f", window, got, alpha);
    }
    assert_true(alpha > 0.3 && alpha < 0.5);
    tcp_cc_congestion(&c, c.cwnd, TCP_CC_MARK);
    double want = 100 * (1 - alpha / 2) * MSS;
    assert_in_range(c.ssthresh, (uint32_t)want - MSS, (uint32_t)want + MSS);
    tcp_cc_congestion(&c, 100 * MSS, TCP_CC_LOSS); /* 3.4: loss halves as ever */
    assert_int_equal(c.ssthresh, 50 * MSS);
}

/* What a needless reduction changed is all given back, the algorithm's own state too. */
static void test_undo(void **state)
{
    (void)state;
    for (enum net_tcp_cc cc = 0; cc < NET_TCP_CC_COUNT; cc++) {
        struct tcp_conn c, before;
        struct tcp_cc_saved saved;
        conn_init(&c, cc, MSS);
        c.cwnd = 50 * MSS;
        tcp_cc_congestion(&c, 50 * MSS, TCP_CC_LOSS);
        c.cwnd = c.ssthresh;
        for (unsigned i = 0; i < 10; i++) round_trip(&c, MS);
        before = c;
        tcp_cc_save(&c, &saved);
        tcp_cc_congestion(&c, c.cwnd, TCP_CC_TIMEOUT);
        c.cwnd = MSS;
        tcp_cc_undo(&c, &saved);
        assert_int_equal(c.cwnd, before.cwnd);
        assert_int_equal(c.ssthresh, before.ssthresh);
        assert_memory_equal(c.cc_state, before.cc_state, sizeof c.cc_state);
    }
}

/* RFC 3168 5: the codepoint of an IPv4 header and of an IPv6 one; flow label and checksum stay right. */
static void test_codepoints(void **state)
{
    (void)state;
    struct tcp_conn c;
    uint8_t v4[4] = {0x45, 0}, v6[4] = {0x60, 0x0f};
    uint64_t sum_v4 = 7, sum_v6 = 7;
    conn_init(&c, NET_TCP_CUBIC, MSS);
    c.flags = TCPF_ECN | TCPF_CWR;
    assert_int_equal(tcp_ecn_tx(&c, c.snd_max, 1, v4, &sum_v4), TCP_CWR);
    assert_int_equal(tcp_ecn_tx(&c, c.snd_max, 1, v6, &sum_v6), TCP_CWR);
    assert_memory_equal(v4, ((uint8_t[]){0x45, 2, 0, 0}), 4);
    assert_memory_equal(v6, ((uint8_t[]){0x60, 0x2f, 0, 0}), 4);
    assert_int_equal(sum_v4, 7 + 0x200); /* as the sum reads it */
    assert_int_equal(sum_v6, 7);
    assert_false(tcp_ecn_marked(v4, false) || tcp_ecn_marked(v6, true));
    v4[1] |= 1;
    v6[1] |= 0x10;
    assert_true(tcp_ecn_marked(v4, false) && tcp_ecn_marked(v6, true));
    assert_false(tcp_ecn_marked((uint8_t[]){0x60, 0x0f}, true));
    assert_int_equal(tcp_ecn_tx(&c, c.snd_max - 1, 1, v4, &sum_v4), 0); /* sent again */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_initial_window),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_newreno),
        cmocka_unit_test(test_slow_start_is_bounded),
        cmocka_unit_test(test_idle_restarts),
        cmocka_unit_test(test_hystart_ends_slow_start),
        cmocka_unit_test(test_hystart_resumes),
        cmocka_unit_test(test_hystart_near),
        cmocka_unit_test(test_hystart_few_samples),
        cmocka_unit_test(test_dctcp_alpha),
        cmocka_unit_test(test_undo),
        cmocka_unit_test(test_codepoints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
