/*
 * Our claim to our addresses: at the start, or when it is made, each is probed for a few times (somebody else may have
 * it), then announced, so that neighbours and switches learn or renew where it is. The address works meanwhile, as RFC
 * 4429 has it (a restart must not wait): what we say of it overrides nobody's knowledge, neighbours are not asked from
 * it, and another is preferred to it as a source. An address of IPv6 that proves to be somebody else's while it is
 * probed for is given up (RFC 4862 5.4.5), or made anew (autoconf.h). Somebody who claims one later is counted and
 * answered by an announcement, seldom enough that two who both defend do not storm. RFC 5227, RFC 4862 5.4. Core of the
 * stack only.
 */
#ifndef POLAR_NET_CLAIM_H
#define POLAR_NET_CLAIM_H

#include <stdbool.h>
#include <stdint.h>
#include "net/addr.h"

#define CLAIM_PROBES 3u                       /* PROBE_NUM */
#define CLAIM_ANNOUNCES 2u                    /* ANNOUNCE_NUM */
#define CLAIM_STEP_NS UINT64_C(200000000)     /* between them: a data centre's link answers at once */
#define CLAIM_DEFEND_NS UINT64_C(10000000000) /* DEFEND_INTERVAL */

struct net_stack;

struct claim {
    uint64_t due;                 /* ns of the next step of any address; UINT64_MAX: none */
    uint64_t defended_at;         /* ns; of any address */
    uint64_t at[NET_ADDRS_MAX];   /* ns of the next step; UINT64_MAX: none */
    uint8_t steps[NET_ADDRS_MAX]; /* taken */
    uint8_t solicited;            /* times that routers were asked for */
    uint32_t absent;              /* a bit an address, by its index in the stack: given up, or its time is over */
};

/* Begins with all addresses, if the configuration says so. */
void claim_init(struct net_stack *st);
/* The address of this index is new: it is ours from now on, probed for from `at` (ns) on. */
void claim_begin(struct net_stack *st, unsigned index, uint64_t at);
/* It is ours no more. */
void claim_end(struct net_stack *st, unsigned index);
bool claim_absent(const struct net_stack *st, unsigned index);
/* Whether the address of this index is still being probed for: "optimistic", RFC 4429. */
bool claim_tentative(const struct net_stack *st, unsigned index);
/* The same of an address of ours. */
bool claim_optimistic(const struct net_stack *st, const struct net_addr *addr);
/* Somebody else uses addr, which is ours. */
void claim_conflict(struct net_stack *st, const struct net_addr *addr);
/* Somebody else probes for addr of IPv6, which is ours. */
void claim_probed(struct net_stack *st, const struct net_addr *addr);
unsigned claim_timers(struct net_stack *st);

#endif
