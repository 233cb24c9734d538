/*
 * A bounded ring of pointers between exactly one producer thread and one consumer thread. Capacity is a power of two.
 * Producer and consumer indices stand on cache lines of their own and each side caches the other's.
 */
#ifndef POLAR_BASE_RING_H
#define POLAR_BASE_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

struct spsc_ring {
    _Alignas(64) _Atomic uint32_t tail; /* producer writes */
    uint32_t head_seen;                 /* producer's copy of head */
    _Alignas(64) _Atomic uint32_t head; /* consumer writes */
    uint32_t tail_seen;                 /* consumer's copy of tail */
    _Alignas(64) uint32_t mask;
    void *slots[];
};

/* NULL when capacity is not a power of two or memory is out. Freed with free(). */
static inline struct spsc_ring *spsc_ring_create(uint32_t capacity)
{
    if (capacity == 0 || (capacity & (capacity - 1)) != 0) return NULL;
    size_t bytes = sizeof(struct spsc_ring) + (size_t)capacity * sizeof(void *);
    struct spsc_ring *r = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
    if (!r) return NULL;
    atomic_init(&r->tail, 0);
    atomic_init(&r->head, 0);
    r->head_seen = r->tail_seen = 0;
    r->mask = capacity - 1;
    return r;
}

/* false: full. Producer thread. */
static inline bool spsc_ring_push(struct spsc_ring *r, void *p)
{
    uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    if (tail - r->head_seen > r->mask) {
        r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
        if (tail - r->head_seen > r->mask) return false;
    }
    r->slots[tail & r->mask] = p;
    atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
    return true;
}

/* NULL: empty. Consumer thread. */
static inline void *spsc_ring_pop(struct spsc_ring *r)
{
    uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    if (head == r->tail_seen) {
        r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
        if (head == r->tail_seen) return NULL;
    }
    void *p = r->slots[head & r->mask];
    atomic_store_explicit(&r->head, head + 1, memory_order_release);
    return p;
}

#endif
