#include "store/index.h"

#include <errno.h>
#include "store/age.h"
#include "store/ghost.h"
#include "store/slab.h"
#include "store/window.h"
#include "store/work.h"

/* Items a main bucket, in tenths: above the first one is split, below the second one is merged. */
#define SPLIT_TENTHS 96u
#define MERGE_TENTHS 40u
#define AHEAD_TENTHS 40u /* before a split: see split_ahead */

static void index_begin(struct store *s)
{
    s->index =
        (struct index){.buckets = BUCKETS_A_PAGE, .mask = BUCKETS_A_PAGE - 1, .mask_wide = 2 * BUCKETS_A_PAGE - 1};
    memset(bucket_at(s, 0), 0, PAGE_BYTES);
}

int index_init(struct store *s)
{
    s->directory[0] = page_acquire(s, CLASS_INDEX, 0);
    if (!s->directory[0]) return -ENOMEM;
    index_begin(s);
    return 0;
}

void index_reset(struct store *s)
{
    s->page[s->directory[0]].generation = s->generation;
    index_begin(s);
    window_resize(s, true);
}

static struct bucket *bucket_last(const struct store *s, struct bucket *b)
{
    while (b->link) b = bucket_linked(s, b);
    return b;
}

/* A new empty bucket behind last. NULL: no memory. */
static struct bucket *overflow_add(struct store *s, struct bucket *last)
{
    uint32_t offset = slab_alloc(s, s->class_overflow, 0);
    if (!offset) return NULL;
    last->link = offset;
    return memset(region_at(s, offset), 0, sizeof(struct bucket));
}

/* Whether n overflow buckets could be had. */
static bool overflow_room(const struct store *s, uint64_t n)
{
    return s->cls[s->class_overflow].free_slots + (uint64_t)s->pool_count * BUCKETS_A_PAGE >= n;
}

static void overflow_free(struct store *s, struct bucket *last)
{
    uint32_t link = last->link;
    last->link = 0;
    while (link) {
        uint32_t next = ((struct bucket *)region_at(s, link))->link;
        slab_free(s, link);
        link = next;
    }
}

/* Appends to the chain whose last bucket is given; returns the last bucket. NULL: no memory. */
static struct bucket *chain_append(struct store *s, struct bucket *last, uint8_t tag, uint32_t item)
{
    unsigned i = bucket_count(last);
    if (i == BUCKET_SLOTS) {
        last = overflow_add(s, last);
        if (!last) return NULL;
        i = 0;
    }
    last->tag[i] = tag;
    last->item[i] = item;
    return last;
}

bool index_insert(struct store *s, uint64_t hash, uint32_t item)
{
    struct bucket *last = bucket_last(s, bucket_at(s, bucket_number(s, hash)));
    if (!chain_append(s, last, bucket_tag(hash), item)) return false;
    s->index.items++;
    return true;
}

/* The place in its chain of a slot. */
static unsigned place_of(const struct store *s, uint32_t number, const struct bucket *b, unsigned slot)
{
    for (const struct bucket *c = bucket_at(s, number); c != b; c = bucket_linked(s, c)) slot += BUCKET_SLOTS;
    return slot;
}

static void ages_move(struct store *s, uint64_t hash, const struct bucket *from, unsigned from_slot,
                      const struct bucket *to, unsigned to_slot)
{
    uint32_t number = bucket_number(s, hash);
    age_move(s, number, place_of(s, number, from, from_slot), place_of(s, number, to, to_slot));
}

void index_remove(struct store *s, uint64_t hash, uint32_t item)
{
    unsigned slot;
    struct bucket *b = index_locate(s, hash, item, &slot);
    struct bucket *before = NULL, *last = bucket_at(s, bucket_number(s, hash));
    while (last->link) {
        before = last;
        last = bucket_linked(s, last);
    }
    unsigned end = bucket_count(last) - 1;
    b->tag[slot] = last->tag[end];
    b->item[slot] = last->item[end];
    last->tag[end] = 0;
    if (s->eviction.policy == STORE_EVICT_FIFO) ages_move(s, hash, last, end, b, slot);
    if (end == 0 && before) overflow_free(s, before);
    s->index.items--;
}

/* The bucket whose link is the given overflow bucket. */
static struct bucket *overflow_before(const struct store *s, uint32_t offset)
{
    const struct bucket *b = (const struct bucket *)region_at(s, offset);
    struct bucket *before = bucket_at(s, bucket_number(s, item_hash(s, b->item[0])));
    while (before->link != offset) before = bucket_linked(s, before);
    return before;
}

void index_move_overflow(struct store *s, uint32_t from, uint32_t to)
{
    struct bucket *before = overflow_before(s, from);
    memcpy(region_at(s, to), region_at(s, from), sizeof(struct bucket));
    before->link = to;
}

/* Asks for the headers of a chain's items, which hold what its hashes are made of. Returns its overflow buckets. */
static uint64_t chain_prefetch(const struct store *s, const struct bucket *b)
{
    uint64_t overflow = 0;
    for (;; overflow++) {
        for (unsigned i = 0; i < BUCKET_SLOTS && b->tag[i]; i++) __builtin_prefetch(region_at(s, b->item[i]));
        if (!b->link) return overflow;
        b = bucket_linked(s, b);
    }
}

struct split {
    unsigned items;
    uint64_t went; /* a bit for each, in order, that is in the other chain now; those behind the 64th count as kept */
};

