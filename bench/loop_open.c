/*
 * Open loop: operations are due at the times of a Poisson process, whatever the server does. One that finds no
 * connection free waits, and its latency is counted from when it was due (no coordinated omission). Arrivals do not
 * depend on the server, so the times are drawn only when a connection has room: the backlog needs no queue.
 */
#include <math.h>
#include "bench/worker.h"

static void open_room(struct worker *w, struct conn *c, uint64_t now_tsc)
{
    (void)now_tsc;
    worker_wait_push(w, c);
}

static uint64_t next_gap(struct worker *w)
{
    double u = (double)((rng_next(&w->arrivals) >> 11) + 1) * 0x1p-53; /* (0, 1] */
    return (uint64_t)(-log(u) * w->mean_gap_tsc);
}

static unsigned open_turn(struct worker *w, uint64_t now_tsc)
{
    unsigned started = 0;
    struct conn *c = NULL;
    /* Late though a connection was free: that is this program's own lag. */
    if (w->due_tsc <= now_tsc && !w->all_full) worker_note_lag(w, now_tsc - w->due_tsc);
    while (w->due_tsc <= now_tsc && (c = worker_wait_pop(w)) != NULL) {
        struct buf_chain chain;
        struct planned_op op;
        buf_chain_init(&chain);
        if (!c->connected || !worker_plan(w, &op)) continue;
        if (!conn_start(c, &chain, &op, w->due_tsc)) {
            worker_wait_push(w, c);
            break;
        }
        conn_send(c, &chain);
        w->due_tsc += next_gap(w);
        started++;
        if (conn_has_room(c)) worker_wait_push(w, c);
    }
    w->all_full = w->waiting_head == NULL;
    return started;
}

const struct loop loop_open = {.room = open_room, .turn = open_turn};
