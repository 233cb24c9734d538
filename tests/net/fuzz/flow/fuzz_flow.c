/*
 * Whole connections, up to four at a time, of either family: the input is a program of 8-byte records. Of the first,
 * each bit says how the stack is made; each other is an operation on one connection: a segment placed relative to its
 * state, SACK blocks over what is in flight, a handshake with any options, ICMP about it, a neighbour's message, an act
 * of the application, time, buffers that run out. So a mutation of a record changes one event, and one of the order of
 * records (fuzz_flow_mutate.c) the order of events.
 */
#include <stdlib.h>
#include <string.h>
#include "net/stack_impl.h"
#include "tests/net/fuzz/flow/flow.h"

#define RECORD 8u
#define RECORDS_MAX 400u

enum op {
    OP_SEGMENT,
    OP_DATA,
    OP_ACK,
    OP_SACK,
    OP_SYN,
    OP_ANSWER, /* what completes a handshake, or takes part in it */
    OP_CONNECT,
    OP_WRITE,
    OP_READ,
    OP_LEAVE,
    OP_WAIT,
    OP_ICMP,
    OP_NEIGHBOUR,
    OP_HEADER, /* what is odd about the next segment */
    OP_BUFFERS,
    OP_FIN,
    OP_COUNT
};

static uint16_t half(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

/* Evenly over the orders of magnitude, up to most. */
static uint32_t length(uint8_t code, uint32_t most)
{
    uint32_t n = (code & 15u) + ((uint32_t)(code >> 4) * (code >> 4) << 3);
    return n < most ? n : most;
}

static uint32_t sequence(const struct flow_peer *p, uint8_t anchor, int16_t off)
{
    const uint32_t anchors[8] = {p->stack_ack, p->nxt,           p->iss,     p->edge,
                                 p->stack_ack, p->stack_ack - 1, p->nxt - 1, p->stack_ack + (UINT32_C(1) << 31)};
    return anchors[anchor & 7] + (uint32_t)(off >> (anchor & 8 ? 0 : 8));
}

static uint32_t acknowledgement(const struct flow_peer *p, uint8_t anchor)
{
    const uint32_t anchors[8] = {p->stack_nxt,
                                 p->acked,
                                 p->stack_iss,
                                 p->stack_nxt + 1,
                                 p->stack_nxt - 1,
                                 p->stack_iss + 1,
                                 p->acked + (p->stack_nxt - p->acked) / 2,
                                 p->stack_nxt + (UINT32_C(1) << 31)};
    return anchors[anchor & 7];
}

static uint32_t timestamps(struct flow_peer *p, uint8_t *options)
{
    if (!p->ts) return 0;
    p->ts_val++;
    uint32_t ts[3] = {rte_cpu_to_be_32(0x0101080a), rte_cpu_to_be_32(p->ts_val), rte_cpu_to_be_32(p->ts_stack)};
    memcpy(options, ts, sizeof ts);
    return sizeof ts;
}

static void send(struct flow *f, struct flow_peer *p, uint8_t flags, uint32_t seq, uint32_t ack, uint16_t wnd,
                 uint32_t len)
{
    uint8_t options[40];
    uint32_t end = seq + len + (flags & FLOW_FIN ? 1 : 0);
    flow_segment(f, p, flags, seq, ack, wnd, options, timestamps(p, options), len);
    if ((int32_t)(end - p->nxt) > 0 && end - p->nxt < 1u << 20) p->nxt = end;
    if (flags & FLOW_ACK) p->acked = ack;
}

/* Up to four blocks beyond what is acknowledged, in any order: r[4..7] are their places, in units of 1/16 of the
 * flight. */
static void sack(struct flow *f, struct flow_peer *p, const uint8_t *r)
{
    uint8_t options[40];
    uint32_t ack = r[2] & 1 ? p->acked : p->acked + (p->stack_nxt - p->acked) / 16 * (r[2] >> 4),
             n = timestamps(p, options);
    uint32_t flight = p->stack_nxt - ack, most = (40 - n - 4) / 8, blocks = r[2] >> 1 & 3;
    if (++blocks > most) blocks = most;
    memcpy(options + n, (uint8_t[]){1, 1, 5, (uint8_t)(2 + 8 * blocks)}, 4);
    n += 4;
    for (uint32_t i = 0; i < blocks; i++, n += 8) {
        uint32_t left = ack + (uint32_t)((uint64_t)flight * (r[4 + i] >> 4) / 15);
        uint32_t right = ack + (uint32_t)((uint64_t)flight * (r[4 + i] & 15) / 15);
        if (r[3] & 1u << i) left -= 3000; /* below the ACK: a D-SACK, or a lie */
        if (r[3] & 16u << i) right += r[3];
        uint32_t be[2] = {rte_cpu_to_be_32(left), rte_cpu_to_be_32(right)};
        memcpy(options + n, be, sizeof be);
    }
    flow_segment(f, p, FLOW_ACK, p->nxt, ack, 0xffff, options, n, 0);
    p->acked = ack;
}

static void syn(struct flow *f, struct flow_peer *p, const uint8_t *r, uint8_t flags)
{
    uint8_t options[40];
    uint32_t n = 0;
    uint16_t mss = r[2] & 1 ? 1460 : half(r + 4);
    memcpy(options, (uint8_t[]){2, 4, (uint8_t)(mss >> 8), (uint8_t)mss}, 4);
    n += 4;
    if (r[2] & 2) memcpy(options + n, (uint8_t[]){1, 1, 4, 2}, 4), n += 4;
    if (r[2] & 4) memcpy(options + n, (uint8_t[]){1, 3, 3, r[6] & 15}, 4), n += 4;
    p->ts = r[2] & 8;
    n += timestamps(p, options + n);
    if (!(flags & FLOW_ACK)) p->stack_port = r[2] & 16 ? p->stack_port : FLOW_PORT;
    if (r[2] & 32) p->iss += 100000;
    p->nxt = p->iss + 1;
    uint32_t ack = r[2] & 64 ? acknowledgement(p, r[3]) : p->stack_nxt;
    if (r[2] & 128) flags |= 0xc0; /* ECE, CWR */
    flow_segment(f, p, flags, p->iss, flags & FLOW_ACK ? ack : 0, half(r + 6), options, n, r[2] & 64 ? r[7] & 15 : 0);
    p->acked = ack;
}

static void app_write(struct flow_peer *p, uint8_t code)
{
    struct stream *s = p->stream;
    struct buf_chain chain;
    if (!s || p->shut || s->error) return;
    const struct tcp_conn *c = tcp_conn_of(s);
    if (c->state != TCPS_ESTABLISHED && c->state != TCPS_CLOSE_WAIT) return;
    uint32_t seq = c->snd_una + c->txq.len;
    buf_chain_init(&chain);
    for (uint32_t left = length(code, 4000) * (code & 1 ? 1 : 8); left;) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(flow_pools()->frame);
        if (!m) break;
        uint16_t n = (uint16_t)RTE_MIN(left, code & 2 ? 100u : 1900u);
        uint8_t *b = (uint8_t *)rte_pktmbuf_append(m, n);
        for (unsigned i = 0; i < n; i++) b[i] = flow_byte(seq++, false);
        buf_chain_append(&chain, m);
        left -= n;
    }
    s->ops->send(s, &chain);
    s->ops->flush(s);
}

