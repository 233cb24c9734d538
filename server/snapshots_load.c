/* Loading the snapshot at the start, and checking one without a server. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/log.h"
#include "server/core.h"
#include "server/crew.h"
#include "server/snapshots_impl.h"
#include "store/snapshot_in.h"

#define PRIu(v) ((unsigned long long)(v))

/* The one line about a file that is not to be had. */
static void say(char *text, size_t cap, const char *path, int rc, const struct snapshot_fault *fault)
{
    if (fault->what && fault->error)
        snprintf(text, cap, "%s: block %llu at byte %llu: %s: %s", path, PRIu(fault->block), PRIu(fault->offset),
                 fault->what, strerror(fault->error));
    else if (fault->what)
        snprintf(text, cap, "%s is damaged: block %llu at byte %llu: %s", path, PRIu(fault->block), PRIu(fault->offset),
                 fault->what);
    else
        snprintf(text, cap, "%s: %s", path, strerror(-rc));
}

struct loading {
    struct snapshot_in *in;
    struct snapshot_load loads[CONFIG_CORES_MAX];
    struct crew_progress progress;
};

static int load_shard(struct core *core, void *arg)
{
    struct loading *l = arg;
    return snapshot_load_run(l->in, &l->loads[core->index]);
}

static void loading_prepare(struct loading *l, struct server *server)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    l->progress.what = "of the snapshot read";
    for (unsigned i = 0; i < server->config->core_count; i++) {
        l->loads[i] = (struct snapshot_load){.store = server->cores[i].store,
                                             .slots = &server->slots,
                                             .core = i,
                                             .now_ms = (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u,
                                             .progress = &l->progress.done};
        l->progress.total += snapshot_load_bytes(l->in, &l->loads[i]);
    }
}

/* What all loaders have counted; the first fault. */
static struct snapshot_load loading_sum(const struct loading *l, unsigned cores)
{
    struct snapshot_load sum = {0};
    for (unsigned i = 0; i < cores; i++) {
        sum.items += l->loads[i].items;
        sum.expired += l->loads[i].expired;
        sum.no_memory += l->loads[i].no_memory;
        sum.too_large += l->loads[i].too_large;
        if (!sum.fault.what) sum.fault = l->loads[i].fault;
    }
    return sum;
}

/* Of the items that were loaded: what had to go again where memory-limit is smaller than they are. */
static uint64_t evicted(const struct server *server)
{
    uint64_t items = 0;
    for (unsigned i = 0; i < server->config->core_count; i++) {
        const struct store_metrics *m = store_metrics(server->cores[i].store);
        items += m->evicted_new + m->evicted_cold + m->evicted_page + m->evicted_class;
    }
    return items;
}

/* 0, or -errno with a line in text. */
static int load(struct snapshots *s, char *text, size_t cap)
{
    struct server *server = s->server;
    const char *path = server->config->snapshot_file;
    struct loading *l = calloc(1, sizeof *l);
    struct snapshot_fault fault = {0};
    if (!l) return -ENOMEM;
    uint64_t begin = snapshots_now_ms(CLOCK_MONOTONIC);
    int rc = snapshot_in_open(&l->in, path, &fault);
    if (rc != 0) {
        say(text, cap, path, rc, &fault);
        free(l);
        return rc;
    }
    loading_prepare(l, server);
    rc = crew_run(server, load_shard, l, &l->progress);
    struct snapshot_load sum = loading_sum(l, server->config->core_count);
    if (rc != 0) say(text, cap, path, rc, &sum.fault);
    if (rc == 0 && sum.no_memory + sum.too_large > 0) {
        rc = -ENOSPC;
        snprintf(text, cap, "%s: %llu items do not fit memory-limit, %llu are longer than max-value-size", path,
                 PRIu(sum.no_memory), PRIu(sum.too_large));
    }
    uint64_t took = snapshots_now_ms(CLOCK_MONOTONIC) - begin;
    if (rc == 0) {
        log_info("snapshot %s: %llu items loaded, %llu expired, in %llu ms", path, PRIu(sum.items), PRIu(sum.expired),
                 PRIu(took));
        if (evicted(server) > 0)
            log_warn("snapshot %s: it is larger than memory-limit: %llu of its items were evicted", path,
                     PRIu(evicted(server)));
        metric_set(&s->metrics.loaded_items, sum.items);
        metric_set(&s->metrics.load_ms, took);
        metric_set(&s->metrics.last_unix_s, snapshot_in_totals(l->in)->finished_ms / 1000);
    }
    snapshot_in_close(&l->in);
    free(l);
    return rc;
}

/* Out of the way of the next snapshot, so that somebody may look into it. */
static void set_aside(const char *path)
{
    char aside[4200];
    if ((size_t)snprintf(aside, sizeof aside, "%s.refused", path) < sizeof aside && rename(path, aside) == 0)
        log_warn("it is kept as %s", aside);
}

int snapshots_load(struct snapshots *s)
{
    const struct config *config = s->server->config;
    char text[4400] = "out of memory";
    if (!*config->snapshot_file || strcmp(config->snapshot_load, "no") == 0) return 0;
    int rc = load(s, text, sizeof text);
    if (rc == -ENOENT) {
        log_info("no snapshot %s yet: empty", config->snapshot_file);
        return 0;
    }
    if (rc == 0) return 0;
    if (strcmp(config->snapshot_load, "ignore") != 0) {
        log_error("snapshot %s; option snapshot-load ignore starts without it", text);
        return rc;
    }
    for (unsigned i = 0; i < config->core_count; i++) store_flush(s->server->cores[i].store);
    log_warn("snapshot %s; ignored: empty", text);
    set_aside(config->snapshot_file);
    return 0;
}

int snapshots_check(const char *path)
{
    struct snapshot_load sum = {0};
    struct snapshot_in *in = NULL;
    char text[4400];
    int rc = snapshot_in_open(&in, path, &sum.fault);
    if (rc == 0) rc = snapshot_load_run(in, &sum);
    if (rc == 0) {
        const struct snapshot_totals *t = snapshot_in_totals(in);
        printf("%s: whole: %llu items, %llu bytes of keys and values, %u shards, %llu blocks, finished at %llu\n", path,
               PRIu(t->items), PRIu(t->bytes), snapshot_in_header(in)->shards, PRIu(snapshot_in_blocks(in)),
               PRIu(t->finished_ms / 1000));
    } else {
        say(text, sizeof text, path, rc, &sum.fault);
        fprintf(stderr, "polarkv: %s\n", text);
    }
    snapshot_in_close(&in);
    return rc == 0 ? 0 : 1;
}
