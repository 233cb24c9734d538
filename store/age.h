/*
 * Ages: of a fifo. Beside each bucket of the index stands when each of its items came, a label of four bits, in the
 * pages that the hybrid has for ghosts: 0.8 bytes an item, where a queue of all items takes four. A label is given to
 * what comes while a twelfth of the region is written; a hand goes round the index and evicts what has the oldest
 * one, and with each round the next label is the oldest. So what goes is the oldest but for one part in twelve.
 *
 * Labels are used again. Where none is free, because much was deleted and little evicted, the hand gives the items of
 * the oldest label the next one. A label between the present one and the oldest is of nobody: who has it, since a page
 * could not be had, counts as oldest. Items behind the 16th of a chain share its label,
 * and so may stay for another turn.
 */
#ifndef POLAR_STORE_AGE_H
#define POLAR_STORE_AGE_H

#include "store/shard.h"

/* A new item of so many bytes stands last in its chain. */
void age_note(struct store *s, uint64_t hash, uint64_t bytes);
/* The item at place `from` of a bucket's chain takes place `to`. */
void age_move(struct store *s, uint32_t bucket, unsigned from, unsigned to);
/* A bucket was split. went: a bit for each of its items, in order, that is in the other now. */
void age_split(struct store *s, uint32_t from, uint32_t to, unsigned items, uint64_t went);
/* The items of what was the last bucket are to be appended to the chain of another. */
void age_merge(struct store *s, uint32_t from, uint32_t to);

/* An item of the oldest label in the hand's bucket, and its place. 0: none is left there. */
uint32_t age_oldest(const struct store *s, unsigned *place);
/* It stays a while, since it is held. */
void age_spare(struct store *s, unsigned place);
/* The hand goes on to the next bucket. */
void age_advance(struct store *s);

#endif
