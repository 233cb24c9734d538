/* The end of a listener. What is in its handshake finds none when it is through, and is reset (tcp_established). */
#include "net/tcp/tcp.h"

void net_unlisten(struct net_stack *st, uint16_t port)
{
    for (unsigned i = 0; i < STACK_LISTENERS; i++)
        if (st->listeners[i].port == port) st->listeners[i] = (struct tcp_listener){.port = 0};
}
