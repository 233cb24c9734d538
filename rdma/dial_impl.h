/* Inside the dialer: dial.c has the attempts and connections, dial_rail.c the devices that they lead over. */
#ifndef POLAR_RDMA_DIAL_IMPL_H
#define POLAR_RDMA_DIAL_IMPL_H

#include <sys/queue.h>
#include "rdma/cm.h"
#include "rdma/device.h"
#include "rdma/dial.h"
#include "rdma/pair.h"

enum dial_state { DIAL_ADDRESS, DIAL_ROUTE, DIAL_CONNECT, DIAL_UP, DIAL_GONE };

struct rdma_dial {
    struct rdma_dialer *dialer;
    struct rdma_cm_id *id;
    enum dial_state state;
    uint64_t limit_ns;    /* until DIAL_UP */
    rdma_dialed_fn *done; /* NULL: it has been called, or is not to be */
    void *arg;
    struct rdma_pair pair; /* from DIAL_CONNECT on */
    TAILQ_ENTRY(rdma_dial) entry;
};

TAILQ_HEAD(rdma_dials, rdma_dial);

/* A device of this thread, with its one lane. */
struct dial_rail {
    struct rdma_device *device; /* NULL: none here */
    struct rdma_lane lane;
    bool doomed; /* it went: closed as soon as its pairs are */
};

struct rdma_dialer {
    struct rdma_dialer_config config;
    const struct rdma_cm *cm; /* NULL: given back, with the last device; gotten again by the next attempt */
    struct rdma_event_channel *channel;
    struct reactor_fd fd;
    struct rdma_dials trying; /* before DIAL_UP, the oldest first: the one whose time is over first */
    struct rdma_dials others;
    uint32_t count;
    bool told;  /* what is wrong with a device */
    bool stale; /* a device went that the connection manager still has open: nothing new is tried */
    uint64_t next_check_ns;
    struct dial_rail rails[RDMA_LANES_MAX];
};

/* NULL: the device cannot be used, the log has said why. */
struct dial_rail *dial_rail_get(struct rdma_dialer *dialer, struct ibv_context *verbs);
void dial_rails_close(struct rdma_dialer *dialer);
/* The device went. */
void dial_rail_doom(struct rdma_dialer *dialer, const struct ibv_context *verbs);
/* Closes rails that are doomed and have no pairs. Returns how many rails are left, whether doomed or not; *doomed: of
 * these, doomed ones. */
unsigned dial_rails_settle(struct rdma_dialer *dialer, unsigned *doomed);

#endif
