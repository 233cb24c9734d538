#include "net/ipv6.h"

#include <netinet/in.h>
#include <rte_byteorder.h>
#include <rte_ip.h>
#include "net/ipv4.h"
#include "net/stack_impl.h"

#define OPTION_PAD1 0u
#define OPTION_SKIP_MASK 0xc0u /* both bits 0: a node that does not know the option skips it. RFC 8200 4.2 */

struct net_addr ipv6_solicited_node(const struct net_addr *addr)
{
    struct net_addr group = {.bytes = {0xff, 0x02, [11] = 1, [12] = 0xff}};
    memcpy(group.bytes + 13, addr->bytes + 13, 3);
    return group;
}

void ipv6_multicast_mac(const struct net_addr *group, uint8_t mac[6])
{
    mac[0] = mac[1] = 0x33;
    memcpy(mac + 2, group->bytes + 12, 4);
}

struct net_addr ipv6_link_local(const uint8_t mac[6])
{
    struct net_addr a = {.bytes = {0xfe, 0x80, [8] = mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]}};
    return a;
}

/* All nodes, and the solicited-node groups of our addresses. */
static bool group_ours(const struct net_stack *st, const struct net_addr *group)
{
    static const struct net_addr all_nodes = {.bytes = {0xff, 0x02, [15] = 1}};
    if (net_addr_equal(group, &all_nodes)) return true;
    for (unsigned i = 0; i < st->addr_count; i++) {
        if (net_addr_is_v4(&st->addrs[i].addr)) continue;
        struct net_addr own = ipv6_solicited_node(&st->addrs[i].addr);
        if (net_addr_equal(group, &own)) return true;
    }
    return false;
}

/* Options of a hop-by-hop or destination header, len bytes. False: malformed, or one that must not be skipped. */
static bool options_skippable(const uint8_t *p, uint32_t len)
{
    for (uint32_t at = 0; at < len;) {
        if (p[at] == OPTION_PAD1) {
            at++;
            continue;
        }
        if (at + 2 > len || at + 2u + p[at + 1] > len) return false;
        if (p[at] & OPTION_SKIP_MASK) return false;
        at += 2u + p[at + 1];
    }
    return true;
}

/* Goes on to the first header that is none of the skipped ones. NULL, or the counter of what was wrong. */
static uint64_t *extensions_skip(struct net_stack *st, const struct rte_mbuf *m, struct ipv6_packet *out)
{
    uint32_t begin = out->at;
    for (unsigned n = 0;; n++) {
        switch (out->protocol) {
        case IPPROTO_FRAGMENT: return &st->metrics.drop_ip_fragment;
        case IPPROTO_HOPOPTS:
            if (n > 0) return &st->metrics.drop_ip_header; /* only directly behind the header: RFC 8200 4.1 */
            break;
        case IPPROTO_DSTOPTS:
        case IPPROTO_ROUTING: break;
        default: return NULL;
        }
        if (n == IPV6_EXTENSIONS_MAX || m->data_len < out->at + 8) return &st->metrics.drop_ip_extension;
        const uint8_t *p = rte_pktmbuf_mtod_offset(m, const uint8_t *, out->at);
        uint32_t len = (p[1] + 1u) * 8;
        if (m->data_len < out->at + len || out->at + len - begin > IPV6_EXTENSION_BYTES_MAX)
            return &st->metrics.drop_ip_extension;
        bool good = out->protocol == IPPROTO_ROUTING ? p[3] == 0 : options_skippable(p + 2, len - 2);
        if (!good) return &st->metrics.drop_ip_extension;
        out->protocol = p[0];
        out->at += len;
    }
}

bool ipv6_input(struct net_stack *st, struct rte_mbuf *m, struct ipv6_packet *out)
{
    struct net_metrics *metrics = &st->metrics;
    const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod_offset(m, const struct rte_ipv6_hdr *, st->ip_at);
    uint64_t *reason = &metrics->drop_ip_header;
    uint32_t at = st->ip_at + IPV6_HEADER_BYTES;
    if (m->data_len < at || *(const uint8_t *)ip >> 4 != 6) goto drop;
    uint32_t end = at + rte_be_to_cpu_16(ip->payload_len);
    if (m->pkt_len < end) goto drop;
    struct net_addr source = net_addr_v6(ip->src_addr), destination = net_addr_v6(ip->dst_addr);
    if (net_addr_is_multicast(&source) || net_addr_is_v4(&source) || net_addr_is_v4(&destination)) goto drop;
    reason = &metrics->drop_ip_not_ours;
    out->multicast = net_addr_is_multicast(&destination);
    if (out->multicast ? !group_ours(st, &destination) : !stack_owns(st, &destination)) goto drop;
    if (m->pkt_len > end) ip_padding_cut(m, end);
    out->at = at;
    out->protocol = ip->proto;
    if ((reason = extensions_skip(st, m, out)) != NULL) goto drop;
    if (out->protocol == IPPROTO_ICMPV6) return true; /* probes come from no address, and conflicts from ours */
    reason = &metrics->drop_ip_header;
    if (net_addr_is_any(&source) || stack_owns(st, &source)) goto drop;
    return true;
drop:
    metric_add(reason, 1);
    return false;
}
