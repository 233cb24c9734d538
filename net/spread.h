/*
 * A port that several cores share. Frames that come to a core that is not theirs go to the right one over a ring before
 * anything looks at them. Cores without a queue of their own receive and send so altogether: core c uses queue c modulo
 * the number of queues, whose core is core c modulo that number.
 *
 * Rings have one producer and one consumer each: a pair of cores. What does not fit is dropped and counted by the sender.
 */
#ifndef POLAR_NET_SPREAD_H
#define POLAR_NET_SPREAD_H

#include <stdbool.h>
#include <stdint.h>
#include <rte_mbuf.h>
#include "net/steer.h"

#define SPREAD_CORES_MAX 64u
#define SPREAD_RING 1024u /* frames */

struct spread;

/* Wakes a core if it sleeps: called by another core that has pushed something for it. */
typedef void spread_wake_fn(void *arg, unsigned core);

struct spread_config {
    uint16_t cores;
    uint16_t queues;                    /* of the port, at most cores */
    bool by_hash;                       /* else segments for listeners stay on the queue that they came on */
    uint16_t client_first, client_last; /* source ports of active opens */
    uint64_t secret;                    /* 0: drawn at random */
    spread_wake_fn *wake;
    void *wake_arg;
};

/* Where a core counts: metrics of its own. */
struct spread_counts {
    uint64_t *out, *in, *copies, *dropped;
};

/* 0 or -errno. Control thread, before the cores run; destroyed after they have ended. Frees what is under way. */
int spread_create(struct spread **out, const struct spread_config *config);
void spread_destroy(struct spread **spread);
struct steer *spread_steer(struct spread *spread);
/* Whether core owns a queue of the port. */
bool spread_owns_queue(const struct spread *spread, unsigned core);
unsigned spread_queue(const struct spread *spread, unsigned core);

/* All below: thread of the core. */

/*
 * Sends on the received frames that are not for this core and puts those that are to the front; returns their number.
 * What is for all is copied from pool for each of the others.
 */
uint16_t spread_split(struct spread *spread, unsigned core, struct rte_mbuf **frames, uint16_t n, struct rte_mempool *pool,
                      const struct spread_counts *counts);
/* Frames that other cores have received for this one; at most max. */
uint16_t spread_receive(struct spread *spread, unsigned core, struct rte_mbuf **frames, uint16_t max,
                        const struct spread_counts *counts);
/* Hands frames to the core that owns this core's queue. Takes all of them: each a single direct buffer. */
void spread_transmit(struct spread *spread, unsigned core, struct rte_mbuf **frames, uint16_t n,
                     const struct spread_counts *counts);
/* Frames that other cores want sent on this core's queue; at most max. */
uint16_t spread_to_transmit(struct spread *spread, unsigned core, struct rte_mbuf **frames, uint16_t max);

#endif
