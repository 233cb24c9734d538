/*
 * ICMP for IPv4: echo is answered, rate-limited; errors go to their connection (icmp_error.h); everything else is counted
 * and dropped. RFC 792, 1122 3.2.2.
 */
#ifndef POLAR_NET_ICMP_H
#define POLAR_NET_ICMP_H

#include <stdint.h>
#include <rte_mbuf.h>

struct net_stack;

/* Takes m, whose IPv4 header is valid, ip_header bytes long, and whose length is that of the packet. */
void icmp_input(struct net_stack *st, struct rte_mbuf *m, uint32_t ip_header);

#endif
