/*
 * A stack and a peer that the test plays by hand: it writes segments, and sees each frame that the stack sends. Sequence
 * numbers are relative: the peer's first byte and the stack's first byte are both number 1, their SYNs number 0.
 */
#ifndef POLAR_TESTS_NET_SIM_SCRIPT_H
#define POLAR_TESTS_NET_SIM_SCRIPT_H

#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/stream.h"
#include "net/stack.h"

#define SCRIPT_FRAMES 512u
#define SCRIPT_FRAME_BYTES 1600u
#define SCRIPT_MS UINT64_C(1000000)
#define SCRIPT_PORT 7u        /* where the stack listens */
#define SCRIPT_PEER_PORT 4000u
#define SCRIPT_PEER_ISS 0xfffff000u /* so that the numbers wrap early */

enum { F = 0x01, S = 0x02, R = 0x04, P = 0x08, A = 0x10 };

struct script_frame {
    uint8_t bytes[SCRIPT_FRAME_BYTES];
    uint32_t len;
    uint64_t at;
    uint64_t ol_flags;
    uint16_t l2_len, l3_len, segments;
};

/* A TCP segment that the stack has sent. */
struct script_segment {
    uint32_t seq, ack; /* relative */
    uint8_t flags;
    uint16_t wnd;
    uint32_t len;
    const uint8_t *payload;
    const uint8_t *options;
    uint32_t options_len;
    uint64_t at;
    const struct script_frame *frame;
};

struct script {
    struct net_stack *stack;
    struct stream_loop loop;
    struct buf_pools pools;
    uint64_t now;
    uint32_t iss;          /* the stack's, learned from its SYN */
    uint16_t local_port, peer_port;
    bool ts;               /* the peer sends timestamps */
    uint32_t ts_val, ts_ecr;
    struct stream *stream; /* accepted */
    unsigned accepted;
    bool abort_on_accept;
    struct script_frame frames[SCRIPT_FRAMES];
    uint32_t head, tail;
};

void script_create(struct script *s, void (*change)(struct net_stack_config *config));
uint32_t script_destroy(struct script *s); /* buffers leaked */
/* The peer sends a segment; then the stack takes a turn. options_len: a multiple of 4. */
void script_send_options(struct script *s, uint8_t flags, uint32_t seq, uint32_t ack, uint16_t wnd,
                         const void *options, uint32_t options_len, const void *payload, uint32_t len);
void script_send(struct script *s, uint8_t flags, uint32_t seq, uint32_t ack, uint16_t wnd, const void *payload,
                 uint32_t len);
/* Writes the frame of such a segment without sending it; returns its length. */
uint32_t script_build(struct script *s, uint8_t *frame, uint8_t flags, uint32_t seq, uint32_t ack, uint16_t wnd,
                      const void *options, uint32_t options_len, const void *payload, uint32_t len);
void script_checksum(uint8_t *frame, uint32_t len); /* mends both checksums */
void script_frame_in(struct script *s, const void *frame, uint32_t len); /* any frame; then a turn */
void script_output(struct script *s);
/* Time passes, each timer at its moment. */
void script_wait(struct script *s, uint64_t ns);
/* The next segment that the stack sent; fails the test when there is none. */
struct script_segment script_next(struct script *s);
/* The next one is this. len: payload bytes. */
struct script_segment script_expect(struct script *s, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len);
void script_expect_nothing(struct script *s);
const struct script_frame *script_next_frame(struct script *s); /* NULL: none */
/* The peer opens (MSS 1460, and scale 0 and timestamps as s->ts says): ends established, s->stream set. */
void script_open(struct script *s, uint16_t wnd);
/* The stack opens towards the peer: ends established. */
void script_connect(struct script *s, uint16_t wnd);
/* The application queues len bytes of a pattern and flushes; then output. */
void script_write(struct script *s, uint32_t len);
/* Events of the stream since the last call. */
uint32_t script_events(struct script *s);

#endif
