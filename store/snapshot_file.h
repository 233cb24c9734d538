/*
 * Writing a snapshot file: beside its place (PATH.tmp), and into its place by a rename when it is whole and on the
 * device. So what lies at PATH is always a complete snapshot, whenever the process ends. One thread; blocks on the
 * file.
 */
#ifndef POLAR_STORE_SNAPSHOT_FILE_H
#define POLAR_STORE_SNAPSHOT_FILE_H

#include <limits.h>
#include "store/snapshot_format.h"

struct snapshot_file {
    int fd; /* -1: none */
    struct snapshot_header header;
    struct snapshot_totals totals; /* summed from the SHARD blocks */
    uint64_t blocks;
    uint64_t written;   /* bytes */
    uint64_t submitted; /* of these, bytes that the kernel has been asked to write out */
    char path[PATH_MAX];
    char temporary[PATH_MAX];
};

/* Replaces an unfinished PATH.tmp. 0 or -errno. */
int snapshot_file_create(struct snapshot_file *f, const char *path, uint32_t shards, uint64_t now_ms);
/*
 * Appends a block: SNAPSHOT_HEAD_BYTES for its head, which is written here, then h->length bytes of payload. Fills in
 * h->number and h->payload_sum. 0 or -errno.
 */
int snapshot_file_append(struct snapshot_file *f, struct snapshot_head *h, uint8_t *block);
/* The END block, then to the device and into place. 0 or -errno; the file is closed, on an error removed. */
int snapshot_file_finish(struct snapshot_file *f, uint64_t now_ms);
/* Gives the file up. Nothing is in its place that was not there before. */
void snapshot_file_abandon(struct snapshot_file *f);

#endif
