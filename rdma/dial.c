#include "rdma/dial.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/log.h"
#include "rdma/dial_impl.h"
#include "rdma/discover.h"

#define RESOLVE_MS 2000
#define RETRIES 7     /* of what a lost acknowledgement makes the hardware send again */
#define RNR_RETRIES 7 /* for ever: the server's receives are shared by many */
/* 4 us * 2^n: what was lost is sent again after 0.5 s, not the kernel's 4; 4 s without a link pass */
#define ACK_TIMEOUT 17
#define DRAIN_PAUSE_NS 50000
#define CHECK_NS UINT64_C(1000000000) /* between two looks for devices that went without a word */

/* ---- the connection manager ---- */

static void channel_ready(struct reactor_fd *fd, uint32_t epoll_events);

static int dialer_connect(struct rdma_dialer *d, char *text, size_t cap)
{
    int rc = rdma_discover(&d->cm, &d->channel, text, cap);
    if (rc != 0) return rc;
    d->fd = (struct reactor_fd){.fd = d->channel->fd, .ready = channel_ready, .arg = d};
    rc = reactor_fd_add(d->config.reactor, &d->fd, EPOLLIN);
    if (rc == 0) return 0;
    snprintf(text, cap, "no room to watch RDMA's events: %s", strerror(-rc));
    rdma_discover_end(&d->cm, &d->channel);
    return rc;
}

static void dialer_disconnect(struct rdma_dialer *d)
{
    if (!d->cm) return;
    reactor_fd_remove(d->config.reactor, &d->fd);
    rdma_discover_end(&d->cm, &d->channel);
}

/* Of a device that went: what is ours is closed, and the connection manager lets go of it too. Not within the core's
 * turn: lanes go. */
static void dialer_tidy(struct rdma_dialer *d)
{
    unsigned doomed;
    if (!d->stale) return;
    unsigned rails = dial_rails_settle(d, &doomed);
    if (doomed > 0 || (rails == 0 && d->count > 0)) return;
    d->stale = false;
    if (rails > 0)
        rdma_cm_look();
    else
        dialer_disconnect(d);
}

/* 0: attempts can be made. */
static int dialer_ready(struct rdma_dialer *d)
{
    char text[512];
    if (d->stale) return -ENODEV;
    return d->cm ? 0 : dialer_connect(d, text, sizeof text);
}

/* ---- an attempt's end ---- */

/* Its core does not know of it, or not any more. */
static void dial_free(struct rdma_dial *dial)
{
    struct rdma_dialer *d = dial->dialer;
    bool trying = dial->state < DIAL_UP;
    TAILQ_REMOVE(trying ? &d->trying : &d->others, dial, entry);
    d->count--;
    if (dial->pair.lane) rdma_pair_close(&dial->pair);
    d->cm->destroy_id(dial->id);
    free(dial);
}

static void state_set(struct rdma_dial *dial, enum dial_state state)
{
    struct rdma_dialer *d = dial->dialer;
    if (dial->state < DIAL_UP && state >= DIAL_UP) {
        TAILQ_REMOVE(&d->trying, dial, entry);
        TAILQ_INSERT_TAIL(&d->others, dial, entry);
    }
    dial->state = state;
}

/* The core lets go of it when its queue pair has been flushed. */
static void dial_cut(struct rdma_dial *dial)
{
    if (dial->state == DIAL_GONE) return;
    state_set(dial, DIAL_GONE);
    /* Whatever it says: the queue pair is in its error state, or its device is gone. */
    dial->dialer->cm->disconnect(dial->id);
    bool told = rdma_core_tell(dial->dialer->config.core, RDMA_TELL_GONE, dial->pair.conn);
    assert(told);
    (void)told;
}

static void dial_answer(struct rdma_dial *dial, struct stream *stream, int error)
{
    rdma_dialed_fn *done = dial->done;
    dial->done = NULL;
    if (done) done(dial->arg, stream, error);
}

static void dial_fail(struct rdma_dial *dial, int error)
{
    rdma_dialed_fn *done = dial->done;
    void *arg = dial->arg;
    dial->done = NULL;
    if (dial->state < DIAL_CONNECT) {
        dial_free(dial);
    } else {
        rdma_conn_set_end(dial->pair.conn, error);
        dial_cut(dial);
    }
    if (done) done(arg, NULL, error);
}

void rdma_dial_cancel(struct rdma_dial *dial)
{
    dial->done = NULL;
    dial_fail(dial, ECANCELED);
}

/* ---- its steps ---- */

/* The core's: the connection is there. */
static void dial_accept(void *arg, struct stream *stream)
{
    struct rdma_dial *dial = arg;
    if (dial->done)
        dial_answer(dial, stream, 0);
    else
        stream->ops->abort(stream);
}

