/*
 * A TAP device beside a port: the kernel's end of a wire that we own. Frames that are not ours are written to it, what
 * the kernel sends on it goes out of the port. It has the port's MAC, MTU and addresses, and is up.
 *
 * It outlives a crash, with the kernel's addresses, routes and connections on it, and the next start takes it up again;
 * a clean end removes it if we had made it.
 */
#ifndef POLAR_NET_EXCEPTION_TAP_H
#define POLAR_NET_EXCEPTION_TAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <rte_mbuf.h>
#include "net/exception_filter.h"

struct exception_tap;

struct exception_tap_config {
    const char *name; /* of the interface */
    uint8_t mac[6];
    uint16_t mtu; /* IP bytes */
    const struct net_prefix *addrs;
    unsigned addr_count;
};

/* Control thread. 0 or -errno, with one line in err_text. */
int exception_tap_open(struct exception_tap **out, const struct exception_tap_config *config, char *err_text,
                       size_t err_cap);
void exception_tap_close(struct exception_tap **tap);
/* To wait on for frames of the kernel. */
int exception_tap_fd(const struct exception_tap *tap);
/* Any thread. False: the kernel did not take the frame. m stays the caller's. */
bool exception_tap_write(struct exception_tap *tap, const struct rte_mbuf *m);
/* One thread at a time. The next frame of the kernel into an empty buffer: 1; 0: there is none now; -1: it was longer
 * than the buffer, and dropped. */
int exception_tap_read(struct exception_tap *tap, struct rte_mbuf *m);

#endif
