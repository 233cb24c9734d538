#include "server/exec_resp.h"

#include <string.h>
#include <strings.h>
#include "base/decimal.h"
#include "protocol/resp/reply.h"
#include "server/reply.h"
#include "server/scan.h"
#include "server/session.h"

bool resp_word(struct slice word, const char *text)
{
    return word.len == strlen(text) && strncasecmp((const char *)word.data, text, word.len) == 0;
}

void resp_error(struct session *s, struct slice text)
{
    metric_add(&s->core->metrics.protocol_errors, 1);
    REPLY_LITERAL(s, "-");
    reply_slice(s, text);
    REPLY_LITERAL(s, "\r\n");
}

void resp_error_result(struct session *s, enum resp_command command, enum op_result result)
{
    switch (result) {
    case OP_RESULT_NOT_NUMBER: resp_error(s, SLICE_LITERAL("ERR value is not an integer or out of range")); return;
    case OP_RESULT_OVERFLOW: resp_error(s, SLICE_LITERAL("ERR increment or decrement would overflow")); return;
    case OP_RESULT_NAN: resp_error(s, SLICE_LITERAL("ERR increment would produce NaN or Infinity")); return;
    case OP_RESULT_BAD_EXPIRE:
        metric_add(&s->core->metrics.protocol_errors, 1);
        reply_format(s, "-ERR invalid expire time in '%s' command\r\n", resp_command_rows[command].token);
        return;
    default: resp_error(s, SLICE_LITERAL("ERR syntax error")); return;
    }
}