/* Splits `from` into itself and `to` by one bit of the hash. Enough room for overflow buckets has been seen to. */
static struct split chain_split(struct store *s, struct bucket *from, struct bucket *to, uint64_t bit)
{
    struct bucket *keep = from;
    struct split split = {0};
    uint64_t one = 1;
    unsigned kept = 0;
    for (struct bucket *b = from; b; b = bucket_linked(s, b)) {
        for (unsigned i = 0; i < BUCKET_SLOTS && b->tag[i]; i++, split.items++, one <<= 1) {
            uint8_t tag = b->tag[i];
            uint32_t item = b->item[i];
            if (item_hash(s, item) & bit) {
                split.went |= one;
                to = chain_append(s, to, tag, item);
                continue;
            }
            if (kept == BUCKET_SLOTS) {
                keep = bucket_linked(s, keep);
                kept = 0;
            }
            keep->tag[kept] = tag;
            keep->item[kept++] = item;
        }
    }
    memset(keep->tag + kept, 0, BUCKET_SLOTS - kept);
    overflow_free(s, keep);
    return split;
}

static unsigned index_split(struct store *s)
{
    struct index *x = &s->index;
    uint32_t added = x->buckets, level = x->mask + 1;
    struct bucket *from = bucket_at(s, added - level);
    bool page_needed = added % BUCKETS_A_PAGE == 0;
    if (!overflow_room(s, chain_prefetch(s, from) + (page_needed ? BUCKETS_A_PAGE : 0))) return 0;
    if (page_needed) {
        uint32_t page = page_acquire(s, CLASS_INDEX, 0);
        if (!page) return 0;
        s->directory[added / BUCKETS_A_PAGE] = page;
    }
    struct bucket *to = memset(bucket_at(s, added), 0, sizeof(struct bucket));
    struct split split = chain_split(s, from, to, level);
    if (s->eviction.policy == STORE_EVICT_FIFO)
        age_split(s, added - level, added, split.items, split.went);
    else
        ghost_split(s, added - level, added);
    x->buckets++;
    if (x->buckets == level * 2) {
        x->mask = x->mask_wide;
        x->mask_wide = x->mask * 2 + 1;
    }
    window_resize(s, false);
    metric_add(&s->metrics.splits, 1);
    return 1;
}

static uint64_t chain_overflow(const struct store *s, const struct bucket *b)
{
    uint64_t overflow = 0;
    for (; b->link; b = bucket_linked(s, b)) overflow++;
    return overflow;
}

/* Of the two buckets that the next merge makes one. */
static void merge_prefetch(const struct store *s)
{
    const struct index *x = &s->index;
    uint32_t removed = x->buckets - 1;
    uint32_t mask = x->buckets == x->mask + 1 ? x->mask >> 1 : x->mask;
    __builtin_prefetch(bucket_at(s, removed), 1);
    __builtin_prefetch(bucket_at(s, removed & mask), 1);
}

static unsigned index_merge(struct store *s)
{
    struct index *x = &s->index;
    uint32_t removed = x->buckets - 1;
    struct bucket *from = bucket_at(s, removed);
    if (!overflow_room(s, chain_overflow(s, from) + 1)) return 0;
    x->buckets--;
    if (x->buckets == x->mask) { /* 2^L - 1: the level before */
        x->mask_wide = x->mask;
        x->mask >>= 1;
    }
    if (s->eviction.policy == STORE_EVICT_FIFO) age_merge(s, removed, removed & x->mask);
    struct bucket *to = bucket_last(s, bucket_at(s, removed & x->mask));
    for (struct bucket *b = from; b; b = bucket_linked(s, b))
        for (unsigned i = 0; i < BUCKET_SLOTS && b->tag[i]; i++) to = chain_append(s, to, b->tag[i], b->item[i]);
    overflow_free(s, from);
    window_resize(s, removed % BUCKETS_A_PAGE == 0);
    if (removed % BUCKETS_A_PAGE == 0) page_release(s, s->directory[removed / BUCKETS_A_PAGE]);
    ghost_merge(s, removed);
    merge_prefetch(s);
    metric_add(&s->metrics.merges, 1);
    return 1;
}

/* So many inserts ahead of a split what it will look at is asked for: its buckets, their items, those of the overflow.
 */
static void split_ahead(const struct store *s, uint64_t inserts)
{
    const struct index *x = &s->index;
    uint32_t added = x->buckets;
    const struct bucket *from = bucket_at(s, added - (x->mask + 1));
    if (inserts == 3) {
        __builtin_prefetch(from, 1);
        if (added % BUCKETS_A_PAGE != 0) __builtin_prefetch(bucket_at(s, added), 1);
        return;
    }
    if (inserts == 1) from = bucket_linked(s, from);
    if (!from || inserts == 0) return;
    for (unsigned i = 0; i < BUCKET_SLOTS && from->tag[i]; i++) __builtin_prefetch(region_at(s, from->item[i]));
    if (from->link) __builtin_prefetch(region_at(s, from->link), 1);
}

unsigned index_adjust(struct store *s)
{
    const struct index *x = &s->index;
    uint64_t tenths = x->items * 10, most = (uint64_t)x->buckets * SPLIT_TENTHS;
    if (tenths > most) {
        bool begun = work_begin(s);
        unsigned splits = index_split(s);
        work_end(s, begun);
        return splits;
    }
    if (most - tenths < AHEAD_TENTHS) split_ahead(s, (most - tenths) / 10);
    if (x->buckets > BUCKETS_A_PAGE && tenths < (uint64_t)x->buckets * MERGE_TENTHS) return index_merge(s);
    return 0;
}
