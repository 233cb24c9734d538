/*
 * Neighbours by ARP. Frames for one that is not known yet wait, a bounded number of them, while it is asked for.
 * Entries age: a stale one is used while it is asked for again. RFC 826, 1122 2.3.2, 5227. Core of the stack only.
 */
#ifndef POLAR_NET_ARP_H
#define POLAR_NET_ARP_H

#include <stdbool.h>
#include <stdint.h>
#include <rte_mbuf.h>
#include "net/addr.h"

#define ARP_ENTRIES 256u
#define ARP_PENDING_MAX 1024u           /* frames, all neighbours together */
#define ARP_RETRY_NS UINT64_C(1000000000)
#define ARP_TRIES 3u
#define ARP_FRESH_NS UINT64_C(60000000000) /* an entry is used so long without asking again */

struct net_stack;

enum arp_state { ARP_FREE, ARP_ASKED, ARP_KNOWN };

struct arp_entry {
    uint32_t ip_be;
    uint8_t mac[6];
    uint8_t state;       /* enum arp_state */
    uint8_t tries;       /* requests sent without an answer */
    uint64_t at;         /* ns: ASKED, and KNOWN with tries: next request; else end of freshness */
    uint64_t used_at;    /* ns: the entry longest unused makes room */
    struct rte_mbuf *pending_head, *pending_tail; /* linked by next; each one linear */
};

struct arp {
    struct arp_entry entries[ARP_ENTRIES];
    uint32_t pending;
    uint64_t due;        /* ns of the next request or failure; UINT64_MAX: none */
};

void arp_init(struct arp *arp);
void arp_fini(struct arp *arp); /* frees what waits */
/* Takes an ARP frame. */
void arp_input(struct net_stack *st, struct rte_mbuf *m);
/* Fills in the destination of a linear Ethernet frame that carries a packet to `to`, by its route, and sends it now or
 * when the neighbour has answered. Takes m. */
void neighbour_send(struct net_stack *st, const struct net_addr *to, struct rte_mbuf *m);
unsigned arp_timers(struct net_stack *st);

#endif
