/* The hash by which devices spread connections over their queues (Microsoft's RSS). Pure. */
#ifndef POLAR_NET_TOEPLITZ_H
#define POLAR_NET_TOEPLITZ_H

#include <stdint.h>

#define TOEPLITZ_KEY_BYTES 40u /* reaches over two IPv6 addresses and two ports */

/* len: at most TOEPLITZ_KEY_BYTES - 4. */
uint32_t toeplitz_hash(const uint8_t key[TOEPLITZ_KEY_BYTES], const void *data, uint32_t len);
/* Of an IPv4 TCP segment as the receiver sees it; all in the byte order of the frame. */
uint32_t toeplitz_ipv4(const uint8_t key[TOEPLITZ_KEY_BYTES], uint32_t src_be, uint32_t dst_be, uint16_t src_port_be,
                       uint16_t dst_port_be);

#endif
