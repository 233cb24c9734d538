/* Every timer is accounted for: whoever waits has a deadline that the stack's clocks know, and no clock runs for
 * nobody. */
#include "net/tcp/tcp.h"
#include "tests/net/sim/world.h"

static unsigned host_of(const struct net_stack *st)
{
    return st->addrs[0].addr.bytes[15];
}

static uint16_t port_of(const struct tcp_conn *c)
{
    struct tcp_tuple t;
    tcp_conn_tuple(c, &t);
    uint16_t local = tcp_tuple_local_port(t.ports);
    return local < WORLD_FIRST_PORT + WORLD_CONNS ? local : tcp_tuple_remote_port(t.ports);
}

static const struct wheel_node *node_of(const struct net_stack *st, uint32_t ref)
{
    return &stack_conn(st, ref - 1)->timer;
}

/* Nodes in the wheel's slots. */
static uint32_t wheel_count(const struct net_stack *st)
{
    uint32_t n = 0;
    for (unsigned at = 0; at < WHEEL_LEVELS * WHEEL_SLOTS; at++) {
        if (!(st->wheel.occupied[at / WHEEL_SLOTS] >> at % WHEEL_SLOTS & 1)) continue;
        for (uint32_t ref = st->wheel.slots[at].first; ref; ref = node_of(st, ref)->next) n++;
    }
    return n;
}

static bool waits(const struct tcp_conn *c)
{
    return c->state <= TCPS_SYN_RCVD || c->snd_una != c->snd_max || c->txq.len || c->flags & TCPF_FIN_QUEUED ||
           c->rcv_nxt != c->last_ack;
}

/* One that the output is about to visit gets its deadline there. */
static void check_live(struct world *w, const struct net_stack *st, const struct tcp_conn *c)
{
    tcp_tick at = tcp_conn_deadline(st, c);
    if (c->flags & TCPF_DIRTY) return;
    if (waits(c) && !at)
        world_fail(w, port_of(c), "host %u: a connection in state %u waits without a timer", host_of(st), c->state);
    if (at && (!c->timer.tick || tcp_tick_before(at, c->timer.tick)))
        world_fail(w, port_of(c), "host %u: a deadline that the wheel does not know", host_of(st));
}

static void check_connections(struct world *w, const struct net_stack *st)
{
    uint64_t next = wheel_deadline(&st->wheel);
    uint32_t armed = 0, opening = st->syncache.count, open = 0;
    for (uint32_t i = 0; i < st->conn_used; i++) {
        const struct tcp_conn *c = stack_conn(st, i);
        uint64_t due = (st->wheel.now + (uint64_t)(int64_t)(int32_t)(c->timer.tick - (uint32_t)st->wheel.now))
                       << WHEEL_TICK_SHIFT;
        armed += c->timer.tick != 0;
        opening += c->state == TCPS_SYN_SENT || c->state == TCPS_SYN_RCVD;
        open += c->state == TCPS_CLOSED || c->state >= TCPS_ESTABLISHED;
        if (c->timer.tick && due < next)
            world_fail(w, port_of(c), "host %u: the wheel would turn %lu ns late", host_of(st),
                       (unsigned long)(next - due));
        if (c->state > TCPS_CLOSED)
            check_live(w, st, c);
        else if (c->timer.tick)
            world_fail(w, 0, "host %u: a timer runs for a connection that has gone", host_of(st));
    }
    if (armed != wheel_count(st))
        world_fail(w, 0, "host %u: %u timers armed, %u in the wheel", host_of(st), armed, wheel_count(st));
    if (opening != metric_get(&st->metrics.half_open) || open != metric_get(&st->metrics.connections))
        world_fail(w, 0, "host %u: %u half-open and %u connections are counted as %lu and %lu", host_of(st), opening,
                   open, (unsigned long)st->metrics.half_open, (unsigned long)st->metrics.connections);
}

static void check_half_open(struct world *w, const struct net_stack *st)
{
    const struct tcp_syncache *sc = &st->syncache;
    uint32_t listed = 0;
    for (unsigned list = 0; list < TCP_SYN_ACK_SENDS; list++)
        for (uint32_t ref = sc->lists[list].oldest; ref; ref = sc->entries[ref - 1].next) listed++;
    if (listed != sc->count)
        world_fail(w, 0, "host %u: %u half-open connections, %u of them wait", host_of(st), sc->count, listed);
    if (listed && tcp_syncache_deadline(st) == UINT64_MAX)
        world_fail(w, 0, "host %u: half-open connections wait without a timer", host_of(st));
}

static void check_time_wait(struct world *w, const struct net_stack *st)
{
    const struct tcp_time_wait *tw = &st->time_wait;
    uint64_t before = 0;
    uint32_t listed = 0;
    for (uint32_t ref = tw->oldest; ref; ref = tw->records[ref - 1].next, listed++) {
        if (tw->records[ref - 1].until < before) world_fail(w, 0, "host %u: TIME-WAIT out of order", host_of(st));
        before = tw->records[ref - 1].until;
    }
    if (listed != metric_get(&st->metrics.time_wait))
        world_fail(w, 0, "host %u: %lu in TIME-WAIT, %u of them wait", host_of(st),
                   (unsigned long)st->metrics.time_wait, listed);
}

void check_timers(struct world *w, const struct net_stack *st)
{
    check_connections(w, st);
    check_half_open(w, st);
    check_time_wait(w, st);
}
