/* What unit tests of the datapath share: two ends, some connections between them, bytes by a pattern. */
#ifndef POLAR_TESTS_RDMA_FIXTURE_H
#define POLAR_TESTS_RDMA_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/rdma/ends.h"

#define FIXTURE_SIDES 64u
#define FIXTURE_TURN_NS 10000u

struct fixture {
    struct fake *fake;
    struct end server, client;
    struct fake_device *raw_device;
    struct side sides[FIXTURE_SIDES]; /* 2 i: server's, 2 i + 1: client's or raw */
    unsigned count;
    struct buf_pools *pools;
};

extern const struct side_config side_default; /* buffers of 4096 bytes, no inline */

/* Both ends as end_config_default has it, changed by alter (NULL: not). Delays of up to a turn. */
void fixture_start(struct fixture *x, void (*alter)(struct end_config *config));
/* Ends what is left and checks that every connection gets its DONE and every buffer its pool. */
void fixture_end(struct fixture *x);
/* Returns the server's side; ->peer is the other. Established, registrations exchanged. */
struct side *fixture_connect(struct fixture *x, const struct side_config *config);
struct side *fixture_connect_raw(struct fixture *x, const struct side_config *config);
/* Turns of both ends: input, output, set-up, fabric. */
void fixture_turns(struct fixture *x, unsigned n);
void fixture_turn_input(struct fixture *x);  /* the first half */
void fixture_turn_output(struct fixture *x); /* the second */

uint8_t pattern(uint64_t at);
/* Queues and flushes n bytes of the pattern from byte `at` on, in frame buffers of at most piece bytes. */
void side_send(struct side *s, uint64_t at, uint32_t n, uint32_t piece);
/* All that was received is the pattern from `at` on: consumes it, returns its length. */
uint32_t side_take(struct side *s, uint64_t at);
void side_abort(struct side *s);
void side_close(struct side *s);
uint32_t fixture_in_use(const struct fixture *x);

#endif
