/* The end of a listener. What is in its handshake finds none when it is through, and is reset (tcp_established). */
#include "net/tcp/tcp.h"

void net_unlisten(struct net_stack *st, uint16_t port)
{
    struct tcp_listener *l = port ? tcp_listener_find(st, port) : NULL;
    if (l) *l = (struct tcp_listener){.port = 0};
}
