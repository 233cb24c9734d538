#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "rdma/listener_impl.h"

#define HANDSHAKE_NS UINT64_C(5000000000)
#define RETRIES 7     /* of what is not acknowledged: the most there are, for links that are down for a moment */
#define RNR_RETRIES 7 /* for ever: the client waits when it is faster than a core posts receives */

unsigned rdma_listener_choose(const uint32_t *connections, unsigned count, uint32_t max)
{
    unsigned best = count;
    for (unsigned i = 0; i < count; i++)
        if (connections[i] < max && (best == count || connections[i] < connections[best])) best = i;
    return best;
}

static void core_wake(struct rdma_listener *l, unsigned core)
{
    reactor_wake(l->cores[core].reactor);
}

static void links_add(struct rdma_listener *l, struct link *link)
{
    link->next = l->links;
    if (l->links) l->links->prev = link;
    l->links = link;
    link->rail->links++;
    l->connections[link->core]++;
    l->asked++;
    metric_add(&l->metrics.connections, 1);
    metric_add(&l->metrics.memory_bytes, link->pair.memory_bytes);
}

static void links_remove(struct rdma_listener *l, struct link *link)
{
    if (link->next) link->next->prev = link->prev;
    *(link->prev ? &link->prev->next : &l->links) = link->next;
    link->rail->links--;
    l->connections[link->core]--;
    metric_sub(&l->metrics.connections, 1);
    metric_sub(&l->metrics.memory_bytes, link->pair.memory_bytes);
}

static void state_set(struct link *link, enum link_state state)
{
    if (link->state == LINK_ASKED && state != LINK_ASKED) link->listener->asked--;
    link->state = state;
}

void link_end(struct link *link, uint64_t *why)
{
    struct rdma_listener *l = link->listener;
    if (link->state == LINK_GONE) return;
    metric_add(why, 1);
    state_set(link, LINK_GONE);
    l->cm->disconnect(
        link->pair.id); /* whatever it says: the queue pair is in its error state, or its device is gone */
    bool told = rdma_core_tell(l->cores[link->core].core, RDMA_TELL_GONE, link->pair.conn);
    assert(told);
    (void)told;
    core_wake(l, link->core);
}

static void link_close(struct link *link)
{
    struct rdma_listener *l = link->listener;
    struct rail *rail = link->rail;
    struct rdma_cm_id *id = link->pair.id;
    rdma_pair_close(&link->pair);
    links_remove(l, link);
    free(link);
    rail_settle(rail); /* before the id, which keeps the device's context */
    l->cm->destroy_id(id);
}

void link_abandon(struct link *link)
{
    state_set(link, LINK_GONE);
    link->pair.conn = NULL; /* stays with its core */
    link_close(link);
}

/* ---- a client asks ---- */

static unsigned core_for(const struct rdma_listener *l, const struct endpoint *e)
{
    if (e->listen.core == RDMA_ANY_CORE)
        return rdma_listener_choose(l->connections, l->config.core_count, l->config.max_connections);
    unsigned core = (unsigned)e->listen.core;
    return l->connections[core] < l->config.max_connections ? core : l->config.core_count;
}

/* Not more reads than the client asked for: its pair would be set to what we say, which its device may not have. */
static int link_accept(struct link *link, uint8_t reads)
{
    uint8_t most = rdma_device_limits(link->rail->device)->max_reads, configured = link->listener->config.reads;
    if (reads > configured) reads = configured;
    if (reads == 0) reads = 1; /* the protocol document's depth */
    struct rdma_conn_param param = {.responder_resources = reads < most ? reads : most,
                                    .initiator_depth = most ? 1 : 0,
                                    .retry_count = RETRIES,
                                    .rnr_retry_count = RNR_RETRIES};
    return rdma_pair_accept(&link->pair, &param);
}

/* The core knows of it before anything can complete on it. NULL: *why says for which reason it is refused. */
static struct link *link_open(struct rdma_listener *l, struct endpoint *e, struct rail *rail, struct rdma_cm_id *id,
                              uint64_t **why)
{
    unsigned core = core_for(l, e);
    size_t bytes = rdma_pair_memory_bytes(rail->device, l->config.buffer_bytes, 0);
    *why = &l->metrics.rejected_limit;
    if (core == l->config.core_count) return NULL;
    *why = &l->metrics.rejected_memory;
    if (metric_get(&l->metrics.memory_bytes) + bytes > l->config.memory_bytes) return NULL;
    *why = &l->metrics.rejected_resources;
    struct link *link = calloc(1, sizeof *link);
    if (!link) return NULL;
    *link = (struct link){
        .listener = l, .rail = rail, .core = core, .limit_ns = reactor_now(l->config.reactor)->ns + HANDSHAKE_NS};
    struct rdma_pair_config pair = {.cm = l->cm,
                                    .id = id,
                                    .lane = &rail->lanes[core],
                                    .buffer_bytes = l->config.buffer_bytes,
                                    .server = true,
                                    .accept = e->listen.accept,
                                    .accept_arg = l->cores[core].accept_arg,
                                    .user = link};
    int rc = rdma_pair_open(&link->pair, &pair);
    if (rc == -ENOSPC) *why = &l->metrics.rejected_queue;
    if (rc != 0) log_debug("RDMA connection refused: %s", strerror(-rc));
    if (rc == 0 && !rdma_core_tell(l->cores[core].core, RDMA_TELL_NEW, link->pair.conn)) {
        *why = &l->metrics.rejected_limit;
        rdma_pair_close(&link->pair);
        rc = -EAGAIN;
    }
    if (rc == 0) return link;
    free(link);
    return NULL;
}

