/*
 * Payload into order. Buffers move, bytes do not: a received frame loses its header and joins the stream's chain. Only
 * small slices are copied: one that finds unconsumed data before it goes into that buffer's tail room, so a peer that
 * trickles bytes cannot pin a large buffer with each of them.
 *
 * What is out of order waits in a list of single segments, sorted, without overlaps (tcp_reassembly.h).
 */
#include <string.h>
#include "net/tcp/tcp.h"
#include "net/tcp/tcp_gro.h"
#include "net/tcp/tcp_rx_memory.h"
#include "net/tcp/tcp_sack.h"

#define SMALL_SLICE 512u
#define TAIL_SHARE 4u  /* a slice up to this part of its buffer joins the one before it */
#define SLICE_SHARE 8u /* a buffer of which less than this part is payload is not worth keeping */

/* Cuts n bytes off the front of a linked run of segments; frees those used up. */
static struct rte_mbuf *cut_front(struct rte_mbuf *m, uint32_t n)
{
    while (m && n >= m->data_len) {
        struct rte_mbuf *next = m->next;
        n -= m->data_len;
        m->next = NULL;
        m->nb_segs = 1;
        rte_pktmbuf_free_seg(m);
        m = next;
    }
    if (m && n) {
        m->data_off = (uint16_t)(m->data_off + n);
        m->data_len = (uint16_t)(m->data_len - n);
    }
    return m;
}

/* Keeps the first n bytes of a linked run of segments, n above 0; frees the rest. */
static void cut_back(struct rte_mbuf *m, uint32_t n)
{
    while (n > m->data_len) {
        n -= m->data_len;
        m = m->next;
    }
    m->data_len = (uint16_t)n;
    struct rte_mbuf *rest = m->next;
    m->next = NULL;
    while (rest) {
        struct rte_mbuf *next = rest->next;
        rest->next = NULL;
        rest->nb_segs = 1;
        rte_pktmbuf_free_seg(rest);
        rest = next;
    }
}

/* Copies a small slice behind unconsumed data where that buffer is ours alone and has room. */
static bool tail_copy(struct buf_chain *rx, const struct rte_mbuf *m)
{
    struct rte_mbuf *tail = rx->tail;
    if (!tail || m->next || m->data_len > RTE_MAX(SMALL_SLICE, m->buf_len / TAIL_SHARE)) return false;
    if (!RTE_MBUF_DIRECT(tail) || rte_mbuf_refcnt_read(tail) != 1) return false;
    if (rte_pktmbuf_tailroom(tail) < m->data_len) return false;
    memcpy(rte_pktmbuf_mtod_offset(tail, uint8_t *, tail->data_len), buf_data(m), m->data_len);
    tail->data_len = (uint16_t)(tail->data_len + m->data_len);
    rx->len += m->data_len;
    return true;
}

/* A slice that would pin a much larger buffer moves into a small one, if there is one. Takes m; returns what to keep. */
static struct rte_mbuf *slice_copy(struct net_stack *st, struct rte_mbuf *m)
{
    if (m->data_len > BUF_SMALL_ROOM || m->data_len * SLICE_SHARE >= m->buf_len) return m;
    struct rte_mbuf *copy = rte_pktmbuf_alloc(st->config.pools->small);
    if (!copy) return m;
    memcpy(rte_pktmbuf_mtod(copy, uint8_t *), buf_data(m), m->data_len);
    copy->data_len = m->data_len;
    rte_pktmbuf_free_seg(m);
    return copy;
}

static void stream_append(struct net_stack *st, struct tcp_conn *c, struct rte_mbuf *m, uint32_t len)
{
    if (unlikely(c->flags & TCPF_ORPHAN)) {
        metric_add(&st->metrics.drop_tcp_unread, 1);
        rte_pktmbuf_free(m);
        return;
    }
    c->rx_held += len;
    if (c->stream.rx.tail && tail_copy(&c->stream.rx, m)) {
        rte_pktmbuf_free(m);
        return;
    }
    if (unlikely(tcp_rx_memory_scarce(st)) && !m->next) m = slice_copy(st, m);
    tcp_rx_memory_add(st, c, m);
    buf_chain_append(&c->stream.rx, m);
}

/* m is no longer held. */
static void ooo_uncount(struct tcp_conn *c, const struct rte_mbuf *m)
{
    c->ooo->count--;
    c->ooo->bytes -= m->data_len;
    tcp_stack_of(c)->pools.ooo_buffers--;
}

