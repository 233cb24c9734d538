#include "net/exception.h"

#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "net/exception_filter.h"
#include "net/exception_flow.h"
#include "net/exception_tap.h"
#include "net/interface.h"
#include "net/xdp_share.h"

#define READ_BURST 32u /* frames of the kernel a turn */
#define VDEV_TEXT 256u

enum method { METHOD_UNDECIDED, METHOD_XDP, METHOD_FLOW, METHOD_TAP };

struct exception {
    struct exception_config config;
    enum method method;
    struct port *port;
    pthread_mutex_t lock; /* of claims */
    uint16_t claims[65536];
    struct exception_filter filter;
    struct xdp_share *xdp;
    unsigned xdp_vdev; /* index of the vdev that takes our program */
    char xdp_argument[VDEV_TEXT];
    struct exception_flow *flow;
    struct exception_tap *tap;
    struct reactor_fd tap_fd;
    uint16_t queue;
    struct buf_pools *pools;
    struct exception_metrics *metrics;
};

const struct metric_row exception_metric_rows[] = {
#define METRIC(name, kind, help) METRIC_ROW(struct exception_metrics, name, kind, help)
#include "net/exception_metrics.def"
#undef METRIC
};
const size_t exception_metric_row_count = sizeof exception_metric_rows / sizeof *exception_metric_rows;

/* The vdev argument of the port's device; vdev_count: none. */
static unsigned device_vdev(const struct exception_config *k)
{
    size_t len = strlen(k->device);
    unsigned i = 0;
    while (i < k->vdev_count &&
           (strncmp(k->vdevs[i], k->device, len) != 0 || (k->vdevs[i][len] != ',' && k->vdevs[i][len])))
        i++;
    return i;
}

/* The program goes into the vdev's arguments. */
static int xdp_open(struct exception *ex, const char *iface, char *err_text, size_t err_cap)
{
    const char *vdev = ex->config.vdevs[ex->xdp_vdev];
    for (unsigned i = 0; i < ex->config.addr_count; i++) {
        if (net_interface_has(iface, &ex->config.addrs[i].addr)) continue; /* else nobody would answer for it */
        snprintf(err_text, err_cap, "the kernel does not have the port's address on interface %s: ip address add",
                 iface);
        return -EADDRNOTAVAIL;
    }
    if (strstr(vdev, ",xdp_prog=")) {
        snprintf(err_text, err_cap, "vdev %s has an XDP program of its own", vdev);
        return -EINVAL;
    }
    int rc = xdp_share_open(&ex->xdp, iface, err_text, err_cap);
    if (rc != 0) return rc;
    int len = snprintf(ex->xdp_argument, sizeof ex->xdp_argument, "%s,xdp_prog=%s", vdev, xdp_share_path(ex->xdp));
    if (len < (int)sizeof ex->xdp_argument) return 0;
    snprintf(err_text, err_cap, "vdev %s is too long", vdev);
    return -E2BIG;
}

static bool kernel_has_one(const char *iface, const struct exception_config *k)
{
    for (unsigned i = 0; i < k->addr_count; i++)
        if (net_interface_has(iface, &k->addrs[i].addr)) return true;
    return false;
}

int exception_open(struct exception **out, const struct exception_config *config, char *err_text, size_t err_cap)
{
    char iface[IF_NAMESIZE];
    unsigned vdev = device_vdev(config);
    bool xdp = vdev < config->vdev_count && xdp_share_interface(config->vdevs[vdev], iface, sizeof iface);
    bool share =
        config->want == EXCEPTION_YES || (config->want == EXCEPTION_AUTO && xdp && kernel_has_one(iface, config));
    *out = NULL;
    if (!share) {
        if (xdp) xdp_share_clear(iface); /* of an earlier run that shared: DPDK would not start over it */
        return 0;
    }
    if (config->addr_count > EXCEPTION_ADDRESSES_MAX) {
        snprintf(err_text, err_cap, "got %u addresses, takes up to %u", config->addr_count, EXCEPTION_ADDRESSES_MAX);
        return -EINVAL;
    }
    struct exception *ex = calloc(1, sizeof *ex);
    if (!ex) return -ENOMEM;
    ex->config = *config;
    pthread_mutex_init(&ex->lock, NULL);
    for (unsigned i = 0; i < config->addr_count; i++)
        exception_filter_add(&ex->filter, &config->addrs[i].addr)->clients =
            (uint32_t)config->client_first << 16 | config->client_last;
    int rc = 0;
    if (xdp) {
        ex->method = METHOD_XDP;
        ex->xdp_vdev = vdev;
        rc = xdp_open(ex, iface, err_text, err_cap);
    }
    if (rc != 0) exception_close(&ex);
    *out = ex;
    return rc;
}

const char *exception_vdev(const struct exception *ex, unsigned i)
{
    return ex->method == METHOD_XDP && i == ex->xdp_vdev ? ex->xdp_argument : ex->config.vdevs[i];
}

bool exception_wants_isolation(const struct exception *ex)
{
    return ex && ex->method == METHOD_UNDECIDED;
}

static int xdp_attach(struct exception *ex, char *err_text, size_t err_cap)
{
    int rc = xdp_share_attach(ex->xdp, err_text, err_cap);
    if (rc != 0) return rc;
    for (unsigned i = 0; i < ex->config.addr_count && rc == 0; i++)
        rc = xdp_share_set_address(ex->xdp, &ex->config.addrs[i].addr, ex->config.client_first, ex->config.client_last);
    if (rc != 0) snprintf(err_text, err_cap, "the XDP program's addresses: %s", strerror(-rc));
    return rc;
}

