/*
 * How a thread of kvbench reaches the server: streams over kernel sockets, over our TCP on a queue of a DPDK port, or
 * over RDMA. A turn of the thread's reactor: input (or fd events), kvbench's own poller, output.
 */
#ifndef POLAR_BENCH_TRANSPORT_H
#define POLAR_BENCH_TRANSPORT_H

#include <stdint.h>
#include "base/buf.h"
#include "base/reactor.h"
#include "base/stream.h"
#include "bench/options.h"
#include "net/port.h"

/* One thread's. */
struct transport {
    struct stream_loop loop;
    /*
     * Starts a connection to the server. The stream's events follow; the one that says STREAM_CONNECTED has the same
     * user, but may be another, in place of *out, which is gone then. early: its handler has something to say. With
     * --fast-open STREAM_CONNECTED then comes at once where that may go with the SYN (and may come again with the
     * handshake's end), and the SYN waits for it. 0 or -errno.
     */
    int (*connect)(struct transport *t, uint64_t now_ns, bool early, struct stream **out);
    void (*go)(
        struct stream *s); /* what goes with an early stream's SYN has been sent and flushed; NULL: nothing to do */
    /* Memory that requests are sent from beside the buffers, for a transport whose device must know it; NULL: it need
     * not. Before the first connect. 0 or -errno. */
    int (*add_memory)(struct transport *t, void *base, size_t bytes);
    /* Connections that have not yet ended in order. */
    uint32_t (*lingering)(const struct transport *t);
    struct poller input, output;   /* input.run NULL: none */
    struct onesided_set *onesided; /* how GETs read the server's memory (bench/onesided.h); NULL: they go by request */
    void *impl;
    void (*destroy)(struct transport *t);
};

/* What the threads share: their buffers and, with tcp, the port. */
struct transport_set {
    const struct bench_plan *plan;
    uint32_t threads;
    struct buf_pools *pools; /* [threads] */
    struct port *port;       /* NULL over kernel sockets */
};

/* Connections of a thread at most, those that were closed for others and linger among them. */
uint32_t transport_connections_most(const struct bench_plan *plan);
/* MiB of DPDK memory that transport_set_open will need. */
uint32_t transport_memory_mib(const struct bench_plan *plan);
/* Makes the buffers, opens the port and waits for its link. After eal_start. 0 or -errno, with a log line. */
int transport_set_open(struct transport_set *set, const struct bench_plan *plan);
/* Every transport of the set has been destroyed. */
void transport_set_close(struct transport_set *set);
/* The transport of one thread; pollers are not yet added to the reactor. 0 or -errno, with a log line. */
int transport_create(struct transport *t, struct transport_set *set, uint32_t thread, struct reactor *reactor);

/* The three kinds. */
int transport_kernel_create(struct transport *t, struct transport_set *set, uint32_t thread, struct reactor *reactor);
int transport_tcp_create(struct transport *t, struct transport_set *set, uint32_t thread);
int transport_rdma_create(struct transport *t, struct transport_set *set, uint32_t thread, struct reactor *reactor);

#endif
