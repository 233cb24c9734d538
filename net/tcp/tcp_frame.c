/*
 * Frames are built here and nowhere else. The header goes into a fresh small buffer each time, also when a segment is
 * sent again: the driver may still hold the old one. Checksums come from the sums kept in the connection and from the
 * words as they are written, not from a second pass over the header.
 */
#include <errno.h>
#include <string.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include "net/checksum.h"
#include "net/tcp/tcp.h"
#include "net/tcp/tcp_cc.h"
#include "net/tcp/tcp_ecn.h"
#include "net/tcp/tcp_fast_open.h"
#include "net/tcp/tcp_sack.h"
#include "net/tso.h"

#define TTL 64
#define PIECES_MAX 8u /* references of a frame; the rest of very small ones is copied together */
#define FIRST_MOST 128u /* a reply's head up to this is copied: that costs less than a reference to it */
#define TS_PREFIX_BE RTE_STATIC_BSWAP32(0x0101080au) /* NOP NOP TS 10 */
#define SACK_PREFIX 0x01010500u                      /* NOP NOP SACK, its length added */

static void put32(uint8_t *p, uint32_t be) { memcpy(p, &be, sizeof be); }
static void put16(uint8_t *p, uint16_t be) { memcpy(p, &be, sizeof be); }

void tcp_templates_init(struct net_stack *st)
{
    static const uint8_t unknown[6];
    struct tcp_template *v4 = &st->templates[0], *v6 = &st->templates[1];
    struct rte_ipv4_hdr ip = {
        .version_ihl = RTE_IPV4_VHL_DEF,
        .fragment_offset = rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG),
        .time_to_live = TTL,
        .next_proto_id = IPPROTO_TCP,
    };
    struct rte_ipv6_hdr ip6 = {.vtc_flow = rte_cpu_to_be_32(UINT32_C(6) << 28), .proto = IPPROTO_TCP, .hop_limits = TTL};
    stack_ethernet_write(st, v4->bytes, unknown, RTE_ETHER_TYPE_IPV4);
    stack_ethernet_write(st, v6->bytes, unknown, RTE_ETHER_TYPE_IPV6);
    memcpy(v4->bytes + st->ip_at, &ip, sizeof ip);
    memcpy(v6->bytes + st->ip_at, &ip6, sizeof ip6);
    v4->ip_sum = checksum_fold(checksum_sum(&ip, sizeof ip));
    v4->tcp_at = (uint8_t)(st->ip_at + sizeof ip);
    v6->tcp_at = (uint8_t)(st->ip_at + sizeof ip6);
}

void tcp_header_write(const struct net_stack *st, struct tcp_header *h, const struct tcp_tuple *t, const uint8_t *mac)
{
    h->v6 = !net_addr_is_v4(&t->remote);
    const struct tcp_template *from = &st->templates[h->v6];
    uint8_t *ip = h->bytes + st->ip_at;
    memcpy(h->bytes, from->bytes, sizeof h->bytes);
    memcpy(h->bytes, mac, 6);
    h->ip_sum = 0;
    if (h->v6) {
        memcpy(ip + offsetof(struct rte_ipv6_hdr, src_addr), t->local.bytes, 16);
        memcpy(ip + offsetof(struct rte_ipv6_hdr, dst_addr), t->remote.bytes, 16);
        h->pseudo_sum = checksum_sum(ip + offsetof(struct rte_ipv6_hdr, src_addr), 32);
    } else {
        put32(ip + offsetof(struct rte_ipv4_hdr, src_addr), t->local.be32[3]);
        put32(ip + offsetof(struct rte_ipv4_hdr, dst_addr), t->remote.be32[3]);
        h->pseudo_sum = (uint64_t)t->local.be32[3] + t->remote.be32[3];
        h->ip_sum = checksum_fold(from->ip_sum + h->pseudo_sum);
    }
    h->pseudo_sum += rte_cpu_to_be_16(IPPROTO_TCP);
    put32(h->bytes + from->tcp_at, t->ports << 16 | t->ports >> 16);
}

