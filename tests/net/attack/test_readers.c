/*
 * Two thousand connections on which the peer sends and nobody reads, and eight on which an application answers. What is
 * unread stays within the stack's bound, those that wait probe closed windows, the eight go on as if there were no
 * others; and once somebody reads, all arrives.
 */
#include <string.h>
#include "net/stack_impl.h"
#include "tests/net/sim/cmocka_all.h"
#include "tests/net/sim/wire.h"

#define READERS 2000u
#define GOOD 8u
#define CONNS (READERS + GOOD)
#define SENT 5600u /* bytes on each; more than the window */
#define PIECE 1400u
#define WINDOW 4096u
#define ROUNDS 200u
#define MESSAGE 500u
#define BUFFERS 12287u
#define SECOND UINT64_C(1000000000)

struct end {
    struct stream *stream;
    bool good;
    uint32_t received, rounds;
    bool failed;
};

struct readers {
    struct sim_wire wire;
    struct end clients[CONNS], servers[CONNS];
    unsigned accepted;
    bool reading;
};

static void write_bytes(struct readers *r, unsigned host, struct stream *s, uint32_t n)
{
    struct buf_chain chain;
    buf_chain_init(&chain);
    for (uint32_t done = 0; done < n;) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(r->wire.hosts[host].pools.frame);
        assert_non_null(m);
        uint16_t len = (uint16_t)RTE_MIN(n - done, PIECE);
        memset(rte_pktmbuf_append(m, len), 'r', len);
        buf_chain_append(&chain, m);
        done += len;
    }
    s->ops->send(s, &chain);
    s->ops->flush(s);
}

static void accepted(void *arg, struct stream *s)
{
    struct readers *r = arg;
    assert_in_range(r->accepted, 0, CONNS - 1);
    struct end *e = &r->servers[r->accepted];
    e->good = r->accepted < GOOD; /* the first to be opened */
    e->stream = s;
    s->user = e;
    r->accepted++;
}

static uint32_t read_all(struct end *e)
{
    uint32_t n = e->stream->rx.len;
    buf_chain_consume(&e->stream->rx, n);
    e->stream->ops->consumed(e->stream, n);
    e->received += n;
    return n;
}

static void turn(struct readers *r, unsigned host, struct stream_loop *loop)
{
    struct stream *s;
    while ((s = stream_loop_pop(loop)) != NULL) {
        struct end *e = s->user;
        uint32_t events = s->events;
        s->events = 0;
        if (!e) continue;
        if (events & STREAM_ERROR) e->failed = true;
        if (!(events & STREAM_READABLE) || (host == 1 && !e->good && !r->reading)) continue;
        read_all(e);
        if (!e->good) continue;
        uint32_t whole = e->received / MESSAGE;
        for (; e->rounds < whole; e->rounds++)
            if (host == 1 || e->rounds + 1 < ROUNDS) write_bytes(r, host, s, MESSAGE);
    }
}

static void client_turn(void *arg, struct stream_loop *loop)
{
    turn(arg, 0, loop);
}

static void server_turn(void *arg, struct stream_loop *loop)
{
    turn(arg, 1, loop);
}

static void configure(unsigned host, struct net_stack_config *config)
{
    config->rx_window = host == 1 ? WINDOW : 65536;
    config->rto_max_ns = 2 * SECOND;
}

static void open_some(struct readers *r, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        struct end *e = &r->clients[i];
        assert_int_equal(net_connect(r->wire.hosts[0].stack, net_endpoint_v4(sim_ip(1), 7), r->wire.now, &e->stream),
                         0);
        e->stream->user = e;
        e->good = i < GOOD;
        if (i % 64 == 63) sim_wire_run(&r->wire, SECOND / 1000);
    }
    sim_wire_run(&r->wire, SECOND / 10);
    assert_int_equal(r->accepted, to);
}

static void bounds_check(const struct readers *r)
{
    const struct net_stack *st = r->wire.hosts[1].stack;
    assert_in_range(st->rx_memory, 1, st->config.rx_memory);
    assert_true(rte_mempool_avail_count(r->wire.hosts[1].pools.frame) > BUFFERS / 4);
}

static void good_ones_go_on(struct readers *r)
{
    for (unsigned i = 0; i < GOOD; i++) write_bytes(r, 0, r->clients[i].stream, MESSAGE);
    for (unsigned i = 0; i < 100; i++) {
        sim_wire_run(&r->wire, SECOND / 50);
        bounds_check(r);
    }
    for (unsigned i = 0; i < GOOD; i++) assert_int_equal(r->clients[i].rounds, ROUNDS);
}

static void somebody_reads(struct readers *r)
{
    r->reading = true;
    for (unsigned i = GOOD; i < CONNS; i++) read_all(&r->servers[i]);
    sim_wire_run(&r->wire, 20 * SECOND);
    for (unsigned i = GOOD; i < CONNS; i++) {
        assert_int_equal(r->servers[i].received, SENT);
        assert_false(r->servers[i].failed || r->clients[i].failed);
    }
    assert_int_equal(((const struct net_stack *)r->wire.hosts[1].stack)->rx_memory, 0);
}

static void test_thousands_that_never_read(void **state)
{
    (void)state;
    static struct readers r;
    struct sim_faults faults = {.latency_ns = 20000};
    sim_wire_create(&r.wire, 3, BUFFERS, &faults, configure);
    r.wire.hosts[0].turn = client_turn;
    r.wire.hosts[1].turn = server_turn;
    r.wire.hosts[0].turn_arg = r.wire.hosts[1].turn_arg = &r;
    assert_int_equal(net_listen(r.wire.hosts[1].stack, 7, accepted, &r), 0);
    open_some(&r, 0, GOOD);
    open_some(&r, GOOD, CONNS);
    for (unsigned i = GOOD; i < CONNS; i++) {
        write_bytes(&r, 0, r.clients[i].stream, SENT);
        if (i % 64 == 63) sim_wire_run(&r.wire, SECOND / 1000);
    }
    sim_wire_run(&r.wire, SECOND);
    bounds_check(&r);
    good_ones_go_on(&r);
    assert_true(net_stack_metrics(r.wire.hosts[0].stack)->zero_window_probes > READERS);
    somebody_reads(&r);
    assert_int_equal(sim_wire_destroy(&r.wire), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_thousands_that_never_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
