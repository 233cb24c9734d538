#include "rdma/listener.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "rdma/discover.h"
#include "rdma/listener_impl.h"

#define CHECK_NS UINT64_C(1000000000)
#define EVENTS_TURN 64u

const struct metric_row rdma_listener_metric_rows[] = {
#define METRIC(name, kind, help) METRIC_ROW(struct rdma_listener_metrics, name, kind, help)
#include "rdma/listener.def"
#undef METRIC
};
const size_t rdma_listener_metric_row_count = sizeof rdma_listener_metric_rows / sizeof *rdma_listener_metric_rows;

uint32_t rdma_listener_connections(const struct rdma_listener *l)
{
    return (uint32_t)l->metrics.connections;
}

const struct rdma_listener_metrics *rdma_listener_metrics(const struct rdma_listener *l)
{
    return &l->metrics;
}

/* ---- events ---- */

/* An event is given back before it is handled: what it makes us destroy waits for that. */
static void event_handle(struct rdma_listener *l, struct rdma_cm_event *event)
{
    struct rdma_cm_id *id = event->id, *listen = event->listen_id;
    enum rdma_cm_event_type type = event->event;
    uint8_t reads = type == RDMA_CM_EVENT_CONNECT_REQUEST ? event->param.conn.responder_resources : 0;
    l->cm->ack_cm_event(event);
    struct endpoint *e = endpoint_of(l, type == RDMA_CM_EVENT_CONNECT_REQUEST ? listen : id);
    if (type == RDMA_CM_EVENT_CONNECT_REQUEST)
        link_request(l, e, id, reads);
    else if (e)
        endpoint_event(l, e, type);
    else
        link_event(id->context, type);
}

static void channel_ready(struct reactor_fd *fd, uint32_t epoll_events)
{
    struct rdma_listener *l = fd->arg;
    struct rdma_cm_event *event;
    (void)epoll_events;
    for (unsigned i = 0; i < EVENTS_TURN && l->cm->get_cm_event(l->channel, &event) == 0; i++) event_handle(l, event);
}

static void memory_count(struct rdma_listener *l)
{
    uint64_t regions = 0, windows = 0;
    for (unsigned i = 0; i < RAILS_MAX; i++) {
        const struct rdma_device *device = l->rails[i].device;
        if (!device) continue;
        regions += rdma_device_memory_regions(device);
        windows += rdma_device_memory_windows(device);
    }
    metric_set(&l->metrics.memory_regions, regions);
    metric_set(&l->metrics.memory_windows, windows);
}

/* ---- the connection manager ---- */

int listener_connect(struct rdma_listener *l, char *text, size_t cap)
{
    int rc = rdma_discover(&l->cm, &l->channel, text, cap);
    if (rc != 0) return rc;
    l->channel_fd = (struct reactor_fd){.fd = l->channel->fd, .ready = channel_ready, .arg = l};
    rc = reactor_fd_add(l->config.reactor, &l->channel_fd, EPOLLIN);
    if (rc == 0) {
        rdma_cm_look();
        return 0;
    }
    snprintf(text, cap, "no room to watch the RDMA event channel: %s", strerror(-rc));
    rdma_discover_end(&l->cm, &l->channel);
    return rc;
}

static void listener_disconnect(struct rdma_listener *l)
{
    if (!l->cm) return;
    for (unsigned i = 0; i < l->config.listen_count; i++) endpoint_close(l, &l->endpoints[i]);
    reactor_fd_remove(l->config.reactor, &l->channel_fd);
    rdma_discover_end(&l->cm, &l->channel);
}

static bool rails_none(const struct rdma_listener *l)
{
    for (unsigned i = 0; i < RAILS_MAX; i++)
        if (l->rails[i].device) return false;
    return true;
}

/* All that was ours on a device that went is freed: the connection manager is to let go of it too. */
static void listener_tidy(struct rdma_listener *l)
{
    if (!l->stale || rails_doomed(l)) return;
    l->stale = false;
    if (rails_none(l))
        listener_disconnect(l);
    else
        rdma_cm_look();
}

static unsigned listener_turn(void *arg, const struct tick *now)
{
    struct rdma_listener *l = arg;
    unsigned work = links_notices(l);
    if (now->ns >= l->next_check_ns) {
        l->next_check_ns = now->ns + CHECK_NS;
        links_check(l, now->ns);
        rails_check(l);
        endpoints_retry(l);
    }
    listener_tidy(l);
    memory_count(l);
    return work;
}

static uint64_t listener_deadline(void *arg)
{
    const struct rdma_listener *l = arg;
    bool waits = l->asked > 0 || (l->started && !l->stopped);
    return waits ? l->next_check_ns : UINT64_MAX;
}

static void notice_wake(void *arg)
{
    struct rdma_listener *l = arg;
    reactor_wake(l->config.reactor);
}

/* ---- life ---- */

static struct rdma_listener *listener_new(const struct rdma_listener_config *config)
{
    struct rdma_listener *l = calloc(1, sizeof *l);
    struct endpoint *endpoints = calloc(config->listen_count, sizeof *endpoints);
    if (!l || !endpoints) {
        free(l);
        free(endpoints);
        return NULL;
    }
    l->config = *config;
    l->endpoints = endpoints;
    for (unsigned i = 0; i < config->listen_count; i++) l->endpoints[i].listen = config->listens[i];
    for (unsigned i = 0; i < config->core_count; i++) {
        l->cores[i] = config->cores[i];
        rdma_core_on_notice(l->cores[i].core, notice_wake, l);
    }
    l->config.listens = NULL;
    l->config.cores = NULL;
    return l;
}

int rdma_listener_create(struct rdma_listener **out, const struct rdma_listener_config *config, char *text, size_t cap)
{
    assert(config->listen_count > 0 && config->core_count <= RDMA_CORES_MAX);
    struct rdma_listener *l = listener_new(config);
    snprintf(text, cap, "out of memory");
    if (!l) return -ENOMEM;
    int rc = listener_connect(l, text, cap);
    for (unsigned i = 0; i < config->listen_count && rc == 0; i++) rc = endpoint_open(l, &l->endpoints[i], text, cap);
    if (rc != 0) {
        rdma_listener_destroy(&l);
        return rc;
    }
    l->poller = (struct poller){.name = "rdma-listener", .run = listener_turn, .deadline = listener_deadline, .arg = l};
    reactor_add_poller(config->reactor, &l->poller);
    memory_count(l);
    *out = l;
    return 0;
}

int rdma_listener_start(struct rdma_listener *l, char *text, size_t cap)
{
    l->started = true;
    for (unsigned i = 0; i < l->config.listen_count; i++) {
        int rc = endpoint_listen(l, &l->endpoints[i], text, cap);
        if (rc != 0) return rc;
    }
    return 0;
}

void rdma_listener_stop(struct rdma_listener *l)
{
    l->stopped = true;
    for (unsigned i = 0; i < l->config.listen_count; i++) endpoint_close(l, &l->endpoints[i]);
    for (struct link *link = l->links; link; link = link->next) link_end(link, &l->metrics.cut);
}

void rdma_listener_destroy(struct rdma_listener **listener)
{
    struct rdma_listener *l = *listener;
    if (!l) return;
    while (l->links) link_abandon(l->links);
    for (unsigned i = 0; i < RAILS_MAX; i++)
        if (l->rails[i].device) rail_close(&l->rails[i]);
    listener_disconnect(l);
    free(l->endpoints);
    free(l);
    *listener = NULL;
}
