#include "net/netcore.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <rte_cycles.h>
#include "net/addr.h"

#define OTHERS_BURST 64u /* frames that a turn sends for other cores at most */
#define LOAD_NS 1000000u /* net_stack_load */
#define KEPT_UP 8u       /* a core does that leaves its queue empty after one look of so many */
#define SHED_BURSTS 4u   /* that a turn receives at most while SYNs of them are dropped */

const struct metric_row netcore_metric_rows[] = {
#define METRIC(name, kind, help) METRIC_ROW(struct netcore_metrics, name, kind, help)
#include "net/netcore_metrics.def"
#undef METRIC
};
const size_t netcore_metric_row_count = sizeof netcore_metric_rows / sizeof *netcore_metric_rows;

static struct spread_counts counts_of(struct netcore *nc)
{
    struct netcore_metrics *m = &nc->metrics;
    return (struct spread_counts){&m->steered_out, &m->steered_in, &m->steered_copies, &m->steered_dropped};
}

/* Linear copies: what a frame refers to (the store's items too) is let go on this core, not by the other's driver. */
static void transmit_by_owner(struct netcore *nc, struct rte_mbuf **frames, uint16_t n)
{
    struct spread_counts counts = counts_of(nc);
    n = port_linearise(nc->frames, frames, n, counts.dropped);
    spread_transmit(nc->spread, nc->core, frames, n, &counts);
}

/* net_tx_fn: the stack calls it from within input, timers and output. */
static void transmit(void *arg, struct rte_mbuf **frames, uint16_t n)
{
    struct netcore *nc = arg;
    if (unlikely(nc->resolve)) n = kernel_resolve_take(nc->resolve, frames, n, nc->now_ns);
    if (unlikely(nc->capture)) capture_frames(nc->capture, frames, n, true);
    uint64_t start = rte_rdtsc();
    if (nc->owns_queue) port_tx(nc->port, nc->queue, frames, n);
    else transmit_by_owner(nc, frames, n);
    uint64_t cycles = rte_rdtsc() - start;
    nc->tx_burst_tsc += cycles;
    metric_add(&nc->metrics.cycles_tx_burst, cycles);
    metric_add(&nc->metrics.tx_bursts, 1);
}

/* net_claim_fn: a port that is listened on is neither the kernel's nor one of the clients' that the cores divide. */
static int claim(void *arg, uint16_t port, bool claimed)
{
    struct netcore *nc = arg;
    if (nc->spread && claimed) steer_listen(spread_steer(nc->spread), port);
    return nc->shared ? exception_claim(nc->shared, port, claimed) : 0;
}

static bool port_fits(void *arg, uint32_t remote_be, uint32_t local_be, uint16_t remote_port_be, uint16_t local_port_be)
{
    const struct netcore *nc = arg;
    if (!rss_proved(nc->rss)) return true; /* the frames of our part of the ports then come by way of another core */
    return rss_queue(nc->rss, remote_be, local_be, remote_port_be, local_port_be) == nc->queue;
}

static uint64_t stage_begin(struct netcore *nc)
{
    nc->tx_burst_tsc = 0;
    return rte_rdtsc();
}

/* Cycles since start that were the stack's own. */
static uint64_t own_cycles(const struct netcore *nc, uint64_t start)
{
    return rte_rdtsc() - start - nc->tx_burst_tsc;
}

/* What other cores want sent on the queue that is ours. */
static unsigned transmit_for_others(struct netcore *nc)
{
    struct rte_mbuf *frames[OTHERS_BURST];
    uint16_t n = spread_to_transmit(nc->spread, nc->core, frames, OTHERS_BURST);
    if (n > 0) port_tx(nc->port, nc->queue, frames, n);
    return n;
}

/* Frames of the queue and of other cores that are for this one, two bursts at most; *work: all that were seen. */
static uint16_t receive(struct netcore *nc, struct rte_mbuf **frames, unsigned *work)
{
    uint16_t n = nc->owns_queue ? port_rx(nc->port, nc->queue, frames, PORT_BURST) : 0;
    *work = n;
    if (unlikely(nc->rss != NULL) && n > 0 && !rss_settled(nc->rss)) rss_observe(nc->rss, nc->queue, frames, n);
    if (nc->exception && n > 0) n = exception_divert(nc->exception, frames, n, &nc->exception_metrics);
    if (!nc->spread) return n;
    struct spread_counts counts = counts_of(nc);
    if (n > 0) n = spread_split(nc->spread, nc->core, frames, n, nc->frames, &counts);
    uint16_t others = spread_receive(nc->spread, nc->core, frames + n, PORT_BURST, &counts);
    *work += others;
    if (nc->owns_queue) *work += transmit_for_others(nc);
    return (uint16_t)(n + others);
}

