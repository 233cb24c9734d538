/* Sessions of RESP: from arrays of bulk strings and inline lines to operations. Answers: exec_resp.c. */
#include "server/session.h"

#include <stdio.h>
#include <string.h>
#include "server/exec_resp.h"
#include "server/reply.h"

#define BULK_LINE_MAX 64u /* a longer "$<len>\r\n" is no length */
#define ARGS_MAX 1025
#define TAIL_ARGS_MAX 16 /* options behind a value */
#define BULK_LEN_MAX (512u * 1024u * 1024u) /* redis' proto-max-bulk-len */

/* Arguments read so far, from `at`, without consuming them. */
struct resp_reader {
    struct session *s;
    uint32_t off;     /* bytes read */
    uint32_t value;   /* of them: bytes of a value, which need not be in one piece */
    struct slice error;
};

enum resp_take { TAKE_OK, TAKE_MORE, TAKE_ERROR };

static bool resp_protocol_error(struct session *s, struct slice error)
{
    if (!session_barrier(s)) return false;
    resp_error(s, error);
    session_skip(s, session_available(s));
    s->closing = true;
    return true;
}

static bool resp_failed(struct resp_reader *r, enum resp_take take)
{
    return take == TAKE_ERROR ? resp_protocol_error(r->s, r->error) : false;
}

/* The bytes at the reader for a header line: in place, or a short copy (across a buffer border, of shared bytes). */
static uint32_t resp_peek(struct resp_reader *r, uint8_t *copy, const uint8_t **p)
{
    struct buf_cursor cur = r->s->at;
    buf_cursor_advance(&cur, r->off);
    uint32_t window = buf_cursor_window(&cur, p), left = session_available(r->s) - r->off;
    if ((window >= BULK_LINE_MAX || window == left) && !session_rx_shared(r->s)) return window;
    *p = copy;
    return buf_cursor_read(&cur, copy, BULK_LINE_MAX);
}

static enum resp_take resp_take_status(struct resp_reader *r, enum resp_status status, uint32_t seen, struct slice too_long)
{
    if (status == RESP_OK) return TAKE_OK;
    if (status == RESP_ERROR) return TAKE_ERROR;
    r->s->resp.need = r->off + seen + 1;
    if (seen < BULK_LINE_MAX) return TAKE_MORE;
    r->error = too_long;
    return TAKE_ERROR;
}

/* "$<len>\r\n": *len bytes follow at r->off. */
static enum resp_take resp_take_bulk(struct resp_reader *r, uint64_t *len)
{
    uint8_t copy[BULK_LINE_MAX];
    const uint8_t *p = copy;
    uint32_t used = 0, n = resp_peek(r, copy, &p);
    enum resp_status status = resp_parse_bulk(p, n, BULK_LEN_MAX, len, &used, &r->error);
    enum resp_take take =
        resp_take_status(r, status, n, SLICE_LITERAL("ERR Protocol error: too big bulk count string"));
    if (take == TAKE_OK) r->off += used;
    return take;
}

/* A whole argument in one piece. */
static enum resp_take resp_take_arg(struct resp_reader *r, struct slice *arg)
{
    struct session *s = r->s;
    uint64_t len;
    enum resp_take take = resp_take_bulk(r, &len);
    if (take != TAKE_OK) return take;
    if (r->off - r->value + len > SESSION_LINE_MAX) {
        r->error = SLICE_LITERAL("ERR Protocol error: arguments too long");
        return TAKE_ERROR;
    }
    if (session_available(s) < r->off + len + 2) {
        s->resp.need = r->off + (uint32_t)len + 2;
        return TAKE_MORE;
    }
    struct buf_cursor cur = s->at;
    buf_cursor_advance(&cur, r->off);
    arg->len = len;
    if (buf_cursor_window(&cur, &arg->data) < len || session_rx_shared(s))
        arg->data = session_copy(s, &cur, (uint32_t)len);
    r->off += (uint32_t)len + 2;
    return TAKE_OK;
}

static struct op *resp_op(struct session *s, enum resp_command command, struct slice key)
{
    struct op *op = batch_slot(s->core);
    op->command = (uint8_t)command;
    op->key = (struct store_key){key.data, (uint32_t)key.len, store_hash(key.data, key.len)};
    op->owner = (uint8_t)core_owner(s->core, key.data, key.len);
    return op;
}

static void resp_submit_key(struct session *s, enum resp_command command, struct slice key, int64_t left, int64_t total)
{
    struct op *op = resp_op(s, command, key);
    resp_key_op(s, op, command, total);
    if (left == total) op->flags |= OP_FIRST;
    if (left == 1) op->flags |= OP_LAST;
    batch_submit(s->core, s, op);
}

/* ---- arguments that are dropped: their command is answered with an error, or has been ---- */

