#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "rdma/core_impl.h"

static const struct stream_ops rdma_stream_ops;

static struct rdma_conn *conn_of(const struct stream *s)
{
    return (struct rdma_conn *)(uintptr_t)s;
}

/* The set-up's side */

static uint32_t ring_size(uint16_t send_depth)
{
    uint32_t size = 1;
    while (size < send_depth) size *= 2;
    return size;
}

size_t rdma_conn_memory_bytes(uint32_t buffer_bytes, uint16_t send_depth)
{
    return 2 * (size_t)buffer_bytes + (size_t)ring_size(send_depth) * RDMA_MESSAGE_BYTES;
}

struct rdma_conn *rdma_conn_create(const struct rdma_conn_config *config)
{
    uint32_t size = ring_size(config->send_depth);
    assert(config->send_depth >= RDMA_SEND_DEPTH_MIN && config->max_sge >= 1 && config->buffer_bytes > 0);
    size_t bytes = sizeof(struct rdma_conn) + size * sizeof(struct request);
    struct rdma_conn *c = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
    if (!c) return NULL;
    memset(c, 0, bytes);
    c->config = *config;
    c->s.ops = &rdma_stream_ops;
    c->state = CONN_NEW;
    c->qp = config->qp;
    c->lane = (uint8_t)config->lane;
    c->server = config->server;
    c->max_sge = (uint8_t)RTE_MIN((unsigned)config->max_sge, RDMA_SGE_MAX);
    c->max_inline = config->max_inline;
    c->depth = config->send_depth;
    c->sq_mask = size - 1;
    c->lkey = config->mr->lkey;
    c->rkey = config->window ? ibv_inc_rkey(config->window->rkey) : config->mr->rkey;
    c->bind_due = config->window != NULL;
    c->buffer_bytes = config->buffer_bytes;
    c->message_slots = config->memory + 2 * (size_t)config->buffer_bytes;
    receive_init(c);
    return c;
}

void rdma_conn_destroy(struct rdma_conn *conn)
{
    free(conn);
}

void *rdma_conn_user(const struct rdma_conn *conn)
{
    return conn->config.user;
}

void rdma_conn_set_reads(struct rdma_conn *conn, uint8_t reads)
{
    conn->config.reads = reads;
}

void rdma_conn_set_end(struct rdma_conn *conn, int error)
{
    conn->config.end_error = error;
}

uint8_t rdma_conn_reads(const struct rdma_conn *conn)
{
    return conn->config.reads;
}

uint8_t *rdma_conn_read_memory(const struct rdma_conn *conn, uint32_t *lkey)
{
    *lkey = conn->lkey;
    return conn->config.read_memory;
}

struct rdma_conn *rdma_conn_of(struct stream *s)
{
    return s->ops == &rdma_stream_ops ? conn_of(s) : NULL;
}

struct stream *rdma_conn_stream(struct rdma_conn *conn)
{
    return &conn->s;
}

/* Timers: one list, since all wait for linger_ns. */

static void timer_start(struct rdma_conn *c)
{
    struct rdma_core *core = c->core;
    c->timer_ns = core->now_ns + core->config.linger_ns;
    c->timed = true;
    TAILQ_INSERT_TAIL(&core->timed, c, timer);
}

static void timer_stop(struct rdma_conn *c)
{
    if (!c->timed) return;
    c->timed = false;
    TAILQ_REMOVE(&c->core->timed, c, timer);
}

static void keepalive_start(struct rdma_conn *c)
{
    struct rdma_core *core = c->core;
    if (!c->server || core->config.keepalive_ns == 0) return;
    c->keepalive_ns = core->now_ns + core->config.keepalive_ns;
    TAILQ_INSERT_TAIL(&core->kept, c, keepalive);
}

static void keepalive_stop(struct rdma_conn *c)
{
    if (c->keepalive_ns == 0) return;
    c->keepalive_ns = 0;
    TAILQ_REMOVE(&c->core->kept, c, keepalive);
}

/* The last one has not been taken: some hardware tries for ever. */
static void keepalive_missed(struct rdma_conn *c)
{
    if (++c->keepalives_missed < RDMA_KEEPALIVES_MISSED) return;
    metric_add(&c->core->metrics.keepalive_cut, 1);
    conn_cut(c, ETIMEDOUT);
}

/* A peer that does not take the last one is not sent another. */
static void keepalives_due(struct rdma_core *core)
{
    struct rdma_conn *c;
    while ((c = TAILQ_FIRST(&core->kept)) != NULL && c->keepalive_ns <= core->now_ns) {
        keepalive_stop(c);
        keepalive_start(c);
        if (c->keepalive_posted || c->keepalive_due) {
            keepalive_missed(c);
            continue;
        }
        c->keepalives_missed = 0;
        c->keepalive_due = true;
        conn_list(c);
    }
}

/* The device does not flush the pair: it does nothing any more. Nothing that is posted there will be read or written.
 */
static void conn_abandon(struct rdma_conn *c)
{
    metric_add(&c->core->metrics.drain_abandoned, 1);
    transmit_done(c, c->sq_posted - 1, false);
    conn_list(c);
}

void conn_timers(struct rdma_core *core)
{
    struct rdma_conn *c;
    while ((c = TAILQ_FIRST(&core->timed)) != NULL && c->timer_ns <= core->now_ns) {
        timer_stop(c);
        if (c->state == CONN_CUT) {
            if (transmit_outstanding(c) > 0) conn_abandon(c);
            continue;
        }
        metric_add(&core->metrics.linger_cut, 1);
        conn_cut(c, 0);
    }
    keepalives_due(core);
}

