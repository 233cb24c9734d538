/* Congestion control through a bottleneck: one or two senders, a link that is slower than theirs, its queue. */
#include <stdlib.h>
#include <string.h>
#include "tests/net/sim/cmocka_all.h"
#include "tests/net/sim/fabric.h"

#define MS FABRIC_NS_PER_MS
#define MBIT UINT64_C(1000000)
#define RECEIVER 2u
#define SENDERS 2u
#define WINDOW (3u << 19) /* bytes queued by a sender, and a receiver's window: more than path and queue hold */
#define WINDOW_DEEP (7u << 20)

struct flow {
    struct stream *stream;
    uint64_t received;
};

struct bench {
    struct fabric fabric;
    struct flow flows[SENDERS]; /* by the sender's host; the receiver's streams find theirs by the listener's port */
    uint64_t counted[SENDERS];
};

static struct bench bench;
static enum net_tcp_cc algorithms[SENDERS];
static enum net_tcp_ecn ecn;
static uint32_t window = WINDOW;

static void change(struct fabric *f, unsigned host, struct net_stack_config *config)
{
    (void)f;
    config->rx_window = window;
    config->tcp_ecn = ecn;
    config->tcp_cc = algorithms[host == RECEIVER ? 0 : host];
}

static void fill(struct fabric_host *h, struct stream *t)
{
    static const uint8_t bytes[1400];
    while (t->tx_queued < window) {
        struct buf_chain chain;
        buf_chain_init(&chain);
        struct rte_mbuf *m = rte_pktmbuf_alloc(h->pools.frame);
        assert_non_null(m);
        memcpy(rte_pktmbuf_append(m, sizeof bytes), bytes, sizeof bytes);
        buf_chain_append(&chain, m);
        t->ops->send(t, &chain);
    }
    t->tx_low_water = window - 4 * (uint32_t)sizeof bytes;
    t->want_writable = true;
    t->ops->flush(t);
}

static void turn(void *arg, unsigned host)
{
    struct bench *b = arg;
    struct fabric_host *h = &b->fabric.hosts[host];
    struct stream *t;
    while ((t = stream_loop_pop(&h->loop)) != NULL) {
        uint32_t events = t->events;
        t->events = 0;
        assert_false(events & (STREAM_ERROR | STREAM_EOF));
        if (events & STREAM_READABLE) {
            uint32_t n = t->rx.len;
            ((struct flow *)t->user)->received += n;
            buf_chain_consume(&t->rx, n);
            t->ops->consumed(t, n);
        }
        if (events & (STREAM_CONNECTED | STREAM_WRITABLE)) fill(h, t);
    }
}

static void accepted(void *arg, struct stream *t)
{
    t->user = arg;
}

/* rtt_ns: both ways, without the queue. */
static void bench_start(uint64_t rtt_ns, uint64_t rate, uint32_t queue_bytes, uint32_t mark_bytes)
{
    struct fabric *f = &bench.fabric;
    f->turn = turn;
    f->arg = &bench;
    fabric_start(f, 1, 3, 8191, change);
    memset(bench.flows, 0, sizeof bench.flows);
    f->hosts[RECEIVER].down.faults = (struct fabric_faults){.latency_ns = rtt_ns / 2,
                                                            .rate = rate,
                                                            .queue_bytes = queue_bytes,
                                                            .mark_bytes = mark_bytes,
                                                            .jitter_ns = 1000};
    f->hosts[RECEIVER].up.faults.latency_ns = rtt_ns / 2;
    for (unsigned i = 0; i < SENDERS; i++) {
        assert_int_equal(net_listen(f->hosts[RECEIVER].stack, (uint16_t)(7 + i), accepted, &bench.flows[i]), 0);
        f->hosts[i].up.faults = (struct fabric_faults){.latency_ns = 1000, .rate = 10 * rate};
        f->hosts[i].down.faults.latency_ns = 1000;
    }
}

static void flow_start(unsigned i)
{
    struct fabric *f = &bench.fabric;
    assert_int_equal(
        net_connect(f->hosts[i].stack, net_endpoint_v4(fabric_ip(RECEIVER), (uint16_t)(7 + i)), f->now, &bench.flows[i].stream), 0);
    fabric_turn(f, i);
}

/* Runs on; returns what all flows got of the link, in percent, and each one's bytes in counted. */
static unsigned measure(uint64_t ns, uint64_t rate)
{
    uint64_t before[SENDERS], sum = 0;
    for (unsigned i = 0; i < SENDERS; i++) before[i] = bench.flows[i].received;
    fabric_run(&bench.fabric, ns);
    for (unsigned i = 0; i < SENDERS; i++) sum += bench.counted[i] = bench.flows[i].received - before[i];
    return (unsigned)(100 * (double)sum * 8 / ((double)rate * (double)ns / 1e9));
}

static unsigned share(void)
{
    return (unsigned)(bench.counted[0] * 100 / (bench.counted[0] + bench.counted[1]));
}

static void say(const char *what, unsigned percent)
{
    const struct fabric_pipe *p = &bench.fabric.hosts[RECEIVER].down;
    if (!getenv("BENCH_VERBOSE")) return;
    print_message("%s: %u%% of the link, first flow %u%%, dropped %lu, marked %lu, queue up to %u\n", what, percent,
                  share(), (unsigned long)p->dropped, (unsigned long)p->marked, p->queue_most);
    for (unsigned i = 0; i < SENDERS; i++) {
        const struct net_metrics *m = net_stack_metrics(bench.fabric.hosts[i].stack);
        print_message("  sender %u: retransmits %lu, timeouts %lu, fast %lu\n", i, (unsigned long)m->retransmits,
                      (unsigned long)m->rto_fired, (unsigned long)m->fast_retransmits);
    }
}

