/*
 * A stack for fuzzers: it listens on port 7, and one connection from 10.0.0.2:4000 is open. Sequence numbers are
 * relative to the two SYNs. Everything is freed, and leaks abort, in fuzz_stack_close.
 */
#ifndef POLAR_TESTS_NET_FUZZ_FUZZ_STACK_H
#define POLAR_TESTS_NET_FUZZ_FUZZ_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/stream.h"
#include "net/stack.h"

#define FUZZ_FRAME 2000u
#define FUZZ_TCP_AT 34u /* of the TCP header in a frame of fuzz_segment */

struct fuzz_stack {
    struct net_stack *stack;
    struct stream_loop loop;
    uint64_t now;
    uint32_t iss;          /* the stack's */
    uint32_t ack;          /* the last acknowledgement of the stack, relative to our SYN */
    struct stream *stream; /* of the connection; NULL: gone */
    uint64_t frames;       /* sent by the stack */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Aborts when the handshake does not complete. sack: the peer permits SACK. */
void fuzz_stack_open(struct fuzz_stack *f, bool sack);
void fuzz_stack_close(struct fuzz_stack *f);
struct rte_mempool *fuzz_stack_pool(void); /* of buffers for what the application writes */
/* Writes a segment of the connection with len bytes of payload at `payload`; returns its length. Checksums are right.
 */
uint32_t fuzz_segment(const struct fuzz_stack *f, uint8_t *frame, uint8_t flags, uint32_t seq, uint32_t ack,
                      const void *options, uint32_t options_len, const void *payload, uint32_t len);
/* Mends the IPv4 header's and the TCP, ICMP or ICMPv6 checksum, as far as the lengths make sense. */
void fuzz_checksums(uint8_t *frame, uint32_t len);
/* A frame in; then the application's events (an error closes), timers after `wait_ns`, and output. */
void fuzz_turn(struct fuzz_stack *f, const uint8_t *frame, uint32_t len, uint64_t wait_ns);

#endif
