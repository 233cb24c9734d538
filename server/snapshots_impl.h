/* Inside the snapshot service: snapshots.c runs it, snapshots_load.c loads. */
#ifndef POLAR_SERVER_SNAPSHOTS_IMPL_H
#define POLAR_SERVER_SNAPSHOTS_IMPL_H

#include <pthread.h>
#include <semaphore.h>
#include <time.h>
#include "server/config.h"
#include "server/snapshots.h"
#include "store/snapshot_file.h"
#include "store/snapshot_out.h"

#define SNAPSHOTS_BLOCKS 4u /* of a shard */

/* A shard's share of the snapshot that runs. */
struct share {
    struct spsc_ring *empty, *full;
    struct snapshot_block *blocks[SNAPSHOTS_BLOCKS];
    struct snapshot_out *out;
    uint16_t slot_first, slot_last;
    bool ended; /* its SHARD block is written */
};

struct snapshots {
    struct server *server;
    struct share shares[CONFIG_CORES_MAX];
    struct snapshot_file file;
    struct snapshots_metrics metrics;
    pthread_t thread;
    bool started;   /* control thread's */
    sem_t news;     /* for the thread: somebody asks, a core has put a block, or let go */
    uint64_t asked; /* atomic: snapshots asked for; one more than ended: one is wanted or runs */
    uint64_t ended; /* atomic: snapshots that have ended, one way or the other */
    int given_up;   /* atomic: the cores shall let go */
    int stopping;   /* atomic */
};

uint64_t snapshots_now_ms(clockid_t clock);

#endif
