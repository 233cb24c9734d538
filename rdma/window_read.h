/*
 * GET by reading a shard's window (base/window.h): a look-up says what it wants to read next, is told when that is
 * there, and ends with the value or with the advice to ask by message. No I/O, no allocation, no clock.
 *
 *     DIRECTORY  line, and the directory where the bucket's page was not known; first of all the line alone
 *     BUCKET     line and bucket
 *     LINK       an overflow bucket
 *     ITEM       as much of an item whose tag is the key's as items have lately been long
 *     REST       what it is longer
 *
 * Bucket and directory are hints. What is returned was the key's value at some moment since window_get_begin: the sum
 * in the item says so, with seed and time of a line that was read since (store/window.h has the proof). What is not
 * beyond doubt is a miss: a line by which the bucket was another, an item that is gone, a sum that is wrong. The
 * second miss ends it; so does at once what a second look would not change: no such item, one in several pieces, one
 * that is about to expire.
 *
 * Every number that was read is checked before it is used: the memory is the server's, and may be garbage.
 */
#ifndef POLAR_RDMA_WINDOW_READ_H
#define POLAR_RDMA_WINDOW_READ_H

#include "base/window.h"

struct window_counts {
#define METRIC(name, kind, help) uint64_t name;
#include "rdma/window.def"
#undef METRIC
};

/* One shard's window, as a client knows it. */
struct window_map {
    uint64_t bytes;          /* from its line on */
    uint16_t shard, shards;  /* what its line must say; shards 0: anything */
    bool known;              /* seen is: */
    struct window_line seen; /* the last line that was read */
    uint32_t entries;        /* of the directory; 0: not known */
    uint32_t guess;          /* bytes that an item is read with at once */
    uint32_t shorter;        /* items in a row that were shorter */
    struct window_counts counts;
    uint32_t directory[];
};

/* For a window of so many bytes. NULL: out of memory, or no window can be so small. Control path. */
struct window_map *window_map_create(uint64_t bytes);
void window_map_destroy(struct window_map **map);
/* Whose window it is: a key is looked for in its own shard's, and a line that says otherwise is not believed. */
void window_map_expect(struct window_map *map, unsigned shard, unsigned shards);
/* Takes a line that was read. False: this is no window, or not one that we know how to read. */
bool window_map_learn(struct window_map *map, const uint8_t *line);

/* What is to be read: bytes from the window's byte `at` on. */
struct window_piece {
    uint64_t at;
    uint32_t bytes;
    uint8_t *into;
};

enum window_step {
    WINDOW_READ,    /* get->pieces, in any order; then window_get_on */
    WINDOW_VALUE,   /* get->value */
    WINDOW_MESSAGE, /* by message */
};

#define WINDOW_PIECES_MAX 2u
#define WINDOW_GET_BYTES (192u + WINDOW_ITEM_BYTES_MAX + 48u) /* a multiple of 64 */

struct window_get {
    struct window_map *map;
    const uint8_t *key; /* the caller's, until the end */
    uint32_t key_len;
    uint64_t hash;
    uint8_t *buffer; /* WINDOW_GET_BYTES, which the pieces are read into; aligned to 8 */
    struct window_piece pieces[WINDOW_PIECES_MAX];
    unsigned piece_count;
    /* with WINDOW_VALUE; it lies in the buffer */
    const uint8_t *value;
    uint32_t value_len;
    uint32_t flags; /* memcached's client flags */

    enum { WINDOW_AT_DIRECTORY, WINDOW_AT_BUCKET, WINDOW_AT_LINK, WINDOW_AT_ITEM } state;
    unsigned misses, steps;
    uint32_t number;     /* of the bucket */
    uint32_t page;       /* where it lies */
    uint32_t epoch;      /* of the line by which it was asked for */
    uint32_t known;      /* buckets by that line */
    uint32_t item;       /* place */
    uint32_t have;       /* bytes of it */
    uint16_t candidates; /* slots of the present bucket that are still to be looked at */
};

/* Begins a look-up. hash: window_hash of the key, which has 1 to 65535 bytes. */
enum window_step window_get_begin(struct window_get *get, struct window_map *map, const void *key, uint32_t key_len,
                                  uint64_t hash, uint8_t *buffer);
/* All pieces are there. */
enum window_step window_get_on(struct window_get *get);

#endif
