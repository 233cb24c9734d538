/*
 * A shard's side of a snapshot: turns its items into blocks, a bounded piece of work at a time, while it goes on
 * serving. Each item that stands throughout is in the snapshot once, whole, as it was at some moment between begin and
 * end; one that comes, changes or goes meanwhile is there as it was before or after, or not at all. So a snapshot is
 * not the state of one moment, but of each key one of its states.
 *
 * Blocks are lent by whoever writes them: empty ones come over one ring, full ones go over the other. Where there is no
 * empty one the shard waits; it never blocks.
 */
#ifndef POLAR_STORE_SNAPSHOT_OUT_H
#define POLAR_STORE_SNAPSHOT_OUT_H

#include "base/ring.h"
#include "store/snapshot_format.h"

#define SNAPSHOT_BLOCKS_LEAST 3u /* of a shard: one being filled, one to go on with, one being written */

struct snapshot_block {
    struct snapshot_head head;
    uint8_t bytes[SNAPSHOT_BLOCK_BYTES]; /* room for the head, then the payload */
};

struct snapshot_out_config {
    struct store *store;
    struct spsc_ring *empty; /* of struct snapshot_block; the shard takes */
    struct spsc_ring *full;  /* the shard puts; has room for all blocks there are */
    uint16_t shard;
    uint16_t slot_first; /* the slots that its keys may have */
    uint16_t slot_last;
};

enum snapshot_out_state { SNAPSHOT_OUT_RUNNING, SNAPSHOT_OUT_DONE, SNAPSHOT_OUT_NO_MEMORY };

struct snapshot_out;

/* 0 or -ENOMEM. Any thread. */
int snapshot_out_create(struct snapshot_out **out, const struct snapshot_out_config *config);
/* After the end, or after snapshot_out_cancel. Any thread. */
void snapshot_out_destroy(struct snapshot_out **out);

/* Shard's core. About 16 KiB of items; less if there is no block. Returns the work done; 0: nothing can be done now. */
unsigned snapshot_out_step(struct snapshot_out *out, uint64_t now_ms);
/* Shard's core. DONE: its SHARD block has been put. */
enum snapshot_out_state snapshot_out_state(const struct snapshot_out *out);
/* Shard's core: blocks put so far. */
uint64_t snapshot_out_blocks(const struct snapshot_out *out);
/* Shard's core, any time: gives back its pins, and does nothing more. */
void snapshot_out_cancel(struct snapshot_out *out);

#endif
