/* Closed loop: a connection asks again as soon as it has been answered, up to its pipeline's depth. */
#include "bench/worker.h"

static unsigned conn_fill(struct worker *w, struct conn *c, uint64_t now_tsc)
{
    struct buf_chain chain;
    struct planned_op op;
    unsigned started = 0;
    buf_chain_init(&chain);
    while (conn_has_room(c) && worker_plan(w, &op)) {
        if (!conn_start(c, &chain, &op, now_tsc)) {
            worker_wait_push(w, c);
            break;
        }
        started++;
    }
    conn_send(c, &chain);
    return started;
}

static void closed_room(struct worker *w, struct conn *c, uint64_t now_tsc)
{
    conn_fill(w, c, now_tsc);
}

/* Those that wait: all of them when a phase starts, later the ones that found no buffer. */
static unsigned closed_turn(struct worker *w, uint64_t now_tsc)
{
    unsigned started = 0;
    struct conn *last = w->waiting_tail, *c = NULL;
    while (c != last && (c = worker_wait_pop(w)) != NULL)
        if (c->connected) started += conn_fill(w, c, now_tsc);
    return started;
}

const struct loop loop_closed = {.room = closed_room, .turn = closed_turn};
