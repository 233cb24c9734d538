/*
 * A datagram of UDP to an address that is ours alone: nobody here listens, and its sender is told so (port
 * unreachable), rate-limited. Nothing is said where the kernel has the address too (what is not TCP is its business),
 * to a datagram that is malformed, whose sum is wrong, or that came from no single host. RFC 1122 3.2.2.1, RFC
 * 4443 2.4, 3.1.
 */
#ifndef POLAR_NET_ICMP_REFUSE_H
#define POLAR_NET_ICMP_REFUSE_H

#include <stdint.h>
#include <rte_mbuf.h>
#include "net/ipv6.h"

/* m: a packet that ipv4_input has passed, its IP header of `header` bytes. Takes m. Core of the stack only. */
void icmp_refuse(struct net_stack *st, struct rte_mbuf *m, uint32_t header);
/* The same for ipv6_input. */
void icmp6_refuse(struct net_stack *st, struct rte_mbuf *m, const struct ipv6_packet *packet);

#endif
