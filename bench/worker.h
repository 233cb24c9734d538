/*
 * One thread's part of a run: its connections, what they ask, what came back. Driven by worker_turn with the time
 * handed in, so a test can be the clock and the server.
 *
 *   CONNECTING -> LOADING -> WARMUP -> MEASURING -> DRAINING -> CLOSING -> DONE       worker_phase.c
 *
 * LOADING is left out without a preload. Threads wait for one another before LOADING and before WARMUP.
 */
#ifndef POLAR_BENCH_WORKER_H
#define POLAR_BENCH_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/stream.h"
#include "bench/histogram.h"
#include "bench/idle.h"
#include "bench/onesided.h"
#include "bench/options.h"
#include "bench/process_time.h"
#include "bench/reply.h"
#include "bench/request.h"
#include "bench/server_stats.h"
#include "bench/transport.h"
#include "bench/workload.h"

enum worker_phase {
    WORKER_CONNECTING,
    WORKER_LOADING,
    WORKER_WARMUP,
    WORKER_MEASURING,
    WORKER_DRAINING,
    WORKER_CLOSING,
    WORKER_DONE,
    WORKER_PHASES
};

struct worker;

/* An operation on its way. */
struct conn_op {
    uint64_t start_tsc; /* open loop: when it was meant to start */
    uint32_t index;
    bool is_get;
};

/* A GET that reads the server's memory, beside the connection's FIFO. */
struct look {
    struct conn *conn;
    struct conn_op op;
    struct look *next; /* free, or to be asked by request */
    uint8_t key[KEY_MAX];
};

/* Whether the server has let a connection in by its password. */
enum conn_auth { CONN_AUTH_NONE, CONN_AUTH_ASKED, CONN_AUTH_DONE };

struct conn {
    struct worker *worker;
    struct stream *stream; /* NULL: not open, or lost */
    struct conn_op *ops;   /* ring of ops_mask + 1, from first (oldest) to last */
    uint32_t first, last;
    uint64_t left;       /* requests until it is closed for another one */
    uint64_t opened_tsc; /* when the one before it was closed; 0: it is the first */
    bool connected;
    bool early; /* its first requests may still go with its SYN */
    enum conn_auth auth;
    bool waiting; /* on the worker's list of connections with room */
    struct conn *next_waiting;
    struct reply_reader reader;
    struct onesided *onesided; /* the server's windows; NULL: not asked for */
    int onesided_error;        /* they could not be: errno */
    struct look *free_looks;
    struct look *vain_looks; /* found nothing that counts: to be asked by request */
    uint32_t looking;        /* looks that are not free */
};

static inline uint32_t conn_in_flight(const struct conn *c)
{
    return c->last - c->first + c->looking;
}

/* What happened in a phase. */
struct worker_counts {
    uint64_t gets, sets; /* answered */
    uint64_t hits, misses;
    uint64_t wrong;
    uint64_t errors; /* refused by the server, not the protocol, or lost with their connection */
    uint64_t left;   /* of one-sided GETs: those that were not looked up, so that the server sees what is read */
};

/* How operations are started: closed loop (loop_closed.c) or open (loop_open.c). */
struct loop {
    /* A connection has room for another operation. */
    void (*room)(struct worker *w, struct conn *c, uint64_t now_tsc);
    /* Once a turn. Returns the operations started. */
    unsigned (*turn)(struct worker *w, uint64_t now_tsc);
};
extern const struct loop loop_closed;
extern const struct loop loop_open;

/* What the threads of a run share. */
struct worker_gate {
    uint32_t threads;
    _Atomic uint32_t arrived[WORKER_PHASES];
    _Atomic bool failed; /* a thread has no connection left: all end */
};

struct worker_config {
    const struct bench_plan *plan;
    uint32_t thread;
    uint32_t connections; /* this thread's */
    uint32_t idle;        /* this thread's idle ones */
    const struct zipf *zipf;
    struct worker_gate *gate;
    struct buf_pools *pools;
    struct transport *transport;
    uint64_t tsc_hz;
    uint64_t (*read_tsc)(void); /* when events are handled */
    void (*done)(void *arg);    /* once, in WORKER_DONE */
    void *done_arg;
};

struct worker {
    struct worker_config config;
    enum worker_phase phase;
    const struct loop *loop;
    struct conn *conns;
    struct conn_op *ops; /* of all connections */
    struct look *looks;  /* likewise; NULL: without --onesided */
    bool looks_starved;  /* some that were in vain found no buffer */
    uint32_t ops_mask;
    struct request_source source;
    struct workload workload;
    struct conn *waiting_head, *waiting_tail;

    /* Connecting. */
    uint32_t opened, connected, alive, connect_failures, lost;
    int connect_errno; /* of the last failure */
    struct idle_conns idle;

