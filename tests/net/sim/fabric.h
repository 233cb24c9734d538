/*
 * N stacks around a switch, and a clock that jumps from event to event. Each host hangs on two pipes, to the switch and
 * from it; a pipe has a rate, a queue, marks, delay and faults. Everything is drawn from one seed, so a run repeats
 * exactly. Frames are copied out of the sender's pools, and into the receiver's when they arrive, as by devices.
 */
#ifndef POLAR_TESTS_NET_SIM_FABRIC_H
#define POLAR_TESTS_NET_SIM_FABRIC_H

#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/stream.h"
#include "net/stack.h"

#define FABRIC_HOSTS 8u
#define FABRIC_NS_PER_MS UINT64_C(1000000)

struct fabric;

/* What a pipe does to frames; zero: nothing. */
struct fabric_faults {
    uint64_t latency_ns;
    uint64_t jitter_ns;   /* up to so much is added: reorders when above the gap between frames */
    uint64_t late_ns;     /* a reordered frame comes up to so much later */
    uint64_t rate;        /* bits a second; 0: unlimited */
    uint32_t queue_bytes; /* what comes to a longer queue is dropped; 0: unlimited */
    uint32_t mark_bytes;  /* what comes to a longer queue is marked, or dropped if it is not ECN-capable; 0: never */
    uint16_t mtu;         /* longer packets are dropped; 0: any */
    bool tell_mtu;        /* and answered by ICMP */
    bool down;
    unsigned loss, duplicate, corrupt, reorder; /* parts in 10,000 */
};

enum fabric_fate {
    FABRIC_SENT,
    FABRIC_LOST,
    FABRIC_QUEUE_FULL,
    FABRIC_DOWN,
    FABRIC_TOO_BIG,
    FABRIC_ARRIVED,
    FABRIC_NO_BUFFER
};

struct fabric_pipe {
    struct fabric_faults faults;
    uint64_t free_at; /* when the last frame queued has left */
    uint64_t frames, dropped, marked;
    uint32_t queue_most; /* bytes */
};

/* Runs a host's streams: pops its loop. Called once a turn, after input. */
typedef void fabric_turn_fn(void *arg, unsigned host);
/* Sees frames leave a host (FABRIC_SENT), be dropped, and arrive; may change the bytes of those that leave or arrive.
 * False: the frame is lost. */
typedef bool fabric_tap_fn(void *arg, enum fabric_fate fate, unsigned host, uint8_t *frame, uint32_t len);

struct fabric_host {
    struct fabric *fabric;
    unsigned index;
    struct net_stack *stack;
    struct stream_loop loop;
    struct buf_pools pools;
    bool pools_made;
    struct fabric_pipe up, down; /* towards the switch, from it */
    uint64_t poll_ns;            /* frames wait for a multiple of this: bursts. 0: they do not wait */
    uint64_t wake_at;            /* the applications' own timer; UINT64_MAX: none */
    struct net_stack_config config;
};

struct fabric_event;

struct fabric {
    uint64_t now;
    uint64_t rng;
    unsigned count;
    struct fabric_host hosts[FABRIC_HOSTS];
    struct fabric_event *heap;
    uint32_t events, cap;
    uint64_t serial;
    uint64_t steps;
    fabric_turn_fn *turn;
    fabric_tap_fn *tap;
    void *arg;
    bool v6;       /* set before the start, and stays: hosts have addresses of IPv6 alone */
    uint16_t vlan; /* the same: of all frames; 0: untagged */
};

/* hosts 10.0.0.1 and so on, /24, or 2001:db8::1 and so on, /64. change may be NULL. Pools of `buffers` each are kept over several runs of a fabric. */
void fabric_start(struct fabric *f, uint64_t seed, unsigned hosts, uint32_t buffers,
                  void (*change)(struct fabric *f, unsigned host, struct net_stack_config *config));
/* Destroys stacks and frames. Returns the buffers that are still out of the pools: leaks. */
uint32_t fabric_stop(struct fabric *f);
void fabric_free(struct fabric *f); /* the pools too */

uint32_t fabric_ip(unsigned host); /* host byte order */
struct net_addr fabric_addr(const struct fabric *f, unsigned host);
uint32_t fabric_ip_at(const struct fabric *f); /* where packets begin in frames */
/* A host loses its power and comes back at once: a new stack with new secrets, which listens on nothing and knows of no
 * connection. Its streams are gone. Returns the buffers that the old one kept. */
uint32_t fabric_reboot(struct fabric *f, unsigned host);
uint64_t fabric_random(struct fabric *f);
/* Within [least, most]. */
uint64_t fabric_between(struct fabric *f, uint64_t least, uint64_t most);
bool fabric_chance(struct fabric *f, unsigned per_10000);

/* Goes to the next event and runs the hosts it concerns. False: nothing will ever happen again, or it lies after until.
 */
bool fabric_step(struct fabric *f, uint64_t until);
void fabric_run(struct fabric *f, uint64_t for_ns); /* the clock is at now + for_ns after */
/* A turn of a host at the present time: after a call into its stack or streams from outside. */
void fabric_turn(struct fabric *f, unsigned host);

#endif
