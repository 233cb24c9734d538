/*
 * What one core needs to serve TCP on a port: the port's queue, the core's stack between them, and two pollers. The
 * order of a turn: netcore_rx, the handlers of ready streams, netcore_tx. Core of the queue only, but for the metrics.
 */
#ifndef POLAR_NET_NETCORE_H
#define POLAR_NET_NETCORE_H

#include "base/clock.h"
#include "base/metrics.h"
#include "base/reactor.h"
#include "net/capture.h"
#include "net/exception.h"
#include "net/kernel_resolve.h"
#include "net/port.h"
#include "net/rss.h"
#include "net/spread.h"
#include "net/stack.h"

struct netcore_metrics {
#define METRIC(name, kind, help) uint64_t name;
#include "net/netcore_metrics.def"
#undef METRIC
};
extern const struct metric_row netcore_metric_rows[];
extern const size_t netcore_metric_row_count;

struct netcore {
    struct port *port;       /* shared by the cores, each its queue */
    uint16_t queue;
    struct spread *spread;   /* NULL: no other core shares the port */
    unsigned core;
    struct reactor *reactor; /* sleeps until the queue interrupts: netcore_arm; NULL: no */
    bool armed;
    bool owns_queue;         /* else another core receives and sends for this one */
    struct rte_mempool *frames;
    struct net_stack *stack; /* owned */
    struct exception *exception; /* frames pass it before the stack; NULL: all are the stack's */
    struct rss *rss;             /* how the device spreads; NULL: not known */
    struct exception *shared;    /* who is told what we listen on; NULL: the address is ours alone */
    struct kernel_resolve *resolve; /* owned; NULL: the stack asks its neighbours itself */
    uint64_t now_ns;                /* of the running call */
    struct capture *capture; /* where frames are written as they come and go; NULL: nowhere */
    bool sheds;              /* surplus SYNs are dropped: net_stack_load */
    uint32_t looks, emptied; /* at the queue since the last word of net_stack_load; those that left nothing in it */
    uint64_t load_due_ns;    /* the next */
    uint64_t tx_burst_tsc;   /* cycles of transmit bursts inside the running call of the stack */
    struct netcore_metrics metrics;
    struct exception_metrics exception_metrics;
};

struct netcore_config {
    struct port *port;   /* borrowed; mac, mtu and offloads of the stack are set from its capabilities */
    uint16_t queue;      /* with spread: the core's there */
    struct spread *spread; /* borrowed; NULL: this core alone uses the port, or the cores' connections do not meet */
    struct exception *exception; /* shares the address with the kernel; NULL: we have it alone. Borrowed */
    const char *address; /* "10.9.0.1/24"; several separated by commas, of both families */
    const char *gateway; /* "10.9.0.254"; one of each family separated by a comma; NULL or "": none */
    const char *const *routes; /* route_count of "10.1.0.0/16 via 10.9.0.253" */
    unsigned route_count;
    /* The rest, from net_stack_config_default: core, pools, loop, ports, limits. A secret of 0,0 is drawn at random. */
    struct net_stack_config stack;
};

/* Borrows what config points to only for the call, but for port, pools and loop. 0 or -errno; on failure one line in
 * err_text. nc is the caller's memory and must stay where it is. */
int netcore_init(struct netcore *nc, const struct netcore_config *config, char *err_text, size_t err_cap);
/* Destroys the stack with every connection. Before port_close. */
void netcore_fini(struct netcore *nc);

/*
 * Pollers (poller_fn) with arg = struct netcore *. One receive burst, frames from other cores, the stack's input, its
 * timers. A core that owns no queue need not poll: the others wake it.
 */
unsigned netcore_rx(void *arg, const struct tick *now);
/* What the connections have to say. */
unsigned netcore_tx(void *arg, const struct tick *now);
/* poller_arm_fn of netcore_rx: nc->reactor has been set, on its thread. */
bool netcore_arm(void *arg, bool on);
/* poller_deadline_fn of netcore_rx: the stack's next timer. */
uint64_t netcore_deadline(void *arg);

#endif
