/* The one contiguous mapping that holds a shard's items, index and bookkeeping. Control path. */
#ifndef POLAR_STORE_REGION_H
#define POLAR_STORE_REGION_H

#include <stddef.h>
#include <stdint.h>
#include "store/store.h"

struct region {
    uint8_t *base; /* aligned to 2 MiB */
    size_t bytes;
    size_t page_bytes; /* of the pages that it is made of */
    int fd;            /* the file that it lies in, locked while it is mapped; -1: none */
};

/*
 * Maps about so many bytes, down to a whole number of pages, all zero, and makes all of them resident. AUTO: reserved
 * huge pages if enough of them are free, else ordinary ones, which the kernel may join. touched: counts bytes,
 * atomically; may be NULL. 0, -EINVAL or -ENOMEM.
 */
int region_map(struct region *r, size_t bytes, enum store_huge huge, uint64_t *touched);
/*
 * Maps a file on tmpfs or hugetlbfs. *there: it was there with this size, and holds what somebody left; else it is new,
 * and to be renewed. 0, -EBUSY (mapped by another), -EMEDIUMTYPE (another file system), -EPERM (another's file),
 * -EINVAL, or -errno.
 */
int region_open(struct region *r, const char *path, size_t bytes, bool *there);
/* Makes a file's region all zero and resident. 0 or -errno. */
int region_renew(struct region *r, uint64_t *touched);
/* Maps a file's resident pages from byte `at` on, some of them; returns how many bytes. */
size_t region_map_ahead(const struct region *r, size_t at);
void region_unmap(struct region *r);

#endif
