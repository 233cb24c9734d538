/*
 * Which core a received frame belongs to, where the device or its peer does not see to that. A connection lives on the
 * core of its SYN; so every later segment, and ICMP messages that quote one, must lead to the same core. Pure.
 */
#ifndef POLAR_NET_STEER_H
#define POLAR_NET_STEER_H

#include <stdbool.h>
#include <stdint.h>
#include <rte_mbuf.h>

#define STEER_ALL UINT16_MAX /* every core is to see it: what neighbours and routers say of themselves */

struct steer {
    uint64_t secret;           /* so that no peer can choose one core for all its connections */
    uint16_t cores;
    bool by_hash;              /* segments for listeners go by hash; else they stay where the device put them */
    uint16_t client_first, client_last; /* source ports of active opens, divided between the cores */
    uint64_t listening[UINT16_MAX / 64 + 1]; /* bits: these ports are not the clients'. Atomic, relaxed */
};

/* No port listens yet. */
void steer_init(struct steer *s, uint16_t cores, uint64_t secret, uint16_t client_first, uint16_t client_last);
void steer_listen(struct steer *s, uint16_t port); /* host byte order; any thread */
/* A core's part of the client ports. */
void steer_ports(const struct steer *s, uint16_t core, uint16_t *first, uint16_t *last);
/* The core of frame m that came to core `here`, or STEER_ALL. What is no TCP segment, whole or quoted, stays. */
uint16_t steer_home(const struct steer *s, const struct rte_mbuf *m, uint16_t here);

#endif
