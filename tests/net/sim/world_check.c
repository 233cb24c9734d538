/* What must hold, whatever the wires do. */
#include <stdarg.h>
#include <string.h>
#include "net/tcp/tcp.h"
#include "tests/net/sim/world.h"

void world_fail(struct world *w, uint16_t port, const char *format, ...)
{
    va_list list;
    if (w->failed) return;
    w->failed = true;
    w->failed_port = port;
    va_start(list, format);
    vsnprintf(w->why, sizeof w->why, format, list);
    va_end(list);
}

/* The connection of a segment, and which of its sides sent it; NULL: none of ours, or of an earlier attempt. */
static struct conn *conn_find(struct world *w, const struct segment *s, unsigned *side)
{
    bool to_server = s->target >= WORLD_FIRST_PORT && s->target < WORLD_FIRST_PORT + w->conn_count;
    uint16_t port = to_server ? s->target : s->source, other = to_server ? s->source : s->target;
    if (port < WORLD_FIRST_PORT || port >= WORLD_FIRST_PORT + w->conn_count) return NULL;
    struct conn *c = &w->conns[port - WORLD_FIRST_PORT];
    *side = !to_server;
    if (to_server && (s->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN && c->client_port != other) {
        c->client_port = other;
        memset(c->directions, 0, sizeof c->directions);
    }
    return c->client_port == other ? c : NULL;
}

/* RFC 9293 3.8.6.2.2, RFC 7323 2.4: the right edge of an offered window never comes back, but for what scaling cuts
 * off. */
static void check_window(struct world *w, const struct segment *s)
{
    unsigned side;
    struct conn *c = conn_find(w, s, &side);
    if (!c || s->flags & TCP_RST) return;
    struct direction *d = &c->directions[side], *peer = &c->directions[!side];
    if (s->flags & TCP_FIN) {
        d->fin = true;
        d->fin_seq = s->seq + s->len;
    }
    if (s->flags & TCP_SYN) {
        if (d->iss != s->seq) d->offered = false; /* an old SYN has begun another connection */
        d->iss = s->seq;
        d->syn = true;
        d->scale = s->scale;
    }
    if (!(s->flags & TCP_ACK)) return;
    if (peer->fin && s->ack == peer->fin_seq + 1) return; /* nothing can come any more */
    unsigned scale = !(s->flags & TCP_SYN) && d->scale > 0 && peer->scale >= 0 ? (unsigned)d->scale : 0;
    uint32_t edge = s->ack + ((uint32_t)s->wnd << scale);
    if (d->offered && (int32_t)(d->edge - edge) >= 1 << scale)
        world_fail(w, conn_port((unsigned)(c - w->conns)), "the window's right edge came back by %u bytes",
                   d->edge - edge);
    if (!d->offered || seq_gt(edge, d->edge)) d->edge = edge;
    d->offered = true;
}

bool check_tap(void *world, enum fabric_fate fate, unsigned host, uint8_t *frame, uint32_t len)
{
    struct world *w = world;
    struct segment s;
    if (fate == FABRIC_SENT || fate == FABRIC_ARRIVED)
        segment_strip(frame, len, w->plans[host].strip, fate == FABRIC_SENT ? w->plans[host].mss : 0);
    if (!segment_read(frame, len, &s)) return true;
    if (fate == FABRIC_SENT) check_window(w, &s);
    trace_add(&w->trace, w->fabric.now, fate, host, &s);
    return true;
}

/* What the peer has acknowledged is with the peer's application or in its hands. */
static void check_acknowledged(struct world *w, const struct side *s, const struct side *peer)
{
    if (!s->stream || !peer->stream || s->stream->events & STREAM_ERROR || s->stream->error) return;
    uint64_t acknowledged = s->sent - s->stream->tx_queued, arrived = peer->received + peer->stream->rx.len;
    if (acknowledged > arrived)
        world_fail(w, conn_port(s->conn), "connection %u: %lu bytes acknowledged, %lu arrived", s->conn,
                   (unsigned long)acknowledged, (unsigned long)arrived);
}

void check_step(struct world *w)
{
    for (unsigned i = 0; i < w->conn_count; i++) {
        const struct side *sides = w->conns[i].sides;
        check_acknowledged(w, &sides[0], &sides[1]);
        check_acknowledged(w, &sides[1], &sides[0]);
    }
    if (w->fabric.steps % 16) return;
    for (unsigned i = 0; i < w->fabric.count; i++) check_timers(w, w->fabric.hosts[i].stack);
}

void check_end(struct world *w)
{
    for (unsigned i = 0; i < w->conn_count; i++) {
        const struct conn *c = &w->conns[i];
        for (unsigned side = 0; side < 2; side++) {
            const struct side *s = &c->sides[side], *peer = &c->sides[!side];
            if (c->kind == KIND_ABORT || c->kind == KIND_REFUSED || s->received == peer->sent) continue;
            world_fail(w, conn_port(i), "connection %u: %lu bytes sent, %lu arrived", i, (unsigned long)peer->sent,
                       (unsigned long)s->received);
        }
    }
    for (unsigned i = 0; i < w->fabric.count; i++) {
        const struct fabric_host *h = &w->fabric.hosts[i];
        const struct net_metrics *m = net_stack_metrics(h->stack);
        if (m->connections || m->half_open || m->time_wait)
            world_fail(w, 0, "host %u keeps %lu connections, %lu half-open, %lu in TIME-WAIT", i,
                       (unsigned long)m->connections, (unsigned long)m->half_open, (unsigned long)m->time_wait);
        if (buf_pools_in_use(&h->pools)) world_fail(w, 0, "host %u keeps %u buffers", i, buf_pools_in_use(&h->pools));
        w->retransmits += m->retransmits;
        w->frames += m->tx_frames;
    }
}
