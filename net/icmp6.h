/*
 * ICMPv6: echo is answered, rate-limited; errors go to their connection (icmp_error.h); types 133 to 137 to neighbour
 * discovery (nd.h), queries for listeners to mld.h. RFC 4443. Core of the stack only.
 */
#ifndef POLAR_NET_ICMP6_H
#define POLAR_NET_ICMP6_H

#include <stdint.h>
#include <rte_mbuf.h>
#include "net/ipv6.h"

/* Takes m, which ipv6_input has passed. */
void icmp6_input(struct net_stack *st, struct rte_mbuf *m, const struct ipv6_packet *packet);
/* Sends a message of len bytes, whose checksum is filled in here. */
void icmp6_send(struct net_stack *st, const uint8_t *mac, const struct net_addr *from, const struct net_addr *to,
                uint8_t hops, const uint8_t *message, uint32_t len);

#endif
