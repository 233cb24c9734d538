/*
 * The server's side of connecting: listens by librdmacm, gives each connection to a core, and ends it when the core or
 * the peer, the device or its port says so. All of it runs on one thread, in that thread's reactor; the cores are
 * reached by their rings alone. A connection's life between here and its core is drawn in rdma/core.h.
 *
 * Devices are opened as addresses or clients need them. One that goes takes its connections with it, and all that we
 * had of it is freed, so that the kernel can remove it; what listened on it is tried again every second until the
 * device is back.
 */
#ifndef POLAR_RDMA_LISTENER_H
#define POLAR_RDMA_LISTENER_H

#include <stdint.h>
#include <sys/socket.h>
#include "base/metrics.h"
#include "base/reactor.h"
#include "base/regions.h"
#include "rdma/core.h"

#define RDMA_CORES_MAX 64u

struct rdma_listener;

struct rdma_listener_metrics {
#define METRIC(name, kind, help) uint64_t name;
#include "rdma/listener.def"
#undef METRIC
};
extern const struct metric_row rdma_listener_metric_rows[];
extern const size_t rdma_listener_metric_row_count;

#define RDMA_ANY_CORE (-1)

struct rdma_listen {
    struct sockaddr_storage address; /* with its port; the wildcard: of every device */
    int core;                        /* whose connections they are; RDMA_ANY_CORE: that with the fewest */
    stream_accept_fn *accept;        /* on the core, with its accept_arg */
};

struct rdma_listener_core {
    struct rdma_core *core;
    struct reactor *reactor;
    const struct buf_pools *pools;
    void *accept_arg;
};

struct rdma_listener_config {
    struct reactor *reactor; /* of the set-up thread */
    const struct rdma_listen *listens;
    unsigned listen_count;
    const struct rdma_listener_core *cores;
    unsigned core_count;
    /*
     * Runs fn(fn_arg) where the core's lanes may be touched, and waits: on the core's thread while it runs, else at
     * once.
     */
    void (*on_core)(void *arg, unsigned core, void (*fn)(void *fn_arg), void *fn_arg);
    void *on_core_arg;
    int region_access;        /* IBV_ACCESS_ bits: as what it is registered */
    struct regions *regions;  /* what is sent from beside the cores' buffers */
    uint32_t buffer_bytes;    /* of each of a connection's two receive buffers */
    uint64_t memory_bytes;    /* most that all of them may take */
    uint32_t max_connections; /* of each core */
    uint8_t reads; /* one-sided reads that a client may have in flight; 0: none but what the protocol says (1) */
};

/*
 * Opens what it is to listen on, with its devices; the cores do not run yet. 0 or -errno; text then is one line that
 * says what to do. The configuration's arrays are copied, what they point at is borrowed.
 */
int rdma_listener_create(struct rdma_listener **out, const struct rdma_listener_config *config, char *text, size_t cap);
/* From here on connections come. The cores run. As rdma_listener_create. */
int rdma_listener_start(struct rdma_listener *listener, char *text, size_t cap);
/* No more connections come; all that there are are cut, and end as cores and reactor run on. */
void rdma_listener_stop(struct rdma_listener *listener);
/* Stopped; the cores do not run. Connections that a core still has are taken from it: it must not be touched any more.
 */
void rdma_listener_destroy(struct rdma_listener **listener);
uint32_t rdma_listener_connections(const struct rdma_listener *listener);
const struct rdma_listener_metrics *
rdma_listener_metrics(const struct rdma_listener *listener); /* any thread, relaxed */

/* Which core is to have one more: the first with the fewest, of those below max; count when there is none. Pure. */
unsigned rdma_listener_choose(const uint32_t *connections, unsigned count, uint32_t max);

#endif
