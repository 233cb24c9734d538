/*
 * A core: one thread, one shard, one TCP instance, one set of kernel sockets, and the sessions on them. Everything in
 * here belongs to the core's thread once it runs; other cores reach it through the mailbox alone.
 */
#ifndef POLAR_SERVER_CORE_H
#define POLAR_SERVER_CORE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/reactor.h"
#include "base/regions.h"
#include "base/slot.h"
#include "base/stream.h"
#include "net/ksock.h"
#include "net/netcore.h"
#include "net/port.h"
#include "server/config.h"
#include "server/mailbox.h"
#include "server/metrics.h"
#include "server/op.h"
#include "store/store.h"

#define BATCH_MAX 64u
#define CORE_POLLERS 11u

struct rdma_listener; /* rdma/listener.h */

/* What all cores share: made before they run, read-only after but for what says otherwise. */
struct server {
    const struct config *config;
    struct metrics *metrics;
    struct slot_map slots;
    struct core *cores; /* [config->core_count] */
    struct port *port;  /* NULL: none */
    struct spread *spread; /* of the port between the cores; NULL: one core */
    struct exception *exception; /* NULL: the port's address is ours alone */
    struct regions *regions;     /* memory that devices know */
    struct snapshots *snapshots; /* NULL: none */
    bool warm;                   /* all shards were taken up as they were left */
    struct rdma_listener *rdma;  /* NULL: none */
    struct map_ahead *map_ahead; /* NULL: it does not run */
    bool served;                 /* it has run: what the shards hold is worth keeping */
    uint64_t start_unix_ms;
    uint64_t tsc_hz;
    uint64_t next_client_id; /* atomic, relaxed */
};

/* Requests of one burst, from all connections: hashed and prefetched together, then executed in order. */
struct batch {
    unsigned count;
    struct op *ops[BATCH_MAX]; /* in order: slots of this batch, or persistent ones */
    struct op slots[BATCH_MAX];
};

/* Bytes for request lines that cross buffer borders; valid until the batch has run. */
#define SCRATCH_SIZE (1024u * 1024u)
struct scratch {
    uint8_t *data; /* SCRATCH_SIZE bytes */
    uint32_t used;
    uint32_t keep; /* the part that outlives the next batch: a line that is still being taken apart */
};

struct inquiry; /* server/inquiry.h */
struct snapshot_out; /* store/snapshot_out.h */
struct lease;   /* server/lease.h */
struct chunk;
struct rdma_core; /* rdma/core.h */

struct core {
    unsigned index;
    struct server *server;
    const struct config *config;
    struct reactor *reactor;
    struct clock_tsc clock;
    const struct tick *now;
    struct buf_pools pools;
    struct stream_loop loop;
    struct store *store;
    struct ksock *ksock;
    struct netcore *net; /* NULL: no port */
    struct rdma_core *rdma; /* NULL: none */
    struct mailbox mailbox;
    struct inquiry *inquiry; /* atomic: what the control thread asks; NULL: nothing */
    struct snapshot_out *snapshot; /* atomic: our share of the snapshot that is being written; NULL: none is */
    struct op *save;               /* a client's SAVE that waits for its snapshot */
    struct batch batch;
    struct scratch scratch;
    struct server_metrics metrics;
    uint64_t flush_at_ms; /* a flush_all with a delay; 0: none */
    uint64_t next_step_ns;
    struct op *waiting, *waiting_last; /* for room in our shard (room.h) */
    uint64_t next_drop_ns;  /* earliest time to drop another slow reader for want of buffers */
    uint64_t next_gauge_ns; /* gauges that are counted, not kept */
    struct session *free_sessions;
    struct session *sessions; /* open ones, doubly linked */
    struct session *touched;  /* those with parsed input or output to settle */
    struct op *free_ops;
    struct lease *free_leases;
    struct chunk *chunks; /* heap blocks that the pools above were cut from */
    struct poller pollers[CORE_POLLERS];
    unsigned poller_count;
    pthread_t thread;
    bool running;
    bool has_region; /* devices know the shard's memory */
};

/*
 * Control thread, in this order: create all cores, create_store (each on a thread of its own, if one likes), open the port,
 * add_region and create_net, listen, start (metrics and pollers), run. Then: stop all, close all (connections give back
 * buffers and pins, also to each other), destroy all.
 * 0 or -errno.
 */
int core_create(struct core *core, struct server *server, unsigned index);
/* touched: counts bytes of memory as they become resident, atomically; may be NULL. */
int core_create_store(struct core *core, uint64_t *touched);
int core_add_region(struct core *core); /* to the devices; logs what failed */
int core_create_net(struct core *core, char *err_text, size_t err_cap);
int core_listen(struct core *core); /* logs what failed */
int core_start(struct core *core);
int core_run(struct core *core);
void core_stop(struct core *core);
void core_close(struct core *core);
void core_destroy_store(struct core *core); /* also part of core_destroy */
void core_destroy(struct core *core);

/* Cuts `count` objects of `size` bytes (a multiple of 16) from one zeroed heap block owned by the core; NULL: out of memory. */
void *core_chunk(struct core *core, size_t size, unsigned count);
/* Adds a copy behind the core's other pollers. Before it runs. */
void core_add_poller(struct core *core, const struct poller *poller);

static inline unsigned core_owner(const struct core *core, const void *key, size_t len)
{
    if (core->config->core_count == 1) return 0;
    return core->server->slots.owner[slot_of_key(key, len)];
}

/* Runs what is in the batch: prefetch, execute, compose, hand to the streams. Consumes the sessions' parsed input. */
void batch_run(struct core *core);
/* The next free slot, zeroed in its head; runs the batch first when it is full. */
struct op *batch_slot(struct core *core);
/* Takes the slot got last: sends it to its owner, queues it behind earlier ones, or leaves it in the batch. */
void batch_submit(struct core *core, struct session *session, struct op *op);

#endif
