#include <string.h>
#include <rte_common.h>
#include "tests/net/sim/segment.h"
#include "tests/net/sim/world.h"

#define MS FABRIC_NS_PER_MS
#define FEW_PORTS 3u /* so that a new connection has the ports of an old one */

static struct world *world_of(struct fabric *f)
{
    return (struct world *)(void *)((char *)f - offsetof(struct world, fabric));
}

/* Evenly over the orders of magnitude: small values are as likely as large ones. */
static uint64_t scaled(struct fabric *f, uint64_t least, uint64_t most)
{
    unsigned doublings = 0;
    while (least << doublings < most) doublings++;
    uint64_t low = least << fabric_between(f, 0, doublings ? doublings - 1 : 0);
    return RTE_MIN(fabric_between(f, low, 2 * low), most);
}

static bool percent(struct fabric *f, unsigned n)
{
    return fabric_chance(f, 100 * n);
}

unsigned plan_network(struct world *w)
{
    struct fabric *f = &w->fabric;
    f->rng = w->seed * UINT64_C(0x2545f4914f6cdd1d);
    f->v6 = percent(f, 40);
    f->vlan = percent(f, 20) ? (uint16_t)fabric_between(f, 1, 4094) : 0;
    w->jumbo = percent(f, 20);
    w->few_ports = percent(f, 30);
    w->worlds_v6 += f->v6;
    w->worlds_vlan += f->vlan != 0;
    w->worlds_jumbo += w->jumbo;
    return (unsigned)fabric_between(f, 2, 5);
}

/* The smallest that a network may have: RFC 8200 5; for IPv4 more than RFC 791's 68, as the stack requires. */
static uint16_t mtu_least(const struct fabric *f)
{
    return f->v6 ? 1280 : 576;
}

static uint16_t mtu_of_host(struct fabric *f)
{
    if (world_of(f)->jumbo && percent(f, 70)) return percent(f, 60) ? 9000 : (uint16_t)fabric_between(f, 2000, 9000);
    return percent(f, 60) ? 1500 : (uint16_t)fabric_between(f, mtu_least(f), 2000);
}

void plan_hosts(struct fabric *f, unsigned host, struct net_stack_config *config)
{
    struct host_plan *plan = &world_of(f)->plans[host];
    *plan = (struct host_plan){0};
    if (percent(f, 15)) plan->strip |= STRIP_TS;
    if (percent(f, 15)) plan->strip |= STRIP_SACK;
    if (percent(f, 15)) plan->strip |= STRIP_SCALE;
    if (percent(f, 15)) plan->mss = (uint16_t)fabric_between(f, 64, 1460);
    config->tcp_cc = (enum net_tcp_cc)fabric_between(f, 0, NET_TCP_CC_COUNT - 1);
    config->tcp_ecn = (enum net_tcp_ecn)fabric_between(f, 0, 2);
    config->mtu = mtu_of_host(f);
    if (world_of(f)->few_ports) config->port_last = config->port_first + FEW_PORTS;
    config->rx_window = (uint32_t)(percent(f, 20) ? fabric_between(f, 2048, 6000) : scaled(f, 8192, 1 << 20));
    config->tx_inline = (uint32_t)fabric_between(f, 0, 256);
    config->tx_ip_checksum = percent(f, 50);
    config->tx_tcp_checksum = percent(f, 50);
    config->rx_checksum = percent(f, 50);
    config->rto_min_ns = scaled(f, MS / 2, 200 * MS);
    /* A handshake outlives any trouble. */
    config->rto_initial_ns = RTE_MAX(config->rto_min_ns, scaled(f, 250 * MS, 1000 * MS));
    config->rto_max_ns = scaled(f, 2000 * MS, 60000 * MS);
    config->delayed_ack_ns = scaled(f, MS / 100, 40 * MS);
    config->time_wait_ns = scaled(f, 100 * MS, 2000 * MS);
    config->max_connections = 64;
}

static void plan_pipe(struct fabric *f, struct fabric_faults *faults, bool clean)
{
    *faults = (struct fabric_faults){.latency_ns = scaled(f, 100, 20 * MS)};
    if (percent(f, 50)) faults->rate = scaled(f, 2000000, UINT64_C(10000000000));
    if (faults->rate && percent(f, 80)) faults->queue_bytes = (uint32_t)scaled(f, 8192, 1 << 20);
    if (faults->rate && percent(f, 40)) faults->mark_bytes = (uint32_t)scaled(f, 3000, 200000);
    if (clean) return;
    if (percent(f, 50)) faults->jitter_ns = scaled(f, 100, 4 * faults->latency_ns + 1000);
    if (percent(f, 50)) faults->loss = (unsigned)scaled(f, 1, 500);
    if (percent(f, 40)) faults->duplicate = (unsigned)scaled(f, 1, 500);
    if (percent(f, 40)) faults->corrupt = (unsigned)scaled(f, 1, 300);
    if (percent(f, 40)) faults->reorder = (unsigned)scaled(f, 1, 500);
    faults->late_ns = 20 * faults->latency_ns;
}