static int tap_attach(struct exception *ex, char *err_text, size_t err_cap)
{
    const struct port_caps *caps = port_caps(ex->port);
    struct exception_tap_config tap = {
        .name = ex->config.tap, .mtu = caps->mtu, .addrs = ex->config.addrs, .addr_count = ex->config.addr_count};
    memcpy(tap.mac, caps->mac, sizeof tap.mac);
    memcpy(ex->filter.mac, caps->mac, sizeof ex->filter.mac);
    return exception_tap_open(&ex->tap, &tap, err_text, err_cap);
}

static int flow_attach(struct exception *ex, char *err_text, size_t err_cap)
{
    struct exception_flow_config flow = {.port = port_number(ex->port), .queues = port_queue_count(ex->port)};
    int rc = exception_flow_open(&ex->flow, &flow, err_text, err_cap);
    for (unsigned i = 0; i < ex->config.addr_count && rc == 0 && ex->config.client_first; i++)
        rc = exception_flow_clients(ex->flow, &ex->config.addrs[i].addr, ex->config.client_first,
                                    ex->config.client_last, err_text, err_cap);
    return rc;
}

int exception_attach(struct exception *ex, struct port *port, char *err_text, size_t err_cap)
{
    ex->port = port;
    if (ex->method == METHOD_XDP) return xdp_attach(ex, err_text, err_cap);
    ex->method = port_isolated(port) ? METHOD_FLOW : METHOD_TAP;
    return ex->method == METHOD_FLOW ? flow_attach(ex, err_text, err_cap) : tap_attach(ex, err_text, err_cap);
}

const char *exception_name(const struct exception *ex)
{
    static const char *const names[] = {"undecided", "xdp", "flow", "tap"};
    return names[ex->method];
}

static int claim_apply(struct exception *ex, unsigned i, uint16_t port, bool claim)
{
    switch (ex->method) {
    case METHOD_XDP: return xdp_share_claim(ex->xdp, &ex->config.addrs[i].addr, port, claim);
    case METHOD_FLOW: return exception_flow_claim(ex->flow, &ex->config.addrs[i].addr, port, claim);
    default: exception_filter_claim(&ex->filter.addresses[i], port, claim); return 0;
    }
}

int exception_claim(struct exception *ex, uint16_t port, bool claim)
{
    int rc = 0;
    pthread_mutex_lock(&ex->lock);
    uint16_t count = ex->claims[port];
    for (unsigned i = 0; i < ex->config.addr_count && count == (claim ? 0 : 1) && rc == 0; i++)
        rc = claim_apply(ex, i, port, claim);
    if (rc == 0 && (claim || count)) ex->claims[port] = (uint16_t)(claim ? count + 1 : count - 1);
    pthread_mutex_unlock(&ex->lock);
    return rc;
}

void exception_close(struct exception **out)
{
    struct exception *ex = *out;
    if (!ex) return;
    exception_flow_close(&ex->flow);
    exception_tap_close(&ex->tap);
    xdp_share_close(&ex->xdp);
    pthread_mutex_destroy(&ex->lock);
    free(ex);
    *out = NULL;
}

unsigned exception_resolver(const struct exception *ex)
{
    return ex && (ex->method == METHOD_XDP || ex->method == METHOD_FLOW) ? port_interface(ex->port) : 0;
}

bool exception_diverts(const struct exception *ex)
{
    return ex && ex->method == METHOD_TAP;
}

uint16_t exception_divert(struct exception *ex, struct rte_mbuf **frames, uint16_t n, struct exception_metrics *m)
{
    uint16_t ours = 0;
    for (uint16_t i = 0; i < n; i++) {
        enum frame_fate fate = exception_filter_judge(&ex->filter, frames[i]);
        if (fate != FRAME_OURS)
            metric_add(exception_tap_write(ex->tap, frames[i]) ? &m->to_kernel : &m->to_kernel_dropped, 1);
        if (fate == FRAME_KERNEL)
            rte_pktmbuf_free(frames[i]);
        else
            frames[ours++] = frames[i];
    }
    return ours;
}

/* What the kernel sends goes out as it is: it has summed and cut it itself. */
static void tap_ready(struct reactor_fd *rfd, uint32_t epoll_events)
{
    struct exception *ex = rfd->arg;
    struct rte_mbuf *frames[READ_BURST];
    uint16_t n = 0;
    (void)epoll_events;
    for (unsigned i = 0; i < READ_BURST; i++) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(ex->pools->frame);
        if (!m) break; /* the kernel keeps them meanwhile */
        int got = exception_tap_read(ex->tap, m);
        if (got > 0 && m->pkt_len <= port_caps(ex->port)->mtu + (uint32_t)PORT_HEADER_MOST) {
            frames[n++] = m;
            continue;
        }
        rte_pktmbuf_free(m);
        if (got == 0) break;
        metric_add(&ex->metrics->from_kernel_dropped, 1);
    }
    if (n == 0) return;
    metric_add(&ex->metrics->from_kernel, n);
    port_tx(ex->port, ex->queue, frames, n);
}

int exception_serve(struct exception *ex, struct reactor *reactor, uint16_t queue, struct buf_pools *pools,
                    struct exception_metrics *m)
{
    if (ex->method != METHOD_TAP) return 0;
    ex->queue = queue;
    ex->pools = pools;
    ex->metrics = m;
    ex->tap_fd = (struct reactor_fd){.fd = exception_tap_fd(ex->tap), .ready = tap_ready, .arg = ex};
    return reactor_fd_add(reactor, &ex->tap_fd, EPOLLIN);
}
