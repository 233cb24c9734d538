/*
 * Runs in the kernel for each frame that an interface receives, and hands to our AF_XDP sockets what is ours alone: TCP
 * to an address and port that we listen on, or to one of our client ports, and the ICMP errors about such segments. All
 * else goes on into the kernel, on the same address: ARP, neighbour discovery, ping, UDP, other TCP. When no socket of
 * ours is there (we have not yet started, or died), everything does.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "net/xdp_share_maps.h"

#define FRAGMENT_OFFSET 0x1fff
#define ICMP_HEADER 8
#define ICMP_UNREACHABLE 3
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER 12
#define ICMPV6_ERROR_LAST 127

struct vlan_tag {
    __be16 tci;
    __be16 proto;
};

/* What we ask of a packet: its local end. */
struct end {
    struct xdp_share_address address;
    __be16 port;
};

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, XDP_SHARE_QUEUES_MAX);
    __type(key, __u32);
    __type(value, __u32);
} xsks_map SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, XDP_SHARE_ADDRESSES_MAX);
    __type(key, struct xdp_share_address);
    __type(value, struct xdp_share_clients);
} polar_addresses SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, XDP_SHARE_LISTENERS_MAX);
    __type(key, struct xdp_share_listener);
    __type(value, __u8);
} polar_listeners SEC(".maps");

static __always_inline void address_v4(struct xdp_share_address *to, __be32 from)
{
    __builtin_memset(to, 0, sizeof *to);
    to->addr[10] = to->addr[11] = 0xff;
    __builtin_memcpy(to->addr + 12, &from, 4);
}

static __always_inline int is_ours(const struct end *end)
{
    const struct xdp_share_clients *clients = bpf_map_lookup_elem(&polar_addresses, &end->address);
    if (!clients) return 0;
    __u16 port = bpf_ntohs(end->port);
    if (port >= clients->first && port <= clients->last && port) return 1;
    struct xdp_share_listener key = {.port = end->port};
    __builtin_memcpy(key.addr, end->address.addr, sizeof key.addr);
    return bpf_map_lookup_elem(&polar_listeners, &key) != 0;
}

static __always_inline int is_icmp_error(__u8 type)
{
    return type == ICMP_UNREACHABLE || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER;
}

/* An error quotes what we sent: there, we are the source. */
static __always_inline int quoted_v4(const __u8 *icmp, const void *end, struct end *local)
{
    const struct iphdr *ip = (const void *)(icmp + ICMP_HEADER);
    if ((const void *)(ip + 1) > end || !is_icmp_error(icmp[0]) || ip->protocol != IPPROTO_TCP) return 0;
    const __be16 *tcp = (const void *)((const __u8 *)ip + ip->ihl * 4);
    if ((const void *)(tcp + 1) > end) return 0;
    address_v4(&local->address, ip->saddr);
    local->port = tcp[0];
    return 1;
}

/* A first fragment goes where the whole would; the others have no ports and go to the kernel, which will drop them. */
static __always_inline int local_v4(const void *at, const void *end, struct end *local)
{
    const struct iphdr *ip = at;
    if ((const void *)(ip + 1) > end || ip->frag_off & bpf_htons(FRAGMENT_OFFSET)) return 0;
    const __u8 *payload = (const __u8 *)at + ip->ihl * 4;
    if ((const void *)(payload + 4) > end) return 0;
    if (ip->protocol == IPPROTO_ICMP) return quoted_v4(payload, end, local);
    if (ip->protocol != IPPROTO_TCP) return 0;
    address_v4(&local->address, ip->daddr);
    local->port = ((const __be16 *)payload)[1];
    return 1;
}

static __always_inline int quoted_v6(const __u8 *icmp, const void *end, struct end *local)
{
    const struct ipv6hdr *ip = (const void *)(icmp + ICMP_HEADER);
    const __be16 *tcp = (const void *)(ip + 1);
    if ((const void *)(tcp + 1) > end || icmp[0] > ICMPV6_ERROR_LAST || ip->nexthdr != IPPROTO_TCP) return 0;
    __builtin_memcpy(local->address.addr, &ip->saddr, sizeof local->address.addr);
    local->port = tcp[0];
    return 1;
}

static __always_inline int local_v6(const void *at, const void *end, struct end *local)
{
    const struct ipv6hdr *ip = at;
    const __u8 *payload = (const __u8 *)(ip + 1);
    if ((const void *)(payload + 4) > end) return 0;
    if (ip->nexthdr == IPPROTO_ICMPV6) return quoted_v6(payload, end, local);
    if (ip->nexthdr != IPPROTO_TCP) return 0;
    __builtin_memcpy(local->address.addr, &ip->daddr, sizeof local->address.addr);
    local->port = ((const __be16 *)payload)[1];
    return 1;
}

SEC("xdp")
int polar_share(struct xdp_md *ctx)
{
    const void *end = (const void *)(long)ctx->data_end;
    const struct ethhdr *eth = (const void *)(long)ctx->data;
    const void *payload = eth + 1;
    struct end local;
    if (payload > end) return XDP_PASS;
    __be16 proto = eth->h_proto;
    if (proto == bpf_htons(ETH_P_8021Q)) {
        const struct vlan_tag *tag = payload;
        payload = tag + 1;
        if (payload > end) return XDP_PASS;
        proto = tag->proto;
    }
    int found = 0;
    if (proto == bpf_htons(ETH_P_IP))
        found = local_v4(payload, end, &local);
    else if (proto == bpf_htons(ETH_P_IPV6))
        found = local_v6(payload, end, &local);
    if (!found || !is_ours(&local)) return XDP_PASS;
    return bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_PASS);
}

char polar_license[] SEC("license") = "Apache-2.0";
