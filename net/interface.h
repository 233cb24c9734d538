/* What the kernel says of its network interfaces. Control path. */
#ifndef POLAR_NET_INTERFACE_H
#define POLAR_NET_INTERFACE_H

#include <stdbool.h>
#include <stdint.h>

/* Whether the interface has this address in the kernel. IPv4 as ::ffff:a.b.c.d. */
bool net_interface_has(const char *iface, const uint8_t addr[16]);
/* Gives it this address; len: bits of the prefix, of the address's own family. 0, also when it has it, or -errno. */
int net_interface_add(const char *iface, const uint8_t addr[16], uint8_t len);

#endif
