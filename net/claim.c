#include "net/claim.h"

#include "base/log.h"
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

bool claim_tentative(const struct net_stack *st)
{
    return st->claim.steps <= CLAIM_PROBES && st->claim.due != UINT64_MAX;
}

/* RFC 4862 5.4.5. */
static void give_up(struct net_stack *st, const struct net_addr *addr)
{
    char text[NET_ADDR_TEXT];
    for (unsigned i = 0; i < st->addr_count; i++)
        if (net_addr_equal(&st->addrs[i].addr, addr)) st->claim.given_up |= (uint16_t)(1u << i);
    metric_add(&st->metrics.addresses_given_up, 1);
    log_error("address %s is somebody else's on this link: it is not used", net_addr_format(addr, text));
}

void claim_conflict(struct net_stack *st, const struct net_addr *addr)
{
    struct claim *cl = &st->claim;
    metric_add(&st->metrics.address_conflicts, 1);
    if (claim_tentative(st) && !net_addr_is_v4(addr)) {
        give_up(st, addr);
        return;
    }
    if (cl->defended_at && st->now - cl->defended_at < CLAIM_DEFEND_NS) return;
    cl->defended_at = st->now;
    announce(st, addr);
}

/* Two who probe at the same time both give up. */
void claim_probed(struct net_stack *st, const struct net_addr *addr)
{
    metric_add(&st->metrics.address_conflicts, 1);
    if (claim_tentative(st)) give_up(st, addr);
    else nd_announce(st, addr);
}

unsigned claim_timers(struct net_stack *st)
{
    struct claim *cl = &st->claim;
    if (st->now < cl->due) return 0;
    if (cl->steps < MLD_ROBUSTNESS) mld_join(st); /* before the first probe: RFC 4862 5.4.2 */
    for (unsigned i = 0; i < st->addr_count; i++) {
        if (cl->given_up >> i & 1) continue;
        if (cl->steps < CLAIM_PROBES) probe(st, &st->addrs[i].addr);
        else announce(st, &st->addrs[i].addr);
    }
    if (st->config.router_discovery && cl->steps < CLAIM_PROBES) nd_router_solicit(st);
    cl->due = ++cl->steps < CLAIM_PROBES + CLAIM_ANNOUNCES ? st->now + CLAIM_STEP_NS : UINT64_MAX;
    return 1;
}
