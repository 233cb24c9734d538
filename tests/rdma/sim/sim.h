/*
 * The datapath at both ends of the fake fabric, from a seed: connections of random shapes, messages of 1 byte to 1 MB,
 * readers that are slow or keep buffers, kills and faults. What must hold whatever happens:
 *
 *   bytes come exactly once, in order; all of them where nobody disturbed the connection
 *   every connection gets its one DONE, when its handler has let go; no buffer and no pinned memory is left
 *   no queue is overrun, no memory is read or written that is not registered (the fabric aborts)
 */
#ifndef POLAR_TESTS_RDMA_SIM_H
#define POLAR_TESTS_RDMA_SIM_H

#include "tests/rdma/ends.h"

#define SIM_LINKS_MAX 6u
#define SIM_HELD 4u
#define SIM_HOARD_MAX 256u

/* The handler of one side. */
struct sim_app {
    struct sim *sim;
    struct side *side;
    uint64_t sent, plan; /* bytes given to the stream; bytes to give in all */
    uint64_t taken;      /* bytes that came and were right */
    uint32_t stream_id;  /* which pattern it sends */
    uint32_t slowness;   /* it reads once in so many turns */
    uint32_t limit;      /* bytes it lets the transport hold */
    bool waiting;        /* for STREAM_WRITABLE */
    bool failed;         /* has seen STREAM_ERROR or STREAM_EOF */
    bool had_stream;
    bool closes; /* this one closes when it has sent everything */
    struct rte_mbuf *held[SIM_HELD];
};

struct sim_link {
    bool disturbed; /* bytes may be lost */
    uint64_t disturb_turn;
};

struct sim {
    uint64_t seed, turn;
    struct fake *fake;
    struct buf_pools *pools;
    struct end ends[2];
    unsigned links;
    struct sim_link link[SIM_LINKS_MAX];
    struct side sides[2 * SIM_LINKS_MAX];
    struct sim_app apps[2 * SIM_LINKS_MAX];
    struct rte_mbuf *hoard[SIM_HOARD_MAX]; /* buffer headers that nobody gets for a while */
    unsigned hoarded;
};

/* Prints the seed and what is wrong, and aborts. */
void sim_check(const struct sim *sim, bool fine, const char *what);
/* One seed from beginning to end. Adds both ends' metrics to *sum. */
void sim_run(uint64_t seed, struct buf_pools *pools, struct rdma_metrics *sum);

/* sim_app.c */
void sim_app_init(struct sim_app *app, struct sim *sim, unsigned index);
void sim_app_turn(struct sim_app *app);
void sim_app_release(struct sim_app *app); /* frees what it held */
void sim_app_let_go(struct sim_app *app, bool abort);
/* Memory of the apps that is sent in place: a piece that is freed is scribbled over. */
void sim_arena_register(struct end *e);
unsigned sim_arena_used(void);

#endif
