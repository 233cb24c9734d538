#include "server/op.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include "base/decimal.h"
#include "server/core.h"
#include "server/room.h"
#include "server/scan.h"
#include "server/tour.h"
#include "server/session.h"

#define OP_CHUNK 64u
#define NUMBER_MAX 64u /* bytes of a value that may be a number, with the blanks that decr leaves */

struct op *op_alloc(struct core *core)
{
    if (!core->free_ops) {
        struct op *ops = core_chunk(core, sizeof *ops, OP_CHUNK);
        if (!ops) return NULL;
        for (unsigned i = 0; i < OP_CHUNK; i++) {
            ops[i].next = core->free_ops;
            core->free_ops = &ops[i];
        }
    }
    struct op *op = core->free_ops;
    core->free_ops = op->next;
    op->next = NULL;
    op->pin = NULL;
    op->key_heap = NULL;
    return op;
}

void op_free(struct core *core, struct op *op)
{
    if (op->pin && op->owner == core->index) store_unpin(core->store, op->pin);
    else if (op->pin) mailbox_send_unpin(core, op->owner, op->pin);
    free(op->key_heap);
    op->next = core->free_ops;
    core->free_ops = op;
}

struct op *op_persist(struct core *core, const struct op *transient)
{
    struct op *op = op_alloc(core);
    if (!op) return NULL;
    memcpy(op, transient, offsetof(struct op, next));
    op->flags |= OP_PERSISTENT | OP_HOLD;
    op->pin = NULL;
    op->key_heap = NULL;
    uint8_t *copy = op->key_copy;
    uint32_t flat_len = op->flat ? op->value_len : 0;
    if (op->key.len > OP_KEY_INLINE || flat_len) {
        copy = op->key_heap = malloc((size_t)op->key.len + flat_len);
        if (!copy) {
            op_free(core, op);
            return NULL;
        }
        if (flat_len) op->flat = memcpy(copy + op->key.len, op->flat, flat_len);
    }
    if (op->key.len) memcpy(copy, op->key.data, op->key.len);
    op->key.data = copy;
    return op;
}

/* A value that must outlive this execution: a small one is copied, a longer one pinned. */
static void hold_value(struct core *core, struct op *op)
{
    if (!(op->flags & OP_HOLD)) return;
    if (op->value.len <= RTE_MIN(OP_VALUE_INLINE, core->config->inline_value) && op->value.data_len == op->value.len) {
        memcpy(op->copy, op->value.data, op->value.len);
        op->value.data = op->copy;
        return;
    }
    op->pin = store_pin(core->store, op->value.item);
    if (!op->pin) op->status = STORE_NO_MEMORY;
}

static enum store_status read_item(struct core *core, struct op *op, bool with_cas)
{
    return with_cas ? store_gets(core->store, &op->key, core->now->unix_ms, &op->value)
                    : store_get(core->store, &op->key, core->now->unix_ms, &op->value);
}

static void execute_get(struct core *core, struct op *op)
{
    op->status = read_item(core, op, op->kind == OP_GETS);
    if (op->status == STORE_OK) hold_value(core, op);
}

/* What a write with KEEPTTL or GET must know of the old item. False: the write cannot go on. */
static bool look_at_old(struct core *core, struct op *op)
{
    if (!(op->flags & (OP_KEEP_TTL | OP_READ | OP_CREATE))) return true;
    enum store_status status = read_item(core, op, false);
    if (op->flags & OP_CREATE) {
        op->number = op->value_len + (status == STORE_OK ? op->value.len : 0);
        if (status != STORE_OK) op->mode = STORE_SET;
    }
    if (status == STORE_OK && (op->flags & OP_KEEP_TTL)) op->meta.expires_ms = op->value.meta.expires_ms;
    if (!(op->flags & OP_READ)) return true;
    op->number = status == STORE_OK;
    if (status != STORE_OK) return true;
    /* The old value is answered after the write: hold it over the write even when the operation is local. */
    op->pin = store_pin(core->store, op->value.item);
    return op->pin != NULL;
}

/*
 * The bytes of the value at the cursor, `left` still to come. Of the last buffer neither length nor successor is looked
 * at: its own core may be receiving into it.
 */
static uint32_t value_window(const struct op *op, struct buf_cursor *at, uint32_t left, const uint8_t **p)
{
    while (at->m != op->source_end && at->off == at->m->data_len) *at = (struct buf_cursor){.m = at->m->next};
    *p = buf_data(at->m) + at->off;
    return at->m == op->source_end ? left : at->m->data_len - at->off;
}

