#include "net/icmp6.h"

#include <netinet/icmp6.h>
#include <string.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include "net/checksum.h"
#include "net/icmp_error.h"
#include "net/nd.h"
#include "net/stack_impl.h"

#define HOPS 64u
#define MESSAGE_LEAST 8u
#define CHECKSUM_AT 2u

/* Of addresses (32 bytes in a row) and length. */
static uint64_t pseudo_sum(const uint8_t *addresses, uint32_t len)
{
    return checksum_sum(addresses, 32) + rte_cpu_to_be_32(len) + rte_cpu_to_be_32(IPPROTO_ICMPV6);
}

static bool checksum_bad(const struct net_stack *st, const struct rte_mbuf *m, uint32_t at)
{
    uint32_t len = m->pkt_len - at;
    const uint8_t *addresses = rte_pktmbuf_mtod_offset(m, const uint8_t *, st->ip_at + 8);
    return checksum_fold(pseudo_sum(addresses, len) + checksum_chain(m, at, len)) != 0xffff;
}

void icmp6_send(struct net_stack *st, const uint8_t *mac, const struct net_addr *from, const struct net_addr *to,
                uint8_t hops, const uint8_t *message, uint32_t len)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(st->config.pools->small);
    if (!m) { /* whoever waits for it asks again */
        metric_add(&st->metrics.tx_no_buffer, 1);
        return;
    }
    uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
    uint8_t at = stack_ethernet_write(st, p, mac, RTE_ETHER_TYPE_IPV6);
    struct rte_ipv6_hdr ip = {.vtc_flow = rte_cpu_to_be_32(UINT32_C(6) << 28),
                              .payload_len = rte_cpu_to_be_16((uint16_t)len),
                              .proto = IPPROTO_ICMPV6,
                              .hop_limits = hops};
    memcpy(ip.src_addr, from->bytes, sizeof ip.src_addr);
    memcpy(ip.dst_addr, to->bytes, sizeof ip.dst_addr);
    memcpy(p + at, &ip, sizeof ip);
    memcpy(p + at + sizeof ip, message, len);
    uint16_t sum = (uint16_t)~checksum_fold(pseudo_sum(ip.src_addr, len) + checksum_sum(message, len));
    memcpy(p + at + sizeof ip + CHECKSUM_AT, &sum, sizeof sum);
    m->data_len = (uint16_t)(at + sizeof ip + len);
    m->pkt_len = m->data_len;
    stack_send(st, m);
}

/* The request itself, turned round, is the answer. Only one without extension headers, and to an address of ours alone:
 * then nothing moves but the type, and the sum of the addresses stays. */
static bool echo_reply(struct net_stack *st, struct rte_mbuf *m, const struct ipv6_packet *packet)
{
    uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *), *ip = frame + st->ip_at, *icmp = frame + packet->at, swap[16];
    struct net_addr from = net_addr_v6(ip + 8);
    uint16_t sum;
    if (packet->multicast || packet->at != st->ip_at + IPV6_HEADER_BYTES || net_addr_is_any(&from)) return false;
    if (stack_owns(st, &from) || !rate_take(&st->icmp_rate, st->now)) return false;
    memcpy(frame, frame + 6, 6);
    memcpy(frame + 6, st->config.mac, 6);
    memcpy(swap, ip + 8, 16);
    memcpy(ip + 8, ip + 24, 16);
    memcpy(ip + 24, swap, 16);
    ip[7] = HOPS;
    icmp[0] = ICMP6_ECHO_REPLY;
    memset(icmp + CHECKSUM_AT, 0, sizeof sum);
    uint32_t len = m->pkt_len - packet->at;
    sum = (uint16_t)~checksum_fold(pseudo_sum(ip + 8, len) + checksum_chain(m, packet->at, len));
    memcpy(icmp + CHECKSUM_AT, &sum, sizeof sum);
    m->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
    metric_add(&st->metrics.icmp_echoes, 1);
    stack_send(st, m);
    return true;
}

static void error_rx(struct net_stack *st, const struct rte_mbuf *m, uint32_t at)
{
    const uint8_t *icmp = rte_pktmbuf_mtod_offset(m, const uint8_t *, at), *quoted = icmp + MESSAGE_LEAST;
    uint32_t len = m->data_len - at - MESSAGE_LEAST, mtu;
    memcpy(&mtu, icmp + 4, sizeof mtu);
    switch (icmp[0]) {
    case ICMP6_PACKET_TOO_BIG: icmp_error_too_big(st, quoted, len, rte_be_to_cpu_32(mtu)); break;
    case ICMP6_DST_UNREACH: icmp_error_unreachable(st, quoted, len, icmp[1] == ICMP6_DST_UNREACH_NOPORT); break;
    default: icmp_error_unreachable(st, quoted, len, false); break;
    }
}

/* False: m is still the caller's, and nothing of it was of use. */
static bool message_rx(struct net_stack *st, struct rte_mbuf **m, const struct ipv6_packet *packet)
{
    uint32_t at = packet->at;
    if ((*m)->data_len < at + MESSAGE_LEAST || checksum_bad(st, *m, at)) return false;
    uint8_t type = *rte_pktmbuf_mtod_offset(*m, const uint8_t *, at);
    if (type == ICMP6_ECHO_REQUEST) {
        if (!echo_reply(st, *m, packet)) return false;
        *m = NULL;
        return true;
    }
    if (type >= ND_ROUTER_SOLICIT && type <= ND_REDIRECT) return nd_input(st, *m, at);
    if (type == MLD_LISTENER_QUERY) return mld_query_rx(st, *m, packet);
    if (type < ICMP6_DST_UNREACH || type > ICMP6_PARAM_PROB || packet->multicast) return false;
    error_rx(st, *m, at);
    return true;
}

void icmp6_input(struct net_stack *st, struct rte_mbuf *m, const struct ipv6_packet *packet)
{
    if (!message_rx(st, &m, packet)) metric_add(&st->metrics.drop_icmp, 1);
    rte_pktmbuf_free(m);
}
