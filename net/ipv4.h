/* IPv4 of a received frame. RFC 791, 1122 3.2. */
#ifndef POLAR_NET_IPV4_H
#define POLAR_NET_IPV4_H

#include <stdbool.h>
#include <stdint.h>
#include <rte_mbuf.h>

struct net_stack;

struct ipv4_packet {
    uint32_t header; /* bytes, options included */
    uint8_t protocol;
};

/*
 * Checks the header of the packet in Ethernet frame m: version, lengths within the frame, checksum, destination, no
 * fragment. Cuts Ethernet padding off. False: counted; m is still the caller's to free.
 */
bool ipv4_input(struct net_stack *st, struct rte_mbuf *m, struct ipv4_packet *out);

/* Leaves the first len bytes of m: short frames are padded to 60 bytes, and that is no payload. */
void ip_padding_cut(struct rte_mbuf *m, uint32_t len);

#endif
