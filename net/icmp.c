#include "net/icmp.h"

#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include "net/checksum.h"
#include "net/icmp_error.h"
#include "net/stack_impl.h"

#define TTL 64

/* The request itself, turned round, is the answer. */
static void echo_reply(struct net_stack *st, struct rte_mbuf *m, uint32_t at, uint32_t ip_header)
{
    struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
    struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, st->ip_at);
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

/* False: not an error that we know. */
static bool error_rx(struct net_stack *st, const struct rte_mbuf *m, uint32_t at)
{
    const uint8_t *icmp = rte_pktmbuf_mtod_offset(m, const uint8_t *, at), *quoted = icmp + sizeof(struct rte_icmp_hdr);
    uint32_t len = m->data_len - at - (uint32_t)sizeof(struct rte_icmp_hdr);
    switch (icmp[0]) {
    case ICMP_DEST_UNREACH:
        if (icmp[1] == ICMP_FRAG_NEEDED) icmp_error_too_big(st, quoted, len, (uint32_t)icmp[6] << 8 | icmp[7]);
        else icmp_error_unreachable(st, quoted, len, icmp[1] == ICMP_PORT_UNREACH || icmp[1] == ICMP_PROT_UNREACH);
        return true;
    case ICMP_TIME_EXCEEDED:
    case ICMP_PARAMETERPROB: icmp_error_unreachable(st, quoted, len, false); return true;
    default: return false; /* source quench too: RFC 6633 */
    }
}

void icmp_input(struct net_stack *st, struct rte_mbuf *m, uint32_t ip_header)
{
    uint32_t at = st->ip_at + ip_header;
    if (m->data_len < at + sizeof(struct rte_icmp_hdr)) goto drop;
    const struct rte_icmp_hdr *icmp = rte_pktmbuf_mtod_offset(m, const struct rte_icmp_hdr *, at);
    if (checksum_fold(checksum_chain(m, at, m->pkt_len - at)) != 0xffff) goto drop;
    if (icmp->icmp_type == RTE_IP_ICMP_ECHO_REQUEST) {
        if (icmp->icmp_code != 0 || !rate_take(&st->icmp_rate, st->now)) goto drop;
        echo_reply(st, m, at, ip_header);
        return;
    }
    if (!error_rx(st, m, at)) goto drop;
    rte_pktmbuf_free(m);
    return;
drop:
    metric_add(&st->metrics.drop_icmp, 1);
    rte_pktmbuf_free(m);
}
