#include "net/mld.h"

#include <netinet/in.h>
#include <string.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include "net/checksum.h"
#include "net/stack_impl.h"

#define REPORT_V1 131u
#define REPORT_V2 143u
#define MODE_IS_EXCLUDE 2u
#define CHANGE_TO_EXCLUDE 4u
#define QUERY_V1_BYTES 24u
#define QUERY_V2_BYTES 28u
#define RECORD_BYTES 20u
#define RECORDS_MOST 12u /* of a report: a small buffer holds it */
#define HEADER_BYTES 8u
#define OPTION_ROUTER_ALERT 5u
#define NS_PER_MS UINT64_C(1000000)

static const struct net_addr all_snoopers = {.bytes = {0xff, 0x02, [15] = 0x16}}; /* RFC 3810 5.2.14 */

void mld_init(struct net_stack *st)
{
    st->mld.due = UINT64_MAX;
}

/* Different ones: addresses may share theirs. */
static unsigned groups_of(const struct net_stack *st, struct net_addr groups[static NET_ADDRS_MAX])
{
    unsigned n = 0;
    for (unsigned i = 0; i < st->addr_count; i++) {
        if (net_addr_is_v4(&st->addrs[i].addr) || claim_absent(st, i)) continue;
        groups[n] = ipv6_solicited_node(&st->addrs[i].addr);
        unsigned k = 0;
        while (!net_addr_equal(&groups[k], &groups[n])) k++;
        n += k == n;
    }
    return n;
}

static struct net_addr link_local(const struct net_stack *st)
{
    for (unsigned i = 0; i < st->addr_count; i++)
        if (net_addr_is_link_local(&st->addrs[i].addr) && !claim_absent(st, i)) return st->addrs[i].addr;
    return ipv6_link_local(st->config.mac);
}

/* Behind a router alert, to the link alone: RFC 3810 5. */
static void message_send(struct net_stack *st, const struct net_addr *to, const uint8_t *message, uint32_t len)
{
    static const uint8_t router_alert[HEADER_BYTES] = {IPPROTO_ICMPV6, 0, OPTION_ROUTER_ALERT, 2, 0, 0, 1, 0};
    struct rte_mbuf *m = rte_pktmbuf_alloc(st->config.pools->small);
    if (!m) return; /* it is said again, and asked for */
    struct net_addr from = link_local(st);
    uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *), mac[6];
    ipv6_multicast_mac(to, mac);
    uint32_t at = stack_ethernet_write(st, p, mac, RTE_ETHER_TYPE_IPV6);
    struct rte_ipv6_hdr ip = {.vtc_flow = rte_cpu_to_be_32(UINT32_C(6) << 28),
                              .payload_len = rte_cpu_to_be_16((uint16_t)(sizeof router_alert + len)),
                              .proto = IPPROTO_HOPOPTS,
                              .hop_limits = 1};
    memcpy(ip.src_addr, from.bytes, sizeof ip.src_addr);
    memcpy(ip.dst_addr, to->bytes, sizeof ip.dst_addr);
    memcpy(p + at, &ip, sizeof ip);
    at += (uint32_t)sizeof ip;
    memcpy(p + at, router_alert, sizeof router_alert);
    at += (uint32_t)sizeof router_alert;
    memcpy(p + at, message, len);
    uint64_t sum = checksum_sum(ip.src_addr, 32) + rte_cpu_to_be_32(len) + (uint64_t)rte_cpu_to_be_32(IPPROTO_ICMPV6);
    uint16_t checksum = (uint16_t)~checksum_fold(sum + checksum_sum(message, len));
    memcpy(p + at + 2, &checksum, sizeof checksum);
    m->data_len = (uint16_t)(at + len);
    m->pkt_len = m->data_len;
    stack_send(st, m);
}

static void report_v1(struct net_stack *st)
{
    struct net_addr groups[NET_ADDRS_MAX];
    unsigned n = groups_of(st, groups);
    for (unsigned i = 0; i < n; i++) {
        uint8_t message[QUERY_V1_BYTES] = {REPORT_V1};
        memcpy(message + HEADER_BYTES, groups[i].bytes, sizeof groups[i].bytes);
        message_send(st, &groups[i], message, sizeof message);
    }
}

