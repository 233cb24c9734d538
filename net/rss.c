#include "net/rss.h"

#include <netinet/in.h>
#include <string.h>
#include <rte_byteorder.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_ip.h>

static bool table_read(struct rss *rss, uint16_t port_id, uint16_t size)
{
    struct rte_eth_rss_reta_entry64 groups[RSS_TABLE_MAX / RTE_ETH_RETA_GROUP_SIZE];
    if (size == 0 || size > RSS_TABLE_MAX || (size & (size - 1)) != 0) return false;
    memset(groups, 0, sizeof groups);
    for (unsigned i = 0; i < RTE_DIM(groups); i++) groups[i].mask = UINT64_MAX;
    if (rte_eth_dev_rss_reta_query(port_id, groups, size) != 0) return false;
    for (unsigned i = 0; i < size; i++)
        rss->table[i] = groups[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
    return true;
}

void rss_read(struct rss *rss, uint16_t port_id)
{
    struct rte_eth_dev_info info;
    struct rte_eth_rss_conf conf = {.rss_key = rss->key, .rss_key_len = sizeof rss->key};
    rss->table_size = 0;
    if (rte_eth_dev_info_get(port_id, &info) != 0 || info.hash_key_size != sizeof rss->key) return;
    if (rte_eth_dev_rss_hash_conf_get(port_id, &conf) != 0) return;
    if (table_read(rss, port_id, info.reta_size)) rss->table_size = info.reta_size;
}

uint16_t rss_queue(const struct rss *rss, uint32_t src_be, uint32_t dst_be, uint16_t src_port_be, uint16_t dst_port_be)
{
    uint32_t hash = toeplitz_ipv4(rss->key, src_be, dst_be, src_port_be, dst_port_be);
    return rss->table[hash & (rss->table_size - 1u)];
}

/* The hash of an IPv4 TCP segment without options or tag; false: another frame. */
static bool frame_hash(const struct rss *rss, const struct rte_mbuf *m, uint32_t *hash)
{
    const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
    const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(eth + 1);
    uint16_t ports[2];
    if (m->data_len < sizeof *eth + sizeof *ip + sizeof ports) return false;
    if (eth->ether_type != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) || ip->version_ihl != RTE_IPV4_VHL_DEF) return false;
    if (ip->next_proto_id != IPPROTO_TCP) return false;
    if (ip->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)) return false;
    memcpy(ports, ip + 1, sizeof ports);
    *hash = toeplitz_ipv4(rss->key, ip->src_addr, ip->dst_addr, ports[0], ports[1]);
    return true;
}

void rss_observe(struct rss *rss, uint16_t queue, struct rte_mbuf *const *frames, uint16_t n)
{
    for (uint16_t i = 0; i < n && !rss_settled(rss); i++) {
        const struct rte_mbuf *m = frames[i];
        uint32_t hash;
        if (!(m->ol_flags & RTE_MBUF_F_RX_RSS_HASH) || !frame_hash(rss, m, &hash)) continue;
        if (hash == m->hash.rss && rss->table[hash & (rss->table_size - 1u)] == queue)
            atomic_fetch_add_explicit(&rss->proofs, 1, memory_order_relaxed);
        else
            atomic_store_explicit(&rss->refuted, true, memory_order_relaxed);
    }
}
