/* The turn of a stack: classify a burst, look ahead for its connections, then take its segments one by one. */
#include "net/stack_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_prefetch.h>
#include "net/checksum.h"
#include "net/arp.h"
#include "net/icmp.h"
#include "net/icmp6.h"
#include "net/icmp_refuse.h"
#include "net/ipv4.h"
#include "net/ipv6.h"
#include "net/region.h"
#include "net/tcp/tcp.h"
#include "net/tcp/tcp_ecn.h"
#include "net/tcp/tcp_gro.h"
#include "net/tcp/tcp_tuning.h"

#define MTU_LEAST 576u
#define RX_WINDOW_LEAST 2048u
#define PREFETCH_AHEAD 4u
#define TIMEOUT_MOST_NS UINT64_C(3600000000000) /* well within the reach of tcp_tick */
#define CONNECTIONS_A_BOARD 8u
#define BOARDS_LEAST 64u

void net_stack_config_default(struct net_stack_config *config)
{
    *config = (struct net_stack_config){
        .mtu = 1500,
        .port_first = 32768,
        .port_last = 60999,
        .max_connections = 131072,
        .max_half_open = 16384,
        .syn_rate_full = 50000,
        .rx_window = 256 << 10,
        .tx_inline = 256,
        .rto_min_ns = UINT64_C(5000000),
        .rto_max_ns = UINT64_C(60000000000),
        .rto_initial_ns = UINT64_C(1000000000),
        .tlp_min_ns = UINT64_C(200000),
        .tlp_ack_delay_ns = UINT64_C(1000000),
        .time_wait_ns = UINT64_C(60000000000),
        .delayed_ack_ns = UINT64_C(1000000),
        .quick_acks = 4,
    };
    net_tcp_tuning_default(&config->tuning);
}

int net_stack_config_address(struct net_stack_config *config, struct net_addr addr, uint8_t prefix_len)
{
    if (config->addr_count == NET_ADDRS_MAX) return -ENOSPC;
    config->addrs[config->addr_count++] = (struct net_prefix){addr, prefix_len};
    return 0;
}

int net_stack_config_gateway(struct net_stack_config *config, struct net_addr via)
{
    if (config->route_count == NET_ROUTES_MAX) return -ENOSPC;
    struct net_addr any = net_addr_is_v4(&via) ? net_addr_v4(0) : (struct net_addr){.be64 = {0, 0}};
    config->routes[config->route_count++] = (struct net_route){.to = {.addr = any}, .via = via};
    return 0;
}

static uint64_t key_of(const void *arg, uint32_t ref)
{
    const struct net_stack *st = arg;
    if (ref & TCP_REF_TIME_WAIT) return st->time_wait.records[ref & ~TCP_REF_TIME_WAIT].key;
    if (ref & TCP_REF_SYN) return tcp_syn_entry_key(st, &st->syncache.entries[ref & ~TCP_REF_SYN]);
    return tcp_conn_key(st, stack_conn(st, ref));
}

static bool prefix_valid(const struct net_prefix *p) { return p->len <= (net_addr_is_v4(&p->addr) ? 32 : 128); }

static bool addresses_valid(const struct net_stack_config *k)
{
    if (k->addr_count < 1 || k->addr_count > NET_ADDRS_MAX || k->route_count > NET_ROUTES_MAX) return false;
    for (unsigned i = 0; i < k->addr_count; i++) {
        const struct net_addr *a = &k->addrs[i].addr;
        if (!prefix_valid(&k->addrs[i]) || net_addr_is_any(a) || net_addr_is_multicast(a)) return false;
    }
    for (unsigned i = 0; i < k->route_count; i++)
        if (!prefix_valid(&k->routes[i].to)) return false;
    return true;
}

static bool config_valid(const struct net_stack_config *k)
{
    return k->mtu >= MTU_LEAST && addresses_valid(k) && k->vlan < 4095 && k->max_connections > 0 &&
           k->max_connections < TCP_REF_SYN / 2 && k->max_half_open > 0 && k->max_half_open < TCP_REF_SYN / 2 &&
           k->port_first > 0 && k->port_first <= k->port_last && k->tcp_cc < NET_TCP_CC_COUNT && k->quick_acks < TCP_QUICK_ALWAYS &&
           k->fast_open <= TCP_FAST_OPEN_PENDING_MOST &&
           k->rx_window >= RX_WINDOW_LEAST && k->rx_window >> TCP_SCALE_MAX <= UINT16_MAX && k->rto_min_ns > 0 &&
           k->rto_min_ns <= k->rto_max_ns && k->rto_max_ns <= TIMEOUT_MOST_NS && k->delayed_ack_ns <= TIMEOUT_MOST_NS &&
           k->pools && k->loop && k->tx &&
           k->tx_inline + TCP_FRAME_HEADER_MAX + TCP_OPTIONS_MAX <= BUF_SMALL_ROOM;
}

