#include "net/port_impl.h"

#include <string.h>
#include <rte_ethdev.h>
#include <rte_pause.h>
#include "base/metrics.h"

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

/* Makes every frame one buffer that holds its own data; returns how many are left. */
static uint16_t frames_linearise(struct port_queue *q, struct rte_mbuf **frames, uint16_t n)
{
    uint16_t kept = 0;
    for (uint16_t i = 0; i < n; i++) {
        struct rte_mbuf *m = frames[i];
        if (m->nb_segs == 1 && RTE_MBUF_DIRECT(m)) {
            frames[kept++] = m;
            continue;
        }
        struct rte_mbuf *copy = frame_copy(q->frames, m);
        rte_pktmbuf_free(m);
        if (copy) frames[kept++] = copy;
        else metric_add(&q->tx_dropped, 1);
    }
    return kept;
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
    if (port->linear_only) n = frames_linearise(q, frames, n);
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
