#include "net/claim.h"

#include "base/log.h"
#include "net/arp.h"
#include "net/nd.h"
#include "net/stack_impl.h"

_Static_assert(NET_ADDRS_MAX <= 32, "a bit each in struct claim");

/* Of the stacks of a port one does the talking, and those that follow it do the same in silence. */
static bool claims(const struct net_stack *st)
{
    return st->config.announce || st->config.follows;
}

void claim_init(struct net_stack *st)
{
    st->claim.due = UINT64_MAX;
    for (unsigned i = 0; i < NET_ADDRS_MAX; i++) st->claim.at[i] = UINT64_MAX;
    for (unsigned i = 0; i < st->addr_count; i++) claim_begin(st, i, 0);
}

void claim_begin(struct net_stack *st, unsigned index, uint64_t at)
{
    struct claim *cl = &st->claim;
    cl->absent &= ~(UINT32_C(1) << index);
    cl->steps[index] = 0;
    cl->at[index] = claims(st) ? at : UINT64_MAX;
    cl->due = RTE_MIN(cl->due, cl->at[index]);
}

void claim_end(struct net_stack *st, unsigned index)
{
    st->claim.absent |= UINT32_C(1) << index;
    st->claim.at[index] = UINT64_MAX;
}

bool claim_absent(const struct net_stack *st, unsigned index)
{
    return st->claim.absent >> index & 1;
}

static void announce(struct net_stack *st, const struct net_addr *addr)
{
    if (net_addr_is_v4(addr))
        arp_announce(st, addr);
    else
        nd_announce(st, addr);
}

static void probe(struct net_stack *st, const struct net_addr *addr)
{
    if (net_addr_is_v4(addr))
        arp_probe(st, addr);
    else
        nd_probe(st, addr);
}

bool claim_tentative(const struct net_stack *st, unsigned index)
{
    return st->claim.at[index] != UINT64_MAX && st->claim.steps[index] <= CLAIM_PROBES;
}

static unsigned index_of(const struct net_stack *st, const struct net_addr *addr)
{
    unsigned i = 0;
    while (i < st->addr_count && (claim_absent(st, i) || !net_addr_equal(&st->addrs[i].addr, addr))) i++;
    return i;
}

bool claim_optimistic(const struct net_stack *st, const struct net_addr *addr)
{
    unsigned i = index_of(st, addr);
    return i < st->addr_count && claim_tentative(st, i);
}

/* RFC 4862 5.4.5. */
static void give_up(struct net_stack *st, unsigned index)
{
    char text[NET_ADDR_TEXT];
    metric_add(&st->metrics.addresses_given_up, 1);
    if (!st->config.follows)
        log_error("address %s is somebody else's on this link: it is not used",
                  net_addr_format(&st->addrs[index].addr, text));
    claim_end(st, index);
    autoconf_conflict(st, index);
}

void claim_conflict(struct net_stack *st, const struct net_addr *addr)
{
    struct claim *cl = &st->claim;
    unsigned i = index_of(st, addr);
    if (i == st->addr_count) return;
    metric_add(&st->metrics.address_conflicts, 1);
    if (claim_tentative(st, i) && !net_addr_is_v4(addr)) {
        give_up(st, i);
        return;
    }
    if (st->config.follows || (cl->defended_at && st->now - cl->defended_at < CLAIM_DEFEND_NS)) return;
    cl->defended_at = st->now;
    announce(st, addr);
}

/* Two who probe at the same time both give up. */
void claim_probed(struct net_stack *st, const struct net_addr *addr)
{
    unsigned i = index_of(st, addr);
    if (i == st->addr_count) return;
    metric_add(&st->metrics.address_conflicts, 1);
    if (claim_tentative(st, i))
        give_up(st, i);
    else if (!st->config.follows)
        nd_announce(st, addr);
}

static bool joins(const struct claim *cl, uint64_t now)
{
    for (unsigned i = 0; i < NET_ADDRS_MAX; i++)
        if (cl->at[i] <= now && cl->steps[i] < MLD_ROBUSTNESS) return true;
    return false;
}

static void step(struct net_stack *st, unsigned i)
{
    struct claim *cl = &st->claim;
    if (st->config.announce) {
        if (cl->steps[i] < CLAIM_PROBES)
            probe(st, &st->addrs[i].addr);
        else
            announce(st, &st->addrs[i].addr);
    }
    cl->at[i] = ++cl->steps[i] < CLAIM_PROBES + CLAIM_ANNOUNCES ? st->now + CLAIM_STEP_NS : UINT64_MAX;
}

/* Until one has spoken: RFC 4861 6.3.7. */
static void routers_ask(struct net_stack *st)
{
    if (!st->config.announce || !st->config.router_discovery || st->claim.solicited == CLAIM_PROBES) return;
    if (metric_get(&st->metrics.router_adverts) > 0) return;
    st->claim.solicited++;
    nd_router_solicit(st);
}

unsigned claim_timers(struct net_stack *st)
{
    struct claim *cl = &st->claim;
    if (st->now < cl->due) return 0;
    if (st->config.announce && joins(cl, st->now)) mld_join(st); /* before the first probe: RFC 4862 5.4.2 */
    cl->due = UINT64_MAX;
    for (unsigned i = 0; i < st->addr_count; i++) {
        if (cl->at[i] <= st->now) step(st, i);
        cl->due = RTE_MIN(cl->due, cl->at[i]);
    }
    routers_ask(st);
    return 1;
}
