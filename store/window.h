/*
 * The window: a peer reads the shard's memory by itself, at any time, while its core goes on. It takes no part in what
 * the core does, holds nothing and leaves no trace; and what it reads comes in pieces, each as it was at a moment of
 * its own, in no order. It must never take for a value what was not the value at some moment between the beginning and
 * the end of its look-up. base/window.h says where things lie.
 *
 * One number decides: an item that is current has its sum behind it, and nothing else has. The sum is made of header,
 * fields, key, value and the line's seed. The core
 *
 *     publish   writes the sum when the item is whole and is what the key has from now on: last of all
 *     retract   spoils it before anything of the item is changed in place, and before its key has another item or none
 *
 * and so that no key ever has two values at a time, the old one's sum is spoilt before the new one's is written. Stores
 * stand in that order in memory, as devices see it (rte_io_wmb; on x86 no instruction; and stores behind a string
 * operation stay behind it).
 *
 * Then, for a reader that began at b and ended at e, and in between has seen, in whatever order:
 *
 *     at t1     a sum that is right for the other bytes that it has of this item, by seed g,
 *     at t2     the line's seed g,
 *     at t3     the line's time before the item's expiry:
 *
 * The sum is right for no bytes but those it was made of (64 bits of XXH3 and a secret: 2^-64 each try), so whenever
 * these were read, they are the item for which the sum stood there at t1. That item's life V is from its publication
 * to the first of its retraction, the end of g (a flush), and its expiry by the line's time. It began before e, for
 * the sum was there at t1; it ended after b, for at t1 it had not been retracted, at t2 g had not ended, and at t3 it
 * had not expired. It is not empty, for nothing is published that has expired, and by no seed but the present one. So
 * V and [b, e] have a moment in common, and at that moment the value was the key's. Nothing else need be true: not of
 * the index, which is a hint where to look, nor of the order in which a device reads. Of the line's numbers each is read
 * whole (aligned words of 8 bytes are); of a sum not even that: half of one is none.
 *
 *     growth, splits, merges    a bucket looked up in vain, or an old one: what it leads to still must have its sum
 *     overwrite in place        retract, write, publish
 *     overwrite elsewhere       publish of the new item after retract of the old one: write_supersede, insert_new
 *     moves                     the copy is the same item with its sum; the old one is retracted before it is freed.
 *                               A copy in parts has its header last, and until then no sum that is right for it
 *     delete, eviction, expiry  retract in write_remove, through which every item leaves the index
 *     a slot freed and reused   has the sum of nothing until its item is published; a page that is cut anew holds old
 *                               bytes, but of no item that is current the sum
 *     reserved, not committed   has not been published
 *     flush                     another seed. Items of before it lie about with sums that are right by the old one only
 *     warm restart              the seed goes with the region; one without the window is not taken up with it
 *     what a writer can put in  a value may hold the image of an item, but not its sum, which needs the seed. The seed
 *                               is in the line: whoever can read it can read the whole shard
 *
 * What is not in one piece (over 9 KiB) has no sum, nor has an item whose last access is kept (store_get_access): for
 * these the reader asks the core, as it does after two vain tries, and always before it says that there is no item.
 * A reading peer is no hit for the eviction; it asks the core for some of its look-ups so that what it reads stays.
 *
 * The line's time is the core's, by store_window_tick before a turn's first operation: who was told by the core that an
 * item has expired finds a line that says so. A core that sleeps wakes at least every 100 ms; a reader leaves alone
 * what would expire within WINDOW_CLOCK_MS.
 *
 * What shows it: tests/store/window (every interleaving of a reader's pieces with operations that a seed gives, against
 * the naive model; a thread that reads beside one that writes), store_check (who has a sum and who has not), and the
 * model's worlds with the window on.
 *
 * Off by default: then items are no longer and nothing is done but to look at a pointer.
 */
#ifndef POLAR_STORE_WINDOW_H
#define POLAR_STORE_WINDOW_H

#include "base/window.h"
#include "store/item.h"

/* Bytes before what else stands in the head of a region that has a window. */
#define WINDOW_HEAD_BYTES sizeof(struct window_line)

/* The line of a store that is empty, or was taken up as *s says. 0 or -errno: no random numbers for the seed. */
int window_begin(struct store *s, const struct store_config *config);
void window_publish_item(struct store *s, uint32_t item);
void window_retract_item(struct store *s, uint32_t item);
/* The index has another number of buckets. shrunk: pages of it have gone. */
void window_resize(struct store *s, bool shrunk);
/* At a flush, when the generation is the new one. */
void window_flush(struct store *s);
/* Whether the item has its sum: for tests. */
bool window_is_published(const struct store *s, uint32_t item);

/* See above; nothing without a window. An item without a sum of its own is left alone. */
static inline void window_publish(struct store *s, uint32_t item)
{
    if (__builtin_expect(s->window != NULL, 0)) window_publish_item(s, item);
}
static inline void window_retract(struct store *s, uint32_t item)
{
    if (__builtin_expect(s->window != NULL, 0)) window_retract_item(s, item);
}

#endif