/* A burst that is not full has left nothing behind. */
static void load_note(struct netcore *nc, unsigned seen, uint64_t now_ns)
{
    nc->looks++;
    nc->emptied += seen < PORT_BURST;
    if (likely(now_ns < nc->load_due_ns)) return;
    nc->sheds = net_stack_load(nc->stack, nc->emptied * KEPT_UP < nc->looks);
    nc->looks = nc->emptied = 0;
    nc->load_due_ns = now_ns + LOAD_NS;
}

/* Frames that still wait take the places of surplus SYNs: the turn is to be worth its cost. */
static __attribute__((noinline)) uint16_t shed(struct netcore *nc, struct rte_mbuf **frames, uint16_t n, unsigned *work,
                                               uint64_t now_ns)
{
    unsigned seen = *work;
    uint16_t kept = net_stack_shed(nc->stack, frames, n);
    for (unsigned bursts = 1; bursts < SHED_BURSTS && seen >= PORT_BURST && kept < PORT_BURST; bursts++) {
        n = receive(nc, frames + kept, &seen);
        load_note(nc, seen, now_ns);
        if (unlikely(nc->capture)) capture_frames(nc->capture, frames + kept, n, false);
        metric_add(&nc->metrics.rx_bursts, n > 0);
        kept = (uint16_t)(kept + net_stack_shed(nc->stack, frames + kept, n));
        *work += seen;
    }
    return kept;
}

/* What the kernel says of neighbours comes in like frames of theirs. */
static void resolved(struct netcore *nc, uint64_t now_ns)
{
    struct rte_mbuf *answers[PORT_BURST];
    nc->now_ns = now_ns;
    uint16_t n = kernel_resolve_answers(nc->resolve, answers, PORT_BURST, now_ns);
    if (n > 0) net_stack_input(nc->stack, answers, n, now_ns);
}

unsigned netcore_rx(void *arg, const struct tick *now)
{
    struct netcore *nc = arg;
    struct rte_mbuf *frames[3 * PORT_BURST]; /* less than one that is kept, and two */
    unsigned work;
    if (unlikely(nc->resolve)) resolved(nc, now->ns);
    uint64_t start = stage_begin(nc);
    uint16_t n = receive(nc, frames, &work);
    load_note(nc, work, now->ns);
    if (n > 0) {
        if (unlikely(nc->capture)) capture_frames(nc->capture, frames, n, false);
        if (unlikely(nc->sheds)) n = shed(nc, frames, n, &work, now->ns);
        uint64_t received = rte_rdtsc();
        metric_add(&nc->metrics.rx_bursts, 1);
        metric_add(&nc->metrics.cycles_rx_burst, received - start);
        net_stack_input(nc->stack, frames, n, now->ns);
        metric_add(&nc->metrics.cycles_input, own_cycles(nc, received));
        start = stage_begin(nc);
    }
    unsigned fired = net_stack_timers(nc->stack, now->ns);
    if (fired > 0) metric_add(&nc->metrics.cycles_output, own_cycles(nc, start));
    return work + fired;
}

unsigned netcore_tx(void *arg, const struct tick *now)
{
    struct netcore *nc = arg;
    nc->now_ns = now->ns;
    uint64_t start = stage_begin(nc);
    unsigned sent = net_stack_output(nc->stack, now->ns);
    if (sent > 0) metric_add(&nc->metrics.cycles_output, own_cycles(nc, start));
    return sent;
}

bool netcore_arm(void *arg, bool on)
{
    struct netcore *nc = arg;
    if (!on) {
        if (nc->armed) port_rx_disarm(nc->port, nc->queue);
        nc->armed = false;
        return true;
    }
    int fd = nc->reactor ? port_rx_arm(nc->port, nc->queue) : -ENOTSUP;
    if (fd < 0) return false;
    nc->armed = true;
    metric_add(&nc->metrics.rx_armed, 1);
    return reactor_fd_wakes(nc->reactor, fd) == 0;
}

uint64_t netcore_deadline(void *arg)
{
    struct netcore *nc = arg;
    return net_stack_deadline(nc->stack);
}

