#include "store/snapshot_out.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "store/scan.h"
#include "store/shard.h"

#define STEP_BYTES 16384u
#define BUCKET_COST 256u               /* of looking at a bucket, in bytes */
#define RECORD_COST 64u                /* of writing a record, beside its bytes */
#define AT_ONCE_BYTES (2 * STEP_BYTES) /* a bucket with no more than this is written in one step, without pins */
#define WHOLE_BYTES AT_ONCE_BYTES      /* a longer record is written over several steps, in blocks of its own */
#define PENDING_FIRST 64u

/* An item of the bucket at hand. */
struct pending {
    struct store_entry entry;
    struct store_pin *pin; /* NULL: all that is pending is written in this step */
};

struct snapshot_out {
    struct snapshot_out_config c;
    enum snapshot_out_state state;
    struct snapshot_block *block, *spare; /* the one being filled, and one to go on with */
    uint32_t budget;                      /* bytes left of this step */
    uint32_t cursor;
    bool scanned; /* all buckets */
    bool long_open;
    uint32_t long_part; /* MORE blocks so far */
    uint32_t taken;     /* bytes written of value.data of the record that is open */
    struct pending *pending;
    uint32_t pending_count, pending_next, pending_room;
    uint64_t pending_bytes;
    struct snapshot_totals totals;
    uint64_t blocks; /* put */
    uint8_t key[SNAPSHOT_KEY_MAX];
};

int snapshot_out_create(struct snapshot_out **out, const struct snapshot_out_config *config)
{
    struct snapshot_out *o = calloc(1, sizeof(*o));
    if (!o) return -ENOMEM;
    o->c = *config;
    o->pending_room = PENDING_FIRST;
    o->pending = calloc(PENDING_FIRST, sizeof(*o->pending));
    if (!o->pending) {
        free(o);
        return -ENOMEM;
    }
    *out = o;
    return 0;
}

void snapshot_out_destroy(struct snapshot_out **out)
{
    if (!*out) return;
    free((*out)->pending);
    free(*out);
    *out = NULL;
}

enum snapshot_out_state snapshot_out_state(const struct snapshot_out *o)
{
    return o->state;
}

uint64_t snapshot_out_blocks(const struct snapshot_out *o)
{
    return o->blocks;
}

/* ---- blocks ---- */

static struct snapshot_block *block_take(struct snapshot_out *o)
{
    struct snapshot_block *b = spsc_ring_pop(o->c.empty);
    if (b) b->head.length = 0;
    return b;
}

static bool blocks_ready(struct snapshot_out *o)
{
    if (!o->block) o->block = block_take(o);
    if (o->block && !o->spare) o->spare = block_take(o);
    return o->spare;
}

static uint8_t *block_end(const struct snapshot_out *o)
{
    return o->block->bytes + SNAPSHOT_HEAD_BYTES + o->block->head.length;
}

static uint32_t block_room(const struct snapshot_out *o)
{
    return SNAPSHOT_PAYLOAD_MAX - o->block->head.length;
}

static void block_put(struct snapshot_out *o)
{
    struct snapshot_head *h = &o->block->head;
    h->shard = o->c.shard;
    h->slot_first = o->c.slot_first;
    h->slot_last = o->c.slot_last;
    bool put = spsc_ring_push(o->c.full, o->block);
    assert(put);
    (void)put;
    o->blocks++;
    o->block = o->spare;
    o->spare = NULL;
}

/* Of a block that has nothing in it. */
static void block_begin(struct snapshot_out *o, enum snapshot_kind kind, uint32_t records)
{
    o->block->head = (struct snapshot_head){.kind = (uint8_t)kind, .records = records};
}

/* An empty block at hand; false: there is none. */
static bool block_free(struct snapshot_out *o)
{
    if (o->block && o->block->head.length > 0) block_put(o);
    blocks_ready(o);
    return o->block;
}

/* ---- records ---- */

static void put_bytes(struct snapshot_out *o, const uint8_t *p, uint32_t n)
{
    memcpy(block_end(o), p, n);
    o->block->head.length += n;
}

static void spend(struct snapshot_out *o, uint32_t bytes)
{
    o->budget = o->budget > bytes ? o->budget - bytes : 0;
}

static uint32_t entry_record(const struct store_entry *e, uint8_t *dst)
{
    struct snapshot_record r = {
        .meta = e->value.meta, .cas = e->value.cas, .key_len = e->key_len, .value_len = e->value.len};
    return snapshot_record_encode(dst, &r);
}

/* Bytes of the open value into the block, as many as fit, at most `most`. True: the value is at its end. */
static bool put_value(struct snapshot_out *o, struct store_value *v, uint32_t most)
{
    do {
        uint32_t n = v->data_len - o->taken;
        if (n > block_room(o)) n = block_room(o);
        if (n > most) n = most;
        put_bytes(o, v->data + o->taken, n);
        o->taken += n;
        most -= n;
        if (o->taken < v->data_len) return false;
        if (!v->next) return true;
        o->taken = 0;
    } while (store_next_fragment(o->c.store, v));
    return true;
}

static void pending_done(struct snapshot_out *o)
{
    struct pending *p = &o->pending[o->pending_next++];
    o->totals.items++;
    o->totals.bytes += (uint64_t)p->entry.key_len + p->entry.value.len;
    o->taken = 0;
    if (p->pin) store_unpin(o->c.store, p->pin);
    p->pin = NULL;
}

/* The record's head and key at the beginning of a FIRST block, which has room for them; its value as the budget allows.
 */
