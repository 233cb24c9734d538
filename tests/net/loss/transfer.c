#include "tests/net/loss/transfer.h"

#include <string.h>
#include <rte_byteorder.h>
#include "tests/net/sim/cmocka_all.h"
#include "tests/net/sim/script.h"

#define QUEUE_HIGH (1u << 20)
#define QUEUE_LOW (QUEUE_HIGH / 2)
#define PIECE 1400u
#define TCP_AT 34u

static uint8_t pattern(uint64_t at) { return (uint8_t)(at * UINT64_C(0x9e3779b97f4a7c15) >> 56); }

static void send_more(struct transfer *t)
{
    struct stream *s = t->from;
    while (t->sent < t->bytes && s->tx_queued < QUEUE_HIGH) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(t->wire.hosts[0].pools.frame);
        if (!m) break;
        uint32_t n = (uint32_t)RTE_MIN((uint64_t)PIECE, t->bytes - t->sent);
        uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)n);
        for (uint32_t i = 0; i < n; i++) p[i] = pattern(t->sent + i);
        struct buf_chain chain;
        buf_chain_init(&chain);
        buf_chain_append(&chain, m);
        t->sent += n;
        s->ops->send(s, &chain);
    }
    s->tx_low_water = QUEUE_LOW;
    s->want_writable = true;
    s->ops->flush(s);
}

static void receive(struct transfer *t, struct stream *s)
{
    for (const struct rte_mbuf *m = s->rx.head; m; m = m->next) {
        const uint8_t *p = buf_data(m);
        for (uint32_t i = 0; i < m->data_len; i++) t->bad |= p[i] != pattern(t->received + i);
        t->received += m->data_len;
    }
    uint32_t n = s->rx.len;
    buf_chain_consume(&s->rx, n);
    s->ops->consumed(s, n);
    if (t->received == t->bytes) t->done = t->wire.now;
}

static void turn(void *arg, struct stream_loop *loop)
{
    struct transfer *t = arg;
    struct stream *s;
    while ((s = stream_loop_pop(loop)) != NULL) {
        uint32_t events = s->events;
        s->events = 0;
        if (events & STREAM_ERROR) t->failed = true;
        if (events & STREAM_READABLE) receive(t, s);
        if (events & STREAM_WRITABLE && s == t->from) send_more(t);
    }
}

static void accepted(void *arg, struct stream *s) { ((struct transfer *)arg)->to = s; }

static uint32_t load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return rte_be_to_cpu_32(v);
}

/* The option's two bytes become two NOPs. */
static void sack_strip(uint8_t *frame, uint32_t len)
{
    uint32_t end = TCP_AT + (frame[TCP_AT + 12] >> 4) * 4u;
    for (uint32_t at = TCP_AT + 20; at + 1 < end; at += frame[at] == 1 ? 1 : frame[at + 1])
        if (frame[at] == 4) frame[at] = frame[at + 1] = 1;
    script_checksum(frame, len);
}

static bool filter(void *arg, unsigned from, const uint8_t *frame, uint32_t len)
{
    struct transfer *t = arg;
    bool held = from == 0 && t->hold_until > t->wire.now;
    t->wire.faults.latency_ns = t->latency_ns + (held ? t->hold_until - t->wire.now : 0);
    if (len < TCP_AT + 20 || frame[12] != 8 || frame[13] != 0) return true;
    /* The frame is the wire's own copy. */
    if (frame[TCP_AT + 13] & S && t->no_sack) sack_strip((uint8_t *)(uintptr_t)frame, len);
    uint32_t payload = len - TCP_AT - (frame[TCP_AT + 12] >> 4) * 4u;
    if (from == 0 && frame[TCP_AT + 13] & S) t->first_seq = load32(frame + TCP_AT + 4) + 1;
    if (from != 0 || payload == 0 || !t->data_filter) return true;
    return t->data_filter(t, load32(frame + TCP_AT + 4) - t->first_seq, payload);
}

void transfer_create(struct transfer *t, uint64_t seed, const struct sim_faults *faults,
                     void (*change)(unsigned host, struct net_stack_config *config))
{
    t->latency_ns = faults->latency_ns;
    struct sim_faults none = {.latency_ns = faults->latency_ns};
    sim_wire_create(&t->wire, seed, 8191, &none, change);
    for (unsigned i = 0; i < SIM_HOSTS; i++) {
        t->wire.hosts[i].turn = turn;
        t->wire.hosts[i].turn_arg = t;
    }
    t->wire.filter = filter;
    t->wire.filter_arg = t;
    assert_int_equal(net_listen(t->wire.hosts[1].stack, 7, accepted, t), 0);
    assert_int_equal(net_connect(t->wire.hosts[0].stack, net_endpoint_v4(sim_ip(1), 7), t->wire.now, &t->from), 0);
    sim_wire_run(&t->wire, 20 * faults->latency_ns + 1000000);
    assert_non_null(t->to);
    t->wire.faults = *faults;
}

bool transfer_run(struct transfer *t, uint64_t bytes, uint64_t limit_ns)
{
    t->started = t->wire.now;
    t->done = 0;
    t->bytes += bytes;
    send_more(t);
    while (!t->done && !t->failed && sim_wire_step(&t->wire, t->started + limit_ns)) {}
    return t->done && !t->bad && !t->failed;
}

const struct net_metrics *transfer_metrics(const struct transfer *t, unsigned host)
{
    return net_stack_metrics(t->wire.hosts[host].stack);
}

uint32_t transfer_destroy(struct transfer *t) { return sim_wire_destroy(&t->wire); }
