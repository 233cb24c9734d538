/* Taking and loading snapshots in one thread, for tests. */
#ifndef POLAR_TESTS_STORE_SNAPSHOT_SUPPORT_H
#define POLAR_TESTS_STORE_SNAPSHOT_SUPPORT_H

#include "store/snapshot_file.h"
#include "store/snapshot_in.h"
#include "store/snapshot_out.h"
#include "tests/store/fixture.h"

#define SUPPORT_NOW 1000000u
#define SUPPORT_SHARDS 8u
#define SUPPORT_BLOCKS SNAPSHOT_BLOCKS_LEAST

/* A snapshot under way: the shards' sides and the writer's, without threads. */
struct taking {
    struct snapshot_file file;
    unsigned shards;
    struct snapshot_out *out[SUPPORT_SHARDS];
    struct spsc_ring *empty[SUPPORT_SHARDS], *full[SUPPORT_SHARDS];
    struct snapshot_block *blocks[SUPPORT_SHARDS][SUPPORT_BLOCKS];
    uint64_t written;
};

/* A folder of its own, made once and removed at exit; a path in it. */
const char *support_path(const char *name);

void taking_begin(struct taking *t, struct store **stores, unsigned shards, const struct slot_map *slots,
                  const char *path);
/* One step of each shard, and up to `writes` blocks of each to the file. False: all shards are done. */
bool taking_step(struct taking *t, unsigned writes);
/* The file in its place, everything freed. */
void taking_finish(struct taking *t);
/* Given up in the middle. */
void taking_abandon(struct taking *t);
/* All at once. */
void support_take(struct store **stores, unsigned shards, const char *path);

/* Loads into stores, one loader after the other. What snapshot_in_open or the first loader that failed said. */
int support_load(struct store **stores, unsigned shards, const char *path, uint64_t now_ms, struct snapshot_load *sum);
/* Checks a file as a server does without keeping it. */
int support_check(const char *path, struct snapshot_fault *fault);

uint8_t *support_read_file(const char *path, size_t *len); /* malloc'ed */
void support_write_file(const char *path, const uint8_t *data, size_t len);

#endif
