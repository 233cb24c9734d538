#include "net/route.h"

#include <errno.h>
#include "net/stack_impl.h"

#define VIA " via "

int net_route_parse(const char *text, struct net_route *route)
{
    char prefix[NET_ADDR_TEXT + 4];
    const char *via = strstr(text, VIA);
    if (!via || (size_t)(via - text) >= sizeof prefix) return -EINVAL;
    memcpy(prefix, text, (size_t)(via - text));
    prefix[via - text] = '\0';
    if (net_prefix_parse(prefix, &route->to) != 0) return -EINVAL;
    if (net_addr_parse(via + sizeof VIA - 1, &route->via) != 0) return -EINVAL;
    if (net_addr_is_any(&route->via) || net_addr_is_v4(&route->via) != net_addr_is_v4(&route->to.addr)) return -EINVAL;
    return 0;
}

static bool connected(const struct net_stack *st, const struct net_addr *to)
{
    if (net_addr_is_link_local(to) || net_addr_is_multicast(to)) return true;
    for (unsigned i = 0; i < st->addr_count; i++)
        if (!(st->autoconf.indices >> i & 1) && net_prefix_contains(&st->addrs[i], to)) return true;
    return false;
}

/* r and best lead to the same destination. */
static bool goes_before(const struct net_stack *st, const struct net_route *r, const struct net_route *best)
{
    if (r->to.len != best->to.len) return r->to.len > best->to.len;
    return st->routes_silent >> (best - st->routes) & 1 && !(st->routes_silent >> (r - st->routes) & 1);
}

bool route_next_hop(const struct net_stack *st, const struct net_addr *to, struct net_addr *hop)
{
    const struct net_route *best = NULL;
    *hop = *to;
    if (connected(st, to)) return true;
    for (unsigned i = 0; i < st->route_count; i++) {
        const struct net_route *r = &st->routes[i];
        if (st->route_ends[i] <= st->now) continue;
        if (net_prefix_contains(&r->to, to) && (!best || goes_before(st, r, best))) best = r;
    }
    if (!best) return false;
    if (!net_addr_is_any(&best->via)) *hop = best->via;
    return true;
}

void route_silent(struct net_stack *st, const struct net_addr *via, bool silent)
{
    if (!silent && !st->routes_silent) return;
    for (unsigned i = 0; i < st->route_count; i++) {
        if (!net_addr_equal(&st->routes[i].via, via)) continue;
        if (silent) st->routes_silent |= UINT32_C(1) << i;
        else st->routes_silent &= ~(UINT32_C(1) << i);
    }
}

bool route_via_silent(const struct net_stack *st, const struct net_addr *via)
{
    for (unsigned i = 0; i < st->route_count; i++)
        if (st->routes_silent >> i & 1 && net_addr_equal(&st->routes[i].via, via)) return true;
    return false;
}

/* Bits that both begin with, of p's prefix. */
static unsigned common_bits(const struct net_prefix *p, const struct net_addr *addr)
{
    unsigned bits = 0;
    while (bits < p->len && !((p->addr.bytes[bits / 8] ^ addr->bytes[bits / 8]) & 0x80u >> bits % 8)) bits++;
    return bits;
}

#define RANK_LASTING 0x200u /* neither deprecated nor, what is treated alike, optimistic: RFC 4429 3.1 */
#define RANK_NEAR 0x100u    /* the next hop is of its prefix */

/* How good our address of this index is as the source of packets to `to`, by way of hop. */
static unsigned source_rank(const struct net_stack *st, unsigned i, const struct net_addr *to,
                            const struct net_addr *hop)
{
    const struct net_prefix *p = &st->addrs[i];
    unsigned rank = claim_tentative(st, i) || autoconf_deprecated(st, i) ? 0 : RANK_LASTING;
    if (net_prefix_contains(p, hop)) rank |= RANK_NEAR;
    return net_addr_is_v4(to) ? rank : rank + common_bits(p, to);
}

bool route_source(const struct net_stack *st, const struct net_addr *to, struct net_addr *from)
{
    struct net_addr hop;
    unsigned best = 0;
    bool found = false;
    bool link = net_addr_is_link_local(to) || (net_addr_is_multicast(to) && !net_addr_is_v4(to));
    if (!route_next_hop(st, to, &hop)) return false;
    for (unsigned i = 0; i < st->addr_count; i++) {
        const struct net_addr *own = &st->addrs[i].addr;
        if (claim_absent(st, i) || net_addr_is_v4(own) != net_addr_is_v4(to)) continue;
        if (net_addr_is_link_local(own) != link) continue;
        unsigned rank = source_rank(st, i, to, &hop);
        if (found && rank <= best) continue;
        *from = *own;
        best = rank;
        found = true;
    }
    return found;
}

/* The place of a learnt route of the same prefix and router, else one whose time is over, else a new one. */
static unsigned route_place(const struct net_stack *st, const struct net_route *route)
{
    unsigned place = NET_ROUTES_MAX;
    for (unsigned i = 0; i < st->route_count; i++) {
        const struct net_route *r = &st->routes[i];
        if (st->route_ends[i] == UINT64_MAX) continue;
        if (r->to.len == route->to.len && net_addr_equal(&r->to.addr, &route->to.addr) &&
            net_addr_equal(&r->via, &route->via))
            return i;
        if (st->route_ends[i] <= st->now) place = i;
    }
    return place == NET_ROUTES_MAX ? st->route_count : place;
}

void route_learn(struct net_stack *st, const struct net_route *route, uint64_t life_ns)
{
    unsigned place = route_place(st, route);
    if (place == NET_ROUTES_MAX) return;
    if (place == st->route_count) {
        if (life_ns == 0) return;
        st->route_count++;
    }
    if (!net_addr_equal(&st->routes[place].via, &route->via)) st->routes_silent &= ~(UINT32_C(1) << place);
    st->routes[place] = *route;
    st->route_ends[place] = life_ns < UINT64_MAX - 1 - st->now ? st->now + life_ns : UINT64_MAX - 1;
}

void route_forget_router(struct net_stack *st, const struct net_addr *addr)
{
    for (unsigned i = 0; i < st->route_count; i++) {
        const struct net_route *r = &st->routes[i];
        if (st->route_ends[i] == UINT64_MAX || r->to.len > 0 || !net_addr_equal(&r->via, addr)) continue;
        st->route_ends[i] = st->now;
    }
}
