/*
 * Ours or the kernel's: what xdp_share.bpf.c decides inside the kernel, in C for the ports where we see every frame
 * first. Ours is TCP to a claimed address and port, or to a client port, and the ICMP errors about such segments.
 * Answers to neighbour requests are for both: each asks on its own. All else is the kernel's, requests of neighbours
 * too: it answers.
 *
 * Claims change on the control thread (or under exception.c's lock) while the cores read: a bit is one relaxed store.
 */
#ifndef POLAR_NET_EXCEPTION_FILTER_H
#define POLAR_NET_EXCEPTION_FILTER_H

#include <stdbool.h>
#include <stdint.h>
#include <rte_mbuf.h>
#include "net/addr.h"

#define EXCEPTION_ADDRESSES_MAX 8u

enum frame_fate { FRAME_OURS, FRAME_KERNEL, FRAME_BOTH };

struct exception_address {
    struct net_addr addr;
    uint64_t claimed[65536 / 64]; /* bit a port */
    uint32_t clients;             /* first << 16 | last, host byte order; 0: none */
};

struct exception_filter {
    uint8_t mac[6];
    unsigned count;
    struct exception_address addresses[EXCEPTION_ADDRESSES_MAX];
};

/* Before the cores run. NULL: no room. */
struct exception_address *exception_filter_add(struct exception_filter *f, const struct net_addr *addr);
void exception_filter_claim(struct exception_address *a, uint16_t port, bool claim);
/* m: an Ethernet frame whose headers lie in its first segment; one that is cut short is the kernel's. */
enum frame_fate exception_filter_judge(const struct exception_filter *f, const struct rte_mbuf *m);

#endif
