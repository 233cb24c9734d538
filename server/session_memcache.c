/* Sessions of the memcached text protocol: from a parsed line to operations. Answers: exec_memcache.c. */
#include "server/session.h"

#include <string.h>
#include <rte_debug.h>
#include "server/exec_memcache.h"
#include "server/reply.h"

static bool memcache_error(struct session *s, struct slice text, uint32_t skip, uint64_t swallow, bool close)
{
    if (!session_barrier(s)) return false;
    metric_add(&s->core->metrics.protocol_errors, 1);
    reply_slice(s, text);
    session_skip(s, skip);
    s->memcache.scanned = 0;
    s->swallow = swallow;
    s->closing = close;
    return true;
}

static struct op *memcache_op(struct session *s, const struct mc_request *r, struct slice key)
{
    struct core *core = s->core;
    struct op *op = batch_slot(core);
    op->command = (uint8_t)r->command;
    op->key = (struct store_key){key.data, (uint32_t)key.len, store_hash(key.data, key.len)};
    op->owner = (uint8_t)core_owner(core, key.data, key.len);
    if (r->noreply) op->flags = OP_NOREPLY;
    return op;
}

/* One key that is too long spoils the whole line, as in memcached. */
static bool memcache_keys_valid(struct slice more)
{
    struct slice key;
    int next = 0;
    while (more.len && (next = mc_next_key(&more, &key)) == 1) continue;
    return next >= 0;
}

/* get, gets, gat, gats: an operation a key. The line is taken apart bit by bit when it has more keys than fit. */
static bool memcache_keys(struct session *s, const struct mc_request *r, const uint8_t *line)
{
    struct core *core = s->core;
    struct memcache_state *m = &s->memcache;
    struct slice key = r->key, more = r->more;
    if (m->in_keys) {
        const uint8_t *end = r->more.data + r->more.len;
        more = (struct slice){line + m->next_key, m->next_key < end - line ? (size_t)(end - line) - m->next_key : 0};
        if (mc_next_key(&more, &key) != 1) { /* it was there before: the peer has changed what it wrote */
            session_break(s);
            return false;
        }
    }
    if (!m->in_keys && !memcache_keys_valid(more))
        return memcache_error(s, SLICE_LITERAL("CLIENT_ERROR bad command line format\r\n"), r->line_len, 0, false);
    core->scratch.keep = core->scratch.used;
    for (bool last = false; !last;) {
        struct slice rest = more, next = {NULL, 0};
        last = mc_next_key(&more, &next) != 1;
        struct op *op = memcache_op(s, r, key);
        memcache_get_op(s, op, r);
        if (last) op->flags |= OP_LAST;
        batch_submit(core, s, op);
        if (!last && s->queued >= SESSION_QUEUE_MAX) {
            m->in_keys = true;
            m->next_key = (uint32_t)(rest.data - line);
            core->scratch.keep = 0;
            return false;
        }
        key = next;
    }
    m->in_keys = false;
    core->scratch.keep = 0;
    session_skip(s, r->line_len);
    return true;
}

static bool memcache_storage(struct session *s, const struct mc_request *r)
{
    struct core *core = s->core;
    uint32_t have = session_available(s), whole = r->line_len + r->value_len + 2;
    if (have < whole && r->value_len <= SESSION_STREAM_VALUE) return false;
    struct op *op = memcache_op(s, r, r->key);
    memcache_store_op(s, op, r);
    op->flags |= OP_LAST;
    if (r->value_len > SESSION_STREAM_VALUE) {
        session_fill_begin(s, op, r->line_len);
        return true;
    }
    struct buf_cursor end = s->at;
    uint8_t crlf[2];
    buf_cursor_advance(&end, r->line_len + r->value_len);
    buf_cursor_read(&end, crlf, 2);
    if (crlf[0] != '\r' || crlf[1] != '\n')
        return memcache_error(s, r->noreply ? SLICE_LITERAL("") : SLICE_LITERAL("CLIENT_ERROR bad data chunk\r\n"), whole,
                              0, false);
    metric_add(&core->metrics.cmd_set, 1);
    session_store(s, op, r->line_len, 2);
    return true;
}

static bool memcache_filled(struct session *s)
{
    if (session_available(s) < 2) return false;
    struct buf_cursor end = s->at;
    uint8_t crlf[2];
    buf_cursor_read(&end, crlf, 2);
    session_skip(s, 2);
    if (crlf[0] == '\r' && crlf[1] == '\n') {
        metric_add(&s->core->metrics.cmd_set, 1);
        session_fill_commit(s);
        return true;
    }
    metric_add(&s->core->metrics.protocol_errors, 1);
    s->filling->result = OP_RESULT_BAD_CHUNK;
    session_fill_abort(s);
    return true;
}

static bool memcache_request(struct session *s, const struct mc_request *r, const uint8_t *line)
{
    struct op *op;
    switch (r->command) {
    case MC_get:
    case MC_gets:
    case MC_gat:
    case MC_gats: return memcache_keys(s, r, line);
    case MC_set:
    case MC_add:
    case MC_replace:
    case MC_append:
    case MC_prepend:
    case MC_cas: return memcache_storage(s, r);
    case MC_delete:
    case MC_incr:
    case MC_decr:
    case MC_touch:
        op = memcache_op(s, r, r->key);
        memcache_key_op(s, op, r);
        op->flags |= OP_LAST;
        batch_submit(s->core, s, op);
        session_skip(s, r->line_len);
        return true;
    default:
        if (!session_barrier(s)) return false;
        memcache_direct(s, r);
        session_skip(s, r->line_len);
        return true;
    }
}

/* A set that is too long leaves nothing stale behind: memcached drops the old item. */
static void memcache_drop_stale(struct session *s, const struct mc_request *r)
{
    if (r->command != MC_set || r->key.len == 0 || r->swallow == 0) return;
    metric_add(&s->core->metrics.store_too_large, 1);
    struct op *op = memcache_op(s, r, r->key);
    op->kind = OP_DELETE;
    op->flags |= OP_NOREPLY | OP_LAST;
    op->reply = memcache_reply_nothing;
    batch_submit(s->core, s, op);
    batch_run(s->core); /* the key may lie in scratch, which the error's barrier has given free */
}

static bool memcache_parse(struct session *s)
{
    const uint8_t *line;
    uint32_t len;
    enum session_line found = session_find_line(s, &s->memcache.scanned, MC_LINE_MAX, &line, &len);
    if (found == SESSION_LINE_NONE) return false;
    if (found == SESSION_LINE_TOO_LONG)
        return memcache_error(s, SLICE_LITERAL("CLIENT_ERROR line too long\r\n"), session_available(s), 0, true);
    struct mc_request r;
    enum mc_status status = mc_parse(line, len, (uint32_t)s->core->config->max_value_size, &r);
    if (status == MC_NEED_MORE) return false;
    if (status == MC_ERROR) {
        if (!memcache_error(s, r.error, r.line_len ? r.line_len : len, r.swallow, r.close)) return false;
        memcache_drop_stale(s, &r);
        return true;
    }
    return memcache_request(s, &r, line);
}

const struct session_protocol session_memcache = {
    .name = "memcache", .parse = memcache_parse, .filled = memcache_filled};
