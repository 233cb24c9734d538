/* What the writing operations share. */
#ifndef POLAR_STORE_WRITE_H
#define POLAR_STORE_WRITE_H

#include "store/index.h"

/* At the start of each operation that may allocate or move: what it may spend. An allocation adds what it is long to
 * its effort. */
static inline void write_begin(struct store *s)
{
    s->effort = EFFORT_BYTES_MIN;
    s->allowance = MOVE_BYTES_MAX;
    s->moved = 0;
    s->evictions = EVICTIONS_MAX;
    s->looks = LOOKS_MAX;
    s->worked_tsc = 0;
}
/* The last pass of a batch's prefetches: see struct look_again. */
void prefetch_look_again(struct store *s) __attribute__((noinline));
/* An OPEN copy of the item, with these fields in place of its own. Where it has room for a CAS that the item has not,
 * it is the next. 0: no memory. */
uint32_t write_copy(struct store *s, uint32_t item, uint32_t fields);
/* The next CAS, if the item has room for one. */
void write_give_cas(struct store *s, uint32_t item);
/* Of an old item. One that has been asked for its CAS or last access is likely to be again: its successor has the room
 * at once. */
static inline uint32_t fields_asked_for(uint32_t bits)
{
    return (bits & ITEM_CAS) | (item_is_tracked(bits) ? ITEM_TRACKED : 0);
}

/* A value in one piece. */
struct write_request {
    const struct store_key *key;
    const void *value;
    uint32_t value_len;
    const struct store_meta *meta;
};
/*
 * Stores an item, where old (which may be 0) lies or in its place, if it fits one slot of which its class has a free
 * one: nothing is moved or evicted for it, so nothing need be held meanwhile. Its time has not passed. False: it is
 * another kind of write, and nothing was changed.
 */
bool write_quick(struct store *s, const struct write_request *r, uint32_t old);
/* Where old lies, whatever its slot's class. False: it does not fit, or a reader still has what is there. */
bool write_in_place(struct store *s, const struct write_request *r, uint32_t old);
/* Takes an item out of the index and releases it. */
void write_remove(struct store *s, uint64_t hash, uint32_t item);
/* The same for one whose time has passed. */
void write_expire(struct store *s, uint64_t hash, uint32_t item) __attribute__((noinline));
/* Puts an OPEN item in the place of a visible one and releases that. */
void write_supersede(struct store *s, uint64_t hash, uint32_t old, uint32_t item);
/* The share of the background work that each change does: the index's size, evacuation. */
void write_background(struct store *s);

/* The item of a key, whatever its time. 0: none. */
static inline uint32_t write_look(struct store *s, const struct store_key *key, uint64_t now_ms)
{
    s->now_ms = now_ms;
    if (s->look_again.count) prefetch_look_again(s);
    return index_find(s, key);
}

/* The same, of which one whose time has passed is removed. */
static inline uint32_t write_find(struct store *s, const struct store_key *key, uint64_t now_ms)
{
    uint32_t item = write_look(s, key, now_ms);
    if (!item || !item_expired(region_at(s, item), now_ms)) return item;
    write_expire(s, key->hash, item);
    return 0;
}

#endif