/* Takes the off bytes read so far; `left` arguments still to come are dropped, and the error is answered with the last. */
static bool resp_skip_begin(struct session *s, uint32_t off, struct slice error, int64_t left)
{
    if (left == 0) {
        if (!session_barrier(s)) return false;
        resp_error(s, error);
    } else {
        s->resp.active = true;
        s->resp.command = RESP_CMD_UNKNOWN;
        s->resp.left = left;
        s->resp.skip_error = error;
    }
    session_skip(s, off);
    return true;
}

static bool resp_skip_step(struct session *s)
{
    struct resp_state *r = &s->resp;
    struct resp_reader reader = {.s = s};
    uint64_t len;
    enum resp_take take = resp_take_bulk(&reader, &len);
    if (take != TAKE_OK) return resp_failed(&reader, take);
    if (r->left == 1) {
        if (!session_barrier(s)) return false;
        if (r->skip_error.len) resp_error(s, r->skip_error);
        r->active = false;
    }
    session_skip(s, reader.off);
    s->swallow = len + 2;
    r->left--;
    return true;
}

/* ---- commands taken apart argument by argument ---- */

static bool resp_keys_step(struct session *s)
{
    struct resp_state *r = &s->resp;
    struct resp_reader reader = {.s = s};
    struct slice key;
    enum resp_take take = resp_take_arg(&reader, &key);
    if (take != TAKE_OK) return resp_failed(&reader, take);
    resp_submit_key(s, r->command, key, r->left, r->total);
    session_skip(s, reader.off);
    if (--r->left == 0) r->active = false;
    return true;
}

/* A write whose key and value header have been read: at once when all is there, else as it streams in. */
static bool resp_value(struct session *s, struct resp_reader *reader, struct op *op, uint64_t len, int tail_args)
{
    struct slice tail[TAIL_ARGS_MAX];
    uint64_t whole = reader->off + len + 2;
    uint32_t head = reader->off;
    op->value_len = (uint32_t)len;
    if (len > SESSION_STREAM_VALUE) {
        s->resp.tail_args = (uint32_t)tail_args;
        s->resp.need = 0; /* may have been reckoned from before the value */
        if (tail_args) op->flags |= OP_ROOM_FOR_EXPIRY;
        session_fill_begin(s, op, head);
        return true;
    }
    if (session_available(s) < whole) {
        s->resp.need = (uint32_t)whole;
        return false;
    }
    reader->off = (uint32_t)whole;
    reader->value = (uint32_t)len;
    for (int i = 0; i < tail_args; i++) {
        enum resp_take take = resp_take_arg(reader, &tail[i]);
        if (take != TAKE_OK) return resp_failed(reader, take);
    }
    enum op_result result = tail_args ? resp_store_options(s, op, op->command, tail, tail_args) : OP_RESULT_STORE;
    if (result != OP_RESULT_STORE) {
        enum resp_command command = op->command;
        if (!session_barrier(s)) return false;
        resp_error_result(s, command, result);
        session_skip(s, reader->off);
        return true;
    }
    uint32_t tail_len = reader->off - head - (uint32_t)len;
    metric_add(&s->core->metrics.cmd_set, 1);
    session_store(s, op, head, tail_len);
    return true;
}

static bool resp_pairs_step(struct session *s)
{
    struct resp_state *r = &s->resp;
    struct resp_reader reader = {.s = s};
    struct slice key;
    uint64_t len;
    enum resp_take take = resp_take_arg(&reader, &key);
    if (take == TAKE_OK) take = resp_take_bulk(&reader, &len);
    if (take != TAKE_OK) return resp_failed(&reader, take);
    struct op *op = resp_op(s, r->command, key);
    resp_store_op(s, op, r->command, (uint32_t)len);
    if (r->left == 2) op->flags |= OP_LAST;
    if (!resp_value(s, &reader, op, len, 0)) return false;
    r->left -= 2;
    if (r->left == 0) r->active = false;
    return true;
}

static bool resp_continue(struct session *s)
{
    if (s->resp.command == RESP_CMD_UNKNOWN) return resp_skip_step(s);
    if (resp_command_rows[s->resp.command].shape == RESP_SHAPE_PAIRS) return resp_pairs_step(s);
    return resp_keys_step(s);
}

/* ---- the start of a command ---- */

