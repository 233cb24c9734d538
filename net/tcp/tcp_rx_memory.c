#include "net/tcp/tcp_rx_memory.h"

uint32_t tcp_rx_room_left(const struct net_stack *st, const struct tcp_conn *c)
{
    uint32_t window = st->config.rx_window, most = tcp_rx_memory_max(st);
    uint32_t bytes = window > c->rx_held ? window - c->rx_held : 0;
    uint32_t memory = most > c->rx_memory ? most - c->rx_memory : 0;
    if (tcp_rx_memory_scarce(st)) bytes = c->rx_held ? 0 : RTE_MIN(bytes, TCP_SCARCE_WINDOW);
    return RTE_MIN(bytes, memory);
}

/* Which buffers have gone is the application's affair: as large a part of the memory as of the bytes. */
void tcp_rx_memory_share(struct net_stack *st, struct tcp_conn *c, uint32_t before)
{
    uint32_t left = (uint32_t)((uint64_t)c->rx_memory * c->rx_held / before);
    st->rx_memory -= c->rx_memory - left;
    c->rx_memory = left;
    c->flags &= ~TCPF_RX_FULL;
}

bool tcp_rx_memory_fits(struct net_stack *st, struct tcp_conn *c)
{
    bool full = c->rx_memory > tcp_rx_memory_max(st) || (st->rx_memory > st->config.rx_memory && c->rx_memory > 0);
    if (full) metric_add(&st->metrics.drop_tcp_rx_memory, 1);
    else if (!tcp_rx_memory_scarce(st)) c->flags &= ~TCPF_RX_FULL;
    return !full;
}
