/*
 * The port's address, shared with the kernel: what is not ours goes there. What net/exception.h has, for a process of the
 * library. Control thread, but for share_turn.
 */
#ifndef POLAR_NET_POLAR_SHARE_H
#define POLAR_NET_POLAR_SHARE_H

#include "net/exception.h"
#include "net/polar/polar.h"

#define SHARE_TEXT 512u

struct polar_share {
    struct exception *exception; /* NULL: the address is ours alone */
    struct reactor *reactor;     /* brings the kernel's frames; turned by the thread of queue 0 */
    char vdev[SHARE_TEXT], device[SHARE_TEXT], tap[32];
    const char *vdevs[1];
};

/* Before the environment starts. 0 or -errno with one line in err_text. */
int share_open(struct polar_share *share, const struct polar_config *config, const char *device, char *err_text,
               size_t err_cap);
/* The vdev that the environment is to be given; NULL: none. */
const char *share_vdev(const struct polar_share *share, const struct polar_config *config);
/* Once the port is open. queue 0's buffers, and its core's counters. */
int share_attach(struct polar_share *share, struct port *port, struct clock *clock, struct buf_pools *pools,
                 struct exception_metrics *metrics, char *err_text, size_t err_cap);
/* The kernel's frames are sent. The thread of queue 0. */
unsigned share_turn(struct polar_share *share);
/* After the port is closed. */
void share_close(struct polar_share *share);

#endif
