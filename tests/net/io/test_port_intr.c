/*
 * Receive interrupts: which ports have them, and a core that sleeps until its queue wakes it. The device is net_ring,
 * its interrupts this program's own: it takes the place of DPDK's functions.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>
#include <rte_ethdev.h>
#include "base/clock.h"
#include "base/eal.h"
#include "net/netcore.h"
#include "net/port_impl.h"

int rte_eth_dev_rx_intr_enable(uint16_t port, uint16_t queue);
int rte_eth_dev_rx_intr_disable(uint16_t port, uint16_t queue);
int rte_eth_dev_rx_intr_ctl_q_get_fd(uint16_t port, uint16_t queue);

/* The driver. */
static int enable_rc, queue_fd = 77;
static bool enabled;
static unsigned calls;
static struct rte_mbuf *arrives; /* while it is being armed: too early for an interrupt */

static void arrive(uint16_t port)
{
    struct rte_mbuf *m = arrives;
    arrives = NULL;
    if (m) assert_int_equal(rte_eth_tx_burst(port, 0, &m, 1), 1); /* the ring gives it back as received */
}

int rte_eth_dev_rx_intr_enable(uint16_t port, uint16_t queue)
{
    (void)queue;
    calls++;
    enabled = enable_rc == 0;
    arrive(port);
    return enable_rc;
}

int rte_eth_dev_rx_intr_disable(uint16_t port, uint16_t queue)
{
    (void)port, (void)queue;
    calls++;
    enabled = false;
    return enable_rc;
}

int rte_eth_dev_rx_intr_ctl_q_get_fd(uint16_t port, uint16_t queue)
{
    (void)port, (void)queue;
    return queue_fd;
}

static struct buf_pools pools;
static struct port *port;

static void drivers_that_have_them_and_not(void **state)
{
    (void)state;
    assert_true(port_caps(port)->rx_interrupts);
    assert_int_equal(port_rx_arm(port, 0), 77);
    assert_true(enabled);
    port_rx_disarm(port, 0);
    assert_false(enabled);
    enable_rc = -ENOTSUP; /* net_tap: a descriptor without a switch */
    assert_int_equal(port_rx_arm(port, 0), 77);
    queue_fd = -1; /* its peer is gone */
    enable_rc = 0;
    assert_int_equal(port_rx_arm(port, 0), -ENODEV);
    assert_false(enabled);
    enable_rc = -EIO;
    assert_true(port_rx_arm(port, 0) < 0);
    enable_rc = 0;
    port->caps.rx_interrupts = false; /* refused at the start */
    assert_int_equal(port_rx_arm(port, 0), -ENOTSUP);
    assert_false(enabled);
    port->caps.rx_interrupts = true;
}

/* A driver that is just making its rings anew is left alone, which says nothing of its interrupts. */
static void while_the_rings_are_made_anew(void **state)
{
    (void)state;
    port->gated = true;
    port_gate_add(&port->gate, &port->queues[0].side, sizeof port->queues[0], 1);
    port_gate_shut_all();
    calls = 0;
    assert_true(port_rx_armable(port));
    assert_int_equal(port_rx_arm(port, 0), -EAGAIN);
    port_rx_disarm(port, 0);
    assert_int_equal(calls, 0);
    port_gate_open_all();
    assert_int_equal(port_rx_arm(port, 0), 77);
    port_rx_disarm(port, 0);
    assert_int_equal(calls, 2);
    enable_rc = -EIO; /* now the driver has spoken */
    assert_false(port_rx_armable(port));
    enable_rc = 0;
    port_gate_remove(&port->gate);
    port->gated = false;
}

static struct reactor *reactor;
static struct netcore core;
static uint64_t frames_want;

/* Ends the run when the stack has seen so many frames. */
static unsigned watch(void *arg, const struct tick *now)
{
    (void)arg, (void)now;
    if (metric_get(&net_stack_metrics(core.stack)->rx_frames) >= frames_want) reactor_stop(reactor);
    return 0;
}

static struct rte_mbuf *frame(void)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(pools.frame);
    memset(rte_pktmbuf_append(m, 60), 0, 60);
    return m;
}

/* After the core has looked for the last time before its sleep: the device puts a frame there, and interrupts. */
static unsigned interrupts;

static uint64_t interrupt(void *arg)
{
    uint64_t one = 1;
    (void)arg;
    if (!enabled || interrupts == 0) return UINT64_MAX;
    interrupts--;
    arrives = frame();
    arrive(port_number(port));
    assert_int_equal(write(queue_fd, &one, sizeof one), sizeof one);
    return UINT64_MAX;
}

static void a_core_sleeps_until_its_queue_wakes_it(void **state)
{
    (void)state;
    static struct clock_tsc clock;
    static struct stream_loop loop;
    char text[256];
    clock_tsc_init(&clock);
    struct reactor_config config = {.cpu = -1, .idle_spin_us = 10, .nap_us = 1000, .clock = &clock.clock};
    struct netcore_config net = {.port = port, .address = "10.0.0.1/24"};
    assert_int_equal(reactor_create(&reactor, &config), 0);
    net_stack_config_default(&net.stack);
    net.stack.max_connections = 64;
    net.stack.pools = &pools;
    net.stack.loop = &loop;
    if (netcore_init(&core, &net, text, sizeof text) != 0) fail_msg("%s", text);
    core.reactor = reactor;
    struct poller rx = {.run = netcore_rx, .deadline = interrupt, .arm = netcore_arm, .arg = &core, .needs_naps = true};
    struct poller end = {.run = watch};
    reactor_add_poller(reactor, &rx);
    reactor_add_poller(reactor, &end);
    queue_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    arrives = frame(); /* the first: while the queue is being armed */
    frames_want = 1;
    reactor_run(reactor);
    struct reactor_stats stats;
    reactor_read_stats(reactor, &stats);
    assert_int_equal(metric_get(&core.metrics.rx_armed), 1);
    assert_int_equal(stats.sleeps, 0);
    assert_false(enabled);

    interrupts = 5; /* five more: each when the core is about to sleep */
    frames_want = 6;
    reactor_run(reactor);
    reactor_read_stats(reactor, &stats);
    assert_int_equal(stats.sleeps, 5);
    assert_int_equal(metric_get(&core.metrics.rx_armed), 6);
    assert_false(enabled);

    netcore_fini(&core);
    reactor_destroy(&reactor);
    close(queue_fd);
    assert_int_equal(buf_pools_in_use(&pools), 0);
}

int main(void)
{
    const char *vdev = "net_ring0";
    char text[256];
    struct eal_config eal = {.program = "test_port_intr", .memory_mib = 64, .vdevs = &vdev, .vdev_count = 1};
    struct buf_pools_config config = {
        .frame_count = 1023, .small_count = 1023, .ref_count = 255, .frame_room = port_frame_room(1500)};
    struct port_config open = {.device = vdev, .queues = 1, .mtu = 1500, .rx_interrupts = true, .pools = &pools};
    if (eal_start(&eal) != 0 || buf_pools_create(&pools, &config) != 0) return 3;
    if (port_open(&port, &open, text, sizeof text) != 0) return 4;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(while_the_rings_are_made_anew),
        cmocka_unit_test(drivers_that_have_them_and_not),
        cmocka_unit_test(a_core_sleeps_until_its_queue_wakes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
