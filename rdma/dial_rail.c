#include <errno.h>
#include <stdio.h>
#include "base/log.h"
#include "rdma/dial_impl.h"

static void rail_close(struct dial_rail *rail)
{
    rdma_lane_detach(&rail->lane);
    rdma_lane_close(&rail->lane);
    rdma_device_close(&rail->device);
    rail->doomed = false;
}

static int rail_open(struct rdma_dialer *d, struct dial_rail *rail, struct ibv_context *verbs, char *text, size_t cap)
{
    const struct rdma_device_config config = {.regions = d->config.regions};
    rdma_cm_look();
    int rc = rdma_device_open(&rail->device, verbs, &config, text, cap);
    if (rc != 0) return rc;
    rc = rdma_device_add_pools(rail->device, d->config.pools, text, cap);
    if (rc == 0)
        rc = rdma_lane_open(&rail->lane, rail->device, d->config.core, d->config.reactor, d->config.vector, text, cap);
    if (rc == 0 && (rc = rdma_lane_attach(&rail->lane)) != 0)
        snprintf(text, cap, "RDMA device %s: no room to poll it", rdma_device_name(rail->device));
    if (rc != 0) rail_close(rail);
    return rc;
}

struct dial_rail *dial_rail_get(struct rdma_dialer *d, struct ibv_context *verbs)
{
    char text[512] = "more RDMA devices than one thread serves";
    struct dial_rail *rail = NULL;
    for (unsigned i = 0; i < RDMA_LANES_MAX; i++) {
        struct dial_rail *one = &d->rails[i];
        if (one->device && rdma_device_verbs(one->device) == verbs) return one->doomed ? NULL : one;
        if (!one->device && !rail) rail = one;
    }
    if (rail && rail_open(d, rail, verbs, text, sizeof text) == 0) return rail;
    if (!d->told) log_error("%s", text);
    d->told = true;
    return NULL;
}

void dial_rail_doom(struct rdma_dialer *d, const struct ibv_context *verbs)
{
    d->stale = true;
    for (unsigned i = 0; i < RDMA_LANES_MAX; i++) {
        struct dial_rail *rail = &d->rails[i];
        if (!rail->device || rail->doomed || rdma_device_verbs(rail->device) != verbs) continue;
        rail->doomed = true;
        log_error("RDMA device %s is gone: %u connections end", rdma_device_name(rail->device), rail->lane.pairs);
    }
}

unsigned dial_rails_settle(struct rdma_dialer *d, unsigned *doomed)
{
    unsigned left = 0;
    *doomed = 0;
    for (unsigned i = 0; i < RDMA_LANES_MAX; i++) {
        struct dial_rail *rail = &d->rails[i];
        if (rail->device && rail->doomed && rail->lane.pairs == 0) rail_close(rail);
        if (!rail->device) continue;
        left++;
        *doomed += rail->doomed;
    }
    return left;
}

void dial_rails_close(struct rdma_dialer *d)
{
    for (unsigned i = 0; i < RDMA_LANES_MAX; i++)
        if (d->rails[i].device) rail_close(&d->rails[i]);
}
