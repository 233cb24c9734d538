#include "net/neighbour.h"

#include <errno.h>
#include <string.h>
#include "net/arp.h"
#include "net/nd.h"
#include "net/stack_impl.h"
#include "net/tcp/tcp.h"

void neighbours_init(struct neighbours *nb)
{
    memset(nb, 0, sizeof *nb);
    nb->due = UINT64_MAX;
}

static struct rte_mbuf *pending_pop(struct neighbours *nb, struct neighbour *e)
{
    struct rte_mbuf *m = e->pending_head;
    if (!m) return NULL;
    e->pending_head = m->next;
    if (!e->pending_head) e->pending_tail = NULL;
    m->next = NULL;
    nb->pending--;
    return m;
}

static void pending_add(struct net_stack *st, struct neighbour *e, struct rte_mbuf *m)
{
    if (st->neighbours.pending == NEIGHBOUR_PENDING_MAX) {
        metric_add(&st->metrics.neighbour_pending_dropped, 1);
        rte_pktmbuf_free(m);
        return;
    }
    if (e->pending_tail)
        e->pending_tail->next = m;
    else
        e->pending_head = m;
    e->pending_tail = m;
    m->next = NULL;
    st->neighbours.pending++;
}

void neighbours_fini(struct neighbours *nb)
{
    struct rte_mbuf *m;
    for (unsigned i = 0; i < nb->used; i++)
        while ((m = pending_pop(nb, &nb->entries[i])) != NULL) rte_pktmbuf_free(m);
}

static struct neighbour *entry_find(struct neighbours *nb, const struct net_addr *addr)
{
    for (unsigned i = 0; i < nb->used; i++)
        if (nb->entries[i].state != NEIGHBOUR_FREE && net_addr_equal(&nb->entries[i].addr, addr))
            return &nb->entries[i];
    return NULL;
}

/* The entry longest unused makes room. */
static struct neighbour *entry_add(struct net_stack *st, const struct net_addr *addr)
{
    struct neighbours *nb = &st->neighbours;
    struct neighbour *e = &nb->entries[0];
    struct rte_mbuf *m;
    for (unsigned i = 0; i < nb->used && e->state != NEIGHBOUR_FREE; i++) {
        struct neighbour *it = &nb->entries[i];
        if (it->state == NEIGHBOUR_FREE || it->used_at < e->used_at) e = it;
    }
    if (nb->used < NEIGHBOURS && e->state != NEIGHBOUR_FREE) e = &nb->entries[nb->used];
    if (e >= nb->entries + nb->used) nb->used = (uint32_t)(e - nb->entries) + 1;
    if (e->state != NEIGHBOUR_FREE) metric_add(&st->metrics.neighbour_evicted, 1);
    while ((m = pending_pop(nb, e)) != NULL) {
        rte_pktmbuf_free(m);
        metric_add(&st->metrics.neighbour_pending_dropped, 1);
    }
    *e = (struct neighbour){.addr = *addr, .used_at = st->now};
    return e;
}

static void wake_at(struct neighbours *nb, uint64_t at)
{
    if (at < nb->due) nb->due = at;
}

enum source { SOURCE_NONE, SOURCE_LATER, SOURCE_GOOD };

/* Whom a question is to come from. LATER: all that could be is still being probed for, and nobody may hear of it in a
 * question (RFC 4429 3.2). */
static enum source source_find(const struct net_stack *st, const struct net_addr *to, struct net_addr *from)
{
    if (!route_source(st, to, from)) return SOURCE_NONE;
    if (net_addr_is_v4(to) || !claim_optimistic(st, from)) return SOURCE_GOOD;
    for (unsigned i = 0; i < st->addr_count; i++) {
        if (net_addr_is_v4(&st->addrs[i].addr) || claim_absent(st, i) || claim_tentative(st, i)) continue;
        *from = st->addrs[i].addr;
        return SOURCE_GOOD;
    }
    return SOURCE_LATER;
}

