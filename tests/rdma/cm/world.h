/*
 * A connection manager, devices and their set-up in one process, in place of rdma/cm.c and of libibverbs' calls; what
 * is posted goes through tests/rdma/fake.h. A test makes events come in any order, calls fail, and devices go and
 * return; at the end nothing may be left of what was made.
 */
#ifndef POLAR_TESTS_RDMA_CM_WORLD_H
#define POLAR_TESTS_RDMA_CM_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/reactor.h"
#include "rdma/cm.h"
#include "rdma/core.h"
#include "tests/rdma/fake.h"

#define WORLD_DEVICES 2u
#define WORLD_CORES 2u
#define WORLD_SECOND UINT64_C(1000000000)

/* Errors of the next calls; 0: none. */
struct world_faults {
    int get, port_down, gid, bind, listen, accept, create_qp, modify_qp, reg_mr, alloc_mw, resolve, connect;
};

/* What there is of everything, and what has been called. */
struct world_counts {
    unsigned users, channels, ids, contexts, pds, cqs, srqs, mrs, qps;
    unsigned rejects, disconnects, accepts, notifies, looks;
};

struct world {
    struct fake *fake;
    struct buf_pools *pools; /* of each core */
    struct world_faults faults;
    bool no_windows; /* devices have none */
    struct world_counts counts;
    struct rdma_conn_param accepted, connected; /* of the last ones */
    unsigned max_dest_rd_atomic;                /* of the last pair that could receive */
    struct clock clock;                         /* the fake's time, from start_ns on */
    uint64_t start_ns;                          /* now: the dialer reads the machine's clock */
    struct reactor *reactor;
    struct stream_loop loop;
    unsigned streams_ended; /* whose handlers were told, and let go */
    int stream_error;       /* what the last one was told */
    struct rdma_core *cores[WORLD_CORES];
};

extern struct world world;

/* Device 0 is there, with 10.0.0.0/24 and every address of IPv6; device 1 has 10.0.1.0/24. cores: with so many
 * connections each. */
void world_start(unsigned cores, uint32_t max_connections);
/* Nothing is left, or the test fails. */
void world_end(void);
bool world_empty(void);
/* Turns of the set-up's reactor and of the cores. */
void world_turns(unsigned n);
/* So much time, in steps of a tenth of a second. */
void world_pass(uint64_t ns);

void world_device_come(unsigned device);
/* It is not there any more; who has an address on it or a connection is told so, unless silent. */
void world_device_go(unsigned device, bool silent);
/* The device says so of itself, of this id's pair (NULL: not of one). */
void world_device_event(unsigned device, enum ibv_event_type type, struct rdma_cm_id *id);

/* The id that is bound to the port, or NULL. */
struct rdma_cm_id *world_listener(uint16_t port);
/* A client asks at the port over the device. */
struct rdma_cm_id *world_request(uint16_t port, unsigned device);
/* An event for the id; for one that has been destroyed: nothing. */
void world_event(struct rdma_cm_id *id, enum rdma_cm_event_type type, int status);
bool world_alive(const struct rdma_cm_id *id);
/* Who has connected this id's pair, or was connected by it: the last message that came to any such peer. */
void world_peer_message(struct rdma_message *m);
/* He writes a byte; returns what his device says of it. */
enum ibv_wc_status world_peer_write(const struct rdma_cm_id *id, uint64_t address, uint32_t key);
/* The last id that was made by create_id. */
struct rdma_cm_id *world_last_id(void);

#endif
