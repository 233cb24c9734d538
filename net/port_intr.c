/* A queue that wakes its core: where the driver offers an interrupt a queue, and a file descriptor for it. */
#include <errno.h>
#include <rte_ethdev.h>
#include <rte_log.h>
#include "net/port_impl.h"

/* Some drivers make their rings anew under us: port_gate.h. */
static int enable(struct port *port, uint16_t queue, bool on)
{
    struct port_gate_side *side = &port->queues[queue].side;
    if (port->gated && !port_gate_enter(&port->gate, side)) return -EAGAIN;
    int rc = on ? rte_eth_dev_rx_intr_enable(port->id, queue) : rte_eth_dev_rx_intr_disable(port->id, queue);
    if (port->gated) port_gate_leave(side);
    return rc == -ENOTSUP ? 0 : rc; /* net_tap: its descriptor is the device's own, and always armed */
}

/* -EAGAIN says nothing of the driver: its rings were just being made anew, as a peer came. */
static bool armable(struct port *port, uint16_t queue)
{
    if (rte_eth_dev_rx_intr_ctl_q_get_fd(port->id, queue) < 0) return false;
    int rc = enable(port, queue, true);
    if (rc == 0) enable(port, queue, false);
    return rc == 0 || rc == -EAGAIN;
}

/* DPDK has no other way to ask, and complains in its log about each driver that has none. */
bool port_rx_armable(struct port *port)
{
    bool all = true;
    int level = rte_log_get_level((uint32_t)rte_eth_dev_logtype);
    rte_log_set_level((uint32_t)rte_eth_dev_logtype, RTE_LOG_CRIT);
    for (uint16_t q = 0; q < port->queue_count && all; q++) all = armable(port, q);
    rte_log_set_level((uint32_t)rte_eth_dev_logtype, (uint32_t)level);
    return all;
}

int port_rx_arm(struct port *port, uint16_t queue)
{
    if (!port->caps.rx_interrupts) return -ENOTSUP;
    int rc = enable(port, queue, true);
    if (rc != 0) return rc;
    int fd = rte_eth_dev_rx_intr_ctl_q_get_fd(port->id, queue);
    if (fd >= 0) return fd;
    enable(port, queue, false);
    return -ENODEV;
}

void port_rx_disarm(struct port *port, uint16_t queue)
{
    if (port->caps.rx_interrupts) enable(port, queue, false);
}
