#include "net/arp.h"

#include <errno.h>
#include <string.h>
#include <rte_arp.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include "net/stack_impl.h"
#include "net/tcp/tcp.h"

#define ARP_FRAME_BYTES (sizeof(struct rte_ether_hdr) + sizeof(struct rte_arp_hdr))

static const uint8_t mac_broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

void arp_init(struct arp *arp)
{
    memset(arp, 0, sizeof *arp);
    arp->due = UINT64_MAX;
}

static struct rte_mbuf *pending_pop(struct arp *arp, struct arp_entry *e)
{
    struct rte_mbuf *m = e->pending_head;
    if (!m) return NULL;
    e->pending_head = m->next;
    if (!e->pending_head) e->pending_tail = NULL;
    m->next = NULL;
    arp->pending--;
    return m;
}

static void pending_drop(struct arp *arp, struct arp_entry *e)
{
    struct rte_mbuf *m;
    while ((m = pending_pop(arp, e)) != NULL) rte_pktmbuf_free(m);
}

void arp_fini(struct arp *arp)
{
    for (unsigned i = 0; i < ARP_ENTRIES; i++) pending_drop(arp, &arp->entries[i]);
}

static struct arp_entry *entry_find(struct arp *arp, uint32_t ip_be)
{
    for (unsigned i = 0; i < ARP_ENTRIES; i++)
        if (arp->entries[i].state != ARP_FREE && arp->entries[i].ip_be == ip_be) return &arp->entries[i];
    return NULL;
}

/* The entry longest unused makes room. */
static struct arp_entry *entry_add(struct net_stack *st, uint32_t ip_be)
{
    struct arp *arp = &st->arp;
    struct arp_entry *e = &arp->entries[0];
    for (unsigned i = 0; i < ARP_ENTRIES && e->state != ARP_FREE; i++) {
        struct arp_entry *it = &arp->entries[i];
        if (it->state == ARP_FREE || it->used_at < e->used_at) e = it;
    }
    while (e->pending_head) {
        rte_pktmbuf_free(pending_pop(arp, e));
        metric_add(&st->metrics.arp_pending_dropped, 1);
    }
    *e = (struct arp_entry){.ip_be = ip_be, .used_at = st->now};
    return e;
}

static void frame_send(struct net_stack *st, uint16_t opcode, const uint8_t *mac, uint32_t from_be, uint32_t ip_be)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(st->config.pools->small);
    if (!m) return; /* the next request, or the asker's, tries again */
    struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
    struct rte_arp_hdr *arp = (struct rte_arp_hdr *)(eth + 1);
    memcpy(&eth->dst_addr, mac, 6);
    memcpy(&eth->src_addr, st->config.mac, 6);
    eth->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP);
    arp->arp_hardware = rte_cpu_to_be_16(RTE_ARP_HRD_ETHER);
    arp->arp_protocol = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
    arp->arp_hlen = 6;
    arp->arp_plen = 4;
    arp->arp_opcode = rte_cpu_to_be_16(opcode);
    memcpy(&arp->arp_data.arp_sha, st->config.mac, 6);
    arp->arp_data.arp_sip = from_be;
    if (opcode == RTE_ARP_OP_REQUEST) memset(&arp->arp_data.arp_tha, 0, 6);
    else memcpy(&arp->arp_data.arp_tha, mac, 6);
    arp->arp_data.arp_tip = ip_be;
    m->data_len = ARP_FRAME_BYTES;
    m->pkt_len = ARP_FRAME_BYTES;
    stack_send(st, m);
}

static void ask(struct net_stack *st, struct arp_entry *e)
{
    struct net_addr to = net_addr_v4_be(e->ip_be), from;
    if (route_source(st, &to, &from))
        frame_send(st, RTE_ARP_OP_REQUEST, e->state == ARP_KNOWN ? e->mac : mac_broadcast, from.be32[3], e->ip_be);
    e->tries++;
    e->at = st->now + ARP_RETRY_NS;
    if (e->at < st->arp.due) st->arp.due = e->at;
}

static void entry_learn(struct net_stack *st, struct arp_entry *e, const uint8_t *mac)
{
    memcpy(e->mac, mac, 6);
    e->state = ARP_KNOWN;
    e->tries = 0;
    e->at = st->now + ARP_FRESH_NS;
    struct rte_mbuf *m;
    while ((m = pending_pop(&st->arp, e)) != NULL) {
        memcpy(rte_pktmbuf_mtod(m, uint8_t *), mac, 6);
        stack_send(st, m);
    }
}