static void report_v2(struct net_stack *st, uint8_t type)
{
    struct net_addr groups[NET_ADDRS_MAX];
    unsigned n = groups_of(st, groups);
    for (unsigned done = 0; done < n;) {
        uint8_t message[HEADER_BYTES + RECORDS_MOST * RECORD_BYTES] = {REPORT_V2}, *record = message + HEADER_BYTES;
        unsigned count = RTE_MIN(n - done, RECORDS_MOST);
        message[7] = (uint8_t)count;
        for (unsigned i = 0; i < count; i++, record += RECORD_BYTES) {
            record[0] = type;
            memcpy(record + 4, groups[done + i].bytes, sizeof groups[0].bytes);
        }
        message_send(st, &all_snoopers, message, (uint32_t)(record - message));
        done += count;
    }
}

static void report(struct net_stack *st, uint8_t type)
{
    if (st->now < st->mld.v1_until)
        report_v1(st);
    else
        report_v2(st, type);
}

void mld_join(struct net_stack *st)
{
    report(st, CHANGE_TO_EXCLUDE);
}

/* The hop-by-hop header of a packet whose options ipv6_input has checked. */
static bool has_router_alert(const struct net_stack *st, const struct rte_mbuf *m)
{
    const uint8_t *ip = rte_pktmbuf_mtod_offset(m, const uint8_t *, st->ip_at), *p = ip + IPV6_HEADER_BYTES;
    if (ip[6] != IPPROTO_HOPOPTS) return false;
    uint32_t len = (p[1] + 1u) * 8;
    for (uint32_t at = 2; at < len; at += p[at] ? 2u + p[at + 1] : 1u)
        if (p[at] == OPTION_ROUTER_ALERT) return true;
    return false;
}

/* ms; RFC 3810 5.1.3. */
static uint32_t delay_most(uint32_t code, bool v1)
{
    if (v1 || code < 0x8000) return code;
    return ((code & 0xfff) | 0x1000) << ((code >> 12 & 7) + 3);
}

static bool group_asked(const struct net_stack *st, const struct net_addr *group)
{
    struct net_addr groups[NET_ADDRS_MAX];
    if (net_addr_is_any(group)) return true;
    for (unsigned n = groups_of(st, groups); n-- > 0;)
        if (net_addr_equal(&groups[n], group)) return true;
    return false;
}

bool mld_query_rx(struct net_stack *st, const struct rte_mbuf *m, const struct ipv6_packet *packet)
{
    const uint8_t *ip = rte_pktmbuf_mtod_offset(m, const uint8_t *, st->ip_at);
    const uint8_t *p = rte_pktmbuf_mtod_offset(m, const uint8_t *, packet->at);
    uint32_t len = m->pkt_len - packet->at;
    if (len < QUERY_V1_BYTES || (len > QUERY_V1_BYTES && len < QUERY_V2_BYTES)) return false;
    if (m->data_len < packet->at + QUERY_V1_BYTES) return false;
    struct net_addr from = net_addr_v6(ip + 8), group = net_addr_v6(p + HEADER_BYTES);
    if (ip[7] != 1 || !net_addr_is_link_local(&from) || !has_router_alert(st, m)) return false;
    bool v1 = len == QUERY_V1_BYTES;
    if (v1) st->mld.v1_until = st->now + MLD_V1_NS;
    if (!group_asked(st, &group)) return true;
    uint64_t most = delay_most((uint32_t)p[4] << 8 | p[5], v1) * NS_PER_MS;
    uint64_t at = st->now + (most ? stack_random(st) % most : 0);
    st->mld.due = RTE_MIN(st->mld.due, at);
    return true;
}

unsigned mld_timers(struct net_stack *st)
{
    if (st->now < st->mld.due) return 0;
    st->mld.due = UINT64_MAX;
    report(st, MODE_IS_EXCLUDE);
    return 1;
}
