/*
 * Bifurcated drivers (mlx5 is one): the kernel's driver keeps the device, and DPDK gets only what flow rules send
 * there. The port was isolated before it was configured (port_config.isolate), so that without rules it receives
 * nothing; each claim is a rule in the device for TCP to an address and port. The rules go with the process, however it
 * ends. One caller at a time.
 */
#ifndef POLAR_NET_EXCEPTION_FLOW_H
#define POLAR_NET_EXCEPTION_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "net/addr.h"

struct exception_flow;

struct exception_flow_config {
    uint16_t port;   /* DPDK's number of a started, isolated port */
    uint16_t queues; /* that the rules spread over by RSS; 1: to queue 0 */
};

/* 0 or -errno, with one line in err_text. */
int exception_flow_open(struct exception_flow **out, const struct exception_flow_config *config, char *err_text,
                        size_t err_cap);
/* Takes the rules back. */
void exception_flow_close(struct exception_flow **flow);
/* port in host byte order. 0 or -errno (what the device refuses is logged). */
int exception_flow_claim(struct exception_flow *flow, const struct net_addr *addr, uint16_t port, bool claim);
/* Rules for all ports first..last: as many as there are aligned blocks in the range, at most 30. 0 or -errno, with one
 * line in err_text. */
int exception_flow_clients(struct exception_flow *flow, const struct net_addr *addr, uint16_t first, uint16_t last,
                           char *err_text, size_t err_cap);

#endif
