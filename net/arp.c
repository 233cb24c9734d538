#include "net/arp.h"

#include <string.h>
#include <rte_arp.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include "net/stack_impl.h"

static const uint8_t mac_broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static void frame_send(struct net_stack *st, uint16_t opcode, const uint8_t *mac, uint32_t from_be, uint32_t target_be)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(st->config.pools->small);
    if (!m) { /* the next request, or the asker's, tries again */
        metric_add(&st->metrics.tx_no_buffer, 1);
        return;
    }
    uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
    uint8_t at = stack_ethernet_write(st, p, mac ? mac : mac_broadcast, RTE_ETHER_TYPE_ARP);
    struct rte_arp_hdr arp = {.arp_hardware = rte_cpu_to_be_16(RTE_ARP_HRD_ETHER),
                              .arp_protocol = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4),
                              .arp_hlen = 6,
                              .arp_plen = 4,
                              .arp_opcode = rte_cpu_to_be_16(opcode),
                              .arp_data = {.arp_sip = from_be, .arp_tip = target_be}};
    memcpy(&arp.arp_data.arp_sha, st->config.mac, 6);
    if (opcode == RTE_ARP_OP_REPLY) memcpy(&arp.arp_data.arp_tha, mac, 6);
    memcpy(p + at, &arp, sizeof arp);
    m->data_len = (uint16_t)(at + sizeof arp);
    m->pkt_len = m->data_len;
    stack_send(st, m);
}

void arp_ask(struct net_stack *st, const struct net_addr *addr, const struct net_addr *from, const uint8_t *mac)
{
    frame_send(st, RTE_ARP_OP_REQUEST, mac, from->be32[3], addr->be32[3]);
}

void arp_probe(struct net_stack *st, const struct net_addr *addr)
{
    frame_send(st, RTE_ARP_OP_REQUEST, NULL, 0, addr->be32[3]);
}

void arp_announce(struct net_stack *st, const struct net_addr *addr)
{
    frame_send(st, RTE_ARP_OP_REQUEST, NULL, addr->be32[3], addr->be32[3]);
}

static bool header_valid(const struct rte_arp_hdr *arp)
{
    return arp->arp_hardware == rte_cpu_to_be_16(RTE_ARP_HRD_ETHER) &&
           arp->arp_protocol == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) && arp->arp_hlen == 6 && arp->arp_plen == 4 &&
           !(arp->arp_data.arp_sha.addr_bytes[0] & 1);
}

/* RFC 826's algorithm: update what is known, add whoever asks for us, answer requests. False: nothing of it was ours. */
static bool packet_take(struct net_stack *st, const struct rte_arp_hdr *arp)
{
    struct net_addr from = net_addr_v4_be(arp->arp_data.arp_sip), target = net_addr_v4_be(arp->arp_data.arp_tip);
    const uint8_t *mac = arp->arp_data.arp_sha.addr_bytes;
    bool request = arp->arp_opcode == rte_cpu_to_be_16(RTE_ARP_OP_REQUEST), ours = stack_owns(st, &target);
    bool own_mac = memcmp(mac, st->config.mac, 6) == 0; /* a TAP device's kernel end has the same */
    if (stack_owns(st, &from)) {
        if (!own_mac) claim_conflict(st, &from); /* else our own, come back */
        return false;
    }
    if (own_mac && net_addr_is_any(&from)) return false;
    unsigned news = NEIGHBOUR_CONFIRMED | NEIGHBOUR_OVERRIDE | (ours && request ? NEIGHBOUR_ADD : 0);
    if (!net_addr_is_any(&from)) neighbour_learn(st, &from, mac, news); /* from 0: a probe, nothing to learn */
    if (ours && request) frame_send(st, RTE_ARP_OP_REPLY, mac, target.be32[3], from.be32[3]);
    return true;
}

void arp_input(struct net_stack *st, struct rte_mbuf *m)
{
    struct rte_arp_hdr arp;
    bool good = m->data_len >= st->ip_at + sizeof arp;
    if (good) memcpy(&arp, rte_pktmbuf_mtod_offset(m, const void *, st->ip_at), sizeof arp);
    if (!good || !header_valid(&arp) || !packet_take(st, &arp)) metric_add(&st->metrics.drop_arp, 1);
    rte_pktmbuf_free(m);
}
