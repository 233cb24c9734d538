/* The path's MTU found with real data: convergence, black holes, loss beside. RFC 4821, 8899. */
#include "net/tcp/conn.h"
#include "net/tcp/tcp_path.h"
#include "tests/net/loss/transfer.h"
#include "tests/net/sim/cmocka_all.h"

#define MS UINT64_C(1000000)
#define S_NS UINT64_C(1000000000)
#define HEADERS 52u /* IPv4, TCP, timestamps */
#define MIB (UINT64_C(1) << 20)

static uint32_t path_takes; /* IP bytes */

static bool narrow(struct transfer *t, uint32_t seq, uint32_t len)
{
    (void)t, (void)seq;
    return len + HEADERS <= path_takes;
}

static void always(unsigned host, struct net_stack_config *config)
{
    (void)host;
    config->mtu_probing = NET_MTU_PROBE_ALWAYS;
}

static uint32_t mtu_now(const struct transfer *t)
{
    return tcp_conn_of(t->from)->mss + HEADERS;
}

static void begin(struct transfer *t, uint32_t mtu, unsigned loss,
                  void (*change)(unsigned host, struct net_stack_config *config))
{
    struct sim_faults faults = {.latency_ns = 50000, .loss = loss};
    *t = (struct transfer){.data_filter = narrow};
    path_takes = mtu;
    transfer_create(t, 7, &faults, change);
}

/* Time passes in which the connection has a little to send again and again. */
static void go_on(struct transfer *t, uint64_t ns)
{
    for (uint64_t end = t->wire.now + ns; t->wire.now < end; sim_wire_run(&t->wire, 20 * MS))
        assert_true(transfer_run(t, 20000, 10 * S_NS));
}

static void converges_without_a_trace_of_congestion(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1500, 1492, 1476, 1450, 1420, 1350, 1300, 1280};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct transfer t;
        begin(&t, sizes[i], 0, always);
        go_on(&t, 8 * S_NS);
        const struct net_metrics *m = transfer_metrics(&t, 0);
        assert_in_range(mtu_now(&t), sizes[i] - TCP_PATH_STEP + 1, sizes[i]);
        assert_int_equal(m->rto_fired, 0);
        assert_int_equal(m->sack_recoveries, 0);
        assert_true(m->mtu_probes > m->mtu_probes_lost || sizes[i] == 1280);
        assert_true(m->mtu_probes < 40);
        uint64_t probes = m->mtu_probes;
        go_on(&t, 5 * S_NS); /* and it rests */
        assert_int_equal(m->mtu_probes, probes);
        assert_int_equal(transfer_destroy(&t), 0);
    }
}

static void a_probe_costs_no_window(void **state)
{
    (void)state;
    struct transfer t;
    begin(&t, 1300, 0, always);
    const struct tcp_conn *c = tcp_conn_of(t.from);
    uint32_t ssthresh = c->ssthresh, cwnd = c->cwnd;
    assert_true(transfer_run(&t, 400000, 10 * S_NS));
    assert_true(transfer_metrics(&t, 0)->mtu_probes_lost >= 1);
    assert_int_equal(c->ssthresh, ssthresh);
    assert_true(c->cwnd > cwnd);
    assert_int_equal(transfer_destroy(&t), 0);
}

/* The path narrows in silence, the connection finds what passes; when it is wide again, that too. */
static void through_a_black_hole_and_back(void **state)
{
    (void)state;
    struct transfer t;
    begin(&t, 1500, 0, NULL);
    assert_true(transfer_run(&t, MIB, 10 * S_NS));
    assert_int_equal(mtu_now(&t), 1500);
    path_takes = 1400;
    assert_true(transfer_run(&t, MIB, 60 * S_NS));
    const struct net_metrics *m = transfer_metrics(&t, 0);
    assert_true(m->mtu_black_holes > 0);
    go_on(&t, 8 * S_NS);
    assert_in_range(mtu_now(&t), 1400 - TCP_PATH_STEP + 1, 1400);
    path_takes = 1500;
    sim_wire_run(&t.wire, TCP_PATH_RAISE_NS);
    go_on(&t, S_NS);
    assert_int_equal(mtu_now(&t), 1500);
    assert_int_equal(transfer_destroy(&t), 0);
}

/* A peer that was away for some timeouts looked like a black hole: a second later all is as before. */
static void a_false_suspicion_is_short(void **state)
{
    (void)state;
    struct transfer t;
    begin(&t, 1500, 0, NULL);
    path_takes = 0;
    assert_false(transfer_run(&t, 100000, 100 * MS));
    assert_true(transfer_metrics(&t, 0)->mtu_black_holes > 0);
    path_takes = 1500;
    assert_true(transfer_run(&t, 0, 10 * S_NS));
    go_on(&t, 3 * S_NS);
    assert_int_equal(mtu_now(&t), 1500);
    assert_int_equal(transfer_destroy(&t), 0);
}

/* Losses of all kinds beside: the bytes come whole, and the search ends where it should. */
static void beside_loss(void **state)
{
    (void)state;
    struct transfer t;
    begin(&t, 1450, 200, always);
    for (unsigned i = 0; i < 40; i++) {
        assert_true(transfer_run(&t, 200000, 60 * S_NS));
        sim_wire_run(&t.wire, 100 * MS);
    }
    assert_in_range(mtu_now(&t), TCP_PATH_BASE, 1450);
    assert_true(transfer_metrics(&t, 0)->mtu_raised > 0);
    assert_int_equal(transfer_destroy(&t), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(converges_without_a_trace_of_congestion),
        cmocka_unit_test(a_probe_costs_no_window),
        cmocka_unit_test(through_a_black_hole_and_back),
        cmocka_unit_test(a_false_suspicion_is_short),
        cmocka_unit_test(beside_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
