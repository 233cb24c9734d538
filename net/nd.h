/*
 * Neighbour discovery: requests and answers for the table of neighbours, and what routers say. Nothing is believed that
 * came from further than the link (hop limit 255) or is malformed. RFC 4861, 4862. Core of the stack only.
 */
#ifndef POLAR_NET_ND_H
#define POLAR_NET_ND_H

#include <stdbool.h>
#include <stdint.h>
#include <rte_mbuf.h>
#include "net/addr.h"

struct net_stack;

/* An ICMPv6 message of types 133 to 137 at byte `at` of m; its checksum is right. m stays the caller's. False: dropped,
 * not counted yet. */
bool nd_input(struct net_stack *st, const struct rte_mbuf *m, uint32_t at);
/* Who has addr? To mac, or to its solicited-node group (NULL). */
void nd_ask(struct net_stack *st, const struct net_addr *addr, const struct net_addr *from, const uint8_t *mac);
/* Has anybody addr, which is to become ours? RFC 4862 5.4.2. */
void nd_probe(struct net_stack *st, const struct net_addr *addr);
/* We have addr. RFC 4861 7.2.6. */
void nd_announce(struct net_stack *st, const struct net_addr *addr);
void nd_router_solicit(struct net_stack *st);

#endif
