/*
 * Whose connection a segment is: both addresses and both ports. The connection table works with a 64-bit keyed hash of
 * them, which a stranger can neither aim at nor guess; what it finds is compared in full with the connection's header
 * (tcp_frame.c), so that two tuples of one hash, one pair in 2^64, are kept apart.
 */
#ifndef POLAR_NET_TCP_TCP_TUPLE_H
#define POLAR_NET_TCP_TCP_TUPLE_H

#include <stdbool.h>
#include <stdint.h>
#include "net/addr.h"

struct tcp_tuple {
    struct net_addr local, remote;
    uint32_t ports; /* as they lie in a received segment: the remote one, then ours */
};

/* The two addresses of IPv6, from the stack's pool (tcp_pools.h). */
struct tcp_v6 {
    uint8_t addrs[32]; /* ours, then the peer's */
    uint64_t sum;      /* of them */
};

/* The two addresses in what there are many of: those of IPv4 take no more than they need. tcp_flow.c. */
union tcp_addrs {
    uint8_t v4[8]; /* as they lie in what we send: ours, then the peer's */
    struct tcp_v6 *v6;
};

static inline uint16_t tcp_tuple_local_port(uint32_t ports) { return rte_be_to_cpu_16((uint16_t)(ports >> 16)); }
static inline uint16_t tcp_tuple_remote_port(uint32_t ports) { return rte_be_to_cpu_16((uint16_t)ports); }

static inline uint32_t tcp_tuple_ports(uint16_t remote, uint16_t local)
{
    return rte_cpu_to_be_16(remote) | (uint32_t)rte_cpu_to_be_16(local) << 16;
}

/* A folded 64 by 64 bit product. */
static inline uint64_t tcp_key_fold(uint64_t a, uint64_t b)
{
    unsigned __int128 p = (unsigned __int128)a * b;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

/* secret: two random words. addrs: source and destination address of a received packet, as eight bytes of memory. */
static inline uint64_t tcp_key_v4(const uint64_t secret[2], uint64_t addrs, uint32_t ports)
{
    uint64_t x = tcp_key_fold(addrs ^ secret[0], secret[1] | 1);
    return tcp_key_fold(x ^ ports ^ secret[1], secret[0] | 1);
}

static inline uint64_t tcp_key_v6(const uint64_t secret[2], const uint64_t remote[2], const uint64_t local[2],
                                  uint32_t ports)
{
    uint64_t x = tcp_key_fold(remote[0] ^ secret[0], secret[1] | 1);
    x = tcp_key_fold(x ^ remote[1], secret[0] | 1);
    x = tcp_key_fold(x ^ local[0], secret[1] | 1);
    return tcp_key_v4(secret, x ^ local[1], ports);
}

static inline uint64_t tcp_tuple_key(const uint64_t secret[2], const struct tcp_tuple *t)
{
    if (net_addr_is_v4(&t->remote))
        return tcp_key_v4(secret, t->remote.be32[3] | (uint64_t)t->local.be32[3] << 32, t->ports);
    return tcp_key_v6(secret, t->remote.be64, t->local.be64, t->ports);
}

static inline bool tcp_tuple_equal(const struct tcp_tuple *a, const struct tcp_tuple *b)
{
    return a->ports == b->ports && net_addr_equal(&a->remote, &b->remote) && net_addr_equal(&a->local, &b->local);
}

#endif
