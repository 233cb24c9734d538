/*
 * What is not ours goes to the kernel, and the kernel keeps its address on the same port. How depends on the port:
 *
 *   net_af_xdp             our XDP program takes our TCP out of what the interface receives      xdp_share.h
 *   flow rules, isolated   the device itself hands us our TCP; the kernel's driver has the rest  exception_flow.h
 *   any other              we receive all, and pass on what is not ours by a TAP device          exception_tap.h
 *
 * Ours is TCP to the addresses and ports that are claimed, and to the client ports. A port must be claimed before it is
 * listened on, or the kernel answers for it with a reset.
 *
 * Control thread, in this order: exception_open before EAL starts, exception_attach once the port is open, claims, the
 * cores run; exception_close after the port is closed. exception_claim may be called by any thread.
 */
#ifndef POLAR_NET_EXCEPTION_H
#define POLAR_NET_EXCEPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/metrics.h"
#include "base/reactor.h"
#include "net/exception_filter.h"
#include "net/port.h"

enum exception_want {
    EXCEPTION_AUTO, /* as the kernel has it: shared if net_af_xdp's interface has one of the addresses there */
    EXCEPTION_NO,
    EXCEPTION_YES,
};

struct exception_config {
    const char *device; /* as in port_config */
    const char *const *vdevs;
    unsigned vdev_count;
    enum exception_want want;
    struct net_prefix addrs[NET_ADDRS_MAX]; /* the port's; at least one, at most EXCEPTION_ADDRESSES_MAX to be shared */
    unsigned addr_count;
    const char *tap;                    /* name of the TAP device where one is needed */
    uint16_t client_first, client_last; /* ports of active opens, 0,0: none. The kernel must not use them:
                                         * net.ipv4.ip_local_port_range, or ip_local_reserved_ports */
};

struct exception_metrics {
#define METRIC(name, kind, help) uint64_t name;
#include "net/exception_metrics.def"
#undef METRIC
};
extern const struct metric_row exception_metric_rows[];
extern const size_t exception_metric_row_count;

struct exception;

/* *out NULL: nothing is shared. What config points to is borrowed until close. 0 or -errno, with one line in err_text.
 */
int exception_open(struct exception **out, const struct exception_config *config, char *err_text, size_t err_cap);
/* The vdev argument that EAL is to be given in place of vdevs[i]. */
const char *exception_vdev(const struct exception *ex, unsigned i);
/* port_config.isolate: the port is to be isolated if the device can. */
bool exception_wants_isolation(const struct exception *ex);
/* 0 or -errno, with one line in err_text. */
int exception_attach(struct exception *ex, struct port *port, char *err_text, size_t err_cap);
/* "xdp", "flow", "tap": how it is done, for the log. */
const char *exception_name(const struct exception *ex);
/* TCP to this port (host byte order) of our addresses is ours, or no more. Counts: the last to let go ends it. 0 or
 * -errno. */
int exception_claim(struct exception *ex, uint16_t port, bool claim);
void exception_close(struct exception **ex);

/* The kernel's interface of the port where the kernel gets all ARP and neighbour discovery (kernel_resolve.h); 0: we
 * see it. */
unsigned exception_resolver(const struct exception *ex);
/* Whether frames must pass exception_divert before the stack sees them. */
bool exception_diverts(const struct exception *ex);
/* Core of a queue: hands to the kernel what is not ours. Moves what is ours to the front of frames; returns how many.
 */
uint16_t exception_divert(struct exception *ex, struct rte_mbuf **frames, uint16_t n, struct exception_metrics *m);
/*
 * Has this reactor send the kernel's frames out of queue of the port, with buffers of pools. m: that core's. Before it
 * runs or on its thread; exception_close after it. 0, also where there is nothing to do, or -errno.
 */
int exception_serve(struct exception *ex, struct reactor *reactor, uint16_t queue, struct buf_pools *pools,
                    struct exception_metrics *m);

#endif
