#include "server/tour.h"

#include "server/core.h"
#include "server/session.h"

void tour_begin(struct session *s, struct tour *tour)
{
    s->tour = tour;
    tour_continue(s);
}

void tour_continue(struct session *s)
{
    struct tour *tour = s->tour;
    if (tour->asking || !tour->step(s, tour)) return;
    s->tour = NULL;
    tour->free(tour);
}

void tour_end(struct session *s)
{
    if (s->tour) s->tour->free(s->tour);
    s->tour = NULL;
}

struct op *tour_slot(struct session *s, unsigned owner, enum op_kind kind, op_reply_fn *reply)
{
    struct op *op = batch_slot(s->core);
    op->kind = (uint8_t)kind;
    op->owner = (uint8_t)owner;
    op->flags = OP_FIRST | OP_LAST;
    op->reply = reply;
    return op;
}

void tour_ask(struct session *s, struct op *op)
{
    s->tour->asking = true;
    batch_submit(s->core, s, op);
}

void tour_answered(struct session *s)
{
    s->tour->asking = false;
    stream_raise(s->stream, STREAM_READABLE);
}
