/*
 * Composes requests into a chain of buffers. Requests are packed one behind the other into small buffers; the body of a
 * value that does not fit beside its header is referenced where it lies in the static pattern, never copied.
 */
#ifndef POLAR_BENCH_REQUEST_H
#define POLAR_BENCH_REQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <rte_mbuf.h>
#include "base/buf.h"
#include "bench/key.h"
#include "bench/workload.h"
#include "client/codec.h"

/* What all requests of a thread share. */
struct request_source {
    enum codec_protocol protocol;
    struct buf_pools *pools; /* borrowed */
    uint8_t *pattern;        /* the values' bodies, in DPDK's memory: owned */
    size_t pattern_len;
    rte_iova_t pattern_iova;
    struct rte_mbuf_ext_shared_info shared; /* counts the references to the pattern; never falls to 0 */
    uint32_t key_len;
    uint8_t key[KEY_MAX]; /* the digits are written for each request */
};

/* 0 or -ENOMEM. value_max: the longest value, bytes. */
int request_source_init(struct request_source *source, enum codec_protocol protocol, struct buf_pools *pools,
                        uint32_t key_len, uint32_t value_max);
/* Every buffer that references the pattern must have been freed. */
void request_source_fini(struct request_source *source);

/* Appends the request of op to chain. false, and nothing is appended: no buffer is to be had. */
bool request_append(struct request_source *source, struct buf_chain *chain, const struct planned_op *op);

/* The key of `index`, until the next call. */
static inline struct slice request_key(struct request_source *source, uint32_t index)
{
    key_digits(source->key + source->key_len - KEY_DIGITS, index);
    return (struct slice){source->key, source->key_len};
}

#endif
