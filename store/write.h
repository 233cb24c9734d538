/* What the writing operations share. */
#ifndef POLAR_STORE_WRITE_H
#define POLAR_STORE_WRITE_H

#include "store/item.h"

/* At the start of each operation that may allocate or move: what it may spend. An allocation adds what it is long. */
static inline void write_begin(struct store *s)
{
    s->effort = EFFORT_BYTES_MIN;
    s->allowance = MOVE_BYTES_MAX;
    s->moved = 0;
    s->evictions = EVICTIONS_MAX;
    s->looks = LOOKS_MAX;
}
/* The item of a key; one whose time has passed is removed. 0: none. */
uint32_t write_find(struct store *s, const struct store_key *key, uint64_t now_ms);
/* The last pass of a batch's prefetches: see struct look_again. */
void prefetch_look_again(struct store *s);
/* An OPEN copy of the item, with these fields in place of its own. Where it has room for a CAS that the item has not,
 * it is the next. 0: no memory. */
uint32_t write_copy(struct store *s, uint32_t item, uint32_t fields);
/* The next CAS, if the item has room for one. */
void write_give_cas(struct store *s, uint32_t item);
/* Takes an item out of the index and releases it. */
void write_remove(struct store *s, uint64_t hash, uint32_t item);
/* The same for one whose time has passed. */
void write_expire(struct store *s, uint64_t hash, uint32_t item);
/* Puts an OPEN item in the place of a visible one and releases that. */
void write_supersede(struct store *s, uint64_t hash, uint32_t old, uint32_t item);
/* The share of the background work that each change does: the index's size, evacuation. */
void write_background(struct store *s);

#endif
