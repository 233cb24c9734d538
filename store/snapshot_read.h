/* Inside the snapshot reader: snapshot_in.c walks the file, snapshot_load.c takes the records. */
#ifndef POLAR_STORE_SNAPSHOT_READ_H
#define POLAR_STORE_SNAPSHOT_READ_H

#include "store/snapshot_in.h"

struct snapshot_place {
    uint64_t offset; /* of the block's head */
    struct snapshot_head head;
};

struct snapshot_in {
    int fd;
    struct snapshot_header header;
    struct snapshot_totals totals;
    struct snapshot_place *blocks;
    uint64_t block_count;
};

/* All n bytes. 0, -EBADMSG at the file's end, or -errno. */
int snapshot_read_at(int fd, void *dst, size_t n, uint64_t offset);
/* Notes a fault and returns rc. */
int snapshot_fault_set(struct snapshot_fault *f, int rc, const char *what, uint64_t block, uint64_t offset);

#endif
