#include "net/port_impl.h"

#include <string.h>
#include <rte_ethdev.h>
#include <rte_pause.h>
#include "base/metrics.h"
#include "net/checksum.h"

#define TCP_CHECKSUM_AT 16u
#define TX_TRIES 64u /* some microseconds: a lost frame costs its connection a timeout */

static uint16_t rx_burst(struct port *port, uint16_t queue, struct rte_mbuf **frames, uint16_t max)
{
    struct port_gate_side *side = &port->queues[queue].side;
    if (!port->gated) return rte_eth_rx_burst(port->id, queue, frames, max);
    if (unlikely(!port_gate_enter(&port->gate, side))) return 0;
    uint16_t n = rte_eth_rx_burst(port->id, queue, frames, max);
    port_gate_leave(side);
    return n;
}

static uint16_t tx_burst(struct port *port, uint16_t queue, struct rte_mbuf **frames, uint16_t n)
{
    struct port_gate_side *side = &port->queues[queue].side;
    if (!port->gated) return rte_eth_tx_burst(port->id, queue, frames, n);
    if (unlikely(!port_gate_enter(&port->gate, side))) return 0;
    uint16_t sent = rte_eth_tx_burst(port->id, queue, frames, n);
    port_gate_leave(side);
    return sent;
}

uint16_t port_rx(struct port *port, uint16_t queue, struct rte_mbuf **frames, uint16_t max)
{
    uint16_t n = rx_burst(port, queue, frames, max);
    /* "The checksum in the frame is not set, but its integrity is verified." */
    for (uint16_t i = 0; port->trusted && i < n; i++) frames[i]->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE;
    return n;
}

static void frames_drop(struct port_queue *q, struct rte_mbuf **frames, uint16_t n)
{
    rte_pktmbuf_free_bulk(frames, n);
    metric_add(&q->tx_dropped, n);
}

/* A copy in one buffer of the queue's pool, or NULL. The caller still owns m. */
static struct rte_mbuf *frame_copy(struct rte_mempool *pool, const struct rte_mbuf *m)
{
    struct rte_mbuf *copy = rte_pktmbuf_alloc(pool);
    if (!copy) return NULL;
    if (m->pkt_len > rte_pktmbuf_tailroom(copy)) {
        rte_pktmbuf_free(copy);
        return NULL;
    }
    uint8_t *to = rte_pktmbuf_mtod(copy, uint8_t *);
    for (const struct rte_mbuf *seg = m; seg; seg = seg->next) {
        memcpy(to, rte_pktmbuf_mtod(seg, void *), seg->data_len);
        to += seg->data_len;
    }
    copy->data_len = (uint16_t)m->pkt_len;
    copy->pkt_len = m->pkt_len;
    copy->tx_offload = m->tx_offload;
    copy->ol_flags |= m->ol_flags & RTE_MBUF_F_TX_OFFLOAD_MASK;
    return copy;
}

/* len bytes at p in as many buffers of pool as that takes; NULL: none left. */
static struct rte_mbuf *bytes_copy(struct rte_mempool *pool, const uint8_t *p, uint32_t len)
{
    struct rte_mbuf *head = NULL, **at = &head;
    while (len > 0) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
        if (!m) {
            for (; head; head = m) {
                m = head->next;
                head->next = NULL;
                rte_pktmbuf_free_seg(head);
            }
            return NULL;
        }
        uint32_t n = RTE_MIN(len, (uint32_t)rte_pktmbuf_tailroom(m));
        memcpy(rte_pktmbuf_mtod(m, uint8_t *), p, n);
        m->data_len = (uint16_t)n;
        *at = m;
        at = &m->next;
        p += n;
        len -= n;
    }
    return head;
}

/* Copies the pieces behind the first that lie in memory of others' (the store's items); false: no buffers. */
static bool frame_own(struct rte_mempool *pool, struct rte_mbuf *m)
{
    for (struct rte_mbuf *before = m, *piece = m->next; piece; piece = before->next) {
        if (!RTE_MBUF_HAS_EXTBUF(piece) || piece->data_len == 0) {
            before = piece;
            continue;
        }
        struct rte_mbuf *copy = bytes_copy(pool, rte_pktmbuf_mtod(piece, const uint8_t *), piece->data_len);
        if (!copy) return false;
        before->next = copy;
        m->nb_segs--;
        for (; before->next; before = before->next) m->nb_segs++;
        before->next = piece->next;
        piece->next = NULL;
        rte_pktmbuf_free_seg(piece);
    }
    return true;
}

