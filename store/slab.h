/*
 * Pages and slots. A page of a size class is cut into equal slots; its freed slots are chained through the page itself.
 * Pages with free slots stand in lists by how full they are: slots are taken from the fullest, so that the thin ones
 * run empty; what does not run empty by itself is evacuated (evacuate.h).
 */
#ifndef POLAR_STORE_SLAB_H
#define POLAR_STORE_SLAB_H

#include "store/shard.h"

#define LENT_SHARE 8u

void slab_init(struct store *s);
/* Forgets every page of every class: they are reclaimed by their generation. */
void slab_forget(struct store *s);

/* A slot from the pages that the class has. 0: none. */
uint32_t slab_take(struct store *s, uint32_t cls);
/* From the nearest class of those from `least` to `most` that has one. 0: none. */
uint32_t slab_take_between(struct store *s, uint32_t least, uint32_t most);
/* Whether a class has gone without a free slot of its own for so long that it should have another page. */
static inline bool slab_in_want(const struct size_class *c)
{
    return c->lent > c->slots / LENT_SHARE;
}
/* From a class of about the same size, for one that has none and is not in want. 0: none. */
uint32_t slab_borrow(struct store *s, uint32_t cls);
/* A slot of the class, or from a fresh page. reserve: pages that must remain in the pool. */
uint32_t slab_alloc(struct store *s, uint32_t cls, uint32_t reserve);
/* The page goes back to the pool with its last slot. */
void slab_free(struct store *s, uint32_t offset);

/* A page from the pool, for slots or for what CLASS_INDEX, CLASS_EVICTION name; not in any list. 0: none. */
uint32_t page_acquire(struct store *s, uint32_t cls, uint32_t reserve);
/* Back to the pool with all that is in it. The page is in no list. */
void page_release(struct store *s, uint32_t number);
/* Puts a page into its class's lists and out of them. */
void page_attach(struct store *s, uint32_t number);
void page_detach(struct store *s, uint32_t number);

static inline bool page_is_slab(const struct store *s, const struct page *p)
{
    return p->cls < s->class_count;
}
/* Free bytes of pool and slots, wherever they are; but for slots that were never taken: they are on their way to be. */
static inline uint64_t slab_free_bytes(const struct store *s)
{
    return (uint64_t)s->pool_count * PAGE_BYTES + s->slot_bytes - s->fresh_bytes - s->metrics.bytes_used;
}
/* Whether pages are too few for each class to have one of its own: see reclaim.c, write_quick.c. */
static inline bool slab_shares(const struct store *s)
{
    return s->pool_count < s->low_water_pages && s->eviction.policy != STORE_EVICT_NONE;
}
static inline uint32_t slab_class(const struct store *s, uint32_t bytes)
{
    return s->class_of[(bytes + UNIT_BYTES - 1) / UNIT_BYTES];
}

#endif
