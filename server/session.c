#include "server/session.h"

#include <string.h>
#include <rte_cycles.h>
#include "server/room.h"
#include "server/tour.h"

#define SESSION_CHUNK 64u
#define BUFFERS_LOW_SHARE 4u   /* below a quarter of the buffers, connections with unsent output wait */
#define DROP_INTERVAL_NS 1000000u
#define BUFFERS_LEAST 192u     /* below this many, all wait: a batch must be answerable */

static struct session *session_alloc(struct core *core)
{
    if (!core->free_sessions) {
        struct session *sessions = core_chunk(core, sizeof *sessions, SESSION_CHUNK);
        if (!sessions) return NULL;
        for (unsigned i = 0; i < SESSION_CHUNK; i++) {
            sessions[i].next = core->free_sessions;
            core->free_sessions = &sessions[i];
        }
    }
    struct session *s = core->free_sessions;
    core->free_sessions = s->next;
    memset(s, 0, sizeof *s);
    return s;
}

/* NULL: out of memory; the stream is gone. */
static struct session *session_accept(struct core *core, struct stream *stream, const struct session_protocol *protocol)
{
    struct session *s = session_alloc(core);
    if (!s) {
        stream->ops->abort(stream);
        return NULL;
    }
    s->core = core;
    s->stream = stream;
    s->protocol = protocol;
    stream->user = s;
    s->reply_hint = SESSION_REPLY_HINT;
    stream->tx_low_water = (uint32_t)(core->config->output_limit / 2);
    s->next = core->sessions;
    if (s->next) s->next->prev = s;
    core->sessions = s;
    metric_add(&core->metrics.curr_connections, 1);
    metric_add(&core->metrics.total_connections, 1);
    return s;
}

void session_accept_memcache(void *core, struct stream *stream) { session_accept(core, stream, &session_memcache); }

void session_accept_resp(void *core, struct stream *stream)
{
    struct session *s = session_accept(core, stream, &session_resp);
    if (!s) return;
    s->resp.authenticated = *s->core->config->password == 0;
    s->resp.client_id = __atomic_add_fetch(&s->core->server->next_client_id, 1, __ATOMIC_RELAXED);
}

/* Gives back what was reserved, on the core that has it. False: the operation is on its way there and comes back. */
static bool reserved_abort(struct core *core, struct op *op)
{
    op->kind = OP_ABORT;
    if (op->owner != core->index) {
        mailbox_send_op(core, op->owner, op);
        return false;
    }
    op_execute(core, op);
    return true;
}

/* Operations that are still out come back later and find no session. */
static void session_orphan_queue(struct session *s)
{
    for (struct op *op = s->queue_head, *next; op; op = next) {
        next = op->next;
        bool at_home = op->flags & OP_DONE;
        op->session = NULL;
        if (op == s->filling && !s->blocked) { /* reserved and half filled */
            s->filling = NULL;
            at_home = reserved_abort(s->core, op);
        }
        if (at_home) op_free(s->core, op);
    }
    s->queue_head = s->queue_tail = NULL;
}

static void session_end(struct session *s, bool abort)
{
    struct core *core = s->core;
    session_orphan_queue(s);
    tour_end(s);
    buf_chain_free(&s->out);
    if (abort) s->stream->ops->abort(s->stream);
    else s->stream->ops->close(s->stream);
    if (s->prev) s->prev->next = s->next;
    else core->sessions = s->next;
    if (s->next) s->next->prev = s->prev;
    s->stream = NULL;
    s->next = core->free_sessions;
    core->free_sessions = s;
    metric_sub(&core->metrics.curr_connections, 1);
}

void session_close_all(struct core *core)
{
    while (core->sessions) session_end(core->sessions, true);
}

void session_touch(struct session *s)
{
    if (s->touched) return;
    s->touched = true;
    s->next_touched = s->core->touched;
    s->core->touched = s;
}

void session_break(struct session *s)
{
    s->broken = true;
    session_touch(s);
}

static void session_settle(struct session *s)
{
    struct stream *stream = s->stream;
    if (s->parsed) {
        uint32_t n = s->parsed;
        s->parsed = 0;
        buf_chain_consume(&stream->rx, n);
        stream->ops->consumed(stream, n);
    }
    s->at = buf_chain_begin(&stream->rx);
    if (s->out.len) {
        stream->ops->send(stream, &s->out);
        buf_chain_init(&s->out);
        stream->ops->flush(stream);
    }
}

/* Whether another core still reads a value out of this session's received buffers. */
static bool session_lent(const struct session *s) { return s->blocked && s->skip_after; }

