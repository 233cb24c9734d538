/* A queue of 32-bit hashes, in pages taken from the pool and given back to it: 4 bytes an entry. */
#ifndef POLAR_STORE_RING_H
#define POLAR_STORE_RING_H

#include "store/shard.h"

/* Whole hashes are 64 bits: of the low ones that choose the bucket so many are kept, and the top of the tag. */
#define RING_LOW_BITS 27u

static inline uint32_t ring_entry(uint64_t hash)
{
    return (uint32_t)(hash & ((1u << RING_LOW_BITS) - 1)) | (uint32_t)(hash >> 59) << RING_LOW_BITS;
}

/* False: no page could be had. */
bool ring_append(struct store *s, struct ring *r, uint32_t entry);
/* Takes the oldest entry; r->count > 0. */
uint32_t ring_pop(struct store *s, struct ring *r);
/* The entry `ahead` places behind the oldest, where it lies in the same page: false otherwise. */
bool ring_peek(const struct store *s, const struct ring *r, uint32_t ahead, uint32_t *entry);

#endif
