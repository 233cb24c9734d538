#include "net/polar/polar_share.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/reactor.h"

#define LOOK_US 50u /* between two looks at what the kernel sends */

static int wanted(const char *text, enum exception_want *want)
{
    static const char *const words[] = {[EXCEPTION_AUTO] = "auto", [EXCEPTION_NO] = "no", [EXCEPTION_YES] = "yes"};
    *want = EXCEPTION_AUTO;
    if (!text) return 0;
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(text, words[i]) != 0) continue;
        *want = (enum exception_want)i;
        return 0;
    }
    return -EINVAL;
}

int share_open(struct polar_share *share, const struct polar_config *config, const char *device, char *err_text,
               size_t err_cap)
{
    enum exception_want want;
    if (wanted(config->share_address, &want) != 0) {
        snprintf(err_text, err_cap, "share_address %s is not auto, yes or no", config->share_address);
        return -EINVAL;
    }
    snprintf(share->device, sizeof share->device, "%s", device);
    snprintf(share->vdev, sizeof share->vdev, "%s", config->vdev ? config->vdev : "");
    snprintf(share->tap, sizeof share->tap, "%s", config->tap ? config->tap : "polar%d");
    share->vdevs[0] = share->vdev;
    struct exception_config exception = {
        .device = share->device,
        .vdevs = share->vdevs,
        .vdev_count = config->vdev != NULL,
        .want = want,
        .tap = share->tap,
        .client_first = (uint16_t)config->port_first,
        .client_last = (uint16_t)config->port_last,
    };
    int count = net_prefix_list_parse(config->address, exception.addrs, NET_ADDRS_MAX);
    exception.addr_count = count > 0 ? (unsigned)count : 0; /* checked with the configuration */
    return exception_open(&share->exception, &exception, err_text, err_cap);
}

const char *share_vdev(const struct polar_share *share, const struct polar_config *config)
{
    return config->vdev && share->exception ? exception_vdev(share->exception, 0) : config->vdev;
}

int share_attach(struct polar_share *share, struct port *port, struct clock *clock, struct buf_pools *pools,
                 struct exception_metrics *metrics, char *err_text, size_t err_cap)
{
    struct reactor_config config = {.cpu = -1, .poll = REACTOR_BUSY, .fd_interval_us = LOOK_US, .clock = clock};
    if (!share->exception) return 0;
    int rc = exception_attach(share->exception, port, err_text, err_cap);
    if (rc != 0) return rc;
    if ((rc = reactor_create(&share->reactor, &config)) == 0)
        rc = exception_serve(share->exception, share->reactor, 0, pools, metrics);
    if (rc != 0) snprintf(err_text, err_cap, "the kernel's frames cannot be served: %s", strerror(-rc));
    return rc;
}

unsigned share_turn(struct polar_share *share) { return share->reactor ? reactor_turn(share->reactor) : 0; }

void share_close(struct polar_share *share)
{
    if (share->reactor) reactor_destroy(&share->reactor);
    exception_close(&share->exception);
}
