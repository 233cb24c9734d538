/*
 * Finds a connection by its key, a keyed hash (tcp_tuple.h): its low bits choose the bucket, its high ones the tag.
 * Buckets of 64 bytes with eight tags and eight references; grown one bucket at a time (linear hashing), so no insert
 * pays for a rehash of everything. References are the caller's: it says by key_of which key one stands for.
 */
#ifndef POLAR_NET_TCP_TABLE_H
#define POLAR_NET_TCP_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <rte_prefetch.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define TCP_TABLE_SLOTS 8u
#define TCP_TABLE_NONE UINT32_MAX

struct tcp_bucket {
    uint16_t tags[TCP_TABLE_SLOTS]; /* 0: empty; filled from the front */
    uint32_t refs[TCP_TABLE_SLOTS];
    uint32_t overflow;              /* index of a spill bucket + 1; 0: none */
    uint32_t unused[3];
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct tcp_bucket) == 64, "one cache line");

typedef uint64_t tcp_table_key_fn(const void *arg, uint32_t ref);

struct tcp_table {
    struct tcp_bucket *buckets;
    uint32_t low_mask;   /* buckets at the start of this round of splits, - 1 */
    uint32_t count;      /* buckets */
    uint32_t count_max;
    uint32_t entries;
    struct tcp_bucket *spill;
    uint32_t spill_free; /* index + 1, linked by overflow */
    uint32_t spill_used;
    tcp_table_key_fn *key_of;
    const void *key_arg;
    size_t bytes;        /* of the mapping */
};

/* 0 or -ENOMEM. Room for entries_max. */
int tcp_table_init(struct tcp_table *t, uint32_t entries_max, tcp_table_key_fn *key_of, const void *key_arg);
void tcp_table_fini(struct tcp_table *t);

static inline uint16_t tcp_table_tag(uint64_t key) { return (uint16_t)(key >> 48) | 1; }

static inline struct tcp_bucket *tcp_table_bucket(const struct tcp_table *t, uint64_t key)
{
    uint32_t at = (uint32_t)key & (2 * t->low_mask + 1);
    if (at >= t->count) at &= t->low_mask;
    return &t->buckets[at];
}

static inline void tcp_table_prefetch(const struct tcp_table *t, uint64_t key)
{
    rte_prefetch0(tcp_table_bucket(t, key));
}

/* The slots of b whose tag is that of key, as bits. */
static inline uint32_t tcp_bucket_match(const struct tcp_bucket *b, uint64_t key)
{
    uint16_t tag = tcp_table_tag(key);
#ifdef __SSE2__
    __m128i same = _mm_cmpeq_epi16(_mm_load_si128((const __m128i *)(const void *)b->tags), _mm_set1_epi16((short)tag));
    return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(same, _mm_setzero_si128()));
#else
    uint32_t bits = 0;
    for (unsigned i = 0; i < TCP_TABLE_SLOTS; i++) bits |= (uint32_t)(b->tags[i] == tag) << i;
    return bits;
#endif
}

/* A reference that probably is the right one (to prefetch it), or TCP_TABLE_NONE. */
static inline uint32_t tcp_table_guess(const struct tcp_table *t, uint64_t key)
{
    const struct tcp_bucket *b = tcp_table_bucket(t, key);
    uint32_t bits = tcp_bucket_match(b, key);
    return bits ? b->refs[__builtin_ctz(bits)] : TCP_TABLE_NONE;
}

uint32_t tcp_table_find(const struct tcp_table *t, uint64_t key); /* TCP_TABLE_NONE: no such key */
void tcp_table_insert(struct tcp_table *t, uint64_t key, uint32_t ref); /* key was not in the table; key_of(ref) says it already */
void tcp_table_remove(struct tcp_table *t, uint64_t key);  /* key is in the table */
void tcp_table_replace(struct tcp_table *t, uint64_t key, uint32_t ref); /* key is in the table, now by ref */

#endif