    /* The phase's limits. */
    uint64_t phase_end_tsc; /* 0: none */
    struct tick now;        /* of the latest turn */
    uint64_t run_end_tsc;   /* the hard stop */
    uint32_t depth;         /* requests in flight on a connection, at most */
    uint32_t load_next;
    uint64_t in_flight;
    bool arrived; /* at the gate behind this phase */
    bool cut;     /* the hard stop came first */

    /* Open loop. */
    uint64_t due_tsc;    /* when the next operation is meant to start */
    double mean_gap_tsc; /* between two of them */
    struct rng arrivals;
    bool all_full;                              /* the last turn ended for want of a connection with room */
    uint64_t lag_tsc, lag_count, lag_worst_tsc; /* behind the intended time though a connection had room */

    /* What came of it. */
    struct worker_counts counts[WORKER_PHASES];
    struct histogram get_ns, set_ns;
    uint64_t ns_per_tsc_32; /* ns a tick, times 2^32 */
    uint64_t measure_start_tsc, measure_end_tsc;
    struct window_counts windows_before, windows_after; /* of measuring */
    uint64_t reopened;                                  /* connections closed for another one */
    uint64_t starved;                                   /* times no buffer was to be had */
    char error_text[REPLY_TEXT];                        /* the first error */

    /* Thread 0 alone. */
    struct server_stats *stats; /* NULL: not asked */
    struct process_time server_before, server_after;
    struct reactor_stats reactor_before, reactor_after;
    const struct reactor *reactor;
};

static inline bool conn_has_room(const struct conn *c)
{
    return conn_in_flight(c) < c->worker->depth && c->left > 0;
}
/* Requests that a connection is opened for. */
static inline uint64_t conn_budget(const struct worker *w)
{
    uint64_t n = w->config.plan->options.reconnect;
    return n ? n : UINT64_MAX;
}

/* 0 or -errno. config is copied. reactor may be NULL (in a test): no busy share then. */
int worker_init(struct worker *w, const struct worker_config *config, const struct reactor *reactor);
void worker_fini(struct worker *w);
/* Events of the streams, operations to start, the phase. Returns the work done. A poller_fn's body. */
unsigned worker_turn(struct worker *w, const struct tick *now);
/* When it wants its next turn though nothing happens. */
uint64_t worker_deadline_ns(const struct worker *w);

/* conn.c: the rest is for worker*.c and loop_*.c. */
void conn_on_events(struct conn *c, struct stream *s, uint64_t now_tsc);
/* Appends one operation to a chain still to be sent. false: no buffer. */
bool conn_start(struct conn *c, struct buf_chain *chain, const struct planned_op *op, uint64_t start_tsc);
void conn_send(struct conn *c, struct buf_chain *chain);
void conn_close(struct conn *c);
/* An operation has been answered; wrong values and latency are the worker's to know. */
void conn_count(struct worker *w, const struct conn_op *op, const struct reply *reply, uint64_t now_tsc);
/* Appends its request, and puts it into the FIFO. false: no buffer. */
bool conn_append(struct conn *c, struct buf_chain *chain, const struct planned_op *op, uint64_t start_tsc);
/* conn_auth.c: the server takes requests from now on: with --password it has said so, else the stream is up. *fault:
 * why it never will, or unchanged. */
bool conn_let_in(struct conn *c, uint32_t events, const char **fault);
/* conn_look.c: with --onesided, else nothing. */
void conn_looks_init(struct conn *c, struct look *looks);
void conn_windows_ask(struct conn *c); /* the server has let it in */
bool conn_windows_open(const struct conn *c);
/* Why there are no windows, nor will be: NULL, or one line. */
const char *conn_windows_fault(const struct conn *c, uint32_t events);
/* false: the operation is to be asked by request. */
bool conn_look(struct conn *c, const struct planned_op *op, uint64_t start_tsc);
/* A look-up is over; value NULL: in vain. */
void conn_on_look(struct look *l, const uint8_t *value, uint32_t len);
/* Those in vain are asked by request; for want of a buffer later, by conn_looks_again. */
void conn_looks_ask(struct conn *c);
void conn_looks_again(struct worker *w);
/* Before the stream is given back. What was under way is not answered. */
void conn_looks_end(struct conn *c);
/* worker.c */
void worker_wait_push(struct worker *w, struct conn *c);
struct conn *worker_wait_pop(struct worker *w);
/* The phases of the load itself. */
static inline bool worker_is_asking(const struct worker *w)
{
    return w->phase == WORKER_WARMUP || w->phase == WORKER_MEASURING;
}
/* Is there an operation to start in this phase? Fills it. */
bool worker_plan(struct worker *w, struct planned_op *op);
void worker_note_error(struct worker *w, const char *text); /* keeps the first */
void worker_note_lag(struct worker *w, uint64_t lag_tsc);
/* worker_phase.c */
void worker_phase_turn(struct worker *w, uint64_t now_tsc, uint64_t now_ns);

#endif