/* Why a command does not run, or an empty slice. */
static struct slice resp_refusal(struct session *s, enum resp_command command, int64_t argc)
{
    const struct resp_command_row *row = &resp_command_rows[command];
    if (command == RESP_CMD_UNKNOWN) return (struct slice){NULL, 0};
    bool arity = row->arity >= 0 ? argc == row->arity : argc >= -row->arity;
    if (row->shape == RESP_SHAPE_PAIRS && argc % 2 == 0) arity = false;
    char *text = s->resp.error_text;
    if (!arity) {
        int n = snprintf(text, sizeof s->resp.error_text, "ERR wrong number of arguments for '%s' command", row->token);
        return (struct slice){(const uint8_t *)text, (size_t)n};
    }
    if (!s->resp.authenticated && !strstr(row->flags, "no_auth"))
        return SLICE_LITERAL("NOAUTH Authentication required.");
    return (struct slice){NULL, 0};
}

static bool resp_start_value(struct session *s, struct resp_reader *reader, enum resp_command command, int64_t argc)
{
    struct slice before[4];
    int value_index = resp_value_index(command);
    enum resp_take take = TAKE_OK;
    for (int i = 1; i < value_index && take == TAKE_OK; i++) take = resp_take_arg(reader, &before[i - 1]);
    uint64_t len = 0;
    if (take == TAKE_OK) take = resp_take_bulk(reader, &len);
    if (take != TAKE_OK) return resp_failed(reader, take);
    if (argc - value_index - 1 > TAIL_ARGS_MAX) {
        if (!resp_skip_begin(s, reader->off, SLICE_LITERAL("ERR syntax error"), argc - value_index - 1)) return false;
        s->swallow = len + 2;
        return true;
    }
    struct op *op = resp_op(s, command, before[0]);
    resp_store_op(s, op, command, (uint32_t)len);
    op->flags |= OP_FIRST | OP_LAST;
    enum op_result result = resp_store_options(s, op, command, before + 1, value_index - 2);
    if (result != OP_RESULT_STORE) {
        if (!session_barrier(s)) return false;
        resp_error_result(s, command, result);
        session_skip(s, reader->off);
        s->swallow = len + 2;
        return true;
    }
    return resp_value(s, reader, op, len, (int)argc - value_index - 1);
}

static bool resp_start_args(struct session *s, struct resp_reader *reader, enum resp_command command, struct slice name,
                            int64_t argc)
{
    struct slice args[ARGS_MAX];
    if (argc > ARGS_MAX) {
        return resp_skip_begin(s, reader->off, SLICE_LITERAL("ERR too many arguments"), argc - 1);
    }
    args[0] = name;
    for (int64_t i = 1; i < argc; i++) {
        enum resp_take take = resp_take_arg(reader, &args[i]);
        if (take != TAKE_OK) return resp_failed(reader, take);
    }
    if (!resp_run(s, command, args, (int)argc)) return false;
    session_skip(s, reader->off);
    return true;
}

static bool resp_start(struct session *s, struct resp_reader *reader, int64_t argc)
{
    struct slice name;
    enum resp_take take = resp_take_arg(reader, &name);
    if (take != TAKE_OK) return resp_failed(reader, take);
    enum resp_command command = resp_command_find(name);
    struct slice refusal = resp_refusal(s, command, argc);
    if (refusal.len) {
        return resp_skip_begin(s, reader->off, refusal, argc - 1);
    }
    const struct resp_command_row *row = &resp_command_rows[command];
    if (command == RESP_CMD_UNKNOWN || row->shape == RESP_SHAPE_ARGS)
        return resp_start_args(s, reader, command, name, argc);
    if (row->shape == RESP_SHAPE_VALUE) return resp_start_value(s, reader, command, argc);
    session_skip(s, reader->off);
    s->resp.active = true;
    s->resp.command = (uint8_t)command;
    s->resp.left = s->resp.total = argc - 1;
    return true;
}

/* ---- inline commands: all arguments are in one line ---- */

static bool resp_run_flat(struct session *s, enum resp_command command, const struct slice *args, int count)
{
    const struct resp_command_row *row = &resp_command_rows[command];
    if (command == RESP_CMD_UNKNOWN || row->shape == RESP_SHAPE_ARGS) return resp_run(s, command, args, count);
    if (row->shape == RESP_SHAPE_KEYS) {
        for (int i = 1; i < count; i++) resp_submit_key(s, command, args[i], count - i, count - 1);
        return true;
    }
    bool pairs = row->shape == RESP_SHAPE_PAIRS;
    int value = pairs ? 2 : resp_value_index(command);
    for (int key = 1; key < count; key += 2) {
        struct op *op = resp_op(s, command, args[key]);
        struct slice v = args[key + value - 1];
        resp_store_op(s, op, command, (uint32_t)v.len);
        op->value_len = (uint32_t)v.len;
        op->flat = v.data;
        if (!pairs || key + 2 == count) op->flags |= OP_LAST;
        enum op_result result = OP_RESULT_STORE;
        if (!pairs) result = resp_store_options(s, op, command, args + 2, value - 2);
        if (!pairs && result == OP_RESULT_STORE && count > value + 1)
            result = resp_store_options(s, op, command, args + value + 1, count - value - 1);
        if (result != OP_RESULT_STORE) {
            if (!session_barrier(s)) return false;
            resp_error_result(s, command, result);
            return true;
        }
        metric_add(&s->core->metrics.cmd_set, 1);
        batch_submit(s->core, s, op);
        if (!pairs) break;
    }
    return true;
}

