/*
 * Which groups of IPv6 we listen to, told to the link: switches that snoop pass a neighbour's solicitation only to who
 * has joined its group. Reported unasked when addresses come up, and to each query, by version 1 where a querier speaks
 * that. The groups are the solicited-node groups of our addresses; that of all nodes is never reported. RFC 3810, 2710,
 * 4541. Core of the stack only.
 */
#ifndef POLAR_NET_MLD_H
#define POLAR_NET_MLD_H

#include <stdbool.h>
#include <stdint.h>
#include <rte_mbuf.h>
#include "net/ipv6.h"

#define MLD_ROBUSTNESS 2u                /* unasked reports */
#define MLD_V1_NS UINT64_C(260000000000) /* Older Version Querier Present Timeout: RFC 3810 9.12 */

struct mld {
    uint64_t due;      /* ns: an answer to a query; UINT64_MAX: none */
    uint64_t v1_until; /* ns */
};

void mld_init(struct net_stack *st);
/* We have joined: reports all groups. */
void mld_join(struct net_stack *st);
/* An ICMPv6 message of type 130 at packet->at of m; its checksum is right. m stays the caller's. False: not a query
 * that a listener heeds (RFC 3810 6.2). */
bool mld_query_rx(struct net_stack *st, const struct rte_mbuf *m, const struct ipv6_packet *packet);
unsigned mld_timers(struct net_stack *st);

#endif
