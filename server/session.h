/*
 * A session: one connection's conversation in one protocol. It parses requests where they lie in the stream's received
 * chain, submits operations to the core's batch, and composes the answers in order into its output chain.
 *
 *   parse -> batch (local) ----------------> reply -> out -> stream
 *         -> queue + mailbox (other core) -> reply in order
 *         -> fill (a value that streams in): reserve, fill, commit
 *
 * Core's thread only.
 */
#ifndef POLAR_SERVER_SESSION_H
#define POLAR_SERVER_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include "base/slice.h"
#include "base/stream.h"
#include "protocol/memcache/parse.h"
#include "protocol/resp/parse.h"
#include "server/core.h"

#define SESSION_QUEUE_MAX 256u            /* persistent operations of one connection in flight */
#define SESSION_TURN_MAX 256u             /* requests of one connection in a turn of the loop */
#define SESSION_STREAM_VALUE (32u * 1024) /* a longer value streams into its item, and may wait for room (room.h) */
#define SESSION_LINE_MAX (96u * 1024)     /* bytes of a request that must be in one piece: a get line, small arguments */
#define SESSION_NAME_MAX 64u
#define SESSION_REPLY_HINT 16384u /* of a connection that has not had a reply yet */

struct session;
struct tour; /* server/tour.h */

/* What the session layer asks of a protocol. */
struct session_protocol {
    const char *name;
    /* Takes one step at session->at; false: nothing more can be done now. */
    bool (*parse)(struct session *s);
    /* The value of `filling` is all in (its line end not yet): what follows. Commits or gives up. False: needs more bytes. */
    bool (*filled)(struct session *s);
};

/* memcached: a get line with many keys that is taken apart bit by bit. */
struct memcache_state {
    bool in_keys;
    bool get_failed;   /* a key of the get being answered: an error ends the answer */
    uint32_t next_key; /* offset of the rest of the keys in the line */
    uint32_t scanned;  /* bytes at `at` known to hold no line end */
};

/* RESP: where in its arguments a command is. */
struct resp_state {
    bool resp3;
    bool authenticated;
    bool active;          /* between arguments of a command that is taken apart bit by bit (KEYS, PAIRS, skipping) */
    uint8_t command;      /* enum resp_command */
    int64_t left;         /* arguments still to come */
    int64_t total;        /* keys or pairs of this command */
    int64_t sum;          /* DEL, EXISTS: counted so far */
    uint32_t need;        /* bytes that must be there before another try is worth it */
    uint32_t tail_args;   /* arguments behind the value that streams in */
    struct slice skip_error; /* answered when the arguments are skipped; static text or in error_text */
    char error_text[160];
    char name[SESSION_NAME_MAX];
    uint64_t client_id;
};

struct session {
    struct core *core;
    struct stream *stream;
    const struct session_protocol *protocol;
    struct buf_cursor at; /* the next byte to parse */
    uint32_t parsed;      /* bytes before `at` in stream->rx, consumed when the batch has run */
    uint32_t queued;      /* operations in the queue */
    uint32_t batched;     /* operations in the batch, not in the queue */
    uint32_t reply_hint;  /* bytes that its next reply may have: the longest lately */
    struct op *queue_head, *queue_tail;
    struct buf_chain out;
    struct op *filling;   /* its value streams in */
    struct tour *tour;    /* the request that takes several turns; NULL: none does */
    uint32_t skip_after;  /* bytes to skip when the operation that blocks us is back */
    uint64_t swallow;     /* bytes of a refused value still to drop */
    bool blocked;         /* waits for an operation of another core before it parses on */
    bool waits_queue;     /* waits until the queue is empty */
    bool touched;         /* on the core's list of sessions to settle */
    bool closing;         /* close when everything is answered */
    bool broken;          /* abort */
    struct session *next_touched;
    struct session *next, *prev;
    union {
        struct memcache_state memcache;
        struct resp_state resp;
    };
};

extern const struct session_protocol session_memcache;
extern const struct session_protocol session_resp;

/* stream_accept_fn: arg is the core. */
void session_accept_memcache(void *core, struct stream *stream);
void session_accept_resp(void *core, struct stream *stream);
/* Poller: runs the sessions whose streams are ready, then the batch. */
unsigned session_poll(void *core, const struct tick *now);
/*
 * Hands output to the stream and consumes what was parsed, for all touched sessions. Part of batch_run, where sessions
 * stay open because one of them may be parsing; with `end` those that are through are closed.
 */
void session_settle_all(struct core *core, bool end);
void session_touch(struct session *s);
void session_break(struct session *s); /* its connection is reset at the end of the turn */
/* Composes the answer of an operation that has been executed, unless none is wanted. */
void session_reply(struct session *s, struct op *op);
/* Puts a persistent operation behind the others of its session. */
void session_queue_push(struct session *s, struct op *op);
/* An operation of the queue is done (asker's core): composes what can be answered in order. s may be gone: op->session NULL. */
void session_op_done(struct core *core, struct op *op);
/* Ends every open session at shutdown. */
void session_close_all(struct core *core);

/* For the protocols. */
static inline uint32_t session_available(const struct session *s) { return s->stream->rx.len - s->parsed; }
static inline uint32_t session_window(struct session *s, const uint8_t **p) { return buf_cursor_window(&s->at, p); }
enum session_line {
    SESSION_LINE_NONE,     /* no line end yet */
    SESSION_LINE_WHOLE,
    SESSION_LINE_OPEN,     /* no line end within `soft` bytes: the first soft + 1 are given */
    SESSION_LINE_TOO_LONG, /* none within SESSION_LINE_MAX */
};
/* Whether what is decided by must be copied first (struct stream_ops). */
static inline bool session_rx_shared(const struct session *s) { return s->stream->ops->rx_shared; }
/* The line at `at`, its end included, in place or copied. *scanned: bytes known to hold no end; 0 at a new line. */
enum session_line session_find_line(struct session *s, uint32_t *scanned, uint32_t soft, const uint8_t **line,
                                    uint32_t *len);
/* Copies n bytes at cur into the core's scratch, where they stay until the batch has run. A request joins no more than
 * 2 * SESSION_LINE_MAX bytes. */
uint8_t *session_copy(struct session *s, struct buf_cursor *cur, uint32_t n);
void session_skip(struct session *s, uint32_t n);
/* Runs the batch so that everything earlier and local is answered. False: earlier operations are still out; try again later. */
bool session_barrier(struct session *s);
/* Starts a value that streams in: op is filled in up to its key; value_len bytes follow at `at` after head_len bytes. */
void session_fill_begin(struct session *s, const struct op *op, uint32_t head_len);
/* Stores a value that is all there at offset head_len; value_len + tail_len bytes are skipped behind it. */
void session_store(struct session *s, struct op *op, uint32_t head_len, uint32_t tail_len);
/* An OP_FLUSH for each shard; reply is called for each, OP_LAST on the last. */
void session_flush_shards(struct session *s, uint64_t at_ms, bool noreply, op_reply_fn *reply);
/* Sends `filling` on to be committed, or gives it up (then the caller answers). */
void session_fill_commit(struct session *s);
void session_fill_abort(struct session *s);

#endif
