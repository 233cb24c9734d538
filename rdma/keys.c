#include "rdma/keys.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* The first range that ends at address or behind it; count: none does. */
static uint32_t lower_bound(const struct rdma_keys *k, uintptr_t address)
{
    uint32_t low = 0, high = k->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (k->ranges[middle].last < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int rdma_keys_add(struct rdma_keys *k, const void *base, size_t bytes, uint32_t lkey)
{
    struct rdma_key_range range = {.first = (uintptr_t)base, .last = (uintptr_t)base + bytes - 1, .lkey = lkey};
    assert(bytes > 0 && range.last >= range.first);
    if (k->count == RDMA_KEYS_MAX) return -ENOSPC;
    uint32_t at = lower_bound(k, range.first);
    if (at < k->count && k->ranges[at].first <= range.last) return -EEXIST;
    memmove(&k->ranges[at + 1], &k->ranges[at], (k->count - at) * sizeof *k->ranges);
    k->ranges[at] = range;
    k->count++;
    return 0;
}

void rdma_keys_allow(struct rdma_keys *k, const void *base, uint32_t rkey)
{
    uint32_t at = lower_bound(k, (uintptr_t)base);
    assert(at < k->count && k->ranges[at].first == (uintptr_t)base);
    k->ranges[at].rkey = rkey;
}

void rdma_keys_remove(struct rdma_keys *k, const void *base)
{
    uint32_t at = lower_bound(k, (uintptr_t)base);
    if (at == k->count || k->ranges[at].first != (uintptr_t)base) return;
    k->count--;
    memmove(&k->ranges[at], &k->ranges[at + 1], (k->count - at) * sizeof *k->ranges);
}

static int holds(const struct rdma_key_range *range, uintptr_t address, size_t n)
{
    return address >= range->first && address <= range->last && (n == 0 || n - 1 <= range->last - address);
}

const struct rdma_key_range *rdma_keys_find(const struct rdma_keys *k, const void *p, size_t n, uint32_t *hint)
{
    uintptr_t address = (uintptr_t)p;
    if (*hint < k->count && holds(&k->ranges[*hint], address, n)) return &k->ranges[*hint];
    uint32_t at = lower_bound(k, address);
    if (at == k->count || !holds(&k->ranges[at], address, n)) return NULL;
    *hint = at;
    return &k->ranges[at];
}