static void app_read(struct flow_peer *p, uint8_t code)
{
    struct stream *s = p->stream;
    if (!s) return;
    uint32_t n = code & 1 ? s->rx.len : RTE_MIN(s->rx.len, (uint32_t)code * 16);
    if (!n) return;
    buf_chain_consume(&s->rx, n);
    s->ops->consumed(s, n);
}

static void app_leave(struct flow_peer *p, uint8_t how)
{
    struct stream *s = p->stream;
    if (!s) return;
    if (how % 4 < 2) {
        if (!p->shut) s->ops->shutdown(s);
        p->shut = true;
        s->ops->flush(s);
        return;
    }
    p->stream = NULL;
    if (how % 4 == 2)
        s->ops->close(s);
    else
        s->ops->abort(s);
}

static void app_connect(struct flow *f, struct flow_peer *p)
{
    struct net_endpoint to = {flow_addr(f, 2), p->port};
    if (p->stream || net_connect(f->stack, to, f->now, &p->stream) != 0) return;
    p->eof = p->shut = false;
}

static void icmp(struct flow *f, struct flow_peer *p, const uint8_t *r)
{
    static const uint8_t types_v4[4][2] = {{3, 4}, {3, 1}, {11, 0}, {8, 0}},
                         types_v6[4][2] = {{2, 0}, {1, 4}, {3, 0}, {128, 0}};
    const uint8_t *t = f->v6 ? types_v6[r[2] & 3] : types_v4[r[2] & 3];
    uint8_t type = r[2] & 128 ? r[3] : t[0], code = r[2] & 64 ? r[7] : t[1];
    flow_icmp(f, p, type, code, half(r + 4), acknowledgement(p, r[6]) - 1);
}