static int addresses_parse(struct net_stack_config *stack, const struct netcore_config *config, char *err_text,
                           size_t err_cap)
{
    int n = net_prefix_list_parse(config->address, stack->addrs, NET_ADDRS_MAX);
    if (n < 0) {
        snprintf(err_text, err_cap, "address %s is not of the form 10.9.0.1/24 or fd00::1/64", config->address);
        return -EINVAL;
    }
    stack->addr_count = (unsigned)n;
    return 0;
}

static int gateways_parse(struct net_stack_config *stack, const char *text)
{
    struct net_addr via[NET_ROUTES_MAX];
    int count = text ? net_addr_list_parse(text, via, NET_ROUTES_MAX) : 0, rc = RTE_MIN(count, 0);
    for (int i = 0; rc == 0 && i < count; i++) rc = net_stack_config_gateway(stack, via[i]);
    return rc;
}

static int routes_parse(struct net_stack_config *stack, const struct netcore_config *config, char *err_text,
                        size_t err_cap)
{
    stack->route_count = 0;
    if (gateways_parse(stack, config->gateway) != 0) {
        snprintf(err_text, err_cap, "gateway %s is not of the form 10.9.0.254", config->gateway);
        return -EINVAL;
    }
    for (unsigned i = 0; i < config->route_count; i++) {
        bool room = stack->route_count < NET_ROUTES_MAX;
        if (room && net_route_parse(config->routes[i], &stack->routes[stack->route_count]) == 0) {
            stack->route_count++;
            continue;
        }
        snprintf(err_text, err_cap, "route %s is not of the form 10.1.0.0/16 via 10.9.0.253", config->routes[i]);
        return -EINVAL;
    }
    return 0;
}

static int secret_draw(uint64_t secret[2])
{
    if (secret[0] || secret[1]) return 0;
    size_t bytes = 2 * sizeof secret[0];
    return getrandom(secret, bytes, 0) == (ssize_t)bytes ? 0 : -EIO;
}

int netcore_init(struct netcore *nc, const struct netcore_config *config, char *err_text, size_t err_cap)
{
    const struct port_caps *caps = port_caps(config->port);
    struct net_stack_config stack = config->stack;
    memset(nc, 0, sizeof *nc);
    nc->port = config->port;
    nc->queue = config->queue;
    nc->core = config->stack.core;
    nc->frames = config->stack.pools->frame;
    nc->spread = config->spread;
    nc->owns_queue = !config->spread || spread_owns_queue(config->spread, nc->core);
    if (nc->spread) {
        nc->queue = (uint16_t)spread_queue(nc->spread, nc->core);
        steer_ports(spread_steer(nc->spread), (uint16_t)nc->core, &stack.port_first, &stack.port_last);
    }
    nc->shared = config->exception;
    if (exception_diverts(config->exception)) nc->exception = config->exception;
    int rc = addresses_parse(&stack, config, err_text, err_cap);
    if (rc == 0) rc = routes_parse(&stack, config, err_text, err_cap);
    if (rc != 0) return rc;
    if ((rc = secret_draw(stack.secret)) != 0) {
        snprintf(err_text, err_cap, "no random numbers for the stack's secret");
        return rc;
    }
    memcpy(stack.mac, caps->mac, sizeof stack.mac);
    stack.mtu = caps->mtu;
    stack.tx_ip_checksum = caps->tx_ip_checksum;
    stack.tx_tcp_checksum = caps->tx_tcp_checksum;
    stack.rx_checksum = caps->rx_checksum;
    stack.tso_most = nc->owns_queue ? caps->tso_most : 0;
    if (nc->spread && port_rss(nc->port)) {
        nc->rss = port_rss(nc->port);
        stack.port_fits = port_fits;
        stack.port_fits_arg = nc;
    }
    stack.shared = config->exception != NULL;
    stack.claim = claim;
    stack.claim_arg = nc;
    stack.tx = transmit;
    stack.tx_arg = nc;
    unsigned ifindex = exception_resolver(config->exception);
    rc = net_stack_create(&nc->stack, &stack);
    if (rc == 0 && ifindex) rc = kernel_resolve_open(&nc->resolve, ifindex, stack.mac, stack.pools->small);
    if (rc == 0) return 0;
    snprintf(err_text, err_cap, "TCP on core %u: %s", stack.core, strerror(-rc));
    netcore_fini(nc);
    return rc;
}

void netcore_fini(struct netcore *nc)
{
    if (nc->stack) net_stack_destroy(&nc->stack);
    kernel_resolve_close(&nc->resolve);
}
