/*
 * A server without threads or sockets: cores made as polarkv makes them, their pollers called in turn by the test, and
 * time that goes on by hand.
 */
#ifndef POLAR_TESTS_SERVER_FIXTURE_H
#define POLAR_TESTS_SERVER_FIXTURE_H

#include "server/core.h"
#include "tests/server/fake_stream.h"

#define FIXTURE_CORES 2u
#define FIXTURE_STREAMS 16u

enum fixture_protocol { FIXTURE_MEMCACHE, FIXTURE_RESP };

struct fixture {
    struct config config;
    struct server server;
    struct tick now;
    struct buf_pools rx; /* received buffers */
    struct core *cores;  /* [config.core_count] */
    struct fake_stream streams[FIXTURE_STREAMS];
    bool stuck[FIXTURE_STREAMS]; /* its peer does not read */
    unsigned stream_count;
    uint32_t idle_buffers[FIXTURE_CORES]; /* in use when nothing goes on */
};

/* The option, if any, is one more pair of the command line. Aborts when a core cannot be made. */
void fixture_init(struct fixture *x, unsigned cores, const char *option, const char *value);
void fixture_fini(struct fixture *x);
/* A new connection to that core; its index in streams. */
unsigned fixture_connect(struct fixture *x, unsigned core, enum fixture_protocol protocol);
/* One turn of one core, and of all of them with what peers read. */
unsigned fixture_turn_core(struct fixture *x, unsigned core);
unsigned fixture_turn(struct fixture *x);
/* Turns until nothing happens any more; aborts when that does not come to pass. */
void fixture_settle(struct fixture *x);
/* All connections end (those open: reset), then nothing may be left: buffers, pins, open writes, operations, leases. */
void fixture_end_streams(struct fixture *x);
/* Empty shards, as new. */
void fixture_clear(struct fixture *x);

#endif
