#include "net/nd.h"

#include <netinet/icmp6.h>
#include <string.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include "net/icmp6.h"
#include "net/ipv6.h"
#include "net/stack_impl.h"

#define ND_HOPS 255u
#define OPTION_BYTES 8u /* of a link-layer address */
#define PREFIX_OPTION_BYTES 32u
#define SECOND_NS UINT64_C(1000000000)

static const struct net_addr all_nodes = {.bytes = {0xff, 0x02, [15] = 1}};
static const struct net_addr all_routers = {.bytes = {0xff, 0x02, [15] = 2}};
static const struct net_addr unspecified;

/* The options of a message. */
struct nd_options {
    const uint8_t *source_mac, *target_mac; /* NULL: not given */
};

/* False: malformed. RFC 4861 4.6: an option of length 0 discards the message. */
static bool options_parse(const uint8_t *p, uint32_t len, struct nd_options *out)
{
    memset(out, 0, sizeof *out);
    for (uint32_t at = 0; at < len;) {
        if (len - at < 2 || p[at + 1] == 0 || len - at < p[at + 1] * 8u) return false;
        const uint8_t *option = p + at;
        uint32_t bytes = option[1] * 8u;
        if (option[0] == ND_OPT_SOURCE_LINKADDR && bytes == OPTION_BYTES) out->source_mac = option + 2;
        if (option[0] == ND_OPT_TARGET_LINKADDR && bytes == OPTION_BYTES) out->target_mac = option + 2;
        at += bytes;
    }
    return !(out->source_mac && out->source_mac[0] & 1) && !(out->target_mac && out->target_mac[0] & 1);
}

/* Type, flags, target, and our MAC as an option (0: none). */
static void message_send(struct net_stack *st, uint8_t type, uint32_t flags, const struct net_addr *target,
                         uint8_t option, const struct net_addr *from, const struct net_addr *to, const uint8_t *mac)
{
    uint8_t message[sizeof(struct nd_neighbor_solicit) + OPTION_BYTES] = {type};
    uint32_t len = target ? sizeof(struct nd_neighbor_solicit) : sizeof(struct nd_router_solicit);
    uint32_t flags_be = rte_cpu_to_be_32(flags);
    uint8_t group_mac[6];
    memcpy(message + 4, &flags_be, sizeof flags_be);
    if (target) memcpy(message + 8, target->bytes, 16);
    if (option) {
        message[len] = option;
        message[len + 1] = 1;
        memcpy(message + len + 2, st->config.mac, 6);
        len += OPTION_BYTES;
    }
    if (!mac) {
        ipv6_multicast_mac(to, group_mac);
        mac = group_mac;
    }
    icmp6_send(st, mac, from, to, ND_HOPS, message, len);
}

void nd_ask(struct net_stack *st, const struct net_addr *addr, const struct net_addr *from, const uint8_t *mac)
{
    struct net_addr to = mac ? *addr : ipv6_solicited_node(addr);
    message_send(st, ND_NEIGHBOR_SOLICIT, 0, addr, ND_OPT_SOURCE_LINKADDR, from, &to, mac);
}

void nd_probe(struct net_stack *st, const struct net_addr *addr)
{
    struct net_addr to = ipv6_solicited_node(addr);
    message_send(st, ND_NEIGHBOR_SOLICIT, 0, addr, 0, &unspecified, &to, NULL);
}

static void advertise(struct net_stack *st, uint32_t flags, const struct net_addr *addr, const struct net_addr *to,
                      const uint8_t *mac)
{
    message_send(st, ND_NEIGHBOR_ADVERT, flags, addr, ND_OPT_TARGET_LINKADDR, addr, to, mac);
}

#define NA_SOLICITED (UINT32_C(1) << 30)
#define NA_OVERRIDE (UINT32_C(1) << 29)

void nd_announce(struct net_stack *st, const struct net_addr *addr)
{
    advertise(st, NA_OVERRIDE, addr, &all_nodes, NULL);
}

void nd_router_solicit(struct net_stack *st)
{
    struct net_addr from;
    if (!route_source(st, &all_routers, &from)) return;
    uint8_t option = claim_optimistic(st, &from) ? 0 : ND_OPT_SOURCE_LINKADDR; /* RFC 4429 3.2 */
    message_send(st, ND_ROUTER_SOLICIT, 0, NULL, option, &from, &all_routers, NULL);
}

