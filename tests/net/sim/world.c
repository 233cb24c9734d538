#include "tests/net/sim/world.h"

#include <string.h>
#include <rte_common.h>
#include "net/stack_impl.h"

#define MS FABRIC_NS_PER_MS
#define BUFFERS 1023u
#define STEPS_MOST 4000000u
#define END_WITHIN_NS (400000 * MS) /* after the wires have healed */
#define GIVE_UP_NS (100000 * MS)
#define AFTERMATH_NS (200000 * MS) /* lingering, TIME-WAIT */
#define TRACE_MOST 300u

/* Takes effect or ends, if its time has come; returns when it has to be looked at again. */
static uint64_t trouble_apply(struct fabric *f, const struct trouble *t)
{
    struct fabric_host *h = &f->hosts[t->host];
    bool on = f->now >= t->at && f->now < t->until;
    if (t->reboot) return t->over ? UINT64_MAX : t->at;
    struct fabric_pipe *pipes[] = {t->up ? &h->up : NULL, t->down ? &h->down : NULL};
    for (unsigned i = 0; i < 2; i++) {
        if (!pipes[i]) continue;
        if (t->mtu) {
            pipes[i]->faults.mtu = on ? t->mtu : 0;
            pipes[i]->faults.tell_mtu = t->tell;
        } else {
            pipes[i]->faults.down = on;
        }
    }
    return f->now < t->at ? t->at : f->now < t->until ? t->until : UINT64_MAX;
}

static void heal(struct world *w)
{
    for (unsigned i = 0; i < w->fabric.count; i++) {
        struct fabric_pipe *pipes[] = {&w->fabric.hosts[i].up, &w->fabric.hosts[i].down};
        for (unsigned p = 0; p < 2; p++)
            pipes[p]->faults = (struct fabric_faults){.latency_ns = pipes[p]->faults.latency_ns,
                                                      .rate = pipes[p]->faults.rate,
                                                      .mark_bytes = pipes[p]->faults.mark_bytes,
                                                      .queue_bytes = pipes[p]->faults.queue_bytes};
    }
    for (unsigned i = 0; i < w->hostage_count; i++) rte_pktmbuf_free(w->hostages[i]);
    w->hostage_count = 0;
    w->healed = true;
}

static unsigned hostages_of(const struct world *w, unsigned host)
{
    const struct buf_pools *pools = &w->fabric.hosts[host].pools;
    unsigned n = 0;
    for (unsigned i = 0; i < w->hostage_count; i++) {
        const struct rte_mempool *pool = w->hostages[i]->pool;
        n += pool == pools->frame || pool == pools->small || pool == pools->ref;
    }
    return n;
}

static void reboots(struct world *w)
{
    for (unsigned i = 0; i < w->trouble_count; i++) {
        struct trouble *t = &w->troubles[i];
        if (!t->reboot || t->over || w->fabric.now < t->at) continue;
        t->over = true;
        w->reboots++;
        uint32_t kept = fabric_reboot(&w->fabric, t->host);
        if (kept != hostages_of(w, t->host)) world_fail(w, 0, "host %u: the old stack kept %u buffers", t->host, kept);
        apps_reboot(w, t->host);
    }
}

/* What the world does by itself; returns the next moment of it. */
static uint64_t weather(struct world *w)
{
    struct fabric *f = &w->fabric;
    uint64_t next = w->heal_at;
    if (w->healed) return UINT64_MAX;
    reboots(w);
    for (unsigned i = 0; i < w->trouble_count; i++) next = RTE_MIN(next, trouble_apply(f, &w->troubles[i]));
    if (f->now < w->heal_at) return next;
    heal(w);
    return UINT64_MAX;
}

static void run_until_over(struct world *w)
{
    struct fabric *f = &w->fabric;
    uint64_t last = w->heal_at + END_WITHIN_NS;
    while (!w->failed && !apps_over(w)) {
        uint64_t until =
            RTE_MIN(weather(w), w->healed && f->now < w->heal_at + GIVE_UP_NS ? w->heal_at + GIVE_UP_NS : last);
        if (f->now >= w->heal_at + GIVE_UP_NS) apps_give_up(w);
        bool moved = true;
        while (!w->failed && !apps_over(w) && (moved = fabric_step(f, until))) {
            check_step(w);
            if (f->steps > STEPS_MOST) world_fail(w, 0, "no end after %u events", STEPS_MOST);
        }
        if (moved) continue;
        if (until >= last) break;
        f->now = until;
    }
    if (!w->healed) heal(w);
}

static void say_who_hangs(struct world *w)
{
    for (unsigned i = 0; i < w->conn_count; i++)
        for (unsigned side = 0; side < 2; side++) {
            const struct side *s = &w->conns[i].sides[side];
            if (!s->over)
                world_fail(w, conn_port(i),
                           "the %s of connection %u (kind %u) hangs at step %u of %u: sent %lu, received %lu",
                           s->client ? "client" : "server", i, w->conns[i].kind, s->at, s->count,
                           (unsigned long)s->sent, (unsigned long)s->received);
        }
}

static void streams_drop(struct world *w)
{
    for (unsigned i = 0; i < w->conn_count; i++)
        for (unsigned side = 0; side < 2; side++) {
            struct stream *t = w->conns[i].sides[side].stream;
            if (t) t->ops->abort(t);
            w->conns[i].sides[side].stream = NULL;
        }
}

bool world_run(struct world *w, uint64_t seed)
{
    struct fabric *f = &w->fabric;
    w->seed = seed;
    w->failed = w->healed = false;
    w->failed_port = 0;
    w->why[0] = '\0';
    w->trace.count = 0;
    w->conn_count = 0;
    f->turn = apps_turn;
    f->tap = check_tap;
    f->arg = w;
    fabric_start(f, seed, plan_network(w), BUFFERS, plan_hosts);
    uint64_t start = f->now;
    plan_world(w);
    apps_start(w);
    run_until_over(w);
    if (!w->failed) say_who_hangs(w);
    if (!w->failed) {
        fabric_run(f, AFTERMATH_NS);
        check_end(w);
    }
    w->virtual_ns += f->now - start;
    for (unsigned i = 0; i < w->conn_count; i++)
        w->bytes += w->conns[i].sides[0].received + w->conns[i].sides[1].received;
    streams_drop(w);
    uint32_t leaked = fabric_stop(f);
    if (leaked) world_fail(w, 0, "%u buffers are lost", leaked);
    if (w->failed || w->trace_all)
        trace_print(&w->trace, w->failed_port, w->trace_all ? UINT32_MAX : TRACE_MOST, stderr);
    return !w->failed;
}

void world_free(struct world *w)
{
    fabric_free(&w->fabric);
}
