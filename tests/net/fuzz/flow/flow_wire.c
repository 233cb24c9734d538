/* The peer's wire: writes and reads frames of both families. */
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <rte_byteorder.h>
#include <rte_ip.h>
#include "net/checksum.h"
#include "tests/net/fuzz/flow/flow.h"

static const uint8_t mac_stack[6] = {2, 0, 0, 0, 0, 1};

uint8_t flow_byte(uint32_t seq, bool by_peer)
{
    uint32_t x = (seq + by_peer) * 2654435761u;
    return (uint8_t)(x >> 24 ^ x >> 11);
}

struct net_addr flow_addr(const struct flow *f, unsigned host)
{
    if (!f->v6) return net_addr_v4(RTE_IPV4(10, 0, 0, host));
    return (struct net_addr){.bytes = {0x20, 1, 0x0d, 0xb8, [15] = (uint8_t)host}};
}

static uint32_t load(const uint8_t *p, unsigned n)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < n; i++) v = v << 8 | p[i];
    return v;
}

static uint8_t *store(uint8_t *p, uint32_t v, unsigned n)
{
    for (unsigned i = n; i-- > 0; v >>= 8) p[i] = (uint8_t)v;
    return p + n;
}

static uint8_t *store_addr(const struct flow *f, uint8_t *p, unsigned host)
{
    struct net_addr a = flow_addr(f, host);
    unsigned n = f->v6 ? 16 : 4;
    memcpy(p, a.bytes + 16 - n, n);
    return p + n;
}

static void in(struct flow *f, const uint8_t *frame, uint32_t len)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(flow_pools()->frame);
    if (!m) return; /* lost for want of a buffer */
    memcpy(rte_pktmbuf_append(m, (uint16_t)len), frame, len);
    net_stack_input(f->stack, &m, 1, f->now);
}

static uint8_t *ethernet(const struct flow *f, uint8_t *p, uint16_t type)
{
    memcpy(p, mac_stack, 6);
    memcpy(p + 6, f->mac, 6);
    p += 12;
    if (f->vlan) p = store(store(p, 0x8100, 2), f->vlan, 2);
    return store(p, type, 2);
}

/* The IP header of len bytes of a protocol, from the peer to the stack; its checksum is right. */
static uint8_t *ip(const struct flow *f, uint8_t *p, uint8_t protocol, uint32_t len)
{
    uint8_t hops = protocol == IPPROTO_ICMPV6 ? 255 : 64;
    if (f->v6) {
        p = store(store(p, 0x60000000, 4), len, 2);
        *p++ = protocol;
        *p++ = hops;
        return store_addr(f, store_addr(f, p, 2), 1);
    }
    uint8_t *begin = p;
    p = store(store(store(p, 0x4500, 2), 20 + len, 2), 0x00004000, 4);
    *p++ = hops;
    *p++ = protocol;
    p = store_addr(f, store_addr(f, store(p, 0, 2), 2), 1);
    uint16_t sum = (uint16_t)~checksum_fold(checksum_sum(begin, 20));
    memcpy(begin + 10, &sum, 2);
    return p;
}

static void checksum(const struct flow *f, uint8_t *p, uint32_t len, uint8_t protocol, unsigned field)
{
    struct net_addr a = flow_addr(f, 1), b = flow_addr(f, 2);
    unsigned skip = f->v6 ? 0 : 12;
    uint64_t sum = 0;
    if (f->v6 || protocol != IPPROTO_ICMP)
        sum = checksum_sum(a.bytes + skip, 16 - skip) + checksum_sum(b.bytes + skip, 16 - skip) +
              rte_cpu_to_be_16(protocol) + rte_cpu_to_be_16((uint16_t)len);
    memset(p + field, 0, 2);
    uint16_t value = (uint16_t)~checksum_fold(sum + checksum_sum(p, len));
    memcpy(p + field, &value, 2);
}