/* Of the buffers that frames are received into, a quarter may wait for what precedes them. */
static int pools_init(struct net_stack *st)
{
    const struct net_stack_config *k = &st->config;
    uint32_t boards = k->max_boards ? k->max_boards : RTE_MAX(k->max_connections / CONNECTIONS_A_BOARD, BOARDS_LEAST);
    return tcp_pools_init(&st->pools, boards, k->max_connections + k->max_half_open, k->pools->frame->size / 4);
}

static uint64_t rx_memory_default(const struct buf_pools *pools)
{
    return (uint64_t)pools->frame->size / 2 * rte_pktmbuf_data_room_size(pools->frame);
}

static void offloads(struct net_stack *st)
{
    if (st->config.tx_ip_checksum) st->tx_flags |= RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_IPV4;
    if (st->config.tx_tcp_checksum) {
        st->tx_flags |= RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IPV4;
        st->tx_flags_v6 |= RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IPV6;
    }
}

static void addresses_take(struct net_stack *st, const struct net_stack_config *config)
{
    st->ip_first = UINT64_MAX;
    st->addr_count = config->addr_count;
    st->route_count = config->route_count;
    memcpy(st->addrs, config->addrs, sizeof st->addrs);
    memcpy(st->routes, config->routes, sizeof st->routes);
    memset(st->route_ends, 0xff, sizeof st->route_ends);
    bool v6 = config->autoconf == NET_AUTOCONF_EUI64, link_local = config->autoconf == NET_AUTOCONF_STABLE;
    for (unsigned i = 0; i < st->addr_count; i++) {
        v6 = v6 || !net_addr_is_v4(&st->addrs[i].addr);
        link_local = link_local || net_addr_is_link_local(&st->addrs[i].addr);
    }
    if (v6 && !link_local && st->addr_count < NET_ADDRS_MAX) /* each interface has one: RFC 4291 2.1 */
        st->addrs[st->addr_count++] = (struct net_prefix){ipv6_link_local(config->mac), 64};
    for (unsigned i = st->addr_count; i-- > 0;)
        if (net_addr_is_v4(&st->addrs[i].addr)) {
            st->ip_first = st->addrs[i].addr.be32[3];
            st->v4_count++;
        }
}

bool stack_owns(const struct net_stack *st, const struct net_addr *addr)
{
    for (unsigned i = 0; i < st->addr_count; i++)
        if (net_addr_equal(&st->addrs[i].addr, addr) && !claim_absent(st, i)) return true;
    return false;
}

uint8_t stack_ethernet_write(const struct net_stack *st, uint8_t *frame, const uint8_t *mac, uint16_t type)
{
    uint16_t tag[2] = {rte_cpu_to_be_16(RTE_ETHER_TYPE_VLAN), rte_cpu_to_be_16(st->config.vlan)};
    uint16_t type_be = rte_cpu_to_be_16(type);
    memcpy(frame, mac, 6);
    memcpy(frame + 6, st->config.mac, 6);
    if (st->config.vlan) memcpy(frame + 12, tag, sizeof tag);
    memcpy(frame + st->ip_at - 2, &type_be, sizeof type_be);
    return st->ip_at;
}

