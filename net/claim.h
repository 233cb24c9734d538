/*
 * Our claim to our addresses: at the start each is probed for a few times (somebody else may have it), then announced,
 * so that neighbours and switches learn or renew where it is. The address works meanwhile (RFC 4429's view: a restart
 * must not wait). Somebody who claims it later is counted and answered by an announcement, seldom enough that two who
 * both defend do not storm. RFC 5227, RFC 4862 5.4. Core of the stack only.
 */
#ifndef POLAR_NET_CLAIM_H
#define POLAR_NET_CLAIM_H

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
};

/* Begins, if the configuration says so. */
void claim_init(struct net_stack *st);
/* Somebody else uses addr, which is ours. */
void claim_conflict(struct net_stack *st, const struct net_addr *addr);
unsigned claim_timers(struct net_stack *st);

#endif
