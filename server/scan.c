#include "server/scan.h"

#include <stdlib.h>
#include <string.h>
#include "base/decimal.h"
#include "protocol/resp/glob.h"
#include "protocol/resp/reply.h"
#include "server/core.h"
#include "server/exec_resp.h"
#include "server/reply.h"
#include "server/session.h"
#include "store/scan.h"

#define COUNT_DEFAULT 10u
#define COUNT_MOST 10000u  /* more is taken as this: a call's work stays bounded */
#define BUCKETS_MOST 1024u /* looked at in one call, whatever they hold */

struct gathering {
    const struct store *store;
    struct slice pattern;
    struct scan_keys *keys;
    uint32_t seen; /* matching or not */
    bool failed;
};

static uint8_t *keys_room(struct gathering *g, uint32_t n)
{
    uint32_t len = g->keys ? g->keys->len : 0, cap = g->keys ? g->keys->cap : 0;
    if (cap - len < n) {
        cap = (len + n) * 2 + 256;
        struct scan_keys *grown = realloc(g->keys, sizeof *grown + cap);
        if (!grown) return NULL;
        if (!g->keys) grown->count = 0;
        grown->len = len;
        grown->cap = cap;
        g->keys = grown;
    }
    return g->keys->bytes + len;
}

static void gather(void *arg, const struct store_entry *e)
{
    struct gathering *g = arg;
    g->seen++;
    uint8_t *room = keys_room(g, (uint32_t)sizeof e->key_len + e->key_len);
    if (!room) {
        g->failed = true;
        return;
    }
    uint8_t *key = room + sizeof e->key_len;
    const uint8_t *at = store_entry_key(g->store, e, key);
    if (!glob_match(g->pattern, (struct slice){at, e->key_len})) return;
    if (at != key) memcpy(key, at, e->key_len);
    memcpy(room, &e->key_len, sizeof e->key_len);
    g->keys->len += (uint32_t)sizeof e->key_len + e->key_len;
    g->keys->count++;
}

/* Bucket by bucket until as many keys as asked for have been looked at. */
void scan_execute(struct core *core, struct op *op)
{
    struct gathering g = {.store = core->store, .pattern = {op->key.data, op->key.len}};
    uint32_t cursor = (uint32_t)op->number;
    for (uint32_t i = 0; i < BUCKETS_MOST && g.seen < op->value_len && !g.failed; i++) {
        cursor = store_scan(core->store, cursor, 1, core->now->unix_ms, gather, &g);
        if (cursor == 0) break;
    }
    free(op->key_heap); /* a long pattern's copy has served */
    op->key_heap = (uint8_t *)g.keys;
    op->number = cursor;
    op->status = g.failed ? STORE_NO_MEMORY : STORE_OK;
}

static void reply_scan(struct session *s, struct op *op)
{
    const struct scan_keys *keys = (const struct scan_keys *)op->key_heap;
    uint64_t next = op->number;
    uint8_t text[DECIMAL_MAX], *dst;
    if (op->status != STORE_OK) {
        resp_error(s, SLICE_LITERAL("ERR out of memory"));
        return;
    }
    if (next)
        next |= (uint64_t)op->owner << SCAN_CORE_SHIFT;
    else if (op->owner + 1u < s->core->config->core_count)
        next = (op->owner + UINT64_C(1)) << SCAN_CORE_SHIFT;
    uint32_t digits = decimal_format_u64(text, next), count = keys && !op->condition ? keys->count : 0;
    reply_format(s, "*2\r\n$%u\r\n%.*s\r\n", digits, (int)digits, (const char *)text);
    if ((dst = reply_room(s, 24)) != NULL) reply_wrote(s, resp_array_header(dst, count));
    for (uint32_t i = 0, at = 0; i < count; i++) {
        uint32_t len;
        memcpy(&len, keys->bytes + at, sizeof len);
        if ((dst = reply_room(s, 24)) != NULL) reply_wrote(s, resp_bulk_header(dst, len));
        reply_bytes(s, keys->bytes + at + sizeof len, len);
        REPLY_LITERAL(s, "\r\n");
        at += (uint32_t)sizeof len + len;
    }
}

/* Options behind the cursor; NULL, or the error. */
static const char *scan_options(struct op *op, const struct slice *args, int count)
{
    int64_t n;
    for (int i = 2; i < count; i += 2) {
        if (i + 1 == count) return "ERR syntax error";
        if (resp_word(args[i], "match")) {
            op->key.data = args[i + 1].data;
            op->key.len = (uint32_t)args[i + 1].len;
        } else if (resp_word(args[i], "count")) {
            if (!decimal_parse_i64(args[i + 1], &n)) return "ERR value is not an integer or out of range";
            if (n < 1) return "ERR syntax error";
            op->value_len = n < COUNT_MOST ? (uint32_t)n : COUNT_MOST;
        } else if (resp_word(args[i], "type")) {
            op->condition = !resp_word(args[i + 1], "string"); /* there is no other type */
        } else {
            return "ERR syntax error";
        }
    }
    return NULL;
}

bool scan_run(struct session *s, const struct slice *args, int count)
{
    uint64_t cursor;
    struct op *op = batch_slot(s->core);
    op->kind = OP_SCAN;
    op->command = RESP_CMD_scan;
    op->flags = OP_FIRST | OP_LAST;
    op->value_len = COUNT_DEFAULT;
    op->key.data = (const uint8_t *)"*";
    op->key.len = 1;
    op->reply = reply_scan;
    const char *error = scan_options(op, args, count);
    if (!decimal_parse_u64(args[1], &cursor))
        error = "ERR invalid cursor";
    else if (cursor >> SCAN_CORE_SHIFT >= s->core->config->core_count)
        error = "ERR invalid cursor";
    if (!error) {
        op->owner = (uint8_t)(cursor >> SCAN_CORE_SHIFT);
        op->number = cursor & UINT32_MAX;
        batch_submit(s->core, s, op);
        return true;
    }
    if (!session_barrier(s)) return false;
    resp_error(s, (struct slice){(const uint8_t *)error, strlen(error)});
    return true;
}
