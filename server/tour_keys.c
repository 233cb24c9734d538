/* KEYS: every shard is scanned piece by piece, and answered piece by piece. RANDOMKEY: shards by lot, by their counts.
 */
#include <stdlib.h>
#include <string.h>
#include <rte_random.h>
#include "protocol/resp/reply.h"
#include "server/core.h"
#include "server/exec_resp.h"
#include "server/reply.h"
#include "server/scan.h"
#include "server/session.h"
#include "server/tour.h"
#include "store/scan.h"

#define KEYS_COUNT 512u          /* looked at in one operation */
#define ANSWER_BYTES (64u << 10) /* of the answer, composed in one turn */

/* ---- KEYS ---- */

/* What one operation found. */
struct piece {
    struct scan_keys *keys;
    struct piece *next;
};

struct keys_tour {
    struct tour tour;
    unsigned owner;
    uint64_t cursor;
    struct piece *first, *last;
    uint64_t count;
    bool gathered, headed, failed;
    uint32_t sent; /* bytes of the first piece's keys */
    struct slice pattern;
    uint8_t pattern_bytes[];
};

static void piece_free(struct keys_tour *t)
{
    struct piece *piece = t->first;
    t->first = piece->next;
    t->sent = 0;
    free(piece->keys);
    free(piece);
}

static void keys_free(struct tour *tour)
{
    struct keys_tour *t = (struct keys_tour *)tour;
    while (t->first) piece_free(t);
    free(t);
}

/* Takes the keys. */
static bool piece_add(struct keys_tour *t, struct scan_keys *keys)
{
    struct piece *piece = malloc(sizeof *piece);
    if (!piece) return false;
    *piece = (struct piece){.keys = keys};
    if (t->first)
        t->last->next = piece;
    else
        t->first = piece;
    t->last = piece;
    t->count += keys->count;
    return true;
}

static void keys_found(struct session *s, struct op *op)
{
    struct keys_tour *t = (struct keys_tour *)s->tour;
    struct scan_keys *keys = (struct scan_keys *)op->key_heap;
    if (op->status != STORE_OK)
        t->failed = true;
    else if (keys && keys->count && piece_add(t, keys))
        op->key_heap = NULL;
    else if (keys && keys->count)
        t->failed = true;
    t->cursor = op->number;
    if (t->cursor == 0) t->owner++;
    t->gathered = t->failed || t->owner == s->core->config->core_count;
    tour_answered(s);
}

static void keys_gather(struct session *s, struct keys_tour *t)
{
    struct op *op = tour_slot(s, t->owner, OP_SCAN, keys_found);
    op->command = RESP_CMD_keys;
    op->value_len = KEYS_COUNT;
    op->number = t->cursor;
    op->key.data = t->pattern.data;
    op->key.len = (uint32_t)t->pattern.len;
    tour_ask(s, op);
}

static void answer_key(struct session *s, struct keys_tour *t)
{
    const struct scan_keys *keys = t->first->keys;
    const uint8_t *key = keys->bytes + t->sent + sizeof(uint32_t);
    uint32_t len;
    memcpy(&len, keys->bytes + t->sent, sizeof len);
    uint8_t *dst = reply_room(s, 24);
    if (dst) reply_wrote(s, resp_bulk_header(dst, len));
    reply_bytes(s, key, len);
    REPLY_LITERAL(s, "\r\n");
    t->sent += (uint32_t)sizeof len + len;
    if (t->sent == keys->len) piece_free(t);
}

/* As much as the reader takes, and not too much at once. True: that was all. */
static bool keys_answer(struct session *s, struct keys_tour *t)
{
    uint64_t limit = s->core->config->output_limit;
    if (!t->headed) {
        uint8_t *dst = reply_room(s, 24);
        if (dst) reply_wrote(s, resp_array_header(dst, t->count));
        t->headed = true;
    }
    while (t->first && !s->broken && s->out.len < ANSWER_BYTES && s->out.len + s->stream->tx_queued < limit)
        answer_key(s, t);
    if (!t->first || s->broken) return true;
    if (s->stream->tx_queued && s->out.len + s->stream->tx_queued >= limit) {
        metric_add(&s->core->metrics.stalls_output, 1);
        s->stream->want_writable = true;
    } else {
        stream_raise(s->stream, STREAM_READABLE); /* in the next turn, after the others */
    }
    return false;
}

