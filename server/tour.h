/*
 * A request that is answered after several operations, over shards and over turns of the loop: KEYS, RANDOMKEY, and
 * memcached's statistics of its size classes. It begins when everything earlier of its session is answered, and the
 * session parses nothing until it is over; others are served in between, as each step is bounded work.
 *
 * Core's thread only.
 */
#ifndef POLAR_SERVER_TOUR_H
#define POLAR_SERVER_TOUR_H

#include <stdbool.h>
#include "base/slice.h"
#include "server/op.h"

struct core;
struct session;

struct tour {
    /* Submits the next operation (tour_ask), or a piece of the answer. True: the request is answered. */
    bool (*step)(struct session *s, struct tour *tour);
    void (*free)(struct tour *tour);
    bool asking; /* an operation is out; its reply function calls tour_answered */
};

/* Takes the tour and makes its first step. Everything earlier is answered. */
void tour_begin(struct session *s, struct tour *tour);
/* At a turn of a session that has one: a step, unless an operation is out. */
void tour_continue(struct session *s);
/* The session ends: gives up its tour, if it has one. Operations that are out find no session. */
void tour_end(struct session *s);

/* For steps: a slot for an operation on that core's shard, and its submission. */
struct op *tour_slot(struct session *s, unsigned owner, enum op_kind kind, op_reply_fn *reply);
void tour_ask(struct session *s, struct op *op);
/* For reply functions: the operation is back, the next step follows in the session's next turn. */
void tour_answered(struct session *s);

/* KEYS with its pattern, RANDOMKEY; false: out of memory, nothing is answered. Everything earlier is answered. */
bool tour_keys(struct session *s, struct slice pattern);
bool tour_random_key(struct session *s);
/* OP_DRAW: op->number are the random bits; op->key_heap gets the key (struct scan_keys). */
void draw_execute(struct core *core, struct op *op);

/* `stats slabs`, `stats items`, `stats sizes`; otherwise as above. */
enum stats_classes { STATS_SLABS, STATS_ITEMS, STATS_SIZES };
bool tour_stats_classes(struct session *s, enum stats_classes what);
/* OP_CLASSES: op->key_heap gets an array of STORE_CLASSES_MAX, op->number how many are filled in. */
void classes_execute(struct core *core, struct op *op);

#endif
