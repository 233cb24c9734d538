#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "rdma/listener_impl.h"

/* ---- lanes, on their cores ---- */

struct lane_call {
    struct rdma_lane *lane;
    int rc;
};

static void lane_attach(void *arg)
{
    struct lane_call *call = arg;
    call->rc = rdma_lane_attach(call->lane);
}

static void lane_detach(void *arg)
{
    struct lane_call *call = arg;
    rdma_lane_detach(call->lane);
}

static void on_core(struct rdma_listener *l, unsigned core, void (*fn)(void *arg), struct lane_call *call)
{
    l->config.on_core(l->config.on_core_arg, core, fn, call);
}

static int lane_open(struct rail *rail, unsigned core, char *text, size_t cap)
{
    struct rdma_listener *l = rail->listener;
    const struct rdma_listener_core *c = &l->cores[core];
    struct lane_call call = {.lane = &rail->lanes[core]};
    int rc = rdma_lane_open(call.lane, rail->device, c->core, c->reactor, core, text, cap);
    if (rc != 0) return rc;
    on_core(l, core, lane_attach, &call);
    if (call.rc != 0)
        snprintf(text, cap, "RDMA device %s: core %u takes no more devices: %s", rdma_device_name(rail->device), core,
                 strerror(-call.rc));
    return call.rc;
}

/* ---- what the device says of itself ---- */

static void pair_event(struct rail *rail, const struct ibv_async_event *event)
{
    struct link *link = event->element.qp->qp_context;
    if (event->event_type == IBV_EVENT_COMM_EST)
        link->listener->cm->notify(link->pair.id,
                                   IBV_EVENT_COMM_EST); /* bytes came, the client's confirmation was lost */
    else
        link_end(link, &rail->listener->metrics.pair_errors);
}

static void port_event(struct rail *rail, const struct ibv_async_event *event)
{
    bool up = event->event_type == IBV_EVENT_PORT_ACTIVE;
    struct rdma_listener_metrics *m = &rail->listener->metrics;
    metric_add(up ? &m->port_ups : &m->port_downs, 1);
    log_warn("RDMA device %s: port %d is %s", rdma_device_name(rail->device), event->element.port_num,
             up ? "up" : "down");
}

/* True: the device is of no use any more. */
static bool event_handle(struct rail *rail, const struct ibv_async_event *event)
{
    switch (event->event_type) {
    case IBV_EVENT_QP_FATAL:
    case IBV_EVENT_QP_REQ_ERR:
    case IBV_EVENT_QP_ACCESS_ERR:
    case IBV_EVENT_COMM_EST: pair_event(rail, event); return false;
    case IBV_EVENT_PORT_ERR:
    case IBV_EVENT_PORT_ACTIVE: port_event(rail, event); return false;
    case IBV_EVENT_CQ_ERR:
    case IBV_EVENT_SRQ_ERR:
    case IBV_EVENT_DEVICE_FATAL: return true;
    default: return false; /* paths, GIDs and keys of the fabric: the connection manager's */
    }
}

static void async_ready(struct reactor_fd *fd, uint32_t epoll_events)
{
    struct rail *rail = fd->arg;
    struct ibv_async_event event;
    bool failed = false;
    (void)epoll_events;
    while (ibv_get_async_event(rdma_device_verbs(rail->device), &event) == 0) {
        if (event_handle(rail, &event)) {
            log_error("RDMA device %s: %s", rdma_device_name(rail->device), ibv_event_type_str(event.event_type));
            failed = true;
        }
        ibv_ack_async_event(&event);
    }
    if (!failed || rail->doomed) return;
    metric_add(&rail->listener->metrics.device_errors, 1);
    rail_doom(rail);
}

/* ---- life ---- */

