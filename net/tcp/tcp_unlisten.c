/* The end of a listener. What is in its handshake finds none when it is through, and is reset (tcp_established). */
#include "net/tcp/tcp.h"

void net_unlisten(struct net_stack *st, const struct net_endpoint *at)
{
    struct tcp_listener *l = at->port ? tcp_listener_find(st, &at->addr, at->port) : NULL;
    if (!l || !net_addr_equal(&l->addr, &at->addr)) return;
    *l = (struct tcp_listener){.port = 0};
    while (st->listener_places > 0 && st->listeners[st->listener_places - 1].port == 0) st->listener_places--;
}
