/* ARP: requests and answers for the table of neighbours. RFC 826, 5227. Core of the stack only. */
#ifndef POLAR_NET_ARP_H
#define POLAR_NET_ARP_H

#include <stdint.h>
#include <rte_mbuf.h>
#include "net/addr.h"

struct net_stack;

/* Takes an ARP frame. */
void arp_input(struct net_stack *st, struct rte_mbuf *m);
/* Who has addr? To mac, or to all (NULL). */
void arp_ask(struct net_stack *st, const struct net_addr *addr, const struct net_addr *from, const uint8_t *mac);
/* Has anybody addr, which is to become ours? RFC 5227 2.1.1. */
void arp_probe(struct net_stack *st, const struct net_addr *addr);
/* We have addr. RFC 5227 2.3. */
void arp_announce(struct net_stack *st, const struct net_addr *addr);

#endif
