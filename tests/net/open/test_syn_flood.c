/*
 * A million SYNs from as many strangers (fewer under a sanitizer): RFC 4987. What is open goes on, who is honest gets
 * in, memory is bounded.
 */
#include <string.h>
#include <rte_byteorder.h>
#include "tests/net/sim/cmocka_all.h"
#include "tests/net/sim/script.h"

#ifdef __SANITIZE_ADDRESS__
#define SYNS 200000u
#else
#define SYNS 1000000u
#endif
#define BURST 32u
#define ENTRIES 1024u

static net_tx_fn *script_tx;
static bool flooding; /* answers to strangers go unseen */
static uint64_t answers;

static void tx(void *arg, struct rte_mbuf **frames, uint16_t n)
{
    if (!flooding) {
        script_tx(arg, frames, n);
        return;
    }
    answers += n;
    rte_pktmbuf_free_bulk(frames, n);
}

static void flooded(struct net_stack_config *config)
{
    script_tx = config->tx;
    config->tx = tx;
    config->rx_checksum = true;
    config->max_half_open = ENTRIES;
}

static void flood_burst(struct script *s, uint32_t from)
{
    struct rte_mbuf *frames[BURST];
    uint8_t frame[SCRIPT_FRAME_BYTES];
    uint32_t len = script_build(s, frame, S, 0, 0, 65535, (const uint8_t[4]){2, 4, 5, 180}, 4, NULL, 0);
    for (uint32_t i = 0; i < BURST; i++) {
        uint32_t ip_be = rte_cpu_to_be_32(0x0b000000u + from + i);
        frames[i] = rte_pktmbuf_alloc(s->pools.frame);
        assert_non_null(frames[i]);
        frames[i]->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
        uint8_t *p = (uint8_t *)rte_pktmbuf_append(frames[i], (uint16_t)len);
        memcpy(p, frame, len);
        memcpy(p + 26, &ip_be, 4);
    }
    s->now += BURST * 1000; /* a SYN each microsecond */
    flooding = true;
    net_stack_input(s->stack, frames, BURST, s->now);
    net_stack_timers(s->stack, s->now);
    net_stack_output(s->stack, s->now);
    flooding = false;
}

struct peer {
    uint16_t port;
    uint32_t iss;
    struct stream *stream;
};

static void peer_open(struct script *s, struct peer *p)
{
    uint64_t before = s->accepted;
    s->peer_port = p->port;
    script_open(s, 65535);
    assert_int_equal(s->accepted, before + 1);
    p->iss = s->iss;
    p->stream = s->stream;
}

/* A request and its answer, at once. */
static void peer_ask(struct script *s, struct peer *p, uint32_t turn)
{
    s->peer_port = p->port;
    s->iss = p->iss;
    s->stream = p->stream;
    script_send(s, P | A, 1 + 3 * turn, 1 + 5 * turn, 65535, "get", 3);
    assert_int_equal(p->stream->rx.len, 3);
    buf_chain_consume(&p->stream->rx, 3);
    p->stream->ops->consumed(p->stream, 3);
    script_write(s, 5);
    script_expect(s, A, 1 + 5 * turn, 4 + 3 * turn, 5);
}

static void test_flood(void **state)
{
    (void)state;
    struct script s;
    struct peer old = {.port = 4001}, young = {.port = 4002};
    script_create(&s, flooded);
    peer_open(&s, &old);
    uint32_t turn = 0, young_turn = 0;
    for (uint32_t sent = 0; sent < SYNS; sent += BURST) {
        flood_burst(&s, sent);
        assert_in_range(net_stack_metrics(s.stack)->half_open, 1, ENTRIES);
        if (sent % (SYNS / 100) < BURST) peer_ask(&s, &old, turn++);
        if (sent / BURST == SYNS / BURST / 2) peer_open(&s, &young); /* in the midst of it */
        if (young.stream && sent % (SYNS / 100) < BURST) peer_ask(&s, &young, young_turn++);
    }
    const struct net_metrics *m = net_stack_metrics(s.stack);
    assert_int_equal(net_stack_connections(s.stack), 2);
    assert_int_equal(turn, 100);
    assert_in_range(young_turn, 49, 50);
    assert_int_equal(m->drop_tcp_limit, 0);
    assert_int_equal(m->syn_cookies_accepted, 1);
    assert_in_range(m->syn_cookies_sent, SYNS - ENTRIES, SYNS - ENTRIES + 100);
    assert_true(answers >= SYNS);
    assert_int_equal(buf_pools_in_use(&s.pools), 2); /* the last answers */
    flooding = true;
    script_wait(&s, 64000 * SCRIPT_MS);
    assert_int_equal(m->half_open, 0); /* and all is as before */
    assert_int_equal(script_destroy(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_flood)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