/* The frame of a connection up to the ports, its lengths and checksums zero. Returns the sum of its addresses. */
static inline uint64_t flow_write(const struct tcp_conn *c, const struct tcp_template *from, uint8_t *p, uint8_t *ip)
{
    memcpy(p, from->bytes, sizeof from->bytes);
    memcpy(p, c->mac, sizeof c->mac);
    put32(p + from->tcp_at, c->ports);
    if (unlikely(tcp_conn_v6(c))) {
        memcpy(ip + offsetof(struct rte_ipv6_hdr, src_addr), c->addrs.v6->addrs, sizeof c->addrs.v6->addrs);
        return c->addrs.v6->sum;
    }
    uint64_t addrs;
    memcpy(&addrs, c->addrs.v4, sizeof addrs);
    memcpy(ip + offsetof(struct rte_ipv4_hdr, src_addr), &addrs, sizeof addrs);
    return (addrs & UINT32_MAX) + (addrs >> 32);
}

/* The addresses of an IP header: source and destination as they lie. */
static void addresses_read(const uint8_t *ip, bool v6, struct net_addr *source, struct net_addr *destination)
{
    uint32_t v4[2];
    if (v6) {
        *source = net_addr_v6(ip + offsetof(struct rte_ipv6_hdr, src_addr));
        *destination = net_addr_v6(ip + offsetof(struct rte_ipv6_hdr, dst_addr));
        return;
    }
    memcpy(v4, ip + offsetof(struct rte_ipv4_hdr, src_addr), sizeof v4);
    *source = net_addr_v4_be(v4[0]);
    *destination = net_addr_v4_be(v4[1]);
}

void tcp_segment_tuple(const struct tcp_segment *s, struct tcp_tuple *t)
{
    addresses_read(s->frame + s->ip_at, s->v6, &t->remote, &t->local);
    t->ports = s->ports;
}

bool tcp_tuple_of_sent(const uint8_t *ip, uint32_t len, struct tcp_tuple *t)
{
    uint32_t ports;
    if (len < TCP_IPV4_BYTES + sizeof ports) return false;
    bool v6 = ip[0] >> 4 == 6;
    if (!v6 && ip[0] != RTE_IPV4_VHL_DEF) return false;
    if (v6 && len < TCP_IPV6_BYTES + sizeof ports) return false;
    if (ip[v6 ? 6 : 9] != IPPROTO_TCP) return false;
    addresses_read(ip, v6, &t->local, &t->remote);
    memcpy(&ports, ip + (v6 ? TCP_IPV6_BYTES : TCP_IPV4_BYTES), sizeof ports);
    t->ports = ports << 16 | ports >> 16;
    return true;
}

void tcp_header_reply(const struct net_stack *st, struct tcp_header *h, const struct tcp_segment *s)
{
    struct tcp_tuple t;
    tcp_segment_tuple(s, &t);
    tcp_header_write(st, h, &t, s->frame + 6);
}

/* A device that computes the sum expects that of the pseudo-header in its place. */
static uint16_t tcp_checksum(uint64_t flags, uint64_t pseudo, uint64_t sum)
{
    return flags & RTE_MBUF_F_TX_TCP_CKSUM ? checksum_fold(pseudo) : (uint16_t)~checksum_fold(pseudo + sum);
}

/*
 * The header's last words: lengths and checksums. header: bytes up to the payload. ip_sum: of the IPv4 header. pseudo: of
 * addresses and protocol. sum: of the TCP header from the ports on, and the payload.
 */
static inline void header_finish(const struct net_stack *st, struct rte_mbuf *m, uint8_t *p, bool v6, uint32_t header,
                                 uint64_t ip_sum, uint64_t pseudo, uint64_t sum)
{
    uint32_t ip_at = st->ip_at, tcp_at = st->templates[v6].tcp_at;
    uint8_t *ip = p + ip_at, *tcp = p + tcp_at;
    uint16_t tcp_len_be = rte_cpu_to_be_16((uint16_t)(m->pkt_len - tcp_at));
    uint64_t flags = st->tx_flags;
    if (likely(!v6)) {
        uint16_t total_be = rte_cpu_to_be_16((uint16_t)(m->pkt_len - ip_at));
        put16(ip + offsetof(struct rte_ipv4_hdr, total_length), total_be);
        uint16_t checksum = flags & RTE_MBUF_F_TX_IP_CKSUM ? 0 : (uint16_t)~checksum_fold(ip_sum + total_be);
        put16(ip + offsetof(struct rte_ipv4_hdr, hdr_checksum), checksum);
    } else {
        put16(ip + offsetof(struct rte_ipv6_hdr, payload_len), tcp_len_be);
        flags = st->tx_flags_v6;
    }
    put16(tcp + 16, tcp_checksum(flags, pseudo + tcp_len_be, sum));
    if (flags) {
        m->ol_flags = flags;
        m->l2_len = ip_at & 0x7f;
        m->l3_len = (tcp_at - ip_at) & 0x1ff;
        m->l4_len = (header - tcp_at) & 0xff;
    }
}

