/*
 * The client's side of connecting: resolves an address and a route, connects, and gives the connection to the core of
 * the same thread, which has no set-up thread beside it. Nothing blocks: librdmacm's events come by the thread's
 * reactor. Devices are opened when the first route leads over them; one that goes takes its connections with it, and
 * all that we had of it is freed: their streams end with ENODEV. Events of the device itself are not read: it is one
 * for all threads of the process, and whatever becomes of a connection shows in its completions or comes from the
 * connection manager; a device that goes without a word is missed within a second. A connection's life between here and
 * its core is drawn in rdma/core.h.
 *
 *   ADDRESS --> ROUTE --> CONNECT --> UP --> GONE --> (RDMA_NOTICE_DONE) nothing is left
 *      |          |          |
 *      +----------+          +-----------------^     not established: refused, unreachable, too late, cancelled
 *      v
 *   nothing is left: its core has never heard of it
 */
#ifndef POLAR_RDMA_DIAL_H
#define POLAR_RDMA_DIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include "base/buf.h"
#include "base/reactor.h"
#include "base/regions.h"
#include "rdma/core.h"

struct rdma_dialer;
struct rdma_dial; /* an attempt, and the connection that came of it */

struct rdma_dialer_config {
    struct reactor *reactor;
    struct rdma_core *core;
    const struct buf_pools *pools; /* what is sent from */
    struct regions *regions;       /* and what else; NULL: nothing */
    unsigned vector;               /* which of a device's interrupts, by the thread's number */
    uint32_t buffer_bytes;         /* of each of a connection's two receive buffers */
    uint64_t timeout_ns;           /* from rdma_dial to the connection */
    uint8_t reads;     /* one-sided reads of a connection in flight, at least 1; the server may agree to fewer */
    size_t read_bytes; /* a connection's memory to read into: rdma_conn_read_memory; 0: none */
};

/* 0 or -errno; then text is one line that says what is missing: a device, the connection manager, a right. */
int rdma_dialer_create(struct rdma_dialer **out, const struct rdma_dialer_config *config, char *text, size_t cap);
/*
 * Everything ends: attempts are cancelled, connections cut, and the core is run until it has let go of them, at most
 * for wait_ns; streams must not be used any more. The reactor does not run. What a core does not let go of is lost:
 * false.
 */
bool rdma_dialer_destroy(struct rdma_dialer **dialer, uint64_t wait_ns);

/* Called once: with the connection, which is the callee's and says STREAM_CONNECTED in this turn; or NULL, and why not.
 */
typedef void rdma_dialed_fn(void *arg, struct stream *stream, int error);
/*
 * 0: done follows, unless the attempt is cancelled; *out is good until then. -errno: the address cannot be tried. Text
 * for what is wrong with a device goes to the log, once.
 */
int rdma_dial(struct rdma_dialer *dialer, const struct sockaddr_storage *to, rdma_dialed_fn *done, void *arg,
              struct rdma_dial **out);
/* done will not be called. */
void rdma_dial_cancel(struct rdma_dial *dial);

/* Poller: what the core has to say of its connections, attempts that take too long. Before rdma_core_input. */
unsigned rdma_dialer_turn(void *dialer, const struct tick *now);
uint64_t rdma_dialer_deadline(void *dialer);
/* Attempts and connections of which anything is left. */
uint32_t rdma_dialer_count(const struct rdma_dialer *dialer);

#endif
