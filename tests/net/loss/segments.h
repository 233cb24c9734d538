/* Scripts about loss: a peer that takes SACK, in segments of 1,000 bytes so that numbers can be read. */
#ifndef POLAR_TESTS_NET_LOSS_SEGMENTS_H
#define POLAR_TESTS_NET_LOSS_SEGMENTS_H

#include "tests/net/sim/script.h"

#define LOSS_MSS 1000u
#define LOSS_RTT_NS UINT64_C(100000)

/* The peer opens with MSS 1000 and SACK, the round trip is LOSS_RTT_NS; s->ts (with 12 bytes more MSS) as script_open. */
void loss_open(struct script *s);
/* Opens, queues n segments and takes those of the initial window, ten at most, off the list. */
void loss_open_and_send(struct script *s, uint32_t n);
/* An ACK with blocks: pairs of start, end. With s->ts, at most three. */
void loss_ack(struct script *s, uint32_t ack, unsigned blocks, const uint32_t *edges);
/* Data with ack 1. */
void loss_data(struct script *s, uint32_t seq, uint32_t len);
/* Segment i (from 0) begins at this number. */
static inline uint32_t loss_at(uint32_t i) { return 1 + LOSS_MSS * i; }
/* The SACK blocks of a segment that the stack sent, relative to the peer's numbers; returns how many. */
unsigned loss_blocks(const struct script_segment *t, uint32_t edges[8]);

#define LOSS_ACK(s, ack, ...)                                                                                            \
    loss_ack(s, ack, sizeof(uint32_t[]){__VA_ARGS__} / 8, (const uint32_t[]){__VA_ARGS__})

#endif
