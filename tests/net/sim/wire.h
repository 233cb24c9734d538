/*
 * Two stacks, a wire between them and a clock that jumps from event to event. The wire delays, loses, duplicates,
 * reorders and corrupts by a seed, so a run repeats exactly. Frames are copied from the sender's pools into the
 * receiver's, as a device would.
 */
#ifndef POLAR_TESTS_NET_SIM_WIRE_H
#define POLAR_TESTS_NET_SIM_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/stream.h"
#include "net/stack.h"

#define SIM_HOSTS 2u

struct sim_wire;

/* Runs a host's streams: pops its loop. Called once a turn, after input. */
typedef void sim_turn_fn(void *arg, struct stream_loop *loop);
/* Sees each frame before the wire does anything to it; false: the frame is lost. frame: linear copy, len bytes. */
typedef bool sim_filter_fn(void *arg, unsigned from, const uint8_t *frame, uint32_t len);

struct sim_host {
    struct sim_wire *wire;
    unsigned index;
    struct net_stack *stack;
    struct stream_loop loop;
    struct buf_pools pools;
    sim_turn_fn *turn;
    void *turn_arg;
};

struct sim_faults {
    uint64_t latency_ns;
    uint64_t jitter_ns;    /* up to so much is added: reorders when above the gap between frames */
    unsigned loss, duplicate, corrupt, reorder; /* parts in 10,000; a reordered frame comes up to 20 latencies late */
};

struct sim_event {
    uint64_t at;
    uint64_t serial;
    struct rte_mbuf *m;
    unsigned to;
};

struct sim_wire {
    uint64_t now;
    uint64_t rng;
    struct sim_faults faults;
    struct sim_host hosts[SIM_HOSTS];
    struct sim_event *heap;
    uint32_t count, cap;
    uint64_t serial;
    uint64_t frames;       /* offered */
    sim_filter_fn *filter;
    void *filter_arg;
};

/* Hosts 10.0.0.1 and 10.0.0.2 (/24); pools of `buffers` each. change (may be NULL) edits a host's configuration. */
void sim_wire_create(struct sim_wire *w, uint64_t seed, uint32_t buffers, const struct sim_faults *faults,
                     void (*change)(unsigned host, struct net_stack_config *config));
/* Destroys stacks and frames. Returns the buffers that are still out of the pools: leaks. */
uint32_t sim_wire_destroy(struct sim_wire *w);
uint32_t sim_ip(unsigned host); /* host byte order */
/* Goes to the next event and runs both hosts. False: nothing will ever happen again, or it lies after until. */
bool sim_wire_step(struct sim_wire *w, uint64_t until);
void sim_wire_run(struct sim_wire *w, uint64_t for_ns); /* the clock is at now + for_ns after */
/* A turn of both hosts at the present time, without waiting for an event. */
void sim_wire_turn(struct sim_wire *w);
/* Puts a frame made by the test onto the wire towards a host, without faults. */
void sim_wire_inject(struct sim_wire *w, unsigned to, const void *frame, uint32_t len);
uint64_t sim_random(struct sim_wire *w);

#endif