void session_settle_all(struct core *core, bool end)
{
    struct session *s = core->touched, *next, *later = NULL;
    core->touched = NULL;
    for (; s; s = next) {
        next = s->next_touched;
        if (!s->broken) session_settle(s);
        bool over = s->broken ? !session_lent(s) : s->closing && !s->queue_head;
        if (over && !end) {
            s->next_touched = later;
            later = s;
            continue;
        }
        s->touched = false;
        if (over) session_end(s, s->broken);
    }
    core->touched = later;
}

uint8_t *session_copy(struct session *s, struct buf_cursor *cur, uint32_t n)
{
    struct scratch *scratch = &s->core->scratch;
    uint8_t *dst = scratch->data + scratch->used;
    buf_cursor_read(cur, dst, n);
    scratch->used += n;
    metric_add(&s->core->metrics.header_bytes_joined, n);
    return dst;
}

/* n bytes (all available) at `at` in one piece: in place, or in the core's scratch. */
static const uint8_t *bytes_join(struct session *s, uint32_t n)
{
    const uint8_t *p;
    if (session_window(s, &p) >= n && !session_rx_shared(s)) return p;
    struct buf_cursor cur = s->at;
    return session_copy(s, &cur, n);
}

/* The same for a line. Of shared bytes the end that was found may be gone since: the copy has it. */
static const uint8_t *line_join(struct session *s, uint32_t n)
{
    const uint8_t *line = bytes_join(s, n);
    if (session_rx_shared(s)) ((uint8_t *)(uintptr_t)line)[n - 1] = '\n';
    return line;
}

enum session_line session_find_line(struct session *s, uint32_t *scanned, uint32_t soft, const uint8_t **line,
                                    uint32_t *len)
{
    uint32_t window = session_window(s, line);
    const uint8_t *end = memchr(*line, '\n', window);
    if (end) {
        *scanned = 0;
        *len = (uint32_t)(end - *line) + 1;
        if (*len > SESSION_LINE_MAX) return SESSION_LINE_TOO_LONG;
        if (session_rx_shared(s)) *line = line_join(s, *len);
        return SESSION_LINE_WHOLE;
    }
    struct buf_cursor cur = s->at;
    uint32_t off = *scanned;
    buf_cursor_advance(&cur, off);
    const uint8_t *p;
    for (uint32_t n; (n = buf_cursor_window(&cur, &p)) != 0; off += n, cur.off += n) {
        end = memchr(p, '\n', n);
        if (!end) continue;
        *scanned = 0;
        *len = off + (uint32_t)(end - p) + 1;
        if (*len > SESSION_LINE_MAX) return SESSION_LINE_TOO_LONG;
        *line = line_join(s, *len);
        return SESSION_LINE_WHOLE;
    }
    *scanned = off;
    if (off > SESSION_LINE_MAX) return SESSION_LINE_TOO_LONG;
    if (off <= soft) return SESSION_LINE_NONE;
    *len = soft + 1;
    *line = bytes_join(s, *len);
    return SESSION_LINE_OPEN;
}

void session_skip(struct session *s, uint32_t n)
{
    s->parsed += n;
    buf_cursor_advance(&s->at, n);
    session_touch(s);
}

bool session_barrier(struct session *s)
{
    if (s->core->batch.count) batch_run(s->core);
    session_touch(s);
    if (!s->queue_head) return true;
    s->waits_queue = true;
    return false;
}

/* The value that begins at `at`. */
static void store_source(struct session *s, struct op *op)
{
    struct buf_cursor end = s->at;
    buf_cursor_advance(&end, op->value_len);
    op->source = s->at;
    op->source_end = end.m;
}

void session_store(struct session *s, struct op *op, uint32_t head_len, uint32_t tail_len)
{
    struct core *core = s->core;
    uint32_t value_len = op->value_len;
    metric_add(&core->metrics.set_value_bytes, value_len);
    if (op->owner == core->index) {
        session_skip(s, head_len);
        store_source(s, op);
        session_skip(s, value_len + tail_len);
        batch_submit(core, s, op);
        return;
    }
    /* Another core copies the value out of our buffers: they stay as they are until it has answered. */
    struct op *sent = op_persist(core, op);
    session_skip(s, head_len);
    batch_run(core);
    if (!sent) {
        session_break(s);
        return;
    }
    store_source(s, sent);
    s->blocked = true;
    s->skip_after = value_len + tail_len;
    batch_submit(core, s, sent);
}

/* Gives a refused value's bytes the way that they still have to go, then lets the answer out. */
static void fill_refused(struct session *s, struct op *op)
{
    s->filling = NULL;
    s->swallow = (uint64_t)op->value_len + 2;
    op->kind = OP_NONE;
    op->flags |= OP_DONE;
}

/* The reservation is back: what has come of the value is copied at the session's next turn. */
static void fill_reserved(struct session *s, struct op *op)
{
    s->blocked = false;
    if (op->status != STORE_OK) fill_refused(s, op);
    else if (op->value_len == 0) op->write.filled = 0;
    stream_raise(s->stream, STREAM_READABLE);
}

