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

/*
 * Frames in a receive burst. Short, so that the two ends of a wire work at the same time: with 64, fifty clients that do
 * not pipeline were answered in one go and then all asked again in one go, each end waiting for the other (0.9 against
 * 2.3 million requests a second over memif); a longer burst saves nothing that shows with a thousand of them.
 */
#define PORT_BURST 16u

/* What the device does for us; what it does not is done in software. */
struct port_caps {
    bool tx_ip_checksum;
    bool tx_tcp_checksum;  /* of IPv4; port_tx readies the frames as the driver wants them, or nobody looks at it */
    bool tx_multi_segment; /* else port_tx copies a chained frame into one linear buffer */
    bool tx_external;      /* false: the driver mishandles indirect or external buffers (af_xdp): linearise */
    bool rx_checksum;      /* the device verifies what it can (TCP at least) and says so in ol_flags, or is trusted: port_rx
                            * then says so */
    bool rss;
    bool lro;              /* segments may come joined, longer than the MTU: net/tcp/tcp_gro.h */
    bool rx_interrupts;    /* queues may be armed: port_rx_arm */
    uint32_t tso_most;     /* payload bytes of a frame that the device cuts into segments (net/tso.h); 0: it does not */
    uint16_t mtu;          /* IP bytes */
    uint8_t mac[6];
};

struct port_config {
    const char *device;    /* ethdev name as in --vdev ("net_memif0") or PCI address */
    /*
     * Wanted receive/transmit queue pairs; fewer are used where the device has fewer. More than one needs RSS, or a wire
     * whose other end picks the queue (memif, vhost, virtio-user, ring: the peer keeps a connection on one queue, and we
     * answer on the same); any other device gets one.
     */
    uint16_t queues;
    uint16_t mtu;          /* IP bytes; 0: the device's own */
    /*
     * TCP checksums are neither filled in nor verified. Only for a wire of shared memory (memif, ring), which cannot
     * corrupt, with the same said at its other end; the kernel's loopback and virtio leave them out the same way.
     */
    bool no_tcp_checksum;
    bool rx_interrupts;    /* wanted: idle cores are to sleep until a frame comes */
    bool isolate;          /* take only what flow rules send here, if the driver can: see port_isolated */
    struct buf_pools *pools; /* [queues]: receive buffers of each queue come from its core's frame pool. Borrowed. */
};

/*
 * The frame_room of pools (see base/buf.h) that suits every driver at this MTU: the frame and what XDP keeps before it.
 * Rounded so that af_xdp's buffers fit a page up to MTU 3438.
 */
static inline uint32_t port_frame_room(uint16_t mtu)
{
    uint32_t room = mtu + 18u + 256u;
    return room <= 2048u ? 2048u : (room + 63u) / 64u * 64u;
}

#define PORT_HEADER_MOST 18u /* bytes before the IP packet: Ethernet with a VLAN tag */

struct port;
struct rss;

/* 0 or -errno; on failure one line in err_text (cap bytes) that names what, what it got, what it takes. */
int port_open(struct port **out, const struct port_config *config, char *err_text, size_t err_cap);
/* Stops the device and gives it up: it cannot be opened again in this process. Before its pools are destroyed. */
void port_close(struct port **port);
const struct port_caps *port_caps(const struct port *port);
uint16_t port_queue_count(const struct port *port);
uint16_t port_number(const struct port *port);  /* DPDK's */
unsigned port_interface(const struct port *port); /* index of the kernel's interface for the same device; 0: none */
bool port_isolated(const struct port *port);    /* all but what flow rules send here stays in the kernel's driver */
bool port_link_up(const struct port *port);
uint16_t port_rx(struct port *port, uint16_t queue, struct rte_mbuf **frames, uint16_t max);
/*
 * The next frame of the queue is to wake its core. Returns the descriptor that then becomes readable, by edges: it need
 * not be read, and may be another the next time. What is in the queue already does not count: look once more before
 * sleeping. -errno: it cannot, now or ever. The core of the queue, as port_rx_disarm.
 */
int port_rx_arm(struct port *port, uint16_t queue);
void port_rx_disarm(struct port *port, uint16_t queue);
/* Takes all n frames: what the device does not take after a few tries is freed and counted as tx_dropped. */
void port_tx(struct port *port, uint16_t queue, struct rte_mbuf **frames, uint16_t n);
/* Makes every frame one buffer that holds its own data, from pool; what cannot be is freed and added to *dropped. Returns
 * how many are left. Any thread that owns the frames. */
uint16_t port_linearise(struct rte_mempool *pool, struct rte_mbuf **frames, uint16_t n, uint64_t *dropped);
/* How the device spreads, to be proved; NULL: it does not. Shared by the queues' cores. */
struct rss *port_rss(struct port *port);
uint64_t port_tx_dropped(const struct port *port, uint16_t queue); /* any thread */
/*
 * Registers memory that replies are sent from with this port (rte_extmem_register, rte_dev_dma_map). 0 or -errno, when the
 * device cannot reach it: an IOMMU may translate fewer bits than virtual addresses have (39 on many desktops).
 */
int port_register_memory(struct port *port, void *base, size_t bytes, size_t page_bytes);
/* From now on port_tx copies what lies outside of DPDK's memory. Before the cores run. */
void port_copy_foreign(struct port *port);
/*
 * Checks a --vdev argument against an MTU (0: 1500) before EAL sees it: memif's bsize must hold the longest frame, and
 * zero-copy must be off, or frames are corrupted (DPDK 22.11). 0, or -EINVAL with one line in err_text.
 */
int port_check_vdev(const char *vdev, uint16_t mtu, char *err_text, size_t err_cap);

#endif