/* What was out of order and now follows. */
static void ooo_drain(struct net_stack *st, struct tcp_conn *c)
{
    struct tcp_ooo *q = c->ooo;
    while (q->head && seq_le(q->head->hash.usr, c->rcv_nxt)) {
        struct rte_mbuf *m = q->head;
        uint32_t known = c->rcv_nxt - m->hash.usr;
        q->head = m->next;
        ooo_uncount(c, m);
        m->next = NULL;
        if (known) tcp_sack_duplicate(st, c, m->hash.usr, m->hash.usr + RTE_MIN(known, (uint32_t)m->data_len));
        m = cut_front(m, known);
        if (!m) continue;
        uint32_t len = m->data_len;
        c->rcv_nxt += len;
        stream_append(st, c, m, len);
    }
    q->hint = q->head;
    if (!q->head && q->dup.start == q->dup.end) tcp_ooo_put(st, c);
}

/* A longer segment than all before. Where a device does not say what it has joined it is taken for one as the link. */
static void rcv_mss_grow(struct tcp_conn *c, const struct tcp_segment *s)
{
    uint32_t piece = RTE_MIN(tcp_segment_piece(s), (uint32_t)tcp_stack_of(c)->config.mtu);
    if (piece > c->rcv_mss) c->rcv_mss = (uint16_t)piece;
}

/* An ACK is owed at once for every second full segment; a stranger's small ones wait for company. RFC 5681 4.2. */
static void ack_policy(struct tcp_conn *c)
{
    if (c->rcv_nxt - c->last_ack >= 2u * c->rcv_mss) c->flags |= TCPF_ACK_NOW;
}

void tcp_deliver(struct net_stack *st, struct tcp_conn *c, struct tcp_segment *s)
{
    struct rte_mbuf *m = s->m;
    if (unlikely(s->len > c->rcv_mss)) rcv_mss_grow(c, s);
    s->m = NULL;
    m = cut_front(m, s->payload_off);
    c->rcv_nxt += s->len;
    stream_append(st, c, m, s->len);
    if (unlikely(c->ooo != NULL)) {
        ooo_drain(st, c);
        c->flags |= TCPF_ACK_NOW; /* a hole was filled, wholly or in part: RFC 5681 4.2 */
    }
    ack_policy(c);
    tcp_raise(c, STREAM_READABLE);
    stack_touch(st, c);
}

void tcp_ooo_free(struct tcp_conn *c)
{
    struct tcp_ooo *q = c->ooo;
    if (!q) return;
    while (q->head) {
        struct rte_mbuf *m = q->head;
        q->head = m->next;
        ooo_uncount(c, m);
        m->next = NULL;
        rte_pktmbuf_free_seg(m);
    }
    tcp_ooo_put(tcp_stack_of(c), c);
}

/* The last segment that begins at seq or before; NULL: none. */
static struct rte_mbuf *ooo_before(const struct tcp_ooo *q, tcp_seq seq)
{
    struct rte_mbuf *before = NULL;
    if (q->hint && seq_le(q->hint->hash.usr, seq)) before = q->hint;
    for (struct rte_mbuf *next = before ? before->next : q->head; next && seq_le(next->hash.usr, seq); next = before->next)
        before = next;
    return before;
}

/* Puts one segment into the list; takes m. Where it overlaps a part of another it is cut; what it covers goes. */
static void ooo_insert(struct net_stack *st, struct tcp_conn *c, struct rte_mbuf *m, tcp_seq seq)
{
    struct tcp_ooo *q = c->ooo;
    struct rte_mbuf *before = ooo_before(q, seq);
    if (before) {
        tcp_seq end = before->hash.usr + before->data_len;
        if (seq_gt(end, seq)) {
            uint32_t known = RTE_MIN(end - seq, (uint32_t)m->data_len);
            tcp_sack_duplicate(st, c, seq, seq + known);
            q->hint = before; /* its block follows that of the duplicate: RFC 2883 4 */
            m = cut_front(m, known);
            if (!m) return;
            seq = end;
        }
    }
    struct rte_mbuf *next = before ? before->next : q->head;
    while (next && seq_lt(next->hash.usr, seq + m->data_len)) {
        tcp_seq end = next->hash.usr + next->data_len;
        if (seq_gt(end, seq + m->data_len)) {
            tcp_sack_duplicate(st, c, next->hash.usr, seq + m->data_len);
            cut_back(m, next->hash.usr - seq);
            break;
        }
        struct rte_mbuf *covered = next; /* wholly within the new one */
        next = covered->next;
        tcp_sack_duplicate(st, c, covered->hash.usr, end);
        ooo_uncount(c, covered);
        covered->next = NULL;
        rte_pktmbuf_free_seg(covered);
    }
    m = slice_copy(st, m);
    m->hash.usr = seq;
    m->next = next;
    if (before) before->next = m;
    else q->head = m;
    q->hint = m;
    q->count++;
    q->bytes += m->data_len;
    st->pools.ooo_buffers++;
}

