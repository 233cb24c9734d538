/*
 * What the XDP program (xdp_share.bpf.c) and the server (xdp_share.c) say to each other: the maps' names, keys and
 * values. Addresses have 16 bytes; IPv4 ones are written as ::ffff:a.b.c.d.
 */
#ifndef POLAR_NET_XDP_SHARE_MAPS_H
#define POLAR_NET_XDP_SHARE_MAPS_H

#include <linux/types.h>

#define XDP_SHARE_PROGRAM "polar_share"
#define XDP_SHARE_ADDRESSES "polar_addresses"
#define XDP_SHARE_LISTENERS "polar_listeners"
#define XDP_SHARE_ADDRESSES_MAX 64
#define XDP_SHARE_LISTENERS_MAX 4096
#define XDP_SHARE_QUEUES_MAX 64

struct xdp_share_address {
    __u8 addr[16];
};

/* Value of an address: the ports our active opens use on it, host byte order; 0,0: none. */
struct xdp_share_clients {
    __u16 first, last;
};

/* Key of a listener; its value is one byte without meaning. */
struct xdp_share_listener {
    __u8 addr[16];
    __u16 port; /* network byte order */
    __u16 zero;
};

#endif
