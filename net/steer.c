#include "net/steer.h"

#include <netinet/in.h>
#include <string.h>
#include <rte_arp.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_icmp.h>
#include <rte_ip.h>

#define VLAN_BYTES 4u
#define EXTENSIONS_MAX 4u
#define ICMP_HEADER 8u
#define ICMP_UNREACHABLE 3u
#define ICMP_TIME_EXCEEDED 11u
#define ICMP_PARAMETER 12u
#define ICMP6_ERROR_LAST 127u
#define ICMP6_ROUTER_ADVERT 134u
#define ICMP6_NEIGHBOUR_SOLICIT 135u
#define ICMP6_NEIGHBOUR_ADVERT 136u
#define ICMP6_REDIRECT 137u

/* A frame's bytes in its first buffer. */
struct view {
    const uint8_t *p;
    uint32_t len;
};

/* A TCP segment's ends; the addresses are of addr_bytes each, source first. */
struct ends {
    const uint8_t *addresses;
    uint32_t addr_bytes;
    const uint8_t *ports; /* source, destination */
};

void steer_init(struct steer *s, uint16_t cores, uint64_t secret, uint16_t client_first, uint16_t client_last)
{
    memset(s, 0, sizeof *s);
    s->cores = cores;
    s->secret = secret;
    s->client_first = client_first;
    s->client_last = client_last;
}

void steer_listen(struct steer *s, uint16_t port)
{
    __atomic_fetch_or(&s->listening[port / 64], UINT64_C(1) << port % 64, __ATOMIC_RELAXED);
}

static bool listens(const struct steer *s, uint16_t port)
{
    return __atomic_load_n(&s->listening[port / 64], __ATOMIC_RELAXED) >> port % 64 & 1;
}

static uint32_t client_ports(const struct steer *s)
{
    return (uint32_t)s->client_last - s->client_first + 1;
}

void steer_ports(const struct steer *s, uint16_t core, uint16_t *first, uint16_t *last)
{
    uint32_t count = client_ports(s);
    *first = (uint16_t)(s->client_first + (core * count + s->cores - 1) / s->cores);
    *last = (uint16_t)(s->client_first + ((core + 1u) * count + s->cores - 1) / s->cores - 1);
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

/* swap: the segment is one of ours that an ICMP message quotes. The hash is of what its answer looks like. */
static uint16_t segment_home(const struct steer *s, const struct ends *e, bool swap, uint16_t here)
{
    uint16_t ports[2];
    memcpy(ports, e->ports, sizeof ports);
    uint16_t theirs = ports[swap], ours = ports[!swap], local = rte_be_to_cpu_16(ours);
    if (local >= s->client_first && local <= s->client_last && !listens(s, local))
        return (uint16_t)((uint32_t)(local - s->client_first) * s->cores / client_ports(s));
    if (!s->by_hash) return here;
    const uint8_t *from = e->addresses + (swap ? e->addr_bytes : 0);
    uint64_t hash = mix(s->secret ^ ((uint64_t)theirs << 16 | ours));
    for (uint32_t i = 0; i < e->addr_bytes; i += sizeof(uint32_t)) {
        uint32_t word;
        memcpy(&word, from + i, sizeof word);
        hash = mix(hash ^ word);
    }
    return (uint16_t)((hash >> 32) * s->cores >> 32);
}

/* The IPv4 header at v: its TCP ports, or *icmp when it carries ICMP. False: neither. */
static bool ipv4_ends(struct view v, struct ends *out, struct view *icmp)
{
    const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)v.p;
    if (v.len < sizeof *ip) return false;
    uint32_t header = (ip->version_ihl & RTE_IPV4_HDR_IHL_MASK) * 4u;
    if (ip->version_ihl >> 4 != 4 || header < sizeof *ip || v.len < header + 4) return false;
    if (ip->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_OFFSET_MASK)) return false;
    *icmp = (struct view){0};
    if (ip->next_proto_id == IPPROTO_ICMP) *icmp = (struct view){v.p + header, v.len - header};
    *out = (struct ends){(const uint8_t *)&ip->src_addr, sizeof ip->src_addr, v.p + header};
    return icmp->p || ip->next_proto_id == IPPROTO_TCP;
}