static bool header_valid(const struct rte_mbuf *m)
{
    if (m->data_len < ARP_FRAME_BYTES) return false;
    const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
    const struct rte_arp_hdr *arp = (const struct rte_arp_hdr *)(eth + 1);
    return arp->arp_hardware == rte_cpu_to_be_16(RTE_ARP_HRD_ETHER) &&
           arp->arp_protocol == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) && arp->arp_hlen == 6 && arp->arp_plen == 4 &&
           !(arp->arp_data.arp_sha.addr_bytes[0] & 1);
}

static bool owns(const struct net_stack *st, uint32_t be)
{
    struct net_addr a = net_addr_v4_be(be);
    return stack_owns(st, &a);
}

/* RFC 826's algorithm: update what is known, add whoever asks for us, answer requests. */
void arp_input(struct net_stack *st, struct rte_mbuf *m)
{
    const struct rte_arp_hdr *arp = rte_pktmbuf_mtod_offset(m, const struct rte_arp_hdr *, sizeof(struct rte_ether_hdr));
    if (!header_valid(m) || owns(st, arp->arp_data.arp_sip)) {
        metric_add(&st->metrics.drop_arp, 1);
        rte_pktmbuf_free(m);
        return;
    }
    const uint8_t *mac = arp->arp_data.arp_sha.addr_bytes;
    uint32_t from = arp->arp_data.arp_sip;
    uint32_t to = arp->arp_data.arp_tip;
    bool ours = owns(st, to), request = arp->arp_opcode == rte_cpu_to_be_16(RTE_ARP_OP_REQUEST);
    struct arp_entry *e = from ? entry_find(&st->arp, from) : NULL; /* from 0: a probe, RFC 5227: nothing to learn */
    if (!e && ours && request && from) e = entry_add(st, from);
    if (e) entry_learn(st, e, mac);
    if (ours && request) frame_send(st, RTE_ARP_OP_REPLY, mac, to, from);
    if (!ours && !e) metric_add(&st->metrics.drop_arp, 1);
    rte_pktmbuf_free(m);
}

void neighbour_send(struct net_stack *st, const struct net_addr *to, struct rte_mbuf *m)
{
    struct net_addr via;
    if (!route_next_hop(st, to, &via) || !net_addr_is_v4(&via)) {
        rte_pktmbuf_free(m);
        return;
    }
    uint32_t hop = via.be32[3];
    struct arp_entry *e = entry_find(&st->arp, hop);
    if (!e) e = entry_add(st, hop);
    e->used_at = st->now;
    if (e->state == ARP_KNOWN) {
        memcpy(rte_pktmbuf_mtod(m, uint8_t *), e->mac, 6);
        stack_send(st, m);
        if (e->tries == 0 && e->at <= st->now) ask(st, e);
        return;
    }
    if (e->state == ARP_FREE) {
        e->state = ARP_ASKED;
        ask(st, e);
    }
    if (st->arp.pending == ARP_PENDING_MAX) {
        metric_add(&st->metrics.arp_pending_dropped, 1);
        rte_pktmbuf_free(m);
        return;
    }
    if (e->pending_tail) e->pending_tail->next = m;
    else e->pending_head = m;
    e->pending_tail = m;
    m->next = NULL;
    st->arp.pending++;
}

/* Nobody answers: the connections whose SYNs wait here learn so. */
static void entry_fail(struct net_stack *st, struct arp_entry *e)
{
    struct rte_mbuf *m;
    while ((m = pending_pop(&st->arp, e)) != NULL) {
        const uint32_t at = sizeof(struct rte_ether_hdr);
        struct tcp_tuple t;
        struct tcp_conn *c = NULL;
        if (tcp_tuple_of_sent(rte_pktmbuf_mtod_offset(m, const uint8_t *, at), m->data_len - at, &t))
            c = tcp_conn_find(st, &t);
        if (c && c->state == TCPS_SYN_SENT) tcp_conn_fail(st, c, EHOSTUNREACH);
        rte_pktmbuf_free(m);
    }
    e->state = ARP_FREE;
}

unsigned arp_timers(struct net_stack *st)
{
    struct arp *arp = &st->arp;
    unsigned n = 0;
    if (st->now < arp->due) return 0;
    arp->due = UINT64_MAX;
    for (unsigned i = 0; i < ARP_ENTRIES; i++) {
        struct arp_entry *e = &arp->entries[i];
        if (e->state == ARP_FREE || e->tries == 0) continue;
        if (e->at > st->now) {
            if (e->at < arp->due) arp->due = e->at;
            continue;
        }
        n++;
        if (e->tries >= ARP_TRIES) entry_fail(st, e);
        else ask(st, e);
    }
    return n;
}
