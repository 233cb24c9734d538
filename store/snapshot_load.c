#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "store/shard.h"
#include "store/snapshot_read.h"

/*
 * CAS numbers that were given after the snapshot are not in it, and clients may still hold them: numbering goes on so
 * far above.
 */
#define CAS_GAP (UINT64_C(1) << 32)

#define ROOM_TRIES 100000u /* steps of eviction for one item */

/* Of a loader. */
struct loading {
    const struct snapshot_in *in;
    struct snapshot_load *load;
    const struct snapshot_place *block;
    uint64_t number;                /* of the block */
    unsigned slot_least, slot_most; /* of ours */
    /* a record that goes on in the next blocks */
    bool open;
    bool keep; /* it is ours: */
    struct store_write write;
    struct snapshot_record record;
    uint32_t value_left;
    uint8_t key[SNAPSHOT_KEY_MAX];
    uint8_t payload[SNAPSHOT_PAYLOAD_MAX];
};

static int fault(struct loading *l, const char *what)
{
    return snapshot_fault_set(&l->load->fault, -EBADMSG, what, l->number, l->block->offset);
}

static void own_slots(const struct snapshot_load *load, unsigned *least, unsigned *most)
{
    *least = SLOT_COUNT;
    *most = 0;
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
        if (load->store && load->slots->owner[slot] != load->core) continue;
        if (slot < *least) *least = slot;
        *most = slot;
    }
}

static bool block_concerns(const struct snapshot_head *h, unsigned least, unsigned most)
{
    return h->kind <= SNAPSHOT_MORE && h->slot_first <= most && h->slot_last >= least;
}

static struct store_key key_of(const uint8_t *data, uint32_t len)
{
    return (struct store_key){.data = data, .len = len, .hash = store_hash(data, len)};
}

/* -EBADMSG: a key that its block's head does not allow. Else whether it is to be kept. */
static int record_wanted(struct loading *l, const struct snapshot_record *r, const uint8_t *key)
{
    struct snapshot_load *load = l->load;
    unsigned slot = slot_of_key(key, r->key_len);
    if (slot < l->block->head.slot_first || slot > l->block->head.slot_last)
        return fault(l, "a key that is not of the block's slots");
    if (load->store && load->slots->owner[slot] != load->core) return 0;
    if (r->meta.expires_ms && r->meta.expires_ms <= load->now_ms) {
        load->expired++;
        return 0;
    }
    if (load->store) return 1;
    load->items++;
    return 0;
}

static void count_status(struct snapshot_load *load, enum store_status status)
{
    if (status == STORE_OK)
        load->items++;
    else if (status == STORE_TOO_LARGE)
        load->too_large++;
    else
        load->no_memory++;
}

/* The CAS as it was: the item that has room for one gets it as it becomes visible, another when it is asked for it. */
static void cas_before(struct store *s, const struct snapshot_record *r)
{
    if (r->cas) s->cas = r->cas - 1;
}
static void cas_after(struct snapshot_load *load, const struct snapshot_record *r, const struct store_key *key,
                      enum store_status status)
{
    struct store_value v;
    if (!r->cas || status != STORE_OK) return;
    load->store->cas = r->cas - 1;
    store_gets(load->store, key, load->now_ms, &v);
}

/* Eviction makes room by and by: nobody else is there to wait for. False: it does not. */
static bool room_comes(struct snapshot_load *load, enum store_status status, unsigned *tries)
{
    return status == STORE_NO_MEMORY && (*tries)++ < ROOM_TRIES && store_step(load->store, load->now_ms) > 0;
}

static void keep_whole(struct snapshot_load *load, const struct snapshot_record *r, const uint8_t *bytes)
{
    struct store_key key = key_of(bytes, r->key_len);
    cas_before(load->store, r);
    enum store_status status;
    unsigned tries = 0;
    do {
        status = store_set(load->store, &key, bytes + r->key_len, r->value_len, &r->meta, STORE_SET, 0, load->now_ms);
    } while (room_comes(load, status, &tries));
    cas_after(load, r, &key, status);
    count_status(load, status);
}

static int take_whole(struct loading *l)
{
    const uint8_t *p = l->payload, *end = p + l->block->head.length;
    uint32_t count = 0;
    for (; p < end; count++) {
        struct snapshot_record r;
        uint32_t n = snapshot_record_decode(p, (size_t)(end - p), &r);
        if (!n || (uint64_t)r.key_len + r.value_len > (uint64_t)(end - p) - n)
            return fault(l, "a record that cannot be");
        p += n;
        int wanted = record_wanted(l, &r, p);
        if (wanted < 0) return wanted;
        if (wanted) keep_whole(l->load, &r, p);
        p += r.key_len + r.value_len;
    }
    return count == l->block->head.records ? 0 : fault(l, "not as many records as its head says");
}