void session_queue_push(struct session *s, struct op *op)
{
    op->session = s;
    op->next = NULL;
    if (s->queue_tail) s->queue_tail->next = op;
    else s->queue_head = op;
    s->queue_tail = op;
    s->queued++;
}

void session_fill_begin(struct session *s, const struct op *op, uint32_t head_len)
{
    struct core *core = s->core;
    struct op *filling = op_persist(core, op);
    session_skip(s, head_len);
    batch_run(core);
    if (!filling) {
        session_break(s);
        return;
    }
    metric_add(&core->metrics.set_value_bytes, op->value_len);
    filling->kind = OP_RESERVE;
    s->filling = filling;
    s->blocked = true;
    session_queue_push(s, filling);
    if (filling->owner != core->index) {
        metric_add(&core->metrics.mailbox_sent, 1);
        mailbox_send_op(core, filling->owner, filling);
        return;
    }
    op_execute(core, filling);
    if (!room_keep(core, filling)) session_op_done(core, filling);
}

void session_fill_commit(struct session *s)
{
    struct op *op = s->filling;
    s->filling = NULL;
    op->kind = OP_COMMIT;
    if (op->owner != s->core->index) {
        mailbox_send_op(s->core, op->owner, op);
        return;
    }
    op_execute(s->core, op);
    session_op_done(s->core, op);
}

void session_fill_abort(struct session *s)
{
    struct op *op = s->filling;
    s->filling = NULL;
    if (reserved_abort(s->core, op)) session_op_done(s->core, op);
}

void session_flush_shards(struct session *s, uint64_t at_ms, bool noreply, op_reply_fn *reply)
{
    unsigned cores = s->core->config->core_count;
    for (unsigned owner = 0; owner < cores; owner++) {
        struct op *op = batch_slot(s->core);
        op->kind = OP_FLUSH;
        op->owner = (uint8_t)owner;
        op->flush_at_ms = at_ms;
        op->reply = reply;
        op->flags = (uint16_t)((noreply ? OP_NOREPLY : 0) | (owner + 1 == cores ? OP_LAST : 0));
        batch_submit(s->core, s, op);
    }
}

/* Copies what is there of the value that streams in. True: go on parsing. */
static bool session_fill(struct session *s)
{
    struct store_write *w = &s->filling->write;
    while (w->filled < w->value_len) {
        const uint8_t *p;
        uint32_t n = session_window(s, &p);
        if (n == 0) return false;
        if (n > w->value_len - w->filled) n = w->value_len - w->filled;
        store_write_fill(w, p, n);
        session_skip(s, n);
    }
    return s->protocol->filled(s);
}

static bool session_swallow(struct session *s)
{
    uint32_t n = session_available(s);
    if (n > s->swallow) n = (uint32_t)s->swallow;
    if (n == 0) return false;
    s->swallow -= n;
    session_skip(s, n);
    return true;
}

void session_reply(struct session *s, struct op *op)
{
    if (s->broken || (op->flags & OP_NOREPLY)) return;
    uint32_t before = s->out.len;
    op->reply(s, op);
    uint32_t len = s->out.len - before, faded = s->reply_hint - s->reply_hint / 8;
    s->reply_hint = len > faded ? len : faded;
}

static void session_answer_queue(struct session *s)
{
    while (s->queue_head && (s->queue_head->flags & OP_DONE)) {
        struct op *op = s->queue_head;
        s->queue_head = op->next;
        if (!s->queue_head) s->queue_tail = NULL;
        s->queued--;
        session_reply(s, op);
        op_free(s->core, op);
    }
}

void session_op_done(struct core *core, struct op *op)
{
    struct session *s = op->session;
    if (!s) { /* the connection is gone */
        bool reserved = op->kind == OP_RESERVE && op->status == STORE_OK;
        if (!reserved || reserved_abort(core, op)) op_free(core, op);
        return;
    }
    if (op->kind == OP_RESERVE && op == s->filling) {
        fill_reserved(s, op);
    } else {
        op->flags |= OP_DONE;
        if (s->skip_after && op->kind == OP_STORE && !op->flat) { /* the one that blocks us: flat ones lend nothing */
            session_skip(s, s->skip_after);
            s->skip_after = 0;
            s->blocked = false;
        }
    }
    session_answer_queue(s);
    if (!s->queue_head) s->waits_queue = false;
    session_touch(s);
    stream_raise(s->stream, STREAM_READABLE);
}

/*
 * Whether what is unsent, and what the requests under way may add to it, has reached the limit. Nobody knows how long a
 * reply will be before it is looked up: the longest lately is the guess.
 */
