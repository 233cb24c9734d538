#include "net/icmp.h"

#include <string.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include "net/checksum.h"
#include "net/stack_impl.h"

#define TTL 64

static bool echo_valid(const struct rte_mbuf *m, uint32_t at)
{
    if (m->data_len < at + sizeof(struct rte_icmp_hdr)) return false;
    const struct rte_icmp_hdr *icmp = rte_pktmbuf_mtod_offset(m, const struct rte_icmp_hdr *, at);
    return icmp->icmp_type == RTE_IP_ICMP_ECHO_REQUEST && icmp->icmp_code == 0 &&
           checksum_fold(checksum_chain(m, at, m->pkt_len - at)) == 0xffff;
}

/* The request itself, turned round, is the answer. */
static void echo_reply(struct net_stack *st, struct rte_mbuf *m, uint32_t at, uint32_t ip_header)
{
    struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
    struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(eth + 1);
    struct rte_icmp_hdr *icmp = rte_pktmbuf_mtod_offset(m, struct rte_icmp_hdr *, at);
    eth->dst_addr = eth->src_addr;
    memcpy(&eth->src_addr, st->config.mac, 6);
    uint32_t ours = ip->dst_addr;
    ip->dst_addr = ip->src_addr;
    ip->src_addr = ours;
    ip->time_to_live = TTL;
    ip->hdr_checksum = 0;
    ip->hdr_checksum = (uint16_t)~checksum_fold(checksum_sum(ip, ip_header));
    icmp->icmp_type = RTE_IP_ICMP_ECHO_REPLY;
    icmp->icmp_cksum = 0;
    icmp->icmp_cksum = (uint16_t)~checksum_fold(checksum_chain(m, at, m->pkt_len - at));
    m->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
    metric_add(&st->metrics.icmp_echoes, 1);
    stack_send(st, m);
}

void icmp_input(struct net_stack *st, struct rte_mbuf *m, uint32_t ip_header)
{
    uint32_t at = (uint32_t)sizeof(struct rte_ether_hdr) + ip_header;
    if (echo_valid(m, at) && rate_take(&st->icmp_rate, st->now)) {
        echo_reply(st, m, at, ip_header);
        return;
    }
    metric_add(&st->metrics.drop_icmp, 1);
    rte_pktmbuf_free(m);
}