static void execute_store(struct core *core, struct op *op)
{
    if (!look_at_old(core, op)) {
        op->status = STORE_NO_MEMORY;
        return;
    }
    struct buf_cursor source = op->source;
    const uint8_t *p = NULL;
    uint32_t window = op->value_len;
    if (op->flat) p = op->flat;
    else if (window) window = value_window(op, &source, window, &p);
    if (window >= op->value_len) {
        op->status = store_set(core->store, &op->key, p, op->value_len, &op->meta, op->mode, op->cas,
                               core->now->unix_ms);
        return;
    }
    struct store_write write;
    op->status = store_reserve(core->store, &op->key, op->value_len, &op->meta, false, &write);
    if (op->status != STORE_OK) return;
    for (uint32_t left = op->value_len; left;) {
        window = value_window(op, &source, left, &p);
        store_write_fill(&write, p, window);
        source.off += window;
        left -= window;
    }
    op->status = store_commit(core->store, &write, &op->key, op->mode, op->cas, &op->meta, core->now->unix_ms);
}

/* A refused write leaves nothing stale behind where the protocol wants it so. */
static void drop_stale(struct core *core, struct op *op)
{
    if (!(op->flags & OP_DROP_STALE)) return;
    if (op->status == STORE_NO_MEMORY || op->status == STORE_TOO_LARGE)
        store_delete(core->store, &op->key, core->now->unix_ms);
}

static void execute_commit(struct core *core, struct op *op)
{
    if (!look_at_old(core, op)) {
        store_abort(core->store, &op->write);
        op->status = STORE_NO_MEMORY;
        return;
    }
    op->status = store_commit(core->store, &op->write, &op->key, op->mode, op->cas, &op->meta, core->now->unix_ms);
}

static bool expire_allowed(const struct op *op, uint64_t old_ms)
{
    /* Redis 7 EXPIRE: no expiry counts as infinite for GT and LT. */
    uint64_t old = old_ms ? old_ms : UINT64_MAX, new = op->meta.expires_ms ? op->meta.expires_ms : UINT64_MAX;
    if ((op->condition & OP_IF_NONE) && old_ms) return false;
    if ((op->condition & OP_IF_SOME) && !old_ms) return false;
    if ((op->condition & OP_IF_GREATER) && new <= old) return false;
    return !(op->condition & OP_IF_LESS) || new < old;
}

static void execute_expire(struct core *core, struct op *op)
{
    uint64_t now_ms = core->now->unix_ms;
    op->status = read_item(core, op, op->flags & OP_WITH_CAS);
    if (op->status != STORE_OK) return;
    if (op->kind == OP_PERSIST && op->value.meta.expires_ms == 0) op->status = STORE_NOT_STORED;
    if (op->kind == OP_EXPIRE && !expire_allowed(op, op->value.meta.expires_ms)) op->status = STORE_NOT_STORED;
    if (op->status != STORE_OK) return;
    if ((op->flags & OP_READ) && op->meta.expires_ms && op->meta.expires_ms <= now_ms) {
        /* gat with a time that has passed: the value is answered once more, then the item is gone. */
        op->pin = store_pin(core->store, op->value.item);
        op->status = op->pin ? store_delete(core->store, &op->key, now_ms) : STORE_NO_MEMORY;
        return;
    }
    op->status = store_touch(core->store, &op->key, op->meta.expires_ms, now_ms);
    if (op->status != STORE_OK || !(op->flags & OP_READ)) return;
    op->status = read_item(core, op, op->flags & OP_WITH_CAS);
    if (op->status == STORE_OK) hold_value(core, op);
}

/* The item's text when it can be a number: one fragment, short. */
static bool number_text(const struct op *op, struct slice *text)
{
    if (op->value.len == 0 || op->value.len > NUMBER_MAX || op->value.data_len != op->value.len) return false;
    *text = (struct slice){op->value.data, op->value.len};
    return true;
}

static void store_number(struct core *core, struct op *op, const uint8_t *text, uint32_t len)
{
    struct store_meta meta = op->value.meta;
    op->status = store_set(core->store, &op->key, text, len, &meta, STORE_SET, 0, core->now->unix_ms);
}

/* memcached: unsigned 64 bits; the result keeps the old length, padded with blanks, when it is shorter. */
static void execute_arithmetic(struct core *core, struct op *op)
{
    op->status = read_item(core, op, false);
    if (op->status != STORE_OK) return;
    struct slice text;
    uint64_t n;
    op->result = OP_RESULT_NOT_NUMBER;
    if (!number_text(op, &text)) return;
    uint32_t old_len = (uint32_t)text.len;
    if (!decimal_parse_loose(text, &n)) return;
    op->result = OP_RESULT_STORE;
    if (!(op->flags & OP_NEGATIVE)) n += op->delta;
    else n = n > op->delta ? n - op->delta : 0;
    uint8_t out[NUMBER_MAX];
    memset(out, ' ', sizeof out);
    uint32_t len = decimal_format_u64(out, n);
    op->number = n;
    store_number(core, op, out, len < old_len ? old_len : len);
}

