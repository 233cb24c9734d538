/*
 * Eviction. Free bytes are kept at a small share of the region, so that a write rarely waits for any. What goes:
 *
 * hybrid  New items stand in a ring of hashes, a tenth of all items. Who leaves it unread is evicted and remembered as
 * a ghost; who was read stays, and so does at once who comes back while remembered. For all others a clock walks the
 *         index: it takes one hit (of up to 3) back from each item that it passes and evicts those that have none.
 * fifo    Each item has a label of when it came (age.h): the oldest goes, whether it is read or not.
 *
 * The ring holds hashes, so items may move; an entry whose item has gone is passed over. Evicted slots lie where they
 * lie: a page that another size needs is emptied by evacuation, which in need evicts what it finds unused (evacuate.h).
 * Items in held pages stay. Where an item is read is noted in its own header (item_hit).
 */
#ifndef POLAR_STORE_EVICT_H
#define POLAR_STORE_EVICT_H

#include "store/slab.h"

/* What the options say, which may be other than what a region taken up was run with. */
void evict_configure(struct store *s, enum store_eviction policy);
/* An item of so many pages has come: from now on room for its like is kept free, as long as they come. */
void evict_note_large(struct store *s, uint64_t pages);
/* One of so many pages found no room, and may wait for it: it is made, for a while. 0: nobody waits. */
void evict_note_wanted(struct store *s, uint64_t pages);
/* One of so many has come. */
void evict_note_found(struct store *s, uint64_t pages);
/*
 * An operation evicts for so many pages at most beyond those that are free: those of a megabyte. A larger value is not
 * begun before the background work has made its room, lest others wait while it gathers what it gives back again; nor,
 * without eviction, is one that has failed and waits. True: there is to be room first, and it is on its way.
 */
#define PAGES_AT_ONCE 17u
bool evict_makes_room_first(struct store *s, uint64_t pages);
/* They do not come any more. */
void evict_large_fade(struct store *s);
/* Of a store that is empty. */
void evict_init(struct store *s);
/* After a flush. */
void evict_forget(struct store *s);
/* An item whose key was not there has come; it is the last of its chain in the index. */
void evict_on_insert(struct store *s, uint64_t hash, uint32_t item);
/*
 * Evicts until enough bytes are free, as far as s->evictions and s->looks go, or, where little is wanting, a few items
 * an operation: a page that goes to another size takes the free slots of a thousand writes with it, which need not all
 * come back with one of them. Returns the items evicted.
 */
unsigned evict_some(struct store *s, uint64_t enough);
/* Evicts one item; `reason` is its counter. Takes one off s->evictions, which must have one. */
void evict_item(struct store *s, uint32_t item, uint64_t hash, uint64_t *reason);
/* evict_page.c: */

/* What an operation that waits for a page leaves, for a slot of another size. */
#define EVICTIONS_KEPT 2u

/* Evicts one item from a page of this class, so that it has a free slot. False: none was found. */
bool evict_from_class(struct store *s, uint32_t cls);
/* The same from a page of any larger class that shares its pages: that slot. 0: none was found. */
uint32_t evict_larger(struct store *s, uint32_t cls);
/* A page to be emptied: the next in turn, or, when need is high, of the next few the one with fewest items. 0: none. */
uint32_t evict_choose_page(struct store *s, bool in_need);

enum clearing {
    CLEAR_MORE,  /* go on */
    CLEAR_SPENT, /* not now: this operation may evict no more */
    CLEAR_STUCK, /* a piece of a held item: this page cannot be emptied now */
    CLEAR_DONE,  /* empty, and back in the pool */
};
/* A batch of the page that is being evacuated: evicts what is not in use, moves the rest as far as it may, or evicts
 * it. */
enum clearing evict_clear(struct store *s);

/* Takes one off what this operation may look at. */
static inline bool look(struct store *s)
{
    if (s->looks == 0) return false;
    s->looks--;
    return true;
}

static inline unsigned evict_step(struct store *s)
{
    uint64_t enough = s->eviction.free_bytes; /* 0: no eviction */
    return slab_free_bytes(s) < enough ? evict_some(s, enough) : 0;
}

#endif