int net_stack_create(struct net_stack **out, const struct net_stack_config *config)
{
    if (!config_valid(config)) return -EINVAL;
    struct net_stack *st = calloc(1, sizeof *st);
    if (!st) return -ENOMEM;
    st->config = *config;
    if (config->shared) st->config.autoconf = NET_AUTOCONF_OFF; /* the kernel makes its own */
    st->ip_at = (uint8_t)(sizeof(struct rte_ether_hdr) + (config->vlan ? sizeof(struct rte_vlan_hdr) : 0));
    addresses_take(st, &st->config);
    st->random = siphash(config->secret, "ports", 5);
    st->key_secret[0] = siphash(config->secret, "key 0", 5);
    st->key_secret[1] = siphash(config->secret, "key 1", 5);
    st->ts_offset = (uint32_t)siphash(config->secret, "timestamps", 10);
    st->challenge_rate = (struct rate_limit){.interval_ns = 1000000, .burst = 100};
    st->duplicate_rate = (struct rate_limit){.interval_ns = 10000, .burst = 1000};
    st->icmp_rate = (struct rate_limit){.interval_ns = 1000000, .burst = 100};
    st->reset_rate = (struct rate_limit){.interval_ns = 100000, .burst = 1000};
    while (config->rx_window >> st->rcv_scale > UINT16_MAX) st->rcv_scale++;
    offloads(st);
    neighbours_init(&st->neighbours);
    claim_init(st);
    autoconf_init(st);
    mld_init(st);
    st->stream_ops = tcp_stream_ops;
    tcp_templates_init(st);
    tcp_cookies_init(&st->cookies);
    tcp_tunings_init(st);
    if (!config->rx_memory) st->config.rx_memory = rx_memory_default(config->pools);
    st->rx_memory_scarce = st->config.rx_memory / 2;
    int rc = -ENOMEM;
    st->conns = net_region_map((size_t)config->max_connections * TCP_CONN_BYTES);
    if (!st->conns) goto free_stack;
    wheel_init(&st->wheel, 0, st->conns + offsetof(struct tcp_conn, timer), TCP_CONN_BYTES);
    if ((rc = tcp_time_wait_init(&st->time_wait, config->max_connections)) != 0) goto unmap_conns;
    if ((rc = tcp_syncache_init(&st->syncache, config->max_half_open)) != 0) goto fini_time_wait;
    uint32_t keys = 2 * config->max_connections + config->max_half_open;
    if ((rc = tcp_table_init(&st->table, keys, key_of, st)) != 0) goto fini_syncache;
    if ((rc = pools_init(st)) != 0) goto fini_table;
    if ((rc = tcp_fast_open_init(st)) != 0) goto fini_pools;
    if ((rc = tcp_shed_init(&st->shed, config->secret)) != 0) goto fini_fast_open;
    *out = st;
    return 0;
fini_fast_open:
    tcp_fast_open_fini(st);
fini_pools:
    tcp_pools_fini(&st->pools);
fini_table:
    tcp_table_fini(&st->table);
fini_syncache:
    tcp_syncache_fini(&st->syncache);
fini_time_wait:
    tcp_time_wait_fini(&st->time_wait);
unmap_conns:
    net_region_unmap(st->conns, (size_t)config->max_connections * TCP_CONN_BYTES);
free_stack:
    free(st);
    return rc;
}

void net_stack_destroy(struct net_stack **stack)
{
    struct net_stack *st = *stack;
    if (!st) return;
    *stack = NULL;
    for (uint32_t i = 0; i < st->conn_used; i++)
        if (stack_conn(st, i)->state != TCPS_FREE) tcp_conn_free(st, stack_conn(st, i));
    rte_pktmbuf_free_bulk(st->tx, st->tx_count);
    neighbours_fini(&st->neighbours);
    tcp_shed_fini(&st->shed);
    tcp_fast_open_fini(st);
    tcp_pools_fini(&st->pools);
    tcp_table_fini(&st->table);
    tcp_syncache_fini(&st->syncache);
    tcp_time_wait_fini(&st->time_wait);
    net_region_unmap(st->conns, (size_t)st->config.max_connections * TCP_CONN_BYTES);
    free(st);
}

int net_autoconf_find(const char *name)
{
    static const char *const names[] = {"no", "eui64", "stable"};
    for (int i = 0; i < (int)RTE_DIM(names); i++)
        if (strcmp(names[i], name) == 0) return i;
    return -EINVAL;
}

uint64_t stack_random(struct net_stack *st)
{
    st->random += UINT64_C(0x9e3779b97f4a7c15);
    return siphash(st->config.secret, &st->random, sizeof st->random);
}

void stack_flush(struct net_stack *st)
{
    if (st->tx_count == 0) return;
    uint64_t bytes = 0;
    for (uint16_t i = 0; i < st->tx_count; i++) bytes += st->tx[i]->pkt_len;
    metric_add(&st->metrics.tx_frames, st->tx_count);
    metric_add(&st->metrics.tx_bytes, bytes);
    st->tx_sent += st->tx_count;
    st->config.tx(st->config.tx_arg, st->tx, st->tx_count);
    st->tx_count = 0;
}

