/* Ten megabytes each way at once over a bad wire: intact, in bounded virtual time, without a leak. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/net/sim/wire.h"

#define SEEDS 24u
#define BYTES (10u << 20)
#define CHUNK 4000u
#define QUEUE_LOW 65536u
#define TIME_LIMIT_NS UINT64_C(600000000000)

struct side {
    struct sim_host *host;
    struct stream *stream;
    uint64_t sent, received;
    uint64_t salt;
    bool bad, eof, failed, closed;
};

/* The byte at a position: depends on all of its bits, so that no shift or swap goes unseen. */
static uint8_t pattern(uint64_t salt, uint64_t at)
{
    uint64_t x = (at + salt) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint8_t)(x >> 56);
}

static void side_send(struct side *s)
{
    struct stream *t = s->stream;
    while (s->sent < BYTES && t->tx_queued < 2 * QUEUE_LOW) {
        struct buf_chain chain;
        buf_chain_init(&chain);
        uint32_t left = (uint32_t)RTE_MIN((uint64_t)CHUNK, BYTES - s->sent);
        /* Pieces of all sizes, so that copies, references and odd borders mix. */
        while (left) {
            uint32_t n = RTE_MIN(left, 1 + (uint32_t)(sim_random(s->host->wire) % 1600));
            struct rte_mbuf *m = rte_pktmbuf_alloc(s->host->pools.frame);
            if (!m) break;
            uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)n);
            for (uint32_t i = 0; i < n; i++) p[i] = pattern(s->salt, s->sent + i);
            buf_chain_append(&chain, m);
            s->sent += n;
            left -= n;
        }
        if (!chain.len) break;
        t->ops->send(t, &chain);
    }
    if (s->sent == BYTES) t->ops->shutdown(t);
    t->tx_low_water = QUEUE_LOW;
    t->want_writable = true;
    t->ops->flush(t);
}

static void side_receive(struct side *s)
{
    struct stream *t = s->stream;
    for (const struct rte_mbuf *m = t->rx.head; m; m = m->next) {
        const uint8_t *p = buf_data(m);
        for (uint32_t i = 0; i < m->data_len; i++) s->bad |= p[i] != pattern(!s->salt, s->received + i);
        s->received += m->data_len;
    }
    uint32_t n = t->rx.len;
    buf_chain_consume(&t->rx, n);
    t->ops->consumed(t, n);
}

static void side_turn(void *arg, struct stream_loop *loop)
{
    struct side *s = arg;
    struct stream *t;
    while ((t = stream_loop_pop(loop)) != NULL) {
        uint32_t events = t->events;
        t->events = 0;
        if (events & STREAM_ERROR) s->failed = true;
        if (events & STREAM_EOF) s->eof = true;
        if (events & STREAM_READABLE) side_receive(s);
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

static void run_seed(uint64_t seed)
{
    struct sim_wire w;
    struct sim_faults faults = {.latency_ns = 20000 + seed * 3000, .jitter_ns = 5000, .loss = 500, .duplicate = 200,
                                .corrupt = 100, .reorder = 200};
    struct side sides[SIM_HOSTS] = {{.salt = 0}, {.salt = 1}};
    sim_wire_create(&w, seed, 4096, &faults, NULL);
    for (unsigned i = 0; i < SIM_HOSTS; i++) {
        sides[i].host = &w.hosts[i];
        w.hosts[i].turn = side_turn;
        w.hosts[i].turn_arg = &sides[i];
    }
    assert_int_equal(net_listen(w.hosts[1].stack, 7, side_accept, &sides[1]), 0);
    assert_int_equal(net_connect(w.hosts[0].stack, net_endpoint_v4(sim_ip(1), 7), w.now, &sides[0].stream), 0);
    uint64_t start = w.now;
    while (sim_wire_step(&w, start + TIME_LIMIT_NS)) {}
    const struct net_metrics *m = net_stack_metrics(w.hosts[0].stack);
    if (getenv("SIM_VERBOSE"))
        printf("seed %lu: %.3f s virtual, %lu frames, retransmits %lu, fast %lu, rto %lu\n", (unsigned long)seed,
               (double)(w.now - start) / 1e9, (unsigned long)w.frames, (unsigned long)m->retransmits,
               (unsigned long)m->fast_retransmits, (unsigned long)m->rto_fired);
    bool ok = m->connections == 0 && m->half_open == 0;
    for (unsigned i = 0; i < SIM_HOSTS; i++)
        ok = ok && sides[i].received == BYTES && !sides[i].bad && !sides[i].failed && sides[i].closed;
    uint32_t leaked = sim_wire_destroy(&w);
    if (!ok || leaked)
        fail_msg("seed %lu: received %lu and %lu of %u, bad %d %d, failed %d %d, %u buffers leaked", (unsigned long)seed,
                 (unsigned long)sides[0].received, (unsigned long)sides[1].received, BYTES, sides[0].bad, sides[1].bad,
                 sides[0].failed, sides[1].failed, leaked);
}

static void test_transfer_over_bad_wire(void **state)
{
    (void)state;
    const char *only = getenv("SIM_SEED"); /* to repeat a failure */
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        if (!only || strtoull(only, NULL, 10) == seed) run_seed(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_transfer_over_bad_wire)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
