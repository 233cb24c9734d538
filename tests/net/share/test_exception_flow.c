/* The flow rules that claims become, as a device would see them: rte_flow_create and rte_flow_destroy are this test's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <rte_byteorder.h>
#include <rte_errno.h>
#include <rte_flow.h>
#include "net/exception_filter.h"
#include "net/exception_flow.h"
#include "tests/net/sim/cmocka_all.h"

#define RULES_MAX 64u

struct rte_flow {
    bool live, v6;
    uint16_t port, mask, queues;
    uint8_t addr[16];
};

static struct rte_flow rules[RULES_MAX];
static unsigned created, refuse_after;

static const struct net_addr ours6 = {.bytes = {0xfd, [15] = 1}};

struct rte_flow *rte_flow_create(uint16_t port_id, const struct rte_flow_attr *attr,
                                 const struct rte_flow_item *pattern, const struct rte_flow_action *actions,
                                 struct rte_flow_error *error)
{
    assert_int_equal(port_id, 3);
    assert_true(attr->ingress && !attr->egress);
    if (created == refuse_after) {
        error->message = "the table is full";
        rte_errno = ENOSPC;
        return NULL;
    }
    struct rte_flow *rule = &rules[created++];
    assert_int_equal(pattern[0].type, RTE_FLOW_ITEM_TYPE_ETH);
    rule->v6 = pattern[1].type == RTE_FLOW_ITEM_TYPE_IPV6;
    if (rule->v6) {
        const struct rte_flow_item_ipv6 *ip = pattern[1].spec, *mask = pattern[1].mask;
        memcpy(rule->addr, ip->hdr.dst_addr, 16);
        for (unsigned i = 0; i < 16; i++) assert_int_equal(mask->hdr.dst_addr[i], 0xff);
    } else {
        assert_int_equal(pattern[1].type, RTE_FLOW_ITEM_TYPE_IPV4);
        const struct rte_flow_item_ipv4 *ip = pattern[1].spec, *mask = pattern[1].mask;
        memcpy(rule->addr, &ip->hdr.dst_addr, 4);
        assert_int_equal(mask->hdr.dst_addr, UINT32_MAX);
        assert_int_equal(mask->hdr.src_addr, 0);
    }
    assert_int_equal(pattern[2].type, RTE_FLOW_ITEM_TYPE_TCP);
    const struct rte_flow_item_tcp *tcp = pattern[2].spec, *mask = pattern[2].mask;
    rule->port = rte_be_to_cpu_16(tcp->hdr.dst_port);
    rule->mask = rte_be_to_cpu_16(mask->hdr.dst_port);
    assert_int_equal(mask->hdr.src_port, 0);
    assert_int_equal(pattern[3].type, RTE_FLOW_ITEM_TYPE_END);
    if (actions[0].type == RTE_FLOW_ACTION_TYPE_RSS) {
        rule->queues = (uint16_t)((const struct rte_flow_action_rss *)actions[0].conf)->queue_num;
    } else {
        assert_int_equal(actions[0].type, RTE_FLOW_ACTION_TYPE_QUEUE);
        rule->queues = 1;
    }
    rule->live = true;
    return rule;
}

int rte_flow_destroy(uint16_t port_id, struct rte_flow *flow, struct rte_flow_error *error)
{
    (void)error;
    assert_int_equal(port_id, 3);
    assert_true(flow->live);
    flow->live = false;
    return 0;
}

static unsigned live(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < created; i++) n += rules[i].live;
    return n;
}

static struct exception_flow *flow_open(uint16_t queues)
{
    char text[128];
    struct exception_flow *flow;
    const struct exception_flow_config config = {.port = 3, .queues = queues};
    memset(rules, 0, sizeof rules);
    created = 0;
    refuse_after = RULES_MAX;
    assert_int_equal(exception_flow_open(&flow, &config, text, sizeof text), 0);
    return flow;
}

static void test_a_claim_is_a_rule(void **state)
{
    (void)state;
    const struct net_addr addr = net_addr_v4(0x0a000001);
    struct exception_flow *flow = flow_open(1);
    assert_int_equal(exception_flow_claim(flow, &addr, 11211, true), 0);
    assert_int_equal(exception_flow_claim(flow, &ours6, 6379, true), 0);
    assert_int_equal(live(), 2);
    assert_false(rules[0].v6);
    assert_memory_equal(rules[0].addr, ((const uint8_t[]){10, 0, 0, 1}), 4);
    assert_int_equal(rules[0].port, 11211);
    assert_int_equal(rules[0].mask, 0xffff);
    assert_int_equal(rules[0].queues, 1);
    assert_true(rules[1].v6);
    assert_memory_equal(rules[1].addr, ours6.bytes, 16);
    assert_int_equal(exception_flow_claim(flow, &addr, 11211, false), 0);
    assert_false(rules[0].live);
    assert_true(rules[1].live);
    assert_int_equal(exception_flow_claim(flow, &addr, 11211, false), -ENOENT);
    exception_flow_close(&flow);
    assert_int_equal(live(), 0);
}

static void test_several_queues_are_spread_over(void **state)
{
    (void)state;
    struct exception_flow *flow = flow_open(4);
    assert_int_equal(exception_flow_claim(flow, &ours6, 6379, true), 0);
    assert_int_equal(rules[0].queues, 4);
    exception_flow_close(&flow);
}

static unsigned covers(uint16_t port)
{
    unsigned n = 0;
    for (unsigned i = 0; i < created; i++) n += rules[i].live && (port & rules[i].mask) == rules[i].port;
    return n;
}

/* Each port of the range is in one rule, no other in any. */
static void check_range(unsigned first, unsigned last)
{
    char text[128];
    struct exception_flow *flow = flow_open(1);
    assert_int_equal(exception_flow_clients(flow, &ours6, (uint16_t)first, (uint16_t)last, text, sizeof text), 0);
    for (unsigned port = 0; port < 65536; port++)
        assert_int_equal(covers((uint16_t)port), port >= first && port <= last ? 1 : 0);
    assert_true(created <= 30);
    exception_flow_close(&flow);
}

static void test_client_ranges(void **state)
{
    (void)state;
    check_range(61000, 65535);
    check_range(1, 65535);
    check_range(32768, 60999);
    check_range(5000, 5000);
    check_range(65535, 65535);
}

static void test_what_the_device_refuses(void **state)
{
    (void)state;
    char text[128] = "";
    struct exception_flow *flow = flow_open(1);
    refuse_after = 2;
    assert_int_equal(exception_flow_clients(flow, &ours6, 61000, 65535, text, sizeof text), -ENOSPC);
    assert_non_null(strstr(text, "61000..65535"));
    assert_int_equal(exception_flow_claim(flow, &ours6, 6379, true), -ENOSPC);
    exception_flow_close(&flow);
    assert_int_equal(live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_claim_is_a_rule),
        cmocka_unit_test(test_several_queues_are_spread_over),
        cmocka_unit_test(test_client_ranges),
        cmocka_unit_test(test_what_the_device_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