/* Copies len bytes of the queue behind the header. */
static void payload_copy(uint8_t *to, const struct rte_mbuf *from, uint32_t off, uint32_t len)
{
    uint8_t *p = to;
    for (uint32_t left = len; left; from = from->next, off = 0) {
        uint32_t n = RTE_MIN(from->data_len - off, left);
        memcpy(p, rte_pktmbuf_mtod_offset(from, const uint8_t *, off), n);
        p += n;
        left -= n;
    }
}

/* Copies len bytes of the queue into frame buffers behind last, which ends the frame m; odd: at an odd byte of it. */
static bool payload_gather(struct net_stack *st, struct rte_mbuf *m, struct rte_mbuf *last, const struct rte_mbuf *from,
                           uint32_t off, uint32_t len, bool odd, uint64_t *sum)
{
    metric_add(&st->metrics.tx_gathered, 1);
    while (len) {
        struct rte_mbuf *copy = rte_pktmbuf_alloc(st->config.pools->frame);
        if (!copy) return false;
        while (len && rte_pktmbuf_tailroom(copy)) {
            uint32_t n = RTE_MIN(RTE_MIN(from->data_len - off, len), (uint32_t)rte_pktmbuf_tailroom(copy));
            memcpy(rte_pktmbuf_append(copy, (uint16_t)n), rte_pktmbuf_mtod_offset(from, const uint8_t *, off), n);
            len -= n;
            off += n;
            if (off < from->data_len) continue;
            from = from->next;
            off = 0;
        }
        uint64_t part = checksum_sum(rte_pktmbuf_mtod(copy, const uint8_t *), copy->data_len);
        *sum += odd ? checksum_odd(part) : part;
        odd ^= copy->data_len & 1;
        last->next = copy;
        last = copy;
        m->nb_segs++;
        m->pkt_len += copy->data_len;
    }
    return true;
}

/* Chains references to len bytes of the queue behind the header m. */
static bool payload_refer(struct net_stack *st, struct rte_mbuf *m, const struct rte_mbuf *from, uint32_t off,
                          uint32_t len, uint64_t *sum)
{
    bool software = !(st->tx_flags & RTE_MBUF_F_TX_TCP_CKSUM);
    struct rte_mbuf *last = m;
    for (uint32_t done = 0; done < len; from = from->next, off = 0) {
        uint32_t n = RTE_MIN(from->data_len - off, len - done);
        if (n == 0) continue;
        if (unlikely(m->nb_segs > PIECES_MAX)) return payload_gather(st, m, last, from, off, len - done, done & 1, sum);
        struct rte_mbuf *ref = rte_pktmbuf_alloc(st->config.pools->ref);
        if (unlikely(!ref)) return false;
        rte_pktmbuf_attach(ref, (struct rte_mbuf *)(uintptr_t)from);
        ref->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL; /* what was received with it is not meant */
        ref->data_off = (uint16_t)(ref->data_off + off);
        ref->data_len = (uint16_t)n;
        ref->pkt_len = n;
        last->next = ref;
        last = ref;
        m->nb_segs++;
        m->pkt_len += n;
        if (software) {
            uint64_t part = checksum_sum(rte_pktmbuf_mtod(ref, const uint8_t *), n);
            *sum += done & 1 ? checksum_odd(part) : part;
        }
        done += n;
    }
    return true;
}

/*
 * Copies a short first piece of the queue behind the header and moves past it; returns its bytes. Another follows it,
 * as more is to be sent than it has.
 */
static uint32_t first_piece_copy(const struct net_stack *st, uint8_t *to, const struct rte_mbuf **from, uint32_t *off,
                                 uint32_t len)
{
    uint32_t n = (*from)->data_len - *off;
    if (n > RTE_MIN(FIRST_MOST, st->config.tx_inline) || n >= len) return 0;
    memcpy(to, rte_pktmbuf_mtod_offset(*from, const uint8_t *, *off), n);
    *from = (*from)->next;
    *off = 0;
    return n;
}

