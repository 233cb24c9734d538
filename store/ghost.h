/*
 * Ghosts: what was evicted as new and unread, remembered for a while, so that a key that comes again is known to be
 * worth more. Beside each bucket of the index stand the last 8 of its ghosts, a byte of their hashes each, in pages of
 * their own that are taken when the first ghost comes: 0.8 bytes an item. A false memory (one in 32) only lets an item
 * stay longer.
 */
#ifndef POLAR_STORE_GHOST_H
#define POLAR_STORE_GHOST_H

#include "store/shard.h"

#define GHOST_SHARE 8u /* pages of the index to a page of ghosts */

void ghost_add(struct store *s, uint64_t hash);
/* Whether the key is remembered; it is forgotten then. */
bool ghost_take(struct store *s, uint64_t hash);
void ghost_prefetch(const struct store *s, uint64_t hash);
/* The index has split a bucket: both remember what the one did. */
void ghost_split(struct store *s, uint32_t from, uint32_t to);
/* The index has given up its last bucket. */
void ghost_merge(struct store *s, uint32_t removed);
/* After a flush: nothing is remembered; the pages are of the old generation. */
void ghost_forget(struct store *s, uint32_t buckets);

#endif
