/*
 * Addresses that we make ourselves from the prefixes that routers announce, and how long they are ours: stateless
 * address autoconfiguration, RFC 4862 5.5.3 and 5.5.4. The other half of an address is the MAC's (EUI-64, RFC
 * 4291 2.5.1) or a number that nobody can guess and that stays the same as long as its key does (RFC 7217); with these
 * the link-local address is made the same way, and one that proves to be somebody else's is followed by another. Each
 * made address is claimed as any other (claim.h). Whether its prefix is on the link is another matter: a route says so.
 * Core of the stack only.
 */
#ifndef POLAR_NET_AUTOCONF_H
#define POLAR_NET_AUTOCONF_H

#include <stdbool.h>
#include <stdint.h>
#include "net/addr.h"

#define AUTOCONF_MAX 8u                        /* addresses: whoever sends advertisements costs us no more */
#define AUTOCONF_RETRIES 3u                    /* IDGEN_RETRIES, RFC 7217 7 */
#define AUTOCONF_DELAY_NS UINT64_C(1000000000) /* MAX_RTR_SOLICITATION_DELAY, IDGEN_DELAY: at most so long */
#define AUTOCONF_TWO_HOURS_NS UINT64_C(7200000000000)
#define AUTOCONF_PREFIX_BITS 64u

struct net_stack;

struct autoconf_made {
    struct net_addr prefix;
    uint64_t valid_until;     /* ns; UINT64_MAX: for ever. Over: the place is free */
    uint64_t preferred_until; /* after it the address is the last choice as a source: deprecated */
    uint8_t index;            /* in the stack's addresses */
    uint8_t tries;            /* DAD_Counter */
};

struct autoconf {
    struct autoconf_made made[AUTOCONF_MAX];
    unsigned count;
    uint32_t indices; /* a bit an address of the stack that was made here */
    uint64_t due;     /* ns of the next end; UINT64_MAX: none */
};

/* What a router says of a prefix. */
struct autoconf_prefix {
    struct net_prefix prefix;
    uint32_t valid_s, preferred_s; /* UINT32_MAX: for ever */
    bool to_all;                   /* all hosts of the link hear it at once */
};

/* After claim_init. Makes the link-local address, if it is to be made here. */
void autoconf_init(struct net_stack *st);
/* A prefix that addresses may be made from. What is wrong with it, or finds no room, is counted. */
void autoconf_prefix(struct net_stack *st, const struct autoconf_prefix *news);
/* The address of this index is somebody else's. If it was made here, another takes its place. */
void autoconf_conflict(struct net_stack *st, unsigned index);
/* Whether another address is to be preferred as a source. */
bool autoconf_deprecated(const struct net_stack *st, unsigned index);
unsigned autoconf_timers(struct net_stack *st);

#endif
