/* What the kernel says of its network interfaces. Control path. */
#ifndef POLAR_NET_INTERFACE_H
#define POLAR_NET_INTERFACE_H

#include <stdbool.h>
#include <stdint.h>
#include "net/addr.h"

/* Whether the interface has this address in the kernel. */
bool net_interface_has(const char *iface, const struct net_addr *addr);
/* Gives it this address; len: bits of the prefix, of the address's own family. 0, also when it has it, or -errno. */
int net_interface_add(const char *iface, const struct net_addr *addr, uint8_t len);

#endif