static void long_end(struct loading *l)
{
    struct snapshot_load *load = l->load;
    l->open = false;
    if (!l->keep) return;
    l->keep = false;
    struct store_key key = key_of(l->key, l->record.key_len);
    cas_before(load->store, &l->record);
    enum store_status status = store_commit(load->store, &l->write, &key, STORE_SET, 0, &l->record.meta, load->now_ms);
    cas_after(load, &l->record, &key, status);
    count_status(load, status);
}

static int long_bytes(struct loading *l, const uint8_t *p, uint32_t n)
{
    if (n > l->value_left) return fault(l, "more bytes than its record has");
    if (l->keep) store_write_fill(&l->write, p, n);
    l->value_left -= n;
    if (l->value_left == 0) long_end(l);
    return 0;
}

static int take_first(struct loading *l)
{
    struct snapshot_record *r = &l->record;
    uint32_t length = l->block->head.length;
    uint32_t n = snapshot_record_decode(l->payload, length, r);
    if (!n || r->key_len > length - n) return fault(l, "a record that cannot be");
    const uint8_t *p = l->payload + n;
    int wanted = record_wanted(l, r, p);
    if (wanted < 0) return wanted;
    l->open = true;
    l->value_left = r->value_len;
    memcpy(l->key, p, r->key_len);
    if (wanted) {
        struct store_key key = key_of(l->key, r->key_len);
        enum store_status status;
        unsigned tries = 0;
        do {
            status = store_reserve(l->load->store, &key, r->value_len, &r->meta, false, &l->write);
        } while (room_comes(l->load, status, &tries));
        l->keep = status == STORE_OK;
        if (!l->keep) count_status(l->load, status);
    }
    return long_bytes(l, p + r->key_len, length - n - r->key_len);
}

static int block_read(struct loading *l)
{
    const struct snapshot_head *h = &l->block->head;
    int rc = snapshot_read_at(l->in->fd, l->payload, h->length, l->block->offset + SNAPSHOT_HEAD_BYTES);
    if (rc != 0) return snapshot_fault_set(&l->load->fault, rc, "it cannot be read", l->number, l->block->offset);
    if (snapshot_sum(l->payload, h->length, l->in->header.id) != h->payload_sum)
        return fault(l, "its payload's checksum is wrong");
    if (l->load->progress) __atomic_fetch_add(l->load->progress, h->length, __ATOMIC_RELAXED);
    return 0;
}

static int block_take(struct loading *l)
{
    uint8_t kind = l->block->head.kind;
    if (l->open != (kind == SNAPSHOT_MORE)) return fault(l, "a record before it is not at its end");
    int rc = block_read(l);
    if (rc != 0) return rc;
    if (kind == SNAPSHOT_WHOLE) return take_whole(l);
    return kind == SNAPSHOT_FIRST ? take_first(l) : long_bytes(l, l->payload, l->block->head.length);
}

/* The blocks of one of the file's shards, in their order. */
static int shard_take(struct loading *l, uint32_t shard)
{
    int rc = 0;
    for (uint64_t i = 0; i < l->in->block_count && rc == 0; i++) {
        l->block = &l->in->blocks[i];
        l->number = i;
        if (l->block->head.shard != shard || l->block->head.kind == SNAPSHOT_END) continue;
        if (l->block->head.kind == SNAPSHOT_SHARD) {
            if (l->open) rc = fault(l, "a record before it is not at its end");
            break;
        }
        if (block_concerns(&l->block->head, l->slot_least, l->slot_most)) rc = block_take(l);
    }
    if (l->keep) store_abort(l->load->store, &l->write);
    l->keep = l->open = false;
    return rc;
}

uint64_t snapshot_load_bytes(const struct snapshot_in *in, const struct snapshot_load *load)
{
    unsigned least, most;
    uint64_t bytes = 0;
    own_slots(load, &least, &most);
    for (uint64_t i = 0; i < in->block_count; i++)
        if (block_concerns(&in->blocks[i].head, least, most)) bytes += in->blocks[i].head.length;
    return bytes;
}

int snapshot_load_run(const struct snapshot_in *in, struct snapshot_load *load)
{
    struct loading *l = calloc(1, sizeof(*l));
    if (!l) return -ENOMEM;
    l->in = in;
    l->load = load;
    own_slots(load, &l->slot_least, &l->slot_most);
    int rc = 0;
    for (uint32_t shard = 0; shard < in->header.shards && rc == 0; shard++) rc = shard_take(l, shard);
    if (load->store) load->store->cas = in->totals.cas + CAS_GAP;
    free(l);
    return rc;
}
