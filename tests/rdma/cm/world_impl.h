/* Inside the world: world.c is the connection manager and what happens, world_verbs.c the devices. */
#ifndef POLAR_TESTS_RDMA_CM_WORLD_IMPL_H
#define POLAR_TESTS_RDMA_CM_WORLD_IMPL_H

#include "tests/rdma/cm/world.h"

#define EVENTS 64u

struct device {
    struct ibv_device ibv; /* first */
    bool here;
    struct ibv_context *context; /* NULL: not open */
    struct fake_device *fake;
    struct ibv_async_event async[EVENTS];
    unsigned async_count;
};

extern struct device devices[WORLD_DEVICES];

/* Open once, as librdmacm does it. */
struct ibv_context *device_open(struct device *d);
void device_close(struct device *d);

void world_signal_fd(int fd);
void world_quiet_fd(int fd);
/* 0, or -1 with errno: the fault is taken. */
int world_fault(int *fault);

#endif
