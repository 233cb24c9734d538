/*
 * An RDMA device as librdmacm opened it: its limits, a protection domain, the memory that may be sent from; and what
 * one core has of it, a lane. Set-up thread, but for what says otherwise.
 *
 * We never fork, so ibv_fork_init is not called: it would cost a madvise for each registration.
 */
#ifndef POLAR_RDMA_DEVICE_H
#define POLAR_RDMA_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <infiniband/verbs.h>
#include "base/buf.h"
#include "base/reactor.h"
#include "base/regions.h"
#include "rdma/core.h"
#include "rdma/keys.h"
#include "rdma/limits.h"

struct rdma_device;

struct rdma_device_config {
    struct regions *regions; /* memory that is sent from, while the device is open; NULL: none */
    int region_access;       /* IBV_ACCESS_ bits of those regions; 0: the device reads them for us, nobody else */
};

/*
 * verbs: of an rdma_cm_id, or of rdma_get_devices, after rdma_cm_look: it stays open. 0 or -errno; then text is one
 * line that says what to do: a limit that is too low, memory that may not be locked (ulimit -l, CAP_IPC_LOCK).
 */
int rdma_device_open(struct rdma_device **out, struct ibv_context *verbs, const struct rdma_device_config *config,
                     char *text, size_t cap);
/* Its lanes and pairs are closed. */
void rdma_device_close(struct rdma_device **device);
/* The memory of a core's buffers, which is sent from. Before the lanes that send from it are attached. As
 * rdma_device_open. */
int rdma_device_add_pools(struct rdma_device *device, const struct buf_pools *pools, char *text, size_t cap);

const char *rdma_device_name(const struct rdma_device *device);
struct ibv_context *rdma_device_verbs(const struct rdma_device *device);
struct ibv_pd *rdma_device_pd(const struct rdma_device *device);
const struct rdma_limits *rdma_device_limits(const struct rdma_device *device);
const struct rdma_keys *rdma_device_keys(const struct rdma_device *device);
/* Registered pieces of memory, to see that none is lost. */
uint32_t rdma_device_memory_regions(const struct rdma_device *device);
/* And memory windows. */
uint32_t rdma_device_memory_windows(const struct rdma_device *device);

/* Registers memory with the device. NULL with errno; rdma_device_text_locked says what to do about it. */
struct ibv_mr *rdma_device_register(struct rdma_device *device, void *base, size_t bytes, int access);
void rdma_device_deregister(struct rdma_device *device, struct ibv_mr *mr);
/*
 * A memory window for a queue pair to bind, of a device that has them (rdma_limits.windows). 0 or -errno; what is no
 * shortage (-ENOMEM) is logged, once for as long as it lasts.
 */
int rdma_device_alloc_window(struct rdma_device *device, struct ibv_mw **out);
/* Its queue pair is in the error state, or has never been up. */
void rdma_device_free_window(struct rdma_device *device, struct ibv_mw *window);
/* Why so many bytes were not registered (rc: -errno), as one line. */
void rdma_device_text_locked(const struct rdma_device *device, size_t bytes, int rc, char *text, size_t cap);

/* What a core has of a device. */
struct rdma_lane {
    struct rdma_device *device;
    struct rdma_core *core;
    struct reactor *reactor;
    struct ibv_comp_channel *channel; /* wakes the core, once rdma_core_arm has asked for it */
    struct ibv_cq *cq;
    struct ibv_srq *srq;
    uint8_t *messages;
    struct ibv_mr *messages_mr;
    uint32_t cqe;   /* entries of cq */
    uint32_t pairs; /* that it has room for and that are open */
    int number;     /* of rdma_core_add_lane */
    struct reactor_fd fd;
    bool attached;
};

/* 0 or -errno with text. vector: which of the device's interrupts, by the core's number. */
int rdma_lane_open(struct rdma_lane *lane, struct rdma_device *device, struct rdma_core *core, struct reactor *reactor,
                   unsigned vector, char *text, size_t cap);
/* Makes the core poll the lane, and its reactor wake by it. While the core does not run, or on its thread. 0 or -errno.
 */
int rdma_lane_attach(struct rdma_lane *lane);
void rdma_lane_detach(struct rdma_lane *lane); /* likewise; no pair is open */
/* Detached. A lane of zeroes is nothing to close. */
void rdma_lane_close(struct rdma_lane *lane);
/* Room for the completions of one pair more, while the core polls. 0, -ENOSPC: the device has no queue so long, -errno.
 */
int rdma_lane_reserve(struct rdma_lane *lane);
void rdma_lane_release(struct rdma_lane *lane);

#endif
