/*
 * The path's MTU as one connection knows it: its segments. It comes down when a validated message says so, or when full
 * segments vanish again and again while nobody says anything (a black hole); how it goes up: tcp_path.h. RFC 1191, 8201,
 * 2923, 4821 7.7.
 */
#ifndef POLAR_NET_TCP_TCP_MTU_H
#define POLAR_NET_TCP_TCP_MTU_H

#include <stdint.h>
#include "net/tcp/conn.h"

#define TCP_MTU_LEAST_V4 552u        /* a smaller one is not believed: RFC 1191 allows 68, nobody has it */
#define TCP_MTU_LEAST_V6 1280u
#define TCP_MTU_BLACK_HOLE_LEAST 1280u /* no path is suspected to take less: RFC 8899's base, rounded up */
#define TCP_MTU_BLACK_HOLE_RETRIES 3u /* timeouts of the same full segment */

struct net_stack;

/* Bytes of IP and TCP headers with the options of c's data segments. */
uint32_t tcp_mtu_headers(const struct tcp_conn *c);
/* The next usual MTU below mtu. RFC 1191 7. */
uint32_t tcp_mtu_below(uint32_t mtu);
/* c's packets may have mtu bytes; what is in flight and longer is lost, and goes again in shorter ones. */
void tcp_mtu_lower(struct net_stack *st, struct tcp_conn *c, uint32_t mtu);
/* A retransmission timeout of c, the retries-th of the same segment. */
void tcp_mtu_timeout(struct net_stack *st, struct tcp_conn *c);

#endif
