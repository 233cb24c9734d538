/* The applications: each side of a connection runs the steps of its program, and reads at its own pace beside. */
#include <errno.h>
#include <string.h>
#include <rte_common.h>
#include "net/tcp/tcp.h"
#include "tests/net/sim/world.h"

#define QUEUED_MOST 65536u
#define PIECE_MOST 1600u
#define RETRY_NS (100 * FABRIC_NS_PER_MS)

static struct conn *conn_of(struct side *s)
{
    return &s->world->conns[s->conn];
}
static struct side *peer_of(struct side *s)
{
    return &conn_of(s)->sides[s->client];
}

static void wake_by(struct side *s, uint64_t at)
{
    struct fabric_host *h = &s->world->fabric.hosts[s->host];
    h->wake_at = RTE_MIN(h->wake_at, at);
}

static void side_restart(struct side *s)
{
    s->stream = NULL;
    s->at = 0;
    s->step_sent = s->pause_until = s->sent = s->received = s->read_at = 0;
    s->connected = s->eof = s->over = false;
    s->error = 0;
}

static uint16_t remote_port(struct stream *t)
{
    struct tcp_tuple tuple;
    tcp_conn_tuple(tcp_conn_of(t), &tuple);
    return tcp_tuple_remote_port(tuple.ports);
}

/* Where a host has lost its power, a handshake that it had finished may come late. False: this is one of those. */
static bool accepted_anew(struct side *s, struct stream *t)
{
    if (remote_port(t) != conn_of(s)->client_port) return false;
    if (s->stream) s->stream->ops->abort(s->stream); /* the same ports again */
    if (s->stream) side_restart(s);
    return !s->over;
}

static void accepted(void *arg, struct stream *t)
{
    struct side *s = arg;
    if (conn_of(s)->life && !accepted_anew(s, t)) {
        t->ops->abort(t);
        return;
    }
    if (s->stream || s->over) {
        world_fail(s->world, conn_port(s->conn), "connection %u was accepted twice", s->conn);
        t->ops->abort(t);
        return;
    }
    s->stream = t;
    s->connected = true;
    t->user = s;
}

static void listen_for(struct world *w, unsigned i)
{
    struct side *server = &w->conns[i].sides[1];
    if (w->conns[i].kind == KIND_REFUSED)
        server->over = true;
    else if (net_listen(w->fabric.hosts[server->host].stack, conn_port(i), accepted, server) != 0)
        world_fail(w, conn_port(i), "cannot listen");
}

void apps_start(struct world *w)
{
    for (unsigned i = 0; i < w->conn_count; i++) {
        listen_for(w, i);
        wake_by(&w->conns[i].sides[0], w->conns[i].start_at);
    }
}

static void conn_restart(struct world *w, struct conn *c, unsigned dead)
{
    c->life++;
    c->client_port = 0; /* until the next SYN: what comes of the last life is known by that */
    for (unsigned side = 0; side < 2; side++) {
        struct side *s = &c->sides[side];
        if (s->stream && s->host != dead && fabric_chance(&w->fabric, 5000))
            s->stream->ops->close(s->stream);
        else if (s->stream && s->host != dead)
            s->stream->ops->abort(s->stream);
        side_restart(s);
    }
    c->sides[1].over = c->kind == KIND_REFUSED;
    c->start_at = RTE_MAX(c->start_at, w->fabric.now);
    wake_by(&c->sides[0], c->start_at);
}

void apps_reboot(struct world *w, unsigned host)
{
    for (unsigned i = 0; i < w->conn_count; i++) {
        struct conn *c = &w->conns[i];
        bool begun = c->attempts > 0, over = c->sides[0].over && c->sides[1].over;
        bool here = c->sides[0].host == host || c->sides[1].host == host;
        if (here && begun && !over) conn_restart(w, c, host);
        if (c->sides[1].host == host) listen_for(w, i);
    }
}

static void client_open(struct side *s)
{
    struct fabric *f = &s->world->fabric;
    struct conn *c = conn_of(s);
    c->attempts++;
    struct net_endpoint to = {fabric_addr(f, peer_of(s)->host), conn_port(s->conn)};
    int rc = net_connect(f->hosts[s->host].stack, to, f->now, &s->stream);
    if (rc != 0) {
        c->start_at = f->now + RETRY_NS;
        wake_by(s, c->start_at);
        return;
    }
    s->stream->user = s;
}

/* The stream has failed, and is gone after. Who was cut off by the other side's abort may fail; so may an open that the
 * wires did not let through, and it is tried again. */
static void side_failed(struct side *s)
{
    struct conn *c = conn_of(s);
    s->error = s->stream->error;
    s->stream->ops->close(s->stream);
    s->stream = NULL;
    if (s->client && !s->connected && s->error != ECONNREFUSED) {
        c->start_at = s->world->fabric.now + RETRY_NS;
        wake_by(s, c->start_at);
        return;
    }
    s->over = true;
    if (c->kind == KIND_ABORT) return;
    if (c->kind == KIND_REFUSED && s->error == ECONNREFUSED) return;
    world_fail(s->world, conn_port(s->conn), "the %s of connection %u failed: %s", s->client ? "client" : "server",
               s->conn, strerror(s->error));
}

/* A slow reader reads at its moments. */
static uint32_t readable(struct side *s)
{
    uint32_t len = s->stream->rx.len;
    uint64_t now = s->world->fabric.now;
    if (!s->read_most || !len) return len;
    if (now < s->read_at) {
        wake_by(s, s->read_at);
        return 0;
    }
    s->read_at = now + s->read_every;
    if (len > s->read_most) wake_by(s, s->read_at);
    return RTE_MIN(len, s->read_most);
}

