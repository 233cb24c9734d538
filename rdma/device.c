#include "rdma/device.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <rte_mempool.h>
#include "base/log.h"

#define INLINE_MOST 256u

struct rdma_device {
    struct ibv_context *verbs;
    struct ibv_pd *pd;
    struct regions *regions; /* NULL: not a user of them */
    int region_access;
    uint32_t memory_regions, memory_windows;
    bool windows_refused; /* it has been said */
    struct rdma_limits limits;
    struct rdma_keys keys;
    struct ibv_mr *sources[RDMA_KEYS_MAX]; /* what keys is of, in no order */
    uint32_t source_count;
    char error[512]; /* of the region that was not registered */
};

const char *rdma_device_name(const struct rdma_device *d)
{
    return ibv_get_device_name(d->verbs->device);
}

struct ibv_context *rdma_device_verbs(const struct rdma_device *d)
{
    return d->verbs;
}

struct ibv_pd *rdma_device_pd(const struct rdma_device *d)
{
    return d->pd;
}

const struct rdma_limits *rdma_device_limits(const struct rdma_device *d)
{
    return &d->limits;
}

const struct rdma_keys *rdma_device_keys(const struct rdma_device *d)
{
    return &d->keys;
}

uint32_t rdma_device_memory_regions(const struct rdma_device *d)
{
    return d->memory_regions;
}

uint32_t rdma_device_memory_windows(const struct rdma_device *d)
{
    return d->memory_windows;
}

/* ---- memory ---- */

struct ibv_mr *rdma_device_register(struct rdma_device *d, void *base, size_t bytes, int access)
{
    struct ibv_mr *mr = ibv_reg_mr(d->pd, base, bytes, access);
    if (mr) d->memory_regions++;
    return mr;
}

void rdma_device_deregister(struct rdma_device *d, struct ibv_mr *mr)
{
    int rc = ibv_dereg_mr(mr);
    if (rc != 0) log_warn("RDMA device %s: memory cannot be given back: %s", rdma_device_name(d), strerror(rc));
    d->memory_regions--;
}

static bool is_shortage(int error)
{
    return error == ENOMEM || error == ENOSPC || error == EAGAIN;
}

static void windows_refuse(struct rdma_device *d, int error)
{
    if (!d->windows_refused)
        log_error(
            "RDMA device %s gives no memory window, though it says that it has them: %s; it is not connected over "
            "without, since any client could then write into another one's receive buffers",
            rdma_device_name(d), strerror(error));
    d->windows_refused = true;
}

int rdma_device_alloc_window(struct rdma_device *d, struct ibv_mw **out)
{
    errno = ENOMEM;
    *out = ibv_alloc_mw(d->pd, IBV_MW_TYPE_2);
    if (*out) {
        d->memory_windows++;
        d->windows_refused = false;
        return 0;
    }
    if (is_shortage(errno)) return -ENOMEM;
    windows_refuse(d, errno);
    return -ENOTSUP;
}

void rdma_device_free_window(struct rdma_device *d, struct ibv_mw *window)
{
    int rc = ibv_dealloc_mw(window);
    if (rc != 0)
        log_warn("RDMA device %s: a memory window cannot be given back: %s", rdma_device_name(d), strerror(rc));
    d->memory_windows--;
}

