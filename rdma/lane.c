/* What a core has of a device: one completion queue of both directions, one shared receive queue. */
#include "rdma/device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include "base/log.h"

static int messages_open(struct rdma_lane *lane, char *text, size_t cap)
{
    size_t bytes = (size_t)rdma_device_limits(lane->device)->srq_depth * RDMA_MESSAGE_BYTES;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        snprintf(text, cap, "no memory for RDMA messages: %s", strerror(errno));
        return -ENOMEM;
    }
    lane->messages = memory;
    lane->messages_mr = rdma_device_register(lane->device, memory, bytes, IBV_ACCESS_LOCAL_WRITE);
    if (lane->messages_mr) return 0;
    int rc = -errno;
    rdma_device_text_locked(lane->device, bytes, rc, text, cap);
    return rc;
}

static int queues_open(struct rdma_lane *lane, unsigned vector)
{
    struct ibv_context *verbs = rdma_device_verbs(lane->device);
    const struct rdma_limits *limits = rdma_device_limits(lane->device);
    struct ibv_srq_init_attr srq = {.attr = {.max_wr = limits->srq_depth, .max_sge = 1}};
    lane->channel = ibv_create_comp_channel(verbs);
    if (!lane->channel) return -errno;
    int flags = fcntl(lane->channel->fd, F_GETFL);
    fcntl(lane->channel->fd, F_SETFL, flags | O_NONBLOCK);
    lane->cqe = rdma_limits_cqe(limits, 0, 0);
    int vectors = verbs->num_comp_vectors > 0 ? verbs->num_comp_vectors : 1;
    lane->cq = ibv_create_cq(verbs, (int)lane->cqe, lane, lane->channel, (int)(vector % (unsigned)vectors));
    if (!lane->cq) return -errno;
    lane->srq = ibv_create_srq(rdma_device_pd(lane->device), &srq);
    return lane->srq ? 0 : -errno;
}

int rdma_lane_open(struct rdma_lane *lane, struct rdma_device *device, struct rdma_core *core, struct reactor *reactor,
                   unsigned vector, char *text, size_t cap)
{
    *lane = (struct rdma_lane){.device = device, .core = core, .reactor = reactor};
    int rc = queues_open(lane, vector);
    if (rc != 0)
        snprintf(text, cap, "RDMA device %s makes no queues of %u receives and %u completions: %s%s",
                 rdma_device_name(device), rdma_device_limits(device)->srq_depth, lane->cqe, strerror(-rc),
                 rc == -ENOMEM ? " (see ulimit -l, CAP_IPC_LOCK)" : "");
    else
        rc = messages_open(lane, text, cap);
    if (rc != 0) rdma_lane_close(lane);
    return rc;
}

/* An event has done its work when it has woken the core: the next one is asked for before the next sleep. */
static void channel_ready(struct reactor_fd *fd, uint32_t epoll_events)
{
    struct rdma_lane *lane = fd->arg;
    struct ibv_cq *cq;
    void *context;
    unsigned events = 0;
    (void)epoll_events;
    while (ibv_get_cq_event(lane->channel, &cq, &context) == 0) events++;
    if (events) ibv_ack_cq_events(lane->cq, events);
}

int rdma_lane_attach(struct rdma_lane *lane)
{
    const struct rdma_lane_config config = {.cq = lane->cq,
                                            .srq = lane->srq,
                                            .srq_depth = rdma_device_limits(lane->device)->srq_depth,
                                            .messages = lane->messages,
                                            .messages_lkey = lane->messages_mr->lkey,
                                            .keys = rdma_device_keys(lane->device)};
    lane->fd = (struct reactor_fd){.fd = lane->channel->fd, .ready = channel_ready, .arg = lane};
    int rc = reactor_fd_add(lane->reactor, &lane->fd, EPOLLIN);
    if (rc != 0) return rc;
    lane->number = rdma_core_add_lane(lane->core, &config);
    if (lane->number < 0) {
        reactor_fd_remove(lane->reactor, &lane->fd);
        return lane->number;
    }
    lane->attached = true;
    return 0;
}

void rdma_lane_detach(struct rdma_lane *lane)
{
    if (!lane->attached) return;
    lane->attached = false;
    rdma_core_remove_lane(lane->core, (unsigned)lane->number);
    channel_ready(&lane->fd, 0);
    reactor_fd_remove(lane->reactor, &lane->fd);
}

void rdma_lane_close(struct rdma_lane *lane)
{
    if (!lane->device) return;
    int rc = lane->srq ? ibv_destroy_srq(lane->srq) : 0;
    if (rc == 0 && lane->cq) rc = ibv_destroy_cq(lane->cq);
    if (rc != 0)
        log_warn("RDMA device %s: a queue cannot be given back: %s", rdma_device_name(lane->device), strerror(rc));
    if (lane->channel) ibv_destroy_comp_channel(lane->channel);
    if (lane->messages_mr) rdma_device_deregister(lane->device, lane->messages_mr);
    if (lane->messages)
        munmap(lane->messages, (size_t)rdma_device_limits(lane->device)->srq_depth * RDMA_MESSAGE_BYTES);
    memset(lane, 0, sizeof *lane);
}

int rdma_lane_reserve(struct rdma_lane *lane)
{
    uint32_t cqe = rdma_limits_cqe(rdma_device_limits(lane->device), lane->pairs + 1, lane->cqe);
    if (cqe == 0) return -ENOSPC;
    int rc = cqe == lane->cqe ? 0 : ibv_resize_cq(lane->cq, (int)cqe);
    if (rc != 0) return -rc;
    lane->cqe = cqe;
    lane->pairs++;
    return 0;
}

void rdma_lane_release(struct rdma_lane *lane)
{
    lane->pairs--;
}
