#include "server/exec_memcache.h"

#include <string.h>
#include "protocol/memcache/reply.h"
#include "server/reply.h"
#include "server/session.h"
#include "server/stats.h"
#include "server/tour.h"

#define MEMCACHE_VERSION "1.6.18" /* clients look at it to know what they may send; memccapable needs 1.6 or later */

static struct server_metrics *metrics_of(struct session *s) { return &s->core->metrics; }

void memcache_reply_nothing(struct session *s, struct op *op)
{
    (void)s;
    (void)op;
}

/* ---- get family ---- */

/* The end of a get's answer. Nothing may stand behind an error line, so that of a key in the midst waits until here. */
static void reply_get_end(struct session *s)
{
    if (s->memcache.get_failed) REPLY_LITERAL(s, "SERVER_ERROR out of memory writing get response\r\n");
    else REPLY_LITERAL(s, "END\r\n");
    s->memcache.get_failed = false;
}

/* The usual answer, a small value in one piece, in one go. False: it is not that. */
static bool reply_get_small(struct session *s, struct op *op)
{
    uint32_t len = op->value.len, need = MC_VALUE_HEADER_MAX - MC_KEY_MAX + op->key.len + len + 7;
    if (len > s->core->config->inline_value || op->value.data_len != len || need > BUF_SMALL_ROOM) return false;
    uint8_t *dst = reply_room(s, need);
    if (!dst) return true;
    bool with_cas = op->kind == OP_GETS || (op->flags & OP_WITH_CAS), end = (op->flags & OP_LAST) && !s->memcache.get_failed;
    uint32_t n = mc_value_header(dst, (struct slice){op->key.data, op->key.len}, op->value.meta.flags, len, with_cas,
                                 op->value.cas);
    memcpy(dst + n, op->value.data, len);
    memcpy(dst + n + len, "\r\nEND\r\n", 7);
    reply_wrote(s, n + len + (end ? 7 : 2));
    metric_add(&s->core->metrics.get_value_bytes_inline, len);
    if ((op->flags & OP_LAST) && !end) reply_get_end(s);
    return true;
}

static void reply_get_value(struct session *s, struct op *op)
{
    if (reply_get_small(s, op)) return;
    uint8_t *dst = reply_room(s, MC_VALUE_HEADER_MAX);
    if (!dst) return;
    struct slice key = {op->key.data, op->key.len};
    bool with_cas = op->kind == OP_GETS || (op->flags & OP_WITH_CAS);
    reply_wrote(s, mc_value_header(dst, key, op->value.meta.flags, op->value.len, with_cas, op->value.cas));
    reply_value(s, op);
    REPLY_LITERAL(s, "\r\n");
    if (op->flags & OP_LAST) reply_get_end(s);
}

static void reply_get(struct session *s, struct op *op)
{
    struct server_metrics *m = metrics_of(s);
    metric_add(&m->cmd_get, 1);
    bool touch = op->kind == OP_EXPIRE;
    if (touch) metric_add(&m->cmd_touch, 1);
    if (op->status == STORE_OK) {
        reply_get_value(s, op);
        metric_add(&m->get_hits, 1);
        if (touch) metric_add(&m->touch_hits, 1);
        return;
    }
    if (op->status == STORE_NO_MEMORY) {
        metric_add(&m->store_no_memory, 1);
        s->memcache.get_failed = true;
    } else {
        metric_add(&m->get_misses, 1);
        if (touch) metric_add(&m->touch_misses, 1);
    }
    if (op->flags & OP_LAST) reply_get_end(s);
}

void memcache_get_op(struct session *s, struct op *op, const struct mc_request *r)
{
    op->reply = reply_get;
    op->kind = r->command == MC_gets ? OP_GETS : OP_GET;
    if (r->command != MC_gat && r->command != MC_gats) return;
    op->kind = OP_EXPIRE;
    op->flags |= OP_READ;
    if (r->command == MC_gats) op->flags |= OP_WITH_CAS;
    op->meta.expires_ms = mc_expires_ms(r->exptime, s->core->now->unix_ms);
}

/* ---- storage ---- */

static void reply_store(struct session *s, struct op *op)
{
    struct server_metrics *m = metrics_of(s);
    if (op->result == OP_RESULT_BAD_CHUNK) {
        REPLY_LITERAL(s, "CLIENT_ERROR bad data chunk\r\n");
        return;
    }
    bool cas = op->mode == STORE_CAS;
    switch ((enum store_status)op->status) {
    case STORE_OK:
        if (cas) metric_add(&m->cas_hits, 1);
        REPLY_LITERAL(s, "STORED\r\n");
        return;
    case STORE_NOT_STORED: REPLY_LITERAL(s, "NOT_STORED\r\n"); return;
    case STORE_EXISTS:
        metric_add(&m->cas_badval, 1);
        REPLY_LITERAL(s, "EXISTS\r\n");
        return;
    case STORE_NOT_FOUND:
        metric_add(&m->cas_misses, 1);
        REPLY_LITERAL(s, "NOT_FOUND\r\n");
        return;
    case STORE_TOO_LARGE:
        metric_add(&m->store_too_large, 1);
        REPLY_LITERAL(s, "SERVER_ERROR object too large for cache\r\n");
        return;
    case STORE_NO_MEMORY:
        metric_add(&m->store_no_memory, 1);
        REPLY_LITERAL(s, "SERVER_ERROR out of memory storing object\r\n");
        return;
    }
}

