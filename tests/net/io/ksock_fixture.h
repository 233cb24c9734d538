/*
 * A kernel-socket instance on a reactor whose turns and clock are moved by hand, serving streams that record what they
 * see, and plain non-blocking sockets as their peers.
 */
#ifndef POLAR_TESTS_NET_IO_KSOCK_FIXTURE_H
#define POLAR_TESTS_NET_IO_KSOCK_FIXTURE_H

#include "net/ksock.h"

#define FIXTURE_STREAMS 256u

/* What a handler does with received bytes. */
enum fixture_mode { FIXTURE_KEEP, FIXTURE_ECHO, FIXTURE_COUNT };

/* A stream as its handler sees it. */
struct fixture_stream {
    struct fixture *f;
    struct stream *s; /* NULL: let go */
    uint32_t seen;    /* every event so far */
    int error;
    uint64_t received; /* bytes consumed */
    bool in_order;     /* they were fixture_byte(0), (1), ... */
};

struct fixture {
    struct clock clock;
    struct tick tick;
    struct buf_pools pools;
    uint32_t pools_at_start;
    struct reactor *reactor;
    struct stream_loop loop;
    struct ksock *ksock;
    uint16_t port;
    enum fixture_mode mode;
    unsigned accepted;
    struct fixture_stream streams[FIXTURE_STREAMS]; /* accepted ones, oldest first */
};

struct fixture_config {
    uint32_t buffers; /* in each pool; 0: 2048 */
    uint32_t max_connections; /* 0: FIXTURE_STREAMS */
    uint32_t rx_limit; /* 0: 256 KiB */
};

/* Listens on 127.0.0.1. */
void fixture_start(struct fixture *f, const struct fixture_config *config);
/* Also asserts that every buffer came back. */
void fixture_stop(struct fixture *f);
/* One turn: events, handlers, output. Returns the work of the reactor and of the output. */
unsigned fixture_turn(struct fixture *f);
/* Turns until *what is true (asserts that it becomes so within two seconds). */
#define fixture_until(f, what)                                                                                         \
    do {                                                                                                               \
        for (unsigned turns_ = 0; !(what); turns_++) {                                                                 \
            assert_true(turns_ < 30000);                                                                              \
            if (fixture_turn(f) == 0) fixture_wait();                                                                  \
        }                                                                                                              \
    } while (0)
/* Turns until nothing has happened for some milliseconds. */
void fixture_settle(struct fixture *f);
void fixture_wait(void); /* 10 us */
void fixture_advance(struct fixture *f, uint64_t ns);

/* The bytes that test streams carry: byte i of any of them. */
uint8_t fixture_byte(uint64_t i);
/* Queues n bytes, the stream's from offset on, and flushes. */
void fixture_send(struct fixture *f, struct stream *s, uint64_t offset, uint32_t n);
/* Lets a handler's stream go by close (or abort). */
void fixture_close(struct fixture_stream *fs);
void fixture_abort(struct fixture_stream *fs);
/* Takes over a stream made by ksock_connect. */
void fixture_adopt(struct fixture *f, struct fixture_stream *fs, struct stream *s);

/* A non-blocking TCP socket connected to the fixture's port (asserts). */
int fixture_peer(struct fixture *f);
/* Reads what is there, checks the pattern from *offset on. Bytes, 0 at the end, -1: nothing now, -2: reset. */
long fixture_peer_read(int fd, uint64_t *offset);
/* Sends n bytes of the pattern from *offset on, turning the fixture as needed. */
void fixture_peer_write(struct fixture *f, int fd, uint64_t *offset, uint32_t n);
void fixture_peer_reset(int fd);

#endif
