/* A megabyte each way over a bad wire, by IPv6: intact, in bounded virtual time, without a leak. */
#include <string.h>
#include "tests/net/sim/cmocka_all.h"
#include "tests/net/sim/wire.h"

#define BYTES (1u << 20)
#define CHUNK 4000u
#define SEEDS 6u

struct side {
    struct sim_host *host;
    struct stream *stream;
    uint64_t sent, received;
    bool bad, eof, closed, failed;
};

static struct net_addr addr_of(unsigned host)
{
    return (struct net_addr){.bytes = {0x20, 1, 0x0d, 0xb8, [15] = (uint8_t)(1 + host)}};
}

static uint8_t pattern(uint64_t at) { return (uint8_t)(at * UINT64_C(0x9e3779b97f4a7c15) >> 56); }

static void side_send(struct side *s)
{
    struct stream *t = s->stream;
    while (s->sent < BYTES && t->tx_queued < 65536) {
        struct buf_chain chain;
        buf_chain_init(&chain);
        uint32_t n = (uint32_t)RTE_MIN((uint64_t)1 + sim_random(s->host->wire) % 1600, BYTES - s->sent);
        struct rte_mbuf *m = rte_pktmbuf_alloc(s->host->pools.frame);
        if (!m) break;
        uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)n);
        for (uint32_t i = 0; i < n; i++) p[i] = pattern(s->sent + i);
        buf_chain_append(&chain, m);
        s->sent += n;
        t->ops->send(t, &chain);
    }
    if (s->sent == BYTES) t->ops->shutdown(t);
    t->tx_low_water = 32768;
    t->want_writable = true;
    t->ops->flush(t);
}

static void side_turn(void *arg, struct stream_loop *loop)
{
    struct side *s = arg;
    struct stream *t;
    while ((t = stream_loop_pop(loop)) != NULL) {
        uint32_t events = t->events, n = t->rx.len;
        t->events = 0;
        s->failed |= (events & STREAM_ERROR) != 0;
        s->eof |= (events & STREAM_EOF) != 0;
        for (const struct rte_mbuf *m = t->rx.head; m; m = m->next)
            for (uint32_t i = 0; i < m->data_len; i++) s->bad |= buf_data(m)[i] != pattern(s->received++);
        buf_chain_consume(&t->rx, n);
        t->ops->consumed(t, n);
        if (events & (STREAM_CONNECTED | STREAM_WRITABLE)) side_send(s);
    }
    if (s->stream && s->eof && s->sent == BYTES && s->stream->tx_queued == 0 && !s->closed) {
        s->stream->ops->close(s->stream);
        s->closed = true;
    }
}

static void side_accept(void *arg, struct stream *t)
{
    struct side *s = arg;
    s->stream = t;
    stream_raise(t, STREAM_CONNECTED);
}

static void add_v6(unsigned host, struct net_stack_config *config)
{
    assert_int_equal(net_stack_config_address(config, addr_of(host), 64), 0);
}

static void test_transfer(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct sim_wire w;
        struct sim_faults faults = {.latency_ns = 20000, .jitter_ns = 5000, .loss = 300, .duplicate = 200, .corrupt = 100,
                                    .reorder = 200};
        struct side sides[SIM_HOSTS] = {0};
        char peer[64];
        sim_wire_create(&w, seed, 4096, &faults, add_v6);
        for (unsigned i = 0; i < SIM_HOSTS; i++) {
            sides[i].host = &w.hosts[i];
            w.hosts[i].turn = side_turn;
            w.hosts[i].turn_arg = &sides[i];
        }
        assert_int_equal(net_listen(w.hosts[1].stack, 7, side_accept, &sides[1]), 0);
        struct net_endpoint to = {addr_of(1), 7};
        assert_int_equal(net_connect(w.hosts[0].stack, to, w.now, &sides[0].stream), 0);
        sides[0].stream->ops->peer(sides[0].stream, peer, sizeof peer);
        assert_string_equal(peer, "[2001:db8::2]:7");
        uint64_t until = w.now + UINT64_C(300000000000);
        while (sim_wire_step(&w, until)) {}
        for (unsigned i = 0; i < SIM_HOSTS; i++) {
            if (sides[i].received == BYTES && !sides[i].bad && !sides[i].failed && sides[i].closed) continue;
            fail_msg("seed %lu: side %u received %lu", (unsigned long)seed, i, (unsigned long)sides[i].received);
        }
        assert_int_equal(net_stack_metrics(w.hosts[0].stack)->drop_tcp_collision, 0);
        assert_int_equal(sim_wire_destroy(&w), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_transfer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