/* addrs: the sum of both addresses. */
static bool tcp_checksum_bad(const struct net_stack *st, const struct rte_mbuf *m, uint32_t at, uint64_t addrs)
{
    if (st->config.rx_checksum) {
        uint64_t verified = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
        if (verified == RTE_MBUF_F_RX_L4_CKSUM_GOOD || verified == RTE_MBUF_F_RX_L4_CKSUM_NONE) return false;
        if (verified == RTE_MBUF_F_RX_L4_CKSUM_BAD) return true;
    }
    uint32_t len = m->pkt_len - at;
    uint64_t sum = addrs + rte_cpu_to_be_16(IPPROTO_TCP) + rte_cpu_to_be_16((uint16_t)len);
    if (likely(m->data_len >= m->pkt_len)) sum += checksum_sum(rte_pktmbuf_mtod_offset(m, const uint8_t *, at), len);
    else sum += checksum_chain(m, at, len);
    return checksum_fold(sum) != 0xffff;
}

static uint32_t load_be32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return rte_be_to_cpu_32(v);
}

/* Addresses and ports into s; addrs: their sum. False: the TCP header is not all there. */
static inline bool segment_tuple(const struct net_stack *st, struct tcp_segment *s, const struct rte_mbuf *m, uint32_t at,
                                 uint64_t *sum)
{
    const uint8_t *ip = s->frame + st->ip_at;
    uint64_t addrs[4];
    if (unlikely(m->data_len < at + TCP_HEADER_BYTES)) return false;
    memcpy(&s->ports, s->frame + at, sizeof s->ports);
    s->ip_at = st->ip_at;
    if (likely(!s->v6)) {
        memcpy(addrs, ip + offsetof(struct rte_ipv4_hdr, src_addr), 8);
        *sum = (addrs[0] & UINT32_MAX) + (addrs[0] >> 32);
        s->key = tcp_key_v4(st->key_secret, addrs[0], s->ports);
        s->flags = tcp_ecn_marked(ip, false) ? TCP_CE : 0;
    } else {
        memcpy(addrs, ip + offsetof(struct rte_ipv6_hdr, src_addr), sizeof addrs);
        *sum = checksum_sum(addrs, sizeof addrs);
        s->key = tcp_key_v6(st->key_secret, addrs, addrs + 2, s->ports);
        s->flags = tcp_ecn_marked(ip, true) ? TCP_CE : 0;
    }
    return (uint16_t)s->ports != 0 && s->ports >> 16 != 0;
}

/* The header's fields into s; the timestamp too where it stands alone. False: counted; m is still the caller's. */
static inline bool segment_parse(struct net_stack *st, struct rte_mbuf *m, uint32_t at, bool v6, struct tcp_segment *s)
{
    uint64_t addrs;
    s->m = m;
    s->frame = rte_pktmbuf_mtod(m, const uint8_t *);
    s->v6 = v6;
    const uint8_t *tcp = s->frame + at;
    if (unlikely(!segment_tuple(st, s, m, at, &addrs))) goto drop;
    uint32_t header = (tcp[12] >> 4) * 4u;
    if (unlikely(header < TCP_HEADER_BYTES || m->data_len < at + header)) goto drop;
    if (unlikely(tcp_checksum_bad(st, m, at, addrs))) {
        metric_add(&st->metrics.drop_tcp_checksum, 1);
        return false;
    }
    s->seq = load_be32(tcp + 4);
    s->ack = load_be32(tcp + 8);
    s->flags |= tcp[13];
    s->wnd = (uint16_t)(tcp[14] << 8 | tcp[15]);
    s->payload_off = at + header;
    s->len = m->pkt_len - at - header;
    s->options = tcp + TCP_HEADER_BYTES;
    s->options_len = (uint8_t)(header - TCP_HEADER_BYTES);
    s->has_ts = s->options_len == TCP_TS_BYTES && load_be32(s->options) == 0x0101080a;
    if (s->has_ts) {
        s->ts_val = load_be32(s->options + 4);
        s->ts_ecr = load_be32(s->options + 8);
    }
    return true;
drop:
    metric_add(&st->metrics.drop_tcp_header, 1);
    return false;
}

