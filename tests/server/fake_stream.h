/*
 * A stream in memory, for tests of sessions: input comes in pieces and buffers of the test's choice, output is
 * gathered, and what the session asked of the transport is recorded. Like kernel sockets it appends to the last
 * received buffer while that has room. The struct outlives close and abort, as the test's.
 */
#ifndef POLAR_TESTS_SERVER_FAKE_STREAM_H
#define POLAR_TESTS_SERVER_FAKE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/stream.h"

struct fake_stream {
    struct stream stream;
    struct rte_mempool *pool; /* of received buffers */
    struct buf_chain tx;      /* sent, not yet delivered */
    uint8_t *sent;            /* delivered */
    size_t sent_len, sent_cap;
    uint64_t fed, consumed; /* bytes */
    uint32_t most_queued;   /* the largest tx_queued there was */
    bool closed, aborted;   /* by the session */
};

void fake_stream_init(struct fake_stream *f, struct stream_loop *loop, struct rte_mempool *pool);
/* Received: n bytes in buffers of at most `room` bytes each. Nothing after close or abort. */
void fake_stream_feed(struct fake_stream *f, const void *data, size_t n, uint32_t room);
void fake_stream_eof(struct fake_stream *f);
void fake_stream_error(struct fake_stream *f, int error);
/* The peer takes at most n bytes of what was sent. Returns the bytes taken. */
uint32_t fake_stream_deliver(struct fake_stream *f, uint32_t n);
/* The transport's own end, after close or abort. */
void fake_stream_fini(struct fake_stream *f);

#endif