static void bench_stop(void)
{
    assert_int_equal(fabric_stop(&bench.fabric), 0);
}

/* RFC 9406: slow start ends by the queue's delay, while a deep queue is not yet full. */
static void test_hystart_spares_the_queue(void **state)
{
    (void)state;
    const uint64_t rate = 100 * MBIT;
    uint64_t dropped[2];
    window = WINDOW_DEEP;
    for (unsigned i = 0; i < 2; i++) {
        algorithms[0] = i ? NET_TCP_NEWRENO : NET_TCP_CUBIC;
        bench_start(20 * MS, rate, 3500000, 0);
        flow_start(0);
        unsigned percent = measure(1500 * MS, rate);
        dropped[i] = bench.fabric.hosts[RECEIVER].down.dropped;
        say(i ? "newreno into a deep queue" : "cubic into a deep queue", percent);
        if (!i) assert_in_range(percent, 80, 100);
        bench_stop();
    }
    window = WINDOW;
    assert_int_equal(dropped[0], 0);
    assert_true(dropped[1] > 0); /* without it there is loss */
}

/* The same within a data centre: 100 us, 10 Gb/s. */
static void test_hystart_near(void **state)
{
    (void)state;
    const uint64_t rate = 10000 * MBIT;
    algorithms[0] = NET_TCP_CUBIC;
    bench_start(100000, rate, 1500000, 0);
    flow_start(0);
    unsigned percent = measure(30 * MS, rate);
    say("cubic, 100 us", percent);
    assert_int_equal(bench.fabric.hosts[RECEIVER].down.dropped, 0);
    assert_in_range(percent, 85, 100);
    bench_stop();
}

static void fairness(enum net_tcp_cc first, enum net_tcp_cc second, unsigned least, unsigned most)
{
    const uint64_t rate = 50 * MBIT;
    algorithms[0] = first;
    algorithms[1] = second;
    bench_start(10 * MS, rate, 62500, 0);
    flow_start(0);
    measure(2000 * MS, rate);
    flow_start(1); /* the newcomer finds the link full */
    measure(10000 * MS, rate);
    unsigned percent = measure(40000 * MS, rate);
    say("fairness", percent);
    assert_in_range(percent, 80, 100);
    assert_in_range(share(), least, most);
    bench_stop();
}

static void test_cubic_beside_cubic(void **state)
{
    (void)state;
    fairness(NET_TCP_CUBIC, NET_TCP_CUBIC, 40, 60);
}

static void test_cubic_beside_newreno(void **state)
{
    (void)state;
    fairness(NET_TCP_CUBIC, NET_TCP_NEWRENO, 35, 75);
}

static void test_newreno_beside_newreno(void **state)
{
    (void)state;
    fairness(NET_TCP_NEWRENO, NET_TCP_NEWRENO, 40, 60);
}

/* RFC 8257 1: with marks from 30 KB on, two flows keep the queue near there, lose nothing and use the link. */
static void test_dctcp_keeps_the_queue_short(void **state)
{
    (void)state;
    const uint64_t rate = 1000 * MBIT;
    algorithms[0] = algorithms[1] = NET_TCP_DCTCP;
    bench_start(200000, rate, 500000, 30000);
    for (unsigned i = 0; i < SENDERS; i++) flow_start(i);
    struct fabric_pipe *p = &bench.fabric.hosts[RECEIVER].down;
    measure(100 * MS, rate);
    p->queue_most = 0;
    unsigned percent = measure(500 * MS, rate);
    say("dctcp", percent);
    assert_int_equal(p->dropped, 0);
    assert_in_range(p->queue_most, 30000, 80000);
    assert_in_range(percent, 90, 100);
    assert_in_range(share(), 35, 65);
    bench_stop();
}

/* RFC 3168: marks instead of loss, for CUBIC too. */
static void test_cubic_heeds_marks(void **state)
{
    (void)state;
    const uint64_t rate = 100 * MBIT;
    algorithms[0] = algorithms[1] = NET_TCP_CUBIC;
    ecn = NET_TCP_ECN_ON;
    bench_start(10 * MS, rate, 500000, 100000);
    for (unsigned i = 0; i < SENDERS; i++) flow_start(i);
    unsigned percent = measure(10000 * MS, rate);
    say("cubic with marks", percent);
    const struct fabric_host *h = bench.fabric.hosts;
    assert_int_equal(h[RECEIVER].down.dropped, 0);
    for (unsigned i = 0; i < SENDERS; i++) {
        assert_true(net_stack_metrics(h[i].stack)->ecn_reductions > 3);
        assert_int_equal(net_stack_metrics(h[i].stack)->retransmits, 0);
    }
    assert_in_range(h[RECEIVER].down.queue_most, 100000, 400000);
    assert_in_range(percent, 85, 100);
    bench_stop();
    ecn = NET_TCP_ECN_PASSIVE;
}

static int finish(void **state)
{
    (void)state;
    fabric_free(&bench.fabric);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hystart_spares_the_queue), cmocka_unit_test(test_hystart_near),
        cmocka_unit_test(test_cubic_beside_cubic),       cmocka_unit_test(test_cubic_beside_newreno),
        cmocka_unit_test(test_newreno_beside_newreno),   cmocka_unit_test(test_dctcp_keeps_the_queue_short),
        cmocka_unit_test(test_cubic_heeds_marks),
    };
    return cmocka_run_group_tests(tests, NULL, finish);
}