/* The same for IPv6. */
static bool classify_v6(struct net_stack *st, struct rte_mbuf *m, struct tcp_segment *s)
{
    struct ipv6_packet packet;
    if (!ipv6_input(st, m, &packet)) goto drop;
    if (likely(packet.protocol == IPPROTO_TCP && !packet.multicast)) {
        if (segment_parse(st, m, packet.at, true, s)) return true;
        goto drop;
    }
    if (packet.protocol == IPPROTO_ICMPV6) {
        icmp6_input(st, m, &packet);
        return false;
    }
    metric_add(&st->metrics.drop_ip_protocol, 1);
    if (packet.protocol == IPPROTO_UDP) {
        icmp6_refuse(st, m, &packet);
        return false;
    }
drop:
    rte_pktmbuf_free(m);
    return false;
}

/* Whether the frame's tag, or that it has none, is as ours. The priority is the sender's business. */
static bool tag_ours(struct net_stack *st, const uint8_t *frame)
{
    uint16_t type, tag;
    memcpy(&type, frame + 12, sizeof type);
    memcpy(&tag, frame + 14, sizeof tag);
    bool tagged = type == rte_cpu_to_be_16(RTE_ETHER_TYPE_VLAN);
    if (tagged == (st->config.vlan != 0) && (!tagged || (rte_be_to_cpu_16(tag) & 0xfff) == st->config.vlan)) return true;
    metric_add(&st->metrics.drop_vlan, 1);
    return false;
}

/*
 * A tag of VLAN 0 says nothing but a priority, so the frame is as one without (IEEE 802.1Q 6.9): it is cut out. False:
 * m has none, or there is nothing behind it.
 */
static bool priority_tag_cut(const struct net_stack *st, struct rte_mbuf *m)
{
    uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
    uint16_t type, tag;
    memcpy(&type, frame + 12, sizeof type);
    memcpy(&tag, frame + 14, sizeof tag);
    if (st->config.vlan || type != rte_cpu_to_be_16(RTE_ETHER_TYPE_VLAN) || rte_be_to_cpu_16(tag) & 0xfff) return false;
    if (m->data_len < RTE_ETHER_HDR_LEN + sizeof(struct rte_vlan_hdr) + 2) return false;
    memmove(frame + sizeof(struct rte_vlan_hdr), frame, 12);
    rte_pktmbuf_adj(m, sizeof(struct rte_vlan_hdr));
    return true;
}

/* To us, or to a group of IPv6: which one, the packet's own address says. */
static bool mac_ours(const struct net_stack *st, const uint8_t *frame, bool v6)
{
    if (likely(memcmp(frame, st->config.mac, 6) == 0)) return true;
    return v6 && frame[0] == 0x33 && frame[1] == 0x33;
}

/* True: s holds a TCP segment. Otherwise m has been taken. */
static bool classify(struct net_stack *st, struct rte_mbuf *m, struct tcp_segment *s)
{
    const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
    struct ipv4_packet packet;
    uint16_t type;
    if (unlikely(m->data_len < st->ip_at)) goto drop_ethernet;
    memcpy(&type, frame + st->ip_at - 2, sizeof type);
    if (unlikely(type != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) || st->config.vlan)) {
        if (m->data_len < st->ip_at + 2u) goto drop_ethernet;
        if (priority_tag_cut(st, m)) {
            frame = rte_pktmbuf_mtod(m, const uint8_t *);
            memcpy(&type, frame + st->ip_at - 2, sizeof type);
        }
        if (!tag_ours(st, frame)) goto drop;
        if (type == rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP)) {
            arp_input(st, m);
            return false;
        }
        if (type == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV6) && mac_ours(st, frame, true)) return classify_v6(st, m, s);
        if (type != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4)) goto drop_ethernet;
    }
    if (unlikely(!mac_ours(st, frame, false))) goto drop_ethernet;
    if (unlikely(!ipv4_input(st, m, &packet))) goto drop;
    if (likely(packet.protocol == IPPROTO_TCP)) {
        if (segment_parse(st, m, st->ip_at + packet.header, false, s)) return true;
        goto drop;
    }
    if (packet.protocol == IPPROTO_ICMP) {
        icmp_input(st, m, packet.header);
        return false;
    }
    metric_add(&st->metrics.drop_ip_protocol, 1);
    if (packet.protocol != IPPROTO_UDP) goto drop;
    icmp_refuse(st, m, packet.header);
    return false;
drop_ethernet:
    metric_add(&st->metrics.drop_ethernet, 1);
drop:
    rte_pktmbuf_free(m);
    return false;
}

