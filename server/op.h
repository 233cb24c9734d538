/*
 * An operation: one request on one key (or on a whole shard), from its session to the shard that owns the key and back.
 * A local operation lives in the core's batch for one turn. One that must wait (the key is another core's, or an earlier
 * one of the same connection is still out) is persistent: it comes from its core's pool, holds a copy of its key, and
 * stands in the session's queue until it is answered in order.
 */
#ifndef POLAR_SERVER_OP_H
#define POLAR_SERVER_OP_H

#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "store/store.h"

struct core;
struct session;
struct op;

enum op_kind {
    OP_NONE,        /* nothing to execute: keeps the order of a fixed answer */
    OP_GET,
    OP_GETS,        /* with a CAS unique */
    OP_STORE,       /* the whole value lies in received buffers at `source` */
    OP_RESERVE,     /* room for a value that streams in: gives `write` */
    OP_COMMIT,      /* `write` is filled */
    OP_ABORT,       /* `write` is given up; has no answer */
    OP_DELETE,
    OP_EXPIRE,      /* another expiry, if `condition` holds; with OP_READ also the value */
    OP_PERSIST,
    OP_ARITHMETIC,  /* memcached: unsigned, wraps up, stops at 0 downwards */
    OP_INCREMENT,   /* redis: signed, refuses overflow */
    OP_INCREMENT_FLOAT,
    OP_LOOK,        /* whether it is there, its length and expiry; the value is not read */
    OP_SCAN,        /* some of the shard's keys (scan.h) */
    OP_DRAW,        /* one of them by lot (tour_keys.c) */
    OP_CLASSES,     /* what its size classes hold (tour_classes.c) */
    OP_FLUSH,       /* the whole shard, at `flush_at_ms` (0: now) */
};

enum op_flag {
    OP_LAST = 1u << 0,      /* the last of its request: the answer is completed here */
    OP_NOREPLY = 1u << 1,
    OP_READ = 1u << 2,      /* the value is part of the answer: of OP_EXPIRE (gat), of the old item (SET ... GET) */
    OP_KEEP_TTL = 1u << 3,
    OP_NEGATIVE = 1u << 4,  /* decrement */
    OP_HOLD = 1u << 5,      /* the result outlives the execution: values are copied or pinned */
    OP_DONE = 1u << 6,
    OP_PERSISTENT = 1u << 7,
    OP_WITH_CAS = 1u << 8,  /* gats */
    OP_ROOM_FOR_EXPIRY = 1u << 9, /* OP_RESERVE: options behind the value may still give an expiry */
    OP_DROP_STALE = 1u << 10, /* a write that is refused removes the old item */
    OP_CREATE = 1u << 11,   /* APPEND to an absent key stores it */
    OP_FIRST = 1u << 12,    /* the first of its request */
    OP_WAITED = 1u << 13,   /* OP_RESERVE: has waited for room as long as it may (room.h) */
};

/* Redis' EXPIRE conditions, as bits: all that are set must hold. */
enum op_condition { OP_IF_NONE = 1, OP_IF_SOME = 2, OP_IF_GREATER = 4, OP_IF_LESS = 8 };

enum op_result {
    OP_RESULT_STORE,      /* `status` says it */
    OP_RESULT_NOT_NUMBER,
    OP_RESULT_OVERFLOW,
    OP_RESULT_NAN,
    OP_RESULT_BAD_CHUNK,  /* the value was not followed by its line end: nothing was stored */
    OP_RESULT_SYNTAX,     /* bad options behind a value */
    OP_RESULT_BAD_EXPIRE,
};

typedef void op_reply_fn(struct session *session, struct op *op);

#define OP_KEY_INLINE 250u
#define OP_VALUE_INLINE 256u

struct op {
    uint8_t kind;       /* enum op_kind */
    uint8_t owner;      /* core whose shard holds the key */
    uint8_t asker;      /* core of the session */
    uint8_t mode;       /* enum store_mode */
    uint16_t flags;     /* enum op_flag */
    uint8_t condition;  /* enum op_condition bits */
    uint8_t result;     /* enum op_result */
    uint8_t status;     /* enum store_status */
    uint8_t command;    /* the protocol's command id */
    uint32_t value_len; /* OP_STORE, OP_RESERVE */
    struct store_key key;
    op_reply_fn *reply; /* composes the answer on the asker's core */
    struct session *session;
    struct store_meta meta;
    union {
        uint64_t cas;
        uint64_t delta;
        int64_t increment;
        long double increment_float;
        uint64_t flush_at_ms;
        int64_t fixed; /* OP_NONE: what the reply function needs */
    };
    const uint8_t *flat; /* OP_STORE: the value in one piece (an inline command's), instead of `source` */
    union {
        struct {                      /* OP_STORE: */
            struct buf_cursor source; /* the value's first byte in the session's received chain */
            const struct rte_mbuf *source_end; /* the buffer of its last byte, which the transport may still append to */
        };
        struct store_write write;
    };
    /* results */
    struct store_value value; /* of a read; the data of a held one lies in `copy` or is pinned */
    struct store_pin *pin;
    uint64_t number;
    /* persistent only */
    struct op *next;     /* in the session's queue, or in the pool */
    struct op *next_waiting; /* OP_RESERVE: in the owner's list of those that wait for room */
    uint64_t wait_until_ns;
    uint8_t *key_heap;   /* a key longer than OP_KEY_INLINE, and what `flat` points to; what OP_SCAN, OP_DRAW and OP_CLASSES found, of a local one too */
    uint8_t key_copy[OP_KEY_INLINE];
    uint8_t copy[OP_VALUE_INLINE]; /* a held value up to the inline limit, or a float's text */
};

/* Executes on the core that owns the key (core->store). Fills in result, status and what was asked for. */
void op_execute(struct core *core, struct op *op);

/* Pool of a core. op_alloc: NULL when memory is out. Asker's core. */
struct op *op_alloc(struct core *core);
/* Gives back what the result holds (a pin; a message to the owner when it is another core) and the operation. */
void op_free(struct core *core, struct op *op);
/* A persistent copy of a transient operation, key included. */
struct op *op_persist(struct core *core, const struct op *transient);

#endif