/* To all while it is not known where it is; to itself when that is only in doubt. */
static void ask(struct net_stack *st, struct neighbour *e)
{
    const uint8_t *mac = e->state == NEIGHBOUR_KNOWN ? e->mac : NULL;
    struct net_addr from;
    enum source source = source_find(st, &e->addr, &from);
    if (source == SOURCE_LATER) { /* tries stay as they are */
        e->at = st->claim.due;
        if (e->state == NEIGHBOUR_INCOMPLETE || e->tries > 0) wake_at(&st->neighbours, e->at);
        return;
    }
    if (source == SOURCE_GOOD) {
        metric_add(&st->metrics.neighbour_requests, 1);
        if (net_addr_is_v4(&e->addr))
            arp_ask(st, &e->addr, &from, mac);
        else
            nd_ask(st, &e->addr, &from, mac);
    }
    e->tries++;
    e->at = st->now + NEIGHBOUR_RETRY_NS;
    wake_at(&st->neighbours, e->at);
}

static void mac_take(struct net_stack *st, struct neighbour *e, const uint8_t *mac)
{
    struct rte_mbuf *m;
    if (e->state == NEIGHBOUR_KNOWN && memcmp(e->mac, mac, 6) != 0) metric_add(&st->metrics.neighbour_moved, 1);
    memcpy(e->mac, mac, 6);
    e->state = NEIGHBOUR_KNOWN;
    route_silent(st, &e->addr, false);
    while ((m = pending_pop(&st->neighbours, e)) != NULL) {
        memcpy(rte_pktmbuf_mtod(m, uint8_t *), mac, 6);
        stack_send(st, m);
    }
}

bool neighbour_learn(struct net_stack *st, const struct net_addr *addr, const uint8_t *mac, unsigned news)
{
    struct neighbour *e = entry_find(&st->neighbours, addr);
    if (!mac && (!e || e->state != NEIGHBOUR_KNOWN)) return false;
    if (!e && !(news & NEIGHBOUR_ADD)) return false;
    if (!e) {
        e = entry_add(st, addr);
        e->used_at = 0; /* whoever floods us with questions displaces none whom we talk to */
    }
    bool known = e->state == NEIGHBOUR_KNOWN, same = known && (!mac || memcmp(e->mac, mac, 6) == 0);
    if (known && !same && !(news & NEIGHBOUR_OVERRIDE)) {
        e->at = st->now; /* two claim it: the one we know is asked when it is used next. RFC 4861 7.2.5 */
        return false;
    }
    if (mac) mac_take(st, e, mac);
    if (news & NEIGHBOUR_CONFIRMED)
        e->at = st->now + NEIGHBOUR_FRESH_NS;
    else if (!same)
        e->at = st->now;
    else
        return true;
    e->tries = 0;
    return true;
}

/* While a neighbour may not be asked for, a router that has told its MAC takes what is for it: RFC 4429 3.2. */
static const struct neighbour *router_instead(struct net_stack *st, const struct neighbour *e)
{
    if (e->state != NEIGHBOUR_INCOMPLETE || e->tries > 0) return NULL;
    for (unsigned i = 0; i < st->route_count; i++) {
        const struct net_route *r = &st->routes[i];
        if (r->to.len > 0 || net_addr_is_v4(&r->to.addr) || st->route_ends[i] <= st->now) continue;
        const struct neighbour *router = entry_find(&st->neighbours, &r->via);
        if (router && router->state == NEIGHBOUR_KNOWN) return router;
    }
    return NULL;
}

void neighbour_send(struct net_stack *st, const struct net_addr *to, struct rte_mbuf *m)
{
    struct net_addr hop;
    if (!route_next_hop(st, to, &hop)) {
        metric_add(&st->metrics.drop_no_route, 1);
        rte_pktmbuf_free(m);
        return;
    }
    struct neighbour *e = entry_find(&st->neighbours, &hop);
    if (!e) e = entry_add(st, &hop);
    e->used_at = st->now;
    switch (e->state) {
    case NEIGHBOUR_KNOWN:
        memcpy(rte_pktmbuf_mtod(m, uint8_t *), e->mac, 6);
        stack_send(st, m);
        if (e->tries == 0 && e->at <= st->now) ask(st, e);
        return;
    case NEIGHBOUR_FREE:
        e->state = NEIGHBOUR_INCOMPLETE;
        ask(st, e);
        break;
    case NEIGHBOUR_FAILED: wake_at(&st->neighbours, st->now); break; /* the timer tells whoever waits */
    default: break;
    }
    const struct neighbour *router = router_instead(st, e);
    if (router) {
        memcpy(rte_pktmbuf_mtod(m, uint8_t *), router->mac, 6);
        stack_send(st, m);
        return;
    }
    pending_add(st, e, m);
}

