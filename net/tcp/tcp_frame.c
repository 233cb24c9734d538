/*
 * Frames are built here and nowhere else. The header goes into a fresh small buffer each time, also when a segment is
 * sent again: the driver may still hold the old one. Checksums come from the sums kept in the connection and from the
 * words as they are written, not from a second pass over the header.
 */
#include <string.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include "net/checksum.h"
#include "net/tcp/tcp.h"
#include "net/tcp/tcp_ecn.h"
#include "net/tcp/tcp_sack.h"

#define IP_OFFSET 14u
#define TTL 64
#define PIECES_MAX 8u /* references of a frame; the rest of very small ones is copied together */
#define TS_PREFIX_BE RTE_STATIC_BSWAP32(0x0101080au) /* NOP NOP TS 10 */
#define SACK_PREFIX 0x01010500u                      /* NOP NOP SACK, its length added */

static void put32(uint8_t *p, uint32_t be) { memcpy(p, &be, sizeof be); }
static void put16(uint8_t *p, uint16_t be) { memcpy(p, &be, sizeof be); }

/* Ethernet and IP header and the ports for a peer; the total length and the checksum are left zero. */
static void header_write(const struct net_stack *st, uint8_t *p, const uint8_t *mac, uint64_t key)
{
    struct rte_ether_hdr *eth = (struct rte_ether_hdr *)p;
    struct rte_ipv4_hdr ip = {
        .version_ihl = RTE_IPV4_VHL_DEF,
        .fragment_offset = rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG),
        .time_to_live = TTL,
        .next_proto_id = IPPROTO_TCP,
        .src_addr = st->ip_be,
        .dst_addr = (uint32_t)key,
    };
    uint32_t ports = (uint32_t)(key >> 32);
    memcpy(&eth->dst_addr, mac, 6);
    memcpy(&eth->src_addr, st->config.mac, 6);
    eth->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
    memcpy(p + IP_OFFSET, &ip, sizeof ip);
    put32(p + TCP_OFFSET, ports << 16 | ports >> 16);
}

static uint32_t pseudo_sum(const struct net_stack *st, uint64_t key)
{
    uint64_t sum = (uint64_t)st->ip_be + (uint32_t)key + rte_cpu_to_be_16(IPPROTO_TCP);
    return checksum_fold(sum);
}

void tcp_frame_template(struct net_stack *st, struct tcp_conn *c, const uint8_t *mac)
{
    header_write(st, c->header, mac, c->key);
    c->pseudo_sum = pseudo_sum(st, c->key);
    c->ip_sum = checksum_fold(checksum_sum(c->header + IP_OFFSET, sizeof(struct rte_ipv4_hdr)));
}

void tcp_frame_set_mac(struct tcp_conn *c, const uint8_t *mac) { memcpy(c->header, mac, 6); }

/* The header's last words: lengths and checksums. sum covers the TCP header from the ports on, and the payload. */
static void header_finish(struct net_stack *st, struct rte_mbuf *m, uint8_t *p, uint32_t header, uint32_t ip_sum,
                          uint32_t pseudo, uint64_t sum)
{
    uint32_t tcp_len = m->pkt_len - TCP_OFFSET;
    uint16_t total_be = rte_cpu_to_be_16((uint16_t)(m->pkt_len - IP_OFFSET));
    uint64_t pseudo_len = (uint64_t)pseudo + rte_cpu_to_be_16((uint16_t)tcp_len);
    put16(p + IP_OFFSET + offsetof(struct rte_ipv4_hdr, total_length), total_be);
    bool ip_offload = st->tx_flags & RTE_MBUF_F_TX_IP_CKSUM, tcp_offload = st->tx_flags & RTE_MBUF_F_TX_TCP_CKSUM;
    uint16_t ip_checksum = ip_offload ? 0 : (uint16_t)~checksum_fold((uint64_t)ip_sum + total_be);
    put16(p + IP_OFFSET + offsetof(struct rte_ipv4_hdr, hdr_checksum), ip_checksum);
    /* A device that computes the sum expects that of the pseudo-header in its place. */
    uint16_t tcp_checksum = tcp_offload ? checksum_fold(pseudo_len) : (uint16_t)~checksum_fold(pseudo_len + sum);
    put16(p + TCP_OFFSET + 16, tcp_checksum);
    if (st->tx_flags) {
        m->ol_flags = st->tx_flags;
        m->l2_len = IP_OFFSET;
        m->l3_len = sizeof(struct rte_ipv4_hdr);
        m->l4_len = header - TCP_OFFSET;
    }
}

