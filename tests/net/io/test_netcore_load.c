/*
 * Whether a core keeps up is seen by its queue: one that is emptied now and then belongs to a core that does, and all
 * its SYNs are answered; one that never is loses its surplus SYNs, several bursts a turn. The device is net_ring: what
 * is sent there comes back as received, our own answers too (they are to another, and dropped).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include "base/eal.h"
#include "net/netcore.h"

#define TURN_NS 20000u
#define TURNS_A_MS (1000000u / TURN_NS)
#define QUEUED 256u /* in a queue that is never emptied */
#define RATE 2000u

static struct buf_pools pools;
static struct port *port;
static struct netcore core;
static struct tick now = {.ns = UINT64_C(5000000000)};
static uint32_t stranger;

static const struct net_metrics *metrics(void)
{
    return net_stack_metrics(core.stack);
}

static struct rte_mbuf *syn(void)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(pools.frame);
    assert_non_null(m);
    uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, 54);
    struct rte_ipv4_hdr ip = {.version_ihl = 0x45,
                              .time_to_live = 64,
                              .next_proto_id = IPPROTO_TCP,
                              .src_addr = rte_cpu_to_be_32(0x0b000000u + stranger++),
                              .dst_addr = rte_cpu_to_be_32(RTE_IPV4(10, 0, 0, 1)),
                              .total_length = rte_cpu_to_be_16(40)};
    struct rte_tcp_hdr tcp = {.src_port = 99, .dst_port = rte_cpu_to_be_16(7), .data_off = 5 << 4, .tcp_flags = 2};
    ip.hdr_checksum = rte_ipv4_cksum(&ip);
    tcp.cksum = rte_ipv4_udptcp_cksum(&ip, &tcp);
    memcpy(p, port_caps(port)->mac, 6);
    memcpy(p + 6, (uint8_t[]){2, 0, 0, 0, 0, 9, 8, 0}, 8);
    memcpy(p + 14, &ip, sizeof ip);
    memcpy(p + 34, &tcp, sizeof tcp);
    return m;
}

static void arrive(unsigned count)
{
    for (; count > 0; count--) {
        struct rte_mbuf *m = syn();
        assert_int_equal(rte_eth_tx_burst(port_number(port), 0, &m, 1), 1);
    }
}

static unsigned turn(void)
{
    now.ns += TURN_NS;
    unsigned work = netcore_rx(&core, &now);
    netcore_tx(&core, &now);
    return work;
}

static void accepted(void *arg, struct stream *stream)
{
    (void)arg, (void)stream;
}

static void a_queue_that_is_emptied(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20 * TURNS_A_MS; i++) {
        arrive(4);
        turn();
    }
    while (turn() > 0) continue;
    assert_int_equal(metrics()->drop_tcp_syn_full, 0);
    assert_int_equal(metrics()->syn_cookies_sent + metrics()->half_open, stranger);
}

static void a_queue_that_never_is(void **state)
{
    (void)state;
    uint64_t answered = metrics()->syn_cookies_sent, most = 0;
    arrive(QUEUED);
    for (unsigned i = 0; i < 20 * TURNS_A_MS; i++) {
        uint64_t sent = metrics()->tx_frames;
        unsigned work = turn();
        if (work > most) most = work;
        arrive(work - (unsigned)(metrics()->tx_frames - sent));
    }
    uint64_t dropped = metrics()->drop_tcp_syn_full;
    answered = metrics()->syn_cookies_sent - answered;
    assert_true(dropped > 5 * answered);
    assert_int_equal(most, 4 * PORT_BURST);
    assert_true(metric_get(&core.metrics.rx_bursts) > 40 * TURNS_A_MS);
}

/* The queue runs empty, and all are answered again. */
static void and_then_is_again(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2 * QUEUED; i++) turn();
    uint64_t dropped = metrics()->drop_tcp_syn_full, answered = metrics()->syn_cookies_sent;
    uint32_t before = stranger;
    for (unsigned i = 0; i < 10 * TURNS_A_MS; i++) {
        arrive(4);
        turn();
    }
    while (turn() > 0) continue;
    assert_int_equal(metrics()->drop_tcp_syn_full, dropped);
    assert_int_equal(metrics()->syn_cookies_sent - answered, stranger - before);
    netcore_fini(&core);
    assert_int_equal(buf_pools_in_use(&pools), 0);
}

int main(void)
{
    const char *vdev = "net_ring0";
    char text[256];
    static struct stream_loop loop;
    struct eal_config eal = {.program = "test_netcore_load", .memory_mib = 64, .vdevs = &vdev, .vdev_count = 1};
    struct buf_pools_config config = {
        .frame_count = 1023, .small_count = 1023, .ref_count = 255, .frame_room = port_frame_room(1500)};
    struct port_config open = {.device = vdev, .queues = 1, .mtu = 1500, .pools = &pools};
    if (eal_start(&eal) != 0 || buf_pools_create(&pools, &config) != 0) return 3;
    if (port_open(&port, &open, text, sizeof text) != 0) return 4;
    struct netcore_config net = {.port = port, .address = "10.0.0.1/24"};
    net_stack_config_default(&net.stack);
    net.stack.max_connections = 64;
    net.stack.max_half_open = 16;
    net.stack.syn_rate_full = RATE;
    net.stack.pools = &pools;
    net.stack.loop = &loop;
    if (netcore_init(&core, &net, text, sizeof text) != 0) return 5;
    if (net_listen(core.stack, 7, accepted, NULL) != 0) return 6;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_queue_that_is_emptied),
        cmocka_unit_test(a_queue_that_never_is),
        cmocka_unit_test(and_then_is_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
