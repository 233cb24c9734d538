/*
 * After a flush every page is of an older generation. A page without holds is reclaimed whole, without a look at its
 * items. One with holds is settled first: what is not held is freed, and the page joins the present generation.
 */
#ifndef POLAR_STORE_FLUSH_H
#define POLAR_STORE_FLUSH_H

#include "store/shard.h"

void page_settle_old(struct store *s, uint32_t number);
/* To be called before anything is freed in a page or becomes visible in it. */
static inline void page_settle(struct store *s, uint32_t number)
{
    if (__builtin_expect(s->page[number].generation != s->generation, 0)) page_settle_old(s, number);
}

/* Looks at up to scan pages and reclaims up to most. Returns the pages reclaimed or settled. */
unsigned flush_reclaim(struct store *s, uint32_t scan, uint32_t most);

#endif
