/*
 * A store with a window, the naive model beside it, and readers whose reads take their time: a piece of 8 or 64 bytes
 * at a time, operations in between. What a reader knows of the index may be as old as it gets: some buckets and
 * directories come from copies of the region that were made long before. Everything follows from the seed.
 */
#ifndef POLAR_TESTS_STORE_WINDOW_WORLD_H
#define POLAR_TESTS_STORE_WINDOW_WORLD_H

#include <stdalign.h>
#include "rdma/window_read.h"
#include "tests/store/fixture.h"

#define READERS 3u
#define COPIES 3u
#define SET_MAX 256u
#define OPENS 3u
#define PINS 4u

struct profile {
    const char *name;
    uint32_t keys, hot; /* half of all operations go to the hot ones */
    uint64_t region_bytes;
    uint32_t (*len)(struct random *r); /* of a value */
    enum store_eviction eviction;
    uint32_t operations;
};

/* What a key had at a time. */
struct version {
    uint8_t *bytes;
    uint32_t len;
    uint32_t flags;
};

struct entry {
    uint8_t key[400];
    uint32_t key_len;
    uint64_t hash;
    bool present;
    uint32_t version;
    uint64_t expires_ms;
};

/* A look-up on its way. */
struct reading {
    bool active;
    uint32_t entry;
    struct window_get get;
    alignas(64) uint8_t buffer[WINDOW_GET_BYTES];
    uint32_t set[SET_MAX]; /* versions that were the key's at some moment since it began */
    uint32_t set_count;
    unsigned piece;
    uint32_t chunk, chunk_bytes, first; /* of the piece: done, size, with which one it began */
    bool backwards;
    const uint8_t *from; /* the window, or an old copy of it */
};

struct opened {
    bool open;
    uint32_t entry;
    struct store_write write;
    struct version version;
};

struct totals {
    uint64_t values, in_between, messages, old;
};

struct world {
    uint64_t seed;
    struct random r;
    const struct profile *profile;
    struct store *s;
    uint64_t now_ms;
    struct entry *entry;
    struct version *version;
    uint32_t version_count, version_room;
    struct window_map *map;
    const uint8_t *window;
    size_t window_bytes;
    uint8_t *copy[COPIES];
    struct reading reading[READERS];
    struct opened opened[OPENS];
    struct store_pin *pin[PINS];
    uint32_t step;
    struct totals totals;
    struct window_counts counts; /* of all worlds */
};
extern struct world w;

void world_begin(uint64_t seed);
void world_end(void);
/* A random operation on the store. */
void world_operate(void);
/* A reader goes on by a piece of what it reads, or begins; asserts what it ends with. */
void world_read(struct reading *r);

#endif
