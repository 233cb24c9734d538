/* rte_dev_dma_map is still marked experimental in 22.11. */
#define ALLOW_EXPERIMENTAL_API
#include "net/port_impl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_flow.h>
#include <rte_memory.h>
#include "base/log.h"

#define DESCRIPTORS 1024u
#define TSO_MOST 65000u /* with its headers within the 65,535 bytes of an IP packet */
#define RSS_TYPES (RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_TCP)
#define RX_OFFLOADS (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_RSS_HASH)

/* What a driver does not say of itself. */
struct driver_traits {
    const char *driver;
    bool gathers;      /* takes chained frames without saying so */
    bool linear_only;  /* sends chained and external buffers wrong */
    bool odd_pieces;   /* sums chained frames wrong where a piece but the last has an odd length */
    bool own_memory;   /* its peer reads our buffers, and has only DPDK's memory */
    bool any_length;   /* takes longer frames than it says */
    bool peer_spreads; /* the other end picks the queue */
    bool memory_wire;  /* shared memory between two processes, without offloads of its own */
    bool drops_rings;  /* its interrupt handler takes rings away under a running burst */
    bool armed_dies;   /* arming a queue races with its peer's death: its own thread takes the rings away */
    bool page_buffers; /* a whole receive buffer must fit a page */
    uint16_t headroom; /* bytes it keeps free in a receive buffer, beside DPDK's own headroom */
    uint16_t mtu_most; /* where it promises too much; 0: as it says */
};

/* af_xdp: a page holds the heads of object and mbuf, DPDK's headroom and XDP's, and what rounding leaves of the rest. */
static const struct driver_traits drivers[] = {
    {.driver = "net_memif",
     .gathers = true,
     .any_length = true,
     .peer_spreads = true,
     .memory_wire = true,
     .drops_rings = true},
    {.driver = "net_af_xdp", .linear_only = true, .page_buffers = true, .headroom = 256, .mtu_most = 3438},
    {.driver = "net_ring", .gathers = true, .peer_spreads = true, .memory_wire = true},
    {.driver = "net_tap", .odd_pieces = true},
    {.driver = "net_vhost", .odd_pieces = true, .peer_spreads = true, .armed_dies = true},
    {.driver = "net_virtio_user", .own_memory = true, .peer_spreads = true, .drops_rings = true},
};

/* One port_open on its way. */
struct opening {
    const struct port_config *config;
    char *err_text;
    size_t err_cap;
    uint16_t id;
    uint16_t queues;
    uint16_t mtu;
    struct rte_eth_dev_info info;
    struct driver_traits traits;
    struct rte_eth_conf conf;
    bool isolated;
};

__attribute__((format(printf, 3, 4))) static int refuse(const struct opening *o, int rc, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    snprintf(o->err_text, o->err_cap, "port %s: %s", o->config->device, text);
    return rc;
}

/* By name, or by a PCI address without its domain. */
static int device_find(struct opening *o)
{
    char full[RTE_ETH_NAME_MAX_LEN];
    snprintf(full, sizeof full, "0000:%s", o->config->device);
    if (rte_eth_dev_get_port_by_name(o->config->device, &o->id) != 0 &&
        rte_eth_dev_get_port_by_name(full, &o->id) != 0)
        return refuse(o, -ENODEV, "DPDK has no such device; %u devices are there: give it with --vdev or allow its PCI "
                      "address", rte_eth_dev_count_avail());
    int rc = rte_eth_dev_info_get(o->id, &o->info);
    if (rc != 0) return refuse(o, rc, "the driver says nothing of itself: %s", rte_strerror(-rc));
    for (size_t i = 0; i < RTE_DIM(drivers); i++)
        if (strcmp(drivers[i].driver, o->info.driver_name) == 0) o->traits = drivers[i];
    return 0;
}

static void queues_choose(struct opening *o)
{
    uint16_t most = RTE_MIN(o->info.max_rx_queues, o->info.max_tx_queues);
    uint64_t rss = o->info.flow_type_rss_offloads & RSS_TYPES;
    o->queues = RTE_MAX(RTE_MIN(o->config->queues, most), 1);
    if (o->queues == 1) return;
    if (rss & RTE_ETH_RSS_NONFRAG_IPV4_TCP) {
        o->conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        o->conf.rx_adv_conf.rss_conf.rss_hf = rss;
    } else if (!o->traits.peer_spreads) {
        o->queues = 1;
    }
    if (o->queues < o->config->queues)
        log_warn("port %s (%s): %u of %u queues used", o->config->device, o->info.driver_name, o->queues,
                 o->config->queues);
}

