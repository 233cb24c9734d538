#include "net/icmp_refuse.h"

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <string.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_udp.h>
#include "net/checksum.h"
#include "net/ipv4.h"
#include "net/stack_impl.h"

#define HOPS 64u
#define ICMP_BYTES 8u
#define V4_MOST 576u  /* of the whole message: RFC 1812 4.3.2.3 */
#define V6_MOST 1280u /* RFC 4443 2.4 (c) */

/* The lengths and the sum of the datagram at byte at; pseudo: the sum of addresses and protocol. */
static bool datagram_good(const struct rte_mbuf *m, uint32_t at, uint64_t pseudo, bool sum_needed)
{
    struct rte_udp_hdr udp;
    if (m->data_len < at + sizeof udp) return false;
    memcpy(&udp, rte_pktmbuf_mtod_offset(m, const void *, at), sizeof udp);
    uint32_t len = rte_be_to_cpu_16(udp.dgram_len);
    if (len < sizeof udp || at + len > m->pkt_len) return false;
    if (udp.dgram_cksum == 0) return !sum_needed;
    return checksum_fold(pseudo + udp.dgram_len + checksum_chain(m, at, len)) == 0xffff;
}

/* The broadcast addresses of our links, and loopback: no host answers from there. RFC 1122 3.2.2. */
static bool source_single(const struct net_stack *st, uint32_t source)
{
    if (source >> 24 == 127) return false;
    for (unsigned i = 0; i < st->addr_count; i++) {
        const struct net_prefix *p = &st->addrs[i];
        if (!net_addr_is_v4(&p->addr) || p->len == 0 || p->len > 30) continue;
        uint32_t host = UINT32_MAX >> p->len, ours = rte_be_to_cpu_32(p->addr.be32[3]);
        if ((source & ~host) == (ours & ~host) && ((source & host) == host || (source & host) == 0)) return false;
    }
    return true;
}

/*
 * Makes room for `bytes` of headers between the Ethernet header and the packet, which stays where it is and is the
 * quote, cut to `most`. False: its buffer is shared, or has no room, or the quote does not lie in it.
 */
static bool quote(struct net_stack *st, struct rte_mbuf *m, uint32_t bytes, uint32_t most, uint16_t type)
{
    uint8_t mac[6];
    uint32_t len = RTE_MIN(m->pkt_len, st->ip_at + most - bytes);
    if (!RTE_MBUF_DIRECT(m) || rte_mbuf_refcnt_read(m) != 1 || rte_pktmbuf_headroom(m) < bytes || m->data_len < len)
        return false;
    rte_pktmbuf_free(m->next);
    m->next = NULL;
    m->nb_segs = 1;
    m->data_len = (uint16_t)len;
    m->pkt_len = len;
    memcpy(mac, rte_pktmbuf_mtod_offset(m, const uint8_t *, 6), sizeof mac);
    stack_ethernet_write(st, (uint8_t *)rte_pktmbuf_prepend(m, (uint16_t)bytes), mac, type);
    m->ol_flags = 0;
    return true;
}

static void message_send(struct net_stack *st, struct rte_mbuf *m)
{
    metric_add(&st->metrics.icmp_unreachables, 1);
    stack_send(st, m);
}

