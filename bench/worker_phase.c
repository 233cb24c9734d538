/* Each phase has an `enter` that sets it up and a `turn` that says when it is over. */
#include <errno.h>
#include <string.h>
#include "bench/worker.h"

#define CONNECT_AT_ONCE 64u /* connections being opened at a time: a listen queue takes as many */
#define CONNECT_SECONDS 10u
#define DRAIN_SECONDS 3u
#define CLOSE_MILLISECONDS 500u
#define IDLE_PER_SECOND 20000u /* idle connections that are opened, or reset, at the slowest */

static uint64_t tsc_of_ns(const struct worker *w, uint64_t ns)
{
    return (uint64_t)((double)ns * 1e-9 * (double)w->config.tsc_hz);
}

static uint64_t idle_patience_tsc(const struct worker *w)
{
    return w->config.idle * (w->config.tsc_hz / IDLE_PER_SECOND);
}

/* Waits for the other threads at the end of a phase. */
static bool gate_passed(struct worker *w)
{
    struct worker_gate *gate = w->config.gate;
    if (!w->arrived) {
        w->arrived = true;
        atomic_fetch_add(&gate->arrived[w->phase], 1);
    }
    return atomic_load(&gate->arrived[w->phase]) >= gate->threads;
}

static void enter(struct worker *w, enum worker_phase phase)
{
    w->phase = phase;
    w->arrived = false;
}

static void all_wait(struct worker *w)
{
    for (uint32_t i = 0; i < w->config.connections; i++)
        if (w->conns[i].connected) worker_wait_push(w, &w->conns[i]);
}

static void sample(struct worker *w, bool after)
{
    const struct onesided_set *onesided = w->config.transport->onesided;
    if (onesided) onesided_set_counts(onesided, after ? &w->windows_after : &w->windows_before);
    if (w->reactor) reactor_read_stats(w->reactor, after ? &w->reactor_after : &w->reactor_before);
    if (w->config.thread != 0) return;
    uint64_t pid = w->config.plan->options.server_pid;
    if (pid) process_time_read(pid, after ? &w->server_after : &w->server_before);
    if (w->stats) server_stats_ask(w->stats, after ? SERVER_STATS_AFTER : SERVER_STATS_BEFORE);
}

static void enter_draining(struct worker *w, uint64_t now_tsc)
{
    w->measure_end_tsc = now_tsc;
    if (w->phase == WORKER_MEASURING) sample(w, true);
    enter(w, WORKER_DRAINING);
    w->phase_end_tsc = now_tsc + DRAIN_SECONDS * w->config.tsc_hz;
}

static void enter_closing(struct worker *w, uint64_t now_tsc)
{
    if (w->in_flight > 0) {
        w->counts[WORKER_DRAINING].errors += w->in_flight;
        worker_note_error(w, "requests without an answer");
    }
    enter(w, WORKER_CLOSING);
    for (uint32_t i = 0; i < w->config.connections; i++) conn_close(&w->conns[i]);
    if (w->stats) server_stats_close(w->stats);
    w->phase_end_tsc = now_tsc + CLOSE_MILLISECONDS * w->config.tsc_hz / 1000 + idle_patience_tsc(w);
}

static void enter_measuring(struct worker *w, uint64_t now_tsc)
{
    enter(w, WORKER_MEASURING);
    w->measure_start_tsc = now_tsc;
    w->phase_end_tsc = now_tsc + tsc_of_ns(w, w->config.plan->duration_ns);
    w->lag_tsc = w->lag_count = w->lag_worst_tsc = 0;
    sample(w, false);
}

static void enter_warmup(struct worker *w, uint64_t now_tsc)
{
    enter(w, WORKER_WARMUP);
    w->depth = w->config.plan->pipeline;
    w->phase_end_tsc = now_tsc + tsc_of_ns(w, w->config.plan->warmup_ns);
    w->due_tsc = now_tsc;
    if (w->config.plan->options.rate > 0) w->loop = &loop_open;
    for (uint32_t i = 0; i < w->config.connections; i++) w->conns[i].left = conn_budget(w);
    all_wait(w);
}

static void enter_loading(struct worker *w)
{
    enter(w, WORKER_LOADING);
    if (w->config.plan->load)
        all_wait(w);
    else
        w->load_next = w->config.plan->keys;
}

/* A connection that will not come. */
static void connect_failed(struct worker *w, int error)
{
    w->connect_failures++;
    w->connect_errno = error;
}