void memcache_store_op(struct session *s, struct op *op, const struct mc_request *r)
{
    static const uint8_t modes[MC_COMMAND_COUNT] = {
        [MC_set] = STORE_SET,       [MC_add] = STORE_ADD,         [MC_replace] = STORE_REPLACE,
        [MC_append] = STORE_APPEND, [MC_prepend] = STORE_PREPEND, [MC_cas] = STORE_CAS};
    op->kind = OP_STORE;
    if (r->command == MC_set) op->flags |= OP_DROP_STALE;
    op->mode = modes[r->command];
    op->reply = reply_store;
    op->value_len = r->value_len;
    op->cas = r->number;
    op->meta.flags = r->flags;
    op->meta.expires_ms = mc_expires_ms(r->exptime, s->core->now->unix_ms);
}

/* ---- delete, incr, decr, touch ---- */

static void reply_delete(struct session *s, struct op *op)
{
    bool hit = op->status == STORE_OK;
    metric_add(hit ? &metrics_of(s)->delete_hits : &metrics_of(s)->delete_misses, 1);
    if (hit) REPLY_LITERAL(s, "DELETED\r\n");
    else REPLY_LITERAL(s, "NOT_FOUND\r\n");
}

static void reply_touch(struct session *s, struct op *op)
{
    bool hit = op->status == STORE_OK;
    metric_add(&metrics_of(s)->cmd_touch, 1);
    metric_add(hit ? &metrics_of(s)->touch_hits : &metrics_of(s)->touch_misses, 1);
    if (hit) REPLY_LITERAL(s, "TOUCHED\r\n");
    else if (op->status == STORE_NO_MEMORY) REPLY_LITERAL(s, "SERVER_ERROR out of memory touching object\r\n");
    else REPLY_LITERAL(s, "NOT_FOUND\r\n");
}

static void reply_arithmetic(struct session *s, struct op *op)
{
    struct server_metrics *m = metrics_of(s);
    bool decr = op->flags & OP_NEGATIVE;
    if (op->result == OP_RESULT_NOT_NUMBER) {
        REPLY_LITERAL(s, "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n");
    } else if (op->status == STORE_OK) {
        metric_add(decr ? &m->decr_hits : &m->incr_hits, 1);
        uint8_t *dst = reply_room(s, 24);
        if (dst) reply_wrote(s, mc_number_line(dst, op->number));
    } else if (op->status == STORE_NOT_FOUND) {
        metric_add(decr ? &m->decr_misses : &m->incr_misses, 1);
        REPLY_LITERAL(s, "NOT_FOUND\r\n");
    } else {
        REPLY_LITERAL(s, "SERVER_ERROR out of memory in incr\r\n");
    }
}

void memcache_key_op(struct session *s, struct op *op, const struct mc_request *r)
{
    switch (r->command) {
    case MC_delete:
        op->kind = OP_DELETE;
        op->reply = reply_delete;
        return;
    case MC_touch:
        op->kind = OP_EXPIRE;
        op->reply = reply_touch;
        op->meta.expires_ms = mc_expires_ms(r->exptime, s->core->now->unix_ms);
        return;
    default:
        op->kind = OP_ARITHMETIC;
        op->reply = reply_arithmetic;
        op->delta = r->number;
        if (r->command == MC_decr) op->flags |= OP_NEGATIVE;
        return;
    }
}

/* ---- direct ---- */

static void reply_flush(struct session *s, struct op *op)
{
    if (op->flags & OP_LAST) REPLY_LITERAL(s, "OK\r\n");
}

static void flush_all(struct session *s, const struct mc_request *r)
{
    uint64_t at_ms = r->has_exptime && r->exptime > 0 ? mc_expires_ms(r->exptime, s->core->now->unix_ms) : 0;
    metric_add(&metrics_of(s)->cmd_flush, 1);
    session_flush_shards(s, at_ms, r->noreply, reply_flush);
}

static void stats_classes(struct session *s, enum stats_classes what)
{
    if (!tour_stats_classes(s, what)) REPLY_LITERAL(s, "SERVER_ERROR out of memory writing stats\r\n");
}

static void stats(struct session *s, const struct mc_request *r)
{
    if (r->argument.len == 0) stats_memcache(s);
    else if (slice_equal(r->argument, SLICE_LITERAL("settings"))) stats_memcache_settings(s);
    else if (slice_equal(r->argument, SLICE_LITERAL("reset"))) REPLY_LITERAL(s, "RESET\r\n");
    else if (slice_equal(r->argument, SLICE_LITERAL("items"))) stats_classes(s, STATS_ITEMS);
    else if (slice_equal(r->argument, SLICE_LITERAL("slabs"))) stats_classes(s, STATS_SLABS);
    else if (slice_equal(r->argument, SLICE_LITERAL("sizes"))) stats_classes(s, STATS_SIZES);
    else if (slice_equal(r->argument, SLICE_LITERAL("conns"))) REPLY_LITERAL(s, "END\r\n");
    else REPLY_LITERAL(s, "ERROR\r\n");
}

void memcache_direct(struct session *s, const struct mc_request *r)
{
    switch (r->command) {
    case MC_version: REPLY_LITERAL(s, "VERSION " MEMCACHE_VERSION "\r\n"); return;
    case MC_verbosity:
        if (!r->noreply) REPLY_LITERAL(s, "OK\r\n");
        return;
    case MC_stats: stats(s, r); return;
    case MC_quit: s->closing = true; return;
    case MC_flush_all: flush_all(s, r); return;
    default: REPLY_LITERAL(s, "ERROR\r\n"); return;
    }
}