static bool ooo_full(const struct net_stack *st, const struct tcp_ooo *q)
{
    return q->count >= TCP_OOO_MAX || st->pools.ooo_buffers >= st->pools.ooo_buffers_max;
}

/* Takes s->m: each of its segments by itself. */
static void ooo_add(struct net_stack *st, struct tcp_conn *c, struct tcp_segment *s)
{
    uint32_t pieces = (s->len + tcp_segment_piece(s) - 1) / tcp_segment_piece(s);
    metric_add(&st->metrics.out_of_order, pieces);
    struct tcp_ooo *q = tcp_ooo_get(st, c);
    if (!q) {
        metric_add(&st->metrics.drop_tcp_no_memory, 1);
        return;
    }
    struct rte_mbuf *m = cut_front(s->m, s->payload_off);
    tcp_seq seq = s->seq;
    s->m = NULL;
    while (m) {
        struct rte_mbuf *next = m->next;
        tcp_seq after = seq + m->data_len;
        m->next = NULL;
        m->nb_segs = 1;
        if (m->data_len == 0 || ooo_full(st, q)) {
            if (m->data_len) metric_add(&st->metrics.drop_tcp_no_memory, 1);
            rte_pktmbuf_free_seg(m);
        } else {
            ooo_insert(st, c, m, seq);
        }
        seq = after;
        m = next;
    }
    if (!(c->flags & TCPF_SACK)) q->dupacks += pieces; /* it counts them: RFC 5681 4.2 */
    if (!q->head) tcp_ooo_put(st, c);
}

void tcp_payload_old(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s)
{
    if (!seq_lt(s->seq, c->rcv_nxt) || c->rcv_nxt - s->seq > st->config.rx_window) return;
    tcp_sack_duplicate(st, c, s->seq, s->seq + RTE_MIN(s->len, c->rcv_nxt - s->seq));
}

/* RFC 9293 3.10.7.4, seventh. What lies outside the window is cut off on both sides. */
void tcp_payload_rx(struct net_stack *st, struct tcp_conn *c, struct tcp_segment *s)
{
    if (s->len == 0) return;
    if (seq_lt(s->seq, c->rcv_nxt)) {
        uint32_t known = c->rcv_nxt - s->seq;
        c->flags |= TCPF_ACK_NOW;
        tcp_payload_old(st, c, s);
        if (known >= s->len) {
            s->len = 0;
            s->seq = c->rcv_nxt;
            return;
        }
        s->payload_off += known;
        s->len -= known;
        s->seq = c->rcv_nxt;
    }
    uint32_t room = c->rcv_adv - s->seq;
    if (seq_ge(s->seq, c->rcv_adv)) room = 0;
    if (s->len > room) {
        s->flags &= (uint16_t)~TCP_FIN;
        s->len = room;
        c->flags |= TCPF_ACK_NOW;
        if (room == 0) return;
        cut_back(s->m, s->payload_off + room);
    }
    if (unlikely(c->flags & TCPF_RX_FULL) && !tcp_rx_memory_fits(st, c)) {
        s->flags &= (uint16_t)~TCP_FIN;
        return;
    }
    if (s->seq == c->rcv_nxt) {
        tcp_deliver(st, c, s);
        return;
    }
    c->flags |= TCPF_ACK_NOW; /* a gap: RFC 5681 4.2 */
    ooo_add(st, c, s);
}

unsigned tcp_ooo_ranges(const struct tcp_conn *c, struct tcp_range *out, unsigned max)
{
    const struct tcp_ooo *q = c->ooo;
    unsigned n = 1; /* out[0] is for the newest */
    bool found = false;
    for (const struct rte_mbuf *m = q->head; m && !(found && n == max);) {
        struct tcp_range range = {m->hash.usr, m->hash.usr};
        bool newest = false;
        for (; m && m->hash.usr == range.end; m = m->next) {
            range.end += m->data_len;
            newest |= m == q->hint;
        }
        found |= newest;
        if (newest) out[0] = range;
        else if (n < max) out[n++] = range;
    }
    return found ? n : 0;
}
