/* Packets that a peer on the link sends, byte by byte: IPv6, ICMP of both families. The peer is 10.0.0.2 and
 * 2001:db8::2 at 02:00:00:00:00:02, the stack 10.0.0.1 and 2001:db8::1 at 02:00:00:00:00:01. */
#ifndef POLAR_TESTS_NET_IP_PACKETS_H
#define POLAR_TESTS_NET_IP_PACKETS_H

#include "net/addr.h"
#include "tests/net/sim/cmocka_all.h"
#include "tests/net/sim/script.h"

extern const struct net_addr us6, peer6, us_link, peer_link; /* 2001:db8::1, ::2; fe80:: of the MACs */

/* A stack with 10.0.0.1/24 and 2001:db8::1/64 (script_create's change). */
void packets_dual(struct net_stack_config *config);
/* Writes Ethernet (from the peer) and an IPv6 header; returns the bytes: 54. len: of what follows. */
uint32_t packets_ip6(uint8_t *frame, const struct net_addr *from, const struct net_addr *to, uint8_t next, uint8_t hops,
                     uint32_t len);
/* The checksum of the TCP or ICMPv6 packet at byte at of a frame that ends at len. */
void packets_mend6(uint8_t *frame, uint8_t protocol, uint32_t at, uint32_t len);
/* A TCP segment without options; payload as given. Returns the frame's bytes. */
uint32_t packets_tcp6(struct script *s, uint8_t *frame, uint8_t flags, uint32_t seq, uint32_t ack, const void *payload,
                      uint32_t len);
/* An ICMPv6 message; hops as given. */
void packets_icmp6_in(struct script *s, const struct net_addr *from, const struct net_addr *to, uint8_t hops,
                      const void *message, uint32_t len);
/* A neighbour advertisement for target, at the peer's MAC with its last byte mac. */
void packets_advert_in(struct script *s, const struct net_addr *target, uint8_t flags, uint8_t mac);
/* An ICMP error that quotes n bytes of a frame that the stack sent; word: the second half of its header. */
void packets_icmp_in(struct script *s, uint8_t type, uint8_t code, uint32_t word, const uint8_t *quoted, uint32_t n);

#endif
