/*
 * A stream: what any connection offers, whatever carries it. net's TCP, net's kernel sockets and rdma's queue pairs
 * implement it; sessions, the client and kvbench know nothing else.
 *
 * Life: the transport creates a stream and hands it over (accept or connect call-back). From then on it belongs to its
 * handler until the handler calls close or abort, whatever happens on the wire; the transport never frees it before.
 * Events are level: the transport sets bits in `events` and puts the stream on its core's ready list; the handler pops
 * the list once a turn, after all input of the burst is in, and clears what it has seen.
 *
 * Everything here is for the core that owns the stream. Nothing blocks, nothing locks.
 */
#ifndef POLAR_BASE_STREAM_H
#define POLAR_BASE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"

struct stream;

enum stream_event {
    STREAM_CONNECTED = 1u << 0, /* an active open succeeded */
    STREAM_READABLE = 1u << 1,  /* bytes were added to rx */
    STREAM_WRITABLE = 1u << 2,  /* tx_queued fell to tx_low_water or below, after want_writable was set */
    STREAM_EOF = 1u << 3,       /* the peer sent its last byte (half-close): no more will be added to rx */
    STREAM_ERROR = 1u << 4,     /* reset, timed out, refused: `error` says which; only close/abort make sense now */
};

struct stream_ops {
    /*
     * Queues a chain for sending. Takes the buffers (on a failed stream too: then they are freed). External buffers
     * are held by reference until the peer has acknowledged them (TCP) or the kernel has taken them (sockets).
     * Nothing is sent before flush.
     */
    void (*send)(struct stream *s, struct buf_chain *chain);
    /* What was queued leaves at the end of this turn of the loop. Cheap to call often. */
    void (*flush)(struct stream *s);
    /* The handler has consumed n bytes of rx (buf_chain_consume was called): lets the window open again. */
    void (*consumed)(struct stream *s, uint32_t n);
    /* Sends what is queued, then FIN; receiving goes on. */
    void (*shutdown)(struct stream *s);
    /* Sends what is queued, then FIN, then is gone (lingering in the transport). The stream is not the handler's after. */
    void (*close)(struct stream *s);
    /* Reset at once; what is queued is dropped. The stream is not the handler's after. */
    void (*abort)(struct stream *s);
    /* "10.0.0.2:40312" into text. */
    void (*peer)(const struct stream *s, char *text, size_t cap);
    /* A short static name: "tcp", "kernel". */
    const char *name;
    /* The peer can still change the bytes of rx while they are read (it wrote them by itself, over RDMA). Who decides by
     * them copies them first: what was looked at once may be another thing the next time. */
    bool rx_shared;
};

/* A core's list of streams with events. */
struct stream_loop {
    struct stream *head;
    struct stream *tail;
};

struct stream {
    const struct stream_ops *ops;
    struct stream_loop *loop;
    void *user;              /* the handler's */
    struct buf_chain rx;     /* received, in order, not yet consumed */
    uint32_t tx_queued;      /* bytes given to send that the transport still holds */
    uint32_t tx_low_water;   /* bytes; set by the handler */
    uint16_t events;         /* enum stream_event bits */
    int16_t error;           /* errno value with STREAM_ERROR: ECONNRESET, ETIMEDOUT, ECONNREFUSED, EHOSTUNREACH */
    bool want_writable;      /* set by the handler; cleared when STREAM_WRITABLE is raised */
    bool listed;             /* on the ready list */
    struct stream *next_ready;
};

/* Raises events and puts s on its core's ready list (once). */
static inline void stream_raise(struct stream *s, uint32_t events)
{
    s->events |= (uint16_t)events;
    if (s->listed) return;
    s->listed = true;
    s->next_ready = NULL;
    if (s->loop->tail) s->loop->tail->next_ready = s;
    else s->loop->head = s;
    s->loop->tail = s;
}

/* Takes the first ready stream, or NULL. Its events stay set: the handler clears what it handles. */
static inline struct stream *stream_loop_pop(struct stream_loop *loop)
{
    struct stream *s = loop->head;
    if (!s) return NULL;
    loop->head = s->next_ready;
    if (!loop->head) loop->tail = NULL;
    s->listed = false;
    s->next_ready = NULL;
    return s;
}

/* For transports: takes s out of the ready list before it is freed. Linear; rare. */
void stream_unlist(struct stream *s);

/* For transports: lower tx_queued by n and raise STREAM_WRITABLE when asked for. */
static inline void stream_sent(struct stream *s, uint32_t n)
{
    s->tx_queued -= n;
    if (s->want_writable && s->tx_queued <= s->tx_low_water) {
        s->want_writable = false;
        stream_raise(s, STREAM_WRITABLE);
    }
}

/* A listener hands over a new stream. The callee sets s->user and owns s; it may abort it at once. */
typedef void stream_accept_fn(void *arg, struct stream *s);

#endif