static bool answer(struct net_stack *st, struct rte_mbuf *m, uint32_t header)
{
    struct rte_ipv4_hdr ip;
    memcpy(&ip, rte_pktmbuf_mtod_offset(m, const void *, st->ip_at), sizeof ip);
    if (st->config.shared || !source_single(st, rte_be_to_cpu_32(ip.src_addr))) return false;
    if (!rate_take(&st->icmp_rate, st->now)) return false;
    uint64_t pseudo = (uint64_t)ip.src_addr + ip.dst_addr + rte_cpu_to_be_16(IPPROTO_UDP);
    if (!datagram_good(m, st->ip_at + header, pseudo, false)) return false;
    if (!quote(st, m, sizeof ip + ICMP_BYTES, V4_MOST, RTE_ETHER_TYPE_IPV4)) return false;
    uint32_t at = st->ip_at + (uint32_t)sizeof ip;
    struct rte_ipv4_hdr out = {.version_ihl = RTE_IPV4_VHL_DEF,
                               .total_length = rte_cpu_to_be_16((uint16_t)(m->pkt_len - st->ip_at)),
                               .fragment_offset = rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG),
                               .time_to_live = HOPS,
                               .next_proto_id = IPPROTO_ICMP,
                               .src_addr = ip.dst_addr,
                               .dst_addr = ip.src_addr};
    out.hdr_checksum = (uint16_t)~checksum_fold(checksum_sum(&out, sizeof out));
    memcpy(rte_pktmbuf_mtod_offset(m, void *, st->ip_at), &out, sizeof out);
    struct rte_icmp_hdr icmp = {.icmp_type = ICMP_DEST_UNREACH, .icmp_code = ICMP_PORT_UNREACH};
    uint8_t *p = rte_pktmbuf_mtod_offset(m, uint8_t *, at);
    memcpy(p, &icmp, sizeof icmp);
    icmp.icmp_cksum = (uint16_t)~checksum_fold(checksum_sum(p, m->pkt_len - at));
    memcpy(p, &icmp, sizeof icmp);
    return true;
}

void icmp_refuse(struct net_stack *st, struct rte_mbuf *m, uint32_t header)
{
    if (answer(st, m, header))
        message_send(st, m);
    else
        rte_pktmbuf_free(m);
}

static bool answer6(struct net_stack *st, struct rte_mbuf *m, const struct ipv6_packet *packet)
{
    uint8_t addrs[32]; /* source, destination */
    memcpy(addrs, rte_pktmbuf_mtod_offset(m, const uint8_t *, st->ip_at + 8), sizeof addrs);
    if (st->config.shared || packet->multicast || !rate_take(&st->icmp_rate, st->now)) return false;
    uint64_t sum = checksum_sum(addrs, sizeof addrs);
    if (!datagram_good(m, packet->at, sum + rte_cpu_to_be_16(IPPROTO_UDP), true)) return false;
    if (!quote(st, m, IPV6_HEADER_BYTES + ICMP_BYTES, V6_MOST, RTE_ETHER_TYPE_IPV6)) return false;
    uint32_t at = st->ip_at + IPV6_HEADER_BYTES, len = m->pkt_len - at;
    struct rte_ipv6_hdr ip = {.vtc_flow = rte_cpu_to_be_32(UINT32_C(6) << 28),
                              .payload_len = rte_cpu_to_be_16((uint16_t)len),
                              .proto = IPPROTO_ICMPV6,
                              .hop_limits = HOPS};
    memcpy(ip.src_addr, addrs + 16, 16);
    memcpy(ip.dst_addr, addrs, 16);
    memcpy(rte_pktmbuf_mtod_offset(m, void *, st->ip_at), &ip, sizeof ip);
    uint8_t *p = rte_pktmbuf_mtod_offset(m, uint8_t *, at);
    memset(p, 0, ICMP_BYTES);
    p[0] = ICMP6_DST_UNREACH;
    p[1] = ICMP6_DST_UNREACH_NOPORT;
    sum += rte_cpu_to_be_32(len) + (uint64_t)rte_cpu_to_be_32(IPPROTO_ICMPV6);
    uint16_t checksum = (uint16_t)~checksum_fold(sum + checksum_sum(p, len));
    memcpy(p + 2, &checksum, sizeof checksum);
    return true;
}

void icmp6_refuse(struct net_stack *st, struct rte_mbuf *m, const struct ipv6_packet *packet)
{
    if (answer6(st, m, packet))
        message_send(st, m);
    else
        rte_pktmbuf_free(m);
}
