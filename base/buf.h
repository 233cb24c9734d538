/*
 * Buffers. DPDK's mbuf is the one buffer type; these are thin names over it and a byte queue of mbufs.
 *
 * A chain links segments through mbuf->next. Inside a chain pkt_len and nb_segs are not kept: only data_off and
 * data_len of each segment count. A chain owns one reference on each of its segments.
 * Everything here is for one thread at a time: the core that owns the chain.
 */
#ifndef POLAR_BASE_BUF_H
#define POLAR_BASE_BUF_H

#include <stdbool.h>
#include <stdint.h>
#include <rte_mbuf.h>

/* The pools of one core. Created by buf_pools_create; the pools are single-core (no lock) caches over shared rings. */
struct buf_pools {
    struct rte_mempool *frame; /* received frames and large copied data; data room = frame_room + headroom */
    struct rte_mempool *small; /* headers and small replies: BUF_SMALL_ROOM + headroom */
    struct rte_mempool *ref;   /* no data room: for indirect and external buffers */
};

#define BUF_SMALL_ROOM 384u /* bytes of data room of a small buffer, beside RTE_PKTMBUF_HEADROOM */

struct buf_pools_config {
    unsigned core;        /* names the pools; also the NUMA hint */
    uint32_t frame_count; /* buffers in each pool */
    uint32_t small_count;
    uint32_t ref_count;
    uint32_t frame_room;  /* bytes, without the headroom; at least the longest frame the port may receive */
};

/* 0 or -errno (-ENOMEM names the pool in the log). Control thread. */
int buf_pools_create(struct buf_pools *pools, const struct buf_pools_config *config);
void buf_pools_destroy(struct buf_pools *pools);
/* Buffers of all three pools that are out of their pool: the leak check of tests and metrics. */
uint32_t buf_pools_in_use(const struct buf_pools *pools);

/* A byte queue of segments. */
struct buf_chain {
    struct rte_mbuf *head;
    struct rte_mbuf *tail;
    uint32_t len; /* bytes */
};

static inline const uint8_t *buf_data(const struct rte_mbuf *m) { return rte_pktmbuf_mtod(m, const uint8_t *); }

static inline void buf_chain_init(struct buf_chain *c) { c->head = c->tail = NULL; c->len = 0; }

/* Appends m (one segment or several linked by next). Takes m. */
void buf_chain_append(struct buf_chain *c, struct rte_mbuf *m);
/* Moves all of src behind dst; src is empty after. */
void buf_chain_join(struct buf_chain *dst, struct buf_chain *src);
/* Drops n bytes (at most c->len) from the front and frees the segments that are used up. */
void buf_chain_consume(struct buf_chain *c, uint32_t n);
void buf_chain_free(struct buf_chain *c);
/* Copies n bytes from byte offset off; returns the bytes copied (fewer only when the chain ends). */
uint32_t buf_chain_copy(const struct buf_chain *c, uint32_t off, void *dst, uint32_t n);

/* A place in a chain: byte off of segment m. Stays right while segments are appended; not across a consume. */
struct buf_cursor {
    const struct rte_mbuf *m; /* NULL: the end of the chain when it was empty */
    uint32_t off;
};

static inline struct buf_cursor buf_chain_begin(const struct buf_chain *c)
{
    return (struct buf_cursor){.m = c->head, .off = 0};
}
/* Moves forward by n bytes, over borders; stops at the last segment's end. Skips empty segments. */
void buf_cursor_advance(struct buf_cursor *cur, uint32_t n);
/* The contiguous bytes at the cursor; 0 only at the end of the chain. */
uint32_t buf_cursor_window(struct buf_cursor *cur, const uint8_t **p);
/* Copies n bytes and moves forward; returns the bytes copied. */
uint32_t buf_cursor_read(struct buf_cursor *cur, void *dst, uint32_t n);

#endif