/* Blocks that came twice or out of order, as many as fit beside the timestamp. RFC 2018 3. */
static uint32_t sack_write(struct tcp_conn *c, uint8_t *p)
{
    struct tcp_range ranges[TCP_SACK_BLOCKS];
    unsigned n = tcp_sack_blocks(c, ranges, c->flags & TCPF_TS ? 3 : 4);
    if (n == 0) return 0;
    put32(p, rte_cpu_to_be_32(SACK_PREFIX + 2 + 8 * n));
    for (unsigned i = 0; i < n; i++) {
        put32(p + 4 + 8 * i, rte_cpu_to_be_32(ranges[i].start));
        put32(p + 8 + 8 * i, rte_cpu_to_be_32(ranges[i].end));
    }
    return 4 + 8 * n;
}

bool tcp_frame_send(struct net_stack *st, struct tcp_conn *c, tcp_seq seq, uint8_t flags, const struct rte_mbuf *from,
                    uint32_t off, uint32_t len)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(st->config.pools->small);
    if (unlikely(!m)) return false;
    const struct tcp_template *template = &st->templates[tcp_conn_v6(c)];
    uint32_t header = template->tcp_at + TCP_HEADER_BYTES;
    uint64_t ip_sum = template->ip_sum;
    uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *), *ip = p + st->ip_at, *tcp = p + template->tcp_at;
    uint64_t addrs = flow_write(c, template, p, ip), sum = 0;
    if (c->flags & TCPF_TS) {
        uint32_t val = rte_cpu_to_be_32(st->ts_now), ecr = rte_cpu_to_be_32(c->ts_recent);
        put32(p + header, TS_PREFIX_BE);
        put32(p + header + 4, val);
        put32(p + header + 8, ecr);
        sum += (uint64_t)TS_PREFIX_BE + val + ecr;
        header += TCP_TS_BYTES;
    }
    if (unlikely(c->ooo != NULL) && len == 0 && c->flags & TCPF_SACK) {
        uint32_t n = sack_write(c, p + header);
        sum += checksum_sum(p + header, n);
        header += n;
    }
    if (c->flags & TCPF_ECN) flags |= tcp_ecn_tx(c, seq, len, ip, &ip_sum);
    uint16_t window = tcp_window_offer(st, c, c->rcv_scale);
    uint32_t seq_be = rte_cpu_to_be_32(seq), ack_be = rte_cpu_to_be_32(c->rcv_nxt);
    uint32_t word = rte_cpu_to_be_32((header - template->tcp_at) / 4 << 28 | (uint32_t)flags << 16 | window);
    put32(tcp + 4, seq_be);
    put32(tcp + 8, ack_be);
    put32(tcp + 12, word);
    put32(tcp + 16, 0);
    sum += (uint64_t)c->ports + seq_be + ack_be + word;
    m->data_len = (uint16_t)header;
    m->pkt_len = header;
    if (len > 0 && len <= st->config.tx_inline) {
        payload_copy(p + header, from, off, len);
        if (!(st->tx_flags & RTE_MBUF_F_TX_TCP_CKSUM)) sum += checksum_sum(p + header, len);
        m->data_len = (uint16_t)(header + len);
        m->pkt_len = header + len;
        metric_add(&st->metrics.tx_copied, len);
    } else if (len > 0) {
        uint64_t payload = 0;
        uint32_t first = first_piece_copy(st, p + header, &from, &off, len);
        m->data_len = (uint16_t)(header + first);
        m->pkt_len = header + first;
        if (unlikely(!payload_refer(st, m, from, off, len - first, &payload))) {
            rte_pktmbuf_free(m);
            return false;
        }
        sum += first & 1 ? checksum_odd(payload) : payload;
        if (!(st->tx_flags & RTE_MBUF_F_TX_TCP_CKSUM)) sum += checksum_sum(p + header, first);
        metric_add(&st->metrics.tx_copied, first);
    }
    header_finish(st, m, p, tcp_conn_v6(c), header, ip_sum + addrs, addrs + rte_cpu_to_be_16(IPPROTO_TCP), sum);
    if (unlikely(len > c->mss && st->config.tso_most)) tso_mark(m, c->mss);
    c->last_ack = c->rcv_nxt;
    if (flags & TCP_CWR) c->flags &= ~TCPF_CWR;
    stack_send(st, m);
    return true;
}

