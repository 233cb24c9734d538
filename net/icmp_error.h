/*
 * What ICMP and ICMPv6 say about our own packets. A message counts only if it quotes a segment that its connection has
 * in flight at this moment: who cannot see our segments cannot forge one (RFC 5927 4). Core of the stack only.
 */
#ifndef POLAR_NET_ICMP_ERROR_H
#define POLAR_NET_ICMP_ERROR_H

#include <stdbool.h>
#include <stdint.h>

struct net_stack;

/* quoted: len bytes of our packet from its IP header on. An active open fails; for an established connection it is a
 * soft error and changes nothing (RFC 5461, 1122 4.2.3.9). refused: nobody has that port. */
void icmp_error_unreachable(struct net_stack *st, const uint8_t *quoted, uint32_t len, bool refused);
/* The packet did not fit: the next link takes mtu bytes; 0: an old router does not say. RFC 1191, 8201. */
void icmp_error_too_big(struct net_stack *st, const uint8_t *quoted, uint32_t len, uint32_t mtu);

#endif