static bool resp_inline(struct session *s)
{
    const uint8_t *line;
    uint32_t len, scanned = 0;
    struct slice args[RESP_INLINE_ARGS_MAX], refusal;
    enum session_line found = session_find_line(s, &scanned, SESSION_LINE_MAX, &line, &len);
    if (found == SESSION_LINE_NONE) {
        s->resp.need = session_available(s) + 1;
        if (session_available(s) <= RESP_INLINE_MAX) return false;
        found = SESSION_LINE_TOO_LONG;
    }
    if (found != SESSION_LINE_WHOLE)
        return resp_protocol_error(s, SLICE_LITERAL("ERR Protocol error: too big inline request"));
    uint8_t *copy = s->core->scratch.data + s->core->scratch.used; /* unescaped text is never longer than the line */
    size_t text_len = strnlen((const char *)line, len); /* redis takes a zero byte for the end */
    int count = resp_split_inline(line, text_len, copy, args, RESP_INLINE_ARGS_MAX);
    if (count == -2) return resp_protocol_error(s, SLICE_LITERAL("ERR Protocol error: too big inline request"));
    if (count < 0) return resp_protocol_error(s, SLICE_LITERAL(RESP_ERROR_QUOTES));
    if (count == 0) {
        session_skip(s, len);
        return true;
    }
    if (resp_word(args[0], "post") || resp_word(args[0], "host:")) { /* somebody else's protocol: a browser led astray */
        session_skip(s, session_available(s));
        s->closing = true;
        return true;
    }
    enum resp_command command = resp_command_find(args[0]);
    refusal = resp_refusal(s, command, count);
    s->core->scratch.used += len;
    s->core->scratch.keep = s->core->scratch.used;
    bool done = refusal.len ? session_barrier(s) : resp_run_flat(s, command, args, count);
    s->core->scratch.keep = 0;
    if (!done) return false;
    if (refusal.len) resp_error(s, refusal);
    session_skip(s, len);
    return true;
}

static bool resp_parse(struct session *s)
{
    struct resp_state *r = &s->resp;
    if (session_available(s) < r->need) return false;
    r->need = 0;
    if (r->tail_args) { /* the value was refused and dropped: so are its options */
        int64_t left = r->tail_args;
        r->tail_args = 0;
        return resp_skip_begin(s, 0, (struct slice){NULL, 0}, left);
    }
    if (r->active) return resp_continue(s);
    struct resp_reader reader = {.s = s};
    uint8_t copy[BULK_LINE_MAX];
    const uint8_t *p = copy;
    uint32_t used = 0, n = resp_peek(&reader, copy, &p);
    int64_t argc = 0;
    if (n && *p != '*') return resp_inline(s);
    enum resp_status status = resp_parse_header(p, n, &argc, &used, &reader.error);
    enum resp_take take =
        resp_take_status(&reader, status, n, SLICE_LITERAL("ERR Protocol error: too big mbulk count string"));
    if (take != TAKE_OK) return resp_failed(&reader, take);
    reader.off = used;
    if (argc > 0) return resp_start(s, &reader, argc);
    session_skip(s, used);
    return true;
}

/* The value is in its item; its line end and the options follow. */
static bool resp_filled(struct session *s)
{
    struct resp_state *r = &s->resp;
    struct resp_reader reader = {.s = s, .off = 2};
    struct slice tail[TAIL_ARGS_MAX];
    if (session_available(s) < 2 || session_available(s) < r->need) return false;
    r->need = 0;
    for (uint32_t i = 0; i < r->tail_args; i++) {
        enum resp_take take = resp_take_arg(&reader, &tail[i]);
        if (take == TAKE_MORE) return false;
        if (take == TAKE_OK) continue;
        session_break(s); /* nonsense behind a value: there is no getting back in step */
        return false;
    }
    struct op *op = s->filling;
    enum op_result result = OP_RESULT_STORE;
    if (r->tail_args) result = resp_store_options(s, op, op->command, tail, (int)r->tail_args);
    r->tail_args = 0;
    session_skip(s, reader.off);
    metric_add(&s->core->metrics.cmd_set, 1);
    if (result == OP_RESULT_STORE) {
        session_fill_commit(s);
        return true;
    }
    op->result = (uint8_t)result;
    session_fill_abort(s);
    return true;
}

const struct session_protocol session_resp = {.name = "resp", .parse = resp_parse, .filled = resp_filled};