static void buffers(struct flow *f, uint8_t how)
{
    struct buf_pools *pools = flow_pools();
    rte_pktmbuf_free_bulk(f->hostages, f->hostage_count);
    f->hostage_count = 0;
    struct rte_mempool *pool = (how & 3) == 1 ? pools->frame : (how & 3) == 2 ? pools->small : pools->ref;
    if ((how & 3) == 0) return;
    while (f->hostage_count < FLOW_HOSTAGES && rte_mempool_avail_count(pool) > (how >> 2)) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
        if (!m) break;
        f->hostages[f->hostage_count++] = m;
    }
}

static void header(struct flow *f, const uint8_t *r)
{
    static const uint8_t extensions[4] = {0, 60, 43, 44}; /* hop-by-hop is the number 0: no extension */
    f->extension = extensions[r[2] & 3];
    f->flip_at = r[3];
    f->flip = r[4];
}

static void record(struct flow *f, const uint8_t *r)
{
    struct flow_peer *p = &f->peers[r[1] & (FLOW_PEERS - 1)];
    uint64_t wait = 0;
    switch (r[0] % OP_COUNT) {
    case OP_SEGMENT:
        send(f, p, r[2], sequence(p, r[3], (int16_t)half(r + 4)), acknowledgement(p, r[3] >> 4), half(r + 6),
             length(r[6], 1400));
        break;
    case OP_DATA:
        send(f, p, FLOW_ACK | FLOW_PSH, p->nxt + (r[2] & 1 ? r[3] * 16u : 0), p->stack_nxt, 0xffff,
             1 + length(r[4], 1400));
        break;
    case OP_ACK:
        send(f, p, FLOW_ACK | (r[3] & 0xc0), p->nxt, acknowledgement(p, r[2] & 1 ? 6 : 0), half(r + 4), 0);
        break;
    case OP_SACK: sack(f, p, r); break;
    case OP_SYN: syn(f, p, r, FLOW_SYN); break;
    case OP_ANSWER:
        if (r[3] & 8)
            syn(f, p, r, FLOW_SYN | (r[3] & 16 ? 0 : FLOW_ACK));
        else
            send(f, p, FLOW_ACK, p->iss + 1, p->stack_iss + 1, 0xffff, 0);
        break;
    case OP_CONNECT: app_connect(f, p); break;
    case OP_WRITE: app_write(p, r[2]); break;
    case OP_READ: app_read(p, r[2]); break;
    case OP_LEAVE: app_leave(p, r[2]); break;
    case OP_WAIT: wait = UINT64_C(1000) << r[2] % 26; break; /* up to half a minute */
    case OP_ICMP: icmp(f, p, r); break;
    case OP_NEIGHBOUR:
        if (r[3] & 1) f->mac[5] = r[4];
        flow_neighbour(f, r[2]);
        break;
    case OP_HEADER: header(f, r); return;
    case OP_BUFFERS: buffers(f, r[2]); break;
    case OP_FIN: send(f, p, FLOW_FIN | FLOW_ACK, p->nxt, acknowledgement(p, r[3]), 0xffff, length(r[2], 100)); break;
    default: break;
    }
    flow_turn(f, wait);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct flow f;
    if (size < RECORD) return 0;
    const struct flow_setup setup = {.v6 = data[0] & 1,
                                     .vlan = data[0] & 2,
                                     .answers = !(data[0] & 4),
                                     .rx_checksum = data[0] & 8,
                                     .small_mtu = data[0] & 16,
                                     .keepalive = data[0] & 32,
                                     .cookies = data[1],
                                     .cc = data[2],
                                     .ecn = data[3],
                                     .window = data[4],
                                     .connections = data[5],
                                     .ts = data[6]};
    flow_open(&f, &setup);
    data += RECORD;
    size -= RECORD;
    for (unsigned i = 0; i < RECORDS_MAX && size >= RECORD; i++, data += RECORD, size -= RECORD) record(&f, data);
    flow_close(&f);
    return 0;
}
