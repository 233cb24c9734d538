#include "rdma/pair.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include "rdma/address.h"

#define LINE_BYTES 64u

/* What is read into lies behind all else. */
static size_t read_memory_at(const struct rdma_device *device, uint32_t buffer_bytes)
{
    size_t bytes = rdma_conn_memory_bytes(buffer_bytes, rdma_device_limits(device)->send_depth);
    return (bytes + LINE_BYTES - 1) & ~(size_t)(LINE_BYTES - 1);
}

size_t rdma_pair_memory_bytes(const struct rdma_device *device, uint32_t buffer_bytes, size_t read_bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = read_memory_at(device, buffer_bytes) + read_bytes;
    return (bytes + page - 1) / page * page;
}

static int memory_open(struct rdma_pair *p, const struct rdma_pair_config *config)
{
    p->memory_bytes = rdma_pair_memory_bytes(p->lane->device, config->buffer_bytes, config->read_bytes);
    void *memory = mmap(NULL, p->memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return -errno;
    p->memory = memory;
    bool windows = rdma_device_limits(p->lane->device)->windows;
    p->mr = rdma_device_register(p->lane->device, memory, p->memory_bytes,
                                 IBV_ACCESS_LOCAL_WRITE | (windows ? IBV_ACCESS_MW_BIND : IBV_ACCESS_REMOTE_WRITE));
    return p->mr ? 0 : -errno;
}

static int queues_open(struct rdma_pair *p)
{
    const struct rdma_limits *limits = rdma_device_limits(p->lane->device);
    struct ibv_qp_init_attr attr = {.qp_context = p,
                                    .send_cq = p->lane->cq,
                                    .recv_cq = p->lane->cq,
                                    .srq = p->lane->srq,
                                    .qp_type = IBV_QPT_RC,
                                    .cap = {.max_send_wr = limits->send_depth,
                                            .max_send_sge = limits->max_sge,
                                            .max_inline_data = limits->max_inline}};
    return p->cm->create_qp(p->id, rdma_device_pd(p->lane->device), &attr) == 0 ? 0 : -errno;
}

static int window_open(struct rdma_pair *p)
{
    if (!rdma_device_limits(p->lane->device)->windows) return 0;
    return rdma_device_alloc_window(p->lane->device, &p->window);
}

static int conn_open(struct rdma_pair *p, const struct rdma_pair_config *config)
{
    const struct rdma_limits *limits = rdma_device_limits(p->lane->device);
    struct rdma_conn_config conn = {.lane = (unsigned)p->lane->number,
                                    .qp = p->id->qp,
                                    .memory = p->memory,
                                    .buffer_bytes = config->buffer_bytes,
                                    .mr = p->mr,
                                    .window = p->window,
                                    .send_depth = limits->send_depth,
                                    .max_sge = limits->max_sge,
                                    .max_inline = limits->max_inline,
                                    .reads = 1,
                                    .server = config->server,
                                    .accept = config->accept,
                                    .accept_arg = config->accept_arg,
                                    .user = config->user};
    if (config->read_bytes > 0) conn.read_memory = p->memory + read_memory_at(p->lane->device, config->buffer_bytes);
    char peer[RDMA_ADDRESS_TEXT];
    rdma_address_format(rdma_get_peer_addr(p->id), peer);
    snprintf(conn.peer, sizeof conn.peer, "%.*s", (int)sizeof conn.peer - 1, peer);
    p->conn = rdma_conn_create(&conn);
    return p->conn ? 0 : -ENOMEM;
}

int rdma_pair_open(struct rdma_pair *p, const struct rdma_pair_config *config)
{
    *p = (struct rdma_pair){.cm = config->cm, .id = config->id, .lane = config->lane};
    int rc = rdma_lane_reserve(p->lane);
    if (rc != 0) return rc;
    if ((rc = memory_open(p, config)) == 0 && (rc = queues_open(p)) == 0 && (rc = window_open(p)) == 0)
        rc = conn_open(p, config);
    if (rc != 0) rdma_pair_close(p);
    return rc;
}

/* The queue pair's next state, as the connection manager has it, but without the reads that it would allow. */
static int qp_enter(struct rdma_pair *p, enum ibv_qp_state state, const struct rdma_conn_param *param)
{
    struct ibv_qp_attr attr = {.qp_state = state};
    int mask = 0;
    if (p->cm->init_qp_attr(p->id, &attr, &mask) != 0) return -errno;
    if (mask & IBV_QP_ACCESS_FLAGS) attr.qp_access_flags = IBV_ACCESS_REMOTE_WRITE;
    if (mask & IBV_QP_MAX_DEST_RD_ATOMIC) attr.max_dest_rd_atomic = param->responder_resources;
    if (mask & IBV_QP_MAX_QP_RD_ATOMIC) attr.max_rd_atomic = param->initiator_depth;
    return -ibv_modify_qp(p->id->qp, &attr, mask);
}

/*
 * rdma_accept would bring the queue pair up by itself, open to reads; to mend that afterwards would leave the client a
 * moment. So the pair is up before, and rdma_accept is told its number, as of one that it does not know.
 */
int rdma_pair_accept(struct rdma_pair *p, const struct rdma_conn_param *param)
{
    static const enum ibv_qp_state states[] = {IBV_QPS_INIT, IBV_QPS_RTR, IBV_QPS_RTS};
    struct rdma_conn_param told = *param;
    struct ibv_qp *qp = p->id->qp;
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        int rc = qp_enter(p, states[i], param);
        if (rc != 0) return rc;
    }
    told.qp_num = qp->qp_num;
    told.srq = 1;
    p->id->qp = NULL;
    int rc = p->cm->accept(p->id, &told) == 0 ? 0 : -errno;
    p->id->qp = qp;
    return rc;
}

int rdma_pair_allow_reads(struct rdma_pair *p)
{
    struct ibv_qp_attr attr = {.qp_access_flags = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ};
    return -ibv_modify_qp(p->id->qp, &attr, IBV_QP_ACCESS_FLAGS);
}

/*
 * The window first: soft-RoCE keeps a queue pair as long as one is bound to it, and no memory goes that one is bound
 * to. In the order in which they were taken, reversed, as the kernel does it for a process that died.
 */
void rdma_pair_close(struct rdma_pair *p)
{
    if (p->window) rdma_device_free_window(p->lane->device, p->window);
    if (p->id->qp) p->cm->destroy_qp(p->id);
    if (p->conn) rdma_conn_destroy(p->conn);
    if (p->mr) rdma_device_deregister(p->lane->device, p->mr);
    if (p->memory) munmap(p->memory, p->memory_bytes);
    rdma_lane_release(p->lane);
}
