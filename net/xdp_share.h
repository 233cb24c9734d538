/*
 * AF_XDP on an interface whose address the kernel keeps. Our XDP program (xdp_share.bpf.c) hands to our sockets only
 * the TCP that is claimed here; everything else stays in the kernel. DPDK's net_af_xdp loads and attaches it, as its
 * vdev argument xdp_prog says; here we hand it the program, find its maps, and clean up.
 *
 * When we die the program stays attached, but finds no socket and passes everything on: the kernel's own services do
 * not notice. The next start replaces it. Only one process shares an interface at a time (an abstract UNIX socket is
 * the lock: it goes with the process and belongs to the network namespace, as the interface does).
 *
 * Frames reach us only from the receive queues that have a socket: an interface with more of them than the port has
 * needs `ethtool -L IFACE combined N`.
 *
 * Control thread only, but for what exception.c guards.
 */
#ifndef POLAR_NET_XDP_SHARE_H
#define POLAR_NET_XDP_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "net/addr.h"

struct xdp_share;

/* Name of the interface in an AF_XDP vdev argument; false: it is none, or names no interface. cap: at least
 * IF_NAMESIZE. */
bool xdp_share_interface(const char *vdev, char *iface, size_t cap);
/* Detaches a program of ours that a dead process left on the interface. 0, also when there is none; -EBUSY: its process
 * lives. */
int xdp_share_clear(const char *iface);

/*
 * Before EAL starts. Takes the interface for us and clears what we may have left on it. 0 or -errno (-ENOTSUP: built
 * without clang; -EBUSY: another process or a foreign program is there), with one line in err_text.
 */
int xdp_share_open(struct xdp_share **out, const char *iface, char *err_text, size_t err_cap);
/* Path for DPDK's xdp_prog; valid until close. */
const char *xdp_share_path(const struct xdp_share *share);
/* After the port is open: finds the attached program's maps. 0 or -errno with a line in err_text. */
int xdp_share_attach(struct xdp_share *share, char *err_text, size_t err_cap);
/* The address is served here; client ports first..last on it are ours (host byte order; 0,0: none). 0 or -errno. */
int xdp_share_set_address(struct xdp_share *share, const struct net_addr *addr, uint16_t first, uint16_t last);
/* TCP to this address and port (host byte order) is ours from now on, or no more. 0 or -errno. */
int xdp_share_claim(struct xdp_share *share, const struct net_addr *addr, uint16_t port, bool claim);
/* After the port is closed. Detaches the program if it is still there. */
void xdp_share_close(struct xdp_share **share);

#endif