static bool long_begin(struct snapshot_out *o, const struct store_entry *e)
{
    if (!block_free(o)) return false;
    block_begin(o, SNAPSHOT_FIRST, 1);
    o->block->head.length = entry_record(e, block_end(o));
    put_bytes(o, store_entry_key(o->c.store, e, o->key), e->key_len);
    o->long_open = true;
    o->long_part = 0;
    return true;
}

/* False: no block. */
static bool long_go_on(struct snapshot_out *o, struct store_entry *e)
{
    if (block_room(o) == 0 && !block_free(o)) return false;
    if (o->block->head.length == 0) block_begin(o, SNAPSHOT_MORE, ++o->long_part);
    uint32_t before = o->block->head.length;
    bool end = put_value(o, &e->value, o->budget);
    spend(o, o->block->head.length - before);
    if (!end) return true;
    o->long_open = false;
    pending_done(o);
    return block_free(o);
}

/* A record in one step. False: no block. */
static bool whole_write(struct snapshot_out *o, struct store_entry *e, uint32_t bytes)
{
    if (bytes > block_room(o) && !block_free(o)) return false;
    if (o->block->head.length == 0) block_begin(o, SNAPSHOT_WHOLE, 0);
    o->block->head.length += entry_record(e, block_end(o));
    put_bytes(o, store_entry_key(o->c.store, e, o->key), e->key_len);
    put_value(o, &e->value, UINT32_MAX);
    o->block->head.records++;
    spend(o, bytes + RECORD_COST);
    pending_done(o);
    return true;
}

/* The next of what is pending, or the next piece of it. False: no block. */
static bool pending_write(struct snapshot_out *o)
{
    struct store_entry *e = &o->pending[o->pending_next].entry;
    if (o->long_open) return long_go_on(o, e);
    uint8_t head[SNAPSHOT_RECORD_MAX];
    uint64_t bytes = (uint64_t)entry_record(e, head) + e->key_len + e->value.len;
    if (bytes <= WHOLE_BYTES) return whole_write(o, e, (uint32_t)bytes);
    return long_begin(o, e);
}

/* ---- buckets ---- */

static void collect(void *arg, const struct store_entry *entry)
{
    struct snapshot_out *o = arg;
    if (o->pending_count < o->pending_room) o->pending[o->pending_count] = (struct pending){.entry = *entry};
    o->pending_count++;
    o->pending_bytes += SNAPSHOT_RECORD_MAX + (uint64_t)entry->key_len + entry->value.len;
}

/* A bucket of more items than there are places: only keys chosen to collide make one. */
static bool pending_grow(struct snapshot_out *o)
{
    struct pending *p = realloc(o->pending, o->pending_count * sizeof(*p));
    if (!p) return false;
    o->pending = p;
    o->pending_room = o->pending_count;
    return true;
}

static void pending_unpin(struct snapshot_out *o)
{
    for (uint32_t i = 0; i < o->pending_count; i++) {
        if (o->pending[i].pin) store_unpin(o->c.store, o->pending[i].pin);
        o->pending[i].pin = NULL;
    }
}

/* What is to be written over several steps must not change meanwhile. */
static bool pending_pin(struct snapshot_out *o)
{
    for (uint32_t i = 0; i < o->pending_count; i++) {
        o->pending[i].pin = store_pin(o->c.store, o->pending[i].entry.value.item);
        if (o->pending[i].pin) continue;
        pending_unpin(o);
        return false;
    }
    return true;
}

/* False: it cannot be had now, and will be looked at again. */
static bool bucket_take(struct snapshot_out *o, uint64_t now_ms)
{
    uint32_t cursor;
    for (;;) {
        o->pending_count = o->pending_next = 0;
        o->pending_bytes = 0;
        cursor = store_scan(o->c.store, o->cursor, 1, now_ms, collect, o);
        if (o->pending_count <= o->pending_room) break;
        if (pending_grow(o)) continue;
        o->pending_count = 0;
        o->state = SNAPSHOT_OUT_NO_MEMORY;
        return false;
    }
    if (o->pending_bytes > AT_ONCE_BYTES && !pending_pin(o)) {
        o->pending_count = 0;
        return false;
    }
    o->cursor = cursor;
    o->scanned = cursor == 0;
    spend(o, BUCKET_COST);
    return true;
}

static bool shard_end(struct snapshot_out *o)
{
    uint8_t totals[SNAPSHOT_END_BYTES];
    if (!block_free(o)) return false;
    block_begin(o, SNAPSHOT_SHARD, 0);
    o->totals.cas = o->c.store->cas;
    snapshot_totals_encode(totals, &o->totals);
    put_bytes(o, totals, SNAPSHOT_SHARD_BYTES);
    block_put(o);
    o->state = SNAPSHOT_OUT_DONE;
    return true;
}

unsigned snapshot_out_step(struct snapshot_out *o, uint64_t now_ms)
{
    if (o->state != SNAPSHOT_OUT_RUNNING || !blocks_ready(o)) return 0;
    unsigned work = 0;
    o->budget = STEP_BYTES;
    for (;; work++) {
        bool pinned = o->pending_next < o->pending_count && o->pending[o->pending_next].pin;
        if (o->pending_next < o->pending_count) {
            if (pinned && o->budget == 0) break;
            if (!pending_write(o)) break;
        } else if (o->budget == 0) {
            break;
        } else if (o->scanned) {
            if (!shard_end(o)) break;
            return work + 1;
        } else if (!blocks_ready(o) || !bucket_take(o, now_ms)) {
            break;
        }
    }
    assert(o->pending_next == o->pending_count || o->pending[o->pending_next].pin);
    return work;
}

void snapshot_out_cancel(struct snapshot_out *o)
{
    pending_unpin(o);
    o->pending_count = o->pending_next = 0;
    if (o->state == SNAPSHOT_OUT_RUNNING) o->state = SNAPSHOT_OUT_DONE;
}