static int pair_open(struct rdma_dial *dial)
{
    struct rdma_dialer *d = dial->dialer;
    struct dial_rail *rail = dial_rail_get(d, dial->id->verbs);
    const struct rdma_pair_config config = {.cm = d->cm,
                                            .id = dial->id,
                                            .lane = rail ? &rail->lane : NULL,
                                            .buffer_bytes = d->config.buffer_bytes,
                                            .read_bytes = d->config.read_bytes,
                                            .accept = dial_accept,
                                            .accept_arg = dial,
                                            .user = dial};
    if (!rail) return -ENODEV;
    int rc = rdma_pair_open(&dial->pair, &config);
    if (rc != 0) memset(&dial->pair, 0, sizeof dial->pair);
    return rc;
}

/* Of both ends: the server's pair takes it from our request. */
static void ack_timeout_set(const struct rdma_cm *cm, struct rdma_cm_id *id)
{
    uint8_t timeout = ACK_TIMEOUT;
    /* An old kernel: as it is. */
    cm->set_option(id, RDMA_OPTION_ID, RDMA_OPTION_ID_ACK_TIMEOUT, &timeout, sizeof timeout);
}

/* The core knows of it before anything can complete on it. */
static int dial_connect(struct rdma_dial *dial)
{
    struct rdma_dialer *d = dial->dialer;
    int rc = pair_open(dial);
    if (rc != 0) return rc;
    uint8_t most = rdma_device_limits(dial->pair.lane->device)->max_asks;
    struct rdma_conn_param param = {.responder_resources = 1,
                                    .initiator_depth = d->config.reads < most ? d->config.reads : most,
                                    .retry_count = RETRIES,
                                    .rnr_retry_count = RNR_RETRIES};
    if (!rdma_core_tell(d->config.core, RDMA_TELL_NEW, dial->pair.conn)) return -EMFILE;
    state_set(dial, DIAL_CONNECT);
    ack_timeout_set(d->cm, dial->id);
    return d->cm->connect(dial->id, &param) == 0 ? 0 : -errno;
}

static void dial_up(struct rdma_dial *dial, uint8_t reads)
{
    if (dial->state != DIAL_CONNECT) return;
    state_set(dial, DIAL_UP);
    rdma_conn_set_reads(dial->pair.conn, reads);
    bool told = rdma_core_tell(dial->dialer->config.core, RDMA_TELL_ESTABLISHED, dial->pair.conn);
    assert(told);
    (void)told;
}

/* status: -errno, or of a refusal the peer's reason. reads: that the peer agrees to. */
static void dial_event(struct rdma_dial *dial, enum rdma_cm_event_type event, int status, uint8_t reads)
{
    int rc = 0;
    switch (event) {
    case RDMA_CM_EVENT_ADDR_RESOLVED:
        dial->state = DIAL_ROUTE;
        rc = dial->dialer->cm->resolve_route(dial->id, RESOLVE_MS) == 0 ? 0 : -errno;
        break;
    case RDMA_CM_EVENT_ROUTE_RESOLVED: rc = dial_connect(dial); break;
    case RDMA_CM_EVENT_ESTABLISHED: dial_up(dial, reads); break;
    case RDMA_CM_EVENT_REJECTED: rc = -ECONNREFUSED; break;
    case RDMA_CM_EVENT_ADDR_ERROR:
    case RDMA_CM_EVENT_ROUTE_ERROR:
    case RDMA_CM_EVENT_UNREACHABLE: rc = status < 0 ? status : -EHOSTUNREACH; break;
    case RDMA_CM_EVENT_CONNECT_ERROR: rc = status < 0 ? status : -ECONNABORTED; break;
    case RDMA_CM_EVENT_DISCONNECTED: rc = -ECONNRESET; break;
    case RDMA_CM_EVENT_DEVICE_REMOVAL:
        dial_rail_doom(dial->dialer, dial->id->verbs);
        rc = -ENODEV;
        break;
    default: break; /* the time-wait's end: the kernel's to care for */
    }
    if (rc != 0) dial_fail(dial, -rc);
}

