/* What set-up calls of libibverbs. */
#include "tests/rdma/cm/world_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "tests/rdma/attributes.h"

#undef ibv_get_device_list
#undef ibv_query_port
#undef ibv_reg_mr

struct device devices[WORLD_DEVICES];

void world_signal_fd(int fd)
{
    uint64_t one = 1;
    assert_int_equal(write(fd, &one, sizeof one), sizeof one);
}

void world_quiet_fd(int fd)
{
    uint64_t count;
    if (read(fd, &count, sizeof count) < 0) assert_int_equal(errno, EAGAIN);
}

int world_fault(int *fault)
{
    if (*fault == 0) return 0;
    errno = *fault;
    *fault = 0;
    return -1;
}

static struct device *device_of(const struct ibv_context *context)
{
    return (struct device *)context->device;
}

static struct ibv_mw *(*fake_alloc_mw)(struct ibv_pd *pd, enum ibv_mw_type type);

static struct ibv_mw *alloc_mw(struct ibv_pd *pd, enum ibv_mw_type type)
{
    assert_false(world.no_windows);
    return world_fault(&world.faults.alloc_mw) == 0 ? fake_alloc_mw(pd, type) : NULL;
}

struct ibv_context *device_open(struct device *d)
{
    if (d->context) return d->context;
    d->fake = fake_device_create(world.fake);
    d->context = (struct ibv_context *)d->fake;
    d->context->device = &d->ibv;
    fake_alloc_mw = d->context->ops.alloc_mw;
    d->context->ops.alloc_mw = alloc_mw;
    d->context->num_comp_vectors = 1;
    d->context->async_fd = eventfd(0, EFD_NONBLOCK);
    world.counts.contexts++;
    return d->context;
}

void device_close(struct device *d)
{
    if (!d->context) return;
    close(d->context->async_fd);
    d->context = NULL;
    d->async_count = 0;
    world.counts.contexts--;
}

struct ibv_device **ibv_get_device_list(int *count)
{
    struct ibv_device **list = calloc(WORLD_DEVICES + 1, sizeof *list);
    *count = 0;
    for (unsigned i = 0; i < WORLD_DEVICES; i++)
        if (devices[i].here) list[(*count)++] = &devices[i].ibv;
    return list;
}

void ibv_free_device_list(struct ibv_device **list)
{
    free(list);
}

const char *ibv_get_device_name(struct ibv_device *device)
{
    return device == &devices[0].ibv ? "fake0" : "fake1";
}

int ibv_query_device(struct ibv_context *context, struct ibv_device_attr *attr)
{
    (void)context;
    *attr = attributes_soft;
    if (world.no_windows) attr->device_cap_flags = IBV_DEVICE_MEM_WINDOW;
    attr->max_srq_wr = 256; /* few, so that they come round */
    attr->max_qp_rd_atom = attr->max_qp_init_rd_atom = 4;
    return 0;
}

int ibv_query_port(struct ibv_context *context, uint8_t port, struct _compat_ibv_port_attr *attr)
{
    (void)context, (void)port;
    bool down = world_fault(&world.faults.port_down) != 0;
    ((struct ibv_port_attr *)attr)->state = down ? IBV_PORT_DOWN : IBV_PORT_ACTIVE;
    ((struct ibv_port_attr *)attr)->gid_tbl_len = 1;
    return 0;
}

int ibv_query_gid(struct ibv_context *context, uint8_t port, int index, union ibv_gid *gid)
{
    (void)port, (void)index;
    char text[32];
    if (world_fault(&world.faults.gid) != 0) return -1;
    snprintf(text, sizeof text, "::ffff:10.0.%d.1", device_of(context) == &devices[0] ? 0 : 1);
    return inet_pton(AF_INET6, text, gid->raw) == 1 ? 0 : -1;
}

struct ibv_pd *ibv_alloc_pd(struct ibv_context *context)
{
    struct ibv_pd *pd = calloc(1, sizeof *pd);
    pd->context = context;
    world.counts.pds++;
    return pd;
}

int ibv_dealloc_pd(struct ibv_pd *pd)
{
    free(pd);
    world.counts.pds--;
    return 0;
}

struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *base, size_t bytes, int access)
{
    if (world_fault(&world.faults.reg_mr) != 0) return NULL;
    struct ibv_mr *mr = calloc(1, sizeof *mr);
    uint32_t key = fake_mr_add(device_of(pd->context)->fake, base, bytes, access);
    *mr = (struct ibv_mr){.context = pd->context, .pd = pd, .addr = base, .length = bytes, .lkey = key, .rkey = key};
    world.counts.mrs++;
    return mr;
}

struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *base, size_t bytes, uint64_t iova, unsigned access)
{
    (void)iova;
    return ibv_reg_mr(pd, base, bytes, (int)access);
}

int ibv_dereg_mr(struct ibv_mr *mr)
{
    fake_mr_remove(device_of(mr->context)->fake, mr->lkey);
    free(mr);
    world.counts.mrs--;
    return 0;
}

struct ibv_cq *ibv_create_cq(struct ibv_context *context, int cqe, void *arg, struct ibv_comp_channel *channel,
                             int vector)
{
    (void)cqe, (void)arg, (void)channel, (void)vector;
    world.counts.cqs++;
    return fake_cq_create(device_of(context)->fake, 4096);
}

int ibv_resize_cq(struct ibv_cq *cq, int cqe)
{
    (void)cq, (void)cqe;
    return 0;
}

int ibv_destroy_cq(struct ibv_cq *cq)
{
    (void)cq;
    world.counts.cqs--;
    return 0;
}

struct ibv_srq *ibv_create_srq(struct ibv_pd *pd, struct ibv_srq_init_attr *attr)
{
    world.counts.srqs++;
    return fake_srq_create(device_of(pd->context)->fake, attr->attr.max_wr);
}

int ibv_destroy_srq(struct ibv_srq *srq)
{
    (void)srq;
    world.counts.srqs--;
    return 0;
}

struct ibv_qp *ibv_create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *attr)
{
    if (world_fault(&world.faults.create_qp) != 0) return NULL;
    const struct fake_qp_config config = {.cq = attr->send_cq,
                                          .srq = attr->srq,
                                          .send_depth = (uint16_t)attr->cap.max_send_wr,
                                          .max_sge = (uint8_t)attr->cap.max_send_sge,
                                          .max_inline = (uint16_t)attr->cap.max_inline_data};
    struct ibv_qp *qp = fake_qp_create(device_of(pd->context)->fake, &config);
    qp->qp_context = attr->qp_context;
    world.counts.qps++;
    return qp;
}

/* From each state to the next one, or to none. */
int ibv_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask)
{
    if (world_fault(&world.faults.modify_qp) != 0) return errno;
    if (mask & IBV_QP_STATE) {
        assert_true(attr->qp_state == qp->state || attr->qp_state == qp->state + 1);
        qp->state = attr->qp_state;
    }
    if (mask & IBV_QP_MAX_DEST_RD_ATOMIC) world.max_dest_rd_atomic = attr->max_dest_rd_atomic;
    if (mask & IBV_QP_ACCESS_FLAGS) fake_qp_allow(qp, (int)attr->qp_access_flags);
    return 0;
}

int ibv_destroy_qp(struct ibv_qp *qp)
{
    fake_qp_destroy(qp);
    world.counts.qps--;
    return 0;
}

struct ibv_comp_channel *ibv_create_comp_channel(struct ibv_context *context)
{
    struct ibv_comp_channel *channel = calloc(1, sizeof *channel);
    channel->context = context;
    channel->fd = eventfd(0, EFD_NONBLOCK);
    return channel;
}

int ibv_destroy_comp_channel(struct ibv_comp_channel *channel)
{
    close(channel->fd);
    free(channel);
    return 0;
}

int ibv_get_cq_event(struct ibv_comp_channel *channel, struct ibv_cq **cq, void **context)
{
    (void)channel, (void)cq, (void)context;
    errno = EAGAIN;
    return -1;
}

void ibv_ack_cq_events(struct ibv_cq *cq, unsigned n)
{
    (void)cq, (void)n;
}

int ibv_get_async_event(struct ibv_context *context, struct ibv_async_event *event)
{
    struct device *d = device_of(context);
    world_quiet_fd(context->async_fd);
    if (d->async_count == 0) {
        errno = EAGAIN;
        return -1;
    }
    *event = d->async[0];
    memmove(d->async, d->async + 1, --d->async_count * sizeof *d->async);
    return 0;
}

void ibv_ack_async_event(struct ibv_async_event *event)
{
    (void)event;
}

const char *ibv_event_type_str(enum ibv_event_type event)
{
    (void)event;
    return "event";
}
