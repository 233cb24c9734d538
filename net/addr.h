/* IPv4 addresses as text. Numbers in host byte order. Control path. */
#ifndef POLAR_NET_ADDR_H
#define POLAR_NET_ADDR_H

#include <stdint.h>

#define NET_ADDR_TEXT 16u /* bytes of "255.255.255.255" and its zero */

/* "10.9.0.1": four decimal numbers, nothing before or behind. 0 or -EINVAL. */
int net_addr_parse(const char *text, uint32_t *ip);
/* "10.9.0.1/24"; the prefix is needed, 0..32. 0 or -EINVAL. */
int net_addr_parse_prefix(const char *text, uint32_t *ip, uint8_t *prefix_len);
/* Returns text. */
char *net_addr_format(uint32_t ip, char text[static NET_ADDR_TEXT]);

#endif
