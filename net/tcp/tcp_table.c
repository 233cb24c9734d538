#include "net/tcp/tcp_table.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include "net/region.h"

#define FIRST_BUCKETS 64u
#define LOAD 4u /* entries a bucket, on average, before the table grows */

int tcp_table_init(struct tcp_table *t, uint32_t entries_max, tcp_table_key_fn *key_of, const void *key_arg)
{
    memset(t, 0, sizeof *t);
    t->low_mask = FIRST_BUCKETS - 1;
    t->count = FIRST_BUCKETS;
    t->count_max = FIRST_BUCKETS + entries_max / LOAD;
    t->key_of = key_of;
    t->key_arg = key_arg;
    /* A chain of n spill buckets takes more than 8 n entries. */
    t->bytes = ((size_t)t->count_max + entries_max / TCP_TABLE_SLOTS + 1) * sizeof(struct tcp_bucket);
    t->buckets = net_region_map(t->bytes);
    if (!t->buckets) return -ENOMEM;
    t->spill = t->buckets + t->count_max;
    return 0;
}

void tcp_table_fini(struct tcp_table *t)
{
    net_region_unmap(t->buckets, t->bytes);
    memset(t, 0, sizeof *t);
}

static struct tcp_bucket *spill_get(struct tcp_table *t, uint32_t *index)
{
    struct tcp_bucket *b;
    if (t->spill_free) {
        *index = t->spill_free;
        b = &t->spill[*index - 1];
        t->spill_free = b->overflow;
    } else {
        *index = ++t->spill_used;
        b = &t->spill[*index - 1];
    }
    memset(b, 0, sizeof *b);
    return b;
}

static void spill_put(struct tcp_table *t, uint32_t index)
{
    t->spill[index - 1].overflow = t->spill_free;
    t->spill_free = index;
}

static void bucket_add(struct tcp_table *t, struct tcp_bucket *b, uint16_t tag, uint32_t ref)
{
    for (;;) {
        for (unsigned i = 0; i < TCP_TABLE_SLOTS; i++) {
            if (b->tags[i]) continue;
            b->tags[i] = tag;
            b->refs[i] = ref;
            return;
        }
        if (!b->overflow) {
            uint32_t index;
            spill_get(t, &index);
            b->overflow = index;
        }
        b = &t->spill[b->overflow - 1];
    }
}

/* Splits the next bucket in turn: its entries go where one more bit of the key says. */
static void split(struct tcp_table *t)
{
    struct tcp_bucket *from = &t->buckets[t->count - t->low_mask - 1];
    struct tcp_bucket old = *from;
    memset(from, 0, sizeof *from);
    t->count++;
    for (;;) {
        for (unsigned i = 0; i < TCP_TABLE_SLOTS && old.tags[i]; i++) {
            uint64_t key = t->key_of(t->key_arg, old.refs[i]);
            bucket_add(t, tcp_table_bucket(t, key), old.tags[i], old.refs[i]);
        }
        uint32_t spill = old.overflow;
        if (!spill) break;
        old = t->spill[spill - 1];
        spill_put(t, spill);
    }
    if (t->count == 2 * (t->low_mask + 1)) t->low_mask = 2 * t->low_mask + 1;
}

static uint32_t *slot_of(const struct tcp_table *t, uint64_t key, struct tcp_bucket **bucket)
{
    struct tcp_bucket *b = tcp_table_bucket(t, key);
    for (;;) {
        for (uint32_t bits = tcp_bucket_match(b, key); bits; bits &= bits - 1) {
            uint32_t *ref = &b->refs[__builtin_ctz(bits)];
            if (t->key_of(t->key_arg, *ref) != key) continue;
            *bucket = b;
            return ref;
        }
        if (!b->overflow) return NULL;
        b = &t->spill[b->overflow - 1];
    }
}

uint32_t tcp_table_find(const struct tcp_table *t, uint64_t key)
{
    struct tcp_bucket *b = tcp_table_bucket(t, key);
    if (!b->overflow && !tcp_bucket_match(b, key)) return TCP_TABLE_NONE; /* a stranger, nearly always */
    const uint32_t *ref = slot_of(t, key, &b);
    return ref ? *ref : TCP_TABLE_NONE;
}

void tcp_table_insert(struct tcp_table *t, uint64_t key, uint32_t ref)
{
    bucket_add(t, tcp_table_bucket(t, key), tcp_table_tag(key), ref);
    t->entries++;
    if (t->entries > t->count * LOAD && t->count < t->count_max) split(t);
}

void tcp_table_replace(struct tcp_table *t, uint64_t key, uint32_t ref)
{
    struct tcp_bucket *b;
    uint32_t *slot = slot_of(t, key, &b);
    assert(slot);
    *slot = ref;
}

/* The last entry of the chain fills the hole, so that buckets stay filled from the front and spills are never empty. */
void tcp_table_remove(struct tcp_table *t, uint64_t key)
{
    struct tcp_bucket *b;
    uint32_t *slot = slot_of(t, key, &b);
    assert(slot);
    unsigned at = (unsigned)(slot - b->refs);
    struct tcp_bucket *last = tcp_table_bucket(t, key), *before = NULL;
    while (last->overflow) {
        before = last;
        last = &t->spill[last->overflow - 1];
    }
    unsigned end = TCP_TABLE_SLOTS - 1;
    while (!last->tags[end]) end--;
    b->tags[at] = last->tags[end];
    b->refs[at] = last->refs[end];
    last->tags[end] = 0;
    t->entries--;
    if (end > 0 || !before) return;
    spill_put(t, before->overflow);
    before->overflow = 0;
}
