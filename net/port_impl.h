/* Inside a port: port.c sets up, port_io.c moves frames, port_vdev.c checks arguments. */
#ifndef POLAR_NET_PORT_IMPL_H
#define POLAR_NET_PORT_IMPL_H

#include <rte_ether.h>
#include "net/port.h"
#include "net/port_gate.h"
#include "net/rss.h"

#define PORT_FRAME_OVERHEAD (RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN) /* beside the MTU */
#define PORT_DEFAULT_MTU 1500u

struct port_queue {
    _Alignas(64) struct rte_mempool *frames;
    uint64_t tx_dropped;
    struct port_gate_side side;
};

/* port_intr.c: whether the queues of a started port can be armed. */
bool port_rx_armable(struct port *port);

struct port {
    uint16_t id;
    uint16_t queue_count;
    bool isolated;
    bool linear_only; /* chained or foreign buffers have to be copied */
    bool trusted;     /* port_config.no_tcp_checksum */
    bool tx_prepare;  /* checksums are offloaded: the driver readies the headers */
    bool own_memory;  /* the device reaches DPDK's memory only: pieces elsewhere have to be copied */
    bool odd_pieces;  /* the driver sums chained frames with odd pieces wrong */
    bool gated;       /* the driver may take a queue's rings away at any time: bursts go through the gate */
    struct port_gate gate;
    struct rss rss;
    struct port_caps caps;
    struct port_queue queues[];
};

#endif
