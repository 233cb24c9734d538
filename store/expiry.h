/* Items whose time has passed: removed on access, by the sweep, and when a page is evacuated. */
#ifndef POLAR_STORE_EXPIRY_H
#define POLAR_STORE_EXPIRY_H

#include "store/shard.h"

/* Takes an item whose time has passed out of the index and releases it. */
void expire_item(struct store *s, uint32_t item, uint64_t hash);
/*
 * Goes on with the sweep: page by page, past those that are not due; in one that is, slot by slot. Looks at up to scan
 * descriptors and a bounded number of slots. Returns 0 when nothing is due any more: the round is over.
 * lag_s: a page is left alone until so long after its first item was due, so that one walk finds more; 0 where memory
 * is wanted now.
 */
unsigned sweep_some(struct store *s, uint32_t scan, uint32_t lag_s);

#endif