uint64_t conn_deadline(const struct rdma_core *core)
{
    const struct rdma_conn *timed = TAILQ_FIRST(&core->timed), *kept = TAILQ_FIRST(&core->kept);
    uint64_t at = UINT64_MAX;
    if (timed) at = timed->timer_ns;
    if (kept) at = RTE_MIN(at, kept->keepalive_ns);
    if (!TAILQ_EMPTY(&core->starved)) at = RTE_MIN(at, core->now_ns + RDMA_STARVED_NS);
    return at;
}

/* Life */

void conn_new(struct rdma_core *core, struct rdma_conn *c)
{
    assert(core->free_count > 0 && c->lane < core->lane_count);
    c->core = core;
    c->s.loop = core->config.loop;
    c->index = core->free_indexes[--core->free_count];
    uint64_t generation = ++core->generations[c->index] & RDMA_ID_GENERATION_MASK;
    c->id = RDMA_ID_SEND | generation << RDMA_ID_GENERATION_SHIFT | (uint64_t)c->index << RDMA_ID_INDEX_SHIFT;
    core->conns[c->index] = c;
    lookup_add(core, c);
    metric_add(&core->metrics.connections, 1);
}

void conn_established(struct rdma_conn *c)
{
    if (c->state != CONN_NEW) return; /* it broke the protocol already */
    metric_add(&c->core->metrics.established, 1);
    c->state = CONN_OPEN;
    c->held = true;
    receive_start(c);
    keepalive_start(c);
    c->config.accept(c->config.accept_arg, &c->s);
    if (!c->server && c->held) stream_raise(&c->s, STREAM_CONNECTED);
}

void conn_gone(struct rdma_conn *c)
{
    assert(c->gone == GONE_NOT);
    c->gone = GONE_TOLD;
    TAILQ_INSERT_TAIL(&c->core->gone, c, going);
}

void conn_gone_take(struct rdma_conn *c)
{
    conn_cut(c, c->config.end_error ? c->config.end_error : ECONNRESET);
    c->gone = GONE_TAKEN;
    timer_start(c);
    conn_list(c);
}

/* What is queued stays until the requests that refer to it have been flushed. */
void conn_cut(struct rdma_conn *c, int error)
{
    struct rdma_core *core = c->core;
    if (c->state == CONN_CUT) return;
    c->state = CONN_CUT;
    timer_stop(c);
    keepalive_stop(c);
    if (c->gone == GONE_NOT) core_notify(core, c, RDMA_NOTICE_CUT);
    transmit_drop_reads(c);
    conn_list(c);
    if (!c->held) return;
    c->s.error = (int16_t)error;
    metric_add(&core->metrics.errors, error != 0);
    if (!c->starved) conn_end_raise(c);
}

void conn_end_raise(struct rdma_conn *c)
{
    stream_raise(&c->s, c->s.error != 0 ? STREAM_ERROR : STREAM_EOF);
}

void conn_violation(struct rdma_conn *c, uint64_t *reason)
{
    metric_add(reason, 1);
    conn_cut(c, ECONNRESET);
}

static bool is_finished(const struct rdma_conn *c)
{
    return c->gone == GONE_TAKEN && !c->held && !c->listed && transmit_outstanding(c) == 0 && c->rx[0].idle &&
           c->rx[1].idle;
}

bool conn_finish(struct rdma_conn *c)
{
    struct rdma_core *core = c->core;
    if (!is_finished(c)) return false;
    timer_stop(c);
    buf_chain_free(&c->tx);
    lookup_remove(core, c);
    core->conns[c->index] = NULL;
    core->free_indexes[core->free_count++] = c->index;
    metric_sub(&core->metrics.connections, 1);
    core_notify(core, c, RDMA_NOTICE_DONE);
    return true;
}

/* The stream */

static void op_send(struct stream *s, struct buf_chain *chain)
{
    struct rdma_conn *c = conn_of(s);
    if (c->state != CONN_OPEN || c->shut || chain->len == 0) {
        buf_chain_free(chain);
        return;
    }
    s->tx_queued += chain->len;
    if (!c->tx_next) {
        c->tx_next = chain->head;
        c->tx_next_off = 0;
    }
    buf_chain_join(&c->tx, chain);
}

static void op_flush(struct stream *s)
{
    struct rdma_conn *c = conn_of(s);
    if (c->state == CONN_OPEN && transmit_waiting(c) > 0) conn_list(c);
}

/* What opens the window is the last buffer that refers to a receive buffer: receive.c. */
static void op_consumed(struct stream *s, uint32_t n)
{
    (void)s;
    (void)n;
}

/*
 * A queue pair knows no half-close: when all is sent the pair is cut, and the handler sees STREAM_EOF.
 */
static void op_shutdown(struct stream *s)
{
    struct rdma_conn *c = conn_of(s);
    c->shut = true;
    conn_list(c);
}

static void let_go(struct rdma_conn *c)
{
    c->held = false;
    c->s.want_writable = false;
    stream_unlist(&c->s);
    receive_drop(c);
    conn_list(c);
}

static void op_close(struct stream *s)
{
    struct rdma_conn *c = conn_of(s);
    let_go(c);
    if (c->state != CONN_OPEN) return;
    c->state = CONN_LINGER;
    timer_start(c);
}

static void op_abort(struct stream *s)
{
    struct rdma_conn *c = conn_of(s);
    let_go(c);
    conn_cut(c, 0);
}

static void op_peer(const struct stream *s, char *text, size_t cap)
{
    snprintf(text, cap, "%s", conn_of(s)->config.peer);
}

static const struct stream_ops rdma_stream_ops = {.send = op_send,
                                                  .flush = op_flush,
                                                  .consumed = op_consumed,
                                                  .shutdown = op_shutdown,
                                                  .close = op_close,
                                                  .abort = op_abort,
                                                  .peer = op_peer,
                                                  .name = "rdma",
                                                  .rx_shared = true};
