/*
 * What is known of hosts, by their address: tables of a fixed size, in sets of a few. A table is an array of entries that
 * each begin with struct tcp_known; all zero is empty. Core of the stack only.
 */
#ifndef POLAR_NET_TCP_TCP_KNOWN_H
#define POLAR_NET_TCP_TCP_KNOWN_H

#include <stddef.h>
#include <stdint.h>
#include "net/addr.h"

#define TCP_KNOWN_WAYS 4u

struct tcp_known {
    struct net_addr addr;
    uint64_t used_at; /* ns; 0: free */
};

/* The entry of addr in a table of `count` entries of `bytes` each (a multiple of TCP_KNOWN_WAYS). NULL: there is none. */
void *tcp_known_find(void *table, size_t bytes, uint32_t count, const uint64_t secret[2], const struct net_addr *addr);
/* The entry that addr would take, as it is: free, or the longest unused of its set. There is none of addr yet. */
void *tcp_known_room(void *table, size_t bytes, uint32_t count, const uint64_t secret[2], const struct net_addr *addr);

#endif
