/*
 * Large writes that wait for room: what one operation may evict and move is bounded, so that a value of many pages
 * may find none in a store full of small ones, or where what is free lies in pages in part. It is kept here, on the
 * core that owns the key, while the shard's background work (store_step) evicts and moves for it, a bounded step each
 * turn of the loop; and is refused after five seconds, or when there is nothing to gain. Only its own connection
 * waits. All calls: the owner's core.
 */
#ifndef POLAR_SERVER_ROOM_H
#define POLAR_SERVER_ROOM_H

#include <stdbool.h>
#include "base/reactor.h"
#include "server/core.h"
#include "server/op.h"

/* Whether an OP_RESERVE just executed got no room and is to be tried again. */
static inline bool room_is_awaited(const struct core *core, const struct op *op)
{
    return op->kind == OP_RESERVE && op->status == STORE_NO_MEMORY && !(op->flags & OP_WAITED) &&
           store_makes_room(core->store, op->value_len);
}

/* After op_execute: true if the operation was kept; it goes back to its asker from room_turn. */
bool room_keep(struct core *core, struct op *op);
/* Tries the first of those that wait, after a step of the store. Returns work done. */
unsigned room_turn(struct core *core, const struct tick *now);

#endif
