/*
 * What we use of a device: what we would like, lowered to what it can. Pure.
 */
#ifndef POLAR_RDMA_LIMITS_H
#define POLAR_RDMA_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <infiniband/verbs.h>

struct rdma_limits {
    uint32_t srq_depth;  /* receives of a lane */
    uint32_t cqe_most;   /* completions that one queue can hold */
    uint16_t send_depth; /* work requests of a pair */
    uint8_t max_sge;     /* pieces of a gather list; lowered further by trying (rdma/device.h) */
    uint16_t max_inline; /* bytes sent from the work request itself; 0 until tried */
    uint8_t max_reads;   /* RDMA READs of a pair that the device answers at once */
    uint8_t max_asks;    /* and that it has in flight of its own */
    bool windows;        /* memory windows of type 2: open to the queue pair that has bound them, and to no other */
};

/*
 * 0; -ENOTSUP: the device can do less than we need, text says of what how much it has and how much we need.
 */
int rdma_limits_set(struct rdma_limits *limits, const struct ibv_device_attr *attr, const char *device, char *text,
                    size_t cap);
/*
 * Entries that a lane's completion queue should have for so many pairs, when it has `now` (0: it is new): it doubles as
 * it must. 0: the device has no queue so long.
 */
uint32_t rdma_limits_cqe(const struct rdma_limits *limits, uint32_t pairs, uint32_t now);

#endif