static bool extension(uint8_t protocol)
{
    return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING || protocol == IPPROTO_DSTOPTS;
}

static bool ipv6_ends(struct view v, struct ends *out, struct view *icmp)
{
    const struct rte_ipv6_hdr *ip = (const struct rte_ipv6_hdr *)v.p;
    if (v.len < sizeof *ip || v.p[0] >> 4 != 6) return false;
    uint32_t at = sizeof *ip;
    uint8_t protocol = ip->proto;
    for (unsigned i = 0; i < EXTENSIONS_MAX && extension(protocol) && v.len >= at + 8; i++) {
        protocol = v.p[at];
        at += (v.p[at + 1] + 1u) * 8u;
    }
    if (v.len < at + 4) return false;
    *icmp = (struct view){0};
    if (protocol == IPPROTO_ICMPV6) *icmp = (struct view){v.p + at, v.len - at};
    *out = (struct ends){(const uint8_t *)ip->src_addr, sizeof ip->src_addr, v.p + at};
    return icmp->p || protocol == IPPROTO_TCP;
}

/* Errors go where the segment came from that they quote. */
static uint16_t icmp_home(const struct steer *s, struct view icmp, uint16_t here)
{
    struct ends e;
    struct view inner;
    if (icmp.len < ICMP_HEADER) return here;
    struct view quoted = {icmp.p + ICMP_HEADER, icmp.len - ICMP_HEADER};
    if (icmp.p[0] != ICMP_UNREACHABLE && icmp.p[0] != ICMP_TIME_EXCEEDED && icmp.p[0] != ICMP_PARAMETER) return here;
    return ipv4_ends(quoted, &e, &inner) && !inner.p ? segment_home(s, &e, true, here) : here;
}

/* A probe for an address comes from none, and says that somebody else takes it for his. */
static bool icmp6_probe(struct view icmp, const uint8_t *source)
{
    static const uint8_t none[16];
    return icmp.p[0] == ICMP6_NEIGHBOUR_SOLICIT && memcmp(source, none, sizeof none) == 0;
}

static uint16_t icmp6_home(const struct steer *s, struct view icmp, const uint8_t *source, uint16_t here)
{
    struct ends e;
    struct view inner;
    uint8_t type = icmp.p[0];
    if (type == ICMP6_ROUTER_ADVERT || type == ICMP6_NEIGHBOUR_ADVERT || type == ICMP6_REDIRECT) return STEER_ALL;
    if (icmp6_probe(icmp, source)) return STEER_ALL;
    if (icmp.len < ICMP_HEADER || type > ICMP6_ERROR_LAST) return here;
    struct view quoted = {icmp.p + ICMP_HEADER, icmp.len - ICMP_HEADER};
    return ipv6_ends(quoted, &e, &inner) && !inner.p ? segment_home(s, &e, true, here) : here;
}

uint16_t steer_home(const struct steer *s, const struct rte_mbuf *m, uint16_t here)
{
    struct view v = {rte_pktmbuf_mtod(m, const uint8_t *), m->data_len}, icmp;
    struct ends e;
    uint32_t at = RTE_ETHER_HDR_LEN;
    uint16_t type;
    if (v.len < at + VLAN_BYTES) return here;
    memcpy(&type, v.p + at - sizeof type, sizeof type);
    if (type == rte_cpu_to_be_16(RTE_ETHER_TYPE_VLAN)) {
        at += VLAN_BYTES;
        memcpy(&type, v.p + at - sizeof type, sizeof type);
    }
    v = (struct view){v.p + at, v.len - at};
    if (type == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4)) {
        if (!ipv4_ends(v, &e, &icmp)) return here;
        return icmp.p ? icmp_home(s, icmp, here) : segment_home(s, &e, false, here);
    }
    if (type == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV6)) {
        if (!ipv6_ends(v, &e, &icmp)) return here;
        return icmp.p ? icmp6_home(s, icmp, e.addresses, here) : segment_home(s, &e, false, here);
    }
    return type == rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP) ? STEER_ALL : here;
}