/* Another router takes m, which waited for the silent one e. False: there is none that is not silent too. */
static bool rerouted(struct net_stack *st, const struct neighbour *e, const struct net_addr *to, struct rte_mbuf *m)
{
    struct net_addr hop;
    if (!route_next_hop(st, to, &hop) || net_addr_equal(&hop, &e->addr) || route_via_silent(st, &hop)) return false;
    metric_add(&st->metrics.neighbour_rerouted, 1);
    neighbour_send(st, to, m);
    return true;
}

/* Nobody answers: what waits goes by another router, or the connections whose SYNs wait here learn so. A new entry
 * for the other router may take e's place. */
static void pending_fail(struct net_stack *st, struct neighbour *e)
{
    struct net_addr silent = e->addr;
    struct rte_mbuf *m;
    while (net_addr_equal(&e->addr, &silent) && (m = pending_pop(&st->neighbours, e)) != NULL) {
        struct tcp_tuple t;
        struct tcp_conn *c = NULL;
        if (tcp_tuple_of_sent(rte_pktmbuf_mtod_offset(m, const uint8_t *, st->ip_at), m->data_len - st->ip_at, &t)) {
            if (rerouted(st, e, &t.remote, m)) continue;
            c = tcp_conn_find(st, &t);
        }
        metric_add(&st->metrics.neighbour_pending_dropped, 1);
        if (c && c->state == TCPS_SYN_SENT) tcp_conn_fail(st, c, EHOSTUNREACH);
        rte_pktmbuf_free(m);
    }
}

static void entry_fail(struct net_stack *st, struct neighbour *e)
{
    metric_add(&st->metrics.neighbour_failed, 1);
    route_silent(st, &e->addr, true);
    bool known = e->state == NEIGHBOUR_KNOWN;
    e->tries = 0;
    e->state = known ? NEIGHBOUR_FREE : NEIGHBOUR_FAILED; /* one that has left is looked for anew */
    e->at = st->now + NEIGHBOUR_NEGATIVE_NS;
    if (!known) wake_at(&st->neighbours, e->at);
    pending_fail(st, e);
}

static void failed_due(struct net_stack *st, struct neighbour *e)
{
    if (e->at <= st->now)
        e->state = NEIGHBOUR_FREE;
    else
        wake_at(&st->neighbours, e->at);
    pending_fail(st, e);
}

unsigned neighbour_timers(struct net_stack *st)
{
    struct neighbours *nb = &st->neighbours;
    unsigned n = 0;
    if (st->now < nb->due) return 0;
    nb->due = UINT64_MAX;
    for (unsigned i = 0; i < nb->used; i++) {
        struct neighbour *e = &nb->entries[i];
        if (e->state == NEIGHBOUR_FAILED) failed_due(st, e);
        if (e->tries == 0 && e->state != NEIGHBOUR_INCOMPLETE) continue;
        if (e->at > st->now) {
            wake_at(nb, e->at);
            continue;
        }
        n++;
        if (e->tries >= NEIGHBOUR_TRIES)
            entry_fail(st, e);
        else
            ask(st, e);
    }
    return n;
}

void neighbour_doubt(struct net_stack *st, struct tcp_conn *c)
{
    struct tcp_tuple t;
    struct net_addr hop;
    tcp_conn_tuple(c, &t);
    if (!route_next_hop(st, &t.remote, &hop)) return;
    struct neighbour *e = entry_find(&st->neighbours, &hop);
    bool router = !net_addr_equal(&hop, &t.remote);
    if (!e && router) e = entry_add(st, &hop); /* instead of one that was silent */
    if (!e) return;
    e->used_at = st->now;
    if (e->state == NEIGHBOUR_FREE && router) {
        e->state = NEIGHBOUR_INCOMPLETE;
        ask(st, e);
    }
    if (e->state != NEIGHBOUR_KNOWN) return;
    if (memcmp(e->mac, c->mac, 6) != 0)
        tcp_conn_set_mac(c, e->mac); /* it has moved */
    else if (e->tries == 0)
        ask(st, e);
}
