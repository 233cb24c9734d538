/*
 * Linear hashing over buckets of one cache line: 12 tags of 8 bits (0: empty), 12 places of items, the place of an
 * overflow bucket. The buckets of a chain are full but for the last, and its entries stand at the front. Buckets lie
 * in index pages, found through the directory; overflow buckets are slots of a size class of their own.
 * The low bits of the hash choose the bucket, the highest eight are the tag.
 */
#ifndef POLAR_STORE_INDEX_H
#define POLAR_STORE_INDEX_H

#ifdef __SSE2__
#include <emmintrin.h>
#endif
#include "store/item.h"

#define BUCKET_SLOTS 12u
#define BUCKETS_A_PAGE (PAGE_BYTES / 64u)
#define BUCKET_PAGE_SHIFT 10u

struct bucket {
    uint8_t tag[BUCKET_SLOTS];
    uint32_t link;
    uint32_t item[BUCKET_SLOTS];
};
_Static_assert(sizeof(struct bucket) == 64, "a cache line");

/* 0 or -ENOMEM: one page of buckets. */
int index_init(struct store *s);
/* An empty index in the first page of the old one; its other pages are of the old generation. */
void index_reset(struct store *s);
/* Adds an item whose key is not there. False: no memory for an overflow bucket. */
bool index_insert(struct store *s, uint64_t hash, uint32_t item);
void index_remove(struct store *s, uint64_t hash, uint32_t item);
/* At most one split or merge, when the load asks for it. Returns how many. */
unsigned index_adjust(struct store *s);
/* Moves an overflow bucket to another slot (evacuation). */
void index_move_overflow(struct store *s, uint32_t from, uint32_t to);

static inline uint8_t bucket_tag(uint64_t hash)
{
    uint8_t tag = (uint8_t)(hash >> 56);
    return tag ? tag : 1;
}

static inline uint32_t bucket_number(const struct store *s, uint64_t hash)
{
    uint32_t b = (uint32_t)hash & s->index.mask_wide;
    uint32_t level = s->index.mask + 1;
    return b - (level & (0u - (b >= s->index.buckets))); /* no branch: it would be taken at random */
}

static inline struct bucket *bucket_at(const struct store *s, uint32_t number)
{
    uint32_t page = s->directory[number >> BUCKET_PAGE_SHIFT];
    return (struct bucket *)region_at(s, page_offset(page, 0)) + (number & (BUCKETS_A_PAGE - 1));
}

static inline struct bucket *bucket_linked(const struct store *s, const struct bucket *b)
{
    return b->link ? (struct bucket *)region_at(s, b->link) : NULL;
}

/* A bit for each slot that has this tag. */
#ifdef __SSE2__
static inline unsigned bucket_match(const struct bucket *b, uint8_t tag)
{
    __m128i line = _mm_load_si128((const __m128i *)b);
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(line, _mm_set1_epi8((char)tag))) & ((1u << BUCKET_SLOTS) - 1);
}
#else
static inline unsigned bucket_match(const struct bucket *b, uint8_t tag)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < BUCKET_SLOTS; i++) bits |= (unsigned)(b->tag[i] == tag) << i;
    return bits;
}
#endif

/* The bucket and slot that hold an item, which is there. */
static inline struct bucket *index_locate(const struct store *s, uint64_t hash, uint32_t item, unsigned *slot)
{
    uint8_t tag = bucket_tag(hash);
    for (struct bucket *b = bucket_at(s, bucket_number(s, hash)); b; b = bucket_linked(s, b))
        for (unsigned bits = bucket_match(b, tag); bits; bits &= bits - 1) {
            *slot = (unsigned)__builtin_ctz(bits);
            if (b->item[*slot] == item) return b;
        }
    assert(!"an item that is not in the index");
    return NULL;
}

static inline void index_replace(struct store *s, uint64_t hash, uint32_t item, uint32_t with)
{
    unsigned slot;
    struct bucket *b = index_locate(s, hash, item, &slot);
    b->item[slot] = with;
}

static inline unsigned bucket_count(const struct bucket *b)
{
    return (unsigned)__builtin_ctz(bucket_match(b, 0) | 1u << BUCKET_SLOTS);
}

/* The item of a key, expired or not. 0: none. */
static inline uint32_t index_find(const struct store *s, const struct store_key *key)
{
    uint8_t tag = bucket_tag(key->hash);
    const struct bucket *b = bucket_at(s, bucket_number(s, key->hash));
    for (; b; b = bucket_linked(s, b))
        for (unsigned bits = bucket_match(b, tag); bits; bits &= bits - 1) {
            uint32_t item = b->item[__builtin_ctz(bits)];
            if (item_key_equal(s, item, key)) return item;
        }
    return 0;
}

#endif
