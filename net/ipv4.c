#include "net/ipv4.h"

#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include "net/checksum.h"
#include "net/stack_impl.h"

#define FRAGMENT_BITS (RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)

/* Short frames are padded to 60 bytes: what lies behind the packet is no payload. */
void ip_padding_cut(struct rte_mbuf *m, uint32_t len)
{
    struct rte_mbuf *last = m;
    uint32_t left = len;
    while (left > last->data_len && last->next) {
        left -= last->data_len;
        last = last->next;
    }
    last->data_len = (uint16_t)left;
    for (struct rte_mbuf *it = last->next; it; it = it->next) it->data_len = 0;
    m->pkt_len = len;
}

static bool owns(const struct net_stack *st, uint32_t be)
{
    struct net_addr a = net_addr_v4_be(be);
    return stack_owns(st, &a);
}

/* No host sends from these: unset, multicast and above, or ourselves. RFC 1122 3.2.1.3. */
static inline bool source_bad(const struct net_stack *st, uint32_t src_be)
{
    return (src_be & 0xff) >= 224 || src_be == 0 || src_be == st->ip_first || (st->v4_count > 1 && owns(st, src_be));
}

static bool checksum_bad(const struct net_stack *st, const struct rte_mbuf *m, const void *ip, uint32_t header)
{
    uint64_t verified = m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
    if (st->config.rx_checksum && verified == RTE_MBUF_F_RX_IP_CKSUM_GOOD) return false;
    return checksum_fold(checksum_sum(ip, header)) != 0xffff;
}

bool ipv4_input(struct net_stack *st, struct rte_mbuf *m, struct ipv4_packet *out)
{
    struct net_metrics *metrics = &st->metrics;
    uint32_t at = st->ip_at;
    const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, at);
    uint64_t *reason = &metrics->drop_ip_header;
    if (unlikely(m->data_len < at + sizeof *ip)) goto drop;
    uint32_t header = (ip->version_ihl & RTE_IPV4_HDR_IHL_MASK) * 4u;
    uint32_t total = rte_be_to_cpu_16(ip->total_length);
    if (unlikely(ip->version_ihl >> 4 != 4 || header < sizeof *ip || m->data_len < at + header)) goto drop;
    if (unlikely(total < header || m->pkt_len < at + total)) goto drop;
    if (unlikely(source_bad(st, ip->src_addr))) goto drop;
    reason = &metrics->drop_ip_checksum;
    if (unlikely(checksum_bad(st, m, ip, header))) goto drop;
    reason = &metrics->drop_ip_not_ours;
    if (unlikely(ip->dst_addr != st->ip_first && !owns(st, ip->dst_addr))) goto drop;
    reason = &metrics->drop_ip_fragment;
    if (unlikely(ip->fragment_offset & rte_cpu_to_be_16(FRAGMENT_BITS))) goto drop;
    if (m->pkt_len > at + total) ip_padding_cut(m, at + total);
    out->header = header;
    out->protocol = ip->next_proto_id;
    return true;
drop:
    metric_add(reason, 1);
    return false;
}
