/* Loss, reordering, delay and lost tails over a simulated wire, in virtual time. SIM_VERBOSE=1 prints the figures. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/net/loss/transfer.h"
#include "tests/net/sim/cmocka_all.h"

#define MS UINT64_C(1000000)
#define LATENCY_NS UINT64_C(50000)
#define RTT_NS (2 * LATENCY_NS)

static void say(const char *what, const struct transfer *t)
{
    const struct net_metrics *m = transfer_metrics(t, 0);
    if (!getenv("SIM_VERBOSE")) return;
    printf("%s: %.3f ms, %lu frames, sent again %lu, recoveries %lu, RACK %lu, probes %lu, timeouts %lu, undone %lu, "
           "D-SACKs %lu, board pool empty %lu\n", what, (double)(t->done - t->started) / 1e6, (unsigned long)m->tx_frames,
           (unsigned long)m->retransmits, (unsigned long)(m->sack_recoveries + m->fast_retransmits),
           (unsigned long)m->rack_losses, (unsigned long)m->tlp_probes, (unsigned long)m->rto_fired,
           (unsigned long)m->spurious_undone, (unsigned long)m->dsacks_received, (unsigned long)m->board_pool_empty);
}

/* ns for the transfer of `bytes` with loss in parts of 10,000; averaged over seeds. */
static uint64_t lossy(unsigned loss, uint64_t bytes, bool no_sack, const char *what)
{
    uint64_t sum = 0;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct transfer t = {.no_sack = no_sack};
        struct sim_faults faults = {.latency_ns = LATENCY_NS, .loss = loss};
        transfer_create(&t, seed, &faults, NULL);
        assert_true(transfer_run(&t, bytes, 600000 * MS));
        sum += t.done - t.started;
        say(what, &t);
        assert_int_equal(transfer_destroy(&t), 0);
    }
    return sum / 4;
}

/* One in ten is lost, in both directions: intact, and without waiting for timeouts most of the time. */
static void test_ten_percent(void **state)
{
    (void)state;
    uint64_t ns = lossy(1000, 2 << 20, false, "10%, SACK");
    assert_true(ns < 2000 * MS);
}

/*
 * SACK recovery against NewReno over the same wire. At 1% congestion control is what limits both; at 5% NewReno waits for
 * timeouts most of the time.
 */
static void test_against_newreno(void **state)
{
    (void)state;
    uint64_t sack = lossy(100, 8 << 20, false, "1%, SACK"), newreno = lossy(100, 8 << 20, true, "1%, NewReno");
    assert_true(10 * newreno > 14 * sack);
    sack = lossy(500, 2 << 20, false, "5%, SACK");
    newreno = lossy(500, 2 << 20, true, "5%, NewReno");
    assert_true(newreno > 2 * sack);
}

/* Frames overtake each other by up to a quarter of a round trip, and none is lost: at most one in 500 is sent twice. */
static void test_reordering_without_loss(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct transfer t = {0};
        struct sim_faults faults = {.latency_ns = LATENCY_NS, .jitter_ns = RTT_NS / 4};
        transfer_create(&t, seed, &faults, NULL);
        assert_true(transfer_run(&t, 8 << 20, 60000 * MS));
        say("reordering", &t);
        const struct net_metrics *m = transfer_metrics(&t, 0);
        assert_true(transfer_metrics(&t, 1)->out_of_order > 500);
        assert_true(m->retransmits * 500 <= m->tx_frames);
        assert_int_equal(m->rto_fired, 0);
        assert_int_equal(transfer_destroy(&t), 0);
    }
}

struct tail {
    uint32_t from; /* first byte whose first sending is lost */
    uint32_t lost;
    uint32_t highest;
};

/* The first sending of each byte from tail.from on is lost; what is sent again arrives. */
static bool tail_filter(struct transfer *t, uint32_t seq, uint32_t len)
{
    struct tail *tail = t->arg;
    bool first = seq + len > tail->highest;
    if (first) tail->highest = seq + len;
    if (!first || seq + len <= tail->from) return true;
    tail->lost++;
    return false;
}

/* The last n segments of a flight of eight are lost: how much later has all arrived? */
static void lost_tail(unsigned n)
{
    const uint32_t mss = 1448, bytes = 8 * mss;
    struct transfer t = {0};
    struct sim_faults faults = {.latency_ns = LATENCY_NS};
    struct tail tail = {.from = 1000 * mss};
    transfer_create(&t, 1, &faults, NULL);
    t.data_filter = tail_filter;
    t.arg = &tail;
    for (unsigned i = 0; i < 30; i++) { /* until the round trip is known well */
        assert_true(transfer_run(&t, bytes, 100 * MS));
        sim_wire_run(&t.wire, 3 * MS);
    }
    assert_true(transfer_run(&t, bytes, 100 * MS));
    uint64_t whole = t.done - t.started;
    sim_wire_run(&t.wire, 3 * MS);
    tail.from = (uint32_t)t.bytes + bytes - n * mss;
    tail.highest = (uint32_t)t.bytes;
    assert_true(transfer_run(&t, bytes, 100 * MS));
    say("lost tail", &t);
    uint64_t cost = t.done - t.started - whole;
    assert_int_equal(tail.lost, n);
    if (getenv("SIM_VERBOSE")) printf("tail of %u: %.1f us late\n", n, (double)cost / 1e3);
    /* One lost segment: the probe mends it. More: the probe's ACK takes another round trip to show them. */
    assert_true(cost < 2 * RTT_NS + MS + (n > 1 ? RTT_NS : 0));
    assert_int_equal(transfer_metrics(&t, 0)->rto_fired, 0);
    assert_int_equal(transfer_destroy(&t), 0);
}

static void test_lost_tail(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 7; n += 2) lost_tail(n);
}

/* The path stands still for 20 ms: what the timeout took away is given back, and little is sent twice. */
static void test_delay_spike(void **state)
{
    (void)state;
    struct transfer t = {0};
    struct sim_faults faults = {.latency_ns = LATENCY_NS};
    transfer_create(&t, 1, &faults, NULL);
    assert_true(transfer_run(&t, 4 << 20, 1000 * MS));
    uint64_t normal = t.done - t.started;
    t.hold_until = t.wire.now + 20 * MS;
    assert_true(transfer_run(&t, 4 << 20, 1000 * MS));
    say("delay spike", &t);
    const struct net_metrics *m = transfer_metrics(&t, 0);
    assert_true(m->rto_fired >= 1);
    assert_int_equal(m->spurious_undone, 1);
    assert_true(m->retransmits <= m->rto_fired + m->tlp_probes);
    assert_true(t.done - t.started < 20 * MS + RTT_NS + 2 * normal);
    assert_int_equal(transfer_destroy(&t), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ten_percent),
        cmocka_unit_test(test_against_newreno),
        cmocka_unit_test(test_reordering_without_loss),
        cmocka_unit_test(test_lost_tail),
        cmocka_unit_test(test_delay_spike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
