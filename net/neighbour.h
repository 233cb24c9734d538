/*
 * Who has which address on the link: one table for both families, asked by ARP (arp.h) or neighbour discovery (nd.h).
 * Frames for a neighbour that is not known yet wait, a bounded number of them, while it is asked for. Entries age: a
 * stale one is used while its owner is asked whether it is still there; one that never answered is remembered for a
 * while, so that nobody is asked for it again at once. RFC 826, 1122 2.3.2, 4861 7.3. Core of the stack only.
 */
#ifndef POLAR_NET_NEIGHBOUR_H
#define POLAR_NET_NEIGHBOUR_H

#include <stdbool.h>
#include <stdint.h>
#include <rte_mbuf.h>
#include "net/addr.h"

#define NEIGHBOURS 256u
#define NEIGHBOUR_PENDING_MAX 1024u                  /* frames, all neighbours together */
#define NEIGHBOUR_RETRY_NS UINT64_C(1000000000)      /* RETRANS_TIMER */
#define NEIGHBOUR_TRIES 3u                           /* MAX_UNICAST_SOLICIT, MAX_MULTICAST_SOLICIT */
#define NEIGHBOUR_FRESH_NS UINT64_C(60000000000)     /* an entry is used so long without asking again */
#define NEIGHBOUR_NEGATIVE_NS UINT64_C(1000000000)   /* one that did not answer is not asked again before */

struct net_stack;
struct tcp_conn;

enum neighbour_state { NEIGHBOUR_FREE, NEIGHBOUR_INCOMPLETE, NEIGHBOUR_KNOWN, NEIGHBOUR_FAILED };

struct neighbour {
    struct net_addr addr;
    uint8_t mac[6];
    uint8_t state;       /* enum neighbour_state */
    uint8_t tries;       /* requests sent without an answer; 0 and INCOMPLETE: it cannot be asked for yet */
    uint64_t at;         /* ns: with tries, or INCOMPLETE, the next request; KNOWN: end of freshness; FAILED: end of the entry */
    uint64_t used_at;    /* ns: the entry longest unused makes room */
    struct rte_mbuf *pending_head, *pending_tail; /* linked by next; each one linear */
};

struct neighbours {
    struct neighbour entries[NEIGHBOURS];
    uint32_t used;       /* entries ever used */
    uint32_t pending;
    uint64_t due;        /* ns of the next request or failure; UINT64_MAX: none */
};

void neighbours_init(struct neighbours *nb);
void neighbours_fini(struct neighbours *nb); /* frees what waits */
/* Fills in the destination of a linear Ethernet frame that carries a packet to `to`, by its route, and sends it now or
 * when the neighbour has answered. Takes m. */
void neighbour_send(struct net_stack *st, const struct net_addr *to, struct rte_mbuf *m);

enum neighbour_news {
    NEIGHBOUR_CONFIRMED = 1u << 0, /* it answered us, or ARP spoke: reachable */
    NEIGHBOUR_OVERRIDE = 1u << 1,  /* a MAC that differs replaces the one that is known */
    NEIGHBOUR_ADD = 1u << 2,       /* a new entry if there is none */
};
/* addr says that it is at mac; NULL: it does not say where, and is known. False: nothing of it was taken. */
bool neighbour_learn(struct net_stack *st, const struct net_addr *addr, const uint8_t *mac, unsigned news);
/* c's segments are not answered: its peer may have moved. A neighbour that is known is asked, and a router also when it is
 * not; where it says it is now, c follows. */
void neighbour_doubt(struct net_stack *st, struct tcp_conn *c);
unsigned neighbour_timers(struct net_stack *st);

#endif