void flow_segment(struct flow *f, struct flow_peer *p, uint8_t flags, uint32_t seq, uint32_t ack, uint16_t wnd,
                  const uint8_t *options, uint32_t options_len, uint32_t len)
{
    uint8_t frame[FLOW_FRAME] = {0};
    uint32_t header = 20 + options_len, extra = f->v6 && f->extension ? 8 : 0;
    uint8_t *at =
        ip(f, ethernet(f, frame, f->v6 ? 0x86dd : 0x0800), extra ? f->extension : IPPROTO_TCP, extra + header + len);
    if (extra) {
        store(at, IPPROTO_TCP << 8, 2);
        store(at + 2, 0x0104, 2); /* PadN of four zero bytes; a routing header's type and segments left */
        at += extra;
    }
    store(store(at, p->port, 2), p->stack_port, 2);
    store(store(at + 4, seq, 4), ack, 4);
    store(at + 12, header / 4 << 12 | flags, 2);
    store(at + 14, wnd, 2);
    memcpy(at + 20, options, options_len);
    if (f->flip) at[4 + f->flip_at % (header - 4)] ^= f->flip; /* the ports stay */
    uint32_t first = load(at + 4, 4) + (at[13] & FLOW_SYN ? 1 : 0), begin = (at[12] >> 4) * 4u;
    for (uint32_t i = begin; i < header + len; i++) at[i] = flow_byte(first + i - begin, true);
    checksum(f, at, header + len, IPPROTO_TCP, 16);
    f->extension = f->flip = 0;
    in(f, frame, (uint32_t)(at + header + len - frame));
}

void flow_icmp(struct flow *f, const struct flow_peer *p, uint8_t type, uint8_t code, uint32_t rest, uint32_t seq)
{
    uint8_t frame[FLOW_FRAME] = {0}, protocol = f->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
    uint32_t inner = (f->v6 ? 40 : 20) + 8, len = 8 + inner;
    uint8_t *at = ip(f, ethernet(f, frame, f->v6 ? 0x86dd : 0x0800), protocol, len);
    at[0] = type;
    at[1] = code;
    store(at + 4, rest, 4);
    uint8_t *q = at + 8;
    if (f->v6) {
        q = store(store(store(q, 0x60000000, 4), 500, 2), IPPROTO_TCP << 8 | 63, 2);
    } else {
        q = store(store(store(q, 0x4500, 2), 500, 2), 0x00004000, 4);
        q = store(store(q, 63 << 8 | IPPROTO_TCP, 2), 0, 2);
    }
    q = store_addr(f, store_addr(f, q, 1), 2);
    store(store(store(q, p->stack_port, 2), p->port, 2), seq, 4);
    checksum(f, at, len, protocol, 2);
    in(f, frame, (uint32_t)(at + len - frame));
}

static void neighbour_v6(struct flow *f, uint8_t kind)
{
    uint8_t frame[FLOW_FRAME] = {0};
    bool advert = !(kind & 1);
    uint32_t len = kind & 2 ? 24 : 32;
    uint8_t *at = ip(f, ethernet(f, frame, 0x86dd), IPPROTO_ICMPV6, len);
    at[0] = advert ? 136 : 135;
    at[4] = advert ? (uint8_t)(kind & 0xe0 ? kind & 0xe0 : 0x60) : 0; /* router, solicited, override */
    store_addr(f, at + 8, kind & 4 ? (kind >> 3 & 3) : advert ? 2 : 1);
    if (len > 24) {
        at[24] = advert ? 2 : 1;
        at[25] = kind & 8 ? kind >> 4 : 1;
        memcpy(at + 26, f->mac, 6);
    }
    checksum(f, at, len, IPPROTO_ICMPV6, 2);
    in(f, frame, (uint32_t)(at + len - frame));
}

void flow_neighbour(struct flow *f, uint8_t kind)
{
    uint8_t frame[FLOW_FRAME] = {0};
    if (f->v6) {
        neighbour_v6(f, kind);
        return;
    }
    uint8_t *at = ethernet(f, frame, 0x0806);
    at = store(store(store(at, 1, 2), 0x0800, 2), 0x0604, 2);
    at = store(at, kind & 1 ? 1 : 2, 2);
    memcpy(at, f->mac, 6);
    at = store_addr(f, at + 6, kind & 4 ? (kind >> 3 & 3) : 2);
    if (!(kind & 2)) memcpy(at, mac_stack, 6);
    at = store_addr(f, at + 6, kind & 8 ? (kind >> 4 & 3) : 1);
    in(f, frame, (uint32_t)(at - frame));
}

