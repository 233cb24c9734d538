/* SAVE, BGSAVE, LASTSAVE: snapshots by request of a redis client. */
#include "server/exec_resp.h"

#include <stddef.h>
#include <string.h>
#include "server/reply.h"
#include "server/session.h"
#include "server/snapshots.h"

/* Asks for one; false: the client has been told why not. */
static bool ask(struct session *s, uint64_t *number)
{
    switch (snapshots_ask(s->core->server->snapshots, number)) {
    case SNAPSHOTS_STARTED: return true;
    case SNAPSHOTS_RUNNING: resp_error(s, SLICE_LITERAL("ERR Background save already in progress")); return false;
    default: resp_error(s, SLICE_LITERAL("ERR snapshots are off: option snapshot-file is empty")); return false;
    }
}

static void reply_saved(struct session *s, struct op *op)
{
    if (op->fixed)
        REPLY_LITERAL(s, "+OK\r\n");
    else
        resp_error(s, SLICE_LITERAL("ERR the snapshot failed; the log says why"));
}

/* The answer waits in the session's queue; the core keeps the operation until the snapshot has ended. */
void resp_save(struct session *s)
{
    struct core *core = s->core;
    struct op *op = core->save ? NULL : op_alloc(core);
    if (!op) { /* the one that waits is about to be answered, or memory is out */
        resp_error(s, SLICE_LITERAL("ERR Background save already in progress"));
        return;
    }
    memset(op, 0, offsetof(struct op, next));
    op->kind = OP_NONE;
    op->owner = op->asker = (uint8_t)core->index;
    op->flags = OP_PERSISTENT | OP_FIRST | OP_LAST;
    op->reply = reply_saved;
    if (!ask(s, &op->number)) {
        op_free(core, op);
        return;
    }
    core->save = op;
    session_queue_push(s, op);
}

void resp_bgsave(struct session *s, const struct slice *args, int count)
{
    if (count > 2 || (count == 2 && !resp_word(args[1], "schedule")))
        resp_error(s, SLICE_LITERAL("ERR syntax error"));
    else if (ask(s, NULL))
        REPLY_LITERAL(s, "+Background saving started\r\n");
}

void resp_lastsave(struct session *s)
{
    const struct server *server = s->core->server;
    uint64_t last = metrics_sum(server->metrics, "snapshot", "last_unix_s");
    resp_reply_integer(s, (int64_t)(last ? last : server->start_unix_ms / 1000));
}
