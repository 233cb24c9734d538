/*
 * Which local key a piece of registered memory has on one device: the shards' regions, the buffers' pools. Filled by
 * the control thread while no core runs; only read after.
 */
#ifndef POLAR_RDMA_KEYS_H
#define POLAR_RDMA_KEYS_H

#include <stddef.h>
#include <stdint.h>

#define RDMA_KEYS_MAX 1024u

struct rdma_key_range {
    uintptr_t first, last; /* the last byte's address */
    uint32_t lkey;
    uint32_t rkey; /* for peers, which may read it; 0: they may not */
};

struct rdma_keys {
    uint32_t count;
    struct rdma_key_range ranges[RDMA_KEYS_MAX]; /* by address, disjoint */
};

/* 0, -ENOSPC, -EEXIST (overlaps another). */
int rdma_keys_add(struct rdma_keys *k, const void *base, size_t bytes, uint32_t lkey);
/* Peers may read what was added at base, with this key. */
void rdma_keys_allow(struct rdma_keys *k, const void *base, uint32_t rkey);
void rdma_keys_remove(struct rdma_keys *k, const void *base);
/* The range that holds the n bytes at p, NULL: none does. *hint: the caller's, the index of the range that was last
 * right. */
const struct rdma_key_range *rdma_keys_find(const struct rdma_keys *k, const void *p, size_t n, uint32_t *hint);

#endif
