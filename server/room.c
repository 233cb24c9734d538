#include "server/room.h"

#include "server/mailbox.h"
#include "server/session.h"

#define ROOM_WAIT_NS UINT64_C(5000000000)

bool room_keep(struct core *core, struct op *op)
{
    if (!room_is_awaited(core, op)) return false;
    op->next_waiting = NULL;
    op->wait_until_ns = core->now->ns + ROOM_WAIT_NS;
    if (core->waiting)
        core->waiting_last->next_waiting = op;
    else
        core->waiting = op;
    core->waiting_last = op;
    core->next_step_ns = core->now->ns;
    metric_add(&core->metrics.room_waits, 1);
    return true;
}

unsigned room_turn(struct core *core, const struct tick *now)
{
    struct op *op = core->waiting;
    if (!op) return 0;
    if (now->ns >= op->wait_until_ns) op->flags |= OP_WAITED; /* for the last time */
    op_execute(core, op);
    if (room_is_awaited(core, op)) return 1;
    core->waiting = op->next_waiting;
    if (op->asker == core->index)
        session_op_done(core, op);
    else
        mailbox_send_op(core, op->asker, op);
    return 1;
}
