/*
 * One shard's store: an index under linear hashing and items in a compacting slab, all inside one region.
 * Everything here is for the shard's own core, but for store_write_fill (see there). Nothing blocks or locks.
 * Times are wall-clock milliseconds since 1970, handed in.
 */
#ifndef POLAR_STORE_STORE_H
#define POLAR_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "store/metrics.h"

struct store;

enum store_status {
    STORE_OK,
    STORE_NOT_FOUND,
    STORE_NOT_STORED, /* the condition of ADD, REPLACE, APPEND or PREPEND does not hold */
    STORE_EXISTS,     /* CAS: the item has changed since */
    STORE_NO_MEMORY,  /* the byte limit; nothing was changed, the old item stands */
    STORE_TOO_LARGE,  /* value over max_value or key over max_key */
};

/*
 * What goes when memory is wanting. No operation evicts more than 32 items or moves more than 4 KiB of others.
 */
enum store_eviction {
    STORE_EVICT_NONE,   /* nothing: the write is refused */
    STORE_EVICT_FIFO,   /* what was stored first */
    STORE_EVICT_HYBRID, /* new items that nobody reads, by age; else what the clock finds unused */
};

/* Reserved huge pages for the region: never, as a condition, where enough are free. */
enum store_huge { STORE_HUGE_NO, STORE_HUGE_YES, STORE_HUGE_AUTO };

struct store_config {
    unsigned core;
    unsigned cores;        /* between which the keys are divided; counts where region_path is given */
    const char *region_path; /* file of the region, on tmpfs or hugetlbfs, whose pages it has then; NULL: none */
    uint64_t memory_limit; /* bytes: one region for items, index and bookkeeping; 1 MiB to 32 GiB, rounded down */
    uint32_t max_value;    /* bytes, at most 512 MiB */
    uint32_t max_key;      /* bytes, at most 65535 */
    enum store_eviction eviction;
    enum store_huge huge_pages;
    uint64_t *touched;     /* counts bytes of the region as they become resident, atomically; may be NULL */
    bool window;       /* peers may read the region by themselves: base/window.h. 8 bytes an item, and a sum at each write */
    uint32_t pins_max; /* items pinned at a time, rounded up to a power of two; 0: one for 8 KiB, at most 65536 */
};

/*
 * 0, -ENOMEM, -EINVAL. Maps and touches the region: a thread that runs on the core's processor gets memory of its node.
 * With region_path also -EBUSY (another server has the file), -EMEDIUMTYPE (of another kind of file system), -EPERM (it
 * is not ours), or -errno. Control path.
 */
int store_create(struct store **out, const struct store_config *config);
void store_destroy(struct store **store);
/*
 * As store_destroy, and the file of the region keeps everything for a store_create to come, with the same config. No
 * pin that is still there counts any more, and no write that is not committed.
 */
void store_park(struct store **store);
/* Whether store_create took up what store_park had left; else why not, NULL without region_path. */
bool store_is_warm(const struct store *store, const char **why);
/*
 * Maps the next 32 MiB of the region from byte *at on, which goes on: what store_create took up is resident, but each of
 * its pages costs a fault when it is first used. False: that was the end. Any thread, beside the core.
 */
bool store_map_ahead(const struct store *store, size_t *at);
/* Where the region lies, for devices that are to know it; page_bytes: of the pages that it is made of. */
void store_region(const struct store *store, void **base, size_t *bytes, size_t *page_bytes);

/*
 * What a peer may be given to read: from its line on all of the region, headers, keys and values of all items in it.
 * False: config.window was not set.
 */
bool store_window(const struct store *store, void **base, size_t *bytes);
/* The time by which readers of the window judge: before the first operation with a new one, and each time the core wakes,
 * which must be every WINDOW_CLOCK_MS at least. */
void store_window_tick(struct store *store, uint64_t now_ms);

struct store_key {
    const uint8_t *data;
    uint32_t len;  /* 1..max_key */
    uint64_t hash; /* store_hash(data, len) */
};

uint64_t store_hash(const void *data, size_t len); /* XXH3, 64 bits */

/* The first two passes of a batch: the bucket's line, then the lines of the items whose tags match. Hints only. */
void store_prefetch_bucket(const struct store *store, uint64_t hash);
void store_prefetch_item(struct store *store, uint64_t hash);

/* What stands beside the value. */
struct store_meta {
    uint32_t flags;      /* memcached's client flags */
    uint64_t expires_ms; /* 0: never. A time in the past: the item is stored and gone at once */
};

/*
 * A view of a stored value. Valid until the next call that changes this store, unless pinned. store_get moves nothing:
 * the views of a whole batch of them are good together. store_gets may move its own item only.
 */
struct store_value {
    uint32_t item;       /* handle */
    uint32_t len;        /* bytes of value */
    const uint8_t *data; /* first fragment */
    uint32_t data_len;   /* bytes in it; equals len unless the value is chained over pages */
    uint32_t next;       /* opaque, for store_next_fragment */
    uint64_t cas;        /* 0 unless asked for */
    struct store_meta meta;
};

