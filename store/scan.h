/*
 * Iteration over all items of a shard while it changes: in the order of their hashes with the bits reversed, in which
 * each bucket of the index is one interval, however often it is split or merged. A cursor is a place in that order, so
 * it is good for ever: over growth, shrinking, moves, writes and flushes. An item that stands throughout (overwrites
 * included) is seen exactly once; one that comes or goes meanwhile, at most once for each time that it came.
 */
#ifndef POLAR_STORE_SCAN_H
#define POLAR_STORE_SCAN_H

#include "store/store.h"

/* One item, as it stands: views that are good until the store is next changed. value.cas: 0 if it has none. */
struct store_entry {
    struct store_value value;
    uint64_t hash;
    uint32_t key_len;
    const uint8_t *key; /* NULL: a long key in several pieces; see store_entry_key */
};

/* The key in one piece: where it lies, or copied to buf, which has room for key_len bytes. */
const uint8_t *store_entry_key(const struct store *store, const struct store_entry *entry, uint8_t *buf);

/* Must not change the store; may pin entry->value.item. */
typedef void store_scan_fn(void *arg, const struct store_entry *entry);

/*
 * Calls fn for each unexpired item of the next `buckets` buckets (of 10 items on average) after cursor; 0 begins.
 * Returns the cursor to go on with; 0: all have been seen. Reads only. Owner's core.
 */
uint32_t store_scan(const struct store *store, uint32_t cursor, uint32_t buckets, uint64_t now_ms, store_scan_fn *fn,
                    void *arg);

/*
 * One unexpired item by lot, each as likely as any other; seed: random bits, all of the lot there is. Work is bounded: in a
 * shard of many items nearly all of which have expired it may be the next one found. false: none was found.
 */
bool store_draw(const struct store *store, uint64_t seed, uint64_t now_ms, struct store_entry *out);

#endif
