/* IPv6 of a received frame, and ICMPv6 frames of ours. RFC 8200, 4291. */
#ifndef POLAR_NET_IPV6_H
#define POLAR_NET_IPV6_H

#include <stdbool.h>
#include <stdint.h>
#include <rte_mbuf.h>
#include "net/addr.h"

#define IPV6_HEADER_BYTES 40u
#define IPV6_EXTENSIONS_MAX 8u        /* headers */
#define IPV6_EXTENSION_BYTES_MAX 256u /* all of them together */

struct net_stack;

struct ipv6_packet {
    uint32_t at;       /* of what the extension headers lead to, in the frame */
    uint8_t protocol;
    bool multicast;    /* to a group that we are in */
};

/*
 * Checks the packet in Ethernet frame m: version, lengths within the frame, addresses, destination; skips hop-by-hop,
 * destination and spent routing headers within a bound. A fragment is dropped, and an option that may not be skipped.
 * Cuts Ethernet padding off. False: counted; m is still the caller's to free.
 */
bool ipv6_input(struct net_stack *st, struct rte_mbuf *m, struct ipv6_packet *out);

/* ff02::1:ffXX:XXXX of addr. RFC 4291 2.7.1. */
struct net_addr ipv6_solicited_node(const struct net_addr *addr);
/* The Ethernet address of a group. RFC 2464 7. */
void ipv6_multicast_mac(const struct net_addr *group, uint8_t mac[6]);
/* fe80:: and the EUI-64 of mac. RFC 2464 5. */
struct net_addr ipv6_link_local(const uint8_t mac[6]);

#endif
