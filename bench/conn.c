#include <stdio.h>
#include <string.h>
#include "bench/worker.h"

bool conn_append(struct conn *c, struct buf_chain *chain, const struct planned_op *op, uint64_t start_tsc)
{
    struct worker *w = c->worker;
    if (!request_append(&w->source, chain, op)) {
        w->starved++;
        return false;
    }
    c->ops[c->last++ & w->ops_mask] =
        (struct conn_op){.start_tsc = start_tsc, .index = op->index, .is_get = op->is_get};
    return true;
}

bool conn_start(struct conn *c, struct buf_chain *chain, const struct planned_op *op, uint64_t start_tsc)
{
    struct worker *w = c->worker;
    if (!conn_look(c, op, start_tsc) && !conn_append(c, chain, op, start_tsc)) return false;
    c->left--;
    w->in_flight++;
    if (w->phase == WORKER_LOADING) w->load_next += w->config.plan->threads;
    return true;
}

void conn_send(struct conn *c, struct buf_chain *chain)
{
    if (chain->len == 0) return;
    c->stream->ops->send(c->stream, chain);
    c->stream->ops->flush(c->stream);
    if (!c->early) return;
    c->early = false;
    if (c->worker->config.transport->go) c->worker->config.transport->go(c->stream);
}

void conn_close(struct conn *c)
{
    if (!c->stream) return;
    conn_looks_end(c);
    c->stream->ops->close(c->stream);
    c->stream = NULL;
    c->connected = false;
    c->auth = CONN_AUTH_NONE;
    c->worker->alive--;
}

/* What was in flight will not be answered. */
static void conn_lose(struct conn *c, const char *why)
{
    struct worker *w = c->worker;
    if (c->connected) {
        w->lost++;
        w->counts[w->phase].errors += conn_in_flight(c);
    } else {
        w->connect_failures++;
        w->connect_errno = c->stream->error;
    }
    worker_note_error(w, why);
    w->in_flight -= conn_in_flight(c);
    c->first = c->last;
    conn_looks_end(c);
    c->stream->ops->abort(c->stream);
    c->stream = NULL;
    c->connected = false;
    w->alive--;
}

/* Latencies are of operations answered while measuring; in an open loop also of those due then that came late. */
static bool is_measured(const struct worker *w, const struct conn_op *op)
{
    if (w->phase == WORKER_MEASURING) return true;
    return w->phase == WORKER_DRAINING && w->loop == &loop_open && op->start_tsc < w->measure_end_tsc;
}

void conn_count(struct worker *w, const struct conn_op *op, const struct reply *reply, uint64_t now_tsc)
{
    struct worker_counts *n = &w->counts[w->phase];
    if (op->is_get)
        n->gets++;
    else
        n->sets++;
    if (reply->kind == CODEC_HIT) {
        n->hits++;
        n->wrong += reply->wrong;
    } else if (reply->kind == CODEC_MISS) {
        n->misses++;
    } else if (reply->kind == CODEC_REFUSED) {
        n->errors++;
        worker_note_error(w, reply->text);
    }
    if (!is_measured(w, op)) return;
    uint64_t ns = (uint64_t)(((unsigned __int128)(now_tsc - op->start_tsc) * w->ns_per_tsc_32) >> 32);
    histogram_record(op->is_get ? &w->get_ns : &w->set_ns, ns);
}

/* Takes every reply that is there. false: what came is not the protocol. */
static bool conn_read(struct conn *c, uint64_t now_tsc)
{
    struct worker *w = c->worker;
    struct buf_chain *rx = &c->stream->rx;
    uint32_t before = rx->len;
    enum reply_status status = REPLY_NEED_MORE;
    while (rx->len > 0) {
        struct reply reply;
        if (c->first == c->last) return false; /* nobody asked */
        const struct conn_op *op = &c->ops[c->first & w->ops_mask];
        status = reply_read(&c->reader, op->is_get, op->index, rx, &reply);
        if (status != REPLY_DONE) break;
        c->first++;
        w->in_flight--;
        conn_count(w, op, &reply, now_tsc);
    }
    if (before > rx->len) c->stream->ops->consumed(c->stream, before - rx->len);
    return status != REPLY_BAD;
}

/* It has had its requests: another one takes its place, and what that one's first requests take counts from here. */
static void conn_reopen(struct conn *c, uint64_t now_tsc)
{
    struct worker *w = c->worker;
    struct transport *t = w->config.transport;
    conn_close(c);
    w->reopened++;
    c->left = conn_budget(w);
    c->opened_tsc = now_tsc;
    int rc = t->connect(t, w->now.ns, true, &c->stream);
    if (rc != 0) {
        c->stream = NULL;
        w->connect_failures++;
        worker_note_error(w, strerror(-rc));
        return;
    }
    c->stream->user = c;
    c->early = true;
    w->alive++;
}

/* Returns since when its first requests have waited. */
static uint64_t conn_connected(struct conn *c, uint64_t now_tsc)
{
    if (c->connected) return now_tsc; /* an early one: now the handshake is over */
    c->connected = true;
    if (c->opened_tsc) return c->opened_tsc;
    c->worker->connected++;
    return now_tsc;
}

/* Whether it can be asked from now on. */
static bool conn_opens(struct conn *c, bool let_in)
{
    if (!c->worker->config.transport->onesided) return let_in;
    if (let_in) conn_windows_ask(c);
    return !c->connected && conn_windows_open(c);
}

/* What has ended it; NULL: it goes on. */
static const char *conn_fault(struct conn *c, uint32_t events, uint64_t now_tsc)
{
    bool answers = (events & STREAM_READABLE) && c->auth != CONN_AUTH_ASKED;
    if (answers && !conn_read(c, now_tsc)) return "an answer that is not the protocol";
    const char *refused = conn_windows_fault(c, events);
    if (refused) return refused;
    if (events & STREAM_ERROR) return strerror(c->stream->error);
    return events & STREAM_EOF ? "connection closed by the server" : NULL;
}

void conn_on_events(struct conn *c, struct stream *s, uint64_t now_tsc)
{
    struct worker *w = c->worker;
    uint32_t events = s->events;
    uint64_t start_tsc = now_tsc;
    s->events = 0;
    const char *fault = NULL;
    if (events & STREAM_CONNECTED) c->stream = s;
    if (conn_opens(c, conn_let_in(c, events, &fault))) start_tsc = conn_connected(c, now_tsc);
    if (!fault) fault = conn_fault(c, events, now_tsc);
    if (fault) {
        conn_lose(c, fault);
        return;
    }
    conn_looks_ask(c);
    if (c->left == 0 && conn_in_flight(c) == 0 && worker_is_asking(w))
        conn_reopen(c, now_tsc);
    else if (c->connected && w->phase >= WORKER_LOADING && conn_has_room(c))
        w->loop->room(w, c, start_tsc);
}
