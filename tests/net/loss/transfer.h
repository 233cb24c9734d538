/* A transfer from host 0 to host 1 over a simulated wire, in virtual time. */
#ifndef POLAR_TESTS_NET_LOSS_TRANSFER_H
#define POLAR_TESTS_NET_LOSS_TRANSFER_H

#include "tests/net/sim/wire.h"

struct transfer {
    struct sim_wire wire;
    struct stream *from, *to;
    uint64_t bytes;           /* to be sent */
    uint64_t sent, received;
    uint64_t started, done;   /* ns: the first byte was offered, the last one came */
    bool bad, failed;
    bool no_sack;             /* the wire takes the option out of both SYNs */
    /* Sees each frame with payload from host 0; false: lost. May be NULL. */
    bool (*data_filter)(struct transfer *t, uint32_t seq, uint32_t len);
    uint64_t latency_ns;      /* of the wire */
    uint64_t hold_until;      /* ns: host 0's frames do not arrive before; in order */
    uint32_t first_seq;       /* of the payload */
    void *arg;
};

/* Creates the wire and opens the connection. */
void transfer_create(struct transfer *t, uint64_t seed, const struct sim_faults *faults,
                     void (*change)(unsigned host, struct net_stack_config *config));
/* Sends bytes more and runs until all have come, or limit_ns have passed. True: all came, and as they were sent. */
bool transfer_run(struct transfer *t, uint64_t bytes, uint64_t limit_ns);
const struct net_metrics *transfer_metrics(const struct transfer *t, unsigned host);
uint32_t transfer_destroy(struct transfer *t); /* buffers leaked */

#endif