/* An operation that failed, not only missed. True: it did and is answered. */
static bool reply_failure(struct session *s, const struct op *op)
{
    if (op->result != OP_RESULT_STORE) {
        resp_error_result(s, op->command, op->result);
        return true;
    }
    if (op->status == STORE_NO_MEMORY) {
        metric_add(&s->core->metrics.store_no_memory, 1);
        REPLY_LITERAL(s, "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
        return true;
    }
    if (op->status == STORE_TOO_LARGE) {
        metric_add(&s->core->metrics.store_too_large, 1);
        REPLY_LITERAL(s, "-ERR string exceeds maximum allowed size (max-value-size)\r\n");
        return true;
    }
    return false;
}

void resp_reply_integer(struct session *s, int64_t n)
{
    uint8_t *dst = reply_room(s, 24);
    if (dst) reply_wrote(s, resp_integer(dst, n));
}

void resp_reply_null(struct session *s)
{
    uint8_t *dst = reply_room(s, 8);
    if (dst) reply_wrote(s, resp_null(dst, s->resp.resp3));
}

static void reply_bulk_value(struct session *s, struct op *op)
{
    uint8_t *dst = reply_room(s, 24);
    if (!dst) return;
    reply_wrote(s, resp_bulk_header(dst, op->value.len));
    reply_value(s, op);
    REPLY_LITERAL(s, "\r\n");
}

/* ---- keys ---- */

static void reply_get(struct session *s, struct op *op)
{
    struct server_metrics *m = &s->core->metrics;
    bool hit = op->status == STORE_OK;
    if (op->command == RESP_CMD_mget && (op->flags & OP_FIRST)) {
        uint8_t *dst = reply_room(s, 24);
        if (dst) reply_wrote(s, resp_array_header(dst, (uint64_t)op->fixed));
    }
    metric_add(&m->cmd_get, 1);
    if (reply_failure(s, op)) return; /* it is there, but no pin was left to hold it for its way here */
    metric_add(hit ? &m->get_hits : &m->get_misses, 1);
    if (hit) reply_bulk_value(s, op);
    else resp_reply_null(s);
}

/* DEL, EXISTS and their kin: counts, answers with the last. */
static void reply_count(struct session *s, struct op *op)
{
    struct server_metrics *m = &s->core->metrics;
    bool hit = op->status == STORE_OK;
    if (op->kind == OP_DELETE) metric_add(hit ? &m->delete_hits : &m->delete_misses, 1);
    s->resp.sum += hit;
    if (!(op->flags & OP_LAST)) return;
    resp_reply_integer(s, s->resp.sum);
    s->resp.sum = 0;
}

static void reply_strlen(struct session *s, struct op *op)
{
    resp_reply_integer(s, op->status == STORE_OK ? (int64_t)op->value.len : 0);
}

static void reply_ttl(struct session *s, struct op *op)
{
    if (op->status != STORE_OK) {
        resp_reply_integer(s, -2);
        return;
    }
    uint64_t at = op->value.meta.expires_ms, now = s->core->now->unix_ms;
    if (at == 0) {
        resp_reply_integer(s, -1);
        return;
    }
    int64_t left = at > now ? (int64_t)(at - now) : 0;
    resp_reply_integer(s, op->command == RESP_CMD_ttl ? (left + 500) / 1000 : left);
}

static void reply_type(struct session *s, struct op *op)
{
    if (op->status == STORE_OK) REPLY_LITERAL(s, "+string\r\n");
    else REPLY_LITERAL(s, "+none\r\n");
}

static void reply_changed(struct session *s, struct op *op)
{
    if (!reply_failure(s, op)) resp_reply_integer(s, op->status == STORE_OK);
}

void resp_key_op(struct session *s, struct op *op, enum resp_command command, int64_t total)
{
    (void)s;
    op->kind = OP_LOOK;
    switch (command) {
    case RESP_CMD_get:
    case RESP_CMD_mget:
        op->kind = OP_GET;
        op->fixed = total;
        op->reply = reply_get;
        return;
    case RESP_CMD_del:
    case RESP_CMD_unlink:
        op->kind = OP_DELETE;
        op->reply = reply_count;
        return;
    case RESP_CMD_persist:
        op->kind = OP_PERSIST;
        op->reply = reply_changed;
        return;
    case RESP_CMD_strlen: op->reply = reply_strlen; return;
    case RESP_CMD_ttl:
    case RESP_CMD_pttl: op->reply = reply_ttl; return;
    case RESP_CMD_type: op->reply = reply_type; return;
    default: op->reply = reply_count; return; /* EXISTS, TOUCH */
    }
}

/* ---- writes ---- */

/* SET and its kin. */
static void reply_set(struct session *s, struct op *op)
{
    if (reply_failure(s, op)) return;
    if (op->flags & OP_READ) { /* SET ... GET, GETSET: the old value */
        if (op->number) reply_bulk_value(s, op);
        else resp_reply_null(s);
    } else if (op->command == RESP_CMD_setnx) resp_reply_integer(s, op->status == STORE_OK);
    else if (op->command == RESP_CMD_append) resp_reply_integer(s, (int64_t)op->number);
    else if (op->status == STORE_OK) REPLY_LITERAL(s, "+OK\r\n");
    else resp_reply_null(s);
}

/* MSET: one answer for all pairs; an error if any was refused. */
static void reply_mset(struct session *s, struct op *op)
{
    s->resp.sum += op->status != STORE_OK;
    if (!(op->flags & OP_LAST)) return;
    if (s->resp.sum == 0) REPLY_LITERAL(s, "+OK\r\n");
    else if (!reply_failure(s, op)) REPLY_LITERAL(s, "-OOM some keys were not set: used memory > 'maxmemory'.\r\n");
    s->resp.sum = 0;
}

int resp_value_index(enum resp_command command)
{
    return command == RESP_CMD_setex || command == RESP_CMD_psetex ? 3 : 2;
}

void resp_store_op(struct session *s, struct op *op, enum resp_command command, uint32_t value_len)
{
    (void)s;
    op->kind = OP_STORE;
    op->mode = STORE_SET;
    op->value_len = value_len;
    op->reply = command == RESP_CMD_mset ? reply_mset : reply_set;
    if (command == RESP_CMD_setnx) op->mode = STORE_ADD;
    if (command == RESP_CMD_getset) op->flags |= OP_READ;
    if (command == RESP_CMD_append) {
        op->mode = STORE_APPEND;
        op->flags |= OP_CREATE;
    }
}

/* A relative or absolute time in seconds or milliseconds to absolute milliseconds; 0: it is none that can be. */
static uint64_t expiry_ms(int64_t n, bool seconds, bool absolute, uint64_t now_ms)
{
    if (n <= 0) return 0;
    if (seconds && n > INT64_MAX / 1000) return 0;
    uint64_t ms = (uint64_t)n * (seconds ? 1000 : 1);
    if (!absolute) ms += now_ms;
    return ms > (UINT64_C(1) << 47) ? 0 : ms;
}

static enum op_result set_expiry(struct session *s, struct op *op, struct slice text, bool seconds, bool absolute)
{
    int64_t n;
    if (!decimal_parse_i64(text, &n)) return OP_RESULT_NOT_NUMBER;
    op->meta.expires_ms = expiry_ms(n, seconds, absolute, s->core->now->unix_ms);
    return op->meta.expires_ms ? OP_RESULT_STORE : OP_RESULT_BAD_EXPIRE;
}

static const struct {
    const char *word;
    bool seconds, absolute;
} set_times[] = {{"ex", true, false}, {"px", false, false}, {"exat", true, true}, {"pxat", false, true}};

/* The row of set_times that the word names, or -1. */
static int set_time_find(struct slice word)
{
    for (int t = 0; t < (int)(sizeof set_times / sizeof *set_times); t++)
        if (resp_word(word, set_times[t].word)) return t;
    return -1;
}

/* As redis: all words are judged before the time is read, a word may come twice, and of two times the second counts. */
enum op_result resp_store_options(struct session *s, struct op *op, enum resp_command command, const struct slice *args,
                                  int count)
{
    int unit = -1, time = 0;
    if (command == RESP_CMD_setex || command == RESP_CMD_psetex)
        return count ? set_expiry(s, op, args[0], command == RESP_CMD_setex, false) : OP_RESULT_STORE;
    for (int i = 0; i < count; i++) {
        int t = set_time_find(args[i]);
        if (resp_word(args[i], "nx") && op->mode != STORE_REPLACE) op->mode = STORE_ADD;
        else if (resp_word(args[i], "xx") && op->mode != STORE_ADD) op->mode = STORE_REPLACE;
        else if (resp_word(args[i], "get")) op->flags |= OP_READ;
        else if (resp_word(args[i], "keepttl") && unit < 0) op->flags |= OP_KEEP_TTL;
        else if (t >= 0 && (unit < 0 || unit == t) && !(op->flags & OP_KEEP_TTL) && i + 1 < count) {
            unit = t;
            time = ++i;
        } else return OP_RESULT_SYNTAX;
    }
    if (unit < 0) return OP_RESULT_STORE;
    return set_expiry(s, op, args[time], set_times[unit].seconds, set_times[unit].absolute);
}

/* ---- numbers and expiry: small commands with all their arguments ---- */

static void reply_increment(struct session *s, struct op *op)
{
    struct server_metrics *m = &s->core->metrics;
    if (reply_failure(s, op)) return;
    metric_add(op->increment < 0 ? &m->decr_hits : &m->incr_hits, 1);
    resp_reply_integer(s, (int64_t)op->number);
}

static void reply_increment_float(struct session *s, struct op *op)
{
    if (op->result == OP_RESULT_NOT_NUMBER) {
        resp_error(s, SLICE_LITERAL("ERR value is not a valid float"));
        return;
    }
    if (reply_failure(s, op)) return;
    uint8_t *dst = reply_room(s, 24);
    if (!dst) return;
    reply_wrote(s, resp_bulk_header(dst, op->number));
    reply_bytes(s, op->copy, (uint32_t)op->number);
    REPLY_LITERAL(s, "\r\n");
}

static enum op_result increment_op(struct op *op, enum resp_command command, const struct slice *args, int count)
{
    int64_t by = 1;
    op->kind = OP_INCREMENT;
    op->reply = reply_increment;
    if (command == RESP_CMD_incrbyfloat) {
        op->kind = OP_INCREMENT_FLOAT;
        op->reply = reply_increment_float;
        return decimal_parse_real(args[2], &op->increment_float) ? OP_RESULT_STORE : OP_RESULT_NAN;
    }
    if (count > 2 && !decimal_parse_i64(args[2], &by)) return OP_RESULT_NOT_NUMBER;
    bool down = command == RESP_CMD_decr || command == RESP_CMD_decrby;
    if (down && by == INT64_MIN) return OP_RESULT_OVERFLOW;
    op->increment = down ? -by : by;
    return OP_RESULT_STORE;
}

size_t resp_error_text(struct session *s, struct slice text)
{
    uint8_t line[RESP_ERROR_TEXT_MAX];
    size_t len = text.len ? strnlen((const char *)text.data, text.len < sizeof line ? text.len : sizeof line) : 0;
    for (size_t i = 0; i < len; i++) line[i] = text.data[i] == '\r' || text.data[i] == '\n' ? ' ' : text.data[i];
    reply_bytes(s, line, (uint32_t)len);
    return len;
}

/* NX, XX, GT, LT. OP_RESULT_SYNTAX: it is answered. */
static enum op_result expire_conditions(struct session *s, struct op *op, const struct slice *args, int count)
{
    static const struct {
        const char *word;
        enum op_condition condition;
    } words[] = {{"nx", OP_IF_NONE}, {"xx", OP_IF_SOME}, {"gt", OP_IF_GREATER}, {"lt", OP_IF_LESS}};
    for (int i = 0; i < count; i++) {
        uint8_t found = 0;
        for (unsigned w = 0; w < sizeof words / sizeof *words; w++)
            if (resp_word(args[i], words[w].word)) found = (uint8_t)words[w].condition;
        op->condition |= found;
        if (found) continue;
        if (!session_barrier(s)) return OP_RESULT_SYNTAX;
        REPLY_LITERAL(s, "-ERR Unsupported option ");
        resp_error_text(s, args[i]);
        REPLY_LITERAL(s, "\r\n");
        return OP_RESULT_SYNTAX;
    }
    const char *clash = NULL;
    if ((op->condition & OP_IF_NONE) && op->condition != OP_IF_NONE) clash = "NX and XX, GT or LT";
    else if ((op->condition & OP_IF_GREATER) && (op->condition & OP_IF_LESS)) clash = "GT and LT";
    if (!clash) return OP_RESULT_STORE;
    if (session_barrier(s)) reply_format(s, "-ERR %s options at the same time are not compatible\r\n", clash);
    return OP_RESULT_SYNTAX;
}

static enum op_result expire_op(struct session *s, struct op *op, enum resp_command command, const struct slice *args,
                                int count)
{
    int64_t n;
    op->kind = OP_EXPIRE;
    op->reply = reply_changed;
    enum op_result result = expire_conditions(s, op, args + 3, count - 3);
    if (result != OP_RESULT_STORE) return result;
    if (!decimal_parse_i64(args[2], &n)) return OP_RESULT_NOT_NUMBER;
    bool seconds = command == RESP_CMD_expire || command == RESP_CMD_expireat;
    bool absolute = command == RESP_CMD_expireat || command == RESP_CMD_pexpireat;
    if (seconds && n < INT64_MIN / 1000) return OP_RESULT_BAD_EXPIRE;
    op->meta.expires_ms = n <= 0 ? 1 : expiry_ms(n, seconds, absolute, s->core->now->unix_ms);
    return op->meta.expires_ms ? OP_RESULT_STORE : OP_RESULT_BAD_EXPIRE;
}

static void unknown_command(struct session *s, const struct slice *args, int count)
{
    metric_add(&s->core->metrics.protocol_errors, 1);
    REPLY_LITERAL(s, "-ERR unknown command '");
    resp_error_text(s, args[0]);
    REPLY_LITERAL(s, "', with args beginning with: ");
    size_t left = RESP_ERROR_TEXT_MAX;
    for (int i = 1; i < count && left > 0; i++) {
        REPLY_LITERAL(s, "'");
        size_t len = resp_error_text(s, (struct slice){args[i].data, args[i].len < left ? args[i].len : left});
        REPLY_LITERAL(s, "' ");
        left -= len + 3 < left ? len + 3 : left;
    }
    REPLY_LITERAL(s, "\r\n");
}

bool resp_run(struct session *s, enum resp_command command, const struct slice *args, int count)
{
    bool increment = command == RESP_CMD_incr || command == RESP_CMD_decr || command == RESP_CMD_incrby ||
                     command == RESP_CMD_decrby || command == RESP_CMD_incrbyfloat;
    bool expire = command == RESP_CMD_expire || command == RESP_CMD_pexpire || command == RESP_CMD_expireat ||
                  command == RESP_CMD_pexpireat;
    if (command == RESP_CMD_scan) return scan_run(s, args, count);
    if (!increment && !expire) {
        if (!session_barrier(s)) return false;
        if (command == RESP_CMD_UNKNOWN) unknown_command(s, args, count);
        else resp_direct(s, command, args, count);
        return true;
    }
    struct op *op = batch_slot(s->core);
    op->command = (uint8_t)command;
    op->key = (struct store_key){args[1].data, (uint32_t)args[1].len, store_hash(args[1].data, args[1].len)};
    op->owner = (uint8_t)core_owner(s->core, args[1].data, args[1].len);
    op->flags = OP_FIRST | OP_LAST;
    enum op_result result = increment ? increment_op(op, command, args, count) : expire_op(s, op, command, args, count);
    if (result == OP_RESULT_STORE) {
        batch_submit(s->core, s, op);
        return true;
    }
    if (!session_barrier(s)) return false;
    if (result == OP_RESULT_SYNTAX) return true; /* answered */
    if (result == OP_RESULT_NAN) resp_error(s, SLICE_LITERAL("ERR value is not a valid float"));
    else if (result == OP_RESULT_OVERFLOW) resp_error(s, SLICE_LITERAL("ERR decrement would overflow"));
    else resp_error_result(s, command, result);
    return true;
}
