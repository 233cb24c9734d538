/*
 * Evacuation: the items of a thin page are moved into the free slots of fuller pages of their class, a few at a time,
 * until the page is empty and goes back to the pool; so memory follows the sizes in use. A held page is left alone.
 * Never called by a read: views given by store_get stay good through a batch.
 */
#ifndef POLAR_STORE_EVACUATE_H
#define POLAR_STORE_EVACUATE_H

#include "store/shard.h"

/* Whether there is anything for a step to do. */
static inline bool evacuate_due(const struct store *s)
{
    return s->pool_count < s->low_water_pages || s->evacuation.page || s->move.to;
}
/* A step beside a write or on idle, when the pool is low, within s->allowance. Items moved. */
unsigned evacuate_step(struct store *s);
/* Goes on until a page is free, within s->allowance. */
bool evacuate_one_page(struct store *s);
/* Leaves the page that is being evacuated, and what was copied of an item, as if it had not begun. */
void evacuate_stop(struct store *s);

#endif
