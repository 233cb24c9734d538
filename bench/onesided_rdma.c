#include "bench/onesided.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>
#include "bench/worker.h"
#include "rdma/window.h"

_Static_assert(ONESIDED_DEPTH_MAX <= RDMA_WINDOW_DEPTH_MAX, "look-ups at a time");

struct onesided {
    struct onesided_set *set;
    struct rdma_window *window;
    struct rdma_conn *conn;
    LIST_ENTRY(onesided) entry;
};

struct onesided_set {
    uint32_t depth;
    struct window_counts closed; /* of windows that are no more */
    LIST_HEAD(, onesided) all;   /* the newest first: messages are for these */
};

struct onesided_set *onesided_set_create(uint32_t depth)
{
    struct onesided_set *set = calloc(1, sizeof *set);
    if (!set) return NULL;
    set->depth = depth;
    LIST_INIT(&set->all);
    return set;
}

void onesided_set_destroy(struct onesided_set **set)
{
    assert(!*set || LIST_EMPTY(&(*set)->all));
    free(*set);
    *set = NULL;
}

size_t onesided_memory_bytes(uint32_t depth)
{
    return rdma_window_memory_bytes(depth);
}

static void counts_add(struct window_counts *to, const struct rdma_window *window)
{
    struct window_counts from;
    rdma_window_counts(window, &from);
#define METRIC(name, kind, help) to->name += from.name;
#include "rdma/window.def"
#undef METRIC
}

void onesided_set_counts(const struct onesided_set *set, struct window_counts *out)
{
    const struct onesided *o;
    *out = set->closed;
    LIST_FOREACH(o, &set->all, entry) counts_add(out, o->window);
}

bool onesided_message(void *set, struct rdma_conn *conn, const struct rdma_message *m)
{
    const struct onesided_set *s = set;
    const struct onesided *o;
    LIST_FOREACH(o, &s->all, entry)
    if (o->conn == conn) return rdma_window_message(o->window, m);
    return false; /* nobody asked */
}

static void on_done(void *arg, enum window_step step, const uint8_t *value, uint32_t len, uint32_t flags)
{
    (void)flags; /* kvbench sets none */
    conn_on_look(arg, step == WINDOW_VALUE ? value : NULL, len);
}

static void on_settled(void *stream)
{
    stream_raise(stream, 0);
}

int onesided_open(struct onesided_set *set, struct stream *s, struct onesided **out)
{
    struct rdma_conn *conn = rdma_conn_of(s);
    struct rdma_window_config config = {.conn = conn,
                                        .depth = set->depth,
                                        .reads = rdma_conn_reads(conn),
                                        .ask_every = ONESIDED_LEFT_EVERY,
                                        .done = on_done,
                                        .settled = on_settled,
                                        .settled_arg = s};
    if (config.reads == 0) return -ENOTSUP;
    config.memory = rdma_conn_read_memory(conn, &config.lkey);
    struct onesided *o = calloc(1, sizeof *o);
    if (!o) return -ENOMEM;
    int rc = rdma_window_create(&o->window, &config);
    if (rc != 0) {
        free(o);
        return rc;
    }
    o->set = set;
    o->conn = conn;
    LIST_INSERT_HEAD(&set->all, o, entry);
    *out = o;
    return 0;
}

enum onesided_state onesided_state(const struct onesided *o)
{
    switch (rdma_window_state(o->window)) {
    case RDMA_WINDOW_ASKING: return ONESIDED_ASKING;
    case RDMA_WINDOW_OPEN: return ONESIDED_OPEN;
    case RDMA_WINDOW_NONE: break;
    }
    return ONESIDED_REFUSED;
}

bool onesided_get(struct onesided *o, const void *key, uint32_t len, struct look *look)
{
    return rdma_window_get(o->window, key, len, look);
}

/* The memory is the connection's, which outlives its reads. */
static void on_freed(void *arg)
{
    (void)arg;
}

void onesided_close(struct onesided **onesided)
{
    struct onesided *o = *onesided;
    *onesided = NULL;
    if (!o) return;
    counts_add(&o->set->closed, o->window);
    LIST_REMOVE(o, entry);
    rdma_window_destroy(&o->window, on_freed, NULL);
    free(o);
}
