/*
 * A port: one DPDK ethdev, whatever drives it, by its capabilities. Set-up on the control thread; port_rx and port_tx
 * by the core that owns the queue.
 */
#ifndef POLAR_NET_PORT_H
#define POLAR_NET_PORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "base/buf.h"

#define PORT_BURST 64u

/* What the device does for us; what it does not is done in software. */
struct port_caps {
    bool tx_ip_checksum;
    bool tx_tcp_checksum;
    bool tx_multi_segment; /* else port_tx copies a chained frame into one linear buffer */
    bool tx_external;      /* false: the driver mishandles indirect or external buffers (af_xdp): linearise */
    bool rx_checksum;      /* the device verifies and says so in ol_flags */
    bool rss;
    uint16_t mtu;          /* IP bytes */
    uint8_t mac[6];
};

struct port_config {
    const char *device;    /* ethdev name as in --vdev ("net_memif0") or PCI address */
    uint16_t queues;       /* wanted receive/transmit queue pairs; fewer are used where the device has fewer */
    uint16_t mtu;          /* IP bytes; 0: the device's own */
    struct buf_pools *pools; /* [queues]: receive buffers of each queue come from its core's frame pool */
};

struct port;

/* 0 or -errno; on failure one line in err_text (cap bytes) that names what, what it got, what it takes. */
int port_open(struct port **out, const struct port_config *config, char *err_text, size_t err_cap);
void port_close(struct port **port);
const struct port_caps *port_caps(const struct port *port);
uint16_t port_queue_count(const struct port *port);
bool port_link_up(const struct port *port);
uint16_t port_rx(struct port *port, uint16_t queue, struct rte_mbuf **frames, uint16_t max);
/* Takes all n frames: what the device does not take after a few tries is freed and counted as tx_dropped. */
void port_tx(struct port *port, uint16_t queue, struct rte_mbuf **frames, uint16_t n);
uint64_t port_tx_dropped(const struct port *port, uint16_t queue);
/* Registers memory that replies are sent from with this port (rte_extmem_register, rte_dev_dma_map). 0 or -errno. */
int port_register_memory(struct port *port, void *base, size_t bytes, size_t page_bytes);
/*
 * Checks a --vdev argument against an MTU before EAL sees it: memif's bsize must hold the longest frame, or frames are
 * corrupted (DPDK 22.11). 0, or -EINVAL with one line in err_text.
 */
int port_check_vdev(const char *vdev, uint16_t mtu, char *err_text, size_t err_cap);

#endif