/* IP bytes. */
static unsigned mtu_most(const struct opening *o)
{
    if (o->traits.mtu_most) return o->traits.mtu_most;
    if (o->traits.any_length || o->info.max_rx_pktlen > UINT16_MAX) return o->info.max_mtu;
    return RTE_MIN(o->info.max_rx_pktlen - PORT_FRAME_OVERHEAD, o->info.max_mtu);
}

static int mtu_choose(struct opening *o)
{
    unsigned least = RTE_MAX(o->info.min_mtu, RTE_ETHER_MIN_MTU), most = mtu_most(o);
    o->mtu = o->config->mtu;
    if (o->mtu == 0 && rte_eth_dev_get_mtu(o->id, &o->mtu) != 0) o->mtu = PORT_DEFAULT_MTU;
    if (o->mtu < least || o->mtu > most)
        return refuse(o, -EINVAL, "MTU %u is not in %s's range of %u..%u", o->mtu, o->info.driver_name, least, most);
    o->conf.rxmode.mtu = o->traits.any_length ? PORT_DEFAULT_MTU : o->mtu;
    return 0;
}

struct extent {
    uintptr_t first, last;
};

static void extent_grow(struct rte_mempool *pool, void *arg, void *object, unsigned index)
{
    (void)pool, (void)index;
    struct extent *e = arg;
    e->first = RTE_MIN(e->first, (uintptr_t)object);
    e->last = RTE_MAX(e->last, (uintptr_t)object);
}

/* af_xdp registers as many bytes as the objects take: where there are gaps, the last ones lie outside. */
static bool pool_packed(struct rte_mempool *pool, unsigned whole)
{
    struct extent e = {UINTPTR_MAX, 0};
    rte_mempool_obj_iter(pool, extent_grow, &e);
    return e.last - e.first == (uintptr_t)whole * (pool->populated_size - 1);
}

static int buffers_check(const struct opening *o)
{
    unsigned frame = o->mtu + PORT_FRAME_OVERHEAD + o->traits.headroom;
    unsigned page = (unsigned)sysconf(_SC_PAGESIZE);
    for (unsigned q = 0; q < o->queues; q++) {
        struct rte_mempool *pool = o->config->pools[q].frame;
        unsigned room = rte_pktmbuf_data_room_size(pool) - RTE_PKTMBUF_HEADROOM;
        unsigned whole = pool->header_size + pool->elt_size + pool->trailer_size;
        if (o->traits.page_buffers && !pool_packed(pool, whole))
            return refuse(o, -EINVAL, "%s needs receive buffers in one piece of memory: run it without PCI devices, and "
                          "with memory enough", o->info.driver_name);
        if (room >= frame && (whole <= page || !o->traits.page_buffers)) continue;
        return refuse(o, -EINVAL, "MTU %u and %s need receive buffers of at least %u bytes%s, not %u: have them hold %u",
                      o->mtu, o->info.driver_name, frame, o->traits.page_buffers ? " that fit a page" : "", room,
                      port_frame_room(o->mtu));
    }
    return 0;
}

/* What the device joins comes in chains. */
static uint64_t lro_of(const struct opening *o)
{
    uint64_t capa = o->info.rx_offload_capa;
    if (!(capa & RTE_ETH_RX_OFFLOAD_TCP_LRO) || !(capa & RTE_ETH_RX_OFFLOAD_TCP_CKSUM)) return 0;
    return RTE_ETH_RX_OFFLOAD_TCP_LRO | (capa & RTE_ETH_RX_OFFLOAD_SCATTER);
}

static void rx_offloads_choose(struct opening *o)
{
    o->conf.rxmode.offloads = (o->info.rx_offload_capa & RX_OFFLOADS) | lro_of(o);
    if (o->conf.rxmode.mq_mode != RTE_ETH_MQ_RX_RSS) o->conf.rxmode.offloads &= ~RTE_ETH_RX_OFFLOAD_RSS_HASH;
}

static void tx_offloads_choose(struct opening *o)
{
    uint64_t checksums = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
    o->conf.txmode.offloads = o->info.tx_offload_capa & checksums;
    if (o->traits.linear_only) return;
    uint64_t gather = o->info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    o->conf.txmode.offloads |= gather;
    if (gather && o->conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_TCP_CKSUM && !o->traits.odd_pieces)
        o->conf.txmode.offloads |= o->info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_TCP_TSO;
}

