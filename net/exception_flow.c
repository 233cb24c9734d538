#include "net/exception_flow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rte_byteorder.h>
#include <rte_ethdev.h>
#include <rte_flow.h>
#include "base/log.h"

#define RULES_MAX 1024u
#define QUEUES_MAX 64u

struct rule {
    struct net_addr addr;
    uint16_t port, mask; /* host byte order */
    struct rte_flow *handle;
};

struct exception_flow {
    struct exception_flow_config config;
    uint16_t queues[QUEUES_MAX];
    unsigned count;
    struct rule rules[RULES_MAX];
};

int exception_flow_open(struct exception_flow **out, const struct exception_flow_config *config, char *err_text,
                        size_t err_cap)
{
    struct exception_flow *flow = config->queues <= QUEUES_MAX ? calloc(1, sizeof *flow) : NULL;
    if (!flow) {
        snprintf(err_text, err_cap, "flow rules for %u queues: no memory, or more than %u", config->queues, QUEUES_MAX);
        return -ENOMEM;
    }
    flow->config = *config;
    for (uint16_t q = 0; q < config->queues; q++) flow->queues[q] = q;
    *out = flow;
    return 0;
}

void exception_flow_close(struct exception_flow **flow)
{
    struct exception_flow *f = *flow;
    struct rte_flow_error error;
    if (!f) return;
    for (unsigned i = 0; i < f->count; i++) rte_flow_destroy(f->config.port, f->rules[i].handle, &error);
    free(f);
    *flow = NULL;
}

static struct rte_flow *rule_create(struct exception_flow *f, const struct rule *r, struct rte_flow_error *error)
{
    bool v4 = net_addr_is_v4(&r->addr);
    struct rte_flow_item_ipv4 ip4 = {0}, ip4_mask = {.hdr.dst_addr = UINT32_MAX};
    struct rte_flow_item_ipv6 ip6 = {0}, ip6_mask = {0};
    struct rte_flow_item_tcp tcp = {.hdr.dst_port = rte_cpu_to_be_16(r->port)};
    struct rte_flow_item_tcp tcp_mask = {.hdr.dst_port = rte_cpu_to_be_16(r->mask)};
    ip4.hdr.dst_addr = r->addr.be32[3];
    memcpy(ip6.hdr.dst_addr, r->addr.bytes, 16);
    memset(ip6_mask.hdr.dst_addr, 0xff, 16);
    const struct rte_flow_item ip = v4 ? (struct rte_flow_item){RTE_FLOW_ITEM_TYPE_IPV4, &ip4, NULL, &ip4_mask}
                                       : (struct rte_flow_item){RTE_FLOW_ITEM_TYPE_IPV6, &ip6, NULL, &ip6_mask};
    const struct rte_flow_item pattern[] = {{.type = RTE_FLOW_ITEM_TYPE_ETH},
                                            ip,
                                            {RTE_FLOW_ITEM_TYPE_TCP, &tcp, NULL, &tcp_mask},
                                            {.type = RTE_FLOW_ITEM_TYPE_END}};
    const struct rte_flow_action_queue queue = {.index = 0};
    const struct rte_flow_action_rss rss = {.types = v4 ? RTE_ETH_RSS_NONFRAG_IPV4_TCP : RTE_ETH_RSS_NONFRAG_IPV6_TCP,
                                            .queue_num = f->config.queues,
                                            .queue = f->queues};
    const struct rte_flow_action to = f->config.queues > 1
                                          ? (struct rte_flow_action){RTE_FLOW_ACTION_TYPE_RSS, &rss}
                                          : (struct rte_flow_action){RTE_FLOW_ACTION_TYPE_QUEUE, &queue};
    const struct rte_flow_action actions[] = {to, {.type = RTE_FLOW_ACTION_TYPE_END}};
    const struct rte_flow_attr ingress = {.ingress = 1};
    return rte_flow_create(f->config.port, &ingress, pattern, actions, error);
}

static int rule_add(struct exception_flow *f, const struct net_addr *addr, uint16_t port, uint16_t mask)
{
    struct rte_flow_error error = {0};
    struct rule *r = &f->rules[f->count];
    if (f->count == RULES_MAX) return -ENOSPC;
    *r = (struct rule){.port = port, .mask = mask};
    r->addr = *addr;
    r->handle = rule_create(f, r, &error);
    if (r->handle) {
        f->count++;
        return 0;
    }
    int rc = rte_errno ? -rte_errno : -EIO;
    log_error("the device refuses a flow rule for TCP port %u (mask 0x%x): %s", port, mask,
              error.message ? error.message : strerror(-rc));
    return rc;
}

static int rule_remove(struct exception_flow *f, const struct net_addr *addr, uint16_t port)
{
    struct rte_flow_error error = {0};
    for (unsigned i = 0; i < f->count; i++) {
        struct rule *r = &f->rules[i];
        if (r->port != port || r->mask != UINT16_MAX || !net_addr_equal(&r->addr, addr)) continue;
        int rc = rte_flow_destroy(f->config.port, r->handle, &error);
        if (rc == 0) *r = f->rules[--f->count];
        return rc;
    }
    return -ENOENT;
}

int exception_flow_claim(struct exception_flow *flow, const struct net_addr *addr, uint16_t port, bool claim)
{
    return claim ? rule_add(flow, addr, port, UINT16_MAX) : rule_remove(flow, addr, port);
}

int exception_flow_clients(struct exception_flow *flow, const struct net_addr *addr, uint16_t first, uint16_t last,
                           char *err_text, size_t err_cap)
{
    for (uint32_t at = first; at <= last;) {
        uint32_t block = 1; /* the largest aligned one that begins here and ends within */
        while (at % (2 * block) == 0 && at + 2 * block - 1 <= last) block *= 2;
        int rc = rule_add(flow, addr, (uint16_t)at, (uint16_t) ~(block - 1));
        if (rc != 0) {
            snprintf(err_text, err_cap, "no flow rule for client ports %u..%u: %s", first, last, strerror(-rc));
            return rc;
        }
        at += block;
    }
    return 0;
}
