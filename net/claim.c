#include "net/claim.h"

#include "net/arp.h"
#include "net/nd.h"
#include "net/stack_impl.h"

void claim_init(struct net_stack *st)
{
    st->claim.due = st->config.announce ? 0 : UINT64_MAX;
}

static void announce(struct net_stack *st, const struct net_addr *addr)
{
    if (net_addr_is_v4(addr)) arp_announce(st, addr);
    else nd_announce(st, addr);
}

static void probe(struct net_stack *st, const struct net_addr *addr)
{
    if (net_addr_is_v4(addr)) arp_probe(st, addr);
    else nd_probe(st, addr);
}

void claim_conflict(struct net_stack *st, const struct net_addr *addr)
{
    struct claim *cl = &st->claim;
    metric_add(&st->metrics.address_conflicts, 1);
    if (cl->defended_at && st->now - cl->defended_at < CLAIM_DEFEND_NS) return;
    cl->defended_at = st->now;
    announce(st, addr);
}

unsigned claim_timers(struct net_stack *st)
{
    struct claim *cl = &st->claim;
    if (st->now < cl->due) return 0;
    for (unsigned i = 0; i < st->addr_count; i++) {
        if (cl->steps < CLAIM_PROBES) probe(st, &st->addrs[i].addr);
        else announce(st, &st->addrs[i].addr);
    }
    if (st->config.router_discovery && cl->steps < CLAIM_PROBES) nd_router_solicit(st);
    cl->due = ++cl->steps < CLAIM_PROBES + CLAIM_ANNOUNCES ? st->now + CLAIM_STEP_NS : UINT64_MAX;
    return 1;
}
