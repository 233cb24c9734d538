/*
 * TIME-WAIT as a small record in place of a connection. All of them last equally long, so the oldest is due first; when
 * there is no room for another, the oldest goes early. Core of the stack only. RFC 9293 3.3.2, RFC 6191, RFC 1337.
 */
#ifndef POLAR_NET_TCP_TIME_WAIT_H
#define POLAR_NET_TCP_TIME_WAIT_H

#include <stdbool.h>
#include <stdint.h>
#include "net/tcp/seq.h"
#include "net/tcp/tcp_tuple.h"

#define TCP_REF_TIME_WAIT (1u << 31) /* in the connection table: not a connection but a record */

struct net_stack;
struct tcp_conn;
struct tcp_segment;

struct tcp_time_wait_record {
    uint64_t key;        /* of tuple; 0: free */
    struct tcp_tuple tuple;
    uint64_t until;      /* ns */
    tcp_seq snd_nxt, rcv_nxt;
    uint32_t ts_recent;
    uint32_t next, prev; /* index + 1 */
    bool ts;
};

struct tcp_time_wait {
    struct tcp_time_wait_record *records;
    uint32_t oldest, newest, free; /* index + 1 */
    uint32_t used, max;
};

int tcp_time_wait_init(struct tcp_time_wait *tw, uint32_t max); /* 0 or -ENOMEM */
void tcp_time_wait_fini(struct tcp_time_wait *tw);
/* Takes c's place in the connection table. */
void tcp_time_wait_enter(struct net_stack *st, const struct tcp_conn *c);
/* A segment for record ref. A SYN later than all of the old connection, for a listener, opens a new one in its place. */
void tcp_time_wait_rx(struct net_stack *st, uint32_t ref, struct tcp_segment *s);
unsigned tcp_time_wait_expire(struct net_stack *st);
uint64_t tcp_time_wait_deadline(const struct tcp_time_wait *tw);

#endif
