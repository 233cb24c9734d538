/*
 * 100,000 connections each hold a reply that nobody acknowledges: it is held by reference, headers are lent for a turn, and
 * scoreboards run out, which costs nobody his connection. Others are served meanwhile.
 */
#include <string.h>
#include <rte_ip.h>
#include "net/stack.h"
#include "tests/net/sim/cmocka_all.h"
#include "tests/net/sim/script.h"
#include "tests/support/eal.h"

#define CONNECTIONS 100000u
#define BOARDS 1000u
#define PORTS 50000u /* of each of the peer's addresses */
#define REPLY 1000u
#define SPARE 255u   /* buffers beside those that hold replies */
#define TCP_AT 34u
#define MS UINT64_C(1000000)

struct crowd {
    struct net_stack *stack;
    struct stream_loop loop;
    struct buf_pools pools;
    uint64_t now;
    struct stream *accepted;
    uint32_t syn_ack_seq;          /* host byte order: of the latest */
    uint64_t data_frames;
    struct stream *streams[CONNECTIONS + 1];
    uint32_t iss[CONNECTIONS + 1];
    uint8_t reply[REPLY];
    struct rte_mbuf_ext_shared_info shared;
};

static void taken(void *arg, struct rte_mbuf **frames, uint16_t n)
{
    struct crowd *w = arg;
    for (uint16_t i = 0; i < n; i++) {
        const uint8_t *tcp = rte_pktmbuf_mtod_offset(frames[i], const uint8_t *, TCP_AT);
        if (tcp[13] == (S | A)) w->syn_ack_seq = (uint32_t)tcp[4] << 24 | (uint32_t)tcp[5] << 16 | (uint32_t)tcp[6] << 8 | tcp[7];
        if (frames[i]->pkt_len > REPLY) w->data_frames++;
    }
    rte_pktmbuf_free_bulk(frames, n);
}

static void accepted(void *arg, struct stream *stream) { ((struct crowd *)arg)->accepted = stream; }

static void unheld(void *addr, void *opaque)
{
    (void)addr;
    (void)opaque;
}

static void crowd_create(struct crowd *w)
{
    struct net_stack_config config;
    struct buf_pools_config pools = {
        .frame_count = SPARE, .small_count = SPARE, .ref_count = CONNECTIONS + SPARE, .frame_room = 2048};
    test_eal_start();
    memset(w, 0, sizeof *w);
    w->now = UINT64_C(5000000000);
    assert_int_equal(buf_pools_create(&w->pools, &pools), 0);
    net_stack_config_default(&config);
    net_stack_config_address(&config, net_addr_v4(RTE_IPV4(10, 0, 0, 1)), 24);
    memcpy(config.mac, "\2\0\0\0\0\1", 6);
    config.secret[0] = UINT64_C(0x243f6a8885a308d3);
    config.secret[1] = UINT64_C(0x13198a2e03707344);
    config.max_connections = CONNECTIONS + 8;
    config.max_boards = BOARDS;
    config.pools = &w->pools;
    config.loop = &w->loop;
    config.tx = taken;
    config.tx_arg = w;
    assert_int_equal(net_stack_create(&w->stack, &config), 0);
    assert_int_equal(net_listen(w->stack, SCRIPT_PORT, accepted, w), 0);
    w->shared.free_cb = unheld;
    rte_mbuf_ext_refcnt_set(&w->shared, 1);
}