static int rail_open(struct rail *rail, struct ibv_context *verbs, char *text, size_t cap)
{
    struct rdma_listener *l = rail->listener;
    const struct rdma_device_config config = {.regions = l->config.regions, .region_access = l->config.region_access};
    rdma_cm_look();
    int rc = rdma_device_open(&rail->device, verbs, &config, text, cap);
    if (rc != 0) return rc;
    for (unsigned i = 0; i < l->config.core_count && rc == 0; i++)
        rc = rdma_device_add_pools(rail->device, l->cores[i].pools, text, cap);
    for (unsigned i = 0; i < l->config.core_count && rc == 0; i++) rc = lane_open(rail, i, text, cap);
    rail->async = (struct reactor_fd){.fd = verbs->async_fd, .ready = async_ready, .arg = rail};
    if (rc == 0 && (rc = reactor_fd_add(l->config.reactor, &rail->async, EPOLLIN)) != 0)
        snprintf(text, cap, "RDMA device %s: no room to watch it: %s", rdma_device_name(rail->device), strerror(-rc));
    if (rc != 0) rail->async.ready = NULL; /* not watched */
    metric_add(&l->metrics.devices, 1);
    if (rc != 0) rail_close(rail);
    return rc;
}

struct rail *rail_get(struct rdma_listener *l, struct ibv_context *verbs, char *text, size_t cap)
{
    struct rail *rail = NULL;
    for (unsigned i = 0; i < RAILS_MAX; i++) {
        struct rail *one = &l->rails[i];
        if (!one->device && !rail) rail = one;
        if (!one->device || rdma_device_verbs(one->device) != verbs) continue;
        if (!one->doomed) return one;
        snprintf(text, cap, "RDMA device %s is being given up", rdma_device_name(one->device));
        return NULL;
    }
    if (!rail) {
        snprintf(text, cap, "more than %u RDMA devices", RAILS_MAX);
        return NULL;
    }
    memset(rail, 0, sizeof *rail);
    rail->listener = l;
    return rail_open(rail, verbs, text, cap) == 0 ? rail : NULL;
}

void rail_close(struct rail *rail)
{
    struct rdma_listener *l = rail->listener;
    if (rail->async.ready) reactor_fd_remove(l->config.reactor, &rail->async);
    for (unsigned i = 0; i < l->config.core_count; i++) {
        struct lane_call call = {.lane = &rail->lanes[i]};
        if (rail->lanes[i].attached) on_core(l, i, lane_detach, &call);
        rdma_lane_close(&rail->lanes[i]);
    }
    metric_sub(&l->metrics.devices, 1);
    rdma_device_close(&rail->device);
}

void rail_settle(struct rail *rail)
{
    if (rail->device && rail->doomed && rail->links == 0) rail_close(rail);
}

void rail_doom(struct rail *rail)
{
    struct rdma_listener *l = rail->listener;
    if (rail->doomed || !rail->device) return;
    rail->doomed = l->stale = true;
    metric_add(&l->metrics.device_removals, 1);
    log_warn("RDMA device %s is gone: %u connections end", rdma_device_name(rail->device), rail->links);
    for (struct link *link = l->links; link; link = link->next)
        if (link->rail == rail) link_end(link, &l->metrics.removed);
    for (unsigned i = 0; i < l->config.listen_count; i++) {
        struct endpoint *e = &l->endpoints[i];
        if (e->id && e->id->verbs == rdma_device_verbs(rail->device)) endpoint_close(l, e);
    }
    rail_settle(rail);
}

void rails_doom(struct rdma_listener *l, const struct ibv_context *verbs)
{
    for (unsigned i = 0; i < RAILS_MAX; i++)
        if (l->rails[i].device && rdma_device_verbs(l->rails[i].device) == verbs) rail_doom(&l->rails[i]);
}

bool rails_doomed(const struct rdma_listener *l)
{
    for (unsigned i = 0; i < RAILS_MAX; i++)
        if (l->rails[i].device && l->rails[i].doomed) return true;
    return false;
}

static void rail_lost(void *arg, struct ibv_context *verbs)
{
    rails_doom(arg, verbs);
}

void rails_check(struct rdma_listener *l)
{
    if (rdma_cm_each_lost(rail_lost, l) > 0) l->stale = true;
}