static bool session_output_full(struct session *s)
{
    uint64_t limit = s->core->config->output_limit;
    uint64_t coming = (uint64_t)(s->queued + s->batched) * s->reply_hint;
    if (s->out.len + s->stream->tx_queued + coming < limit) return false;
    if (s->batched) batch_run(s->core);
    if (s->broken) return true;
    coming = (uint64_t)s->queued * s->reply_hint;
    if (s->out.len + s->stream->tx_queued + coming < limit) return false;
    metric_add(&s->core->metrics.stalls_output, 1);
    if (s->queued) return true; /* its answers wake the session */
    if (s->out.len) batch_run(s->core);
    if (s->stream->tx_queued < limit) return s->broken;
    s->stream->want_writable = true;
    return true;
}

static bool session_held(const struct session *s)
{
    return s->blocked || s->broken || s->closing || s->waits_queue || s->tour || s->queued >= SESSION_QUEUE_MAX;
}

/*
 * At most SESSION_TURN_MAX steps, so that one deep pipeline does not hold up the others. True: only more bytes from the
 * peer would help.
 */
static bool session_parse(struct session *s)
{
    session_touch(s);
    if (s->tour && !s->broken) tour_continue(s);
    for (unsigned step = 0; step < SESSION_TURN_MAX; step++) {
        if (session_held(s)) return false;
        if (session_available(s) == 0) return true;
        if (!s->filling && !s->swallow && session_output_full(s)) return false;
        if (s->core->batch.count == BATCH_MAX || s->core->scratch.used > SCRATCH_SIZE - 2 * SESSION_LINE_MAX)
            batch_run(s->core);
        bool more = s->swallow ? session_swallow(s) : s->filling ? session_fill(s) : s->protocol->parse(s);
        if (!more) return !session_held(s);
    }
    stream_raise(s->stream, STREAM_READABLE);
    return false;
}

static void session_ready(struct session *s)
{
    struct stream *stream = s->stream;
    uint32_t events = stream->events;
    stream->events = 0;
    if (events & STREAM_ERROR) {
        session_break(s);
        return;
    }
    if (!s->at.m) s->at = buf_chain_begin(&stream->rx);
    bool starved = session_parse(s);
    stream->events |= events & STREAM_EOF; /* stays true */
    if (!starved || !(stream->events & STREAM_EOF)) return;
    /* A client that has shut down its sending side still gets every reply; half a request is not answered. */
    s->closing = true;
    session_touch(s);
    if (!s->filling) return;
    s->filling->flags |= OP_NOREPLY;
    session_fill_abort(s);
}

static bool buffers_left(const struct rte_mempool *pool, unsigned share)
{
    unsigned left = rte_mempool_get_ops(pool->ops_index)->get_count(pool); /* without the caches: a lower bound */
    return left >= BUFFERS_LEAST && left >= pool->size / share;
}

/*
 * The last buffers are held by readers that do not read: the one that holds most gives way, so that the others go on.
 * Once in a while only: buffers that were freed must show first.
 */
static void drop_slowest_reader(struct core *core)
{
    struct session *worst = NULL;
    if (core->now->ns < core->next_drop_ns) return;
    core->next_drop_ns = core->now->ns + DROP_INTERVAL_NS;
    for (struct session *s = core->sessions; s; s = s->next)
        if (!s->broken && s->stream->tx_queued && (!worst || s->stream->tx_queued > worst->stream->tx_queued)) worst = s;
    if (!worst) return;
    metric_add(&core->metrics.dropped_slow_readers, 1);
    session_break(worst);
}

unsigned session_poll(void *arg, const struct tick *now)
{
    struct core *core = arg;
    core->now = now;
    if (!core->loop.head && !core->touched) return 0;
    uint64_t start = rte_rdtsc();
    struct stream *last = core->loop.tail; /* what becomes ready meanwhile has its turn after the output */
    bool plenty = buffers_left(core->pools.small, BUFFERS_LOW_SHARE) && buffers_left(core->pools.frame, BUFFERS_LOW_SHARE) &&
                  buffers_left(core->pools.ref, BUFFERS_LOW_SHARE);
    bool some = plenty || (buffers_left(core->pools.small, UINT16_MAX) && buffers_left(core->pools.ref, UINT16_MAX));
    unsigned work = 0;
    if (!some) drop_slowest_reader(core);
    for (bool more = last != NULL; more; work++) {
        struct stream *stream = stream_loop_pop(&core->loop);
        more = stream != last;
        bool failed = stream->events & STREAM_ERROR;
        if (!failed && !plenty && (!some || stream->tx_queued)) {
            stream_raise(stream, 0);
            metric_add(&core->metrics.stalls_buffers, 1);
            continue;
        }
        session_ready(stream->user);
    }
    batch_run(core);
    session_settle_all(core, true);
    metric_add(&core->metrics.cycles_session, rte_rdtsc() - start);
    return work ? work : 1;
}