/* RFC 4861 7.1.1, 7.2.3, 7.2.4. */
static bool solicit_rx(struct net_stack *st, const struct net_addr *from, const struct net_addr *to, const uint8_t *p,
                       uint32_t len, const uint8_t *frame_mac)
{
    struct nd_options o;
    struct net_addr target;
    if (p[1] != 0 || len < sizeof(struct nd_neighbor_solicit)) return false;
    target = net_addr_v6(p + 8);
    if (net_addr_is_multicast(&target) || !options_parse(p + 24, len - 24, &o)) return false;
    if (!stack_owns(st, &target)) return true;
    if (net_addr_is_any(from)) { /* somebody probes for our address: RFC 4862 5.4.3 */
        if (o.source_mac || !net_addr_is_multicast(to)) return false;
        if (memcmp(frame_mac, st->config.mac, 6) == 0) return true; /* our own, come back */
        claim_probed(st, &target);
        return true;
    }
    if (!o.source_mac && net_addr_is_multicast(to)) return false;
    if (o.source_mac) neighbour_learn(st, from, o.source_mac, NEIGHBOUR_OVERRIDE | NEIGHBOUR_ADD);
    uint32_t override = claim_optimistic(st, &target) ? 0 : NA_OVERRIDE; /* RFC 4429 3.2 */
    advertise(st, NA_SOLICITED | override, &target, from, o.source_mac ? o.source_mac : frame_mac);
    return true;
}

/* RFC 4861 7.1.2, 7.2.5. */
static bool advert_rx(struct net_stack *st, const struct net_addr *to, const uint8_t *p, uint32_t len)
{
    struct nd_options o;
    if (p[1] != 0 || len < sizeof(struct nd_neighbor_advert) || !options_parse(p + 24, len - 24, &o)) return false;
    struct net_addr target = net_addr_v6(p + 8);
    bool router = p[4] & 0x80, solicited = p[4] & 0x40, override = p[4] & 0x20;
    if (net_addr_is_multicast(&target) || (solicited && net_addr_is_multicast(to))) return false;
    if (stack_owns(st, &target)) {
        if (!o.target_mac || memcmp(o.target_mac, st->config.mac, 6) != 0) claim_conflict(st, &target);
        return true;
    }
    unsigned news = (solicited ? NEIGHBOUR_CONFIRMED : 0u) | (override ? NEIGHBOUR_OVERRIDE : 0u);
    /* Who was asked by himself need not say where he is: Linux does not. RFC 4861 4.4 */
    bool taken = neighbour_learn(st, &target, o.target_mac, news);
    if (taken && !router) route_forget_router(st, &target);
    return true;
}

static uint32_t load_be32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return rte_be_to_cpu_32(v);
}

/* A prefix option: on the link, for addresses, both or neither. RFC 4861 4.6.2, 6.3.4. */
static void prefix_take(struct net_stack *st, const uint8_t *option, bool to_all)
{
    struct autoconf_prefix news = {.prefix = {net_addr_v6(option + 16), option[2]},
                                   .valid_s = load_be32(option + 4),
                                   .preferred_s = load_be32(option + 8),
                                   .to_all = to_all};
    const struct net_addr *addr = &news.prefix.addr;
    if (option[2] > 128 || net_addr_is_link_local(addr) || net_addr_is_v4(addr) || net_addr_is_multicast(addr)) return;
    struct net_route on_link = {.to = news.prefix};
    uint64_t life = news.valid_s == UINT32_MAX ? UINT64_MAX : news.valid_s * SECOND_NS;
    if (option[3] & ND_OPT_PI_FLAG_ONLINK) route_learn(st, &on_link, life);
    if (option[3] & ND_OPT_PI_FLAG_AUTO) autoconf_prefix(st, &news);
}

/* RFC 4861 6.1.2, 6.3.4. */
static bool router_rx(struct net_stack *st, const struct net_addr *from, const struct net_addr *to, const uint8_t *p,
                      uint32_t len)
{
    struct nd_options o;
    if (!net_addr_is_link_local(from) || p[1] != 0 || len < sizeof(struct nd_router_advert)) return false;
    if (!options_parse(p + 16, len - 16, &o)) return false;
    if (!st->config.router_discovery) return true;
    metric_add(&st->metrics.router_adverts, 1);
    struct net_route by_default = {.via = *from};
    route_learn(st, &by_default, (uint64_t)(p[6] << 8 | p[7]) * SECOND_NS);
    if (o.source_mac) neighbour_learn(st, from, o.source_mac, NEIGHBOUR_OVERRIDE | NEIGHBOUR_ADD);
    for (uint32_t at = 16; at < len; at += p[at + 1] * 8u)
        if (p[at] == ND_OPT_PREFIX_INFORMATION && p[at + 1] * 8u == PREFIX_OPTION_BYTES)
            prefix_take(st, p + at, net_addr_is_multicast(to));
    return true;
}

bool nd_input(struct net_stack *st, const struct rte_mbuf *m, uint32_t at)
{
    const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *), *ip = frame + st->ip_at, *p = frame + at;
    struct net_addr from = net_addr_v6(ip + 8), to = net_addr_v6(ip + 24);
    uint32_t len = m->data_len - at;
    if (ip[7] != ND_HOPS || m->data_len != m->pkt_len) return false;
    switch (p[0]) {
    case ND_NEIGHBOR_SOLICIT: return solicit_rx(st, &from, &to, p, len, frame + 6);
    case ND_NEIGHBOR_ADVERT: return advert_rx(st, &to, p, len);
    case ND_ROUTER_ADVERT: return router_rx(st, &from, &to, p, len);
    default: return false; /* solicitations are for routers; redirects are not followed */
    }
}
