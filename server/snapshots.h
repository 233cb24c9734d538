/*
 * Snapshots of all shards into option snapshot-file: on request, at intervals, at the end, and loaded at the start.
 * While the cores run, each turns a bounded number of its items into blocks in each turn of its loop, and one thread
 * writes them; the cores never wait for it. The file's form and what a snapshot holds: store/snapshot_format.h,
 * store/snapshot_out.h.
 */
#ifndef POLAR_SERVER_SNAPSHOTS_H
#define POLAR_SERVER_SNAPSHOTS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/clock.h"
#include "base/metrics.h"

struct core;
struct op;
struct server;
struct snapshots;

struct snapshots_metrics {
#define METRIC(name, kind, help) uint64_t name;
#include "server/snapshots.def"
#undef METRIC
};
extern const struct metric_row snapshots_metric_rows[];
extern const size_t snapshots_metric_row_count;

/* Control thread; the shards are there. Takes the blocks' memory. 0 or -errno, logged. */
int snapshots_create(struct snapshots **out, struct server *server);
/* Starts the thread that writes, also what was asked for before. The cores run. 0 or -errno. */
int snapshots_start(struct snapshots *s);
/* Gives up what is being written and ends the thread. Before the cores stop; NULL: nothing. */
void snapshots_stop(struct snapshots *s);
/* With option snapshot-on-shutdown: everything, as it is now that the cores have stopped. 0 or -errno, logged. */
int snapshots_final(struct snapshots *s);
void snapshots_destroy(struct snapshots **s);

/* Fills the empty shards from the file, on all cores at once. 0, or -errno, logged in one line. */
int snapshots_load(struct snapshots *s);

enum snapshots_answer { SNAPSHOTS_STARTED, SNAPSHOTS_RUNNING, SNAPSHOTS_NO_FILE };
/*
 * Asks for a snapshot, which begins at once; s may be NULL. *number, unless it is NULL: which one it is. Any thread;
 * does not block.
 */
enum snapshots_answer snapshots_ask(struct snapshots *s, uint64_t *number);
const struct snapshots_metrics *snapshots_metrics(const struct snapshots *s); /* any thread, relaxed */

/* Core thread, each turn: the shard's share, if a snapshot is running. Returns the work done. */
unsigned snapshots_turn(struct core *core, const struct tick *now);

/*
 * Reads and checks a whole file and prints what it holds to standard output, or what is wrong to standard error. The
 * program's exit status.
 */
int snapshots_check(const char *path);

#endif
