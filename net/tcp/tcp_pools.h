/*
 * What only connections in trouble need, lent by their stack: scoreboards, pages for large ones, reassembly queues. Memory
 * is resident as it is first used. A pool that is empty is counted, and its connection does without: NewReno in place of
 * SACK recovery, a dropped segment in place of a queued one. Core of the stack only; O(1).
 */
#ifndef POLAR_NET_TCP_TCP_POOLS_H
#define POLAR_NET_TCP_TCP_POOLS_H

#include <stddef.h>
#include <stdint.h>

struct net_stack;
struct tcp_board;
struct tcp_conn;
struct tcp_ooo;
struct tcp_v6;

struct tcp_pool {
    uint8_t *base;
    size_t slot;        /* bytes */
    uint32_t used, max; /* slots */
    void *free;         /* linked through their first word */
    uint32_t out;       /* slots lent */
};

struct tcp_pools {
    struct tcp_pool boards, pages, ooos;
    struct tcp_pool v6; /* addresses of connections of IPv6: enough for all */
    struct tcp_board *quiet_head, *quiet_tail; /* lent, but with nothing in flight: the oldest first */
    uint32_t ooo_buffers, ooo_buffers_max;     /* held out of order by all connections */
};

/* boards: how many, and reassembly queues as many. flows: connections, half-open ones too. 0 or -ENOMEM. */
int tcp_pools_init(struct tcp_pools *p, uint32_t boards, uint32_t flows, uint32_t ooo_buffers_max);
void tcp_pools_fini(struct tcp_pools *p);

/* An empty board, owned by c (c->board); one that lies quiet with another connection if need be. NULL: none. */
struct tcp_board *tcp_board_get(struct net_stack *st, struct tcp_conn *c);
/* Gives c's board back, if it has one; its scoreboard is no longer in use. */
void tcp_board_put(struct net_stack *st, struct tcp_conn *c);
/* Nothing is in flight: others may take the board. Gives the page back. */
void tcp_board_rest(struct net_stack *st, struct tcp_board *b);
void tcp_board_wake(struct net_stack *st, struct tcp_board *b);
/* Sees that a few more runs fit, if there is a page. */
void tcp_board_room(struct net_stack *st, struct tcp_board *b);

struct tcp_v6 *tcp_v6_get(struct net_stack *st);
void tcp_v6_put(struct net_stack *st, struct tcp_v6 *v6);

/* c->ooo, or a new one there; NULL: none. */
struct tcp_ooo *tcp_ooo_get(struct net_stack *st, struct tcp_conn *c);
void tcp_ooo_put(struct net_stack *st, struct tcp_conn *c);

#endif
