/* Where a slot comes from when there is none: what is tried before a write is refused. */
#ifndef POLAR_STORE_RECLAIM_H
#define POLAR_STORE_RECLAIM_H

#include "store/shard.h"

/*
 * A slot of the class; or of a somewhat larger one when memory is short. 0: refused. Spends s->effort and s->evictions:
 * pages of before a flush, an evicted item's slot, then pages emptied by evacuation, then expired items.
 */
uint32_t reclaim_slot(struct store *s, uint32_t cls);
/* Work of the same kind until a page is free. False: there was nothing to be had for the effort. */
bool reclaim_page(struct store *s);
/* Takes bytes of work off the effort. False: there was none left. */
bool effort_spend(struct store *s, uint32_t bytes);

#endif
