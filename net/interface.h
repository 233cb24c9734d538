/* What the kernel says of its network interfaces. Control path. */
#ifndef POLAR_NET_INTERFACE_H
#define POLAR_NET_INTERFACE_H

#include <stdbool.h>
#include <stdint.h>

/* Whether the interface has this IPv4 address (host byte order) in the kernel. */
bool net_interface_has(const char *iface, uint32_t ip);

#endif
