/*
 * The gate between a port's queues and the driver's control channel. Some drivers (memif) take a queue's rings away on
 * DPDK's interrupt thread, when their peer leaves or dies, without asking whether a core is inside a burst on it. So every
 * interrupt call-back of DPDK runs with the gates of all such ports shut: no core is inside, and none comes in.
 *
 * To go through costs a core a store and a load without a fence; the interrupt thread pays with membarrier(2). Link this
 * library before DPDK's, shared: it takes the place of rte_intr_callback_register and its fellows.
 */
#ifndef POLAR_NET_PORT_GATE_H
#define POLAR_NET_PORT_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <rte_atomic.h>
#include <rte_branch_prediction.h>

/* One a queue, written by its core. */
struct port_gate_side {
    _Atomic uint32_t inside;
};

/* One a port. */
struct port_gate {
    _Atomic uint32_t shut;
    bool fenced;                     /* the kernel has no membarrier(2): a fence at each passage */
    uint16_t side_count;
    struct port_gate_side *sides;    /* the first; a stride apart */
    size_t stride;
    struct port_gate *next;
};

/* Puts a gate before the sides, which are a stride of bytes apart. Before the port starts. Control thread. */
void port_gate_add(struct port_gate *gate, struct port_gate_side *sides, size_t stride, uint16_t count);
void port_gate_remove(struct port_gate *gate);

/* False: shut; come again. The core of the side. */
static inline bool port_gate_enter(struct port_gate *gate, struct port_gate_side *side)
{
    atomic_store_explicit(&side->inside, 1, memory_order_relaxed);
    if (unlikely(gate->fenced)) rte_smp_mb();
    else rte_compiler_barrier();
    if (likely(!atomic_load_explicit(&gate->shut, memory_order_acquire))) return true;
    atomic_store_explicit(&side->inside, 0, memory_order_release);
    return false;
}

static inline void port_gate_leave(struct port_gate_side *side)
{
    atomic_store_explicit(&side->inside, 0, memory_order_release);
}

/* Shuts all gates and waits until nobody is inside; opens them. Calls nest, on one thread or several. */
void port_gate_shut_all(void);
void port_gate_open_all(void);

#endif