static uint8_t *options_of(const struct net_stack *st, const struct tcp_header *h, struct rte_mbuf *m)
{
    return rte_pktmbuf_mtod_offset(m, uint8_t *, st->templates[h->v6].tcp_at + TCP_HEADER_BYTES);
}

/* len bytes of the queue lie behind the options: SYNs carry few and are linear. */
struct control_payload {
    uint32_t len;
    uint64_t sum;
};

/* A frame by itself; options_len bytes of options lie behind the TCP header already. */
static void control_finish(struct net_stack *st, struct rte_mbuf *m, const struct tcp_header *h, tcp_seq seq, tcp_seq ack,
                           uint8_t flags, uint16_t window, uint32_t options_len, struct control_payload payload)
{
    uint32_t tcp_at = st->templates[h->v6].tcp_at, header = TCP_HEADER_BYTES + options_len;
    uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *), *tcp = p + tcp_at;
    memcpy(p, h->bytes, tcp_at + 4u);
    put32(tcp + 4, rte_cpu_to_be_32(seq));
    put32(tcp + 8, rte_cpu_to_be_32(ack));
    put32(tcp + 12, rte_cpu_to_be_32(header / 4 << 28 | (uint32_t)flags << 16 | window));
    put32(tcp + 16, 0);
    m->data_len = (uint16_t)(tcp_at + header + payload.len);
    m->pkt_len = m->data_len;
    header_finish(st, m, p, h->v6, tcp_at + header, h->ip_sum, h->pseudo_sum, checksum_sum(tcp, header) + payload.sum);
}

/* The option with our cookie for who the frame goes to; cookie: room for it. */
static void cookie_add(struct net_stack *st, const uint8_t *frame, bool v6, struct tcp_options *o, uint8_t *cookie)
{
    struct tcp_tuple t;
    addresses_read(frame + st->ip_at, v6, &t.local, &t.remote);
    tcp_fast_open_cookie(st, &t.remote, cookie);
    o->has_fast_open = true;
    o->fast_open = cookie;
    o->fast_open_len = TCP_FAST_OPEN_COOKIE;
}

int tcp_frame_send_syn(struct net_stack *st, struct tcp_conn *c)
{
    bool answer = c->state != TCPS_SYN_SENT;
    uint8_t cookie[TCP_FAST_OPEN_COOKIE];
    struct control_payload payload = {.len = 0};
    struct tcp_tuple t;
    struct tcp_header h;
    tcp_conn_tuple(c, &t);
    tcp_header_write(st, &h, &t, c->mac);
    struct tcp_options o = {
        .mss = tcp_mss_local(st, h.v6),
        .scale = st->rcv_scale,
        .has_scale = !answer || c->flags & TCPF_SCALE,
        .has_ts = !answer || c->flags & TCPF_TS,
        .sack_permitted = !answer || c->flags & TCPF_SACK,
        .ts_val = st->ts_now,
        .ts_ecr = answer ? c->ts_recent : 0,
    };
    if (!answer) payload.len = tcp_fast_open_ask(st, c, &o);
    else if (c->flags & TCPF_FAST_OPEN) cookie_add(st, h.bytes, h.v6, &o, cookie);
    struct rte_mbuf *m = rte_pktmbuf_alloc(payload.len ? st->config.pools->frame : st->config.pools->small);
    if (!m) return -ENOBUFS;
    uint8_t *options = options_of(st, &h, m);
    uint64_t options_sum = 0;
    uint32_t options_len = tcp_options_write_syn(options, &o, &options_sum);
    uint32_t room = rte_pktmbuf_tailroom(m) - (st->templates[h.v6].tcp_at + TCP_HEADER_BYTES + options_len);
    payload.len = RTE_MIN(payload.len, room);
    if (payload.len) {
        payload_copy(options + options_len, c->txq.head, 0, payload.len);
        payload.sum = checksum_sum(options + options_len, payload.len);
    }
    uint16_t window = tcp_window_offer(st, c, 0); /* the window of a SYN is never scaled: RFC 7323 2.2 */
    uint8_t flags = (uint8_t)(TCP_SYN | (answer ? TCP_ACK : 0) | tcp_ecn_syn_flags(st, c));
    if (flags & TCP_ECE && tcp_cc_of(c)->exact_marks) tcp_ecn_capable(h.bytes + st->ip_at, &h.ip_sum);
    control_finish(st, m, &h, c->iss, answer ? c->rcv_nxt : 0, flags, window, options_len, payload);
    c->last_ack = c->rcv_nxt;
    if (c->flags & TCPF_PASSIVE || answer) stack_send(st, m);
    else neighbour_send(st, &t.remote, m);
    return (int)payload.len;
}

