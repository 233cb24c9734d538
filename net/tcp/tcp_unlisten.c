/* The end of a listener. */
#include "net/tcp/tcp.h"

static bool in_handshake(const struct tcp_conn *c, const struct tcp_listener *l)
{
    return c->state == TCPS_SYN_RCVD && c->flags & TCPF_PASSIVE && c->listener == l;
}

void net_unlisten(struct net_stack *st, uint16_t port)
{
    struct tcp_listener *l = tcp_listener_find(st, port);
    if (port == 0 || !l) return;
    for (uint32_t i = 0; i < st->conn_used; i++) {
        struct tcp_conn *c = stack_conn(st, i);
        if (!in_handshake(c, l)) continue;
        tcp_conn_reset(st, c);
        tcp_conn_free(st, c);
    }
    *l = (struct tcp_listener){.port = 0};
}
