/*
 * Option core-ports: a client that knows which core has a key (by its cluster slot, base/slot.h) asks that core at
 * once. Every port P that all cores share, of kernel sockets and of RDMA, has a port P + 1 + i beside it for core i
 * alone; INFO and stats tell the offsets and the slots. Not on a DPDK port: there the device divides connections, by
 * their hash.
 */
#ifndef POLAR_SERVER_CORE_PORTS_H
#define POLAR_SERVER_CORE_PORTS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct config;
struct core;
struct server;

/* Ports that belong to a shared one, itself among them: 1 without the option. */
unsigned core_ports_count(const struct config *config);
/* Of core i, beside a shared port. */
static inline uint16_t core_port(uint16_t shared, unsigned core)
{
    return (uint16_t)(shared + 1 + core);
}

/* Whether those of two shared ports meet. */
bool core_ports_meet(const struct config *config, uint64_t one, uint64_t other);
/* Whether they exist, and those of kernel sockets do not meet; else one line says so. Cores have been counted. */
bool core_ports_check(const struct config *config);
/* Whether somebody else has one of the kernel sockets' ports, shared or not: with SO_REUSEPORT nobody would notice. 0
 * or -errno, logged. */
int core_ports_probe(const struct config *config);

/* Of each core its slots and its offset, in lines of INFO ("core0:slots=0-8191,port_offset=1") and of stats. Nothing
 * without the option. */
void core_ports_info(FILE *out, const struct server *server);
void core_ports_stats(FILE *out, const struct server *server);

#endif
