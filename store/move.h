/* Moving what lies in a slot to another slot of its class: items whole or in parts, overflow buckets. */
#ifndef POLAR_STORE_MOVE_H
#define POLAR_STORE_MOVE_H

#include "store/shard.h"

/*
 * Moves an item, or a fragment (whose hash does not count), that nobody holds. False: no slot to move to. The caller
 * has seen to it that s->allowance covers item_bytes().
 */
bool move_item(struct store *s, uint32_t item, uint64_t hash);
bool move_bucket(struct store *s, uint32_t offset);

/*
 * Copies as much as s->allowance covers of an item that is larger than it, to a slot that s->move keeps until the item
 * is there whole. Until then it stands where it was. False: no slot to move to.
 */
bool move_part(struct store *s, uint32_t item);
/* Gives up what has been copied of an item; nothing if there is none. */
void move_drop(struct store *s);
/* To be called when the bytes of an item are changed in place: what was copied of it is of no more use. */
void move_restart(struct store *s, uint32_t item);

/* Takes bytes off what this operation may still move. */
static inline void move_spend(struct store *s, uint32_t bytes)
{
    assert(bytes <= s->allowance);
    s->allowance -= bytes;
    s->moved += bytes;
    metric_add(&s->metrics.moved_bytes, bytes);
    if (s->moved > metric_get(&s->metrics.moved_most)) metric_set(&s->metrics.moved_most, s->moved);
}

#endif
