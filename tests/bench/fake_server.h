/* A server and its wire in virtual time: requests (gets of one length) are answered when the test says. */
#ifndef POLAR_TESTS_BENCH_FAKE_SERVER_H
#define POLAR_TESTS_BENCH_FAKE_SERVER_H

#include <stdint.h>
#include "bench/transport.h"

#define FAKE_STREAMS 64u
#define FAKE_QUEUE 4096u

struct fake_server;

struct fake_stream {
    struct stream stream; /* first */
    struct fake_server *server;
    uint64_t due_ns[FAKE_QUEUE]; /* ring of answers on their way */
    uint32_t first, last;
    uint64_t connected_ns; /* when the handshake ends; 0: it has */
    bool open, waits;      /* waits: for transport->go */
};

struct fake_server {
    struct transport *transport;
    struct buf_pools *pools;
    uint64_t now_ns;
    uint64_t (*service_ns)(struct fake_server *server); /* of the request that comes now */
    const char *answer;
    uint32_t request_len;
    uint32_t count;
    uint64_t handshake_ns;
    bool takes_early; /* as by fast open: says CONNECTED at once, and the requests are there as soon as it is over */
    uint32_t connects, goes; /* ever; of them early ones that were let go with something to say */
    int refuse;              /* errno that connections end with, or 0 */
    struct fake_stream streams[FAKE_STREAMS];
};

void fake_server_init(struct fake_server *server, struct transport *transport, struct buf_pools *pools);
/* Delivers the answers that are due at now_ns. */
void fake_server_turn(struct fake_server *server, uint64_t now_ns);
/* A connection that ends in an error. */
void fake_server_break(struct fake_server *server, uint32_t stream, int error);

#endif