static void put32(uint8_t *p, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* A segment of the i-th peer, with MSS 1460 and SACK-permitted in its SYN. */
static void segment_in(struct crowd *w, uint32_t i, uint8_t flags, uint32_t seq, uint32_t ack)
{
    uint8_t frame[TCP_AT + 28] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45};
    uint32_t len = flags & S ? 62 : 54;
    frame[17] = (uint8_t)(len - 14);
    frame[22] = 64;
    frame[23] = 6;
    memcpy(frame + 26, (uint8_t[8]){10, 0, 0, (uint8_t)(2 + i / PORTS), 10, 0, 0, 1}, 8);
    uint16_t port = (uint16_t)(1000 + i % PORTS);
    memcpy(frame + TCP_AT, (uint8_t[4]){(uint8_t)(port >> 8), (uint8_t)port, 0, SCRIPT_PORT}, 4);
    put32(frame + TCP_AT + 4, seq);
    put32(frame + TCP_AT + 8, ack);
    frame[TCP_AT + 12] = (uint8_t)((len - TCP_AT) / 4 << 4);
    frame[TCP_AT + 13] = flags;
    memcpy(frame + TCP_AT + 14, "\xff\xff", 2);
    if (flags & S) memcpy(frame + TCP_AT + 20, "\2\4\x05\xb4\1\1\4\2", 8);
    script_checksum(frame, len);
    struct rte_mbuf *m = rte_pktmbuf_alloc(w->pools.frame);
    assert_non_null(m);
    memcpy(rte_pktmbuf_append(m, (uint16_t)len), frame, len);
    net_stack_input(w->stack, &m, 1, w->now);
    net_stack_output(w->stack, w->now);
}

static void open_one(struct crowd *w, uint32_t i)
{
    w->accepted = NULL;
    segment_in(w, i, S, 100, 0);
    w->iss[i] = w->syn_ack_seq;
    segment_in(w, i, A, 101, w->iss[i] + 1);
    assert_non_null(w->accepted);
    w->streams[i] = w->accepted;
}

static void reply_one(struct crowd *w, uint32_t i)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(w->pools.ref);
    struct buf_chain chain;
    assert_non_null(m);
    rte_mbuf_ext_refcnt_update(&w->shared, 1);
    rte_pktmbuf_attach_extbuf(m, w->reply, 0, REPLY, &w->shared);
    m->data_len = REPLY;
    buf_chain_init(&chain);
    buf_chain_append(&chain, m);
    w->streams[i]->ops->send(w->streams[i], &chain);
    w->streams[i]->ops->flush(w->streams[i]);
    net_stack_output(w->stack, w->now);
}

static void time_passes(struct crowd *w, uint64_t ns)
{
    for (uint64_t until = w->now + ns; w->now < until;) {
        uint64_t at = net_stack_deadline(w->stack);
        w->now = RTE_MIN(RTE_MAX(at, w->now + 1), until);
        net_stack_timers(w->stack, w->now);
        net_stack_output(w->stack, w->now);
    }
}

static void test_unacknowledged(void **state)
{
    (void)state;
    static struct crowd w;
    crowd_create(&w);
    const struct net_metrics *m = net_stack_metrics(w.stack);
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        open_one(&w, i);
        reply_one(&w, i);
    }
    assert_int_equal(w.data_frames, CONNECTIONS);
    assert_int_equal(buf_pools_in_use(&w.pools), CONNECTIONS); /* one reference each, and nothing else */
    time_passes(&w, 500 * MS); /* probes of the tail, timeouts */
    assert_true(m->rto_fired >= CONNECTIONS);
    assert_true(m->retransmits >= CONNECTIONS);
    assert_true(m->board_pool_empty > 0);
    assert_int_equal(m->tx_no_buffer, 0);
    assert_int_equal(buf_pools_in_use(&w.pools), CONNECTIONS);

    open_one(&w, CONNECTIONS); /* another one is served */
    reply_one(&w, CONNECTIONS);
    assert_int_equal(w.streams[CONNECTIONS]->tx_queued, REPLY);
    segment_in(&w, CONNECTIONS, A, 101, w.iss[CONNECTIONS] + 1 + REPLY);
    assert_int_equal(w.streams[CONNECTIONS]->tx_queued, 0);

    for (uint32_t i = 0; i < CONNECTIONS; i += 2) segment_in(&w, i, A, 101, w.iss[i] + 1 + REPLY);
    assert_int_equal(buf_pools_in_use(&w.pools), CONNECTIONS / 2);
    for (uint32_t i = 0; i <= CONNECTIONS; i++) w.streams[i]->ops->abort(w.streams[i]);
    net_stack_output(w.stack, w.now);
    assert_int_equal(m->connections, 0);
    assert_int_equal(buf_pools_in_use(&w.pools), 0);
    net_stack_destroy(&w.stack);
    buf_pools_destroy(&w.pools);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_unacknowledged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
