#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "base/log.h"
#include "bench/transport.h"
#include "net/stack.h"

#define SOURCE_PORT_FIRST 10000u
#define SOURCE_PORT_LAST 65000u

struct tcp_transport {
    struct net_stack *stack;
    struct port *port;
    const struct bench_plan *plan;
    uint16_t queue;
};

static int tcp_connect(struct transport *t, uint64_t now_ns, struct stream **out)
{
    struct tcp_transport *k = t->impl;
    return net_connect(k->stack, k->plan->server_ip, k->plan->server_port, now_ns, out);
}

static uint32_t tcp_lingering(const struct transport *t)
{
    struct tcp_transport *k = t->impl;
    return net_stack_connections(k->stack);
}

static unsigned tcp_input(void *arg, const struct tick *now)
{
    struct tcp_transport *k = arg;
    struct rte_mbuf *frames[PORT_BURST];
    uint16_t n = port_rx(k->port, k->queue, frames, PORT_BURST);
    if (n > 0) net_stack_input(k->stack, frames, n, now->ns);
    return n;
}

static unsigned tcp_output(void *arg, const struct tick *now)
{
    struct tcp_transport *k = arg;
    unsigned fired = 0;
    if (net_stack_deadline(k->stack) <= now->ns) fired = net_stack_timers(k->stack, now->ns);
    return fired + net_stack_output(k->stack, now->ns);
}

static uint64_t tcp_deadline(void *arg)
{
    struct tcp_transport *k = arg;
    return net_stack_deadline(k->stack);
}

static void tcp_tx(void *arg, struct rte_mbuf **frames, uint16_t n)
{
    struct tcp_transport *k = arg;
    port_tx(k->port, k->queue, frames, n);
}

static void tcp_destroy(struct transport *t)
{
    struct tcp_transport *k = t->impl;
    net_stack_destroy(&k->stack);
    free(k);
}

/* Each thread has its own part of the source ports, so that no two stacks of one address use the same. */
static void source_ports(struct net_stack_config *config, const struct transport_set *set, uint32_t thread)
{
    uint32_t share = (SOURCE_PORT_LAST - SOURCE_PORT_FIRST) / set->threads;
    config->port_first = (uint16_t)(SOURCE_PORT_FIRST + thread * share);
    config->port_last = (uint16_t)(config->port_first + share - 1);
}

static int stack_create(struct tcp_transport *k, struct transport *t, struct transport_set *set, uint32_t thread)
{
    struct net_stack_config config;
    const struct port_caps *caps = port_caps(set->port);
    net_stack_config_default(&config);
    config.core = thread;
    memcpy(config.mac, caps->mac, sizeof config.mac);
    config.ip = set->plan->ip;
    config.prefix_len = set->plan->prefix_len;
    config.mtu = caps->mtu;
    config.tx_ip_checksum = caps->tx_ip_checksum;
    config.tx_tcp_checksum = caps->tx_tcp_checksum;
    config.rx_checksum = caps->rx_checksum;
    config.max_connections = set->plan->connections + 8;
    config.pools = &set->pools[thread];
    config.loop = &t->loop;
    config.tx = tcp_tx;
    config.tx_arg = k;
    source_ports(&config, set, thread);
    if (getrandom(config.secret, sizeof config.secret, 0) != sizeof config.secret) return -errno;
    return net_stack_create(&k->stack, &config);
}

int transport_tcp_create(struct transport *t, struct transport_set *set, uint32_t thread)
{
    struct tcp_transport *k = calloc(1, sizeof *k);
    if (!k) return -ENOMEM;
    *k = (struct tcp_transport){.port = set->port, .plan = set->plan, .queue = (uint16_t)thread};
    int rc = stack_create(k, t, set, thread);
    if (rc != 0) {
        log_error("TCP: %s", strerror(-rc));
        free(k);
        return rc;
    }
    t->impl = k;
    t->connect = tcp_connect;
    t->lingering = tcp_lingering;
    t->destroy = tcp_destroy;
    t->input = (struct poller){.name = "input", .run = tcp_input, .arg = k, .needs_naps = true};
    t->output = (struct poller){.name = "output", .run = tcp_output, .deadline = tcp_deadline, .arg = k};
    return 0;
}