/* For a driver whose peer reads our buffers itself, and has only DPDK's memory. Returns how many are left. */
static uint16_t frames_own(struct port_queue *q, struct rte_mbuf **frames, uint16_t n)
{
    uint16_t kept = 0;
    for (uint16_t i = 0; i < n; i++) {
        if (frames[i]->nb_segs == 1 || frame_own(q->frames, frames[i])) frames[kept++] = frames[i];
        else frames_drop(q, &frames[i], 1);
    }
    return kept;
}

uint16_t port_linearise(struct rte_mempool *pool, struct rte_mbuf **frames, uint16_t n, uint64_t *dropped)
{
    uint16_t kept = 0;
    for (uint16_t i = 0; i < n; i++) {
        struct rte_mbuf *m = frames[i];
        if (m->nb_segs == 1 && RTE_MBUF_DIRECT(m)) {
            frames[kept++] = m;
            continue;
        }
        struct rte_mbuf *copy = frame_copy(pool, m);
        rte_pktmbuf_free(m);
        if (copy) frames[kept++] = copy;
        else metric_add(dropped, 1);
    }
    return kept;
}

static bool has_odd_piece(const struct rte_mbuf *m)
{
    for (; m->next; m = m->next)
        if (m->data_len & 1) return true;
    return false;
}

/* Checksums that the driver would get wrong. The field holds the pseudo-header's sum, as it would for the driver. */
static void frames_sum(struct rte_mbuf **frames, uint16_t n)
{
    for (uint16_t i = 0; i < n; i++) {
        struct rte_mbuf *m = frames[i];
        if (m->nb_segs == 1 || (m->ol_flags & RTE_MBUF_F_TX_L4_MASK) != RTE_MBUF_F_TX_TCP_CKSUM) continue;
        if (!has_odd_piece(m)) continue;
        uint32_t at = (uint32_t)(m->l2_len + m->l3_len);
        uint16_t sum = (uint16_t)~checksum_fold(checksum_chain(m, at, m->pkt_len - at));
        memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, at + TCP_CHECKSUM_AT), &sum, sizeof sum);
        m->ol_flags &= ~RTE_MBUF_F_TX_L4_MASK;
    }
}

/* Readies headers for checksum offload; a frame that the driver refuses would block those behind it. */
static uint16_t frames_prepare(struct port *port, uint16_t queue, struct rte_mbuf **frames, uint16_t n)
{
    uint16_t ready = 0;
    while ((ready += rte_eth_tx_prepare(port->id, queue, frames + ready, (uint16_t)(n - ready))) < n) {
        frames_drop(&port->queues[queue], frames + ready, 1);
        n--;
        memmove(frames + ready, frames + ready + 1, (size_t)(n - ready) * sizeof *frames);
    }
    return n;
}

void port_tx(struct port *port, uint16_t queue, struct rte_mbuf **frames, uint16_t n)
{
    struct port_queue *q = &port->queues[queue];
    if (port->linear_only) n = port_linearise(q->frames, frames, n, &q->tx_dropped);
    if (port->own_memory) n = frames_own(q, frames, n);
    if (port->odd_pieces) frames_sum(frames, n);
    if (port->tx_prepare) n = frames_prepare(port, queue, frames, n);
    uint16_t sent = tx_burst(port, queue, frames, n);
    for (unsigned tries = 1; sent < n && tries < TX_TRIES; tries++) {
        rte_pause();
        sent += tx_burst(port, queue, frames + sent, (uint16_t)(n - sent));
    }
    if (unlikely(sent < n)) frames_drop(q, frames + sent, (uint16_t)(n - sent));
}

uint64_t port_tx_dropped(const struct port *port, uint16_t queue)
{
    return metric_get(&port->queues[queue].tx_dropped);
}
