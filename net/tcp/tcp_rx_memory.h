/*
 * The memory that received, unread bytes really hold: whole buffers, however few bytes of them are payload. The window
 * follows it, so a peer that sends tiny segments, or one that nobody reads, stays within a bound: a connection within
 * twice its receive window (net_stack_config.rx_window), all connections together within net_stack_config.rx_memory.
 * The right edge of what was offered is never taken back (RFC 9293 3.8.6.2.2): what then comes beyond the bound is
 * dropped, and comes again. What is out of order has bounds of its own (tcp_reassembly.c). Core of the stack only.
 */
#ifndef POLAR_NET_TCP_TCP_RX_MEMORY_H
#define POLAR_NET_TCP_TCP_RX_MEMORY_H

#include "net/tcp/tcp.h"

/* The pool nears its end: less is offered, and a small slice is worth a copy lest it hold a large buffer. */
static inline bool tcp_rx_memory_scarce(const struct net_stack *st) { return st->rx_memory > st->rx_memory_scarce; }

static inline uint32_t tcp_rx_memory_max(const struct net_stack *st) { return 2 * st->config.rx_window; }

uint32_t tcp_rx_room_left(const struct net_stack *st, const struct tcp_conn *c);

/* Bytes that may still be offered beyond rcv_nxt. */
static inline uint32_t tcp_rx_room(const struct net_stack *st, const struct tcp_conn *c)
{
    if (likely(c->rx_held == 0 && !tcp_rx_memory_scarce(st))) return st->config.rx_window;
    return tcp_rx_room_left(st, c);
}

/* m, a run of segments, now belongs to the stream's chain. */
static inline void tcp_rx_memory_add(struct net_stack *st, struct tcp_conn *c, const struct rte_mbuf *m)
{
    uint32_t bytes = m->buf_len;
    while (unlikely((m = m->next) != NULL)) bytes += m->buf_len;
    c->rx_memory += bytes;
    st->rx_memory += bytes;
    if (unlikely(c->rx_memory > tcp_rx_memory_max(st) || tcp_rx_memory_scarce(st))) c->flags |= TCPF_RX_FULL;
}

/* With TCPF_RX_FULL, which says only that it is worth a look: whether a segment has room. */
bool tcp_rx_memory_fits(struct net_stack *st, struct tcp_conn *c);

void tcp_rx_memory_share(struct net_stack *st, struct tcp_conn *c, uint32_t before);

/* The application has consumed some of `before` bytes; what is left is rx_held. */
static inline void tcp_rx_memory_consumed(struct net_stack *st, struct tcp_conn *c, uint32_t before)
{
    if (unlikely(c->rx_held)) {
        tcp_rx_memory_share(st, c, before);
        return;
    }
    st->rx_memory -= c->rx_memory;
    c->rx_memory = 0;
    c->flags &= ~TCPF_RX_FULL;
}

#endif
