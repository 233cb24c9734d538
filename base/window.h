/*
 * What lies in a shard's window: memory of a store that a peer reads by itself (RDMA READ), without its core. The store
 * writes it (store/window.h says when, and why what is read is right), a client reads it (rdma/window_read.h). Little
 * endian, as memory is. A place is a 32-bit offset in units of 8 bytes from the region's first byte on; 0 is nowhere.
 *
 *     line       64 bytes, the first of the window: what a reader must know of the whole
 *     directory  32 bits for each 1024 buckets: the number of the 64 KiB page in which they lie
 *     bucket     64 bytes: 12 tags, 12 items, the place of an overflow bucket
 *     item       a header of 32 bits, fields, key, value; then, at the next multiple of 8 bytes, the item's sum
 */
#ifndef POLAR_BASE_WINDOW_H
#define POLAR_BASE_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/load.h"

#define WINDOW_FORMAT UINT64_C(0x3130574e494c4f50) /* another for another layout */
#define WINDOW_UNIT_BYTES 8u
#define WINDOW_PAGE_BYTES 65536u
#define WINDOW_PAGE_BUCKETS 1024u
#define WINDOW_SUM_BYTES 8u
#define WINDOW_ITEM_BYTES_MAX 9360u /* of an item with its sum: what is longer lies in several pieces, and has none */

/* How far behind the core's clock now_ms may be while the core sleeps, and so how soon an item must not expire. */
#define WINDOW_CLOCK_MS 250u

/* Each number is written at once. Those that never change are the first ones of each kind. */
struct window_line {
    uint64_t format;
    uint64_t seed;      /* of all sums: another after a flush */
    uint64_t now_ms;    /* the core's time, milliseconds since 1970 */
    uint32_t place;     /* of this line */
    uint32_t directory; /* its place */
    uint16_t shard;     /* whose keys: those that slot_map_init gives to this core of so many */
    uint16_t shards;
    uint32_t buckets; /* without overflow */
    uint32_t epoch;   /* another: what the directory had said may be wrong; else it has only grown */
    uint32_t unused[5];
};
_Static_assert(sizeof(struct window_line) == 64, "a cache line");

#define WINDOW_BUCKET_SLOTS 12u
struct window_bucket {
    uint8_t tag[WINDOW_BUCKET_SLOTS]; /* 0: no item */
    uint32_t link;
    uint32_t item[WINDOW_BUCKET_SLOTS];
};
_Static_assert(sizeof(struct window_bucket) == 64, "a cache line");

/* The first byte of an item. */
enum {
    WINDOW_ITEM_STATE = 3,
    WINDOW_ITEM_LIVE = 2,
    WINDOW_ITEM_SHAPE = 3 << 2,
    WINDOW_ITEM_PLAIN = 0 << 2, /* lengths in the header: key in bits 8..15, value in 16..29 */
    WINDOW_ITEM_WIDE = 1 << 2,  /* behind it: value 4 bytes, key 2, two unused. All others lie in pieces */
    WINDOW_ITEM_EXPIRES = 3 << 4,
    WINDOW_ITEM_EXPIRES_S = 1 << 4,  /* 4 bytes, seconds */
    WINDOW_ITEM_EXPIRES_MS = 2 << 4, /* 8 bytes, milliseconds; 0: never */
    WINDOW_ITEM_TRACKED = 3 << 4,    /* the last access is kept: such an item is not for readers that leave no trace */
    WINDOW_ITEM_FLAGS = 1 << 6,      /* 4 bytes, memcached's client flags */
    WINDOW_ITEM_CAS = 1 << 7,        /* 8 bytes */
};
/* What a sum covers of the header: its state, and how often it was read, change beside it. */
#define WINDOW_HEADER_SUMMED (~(3u | 3u << 30))

/* Of a PLAIN or WIDE item, by its first byte: where its fields, and its key, begin. */
static inline uint32_t window_fields_at(uint32_t bits)
{
    return (bits & WINDOW_ITEM_SHAPE) == WINDOW_ITEM_PLAIN ? 4u : 12u;
}
static inline uint32_t window_body_at(uint32_t bits)
{
    return window_fields_at(bits) + ((bits & WINDOW_ITEM_EXPIRES) >> 2) + (bits & WINDOW_ITEM_FLAGS ? 4u : 0u) +
           (bits & WINDOW_ITEM_CAS ? 8u : 0u);
}

/* Where an item's sum lies that has so many bytes without it. */
static inline uint64_t window_sum_at(uint64_t bytes)
{
    return (bytes + 7) & ~(uint64_t)7;
}

/* Whether an item with this first byte has a sum while it is current. */
static inline bool window_has_sum(uint32_t bits)
{
    return (bits & WINDOW_ITEM_SHAPE) <= WINDOW_ITEM_WIDE && (bits & WINDOW_ITEM_EXPIRES) != WINDOW_ITEM_TRACKED;
}

/* The sum of an item of so many bytes, at least 5. */
uint64_t window_sum(uint64_t seed, const uint8_t *item, uint32_t bytes);

/* XXH3, 64 bits: the low ones choose the bucket, the highest eight are the tag. */
uint64_t window_hash(const void *key, size_t len);

static inline uint8_t window_tag(uint64_t hash)
{
    uint8_t tag = (uint8_t)(hash >> 56);
    return tag ? tag : 1;
}

/* Linear hashing: 2^L <= buckets < 2^(L+1), of which those below buckets - 2^L have been split. */
static inline uint32_t window_bucket_number(uint64_t hash, uint32_t buckets)
{
    uint32_t level = 1u << (31 - __builtin_clz(buckets));
    uint32_t number = (uint32_t)hash & (2 * level - 1);
    return number < buckets ? number : number & (level - 1);
}

#endif
