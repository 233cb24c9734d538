/*
 * IP addresses of both families. An IPv4 address is kept as the IPv6 address that maps it (::ffff:a.b.c.d, RFC 4291
 * 2.5.5.2), so that all of them compare, hash and copy alike; bytes are in network order.
 */
#ifndef POLAR_NET_ADDR_H
#define POLAR_NET_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <rte_byteorder.h>

#define NET_ADDRS_MAX 32u     /* of one port */
#define NET_ADDR_TEXT 46u     /* bytes of the longest address and its zero */
#define NET_ENDPOINT_TEXT 56u /* of "[address]:65535" */

struct net_addr {
    union {
        uint8_t bytes[16];
        uint32_t be32[4];
        uint64_t be64[2];
    };
};

struct net_prefix {
    struct net_addr addr; /* all of its bits: of an interface's address the host part too */
    uint8_t len;          /* bits of its own family: 0..32 or 0..128 */
};

struct net_endpoint {
    struct net_addr addr;
    uint16_t port;        /* host byte order */
};

#define NET_V4_MAPPED RTE_STATIC_BSWAP32(0xffffu) /* be32[2] of an IPv4 address */

/* From and to an IPv4 address as it lies in a packet. */
static inline struct net_addr net_addr_v4_be(uint32_t be)
{
    return (struct net_addr){.be32 = {0, 0, NET_V4_MAPPED, be}};
}

/* From host byte order. */
static inline struct net_addr net_addr_v4(uint32_t ip) { return net_addr_v4_be(rte_cpu_to_be_32(ip)); }

/* From the 16 bytes of a packet. */
static inline struct net_addr net_addr_v6(const void *bytes)
{
    struct net_addr a;
    memcpy(a.bytes, bytes, sizeof a.bytes);
    return a;
}

static inline struct net_endpoint net_endpoint_v4(uint32_t ip, uint16_t port)
{
    return (struct net_endpoint){net_addr_v4(ip), port};
}

static inline bool net_addr_equal(const struct net_addr *a, const struct net_addr *b)
{
    return ((a->be64[0] ^ b->be64[0]) | (a->be64[1] ^ b->be64[1])) == 0;
}

static inline bool net_addr_is_v4(const struct net_addr *a) { return a->be64[0] == 0 && a->be32[2] == NET_V4_MAPPED; }

/* :: or 0.0.0.0. */
static inline bool net_addr_is_any(const struct net_addr *a)
{
    return a->be64[0] == 0 && (a->be32[2] == 0 || a->be32[2] == NET_V4_MAPPED) && a->be32[3] == 0;
}

/* fe80::/10. */
static inline bool net_addr_is_link_local(const struct net_addr *a)
{
    return a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

static inline bool net_addr_is_multicast(const struct net_addr *a)
{
    return net_addr_is_v4(a) ? (a->bytes[12] & 0xf0) == 0xe0 : a->bytes[0] == 0xff;
}

/* Whether a lies in p; never across families. */
bool net_prefix_contains(const struct net_prefix *p, const struct net_addr *a);

/* "10.9.0.1" or "2001:db8::1", nothing before or behind. 0 or -EINVAL. Control path, as what follows. */
int net_addr_parse(const char *text, struct net_addr *addr);
/* Addresses separated by commas, none of an empty text. Returns how many, or -EINVAL (malformed, or more than max). */
int net_addr_list_parse(const char *text, struct net_addr *addrs, unsigned max);
/* "10.9.0.1/24", "2001:db8::1/64"; the prefix is needed. 0 or -EINVAL. */
int net_prefix_parse(const char *text, struct net_prefix *prefix);
/* Addresses with their prefixes, separated by commas. Returns how many, or -EINVAL (malformed, or more than max). */
int net_prefix_list_parse(const char *text, struct net_prefix *prefixes, unsigned max);
/* Both return text. */
char *net_addr_format(const struct net_addr *addr, char text[static NET_ADDR_TEXT]);
/* "10.9.0.1:80", "[2001:db8::1]:80". */
char *net_endpoint_format(const struct net_endpoint *endpoint, char text[static NET_ENDPOINT_TEXT]);

#endif