static int queues_set_up(const struct opening *o)
{
    uint16_t rx_descriptors = DESCRIPTORS, tx_descriptors = DESCRIPTORS;
    int rc = rte_eth_dev_adjust_nb_rx_tx_desc(o->id, &rx_descriptors, &tx_descriptors);
    if (rc != 0) return refuse(o, rc, "no ring size to be had: %s", rte_strerror(-rc));
    int node = rte_eth_dev_socket_id(o->id);
    struct rte_eth_rxconf rx = o->info.default_rxconf;
    struct rte_eth_txconf tx = o->info.default_txconf;
    rx.offloads = o->conf.rxmode.offloads;
    tx.offloads = o->conf.txmode.offloads;
    for (uint16_t q = 0; q < o->queues; q++) {
        rc = rte_eth_rx_queue_setup(o->id, q, rx_descriptors, (unsigned)node, &rx, o->config->pools[q].frame);
        if (rc != 0) return refuse(o, rc, "receive queue %u of %u: %s", q, o->queues, rte_strerror(-rc));
        rc = rte_eth_tx_queue_setup(o->id, q, tx_descriptors, (unsigned)node, &tx);
        if (rc != 0) return refuse(o, rc, "transmit queue %u of %u: %s", q, o->queues, rte_strerror(-rc));
    }
    return 0;
}

static int device_start(struct opening *o)
{
    int rc = rte_eth_dev_configure(o->id, o->queues, o->queues, &o->conf);
    if (rc != 0) return refuse(o, rc, "%u queues with MTU %u are refused: %s", o->queues, o->mtu, rte_strerror(-rc));
    /* Asks the device itself; drivers without an MTU of their own carry what they are given. */
    bool set = o->config->mtu != 0 && !o->traits.any_length;
    rc = set ? rte_eth_dev_set_mtu(o->id, o->mtu) : 0;
    if (rc != 0 && rc != -ENOTSUP) return refuse(o, rc, "MTU %u is refused: %s", o->mtu, rte_strerror(-rc));
    if ((rc = queues_set_up(o)) != 0) return rc;
    rc = rte_eth_dev_start(o->id);
    if (rc != 0) return refuse(o, rc, "does not start: %s (a memif client needs its server first)", rte_strerror(-rc));
    return 0;
}

/* Where the driver refuses to start with interrupts, without. */
static int device_bring_up(struct opening *o)
{
    struct rte_flow_error error;
    o->isolated = o->config->isolate && rte_flow_isolate(o->id, 1, &error) == 0; /* before all else: no frame slips in */
    o->conf.intr_conf.rxq = o->config->rx_interrupts && !o->traits.armed_dies;
    int rc = device_start(o);
    if (rc == 0 || !o->conf.intr_conf.rxq) return rc;
    o->conf.intr_conf.rxq = 0;
    return device_start(o);
}

static int trust_check(const struct opening *o)
{
    if (!o->config->no_tcp_checksum || o->traits.memory_wire) return 0;
    return refuse(o, -EINVAL, "TCP checksums can be left out on a wire of shared memory only (net_memif, net_ring), not "
                  "with %s", o->info.driver_name);
}

static void caps_fill(struct port *port, const struct opening *o)
{
    uint64_t tx = o->conf.txmode.offloads;
    struct port_caps *caps = &port->caps;
    caps->tx_ip_checksum = tx & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
    caps->tx_tcp_checksum = tx & RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
    caps->tx_multi_segment = (tx & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) || o->traits.gathers;
    caps->tx_external = !o->traits.linear_only;
    caps->rx_checksum = o->conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
    caps->rx_interrupts = o->conf.intr_conf.rxq && port_rx_armable(port);
    caps->lro = o->conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_TCP_LRO;
    caps->rss = o->conf.rxmode.mq_mode == RTE_ETH_MQ_RX_RSS;
    caps->tso_most = tx & RTE_ETH_TX_OFFLOAD_TCP_TSO ? TSO_MOST : 0;
    if (caps->rss) rss_read(&port->rss, port->id);
    caps->mtu = o->mtu;
    port->trusted = o->config->no_tcp_checksum;
    port->tx_prepare = caps->tx_ip_checksum || caps->tx_tcp_checksum;
    if (port->trusted) caps->tx_tcp_checksum = caps->rx_checksum = true;
    struct rte_ether_addr mac;
    if (rte_eth_macaddr_get(o->id, &mac) == 0) memcpy(caps->mac, mac.addr_bytes, sizeof caps->mac);
    port->linear_only = !caps->tx_multi_segment || !caps->tx_external;
    /* By physical addresses (an IOMMU too narrow for virtual ones, or none) what is not DPDK's has none that we know. */
    port->own_memory = o->traits.own_memory || rte_eal_iova_mode() == RTE_IOVA_PA;
    port->odd_pieces = o->traits.odd_pieces && caps->tx_tcp_checksum;
}

