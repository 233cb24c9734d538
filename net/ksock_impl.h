/*
 * Inside the kernel-socket transport: ksock.c is the life of instances and streams, ksock_listen.c listeners and
 * connects, ksock_rx.c and ksock_tx.c the data path, ksock_addr.c addresses.
 *
 * A stream's life:
 *
 *   accept (ksock_listen.c) ------------------------------> OPEN
 *   ksock_connect --> CONNECTING --> connect_done --------> OPEN
 *   OPEN, CONNECTING --> ksock_stream_fail --------------> FAILED   (socket closed; waits for the handler)
 *   OPEN --> close op --> LINGERING --> linger_advance --> freed    (the handler has let go)
 *   any --> abort op -----------------------------------> freed
 */
#ifndef POLAR_NET_KSOCK_IMPL_H
#define POLAR_NET_KSOCK_IMPL_H

#include <netinet/in.h>
#include <sys/queue.h>
#include "net/ksock.h"

#define KSOCK_RX_BUFFERS 7u            /* buffers one receive call may fill; beyond 8 iovecs the kernel allocates */
#define KSOCK_RX_CALLS 4u              /* receive calls of a stream in one turn: fairness */
#define KSOCK_TX_IOVECS 64u            /* segments of one send call */
#define KSOCK_TX_CALLS 4u              /* send calls of a stream in one turn: fairness */
#define KSOCK_ACCEPT_BATCH 32u         /* connections accepted at one event */
#define KSOCK_LINGER_NS 5000000000u    /* how long a closed stream may take to send the rest and see the peer's end */
#define KSOCK_BACKOFF_NS 100000000u    /* how long a listener pauses when there is no descriptor to be had */
#define KSOCK_TICK_NS 10000000u        /* period of the timer, while something waits for time or buffers */

enum ksock_state { KSOCK_CONNECTING, KSOCK_OPEN, KSOCK_FAILED, KSOCK_LINGERING };

union ksock_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct ksock_stream {
    struct stream s;
    struct reactor_fd rfd; /* fd -1: closed */
    struct ksock *ksock;
    struct buf_chain tx;
    uint32_t watched;    /* epoll events registered; valid with in_epoll */
    uint8_t state;       /* enum ksock_state */
    uint8_t rx_buffers;  /* buffers offered to the next receive: grows while they fill */
    bool in_epoll;
    bool flush_listed;   /* on ksock->flush */
    bool waiting;        /* on ksock->starved or ksock->lingering */
    bool flushed;        /* flush was called while connecting */
    bool rx_paused;      /* rx_limit reached, or starved */
    bool rx_hung_up;     /* the peer's end or an error lies behind what is there to read */
    bool rx_ended;       /* the peer's end was seen */
    bool tx_blocked;     /* the kernel's buffer is full */
    bool tx_ending;      /* FIN follows the queue */
    bool tx_ended;       /* FIN was asked for */
    uint64_t linger_ns;  /* when a lingering stream is cut */
    TAILQ_ENTRY(ksock_stream) all, flush, wait;
    union ksock_address peer;
};

TAILQ_HEAD(ksock_stream_list, ksock_stream);

struct ksock_listener {
    struct reactor_fd rfd;
    struct ksock *ksock;
    stream_accept_fn *accept;
    void *accept_arg;
    uint64_t resume_ns; /* backed off until then; 0: not */
    LIST_ENTRY(ksock_listener) all;
};

struct ksock {
    struct ksock_config config;
    struct reactor_fd timer; /* a timerfd, ticking while something waits */
    bool timer_on;
    uint32_t stream_count;
    uint32_t spare_count;
    struct rte_mbuf *spare[KSOCK_RX_BUFFERS]; /* frame buffers ready to receive; kept from call to call */
    struct ksock_stream_list all;
    struct ksock_stream_list flush;     /* to send for at the end of the turn */
    struct ksock_stream_list starved;   /* not reading for want of a buffer */
    struct ksock_stream_list lingering; /* closed by their handlers; oldest first */
    LIST_HEAD(, ksock_listener) listeners;
    struct ksock_metrics metrics;
};

/* ksock.c */
struct ksock_stream *ksock_stream_create(struct ksock *k, int fd, const union ksock_address *peer); /* NULL: memory */
void ksock_stream_destroy(struct ksock_stream *st); /* closes the socket and frees everything */
/* The connection is over: closes the socket, tells the handler. A lingering stream is freed. */
void ksock_stream_fail(struct ksock_stream *st, int error);
/* Makes epoll watch what the stream's state asks for. May fail the stream. */
void ksock_stream_watch(struct ksock_stream *st);
/* Epoll says once more what is so now. May fail the stream. */
void ksock_stream_rearm(struct ksock_stream *st);
void ksock_stream_list_flush(struct ksock_stream *st);
void ksock_timer_start(struct ksock *k);
uint64_t ksock_now_ns(const struct ksock *k);

/* ksock_listen.c */
void ksock_connect_done(struct ksock_stream *st);
void ksock_listener_destroy(struct ksock_listener *l);
/* Resumes listeners whose pause is over; true while some still pause. */
bool ksock_listeners_resume(struct ksock *k, uint64_t now_ns);

/* ksock_rx.c */
void ksock_receive(struct ksock_stream *st);
/* Throws away what arrives for a lingering stream; at the peer's end it is freed. */
void ksock_discard(struct ksock_stream *st);
/* Returns how many streams read again. */
unsigned ksock_starved_resume(struct ksock *k);

/* ksock_tx.c */
/* Sends what it can; true when more could be sent at once. May fail or free st. */
bool ksock_transmit(struct ksock_stream *st);

/* ksock_addr.c */
/* 0 or -EINVAL. */
int ksock_address_parse(union ksock_address *out, const char *text, uint16_t port);
socklen_t ksock_address_len(const union ksock_address *a);
uint16_t ksock_address_port(const union ksock_address *a);
void ksock_address_format(const union ksock_address *a, char *text, size_t cap);

#endif
