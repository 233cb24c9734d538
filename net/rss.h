/*
 * How a device spreads connections over its queues, found out and then made use of. The key and the table that a driver
 * reports are believed only when frames that were received prove them: the hash that the device wrote into each must be
 * the one computed here, and the table must lead to the queue that the frame came on. Once proved, an active open picks
 * a source port whose replies come to its own queue.
 */
#ifndef POLAR_NET_RSS_H
#define POLAR_NET_RSS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <rte_mbuf.h>
#include "net/toeplitz.h"

#define RSS_TABLE_MAX 512u
#define RSS_PROOFS 32u /* frames that must agree */

struct rss {
    uint8_t key[TOEPLITZ_KEY_BYTES];
    uint16_t table[RSS_TABLE_MAX]; /* queues */
    uint16_t table_size;           /* a power of two; 0: nothing to prove */
    _Atomic uint32_t proofs;
    _Atomic bool refuted;          /* for good */
};

/* Asks the driver of a started device. What it does not tell leaves nothing to prove. Control thread. */
void rss_read(struct rss *rss, uint16_t port_id);
/* Looks at a received burst; any core. Costs nothing once proved or refuted. */
void rss_observe(struct rss *rss, uint16_t queue, struct rte_mbuf *const *frames, uint16_t n);
/* The queue that a device so configured puts an IPv4 segment on; all in network byte order. */
uint16_t rss_queue(const struct rss *rss, uint32_t src_be, uint32_t dst_be, uint16_t src_port_be, uint16_t dst_port_be);

static inline bool rss_settled(const struct rss *rss)
{
    return rss->table_size == 0 || atomic_load_explicit(&rss->proofs, memory_order_relaxed) >= RSS_PROOFS ||
           atomic_load_explicit(&rss->refuted, memory_order_relaxed);
}

static inline bool rss_proved(const struct rss *rss)
{
    return atomic_load_explicit(&rss->proofs, memory_order_relaxed) >= RSS_PROOFS &&
           !atomic_load_explicit(&rss->refuted, memory_order_relaxed);
}

#endif