void rdma_device_text_locked(const struct rdma_device *d, size_t bytes, int rc, char *text, size_t cap)
{
    struct rlimit limit;
    int len = snprintf(text, cap, "RDMA device %s does not take %zu KiB of memory: %s", rdma_device_name(d),
                       bytes >> 10, strerror(-rc));
    if ((rc != -ENOMEM && rc != -EAGAIN) || getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return;
    if (limit.rlim_cur == RLIM_INFINITY || len < 0 || (size_t)len >= cap) return;
    snprintf(
        text + len, cap - (size_t)len,
        "; this process may lock %llu KiB: raise that (ulimit -l, LimitMEMLOCK of a unit), or give it CAP_IPC_LOCK",
        (unsigned long long)limit.rlim_cur >> 10);
}

/* Memory that is sent from: registered, and its key known to the lanes. 0 or -errno with d->error. */
static int source_add(struct rdma_device *d, void *base, size_t bytes, int access)
{
    if (d->source_count == RDMA_KEYS_MAX) {
        snprintf(d->error, sizeof d->error,
                 "memory that is sent from lies in more than %u pieces: more huge pages join them", RDMA_KEYS_MAX);
        return -ENOSPC;
    }
    struct ibv_mr *mr = rdma_device_register(d, base, bytes, access);
    int rc = mr ? rdma_keys_add(&d->keys, base, bytes, mr->lkey) : -errno;
    if (!mr) rdma_device_text_locked(d, bytes, rc, d->error, sizeof d->error);
    if (mr && rc != 0) {
        snprintf(d->error, sizeof d->error, "memory that is sent from overlaps other memory: %s", strerror(-rc));
        rdma_device_deregister(d, mr);
    }
    if (rc == 0 && access & IBV_ACCESS_REMOTE_READ) rdma_keys_allow(&d->keys, base, mr->rkey);
    if (rc == 0) d->sources[d->source_count++] = mr;
    return rc;
}

static void source_remove(struct rdma_device *d, const void *base)
{
    for (uint32_t i = 0; i < d->source_count; i++) {
        if (d->sources[i]->addr != base) continue;
        rdma_keys_remove(&d->keys, base);
        rdma_device_deregister(d, d->sources[i]);
        d->sources[i] = d->sources[--d->source_count];
        return;
    }
}

static int region_add(void *arg, const struct region_piece *piece)
{
    struct rdma_device *d = arg;
    return source_add(d, piece->base, piece->bytes, d->region_access);
}

static void region_remove(void *arg, const struct region_piece *piece)
{
    source_remove(arg, piece->base);
}

struct pool_walk {
    struct rdma_device *device;
    int rc;
};

static void pool_chunk(struct rte_mempool *pool, void *arg, struct rte_mempool_memhdr *chunk, unsigned index)
{
    struct pool_walk *walk = arg;
    (void)pool, (void)index;
    if (walk->rc == 0) walk->rc = source_add(walk->device, chunk->addr, chunk->len, 0);
}

int rdma_device_add_pools(struct rdma_device *d, const struct buf_pools *pools, char *text, size_t cap)
{
    struct pool_walk walk = {.device = d};
    rte_mempool_mem_iter(pools->frame, pool_chunk, &walk);
    rte_mempool_mem_iter(pools->small, pool_chunk, &walk);
    if (walk.rc != 0) snprintf(text, cap, "%s", d->error);
    return walk.rc;
}

/* ---- limits ---- */

static bool pair_possible(struct rdma_device *d, struct ibv_cq *cq, struct ibv_srq *srq, uint32_t sge, uint32_t bytes)
{
    struct ibv_qp_init_attr attr = {
        .send_cq = cq,
        .recv_cq = cq,
        .srq = srq,
        .qp_type = IBV_QPT_RC,
        .cap = {.max_send_wr = d->limits.send_depth, .max_send_sge = sge, .max_inline_data = bytes}};
    struct ibv_qp *qp = ibv_create_qp(d->pd, &attr);
    if (!qp) return false;
    d->limits.max_sge = (uint8_t)sge;
    d->limits.max_inline = (uint16_t)(attr.cap.max_inline_data < INLINE_MOST ? attr.cap.max_inline_data : INLINE_MOST);
    ibv_destroy_qp(qp);
    return true;
}

/* What the attributes do not say: how many pieces and inline bytes a work request takes together. */
static bool limits_try(struct rdma_device *d, struct ibv_cq *cq, struct ibv_srq *srq)
{
    static const uint16_t bytes[] = {INLINE_MOST, 192, 128, 64, 32, 0};
    for (uint32_t sge = d->limits.max_sge; sge >= 2; sge /= 2)
        for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++)
            if (pair_possible(d, cq, srq, sge, bytes[i])) return true;
    return false;
}