/* An event is acknowledged first: an identifier that has one is not destroyed before. */
static void channel_ready(struct reactor_fd *fd, uint32_t epoll_events)
{
    struct rdma_dialer *d = fd->arg;
    struct rdma_cm_event *event;
    (void)epoll_events;
    while (d->cm->get_cm_event(d->channel, &event) == 0) {
        struct rdma_dial *dial = event->id->context;
        enum rdma_cm_event_type type = event->event;
        int status = event->status;
        uint8_t reads = type == RDMA_CM_EVENT_ESTABLISHED ? event->param.conn.initiator_depth : 0;
        d->cm->ack_cm_event(event);
        dial_event(dial, type, status, reads);
    }
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int rdma_dial(struct rdma_dialer *d, const struct sockaddr_storage *to, rdma_dialed_fn *done, void *arg,
              struct rdma_dial **out)
{
    struct sockaddr_storage copy = *to;
    int rc = dialer_ready(d);
    struct rdma_dial *dial = rc == 0 ? calloc(1, sizeof *dial) : NULL;
    if (!dial) return rc ? rc : -ENOMEM;
    *dial = (struct rdma_dial){.dialer = d, .limit_ns = now_ns() + d->config.timeout_ns, .done = done, .arg = arg};
    rc = d->cm->create_id(d->channel, &dial->id, dial, RDMA_PS_TCP) == 0 ? 0 : -errno;
    if (rc != 0) {
        free(dial);
        return rc;
    }
    TAILQ_INSERT_TAIL(&d->trying, dial, entry);
    d->count++;
    if (d->cm->resolve_addr(dial->id, NULL, (struct sockaddr *)&copy, RESOLVE_MS) != 0) {
        rc = -errno;
        dial_free(dial);
        return rc;
    }
    *out = dial;
    return 0;
}

/* ---- the dialer ---- */

static unsigned notices(struct rdma_dialer *d)
{
    struct rdma_notice notice;
    unsigned work = 0;
    for (; rdma_core_next_notice(d->config.core, &notice); work++) {
        struct rdma_dial *dial = rdma_conn_user(notice.conn);
        if (notice.kind == RDMA_NOTICE_CUT) {
            dial_fail(dial, ECONNRESET);
            continue;
        }
        assert(dial->state == DIAL_GONE);
        dial_free(dial);
    }
    return work;
}

static void dials_lose(struct rdma_dials *dials, const struct ibv_context *verbs)
{
    for (struct rdma_dial *dial = TAILQ_FIRST(dials), *next; dial; dial = next) {
        next = TAILQ_NEXT(dial, entry);
        if (dial->id->verbs == verbs && dial->state != DIAL_GONE) dial_fail(dial, ENODEV);
    }
}

static void device_lost(void *arg, struct ibv_context *verbs)
{
    struct rdma_dialer *d = arg;
    dial_rail_doom(d, verbs);
    dials_lose(&d->trying, verbs);
    dials_lose(&d->others, verbs);
}

static void devices_check(struct rdma_dialer *d, uint64_t at_ns)
{
    if (d->count == 0 || at_ns < d->next_check_ns) return;
    d->next_check_ns = at_ns + CHECK_NS;
    if (!d->stale) rdma_cm_each_lost(device_lost, d);
}

unsigned rdma_dialer_turn(void *dialer, const struct tick *now)
{
    struct rdma_dialer *d = dialer;
    struct rdma_dial *dial;
    unsigned work = notices(d);
    devices_check(d, now->ns);
    dialer_tidy(d);
    for (; (dial = TAILQ_FIRST(&d->trying)) != NULL && dial->limit_ns <= now->ns; work++) dial_fail(dial, ETIMEDOUT);
    return work;
}

uint64_t rdma_dialer_deadline(void *dialer)
{
    const struct rdma_dialer *d = dialer;
    const struct rdma_dial *dial = TAILQ_FIRST(&d->trying);
    uint64_t at = d->count > 0 ? d->next_check_ns : UINT64_MAX;
    return dial && dial->limit_ns < at ? dial->limit_ns : at;
}

uint32_t rdma_dialer_count(const struct rdma_dialer *d)
{
    return d->count;
}

int rdma_dialer_create(struct rdma_dialer **out, const struct rdma_dialer_config *config, char *text, size_t cap)
{
    struct rdma_dialer *d = calloc(1, sizeof *d);
    int rc = -ENOMEM;
    snprintf(text, cap, "out of memory");
    if (!d) return rc;
    d->config = *config;
    TAILQ_INIT(&d->trying);
    TAILQ_INIT(&d->others);
    rc = dialer_connect(d, text, cap);
    if (rc == 0)
        *out = d;
    else
        free(d);
    return rc;
}

static void drain(struct rdma_dialer *d, uint64_t wait_ns)
{
    const struct timespec pause = {.tv_nsec = DRAIN_PAUSE_NS};
    uint64_t limit = now_ns() + wait_ns;
    while (d->count > 0) {
        struct tick now = {.ns = now_ns()};
        if (now.ns >= limit) return;
        rdma_core_input(d->config.core, &now);
        rdma_core_output(d->config.core, &now);
        if (notices(d) == 0) nanosleep(&pause, NULL);
    }
}

bool rdma_dialer_destroy(struct rdma_dialer **dialer, uint64_t wait_ns)
{
    struct rdma_dialer *d = *dialer;
    struct rdma_dial *dial;
    if (!d) return true;
    while ((dial = TAILQ_FIRST(&d->trying)) != NULL) rdma_dial_cancel(dial);
    TAILQ_FOREACH(dial, &d->others, entry) dial_cut(dial);
    drain(d, wait_ns);
    bool all = d->count == 0;
    if (!all) log_warn("%u RDMA connections do not end", d->count);
    while ((dial = TAILQ_FIRST(&d->others)) != NULL) {
        dial->pair.conn = NULL; /* stays with its core */
        dial_free(dial);
    }
    dial_rails_close(d);
    dialer_disconnect(d);
    free(d);
    *dialer = NULL;
    return all;
}
