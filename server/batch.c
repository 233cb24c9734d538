#include <stdlib.h>
#include <string.h>
#include "server/core.h"
#include "server/session.h"

struct op *batch_slot(struct core *core)
{
    if (core->batch.count == BATCH_MAX) batch_run(core);
    struct op *op = &core->batch.slots[core->batch.count];
    memset(op, 0, offsetof(struct op, value));
    op->pin = NULL;
    op->key_heap = NULL;
    op->asker = (uint8_t)core->index;
    return op;
}

void batch_submit(struct core *core, struct session *s, struct op *op)
{
    struct batch *batch = &core->batch;
    metric_add(&core->metrics.requests, 1);
    if (op->owner != core->index || s->queue_head) {
        struct op *waiting = op->flags & OP_PERSISTENT ? op : op_persist(core, op);
        if (!waiting) {
            session_break(s);
            return;
        }
        op = waiting;
        session_queue_push(s, op);
    }
    op->session = s;
    if (op->owner != core->index) {
        metric_add(&core->metrics.mailbox_sent, 1);
        mailbox_send_op(core, op->owner, op);
        return;
    }
    if (op->key.len) store_prefetch_bucket(core->store, op->key.hash);
    if (!(op->flags & OP_PERSISTENT)) s->batched++;
    batch->ops[batch->count++] = op;
}

void batch_run(struct core *core)
{
    struct batch *batch = &core->batch;
    unsigned count = batch->count;
    for (unsigned i = 0; i < count; i++)
        if (batch->ops[i]->key.len) store_prefetch_item(core->store, batch->ops[i]->key.hash);
    for (unsigned i = 0; i < count; i++) {
        struct op *op = batch->ops[i];
        op_execute(core, op);
        if (op->flags & OP_PERSISTENT) {
            session_op_done(core, op);
            continue;
        }
        op->session->batched--;
        session_reply(op->session, op);
        if (op->pin) store_unpin(core->store, op->pin);
        if (op->key_heap) free(op->key_heap);
    }
    batch->count = 0;
    core->scratch.used = core->scratch.keep;
    if (count) {
        metric_add(&core->metrics.batches, 1);
        metric_add(&core->metrics.batch_requests, count);
    }
    session_settle_all(core, false);
}
