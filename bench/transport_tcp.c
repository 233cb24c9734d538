#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "bench/transport.h"
#include "net/netcore.h"

#define SOURCE_PORT_FIRST 1024u
#define SOURCE_PORT_LAST 65535u

struct tcp_transport {
    struct netcore core;
    struct net_endpoint server;
    struct net_prefix own[NET_ADDRS_MAX];
    unsigned own_count, own_next;
};

static int tcp_connect(struct transport *t, uint64_t now_ns, bool early, struct stream **out)
{
    struct tcp_transport *k = t->impl;
    struct net_endpoint from = {.addr = k->own[k->own_next++ % k->own_count].addr};
    int rc = net_connect_from(k->core.stack, from, k->server, now_ns, out);
    if (rc == 0 && early && net_connect_hold(*out)) stream_raise(*out, STREAM_CONNECTED);
    return rc;
}

static uint32_t tcp_lingering(const struct transport *t)
{
    const struct tcp_transport *k = t->impl;
    return net_stack_connections(k->core.stack);
}

static void tcp_destroy(struct transport *t)
{
    struct tcp_transport *k = t->impl;
    netcore_fini(&k->core);
    free(k);
}

/* Each thread has its own part of the source ports, so that no two stacks of one address use the same. */
static void source_ports(struct net_stack_config *config, const struct transport_set *set, uint32_t thread)
{
    uint32_t share = (SOURCE_PORT_LAST - SOURCE_PORT_FIRST + 1) / set->threads;
    config->port_first = (uint16_t)(SOURCE_PORT_FIRST + thread * share);
    config->port_last = (uint16_t)(config->port_first + share - 1);
}

/* The server, and those of our addresses that are of its family. */
static int addresses(struct tcp_transport *k, const struct bench_plan *plan)
{
    int count = net_prefix_list_parse(plan->options.ip, k->own, NET_ADDRS_MAX);
    k->server.port = plan->server_port;
    if (count < 0 || net_addr_parse(plan->server_address, &k->server.addr) != 0) count = 0;
    for (int i = 0; i < count; i++)
        if (net_addr_is_v4(&k->own[i].addr) == net_addr_is_v4(&k->server.addr)) k->own[k->own_count++] = k->own[i];
    if (k->own_count > 0) return 0;
    log_error("option 'ip': got '%s', takes up to %u addresses with their prefix, one of the server's family (%s)",
              plan->options.ip, NET_ADDRS_MAX, plan->server_address);
    return -EINVAL;
}

static int core_init(struct tcp_transport *k, struct transport *t, struct transport_set *set, uint32_t thread)
{
    char text[256] = "";
    struct netcore_config config = {.port = set->port, .queue = (uint16_t)thread, .address = set->plan->options.ip};
    net_stack_config_default(&config.stack);
    config.stack.core = thread;
    config.stack.max_connections = transport_connections_most(set->plan);
    config.stack.tuning.fast_open = set->plan->options.fast_open;
    config.stack.pools = &set->pools[thread];
    config.stack.loop = &t->loop;
    config.stack.tcp_cc = (enum net_tcp_cc)net_tcp_cc_find(set->plan->options.tcp_congestion_control);
    config.stack.tcp_ecn = (enum net_tcp_ecn)net_tcp_ecn_find(set->plan->options.tcp_ecn);
    config.stack.tuning.user_timeout_ns = set->plan->options.user_timeout;
    source_ports(&config.stack, set, thread);
    int rc = netcore_init(&k->core, &config, text, sizeof text);
    if (rc != 0) log_error("%s", text);
    return rc;
}

int transport_tcp_create(struct transport *t, struct transport_set *set, uint32_t thread)
{
    struct tcp_transport *k = calloc(1, sizeof *k);
    if (!k) return -ENOMEM;
    int rc = addresses(k, set->plan);
    if (rc == 0) rc = core_init(k, t, set, thread);
    if (rc != 0) {
        free(k);
        return rc;
    }
    t->impl = k;
    t->connect = tcp_connect;
    t->go = net_connect_go;
    t->lingering = tcp_lingering;
    t->destroy = tcp_destroy;
    t->input = (struct poller){
        .name = "input", .run = netcore_rx, .deadline = netcore_deadline, .arg = &k->core, .needs_naps = true};
    t->output = (struct poller){.name = "output", .run = netcore_tx, .arg = &k->core};
    return 0;
}