void link_request(struct rdma_listener *l, struct endpoint *e, struct rdma_cm_id *id, uint8_t reads)
{
    char text[TEXT_BYTES];
    uint64_t *why = &l->metrics.rejected_device;
    text[0] = '\0';
    metric_add(&l->metrics.requests, 1);
    struct rail *rail = l->stopped || !e ? NULL : rail_get(l, id->verbs, text, sizeof text);
    struct link *link = rail ? link_open(l, e, rail, id, &why) : NULL;
    if (!link) {
        if (*text) log_debug("%s", text);
        metric_add(why, 1);
        l->cm->reject(id, NULL, 0);
        l->cm->destroy_id(id);
        return;
    }
    id->context = link;
    links_add(l, link);
    core_wake(l, link->core);
    if (link_accept(link, reads) != 0) link_end(link, &l->metrics.accept_failed);
}

/* ---- what becomes of it ---- */

static void link_up(struct link *link)
{
    struct rdma_listener *l = link->listener;
    if (link->state != LINK_ASKED) return;
    state_set(link, LINK_UP);
    metric_add(&l->metrics.established, 1);
    bool told = rdma_core_tell(l->cores[link->core].core, RDMA_TELL_ESTABLISHED, link->pair.conn);
    assert(told);
    (void)told;
    core_wake(l, link->core);
}

void link_event(struct link *link, enum rdma_cm_event_type event)
{
    struct rdma_listener_metrics *m = &link->listener->metrics;
    switch (event) {
    case RDMA_CM_EVENT_ESTABLISHED: link_up(link); break;
    case RDMA_CM_EVENT_CONNECT_ERROR:
    case RDMA_CM_EVENT_UNREACHABLE:
    case RDMA_CM_EVENT_REJECTED: link_end(link, &m->handshake_failed); break;
    case RDMA_CM_EVENT_DISCONNECTED: link_end(link, &m->disconnected); break;
    case RDMA_CM_EVENT_DEVICE_REMOVAL:
        link_end(link, &m->removed);
        rail_doom(link->rail);
        break;
    default: break; /* the time-wait's end: the identifier is free again, which is the kernel's to care for */
    }
}

/* The core gives its window out when it has been told. */
static void link_allow_reads(struct link *link)
{
    struct rdma_listener *l = link->listener;
    if (link->state == LINK_GONE) return;
    int rc = rdma_pair_allow_reads(&link->pair);
    if (rc != 0) {
        log_debug("RDMA connection: its device allows no reads: %s", strerror(-rc));
        link_end(link, &l->metrics.reads_refused);
        return;
    }
    bool told = rdma_core_tell(l->cores[link->core].core, RDMA_TELL_READABLE, link->pair.conn);
    assert(told);
    (void)told;
    core_wake(l, link->core);
}

static void link_notice(struct link *link, enum rdma_notice_kind kind)
{
    switch (kind) {
    case RDMA_NOTICE_CUT: link_end(link, &link->listener->metrics.cut); break;
    case RDMA_NOTICE_READS: link_allow_reads(link); break;
    case RDMA_NOTICE_DONE:
        assert(link->state == LINK_GONE);
        link_close(link);
        break;
    }
}

unsigned links_notices(struct rdma_listener *l)
{
    unsigned work = 0;
    struct rdma_notice notice;
    for (unsigned i = 0; i < l->config.core_count; i++) {
        for (; rdma_core_next_notice(l->cores[i].core, &notice); work++)
            link_notice(rdma_conn_user(notice.conn), notice.kind);
    }
    return work;
}

void links_check(struct rdma_listener *l, uint64_t now_ns)
{
    if (l->asked == 0) return;
    for (struct link *link = l->links; link; link = link->next)
        if (link->state == LINK_ASKED && now_ns >= link->limit_ns) link_end(link, &l->metrics.handshake_failed);
}
