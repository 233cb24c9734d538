#include "net/exception_filter.h"

#include <string.h>
#include <rte_arp.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include "base/metrics.h"

#define ICMP_HEADER 8u
#define ICMP_UNREACHABLE 3u
#define ICMP_TIME_EXCEEDED 11u
#define ICMP_PARAMETER 12u
#define ICMPV6_ERROR_LAST 127u
#define ND_ROUTER_ADVERTISEMENT 134u
#define ND_NEIGHBOUR_ADVERTISEMENT 136u

/* What is left of a frame. */
struct rest {
    const uint8_t *p;
    uint32_t len;
};

struct exception_address *exception_filter_add(struct exception_filter *f, const struct net_addr *addr)
{
    if (f->count == EXCEPTION_ADDRESSES_MAX) return NULL;
    struct exception_address *a = &f->addresses[f->count++];
    a->addr = *addr;
    return a;
}

void exception_filter_claim(struct exception_address *a, uint16_t port, bool claim)
{
    uint64_t *word = &a->claimed[port / 64], bit = UINT64_C(1) << (port % 64);
    metric_set(word, claim ? metric_get(word) | bit : metric_get(word) & ~bit);
}

static bool cut(struct rest *r, uint32_t n)
{
    if (r->len < n) return false;
    r->p += n;
    r->len -= n;
    return true;
}

static uint16_t be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static bool end_is_ours(const struct exception_filter *f, const uint8_t *addr, uint32_t bytes, uint16_t port)
{
    for (unsigned i = 0; i < f->count; i++) {
        const struct exception_address *a = &f->addresses[i];
        if (net_addr_is_v4(&a->addr) != (bytes == 4) || memcmp(a->addr.bytes + 16 - bytes, addr, bytes) != 0) continue;
        uint32_t clients = __atomic_load_n(&a->clients, __ATOMIC_RELAXED);
        if (port && port >= clients >> 16 && port <= (clients & 0xffff)) return true;
        return metric_get(&a->claimed[port / 64]) >> (port % 64) & 1;
    }
    return false;
}

/* The packet in an ICMP error is one that we sent: there we are the source. */
static bool quoted_v4_is_ours(const struct exception_filter *f, struct rest icmp)
{
    uint8_t type = icmp.len ? icmp.p[0] : 0;
    if (type != ICMP_UNREACHABLE && type != ICMP_TIME_EXCEEDED && type != ICMP_PARAMETER) return false;
    if (!cut(&icmp, ICMP_HEADER) || icmp.len < sizeof(struct rte_ipv4_hdr) || icmp.p[9] != IPPROTO_TCP) return false;
    const uint8_t *source = icmp.p + offsetof(struct rte_ipv4_hdr, src_addr);
    if (!cut(&icmp, (icmp.p[0] & 15u) * 4u) || icmp.len < 2) return false;
    return end_is_ours(f, source, 4, be16(icmp.p));
}

static bool quoted_v6_is_ours(const struct exception_filter *f, struct rest icmp)
{
    if (icmp.len == 0 || icmp.p[0] > ICMPV6_ERROR_LAST || !cut(&icmp, ICMP_HEADER)) return false;
    const struct rte_ipv6_hdr *ip = (const struct rte_ipv6_hdr *)icmp.p;
    if (!cut(&icmp, sizeof *ip) || ip->proto != IPPROTO_TCP || icmp.len < 2) return false;
    return end_is_ours(f, ip->src_addr, 16, be16(icmp.p));
}

static enum frame_fate judge_v4(const struct exception_filter *f, struct rest r)
{
    if (r.len < sizeof(struct rte_ipv4_hdr)) return FRAME_KERNEL;
    const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)r.p;
    if (ip->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_OFFSET_MASK)) return FRAME_KERNEL;
    if (!cut(&r, (ip->version_ihl & RTE_IPV4_HDR_IHL_MASK) * 4u) || r.len < 4) return FRAME_KERNEL;
    bool ours = false;
    if (ip->next_proto_id == IPPROTO_TCP)
        ours = end_is_ours(f, (const uint8_t *)&ip->dst_addr, 4, be16(r.p + 2));
    else if (ip->next_proto_id == IPPROTO_ICMP)
        ours = quoted_v4_is_ours(f, r);
    return ours ? FRAME_OURS : FRAME_KERNEL;
}

static enum frame_fate judge_v6(const struct exception_filter *f, struct rest r)
{
    const struct rte_ipv6_hdr *ip = (const struct rte_ipv6_hdr *)r.p;
    if (!cut(&r, sizeof *ip) || r.len < 4) return FRAME_KERNEL;
    if (ip->proto == IPPROTO_TCP) return end_is_ours(f, ip->dst_addr, 16, be16(r.p + 2)) ? FRAME_OURS : FRAME_KERNEL;
    if (ip->proto != IPPROTO_ICMPV6) return FRAME_KERNEL;
    if (r.p[0] == ND_ROUTER_ADVERTISEMENT || r.p[0] == ND_NEIGHBOUR_ADVERTISEMENT) return FRAME_BOTH;
    return quoted_v6_is_ours(f, r) ? FRAME_OURS : FRAME_KERNEL;
}

static enum frame_fate judge_arp(struct rest r)
{
    bool reply = r.len >= 8 && be16(r.p + offsetof(struct rte_arp_hdr, arp_opcode)) == RTE_ARP_OP_REPLY;
    return reply ? FRAME_BOTH : FRAME_KERNEL;
}

enum frame_fate exception_filter_judge(const struct exception_filter *f, const struct rte_mbuf *m)
{
    struct rest r = {rte_pktmbuf_mtod(m, const uint8_t *), m->data_len};
    const uint8_t *eth = r.p;
    if (!cut(&r, RTE_ETHER_HDR_LEN)) return FRAME_KERNEL;
    if (!(eth[0] & 1) && memcmp(eth, f->mac, sizeof f->mac) != 0)
        return FRAME_OURS; /* neither's: the stack counts it */
    uint16_t type = be16(eth + 12);
    if (type == RTE_ETHER_TYPE_VLAN) {
        if (!cut(&r, 4)) return FRAME_KERNEL;
        type = be16(r.p - 2);
    }
    if (type == RTE_ETHER_TYPE_IPV4) return judge_v4(f, r);
    if (type == RTE_ETHER_TYPE_IPV6) return judge_v6(f, r);
    return type == RTE_ETHER_TYPE_ARP ? judge_arp(r) : FRAME_KERNEL;
}