static void conn_prefetch(const struct net_stack *st, uint32_t ref)
{
    if (ref >= TCP_REF_SYN) return; /* an entry, a record, nothing */
    const uint8_t *p = (const uint8_t *)stack_conn(st, ref);
    for (unsigned line = 0; line < TCP_CONN_HOT_LINES; line++) rte_prefetch0(p + 64 * line);
}

/* Some of them follow one another. */
static __attribute__((noinline)) void input_joined(struct net_stack *st, struct tcp_segment *segments, uint16_t count)
{
    for (uint16_t i = 0; i < count;) {
        uint16_t joined = tcp_gro(st, &segments[i], (uint16_t)(count - i));
        tcp_input(st, &segments[i]);
        i = (uint16_t)(i + joined);
    }
}

static void input_burst(struct net_stack *st, struct rte_mbuf **frames, uint16_t n)
{
    struct tcp_segment segments[STACK_BURST];
    uint16_t count = 0;
    uint64_t bytes = 0, before = 0;
    bool runs = false;
    for (uint16_t i = 0; i < n; i++) {
        if (i + PREFETCH_AHEAD < n) rte_prefetch0(rte_pktmbuf_mtod(frames[i + PREFETCH_AHEAD], void *));
        bytes += frames[i]->pkt_len;
        if (!classify(st, frames[i], &segments[count])) continue;
        tcp_table_prefetch(&st->table, segments[count].key);
        count++;
    }
    for (uint16_t i = 0; i < count; i++) {
        segments[i].guess = tcp_table_guess(&st->table, segments[i].key);
        conn_prefetch(st, segments[i].guess);
        runs |= segments[i].key == before;
        before = segments[i].key;
    }
    if (unlikely(runs)) {
        input_joined(st, segments, count);
    } else {
        for (uint16_t i = 0; i < count; i++) tcp_input(st, &segments[i]);
    }
    metric_add(&st->metrics.rx_frames, n);
    metric_add(&st->metrics.rx_bytes, bytes);
}

void net_stack_input(struct net_stack *st, struct rte_mbuf **frames, uint16_t n, uint64_t now_ns)
{
    stack_set_now(st, now_ns);
    for (uint16_t done = 0; done < n; done += STACK_BURST)
        input_burst(st, frames + done, (uint16_t)RTE_MIN((uint16_t)(n - done), STACK_BURST));
}

static struct tcp_conn *dirty_pop(struct net_stack *st)
{
    if (!st->dirty_head) return NULL;
    struct tcp_conn *c = stack_conn(st, st->dirty_head - 1);
    st->dirty_head = c->next_dirty;
    if (!st->dirty_head) st->dirty_tail = 0;
    c->flags &= ~TCPF_DIRTY;
    return c;
}

unsigned net_stack_output(struct net_stack *st, uint64_t now_ns)
{
    struct tcp_conn *c;
    stack_set_now(st, now_ns);
    while ((c = dirty_pop(st)) != NULL) {
        if (unlikely(c->state == TCPS_FREE)) {
            c->next_dirty = st->conn_free;
            st->conn_free = stack_conn_index(st, c) + 1;
            st->conn_count--;
            continue;
        }
        tcp_output(st, c);
    }
    stack_flush(st);
    unsigned sent = st->tx_sent;
    st->tx_sent = 0;
    return sent;
}

unsigned net_stack_timers(struct net_stack *st, uint64_t now_ns)
{
    stack_set_now(st, now_ns);
    unsigned fired = claim_timers(st); /* before the neighbours, who may then be asked */
    return fired + tcp_timers(st) + tcp_syncache_timers(st) + tcp_time_wait_expire(st) + neighbour_timers(st) +
           mld_timers(st) + autoconf_timers(st);
}

uint64_t net_stack_deadline(const struct net_stack *st)
{
    if (st->dirty_head || st->tx_count) return st->now; /* output has something to do */
    uint64_t at = RTE_MIN(wheel_deadline(&st->wheel), tcp_time_wait_deadline(&st->time_wait));
    at = RTE_MIN(at, tcp_syncache_deadline(st));
    at = RTE_MIN(at, RTE_MIN(st->mld.due, st->autoconf.due));
    return RTE_MIN(at, RTE_MIN(st->neighbours.due, st->claim.due));
}

const struct net_metrics *net_stack_metrics(const struct net_stack *st) { return &st->metrics; }

uint32_t net_stack_connections(const struct net_stack *st) { return (uint32_t)metric_get(&st->metrics.connections); }
