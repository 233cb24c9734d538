/*
 * Which neighbour a packet goes to, and from which of our addresses: connected prefixes, then static routes and default
 * gateways, the longest prefix first. Core of the stack only.
 */
#ifndef POLAR_NET_ROUTE_H
#define POLAR_NET_ROUTE_H

#include <stdbool.h>
#include <stdint.h>
#include "net/addr.h"

struct net_stack;

struct net_route {
    struct net_prefix to;
    struct net_addr via; /* the router; of the same family; any: `to` is on the link */
};

/* "10.1.0.0/16 via 10.0.0.254" or "2001:db8:1::/48 via fe80::1". 0 or -EINVAL. Control path. */
int net_route_parse(const char *text, struct net_route *route);

/* The neighbour on the way to `to`. False: there is no route. */
bool route_next_hop(const struct net_stack *st, const struct net_addr *to, struct net_addr *hop);
/* Our address that packets to `to` come from: of those of its family and scope one that lasts, then one of the next hop's
 * prefix, then the most alike. False: none. RFC 1122 3.3.4.3; RFC 6724 5, rules 1, 2, 3 and 8. */
bool route_source(const struct net_stack *st, const struct net_addr *to, struct net_addr *from);

/* A router says that route holds for life_ns; 0: no more. What was configured is never replaced. */
void route_learn(struct net_stack *st, const struct net_route *route, uint64_t life_ns);
/* addr says that it is no router any more: nothing that was learnt goes by default through it. RFC 4861 7.2.5. */
void route_forget_router(struct net_stack *st, const struct net_addr *addr);
/* A neighbour does not answer, or is heard again. While it is silent, another route of the same length goes before those
 * through it. RFC 1122 3.3.1.4, 4861 6.3.6. */
void route_silent(struct net_stack *st, const struct net_addr *via, bool silent);
/* Whether it is of a route, and silent. */
bool route_via_silent(const struct net_stack *st, const struct net_addr *via);

#endif