static int limits_find(struct rdma_device *d, char *text, size_t cap)
{
    struct ibv_device_attr attr;
    struct ibv_srq_init_attr srq_attr = {.attr = {.max_wr = 1, .max_sge = 1}};
    int rc = -ibv_query_device(d->verbs, &attr);
    if (rc != 0) {
        snprintf(text, cap, "RDMA device %s does not say what it can: %s", rdma_device_name(d), strerror(-rc));
        return rc;
    }
    rc = rdma_limits_set(&d->limits, &attr, rdma_device_name(d), text, cap);
    if (rc != 0) return rc;
    struct ibv_cq *cq = ibv_create_cq(d->verbs, 1, NULL, NULL, 0);
    struct ibv_srq *srq = cq ? ibv_create_srq(d->pd, &srq_attr) : NULL;
    if (!srq || !limits_try(d, cq, srq)) {
        rc = -errno;
        snprintf(text, cap, "RDMA device %s makes no queue pair of %u requests: %s%s", rdma_device_name(d),
                 d->limits.send_depth, strerror(-rc), rc == -ENOMEM ? " (see ulimit -l, CAP_IPC_LOCK)" : "");
    }
    if (srq) ibv_destroy_srq(srq);
    if (cq) ibv_destroy_cq(cq);
    return rc;
}

/* Connections come once they are up: said, no more. */
static void ports_look(const struct rdma_device *d)
{
    struct ibv_device_attr attr;
    struct ibv_port_attr port;
    if (ibv_query_device(d->verbs, &attr) != 0) return;
    for (uint8_t p = 1; p <= attr.phys_port_cnt; p++)
        if (ibv_query_port(d->verbs, p, &port) == 0 && port.state != IBV_PORT_ACTIVE)
            log_warn("RDMA device %s: port %u is down: nobody connects until its link is up", rdma_device_name(d), p);
}

/* ---- life ---- */

static int regions_join(struct rdma_device *d, struct regions *regions, char *text, size_t cap)
{
    const struct region_user user = {.name = rdma_device_name(d), .add = region_add, .remove = region_remove, .arg = d};
    if (!regions) return 0;
    snprintf(d->error, sizeof d->error, "RDMA device %s: too many users of the store's memory", rdma_device_name(d));
    int rc = regions_add_user(regions, &user);
    if (rc == 0)
        d->regions = regions;
    else
        snprintf(text, cap, "%s", d->error);
    return rc;
}

int rdma_device_open(struct rdma_device **out, struct ibv_context *verbs, const struct rdma_device_config *config,
                     char *text, size_t cap)
{
    struct rdma_device *d = calloc(1, sizeof *d);
    int rc = -ENOMEM;
    snprintf(text, cap, "out of memory");
    if (!d) return rc;
    d->verbs = verbs;
    d->region_access = config->region_access;
    int flags = fcntl(verbs->async_fd, F_GETFL);
    fcntl(verbs->async_fd, F_SETFL, flags | O_NONBLOCK);
    d->pd = ibv_alloc_pd(verbs);
    if (!d->pd) {
        rc = -errno;
        snprintf(text, cap, "RDMA device %s gives no protection domain: %s", rdma_device_name(d), strerror(-rc));
    } else if ((rc = limits_find(d, text, cap)) == 0) {
        rc = regions_join(d, config->regions, text, cap);
    }
    if (rc != 0) {
        rdma_device_close(&d);
        return rc;
    }
    ports_look(d);
    if (!d->limits.windows)
        log_warn("RDMA device %s has no memory windows of type 2: whoever connects over it and guesses the key of "
                 "another connection's receive buffers can write into them",
                 rdma_device_name(d));
    log_debug("RDMA device %s: %u receives, %u sends of %u pieces, %u bytes inline, %u completions",
              rdma_device_name(d), d->limits.srq_depth, d->limits.send_depth, d->limits.max_sge, d->limits.max_inline,
              d->limits.cqe_most);
    *out = d;
    return 0;
}

void rdma_device_close(struct rdma_device **device)
{
    struct rdma_device *d = *device;
    if (!d) return;
    if (d->regions) regions_remove_user(d->regions, d);
    while (d->source_count > 0) source_remove(d, d->sources[d->source_count - 1]->addr);
    if (d->pd && ibv_dealloc_pd(d->pd) != 0)
        log_warn("RDMA device %s: its protection domain is still in use", rdma_device_name(d));
    free(d);
    *device = NULL;
}
