/*
 * What an application may set for one connection (net_tcp_tune). Few different settings are in use at a time, so a
 * connection holds but the index of one in a small table that counts its users; index 0 is the stack's default, for
 * ever. Core of the stack only.
 */
#ifndef POLAR_NET_TCP_TCP_TUNING_H
#define POLAR_NET_TCP_TCP_TUNING_H

#include "net/tcp/tcp.h"

static inline const struct net_tcp_tuning *tcp_tuning_of(const struct net_stack *st, const struct tcp_conn *c)
{
    return &st->tunings[c->tuning].values;
}

void tcp_tunings_init(struct net_stack *st); /* entry 0 from the configuration */
void tcp_tuning_start(struct net_stack *st, struct tcp_conn *c); /* c is new */
void tcp_tuning_put(struct net_stack *st, struct tcp_conn *c); /* c is going */

/* tcp_keepalive.c */
/* The connection is established, or is tuned anew: when it is to be looked at. */
void tcp_watch_start(struct net_stack *st, struct tcp_conn *c);
/* linger_at has come, of a connection that is no orphan. False: the peer is given up; the connection is gone. */
bool tcp_watch_due(struct net_stack *st, struct tcp_conn *c);

#endif