static void plan_wires(struct world *w)
{
    struct fabric *f = &w->fabric;
    for (unsigned i = 0; i < f->count; i++) {
        struct fabric_host *h = &f->hosts[i];
        bool clean = percent(f, 30);
        plan_pipe(f, &h->up.faults, clean);
        plan_pipe(f, &h->down.faults, clean);
        if (percent(f, 40)) h->poll_ns = scaled(f, 1000, 100000);
    }
    w->heal_at = f->now + scaled(f, 50 * MS, 10000 * MS);
    w->trouble_count = percent(f, 40) ? (unsigned)fabric_between(f, 1, WORLD_TROUBLES) : 0;
    for (unsigned i = 0; i < w->trouble_count; i++) {
        struct trouble *t = &w->troubles[i];
        *t = (struct trouble){.at = fabric_between(f, f->now, w->heal_at),
                              .host = (uint8_t)fabric_between(f, 0, f->count - 1),
                              .up = percent(f, 70),
                              .down = percent(f, 70),
                              .tell = percent(f, 50)};
        t->until = RTE_MIN(t->at + scaled(f, MS, 5000 * MS), w->heal_at);
        uint64_t least = f->v6 ? mtu_least(f) : 296;
        if (percent(f, 40)) t->mtu = (uint16_t)fabric_between(f, least, w->jumbo ? 8000 : 1400);
        t->reboot = percent(f, 15);
    }
}

static void add(struct side *s, enum step_kind kind, uint64_t n)
{
    if (s->count < WORLD_STEPS) s->steps[s->count++] = (struct step){kind, n};
}

static void add_pause(struct fabric *f, struct side *s)
{
    if (percent(f, 15)) add(s, STEP_PAUSE, scaled(f, 1000, 200 * MS));
}

static void add_end(struct side *s)
{
    add(s, STEP_SHUTDOWN, 0);
    add(s, STEP_AWAIT_EOF, 0);
    add(s, STEP_CLOSE, 0);
}

static void plan_requests(struct fabric *f, struct side *client, struct side *server)
{
    uint64_t up = 0, down = 0;
    for (uint64_t rounds = fabric_between(f, 1, 12); rounds; rounds--) {
        uint64_t request = scaled(f, 1, 4000), reply = scaled(f, 1, 20000);
        add(client, STEP_SEND, request);
        add_pause(f, server);
        add(server, STEP_AWAIT, up += request);
        add(server, STEP_SEND, reply);
        add(client, STEP_AWAIT, down += reply);
    }
}

/* How slow readers leave a bounded run: what they have to read is bounded by their pace. */
static uint64_t size(struct fabric *f, const struct side *reader)
{
    uint64_t most =
        reader->read_most ? RTE_MIN(UINT64_C(1500000), reader->read_most * (8000 * MS / reader->read_every)) : 1500000;
    return scaled(f, 1, RTE_MAX(most, UINT64_C(2)));
}

static void plan_steps(struct fabric *f, struct conn *c)
{
    struct side *client = &c->sides[0], *server = &c->sides[1], *quitter = percent(f, 50) ? client : server;
    add_pause(f, client);
    add_pause(f, server);
    switch (c->kind) {
    case KIND_REQUESTS: plan_requests(f, client, server); break;
    case KIND_UP: add(client, STEP_SEND, size(f, server)); break;
    case KIND_DOWN: add(server, STEP_SEND, size(f, client)); break;
    case KIND_BOTH:
        add(client, STEP_SEND, size(f, server));
        add(server, STEP_SEND, size(f, client));
        break;
    case KIND_HALF_CLOSE:
        add(client, STEP_SEND, size(f, server));
        add(server, STEP_AWAIT_EOF, 0);
        add_pause(f, server);
        add(server, STEP_SEND, size(f, client));
        break;
    case KIND_CLOSE_AT_ONCE:
        add(client, STEP_SEND, size(f, server));
        add(client, STEP_CLOSE, 0);
        break;
    case KIND_ABORT:
        add(client, STEP_SEND, size(f, server));
        add(server, STEP_SEND, size(f, client));
        add(quitter, STEP_PAUSE, scaled(f, 1000, 300 * MS));
        add(quitter, STEP_ABORT, 0);
        break;
    default: break;
    }
    add_end(client);
    add_end(server);
}

static void plan_conn(struct world *w, unsigned index)
{
    struct fabric *f = &w->fabric;
    struct conn *c = &w->conns[index];
    memset(c, 0, sizeof *c);
    c->kind = (enum conn_kind)fabric_between(f, 0, KIND_COUNT - 1);
    c->start_at = fabric_between(f, f->now, (f->now + w->heal_at) / 2);
    unsigned client = (unsigned)fabric_between(f, 0, f->count - 1);
    unsigned server = (client + (unsigned)fabric_between(f, 1, f->count - 1)) % f->count;
    for (unsigned i = 0; i < 2; i++) {
        struct side *s = &c->sides[i];
        *s = (struct side){.world = w, .conn = index, .host = i ? server : client, .client = !i};
        if (!percent(f, 25)) continue;
        s->read_most = (uint32_t)scaled(f, 50, 8000);
        s->read_every = scaled(f, MS / 10, 20 * MS);
    }
    plan_steps(f, c);
}

void plan_world(struct world *w)
{
    struct fabric *f = &w->fabric;
    plan_wires(w);
    w->conn_count = (unsigned)fabric_between(f, 1, WORLD_CONNS);
    for (unsigned i = 0; i < w->conn_count; i++) plan_conn(w, i);
    w->hostage_count = 0;
    if (!percent(f, 10)) return;
    struct fabric_host *h = &f->hosts[fabric_between(f, 0, f->count - 1)];
    struct rte_mempool *pools[] = {h->pools.frame, h->pools.small, h->pools.ref};
    struct rte_mempool *pool = pools[fabric_between(f, 0, 2)];
    uint64_t left = scaled(f, 4, 128);
    while (w->hostage_count < WORLD_HOSTAGES && rte_mempool_avail_count(pool) > left) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
        if (!m) break;
        w->hostages[w->hostage_count++] = m;
    }
}
