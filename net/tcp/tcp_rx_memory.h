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

static inline uint32_t tcp_rx_memory_max(const struct net_stack *st) { return 2 * st->config.rx_window; }

/* Bytes that may still be offered beyond rcv_nxt. */
static inline uint32_t tcp_rx_room(const struct net_stack *st, const struct tcp_conn *c)
{
    uint32_t window = st->config.rx_window, most = tcp_rx_memory_max(st);
    uint32_t bytes = window > c->rx_held ? window - c->rx_held : 0;
    uint32_t memory = most > c->rx_memory ? most - c->rx_memory : 0;
    if (unlikely(st->rx_memory > st->rx_memory_scarce)) bytes = c->rx_held ? 0 : RTE_MIN(bytes, TCP_SCARCE_WINDOW);
    return RTE_MIN(bytes, memory);
}

/* m, a run of segments, now belongs to the stream's chain. */
static inline void tcp_rx_memory_add(struct net_stack *st, struct tcp_conn *c, const struct rte_mbuf *m)
{
    uint32_t bytes = 0;
    for (; m; m = m->next) bytes += m->buf_len;
    c->rx_memory += bytes;
    st->rx_memory += bytes;
    if (unlikely(c->rx_memory > tcp_rx_memory_max(st) || st->rx_memory > st->config.rx_memory)) c->flags |= TCPF_RX_FULL;
}

/* The application has consumed bytes; what is left is rx_held. */
void tcp_rx_memory_consumed(struct net_stack *st, struct tcp_conn *c, uint32_t before);
/* With TCPF_RX_FULL: whether a segment has room after all. */
bool tcp_rx_memory_fits(struct net_stack *st, struct tcp_conn *c);
/* Buffers are scarce: a small slice is worth a copy, so that it does not hold a large buffer. */
static inline bool tcp_rx_memory_scarce(const struct net_stack *st) { return st->rx_memory > st->rx_memory_scarce / 2; }

#endif