/* Redis: signed 64 bits, an absent key counts as 0. */
static void execute_increment(struct core *core, struct op *op)
{
    int64_t n = 0;
    struct slice text;
    op->value.meta = (struct store_meta){0};
    op->status = read_item(core, op, false);
    if (op->status == STORE_OK && (!number_text(op, &text) || !decimal_parse_i64(text, &n))) {
        op->result = OP_RESULT_NOT_NUMBER;
        return;
    }
    if (op->status != STORE_OK) op->value.meta = (struct store_meta){0};
    if (__builtin_add_overflow(n, op->increment, &n)) {
        op->result = OP_RESULT_OVERFLOW;
        return;
    }
    uint8_t out[DECIMAL_MAX];
    uint32_t len = decimal_format_i64(out, n);
    op->number = (uint64_t)n;
    store_number(core, op, out, len);
}

/* As redis prints them: 17 decimals, trailing zeros cut. */
static uint32_t format_long_double(char *buf, size_t cap, long double n)
{
    int len = snprintf(buf, cap, "%.17Lf", n);
    if (len < 0 || (size_t)len >= cap) return 0;
    if (strchr(buf, '.')) {
        while (buf[len - 1] == '0') len--;
        if (buf[len - 1] == '.') len--;
    }
    if (len == 2 && memcmp(buf, "-0", 2) == 0) {
        buf[0] = '0';
        len = 1;
    }
    return (uint32_t)len;
}

static void execute_increment_float(struct core *core, struct op *op)
{
    char buf[OP_VALUE_INLINE];
    long double n = 0;
    op->value.meta = (struct store_meta){0};
    op->status = read_item(core, op, false);
    if (op->status != STORE_OK) op->value.meta = (struct store_meta){0};
    if (op->status == STORE_OK) {
        struct slice text = {op->value.data, op->value.len};
        if (op->value.data_len != op->value.len || !decimal_parse_real(text, &n)) {
            op->result = OP_RESULT_NOT_NUMBER;
            return;
        }
    }
    n += op->increment_float;
    uint32_t len = isnan(n) || isinf(n) ? 0 : format_long_double(buf, sizeof buf, n);
    if (len == 0) {
        op->result = OP_RESULT_NAN;
        return;
    }
    store_number(core, op, (const uint8_t *)buf, len);
    op->number = len;
    memcpy(op->copy, buf, len);
}

static void execute_flush(struct core *core, struct op *op)
{
    op->status = STORE_OK;
    core->flush_at_ms = op->flush_at_ms;
    if (op->flush_at_ms == 0 || op->flush_at_ms <= core->now->unix_ms) {
        core->flush_at_ms = 0;
        store_flush(core->store);
    }
}

void op_execute(struct core *core, struct op *op)
{
    if (op->kind != OP_ABORT) op->result = OP_RESULT_STORE; /* an abort keeps its reason */
    switch ((enum op_kind)op->kind) {
    case OP_NONE: op->status = STORE_OK; return;
    case OP_GET:
    case OP_GETS: execute_get(core, op); return;
    case OP_STORE:
        execute_store(core, op);
        drop_stale(core, op);
        return;
    case OP_RESERVE:
        op->status = store_reserve(core->store, &op->key, op->value_len, &op->meta, op->flags & OP_ROOM_FOR_EXPIRY, &op->write);
        if (!room_is_awaited(core, op)) drop_stale(core, op);
        return;
    case OP_COMMIT:
        execute_commit(core, op);
        drop_stale(core, op);
        return;
    case OP_ABORT: store_abort(core->store, &op->write); return;
    case OP_DELETE: op->status = store_delete(core->store, &op->key, core->now->unix_ms); return;
    case OP_EXPIRE:
    case OP_PERSIST: execute_expire(core, op); return;
    case OP_ARITHMETIC: execute_arithmetic(core, op); return;
    case OP_INCREMENT: execute_increment(core, op); return;
    case OP_INCREMENT_FLOAT: execute_increment_float(core, op); return;
    case OP_LOOK: op->status = read_item(core, op, false); return;
    case OP_SCAN: scan_execute(core, op); return;
    case OP_DRAW: draw_execute(core, op); return;
    case OP_CLASSES: classes_execute(core, op); return;
    case OP_FLUSH: execute_flush(core, op); return;
    }
}
