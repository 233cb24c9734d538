#include "rdma/listener.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "rdma/address.h"
#include "rdma/discover.h"
#include "rdma/listener_impl.h"

#define BACKLOG 1024
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

/* ---- addresses ---- */

/* Of every device there is; one that will not serve is said, and left out, as long as another serves. */
static int rails_open_all(struct rdma_listener *l, char *text, size_t cap)
{
    int count = 0;
    unsigned open = 0;
    struct ibv_context **list = rdma_get_devices(&count);
    for (int i = 0; i < count; i++) {
        if (rail_get(l, list[i], text, cap))
            open++;
        else if (i + 1 < count || open)
            log_warn("%s", text);
    }
    if (list) rdma_free_devices(list);
    if (count == 0) snprintf(text, cap, "no RDMA device can be opened");
    return open ? 0 : -ENODEV;
}

static int endpoint_listen(struct rdma_listener *l, struct endpoint *e, char *text, size_t cap)
{
    e->listening = rdma_listen(e->id, BACKLOG) == 0;
    if (e->listening) {
        metric_add(&l->metrics.listeners, 1);
        return 0;
    }
    int rc = -errno;
    char where[RDMA_ADDRESS_TEXT];
    rdma_address_format((const struct sockaddr *)&e->listen.address, where);
    snprintf(text, cap, "cannot listen on %s: %s", where, strerror(-rc));
    return rc;
}

static int endpoint_open(struct rdma_listener *l, struct endpoint *e, char *text, size_t cap)
{
    int rc = rdma_discover_bind(l->channel, &e->listen.address, &e->id, text, cap);
    if (rc != 0) return rc;
    if (!e->id->verbs)
        rc = rails_open_all(l, text, cap);
    else if (!rail_get(l, e->id->verbs, text, cap))
        rc = -EIO;
    if (rc == 0 && l->started) rc = endpoint_listen(l, e, text, cap);
    if (rc == 0) return 0;
    rdma_destroy_id(e->id);
    e->id = NULL;
    return rc;
}

void endpoint_close(struct rdma_listener *l, struct endpoint *e)
{
    if (!e->id) return;
    rdma_destroy_id(e->id);
    e->id = NULL;
    if (e->listening) metric_sub(&l->metrics.listeners, 1);
    e->listening = false;
}

/* What lost its device: perhaps it is back. */
static void endpoints_retry(struct rdma_listener *l)
{
    char text[TEXT_BYTES], where[RDMA_ADDRESS_TEXT];
    if (l->stopped || !l->started) return;
    for (unsigned i = 0; i < l->config.listen_count; i++) {
        struct endpoint *e = &l->endpoints[i];
        if (e->id) continue;
        int rc = endpoint_open(l, e, text, sizeof text);
        rdma_address_format((const struct sockaddr *)&e->listen.address, where);
        if (rc == 0)
            log_info("RDMA: listens on %s again", where);
        else
            log_debug("RDMA: %s", text);
        if (rc != 0) metric_add(&l->metrics.listener_retries, 1);
    }
}

static bool endpoints_all_open(const struct rdma_listener *l)
{
    for (unsigned i = 0; i < l->config.listen_count; i++)
        if (!l->endpoints[i].id) return false;
    return true;
}

/* ---- events ---- */

static struct endpoint *endpoint_of(struct rdma_listener *l, const struct rdma_cm_id *id)
{
    for (unsigned i = 0; i < l->config.listen_count; i++)
        if (l->endpoints[i].id == id) return &l->endpoints[i];
    return NULL;
}

static void endpoint_event(struct rdma_listener *l, struct endpoint *e, enum rdma_cm_event_type event)
{
    if (event != RDMA_CM_EVENT_DEVICE_REMOVAL) return;
    for (unsigned i = 0; i < RAILS_MAX; i++)
        if (l->rails[i].device && rdma_device_verbs(l->rails[i].device) == e->id->verbs) rail_doom(&l->rails[i]);
    endpoint_close(l, e); /* if that has not been done with its device */
}

/* An event is given back before it is handled: what it makes us destroy waits for that. */
static void event_handle(struct rdma_listener *l, struct rdma_cm_event *event)
{
    struct rdma_cm_id *id = event->id, *listen = event->listen_id;
    enum rdma_cm_event_type type = event->event;
    uint8_t reads = type == RDMA_CM_EVENT_CONNECT_REQUEST ? event->param.conn.responder_resources : 0;
    rdma_ack_cm_event(event);
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
    for (unsigned i = 0; i < EVENTS_TURN && rdma_get_cm_event(l->channel, &event) == 0; i++) event_handle(l, event);
}

static void memory_regions_count(struct rdma_listener *l)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < RAILS_MAX; i++)
        if (l->rails[i].device) count += rdma_device_memory_regions(l->rails[i].device);
    metric_set(&l->metrics.memory_regions, count);
}

static unsigned listener_turn(void *arg, const struct tick *now)
{
    struct rdma_listener *l = arg;
    unsigned work = links_notices(l);
    if (now->ns >= l->next_check_ns) {
        l->next_check_ns = now->ns + CHECK_NS;
        links_check(l, now->ns);
        endpoints_retry(l);
    }
    memory_regions_count(l);
    return work;
}

static uint64_t listener_deadline(void *arg)
{
    const struct rdma_listener *l = arg;
    bool waits = l->asked > 0 || (l->started && !l->stopped && !endpoints_all_open(l));
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
    if (!l) return NULL;
    l->config = *config;
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
    assert(config->listen_count <= RDMA_LISTENS_MAX && config->core_count <= RDMA_CORES_MAX);
    struct rdma_listener *l = listener_new(config);
    snprintf(text, cap, "out of memory");
    if (!l) return -ENOMEM;
    int rc = rdma_discover(&l->channel, text, cap);
    for (unsigned i = 0; i < config->listen_count && rc == 0; i++) rc = endpoint_open(l, &l->endpoints[i], text, cap);
    if (rc == 0) {
        l->channel_fd = (struct reactor_fd){.fd = l->channel->fd, .ready = channel_ready, .arg = l};
        rc = reactor_fd_add(config->reactor, &l->channel_fd, EPOLLIN);
        if (rc != 0) snprintf(text, cap, "no room to watch the RDMA event channel: %s", strerror(-rc));
    }
    if (rc != 0) {
        l->channel_fd.ready = NULL; /* not watched */
        rdma_listener_destroy(&l);
        return rc;
    }
    l->poller = (struct poller){.name = "rdma-listener", .run = listener_turn, .deadline = listener_deadline, .arg = l};
    reactor_add_poller(config->reactor, &l->poller);
    memory_regions_count(l);
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
    for (unsigned i = 0; i < l->config.listen_count; i++) endpoint_close(l, &l->endpoints[i]);
    if (l->channel_fd.ready) reactor_fd_remove(l->config.reactor, &l->channel_fd);
    for (unsigned i = 0; i < RAILS_MAX; i++)
        if (l->rails[i].device) rail_close(&l->rails[i]);
    if (l->channel) rdma_destroy_event_channel(l->channel);
    free(l);
    *listener = NULL;
}
