/*
 * Our claim to our addresses: at the start each is probed for a few times (somebody else may have it), then announced,
 * so that neighbours and switches learn or renew where it is. The address works meanwhile, but what we say of it overrides
 * nobody's knowledge (RFC 4429's view: a restart must not wait; unlike there we ask neighbours from it). An address of
 * IPv6 that proves to be somebody else's while it is probed for is given up (RFC 4862 5.4.5). Somebody who claims one
 * later is counted and answered by an announcement, seldom enough that two who both defend do not storm. RFC 5227, RFC
 * 4862 5.4. Core of the stack only.
 */
#ifndef POLAR_NET_CLAIM_H
#define POLAR_NET_CLAIM_H

#include <stdbool.h>
#include <stdint.h>
#include "net/addr.h"

#define CLAIM_PROBES 3u                              /* PROBE_NUM */
#define CLAIM_ANNOUNCES 2u                           /* ANNOUNCE_NUM */
#define CLAIM_STEP_NS UINT64_C(200000000)            /* between them: a data centre's link answers at once */
#define CLAIM_DEFEND_NS UINT64_C(10000000000)        /* DEFEND_INTERVAL */

struct net_stack;

struct claim {
    uint64_t due;         /* ns of the next step; UINT64_MAX: none */
    uint64_t defended_at; /* ns; of any address */
    uint8_t steps;        /* taken */
    uint16_t given_up;    /* a bit an address, by its index in the stack */
};

/* Begins, if the configuration says so. */
void claim_init(struct net_stack *st);
/* Whether addresses are still being probed for. */
bool claim_tentative(const struct net_stack *st);
/* Somebody else uses addr, which is ours. */
void claim_conflict(struct net_stack *st, const struct net_addr *addr);
/* Somebody else probes for addr of IPv6, which is ours. */
void claim_probed(struct net_stack *st, const struct net_addr *addr);
unsigned claim_timers(struct net_stack *st);

#endif