static void say(const struct port *port, const struct opening *o)
{
    const struct port_caps *caps = &port->caps;
    log_info("port %s (%s): %u queue%s, MTU %u%s%s%s%s%s", o->config->device, o->info.driver_name, port->queue_count,
             port->queue_count == 1 ? "" : "s", caps->mtu, caps->tx_tcp_checksum ? ", sends checksums" : "",
             caps->rx_checksum ? ", checks checksums" : "", caps->tso_most ? ", cuts segments" : "",
             caps->rss ? ", spreads by RSS" : "", port->own_memory ? ", takes copies of items" : "");
}

int port_open(struct port **out, const struct port_config *config, char *err_text, size_t err_cap)
{
    struct opening o = {.config = config, .err_text = err_text, .err_cap = err_cap};
    int rc = device_find(&o);
    if (rc != 0) return rc;
    if ((rc = trust_check(&o)) != 0) return rc;
    queues_choose(&o);
    rx_offloads_choose(&o);
    tx_offloads_choose(&o);
    if ((rc = mtu_choose(&o)) != 0) return rc;
    if ((rc = buffers_check(&o)) != 0) return rc;
    size_t bytes = sizeof(struct port) + o.queues * sizeof(struct port_queue);
    struct port *port = aligned_alloc(_Alignof(struct port), bytes);
    if (!port) return refuse(&o, -ENOMEM, "no memory");
    memset(port, 0, bytes);
    port->id = o.id;
    port->queue_count = o.queues;
    for (uint16_t q = 0; q < o.queues; q++) port->queues[q].frames = config->pools[q].frame;
    port->gated = o.traits.drops_rings;
    if (port->gated) port_gate_add(&port->gate, &port->queues[0].side, sizeof port->queues[0], o.queues);
    if ((rc = device_bring_up(&o)) != 0) {
        port_gate_remove(&port->gate);
        free(port);
        return rc;
    }
    caps_fill(port, &o);
    port->isolated = o.isolated;
    say(port, &o);
    *out = port;
    return 0;
}

void port_close(struct port **port)
{
    if (!*port) return;
    rte_eth_dev_stop((*port)->id);
    rte_eth_dev_close((*port)->id);
    port_gate_remove(&(*port)->gate);
    free(*port);
    *port = NULL;
}

struct rss *port_rss(struct port *port) { return port->rss.table_size ? &port->rss : NULL; }
const struct port_caps *port_caps(const struct port *port) { return &port->caps; }
uint16_t port_queue_count(const struct port *port) { return port->queue_count; }
uint16_t port_number(const struct port *port) { return port->id; }

unsigned port_interface(const struct port *port)
{
    struct rte_eth_dev_info info;
    return rte_eth_dev_info_get(port->id, &info) == 0 ? info.if_index : 0;
}

bool port_isolated(const struct port *port) { return port->isolated; }

bool port_link_up(const struct port *port)
{
    struct rte_eth_link link;
    return rte_eth_link_get_nowait(port->id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

/* Drivers that translate no addresses have nothing to map, and say so in different ways. */
int port_register_memory(struct port *port, void *base, size_t bytes, size_t page_bytes)
{
    struct rte_eth_dev_info info;
    if (port->own_memory) return 0; /* what lies there is copied for the device */
    if (rte_extmem_register(base, bytes, NULL, 0, page_bytes) != 0 && rte_errno != EEXIST) return -rte_errno;
    int rc = rte_eth_dev_info_get(port->id, &info);
    if (rc != 0) return rc;
    if (rte_dev_dma_map(info.device, base, (uintptr_t)base, bytes) == 0) return 0;
    return rte_errno == ENOTSUP || rte_errno == EEXIST ? 0 : -rte_errno;
}

void port_copy_foreign(struct port *port) { port->own_memory = true; }
