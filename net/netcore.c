#include "net/netcore.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <rte_cycles.h>
#include "net/addr.h"

const struct metric_row netcore_metric_rows[] = {
#define METRIC(name, kind, help) METRIC_ROW(struct netcore_metrics, name, kind, help)
#include "net/netcore_metrics.def"
#undef METRIC
};
const size_t netcore_metric_row_count = sizeof netcore_metric_rows / sizeof *netcore_metric_rows;

/* net_tx_fn: the stack calls it from within input, timers and output. */
static void transmit(void *arg, struct rte_mbuf **frames, uint16_t n)
{
    struct netcore *nc = arg;
    if (unlikely(nc->capture)) capture_frames(nc->capture, frames, n, true);
    uint64_t start = rte_rdtsc();
    port_tx(nc->port, nc->queue, frames, n);
    uint64_t cycles = rte_rdtsc() - start;
    nc->tx_burst_tsc += cycles;
    metric_add(&nc->metrics.cycles_tx_burst, cycles);
    metric_add(&nc->metrics.tx_bursts, 1);
}

/* net_claim_fn. */
static int claim(void *arg, uint16_t port, bool claimed) { return exception_claim(arg, port, claimed); }

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

unsigned netcore_rx(void *arg, const struct tick *now)
{
    struct netcore *nc = arg;
    struct rte_mbuf *frames[PORT_BURST];
    uint64_t start = stage_begin(nc);
    uint16_t n = port_rx(nc->port, nc->queue, frames, PORT_BURST);
    if (n > 0) {
        uint64_t received = rte_rdtsc();
        uint16_t ours = n;
        if (unlikely(nc->capture)) capture_frames(nc->capture, frames, n, false);
        if (nc->exception) ours = exception_divert(nc->exception, frames, n, &nc->exception_metrics);
        metric_add(&nc->metrics.rx_bursts, 1);
        metric_add(&nc->metrics.cycles_rx_burst, received - start);
        net_stack_input(nc->stack, frames, ours, now->ns);
        metric_add(&nc->metrics.cycles_input, own_cycles(nc, received));
        start = stage_begin(nc);
    }
    unsigned fired = net_stack_timers(nc->stack, now->ns);
    if (fired > 0) metric_add(&nc->metrics.cycles_output, own_cycles(nc, start));
    return n + fired;
}

unsigned netcore_tx(void *arg, const struct tick *now)
{
    struct netcore *nc = arg;
    uint64_t start = stage_begin(nc);
    unsigned sent = net_stack_output(nc->stack, now->ns);
    if (sent > 0) metric_add(&nc->metrics.cycles_output, own_cycles(nc, start));
    return sent;
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
    stack->route_count = 0;
    if (!config->gateway || config->gateway[0] == '\0') return 0;
    struct net_addr via;
    if (net_addr_parse(config->gateway, &via) != 0) {
        snprintf(err_text, err_cap, "gateway %s is not of the form 10.9.0.254", config->gateway);
        return -EINVAL;
    }
    return net_stack_config_gateway(stack, via);
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
    if (exception_diverts(config->exception)) nc->exception = config->exception;
    int rc = addresses_parse(&stack, config, err_text, err_cap);
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
    stack.claim = config->exception ? claim : NULL;
    stack.claim_arg = config->exception;
    stack.tx = transmit;
    stack.tx_arg = nc;
    if ((rc = net_stack_create(&nc->stack, &stack)) != 0)
        snprintf(err_text, err_cap, "TCP on core %u: %s", stack.core, strerror(-rc));
    return rc;
}

void netcore_fini(struct netcore *nc)
{
    if (nc->stack) net_stack_destroy(&nc->stack);
}