static void open_more(struct worker *w, uint64_t now_ns)
{
    struct transport *t = w->config.transport;
    if (w->stats && !w->stats->stream) server_stats_connect(w->stats, t, now_ns);
    while (w->opened < w->config.connections && w->opened - w->connected - w->connect_failures < CONNECT_AT_ONCE) {
        struct conn *c = &w->conns[w->opened++];
        int rc = t->connect(t, now_ns, false, &c->stream);
        if (rc != 0) {
            connect_failed(w, -rc);
            continue;
        }
        c->stream->user = c;
        w->alive++;
    }
}

static void give_up_connecting(struct worker *w)
{
    for (uint32_t i = 0; i < w->opened; i++) {
        struct conn *c = &w->conns[i];
        if (!c->stream || c->connected) continue;
        connect_failed(w, ETIMEDOUT);
        if (c->onesided) worker_note_error(w, "the server does not answer when it is asked for one-sided reads");
        conn_looks_end(c);
        c->stream->ops->abort(c->stream);
        c->stream = NULL;
        w->alive--;
    }
    w->connect_failures += w->config.connections - w->opened;
    w->opened = w->config.connections;
}

static void connecting_turn(struct worker *w, uint64_t now_tsc, uint64_t now_ns)
{
    if (w->phase_end_tsc == 0) {
        w->phase_end_tsc = now_tsc + CONNECT_SECONDS * w->config.tsc_hz + idle_patience_tsc(w);
        w->run_end_tsc = now_tsc + tsc_of_ns(w, w->config.plan->hard_stop_ns);
    }
    if (now_tsc >= w->phase_end_tsc && !w->arrived) {
        idle_conns_give_up(&w->idle);
        give_up_connecting(w);
    }
    if (!idle_conns_open(&w->idle, w->config.transport, now_ns)) return;
    open_more(w, now_ns);
    if (w->connected + w->connect_failures < w->config.connections) return;
    if (w->connected == 0) {
        worker_note_error(w, strerror(w->connect_errno));
        atomic_store(&w->config.gate->failed, true);
    } else if (gate_passed(w)) {
        enter_loading(w);
    }
}

static void loading_turn(struct worker *w, uint64_t now_tsc)
{
    if (w->load_next < w->config.plan->keys || w->in_flight > 0 || !gate_passed(w)) return;
    if (w->config.plan->duration_ns == 0)
        enter_draining(w, now_tsc);
    else
        enter_warmup(w, now_tsc);
}

static bool drained(const struct worker *w)
{
    return w->in_flight == 0 && (!w->stats || server_stats_quiet(w->stats));
}

static void closing_turn(struct worker *w, uint64_t now_tsc)
{
    struct transport *t = w->config.transport;
    if (!idle_conns_close(&w->idle) && now_tsc < w->phase_end_tsc) return;
    if (t->lingering(t) > 0 && now_tsc < w->phase_end_tsc) return;
    enter(w, WORKER_DONE);
    w->config.done(w->config.done_arg);
}

/* A run that cannot go on: nobody left to talk to, here or in another thread, or the hard stop. */
static bool cannot_go_on(struct worker *w, uint64_t now_tsc)
{
    if (w->phase >= WORKER_DRAINING) return false;
    if (w->run_end_tsc != 0 && now_tsc >= w->run_end_tsc) {
        w->cut = true;
        worker_note_error(w, "the hard stop came first");
        return true;
    }
    if (w->phase > WORKER_CONNECTING && w->alive == 0) atomic_store(&w->config.gate->failed, true);
    return atomic_load_explicit(&w->config.gate->failed, memory_order_relaxed);
}

void worker_phase_turn(struct worker *w, uint64_t now_tsc, uint64_t now_ns)
{
    if (cannot_go_on(w, now_tsc)) enter_draining(w, now_tsc);
    switch (w->phase) {
    case WORKER_CONNECTING: connecting_turn(w, now_tsc, now_ns); return;
    case WORKER_LOADING: loading_turn(w, now_tsc); return;
    case WORKER_WARMUP:
        if (now_tsc >= w->phase_end_tsc) enter_measuring(w, now_tsc);
        return;
    case WORKER_MEASURING:
        if (now_tsc >= w->phase_end_tsc) enter_draining(w, now_tsc);
        return;
    case WORKER_DRAINING:
        if (drained(w) || now_tsc >= w->phase_end_tsc) enter_closing(w, now_tsc);
        return;
    case WORKER_CLOSING: closing_turn(w, now_tsc); return;
    case WORKER_DONE:
    case WORKER_PHASES: return;
    }
}
