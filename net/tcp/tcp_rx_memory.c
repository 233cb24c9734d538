#include "net/tcp/tcp_rx_memory.h"

/* Which buffers have gone is the application's affair; as much memory as bytes, by share, and all with the last. */
void tcp_rx_memory_consumed(struct net_stack *st, struct tcp_conn *c, uint32_t before)
{
    uint32_t left = c->rx_held ? (uint32_t)((uint64_t)c->rx_memory * c->rx_held / before) : 0;
    st->rx_memory -= c->rx_memory - left;
    c->rx_memory = left;
    c->flags &= ~TCPF_RX_FULL;
}

bool tcp_rx_memory_fits(struct net_stack *st, struct tcp_conn *c)
{
    bool full = c->rx_memory > tcp_rx_memory_max(st) || (st->rx_memory > st->config.rx_memory && c->rx_memory > 0);
    if (full) metric_add(&st->metrics.drop_tcp_rx_memory, 1);
    else c->flags &= ~TCPF_RX_FULL;
    return !full;
}