static bool keys_step(struct session *s, struct tour *tour)
{
    struct keys_tour *t = (struct keys_tour *)tour;
    if (!t->gathered) {
        keys_gather(s, t);
        return false;
    }
    if (!t->failed) return keys_answer(s, t);
    resp_error(s, SLICE_LITERAL("ERR out of memory"));
    return true;
}

bool tour_keys(struct session *s, struct slice pattern)
{
    struct keys_tour *t = calloc(1, sizeof *t + pattern.len);
    if (!t) return false;
    t->tour = (struct tour){.step = keys_step, .free = keys_free};
    memcpy(t->pattern_bytes, pattern.data, pattern.len);
    t->pattern = (struct slice){t->pattern_bytes, pattern.len};
    tour_begin(s, &t->tour);
    return true;
}

/* ---- RANDOMKEY ---- */

struct random_tour {
    struct tour tour;
    uint64_t tried; /* shards that had none */
    bool answered;
};

static void random_free(struct tour *tour)
{
    free(tour);
}

static void random_found(struct session *s, struct op *op)
{
    struct random_tour *t = (struct random_tour *)s->tour;
    const struct scan_keys *found = (const struct scan_keys *)op->key_heap;
    if (op->status == STORE_OK) {
        uint8_t *dst = reply_room(s, 24);
        if (dst) reply_wrote(s, resp_bulk_header(dst, found->len));
        reply_bytes(s, found->bytes, found->len);
        REPLY_LITERAL(s, "\r\n");
        t->answered = true;
    } else if (op->status == STORE_NO_MEMORY) {
        resp_error(s, SLICE_LITERAL("ERR out of memory"));
        t->answered = true;
    }
    t->tried |= UINT64_C(1) << op->owner;
    tour_answered(s);
}

/* A shard by lot, of those not tried yet, each as likely as it has keys. core_count: none has any. */
static unsigned shard_by_lot(const struct session *s, uint64_t tried)
{
    const struct core *cores = s->core->server->cores;
    unsigned count = s->core->config->core_count;
    uint64_t keys[64], sum = 0;
    for (unsigned i = 0; i < count; i++) sum += keys[i] = tried >> i & 1 ? 0 : store_count(cores[i].store);
    if (sum == 0) return count;
    uint64_t lot = rte_rand_max(sum);
    for (unsigned i = 0; i < count; lot -= keys[i++])
        if (lot < keys[i]) return i;
    return count;
}

static bool random_step(struct session *s, struct tour *tour)
{
    struct random_tour *t = (struct random_tour *)tour;
    if (t->answered) return true;
    unsigned owner = shard_by_lot(s, t->tried);
    if (owner == s->core->config->core_count) {
        resp_reply_null(s);
        return true;
    }
    struct op *op = tour_slot(s, owner, OP_DRAW, random_found);
    op->command = RESP_CMD_randomkey;
    op->number = rte_rand();
    tour_ask(s, op);
    return false;
}

bool tour_random_key(struct session *s)
{
    struct random_tour *t = calloc(1, sizeof *t);
    if (!t) return false;
    t->tour = (struct tour){.step = random_step, .free = random_free};
    tour_begin(s, &t->tour);
    return true;
}

void draw_execute(struct core *core, struct op *op)
{
    struct store_entry e;
    op->status = STORE_NOT_FOUND;
    if (!store_draw(core->store, op->number, core->now->unix_ms, &e)) return;
    struct scan_keys *found = malloc(sizeof *found + e.key_len);
    op->status = found ? STORE_OK : STORE_NO_MEMORY;
    if (!found) return;
    *found = (struct scan_keys){.count = 1, .len = e.key_len, .cap = e.key_len};
    const uint8_t *key = store_entry_key(core->store, &e, found->bytes);
    if (key != found->bytes) memcpy(found->bytes, key, e.key_len);
    op->key_heap = (uint8_t *)found;
}