static void side_read(struct side *s)
{
    struct stream *t = s->stream;
    uint32_t n = readable(s), done = 0;
    if (!n) return;
    for (const struct rte_mbuf *m = t->rx.head; m && done < n; m = m->next) {
        const uint8_t *p = buf_data(m);
        for (uint32_t i = 0; i < m->data_len && done < n; i++, done++) {
            if (p[i] == world_byte(peer_of(s), s->received + done)) continue;
            world_fail(s->world, conn_port(s->conn), "connection %u: byte %lu that the %s got is wrong", s->conn,
                       (unsigned long)(s->received + done), s->client ? "client" : "server");
            done = n;
            break;
        }
    }
    s->received += n;
    buf_chain_consume(&t->rx, n);
    t->ops->consumed(t, n);
    if (s->received > peer_of(s)->sent)
        world_fail(s->world, conn_port(s->conn), "connection %u: more arrived than was sent", s->conn);
}

/* False: no buffer, or enough is queued. */
static bool send_piece(struct side *s, uint64_t left)
{
    struct fabric *f = &s->world->fabric;
    struct stream *t = s->stream;
    if (t->tx_queued >= QUEUED_MOST) {
        t->tx_low_water = QUEUED_MOST / 2;
        t->want_writable = true;
        return false;
    }
    struct rte_mbuf *m = rte_pktmbuf_alloc(f->hosts[s->host].pools.frame);
    if (!m) {
        wake_by(s, f->now + FABRIC_NS_PER_MS);
        return false;
    }
    uint16_t n = (uint16_t)RTE_MIN(left, fabric_between(f, 1, PIECE_MOST));
    uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, n);
    for (unsigned i = 0; i < n; i++) p[i] = world_byte(s, s->sent + i);
    struct buf_chain chain;
    buf_chain_init(&chain);
    buf_chain_append(&chain, m);
    t->ops->send(t, &chain);
    s->sent += n;
    s->step_sent += n;
    return true;
}

static bool step_send(struct side *s, uint64_t n)
{
    while (s->step_sent < n && send_piece(s, n - s->step_sent)) {
    }
    s->stream->ops->flush(s->stream);
    if (s->step_sent < n) return false;
    s->step_sent = 0;
    return true;
}

static bool step_pause(struct side *s, uint64_t n)
{
    uint64_t now = s->world->fabric.now;
    if (!s->pause_until) s->pause_until = now + n;
    if (now < s->pause_until) {
        wake_by(s, s->pause_until);
        return false;
    }
    s->pause_until = 0;
    return true;
}

static void side_leave(struct side *s, bool abort)
{
    struct stream *t = s->stream;
    s->stream = NULL;
    s->over = true;
    if (abort)
        t->ops->abort(t);
    else
        t->ops->close(t);
}

/* False: it waits for something. */
static bool side_step(struct side *s)
{
    const struct step *step = &s->steps[s->at];
    switch (step->kind) {
    case STEP_SEND: return step_send(s, step->n);
    case STEP_AWAIT: return s->received >= step->n;
    case STEP_AWAIT_EOF: return s->eof && s->stream->rx.len == 0;
    case STEP_PAUSE: return step_pause(s, step->n);
    case STEP_SHUTDOWN: s->stream->ops->shutdown(s->stream); return true;
    case STEP_CLOSE: side_leave(s, false); return true;
    case STEP_ABORT: side_leave(s, true); return true;
    default: return true;
    }
}

static void side_run(struct side *s)
{
    struct stream *t = s->stream;
    uint32_t events = t->events;
    t->events = 0;
    if (events & STREAM_CONNECTED) s->connected = true;
    if (events & STREAM_EOF) s->eof = true;
    side_read(s);
    if (events & STREAM_ERROR) {
        side_failed(s);
        return;
    }
    if (!s->connected) return;
    while (!s->over && s->at < s->count && side_step(s)) s->at++;
}

void apps_turn(void *world, unsigned host)
{
    struct world *w = world;
    struct fabric_host *h = &w->fabric.hosts[host];
    while (stream_loop_pop(&h->loop)) {
    }
    h->wake_at = UINT64_MAX;
    for (unsigned i = 0; i < w->conn_count; i++)
        for (unsigned side = 0; side < 2; side++) {
            struct side *s = &w->conns[i].sides[side];
            if (s->host != host || s->over) continue;
            if (s->client && !s->stream) {
                if (w->fabric.now >= w->conns[i].start_at)
                    client_open(s);
                else
                    wake_by(s, w->conns[i].start_at);
            }
            if (s->stream) side_run(s);
            if (s->over && peer_of(s)->host == host) h->wake_at = w->fabric.now;
        }
}

bool apps_over(const struct world *w)
{
    for (unsigned i = 0; i < w->conn_count; i++)
        if (!w->conns[i].sides[0].over || !w->conns[i].sides[1].over) return false;
    return true;
}

void apps_give_up(struct world *w)
{
    for (unsigned i = 0; i < w->conn_count; i++) {
        struct conn *c = &w->conns[i];
        if (c->kind != KIND_ABORT || !(c->sides[0].over || c->sides[1].over)) continue;
        for (unsigned side = 0; side < 2; side++) {
            if (c->sides[side].stream) side_leave(&c->sides[side], true);
            c->sides[side].over = true;
        }
    }
}
