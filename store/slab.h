/*
 * Pages and slots. A page of a size class is cut into equal slots; its freed slots are chained through the page itself.
 * Pages with free slots stand in lists by how full they are: slots are taken from the fullest, so that the thin ones
 * run empty; what does not run empty by itself is evacuated (evacuate.h).
 */
#ifndef POLAR_STORE_SLAB_H
#define POLAR_STORE_SLAB_H

#include "store/shard.h"

void slab_init(struct store *s);
/* Forgets every page of every class: they are reclaimed by their generation. */
void slab_forget(struct store *s);

/* A slot from the pages that the class has. 0: none. */
uint32_t slab_take(struct store *s, uint32_t cls);
/* The same, or from a fresh page. reserve: pages that must remain in the pool. */
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
/* Free bytes of pool and slots, wherever they are. */
static inline uint64_t slab_free_bytes(const struct store *s)
{
    return (uint64_t)s->pool_count * PAGE_BYTES + s->slot_bytes - s->metrics.bytes_used;
}
static inline uint32_t slab_class(const struct store *s, uint32_t bytes)
{
    return s->class_of[(bytes + UNIT_BYTES - 1) / UNIT_BYTES];
}

#endif