static struct flow_peer *peer_of_frame(struct flow *f, const uint8_t *tcp)
{
    unsigned i = load(tcp + 2, 2) - FLOW_PEER_PORT;
    return i < FLOW_PEERS ? &f->peers[i] : NULL;
}

/* Of a frame that the stack sent: what it acknowledges was sent, what it carries is what the application wrote. */
static void segment_seen(struct flow *f, const uint8_t *tcp, uint32_t len)
{
    struct flow_peer *p = peer_of_frame(f, tcp);
    uint32_t header = (tcp[12] >> 4) * 4u, seq = load(tcp + 4, 4), ack = load(tcp + 8, 4);
    uint8_t flags = tcp[13];
    flow_require(header >= 20 && header <= len);
    if (!p || flags & FLOW_RST) return; /* no peer: the input has altered a port on the way */
    for (uint32_t i = header; i < len; i++) flow_require(tcp[i] == flow_byte(seq + i - header, false));
    if (flags & FLOW_SYN) {
        p->stack_iss = seq;
        p->stack_nxt = seq;
        p->stack_port = (uint16_t)load(tcp, 2);
    }
    uint32_t end = seq + len - header + (flags & FLOW_SYN ? 1 : 0) + (flags & FLOW_FIN ? 1 : 0);
    if ((int32_t)(end - p->stack_nxt) > 0) p->stack_nxt = end;
    if (flags & FLOW_ACK) {
        p->stack_ack = ack;
        p->edge = ack + load(tcp + 14, 2);
    }
    for (uint32_t o = 20; o + 10 <= header; o++)
        if (memcmp(tcp + o, "\10\12", 2) == 0 && (flags & FLOW_SYN || o == 22)) p->ts_stack = load(tcp + o + 2, 4);
}

static void frame_seen(struct flow *f, const uint8_t *frame, uint32_t len)
{
    uint32_t at = f->vlan ? 18 : 14;
    flow_require(len >= at && len <= at + f->mtu);
    uint16_t type = (uint16_t)load(frame + at - 2, 2);
    if (type == 0x0806) f->asked = true;
    if (type != 0x0800 && type != 0x86dd) return;
    bool v6 = type == 0x86dd;
    uint8_t protocol = frame[at + (v6 ? 6 : 9)];
    at += v6 ? 40 : 20;
    flow_require(len >= at);
    if (protocol == IPPROTO_ICMPV6 && v6 && frame[at] == 135) f->asked = true;
    if (protocol != IPPROTO_TCP || v6 != f->v6) return;
    struct net_addr a = flow_addr(f, 1), b = flow_addr(f, 2);
    unsigned skip = v6 ? 0 : 12;
    uint64_t sum = checksum_sum(a.bytes + skip, 16 - skip) + checksum_sum(b.bytes + skip, 16 - skip) +
                   rte_cpu_to_be_16(IPPROTO_TCP) + rte_cpu_to_be_16((uint16_t)(len - at));
    flow_require(checksum_fold(sum + checksum_sum(frame + at, len - at)) == 0xffff);
    segment_seen(f, frame + at, len - at);
}

void flow_seen(void *flow, struct rte_mbuf **frames, uint16_t n)
{
    uint8_t bytes[FLOW_FRAME];
    for (uint16_t i = 0; i < n; i++) {
        uint32_t len = 0;
        for (const struct rte_mbuf *m = frames[i]; m; len += m->data_len, m = m->next) {
            flow_require(len + m->data_len <= sizeof bytes);
            memcpy(bytes + len, rte_pktmbuf_mtod(m, const void *), m->data_len);
        }
        flow_require(len == frames[i]->pkt_len);
        frame_seen(flow, bytes, len);
        rte_pktmbuf_free(frames[i]);
    }
}