/*
 * A SYN-ACK: the frame at p is written up to the ports, its lengths and checksums zero. ip_sum: of the IPv4 header. pseudo:
 * of addresses and protocol.
 */
static void syn_ack_finish(struct net_stack *st, struct rte_mbuf *m, bool v6, uint64_t ip_sum, uint64_t pseudo,
                           const struct tcp_handshake *hs, uint32_t ts_val)
{
    uint32_t tcp_at = st->templates[v6].tcp_at, ports;
    uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *), *tcp = p + tcp_at, cookie[TCP_FAST_OPEN_COOKIE];
    struct tcp_options o = {
        .mss = tcp_mss_local(st, v6),
        .scale = st->rcv_scale,
        .has_scale = hs->flags & TCP_HS_SCALE,
        .has_ts = hs->flags & TCP_HS_TS,
        .sack_permitted = hs->flags & TCP_HS_SACK,
        .ts_val = ts_val,
        .ts_ecr = hs->ts_val,
    };
    if (hs->flags & TCP_HS_FAST_OPEN) cookie_add(st, p, v6, &o, cookie);
    if (hs->flags & TCP_HS_ECN && tcp_ecn_exact(st)) tcp_ecn_capable(p + st->ip_at, &ip_sum);
    memcpy(&ports, tcp, sizeof ports);
    uint64_t sum = ports;
    uint32_t header = TCP_HEADER_BYTES + tcp_options_write_syn(tcp + TCP_HEADER_BYTES, &o, &sum);
    uint32_t flags = TCP_SYN | TCP_ACK | (hs->flags & TCP_HS_ECN ? TCP_ECE : 0);
    uint32_t seq_be = rte_cpu_to_be_32(hs->iss), ack_be = rte_cpu_to_be_32(hs->irs + 1);
    uint32_t word = rte_cpu_to_be_32(header / 4 << 28 | flags << 16 | tcp_syn_window(st));
    put32(tcp + 4, seq_be);
    put32(tcp + 8, ack_be);
    put32(tcp + 12, word);
    put32(tcp + 16, 0);
    m->data_len = (uint16_t)(tcp_at + header);
    m->pkt_len = m->data_len;
    header_finish(st, m, p, v6, tcp_at + header, ip_sum, pseudo, sum + seq_be + ack_be + word);
    stack_send(st, m);
}

bool tcp_frame_send_syn_ack(struct net_stack *st, const struct tcp_header *h, const struct tcp_handshake *hs,
                            uint32_t ts_val)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(st->config.pools->small);
    if (!m) return false;
    memcpy(rte_pktmbuf_mtod(m, uint8_t *), h->bytes, sizeof h->bytes);
    syn_ack_finish(st, m, h->v6, h->ip_sum, h->pseudo_sum, hs, ts_val);
    return true;
}

/* The buffer that s came in, taken, if it is nobody else's and has room for a header; or a new one. */
static struct rte_mbuf *answer_buffer(struct net_stack *st, struct tcp_segment *s)
{
    struct rte_mbuf *m = s->m;
    if (!m || !RTE_MBUF_DIRECT(m) || m->nb_segs != 1 || rte_mbuf_refcnt_read(m) != 1 ||
        m->buf_len - m->data_off < (int)BUF_SMALL_ROOM)
        return rte_pktmbuf_alloc(st->config.pools->small);
    m->ol_flags = 0;
    m->tx_offload = 0;
    s->m = NULL;
    return m;
}