/* STORE_OK or STORE_NOT_FOUND (absent or expired; an expired item is removed here). */
enum store_status store_get(struct store *store, const struct store_key *key, uint64_t now_ms, struct store_value *out);
/* As store_get, and the item has a CAS unique from now on (it may be moved for it): also STORE_NO_MEMORY. */
enum store_status store_gets(struct store *store, const struct store_key *key, uint64_t now_ms,
                             struct store_value *out);
/* What memcached's meta commands ask of an item: its h and l. Its t is in the value's meta. */
struct store_access {
    bool read_before; /* since it was stored, by a get */
    bool known;       /* idle_s is; else nobody had asked before, and read_before means lately */
    uint32_t idle_s;  /* seconds since it was last stored, read or touched */
};
/*
 * As store_get. From the first asking on the item keeps its last access, in 12 bytes more (8 if it has an expiry in
 * seconds, 4 in milliseconds; it may be moved for it): no other item pays. Also STORE_NO_MEMORY.
 */
enum store_status store_get_access(struct store *store, const struct store_key *key, uint64_t now_ms,
                                   struct store_value *out, struct store_access *access);
/* Turns *v's data/data_len into the next fragment of a chained value; false at the end. */
bool store_next_fragment(const struct store *store, struct store_value *v);

/*
 * A pin keeps the bytes of one item's value where they are, unchanged, whatever happens to the key (overwritten,
 * deleted, flushed, evacuated) until store_unpin. Pins of one item are counted. NULL: out of pins; copy instead.
 * store_pin_ref is one more reference on a pin, to be given back by a store_unpin of its own. Owner's core only.
 */
struct store_pin;
struct store_pin *store_pin(struct store *store, uint32_t item);
void store_pin_ref(struct store_pin *pin);
void store_unpin(struct store *store, struct store_pin *pin);

enum store_mode { STORE_SET, STORE_ADD, STORE_REPLACE, STORE_APPEND, STORE_PREPEND, STORE_CAS };

/*
 * A write in two steps, so that a value is copied once, straight from the received buffers, as it streams in:
 * reserve (the new item's memory, not visible), fill, then commit or abort. Plain data; may be moved.
 */
struct store_write {
    uint32_t item;      /* handle of the reserved item */
    uint32_t value_len; /* bytes */
    uint32_t filled;    /* bytes filled so far */
    uint8_t *dst;       /* where the next byte goes */
    uint32_t dst_len;   /* bytes left in this fragment */
    uint32_t next;      /* opaque: the next fragment */
    const struct store *store;
};

/* room_for_expiry: commit may give an expiry though meta has none. STORE_OK, STORE_NO_MEMORY, STORE_TOO_LARGE. */
enum store_status store_reserve(struct store *store, const struct store_key *key, uint32_t value_len,
                                const struct store_meta *meta, bool room_for_expiry, struct store_write *out);
/*
 * Appends n bytes (filled + n <= value_len). Touches only the reserved memory: the one call that another core may
 * make, between the owner's reserve and commit, when both were handed over a ring.
 */
void store_write_fill(struct store_write *w, const void *src, uint32_t n);
/*
 * Makes the write visible if mode's condition holds; else, and on any status but STORE_OK, the write is aborted.
 * APPEND and PREPEND keep the old item's meta. cas counts for STORE_CAS only. Requires filled == value_len.
 */
enum store_status store_commit(struct store *store, struct store_write *w, const struct store_key *key,
                               enum store_mode mode, uint64_t cas, const struct store_meta *meta, uint64_t now_ms);
void store_abort(struct store *store, struct store_write *w);

/*
 * reserve + fill + commit for a value in one piece. Overwrites in place where that is possible. Neither key nor value
 * may lie in this store, unless pinned: a write may move items. meta may be NULL, here and above: no flags, no expiry.
 */
enum store_status store_set(struct store *store, const struct store_key *key, const void *value, uint32_t value_len,
                            const struct store_meta *meta, enum store_mode mode, uint64_t cas, uint64_t now_ms);

enum store_status store_delete(struct store *store, const struct store_key *key, uint64_t now_ms);
/* Gives the item another expiry (0: none). STORE_OK, STORE_NOT_FOUND, STORE_NO_MEMORY. */
enum store_status store_touch(struct store *store, const struct store_key *key, uint64_t expires_ms, uint64_t now_ms);
/* Every item that is visible now is gone now. Memory comes back in bounded steps (store_step). */
void store_flush(struct store *store);
/* Bounded background work (a few microseconds at most): reclaim after a flush, expired items. Returns work done. */
unsigned store_step(struct store *store, uint64_t now_ms);

/*
 * Whether a value of so many bytes that found no memory may find some after a number of steps (store_step). With
 * eviction: it is no more than seven eighths of the store; the index of the others needs the rest. Without: so much is
 * free, and it is being gathered from pages that are partly so.
 */
bool store_makes_room(const struct store *store, uint64_t bytes);

uint64_t store_count(const struct store *store);                      /* items; any thread */
const struct store_metrics *store_metrics(const struct store *store); /* any thread, relaxed reads */
/* Walks everything and checks every invariant; aborts with a message on a fault. Tests only. */
void store_check(const struct store *store);

#endif
