#include "server/snapshots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "server/core.h"
#include "server/session.h"
#include "server/snapshots_impl.h"

#define RING 8u /* room for SNAPSHOTS_BLOCKS */

const struct metric_row snapshots_metric_rows[] = {
#define METRIC(name, kind, help) METRIC_ROW(struct snapshots_metrics, name, kind, help)
#include "server/snapshots.def"
#undef METRIC
};
const size_t snapshots_metric_row_count = sizeof snapshots_metric_rows / sizeof *snapshots_metric_rows;

uint64_t snapshots_now_ms(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static unsigned core_count(const struct snapshots *s)
{
    return s->server->config->core_count;
}

static void shares_slots(struct snapshots *s)
{
    for (unsigned i = 0; i < core_count(s); i++) s->shares[i].slot_first = SLOT_COUNT - 1;
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
        struct share *share = &s->shares[s->server->slots.owner[slot]];
        if (slot < share->slot_first) share->slot_first = (uint16_t)slot;
        share->slot_last = (uint16_t)slot;
    }
}

static int share_create(struct share *share)
{
    share->empty = spsc_ring_create(RING);
    share->full = spsc_ring_create(RING);
    if (!share->empty || !share->full) return -ENOMEM;
    for (unsigned i = 0; i < SNAPSHOTS_BLOCKS; i++) {
        share->blocks[i] = malloc(sizeof *share->blocks[i]);
        if (!share->blocks[i]) return -ENOMEM;
        memset(share->blocks[i], 0, sizeof *share->blocks[i]); /* resident now, not when a snapshot runs */
    }
    return 0;
}

static void share_destroy(struct share *share)
{
    free(share->empty);
    free(share->full);
    for (unsigned i = 0; i < SNAPSHOTS_BLOCKS; i++) free(share->blocks[i]);
}

int snapshots_create(struct snapshots **out, struct server *server)
{
    struct snapshots *s = calloc(1, sizeof *s);
    if (!s) return -ENOMEM;
    s->server = server;
    sem_init(&s->news, 0, 0);
    int rc = metrics_register(server->metrics, "snapshot", 0, snapshots_metric_rows, snapshots_metric_row_count,
                              &s->metrics);
    for (unsigned i = 0; *server->config->snapshot_file && i < core_count(s) && rc == 0; i++)
        rc = share_create(&s->shares[i]);
    shares_slots(s);
    *out = s;
    if (rc == 0) return 0;
    log_error("no memory for the blocks of option 'snapshot-file'");
    snapshots_destroy(out);
    return rc;
}

void snapshots_destroy(struct snapshots **out)
{
    struct snapshots *s = *out;
    if (!s) return;
    for (unsigned i = 0; i < core_count(s); i++) share_destroy(&s->shares[i]);
    sem_destroy(&s->news);
    free(s);
    *out = NULL;
}

const struct snapshots_metrics *snapshots_metrics(const struct snapshots *s)
{
    return &s->metrics;
}

