/*
 * kvbench's worker against polarkv's sessions, over the RDMA datapath at both ends and a fabric of the test's own. With
 * --onesided in the arguments the server's stores can be read, as option rdma-onesided has it; its sessions are all on
 * the first core.
 */
#ifndef POLAR_TESTS_BENCH_RDMA_RUN_H
#define POLAR_TESTS_BENCH_RDMA_RUN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "bench/report.h"
#include "bench/worker.h"
#include "tests/rdma/ends.h"
#include "tests/server/fixture.h"

#define RUN_MS 1000000u
#define RUN_TURN_NS 2000u
#define RUN_SIDES 512u

/* Stands for a connection until it is established, as that of transport_rdma.c does. */
struct run_attempt {
    struct stream stream;
    bool taken;
};

struct run {
    struct fixture server; /* its sessions */
    struct buf_pools pools;
    struct fake *fake;
    struct end near, far;                /* client, server */
    struct side sides[RUN_SIDES];        /* 2 i: server's, 2 i + 1: client's */
    uint32_t region_keys[FIXTURE_CORES]; /* of the far end's */
    struct run_attempt attempts[RUN_SIDES];
    unsigned count;
    struct side_config side;
    struct bench_plan plan;
    struct transport transport;
    struct worker_gate gate;
    struct worker worker;
    struct report report;
    bool resp, done;
    /* Of the next run: NULL, or as they say. */
    void (*alter)(struct end_config *server);
    void (*before_fabric)(void), (*after_fabric)(void);
};

extern struct run x;

/* Of a group of tests: a server of one core; one of FIXTURE_CORES whose stores may be read; and that with a password.
 */
#define RUN_PASSWORD "secret"
int run_set_up(void **state);
int run_set_up_onesided(void **state);
int run_set_up_password(void **state);
int run_tear_down(void **state);

void run_start(uint64_t seed, uint32_t buffer_bytes, const char *arguments);
void run_turn(void);
void run_turns(unsigned n);
void run_until(enum worker_phase phase);
void run_to_end(void); /* and makes the report */
/* Nothing is left: connections, buffers, pins, items. */
void run_finish(void);
/* From start to end, without a fault; run_finish is still to come. */
void run_good(uint64_t seed, uint32_t buffer_bytes, const char *arguments);

#endif
