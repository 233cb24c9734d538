/*
 * Reading a snapshot file. Opening it walks the heads of all blocks, so that a file that is cut, mixed up or not whole
 * is refused before anything of it is believed; loading checks each block's payload before it takes a record from it.
 * A loader takes its own shard's part, whatever number of shards the file was written by: so all of them can work at a
 * time, each on a thread of its own, and each block is checked by at least one.
 */
#ifndef POLAR_STORE_SNAPSHOT_IN_H
#define POLAR_STORE_SNAPSHOT_IN_H

#include "base/slot.h"
#include "store/snapshot_format.h"

/* What is wrong, and where. */
struct snapshot_fault {
    const char *what; /* static text; NULL: nothing */
    uint64_t block;   /* blocks before it in the file */
    uint64_t offset;  /* bytes before it, or before the block that it is in */
    int error;        /* errno of a read that failed, else 0 */
};

struct snapshot_in;

/* 0, -EBADMSG (damaged: *fault), -ENOMEM, or -errno of open and read (-ENOENT: there is none). */
int snapshot_in_open(struct snapshot_in **out, const char *path, struct snapshot_fault *fault);
void snapshot_in_close(struct snapshot_in **in);
const struct snapshot_header *snapshot_in_header(const struct snapshot_in *in);
const struct snapshot_totals *snapshot_in_totals(const struct snapshot_in *in);
uint64_t snapshot_in_blocks(const struct snapshot_in *in);

struct snapshot_load {
    struct store *store;          /* NULL: everything is checked and nothing kept */
    const struct slot_map *slots; /* who owns what, and */
    unsigned core;                /* who we are; unused without a store */
    uint64_t now_ms;              /* items whose time has passed are left out */
    uint64_t *progress;           /* bytes read, added to atomically; may be NULL */
    /* results */
    uint64_t items;     /* kept, or checked */
    uint64_t expired;   /* left out */
    uint64_t no_memory; /* refused by the store */
    uint64_t too_large; /* likewise: longer than it takes */
    struct snapshot_fault fault;
};

/* Bytes of blocks that this loader will read. */
uint64_t snapshot_load_bytes(const struct snapshot_in *in, const struct snapshot_load *load);
/*
 * 0, -EBADMSG (damaged: load->fault), -ENOMEM or -errno. After a fault the store holds some of the items: it is to be
 * emptied or given up. Any thread that owns the store for now; several loaders may share the reader. Blocks.
 */
int snapshot_load_run(const struct snapshot_in *in, struct snapshot_load *load);

#endif
