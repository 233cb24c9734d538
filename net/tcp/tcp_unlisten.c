/* The end of a listener. What is in its handshake finds none when it is through, and is reset (tcp_established). */
#include "net/tcp/tcp.h"

void net_unlisten(struct net_stack *st, const struct net_endpoint *at)
{
    struct tcp_listener *l = at->port ? tcp_listener_find(st, &at->addr, at->port) : NULL;
    if (l && net_addr_equal(&l->addr, &at->addr)) *l = (struct tcp_listener){.port = 0};
}