/* Source and destination change places. All is read before the first byte is written: p may be where s lies. */
static uint64_t reply_write(const struct net_stack *st, uint8_t *p, const struct tcp_segment *s)
{
    const struct tcp_template *from = &st->templates[s->v6];
    const uint8_t *ip = s->frame + s->ip_at;
    uint32_t ports = s->ports << 16 | s->ports >> 16, mac_low;
    uint16_t mac_high;
    uint64_t addrs[4], sum;
    memcpy(&mac_low, s->frame + 6, sizeof mac_low);
    memcpy(&mac_high, s->frame + 10, sizeof mac_high);
    if (likely(!s->v6)) {
        memcpy(addrs, ip + offsetof(struct rte_ipv4_hdr, src_addr), 8);
        addrs[0] = addrs[0] << 32 | addrs[0] >> 32;
        sum = (addrs[0] & UINT32_MAX) + (addrs[0] >> 32);
    } else {
        memcpy(addrs, ip + offsetof(struct rte_ipv6_hdr, dst_addr), 16);
        memcpy(addrs + 2, ip + offsetof(struct rte_ipv6_hdr, src_addr), 16);
        sum = checksum_sum(addrs, sizeof addrs);
    }
    memcpy(p, from->bytes, sizeof from->bytes);
    memcpy(p, &mac_low, sizeof mac_low);
    put16(p + 4, mac_high);
    if (likely(!s->v6)) memcpy(p + st->ip_at + offsetof(struct rte_ipv4_hdr, src_addr), addrs, 8);
    else memcpy(p + st->ip_at + offsetof(struct rte_ipv6_hdr, src_addr), addrs, 32);
    put32(p + from->tcp_at, ports);
    return sum;
}

bool tcp_frame_answer_syn(struct net_stack *st, struct tcp_segment *s, const struct tcp_handshake *hs, uint32_t ts_val)
{
    struct rte_mbuf *m = answer_buffer(st, s);
    if (unlikely(!m)) return false;
    uint64_t addrs = reply_write(st, rte_pktmbuf_mtod(m, uint8_t *), s);
    uint64_t ip_sum = st->templates[s->v6].ip_sum + addrs; /* not used for IPv6 */
    syn_ack_finish(st, m, s->v6, ip_sum, addrs + rte_cpu_to_be_16(IPPROTO_TCP), hs, ts_val);
    return true;
}

bool tcp_frame_send_alone(struct net_stack *st, const struct tcp_conn *c, tcp_seq seq, tcp_seq ack, uint8_t flags)
{
    struct tcp_tuple t;
    struct tcp_header h;
    tcp_conn_tuple(c, &t);
    tcp_header_write(st, &h, &t, c->mac);
    if (flags & TCP_RST && c->flags & TCPF_ECN && tcp_cc_of(c)->exact_marks)
        tcp_ecn_capable(h.bytes + st->ip_at, &h.ip_sum);
    return tcp_frame_send_bare(st, &h, seq, ack, flags, NULL);
}

bool tcp_frame_send_bare(struct net_stack *st, const struct tcp_header *h, tcp_seq seq, tcp_seq ack, uint8_t flags,
                         const uint32_t *ts)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(st->config.pools->small);
    if (!m) {
        metric_add(&st->metrics.tx_no_buffer, 1);
        return false;
    }
    if (ts) {
        uint8_t *options = options_of(st, h, m);
        put32(options, TS_PREFIX_BE);
        put32(options + 4, rte_cpu_to_be_32(ts[0]));
        put32(options + 8, rte_cpu_to_be_32(ts[1]));
    }
    control_finish(st, m, h, seq, ack, flags, 0, ts ? TCP_TS_BYTES : 0, (struct control_payload){.len = 0});
    if (flags & TCP_RST) metric_add(&st->metrics.resets_sent, 1);
    stack_send(st, m);
    return true;
}

void tcp_frame_refuse(struct net_stack *st, const struct tcp_segment *s)
{
    if (s->flags & TCP_RST) return;
    if (!rate_take(&st->reset_rate, st->now)) {
        metric_add(&st->metrics.resets_withheld, 1);
        return;
    }
    struct tcp_header h;
    uint32_t len = s->len + (s->flags & TCP_SYN ? 1 : 0) + (s->flags & TCP_FIN ? 1 : 0);
    tcp_header_reply(st, &h, s);
    if (s->flags & TCP_ACK) tcp_frame_send_bare(st, &h, s->ack, 0, TCP_RST, NULL);
    else tcp_frame_send_bare(st, &h, 0, s->seq + len, TCP_RST | TCP_ACK, NULL);
}