/* Copies len bytes of the queue behind the header. */
static uint64_t payload_copy(uint8_t *to, const struct rte_mbuf *from, uint32_t off, uint32_t len)
{
    uint8_t *p = to;
    for (uint32_t left = len; left; from = from->next, off = 0) {
        uint32_t n = RTE_MIN(from->data_len - off, left);
        memcpy(p, rte_pktmbuf_mtod_offset(from, const uint8_t *, off), n);
        p += n;
        left -= n;
    }
    return checksum_sum(to, len);
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
    uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
    uint32_t header = TCP_FRAME_HEADER, ports;
    uint64_t sum = 0;
    memcpy(p, c->header, sizeof c->header);
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
    uint32_t ip_sum = c->ip_sum;
    if (c->flags & TCPF_ECN) flags |= tcp_ecn_tx(c, seq, len, p + IP_OFFSET, &ip_sum);
    uint16_t window = tcp_window_offer(st, c, c->rcv_scale);
    uint32_t seq_be = rte_cpu_to_be_32(seq), ack_be = rte_cpu_to_be_32(c->rcv_nxt);
    uint32_t word = rte_cpu_to_be_32((header - TCP_OFFSET) / 4 << 28 | (uint32_t)flags << 16 | window);
    memcpy(&ports, c->header + TCP_OFFSET, sizeof ports);
    put32(p + TCP_OFFSET + 4, seq_be);
    put32(p + TCP_OFFSET + 8, ack_be);
    put32(p + TCP_OFFSET + 12, word);
    put32(p + TCP_OFFSET + 16, 0);
    sum += (uint64_t)ports + seq_be + ack_be + word;
    m->data_len = (uint16_t)header;
    m->pkt_len = header;
    if (len > 0 && len <= st->config.tx_inline) {
        sum += payload_copy(p + header, from, off, len);
        m->data_len = (uint16_t)(header + len);
        m->pkt_len = header + len;
        metric_add(&st->metrics.tx_copied, len);
    } else if (len > 0) {
        uint64_t payload = 0;
        if (unlikely(!payload_refer(st, m, from, off, len, &payload))) {
            rte_pktmbuf_free(m);
            return false;
        }
        sum += payload;
    }
    header_finish(st, m, p, header, ip_sum, c->pseudo_sum, sum);
    c->last_ack = c->rcv_nxt;
    if (flags & TCP_CWR) c->flags &= ~TCPF_CWR;
    stack_send(st, m);
    return true;
}

/* A frame without payload whose header up to the ports is written. */
static void control_finish(struct net_stack *st, struct rte_mbuf *m, uint64_t key, tcp_seq seq, tcp_seq ack,
                           uint8_t flags, uint16_t window, uint32_t options_len)
{
    uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
    uint32_t header = TCP_FRAME_HEADER + options_len;
    put32(p + TCP_OFFSET + 4, rte_cpu_to_be_32(seq));
    put32(p + TCP_OFFSET + 8, rte_cpu_to_be_32(ack));
    put32(p + TCP_OFFSET + 12, rte_cpu_to_be_32((header - TCP_OFFSET) / 4 << 28 | (uint32_t)flags << 16 | window));
    put32(p + TCP_OFFSET + 16, 0);
    m->data_len = (uint16_t)header;
    m->pkt_len = header;
    header_finish(st, m, p, header, (uint32_t)checksum_sum(p + IP_OFFSET, sizeof(struct rte_ipv4_hdr)), pseudo_sum(st, key),
                  checksum_sum(p + TCP_OFFSET, header - TCP_OFFSET));
}

