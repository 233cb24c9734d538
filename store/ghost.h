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

#define GHOSTS_A_PAGE (PAGE_BYTES / 8u) /* buckets whose ghosts are in one */

/* Where the number of the page stands that has the bucket's ghosts; 0: none yet. */
static inline uint32_t *ghost_page(const struct store *s, uint32_t bucket)
{
    return &s->ghost[bucket / GHOSTS_A_PAGE];
}
/* NULL: there is no page. */
static inline uint64_t *ghost_word(const struct store *s, uint32_t bucket)
{
    uint32_t page = *ghost_page(s, bucket);
    return page ? (uint64_t *)region_at(s, page_offset(page, 0)) + bucket % GHOSTS_A_PAGE : NULL;
}

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