/* True: it was not running. */
static bool begin(struct snapshots *s, uint64_t *number)
{
    uint64_t ended = __atomic_load_n(&s->ended, __ATOMIC_ACQUIRE);
    *number = ended + 1;
    return __atomic_compare_exchange_n(&s->asked, &ended, *number, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

enum snapshots_answer snapshots_ask(struct snapshots *s, uint64_t *number)
{
    uint64_t own;
    if (!s || !*s->server->config->snapshot_file) return SNAPSHOTS_NO_FILE;
    if (!begin(s, number ? number : &own)) return SNAPSHOTS_RUNNING;
    sem_post(&s->news);
    return SNAPSHOTS_STARTED;
}

/* ---- on the cores ---- */

/* A client's SAVE is answered when the snapshot that it began has ended. */
static unsigned answer_save(struct core *core)
{
    struct snapshots *s = core->server->snapshots;
    struct op *op = core->save;
    if (__atomic_load_n(&s->ended, __ATOMIC_ACQUIRE) < op->number) return 0;
    core->save = NULL;
    op->fixed = metric_get(&s->metrics.last_failed) == 0;
    session_op_done(core, op);
    return 1;
}

static void share_let_go(struct core *core, struct snapshot_out *out)
{
    snapshot_out_cancel(out);
    __atomic_store_n(&core->snapshot, NULL, __ATOMIC_RELEASE);
    sem_post(&core->server->snapshots->news);
}

unsigned snapshots_turn(struct core *core, const struct tick *now)
{
    unsigned work = core->save ? answer_save(core) : 0;
    struct snapshot_out *out = __atomic_load_n(&core->snapshot, __ATOMIC_ACQUIRE);
    if (!out) return work;
    struct snapshots *s = core->server->snapshots;
    if (__atomic_load_n(&s->given_up, __ATOMIC_RELAXED)) {
        share_let_go(core, out);
        return work + 1;
    }
    uint64_t before = snapshot_out_blocks(out);
    work += snapshot_out_step(out, now->unix_ms);
    if (snapshot_out_state(out) != SNAPSHOT_OUT_RUNNING)
        share_let_go(core, out);
    else if (snapshot_out_blocks(out) != before)
        sem_post(&s->news);
    return work;
}

/* ---- the thread ---- */

static int shares_begin(struct snapshots *s)
{
    for (unsigned i = 0; i < core_count(s); i++) {
        struct share *share = &s->shares[i];
        while (spsc_ring_pop(share->empty)) continue;
        while (spsc_ring_pop(share->full)) continue;
        for (unsigned b = 0; b < SNAPSHOTS_BLOCKS; b++) spsc_ring_push(share->empty, share->blocks[b]);
        struct snapshot_out_config config = {.store = s->server->cores[i].store,
                                             .empty = share->empty,
                                             .full = share->full,
                                             .shard = (uint16_t)i,
                                             .slot_first = share->slot_first,
                                             .slot_last = share->slot_last};
        share->ended = false;
        int rc = snapshot_out_create(&share->out, &config);
        if (rc != 0) return rc;
    }
    return 0;
}

static void shares_end(struct snapshots *s)
{
    for (unsigned i = 0; i < core_count(s); i++) snapshot_out_destroy(&s->shares[i].out);
}

/* Full blocks to the file, back to their shard. Returns how many, or -errno. */
static int share_write(struct snapshots *s, unsigned i)
{
    struct share *share = &s->shares[i];
    struct snapshot_block *b;
    int count = 0;
    for (; (b = spsc_ring_pop(share->full)); count++) {
        int rc = snapshot_file_append(&s->file, &b->head, b->bytes);
        if (rc != 0) return rc;
        share->ended |= b->head.kind == SNAPSHOT_SHARD;
        metric_add(&s->metrics.written_bytes, SNAPSHOT_HEAD_BYTES + b->head.length);
        spsc_ring_push(share->empty, b);
    }
    return count;
}

static bool core_lets_go(const struct snapshots *s, unsigned i)
{
    return !__atomic_load_n(&s->server->cores[i].snapshot, __ATOMIC_ACQUIRE);
}

/* One round over the shards. 0: go on; 1: all are written; -errno. */
static int shares_write(struct snapshots *s)
{
    bool all = true;
    for (unsigned i = 0; i < core_count(s); i++) {
        bool through = core_lets_go(s, i); /* before its last blocks are taken */
        int count = share_write(s, i);
        if (count < 0) return count;
        if (count > 0) reactor_wake(s->server->cores[i].reactor);
        if (through && !s->shares[i].ended) return -ENOMEM; /* it stopped in the middle */
        all &= s->shares[i].ended;
    }
    return all;
}

static int cores_serialise(struct snapshots *s)
{
    int rc = 0;
    __atomic_store_n(&s->given_up, 0, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < core_count(s); i++) {
        __atomic_store_n(&s->server->cores[i].snapshot, s->shares[i].out, __ATOMIC_RELEASE);
        reactor_wake(s->server->cores[i].reactor);
    }
    while (rc == 0) {
        rc = shares_write(s);
        if (rc == 0 && __atomic_load_n(&s->stopping, __ATOMIC_ACQUIRE)) rc = -ECANCELED;
        while (rc == 0 && sem_wait(&s->news) != 0) continue;
    }
    __atomic_store_n(&s->given_up, 1, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < core_count(s); i++) {
        reactor_wake(s->server->cores[i].reactor);
        while (!core_lets_go(s, i)) sem_wait(&s->news);
    }
    return rc < 0 ? rc : 0;
}

/* While no core runs, the control thread does the shards' part itself. */
static int shards_serialise(struct snapshots *s)
{
    int rc = 0;
    for (unsigned i = 0; i < core_count(s) && rc >= 0; i++) {
        struct share *share = &s->shares[i];
        for (rc = 1; rc >= 0 && !share->ended;) {
            unsigned work = snapshot_out_step(share->out, snapshots_now_ms(CLOCK_REALTIME));
            rc = share_write(s, i);
            if (rc == 0 && work == 0) rc = -ENOMEM; /* nobody is there to give it what it waits for */
        }
        snapshot_out_cancel(share->out);
    }
    return rc < 0 ? rc : 0;
}

static int file_take(struct snapshots *s, int (*serialise)(struct snapshots *))
{
    const struct server *server = s->server;
    int rc =
        snapshot_file_create(&s->file, server->config->snapshot_file, core_count(s), snapshots_now_ms(CLOCK_REALTIME));
    if (rc != 0) return rc;
    rc = shares_begin(s);
    if (rc == 0) rc = serialise(s);
    shares_end(s);
    if (rc == 0) return snapshot_file_finish(&s->file, snapshots_now_ms(CLOCK_REALTIME));
    snapshot_file_abandon(&s->file);
    return rc;
}

static void note_end(struct snapshots *s, int rc, uint64_t took_ms, uint64_t items_total)
{
    struct snapshots_metrics *m = &s->metrics;
    const char *path = s->server->config->snapshot_file;
    metric_set(&m->last_duration_ms, took_ms);
    metric_set(&m->last_failed, rc != 0);
    if (rc != 0) {
        metric_add(&m->errors, 1);
        if (rc == -ECANCELED)
            log_warn("snapshot %s given up: the server ends; the one before it stays", path);
        else
            log_error("snapshot %s given up: %s; the one before it stays", path, strerror(-rc));
        return;
    }
    metric_add(&m->completed, 1);
    metric_set(&m->last_unix_s, snapshots_now_ms(CLOCK_REALTIME) / 1000);
    metric_set(&m->last_bytes, s->file.written);
    metric_set(&m->last_items, s->file.totals.items);
    metric_set(&m->items_total_then, items_total);
    log_info("snapshot %s: %llu items, %llu bytes in %llu ms", path, (unsigned long long)s->file.totals.items,
             (unsigned long long)s->file.written, (unsigned long long)took_ms);
}

static int snapshot_take(struct snapshots *s, int (*serialise)(struct snapshots *))
{
    uint64_t begin = snapshots_now_ms(CLOCK_MONOTONIC),
             items_total = metrics_sum(s->server->metrics, "store", "items_total");
    metric_set(&s->metrics.last_begin_s, snapshots_now_ms(CLOCK_REALTIME) / 1000);
    metric_set(&s->metrics.running, 1);
    int rc = file_take(s, serialise);
    note_end(s, rc, snapshots_now_ms(CLOCK_MONOTONIC) - begin, items_total);
    metric_set(&s->metrics.running, 0);
    return rc;
}

static void tell_cores(struct snapshots *s)
{
    __atomic_fetch_add(&s->ended, 1, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < core_count(s); i++) reactor_wake(s->server->cores[i].reactor);
}

/* Until there is news, or the next snapshot is due. */
static void wait_for_news(struct snapshots *s, uint64_t due_ms)
{
    if (!s->server->config->snapshot_interval) {
        sem_wait(&s->news);
        return;
    }
    uint64_t now = snapshots_now_ms(CLOCK_MONOTONIC), wait = now < due_ms ? due_ms - now : 0;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    uint64_t nsec = (uint64_t)until.tv_nsec + wait % 1000 * 1000000;
    until.tv_sec += (time_t)(wait / 1000 + nsec / 1000000000);
    until.tv_nsec = (long)(nsec % 1000000000);
    uint64_t number;
    if (sem_timedwait(&s->news, &until) != 0 && errno == ETIMEDOUT) begin(s, &number);
}

static void *thread_main(void *arg)
{
    struct snapshots *s = arg;
    uint64_t interval_ms = s->server->config->snapshot_interval / 1000000,
             due_ms = snapshots_now_ms(CLOCK_MONOTONIC) + interval_ms;
    pthread_setname_np(pthread_self(), "snapshot");
    while (!__atomic_load_n(&s->stopping, __ATOMIC_ACQUIRE)) {
        wait_for_news(s, due_ms);
        if (__atomic_load_n(&s->asked, __ATOMIC_ACQUIRE) == s->ended || __atomic_load_n(&s->stopping, __ATOMIC_ACQUIRE))
            continue;
        due_ms = snapshots_now_ms(CLOCK_MONOTONIC) + interval_ms;
        snapshot_take(s, cores_serialise);
        tell_cores(s);
    }
    return NULL;
}

int snapshots_start(struct snapshots *s)
{
    if (!*s->server->config->snapshot_file) return 0;
    int rc = pthread_create(&s->thread, NULL, thread_main, s);
    s->started = rc == 0;
    return -rc;
}

void snapshots_stop(struct snapshots *s)
{
    if (!s || !s->started) return;
    __atomic_store_n(&s->stopping, 1, __ATOMIC_RELEASE);
    sem_post(&s->news);
    pthread_join(s->thread, NULL);
    s->started = false;
}

int snapshots_final(struct snapshots *s)
{
    const struct config *config = s->server->config;
    return config->snapshot_on_shutdown && *config->snapshot_file ? snapshot_take(s, shards_serialise) : 0;
}