bool tcp_frame_send_syn(struct net_stack *st, struct tcp_conn *c)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(st->config.pools->small);
    if (!m) return false;
    uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
    bool answer = c->state == TCPS_SYN_RCVD;
    struct tcp_options o = {
        .mss = (uint16_t)(st->config.mtu - sizeof(struct rte_ipv4_hdr) - TCP_HEADER_BYTES),
        .scale = st->rcv_scale,
        .has_scale = !answer || c->flags & TCPF_SCALE,
        .has_ts = !answer || c->flags & TCPF_TS,
        .sack_permitted = !answer || c->flags & TCPF_SACK,
        .ts_val = st->ts_now,
        .ts_ecr = answer ? c->ts_recent : 0,
    };
    memcpy(p, c->header, TCP_HEADER_TEMPLATE);
    uint32_t options_len = tcp_options_write_syn(p + TCP_FRAME_HEADER, &o);
    uint16_t window = tcp_window_offer(st, c, 0); /* the window of a SYN is never scaled: RFC 7323 2.2 */
    uint8_t flags = (uint8_t)(TCP_SYN | (answer ? TCP_ACK : 0) | tcp_ecn_syn_flags(st, c));
    control_finish(st, m, c->key, c->iss, answer ? c->rcv_nxt : 0, flags, window, options_len);
    c->last_ack = c->rcv_nxt;
    if (c->flags & TCPF_PASSIVE || answer) stack_send(st, m);
    else arp_send(st, (uint32_t)c->key, m);
    return true;
}

bool tcp_frame_send_syn_ack(struct net_stack *st, const uint8_t *mac, uint64_t key, const struct tcp_handshake *hs,
                            uint32_t ts_val)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(st->config.pools->small);
    if (!m) return false;
    uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
    struct tcp_options o = {
        .mss = (uint16_t)(st->config.mtu - sizeof(struct rte_ipv4_hdr) - TCP_HEADER_BYTES),
        .scale = st->rcv_scale,
        .has_scale = hs->flags & TCP_HS_SCALE,
        .has_ts = hs->flags & TCP_HS_TS,
        .sack_permitted = hs->flags & TCP_HS_SACK,
        .ts_val = ts_val,
        .ts_ecr = hs->ts_val,
    };
    header_write(st, p, mac, key);
    uint32_t options_len = tcp_options_write_syn(p + TCP_FRAME_HEADER, &o);
    uint8_t flags = (uint8_t)(TCP_SYN | TCP_ACK | (hs->flags & TCP_HS_ECN ? TCP_ECE : 0));
    control_finish(st, m, key, hs->iss, hs->irs + 1, flags, tcp_syn_window(st), options_len);
    stack_send(st, m);
    return true;
}

bool tcp_frame_send_bare(struct net_stack *st, const uint8_t *mac, uint64_t key, tcp_seq seq, tcp_seq ack,
                         uint8_t flags, const uint32_t *ts)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(st->config.pools->small);
    if (!m) return false;
    uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
    header_write(st, p, mac, key);
    if (ts) {
        put32(p + TCP_FRAME_HEADER, TS_PREFIX_BE);
        put32(p + TCP_FRAME_HEADER + 4, rte_cpu_to_be_32(ts[0]));
        put32(p + TCP_FRAME_HEADER + 8, rte_cpu_to_be_32(ts[1]));
    }
    control_finish(st, m, key, seq, ack, flags, 0, ts ? TCP_TS_BYTES : 0);
    if (flags & TCP_RST) metric_add(&st->metrics.resets_sent, 1);
    stack_send(st, m);
    return true;
}

void tcp_frame_refuse(struct net_stack *st, const struct tcp_segment *s)
{
    if (s->flags & TCP_RST) return;
    const uint8_t *mac = s->frame + 6;
    uint32_t len = s->len + (s->flags & TCP_SYN ? 1 : 0) + (s->flags & TCP_FIN ? 1 : 0);
    if (s->flags & TCP_ACK) tcp_frame_send_bare(st, mac, s->key, s->ack, 0, TCP_RST, NULL);
    else tcp_frame_send_bare(st, mac, s->key, 0, s->seq + len, TCP_RST | TCP_ACK, NULL);
}
