/* Numeric addresses with a port, as the options name them. Pure. */
#ifndef POLAR_RDMA_ADDRESS_H
#define POLAR_RDMA_ADDRESS_H

#include <stdbool.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define RDMA_ADDRESS_TEXT 80u /* of "[fe80::1%enp4s0f0np0]:65535" and its zero */

/* "10.0.0.1:6379", "[2001:db8::1]:6379", "[fe80::1%eth0]:6379"; port 1 to 65535. 0 or -EINVAL. */
int rdma_address_parse(const char *text, struct sockaddr_storage *out);
/* The other way round; "?" for another family. */
void rdma_address_format(const struct sockaddr *address, char text[static RDMA_ADDRESS_TEXT]);
bool rdma_address_is_any(const struct sockaddr_storage *address);
bool rdma_address_is_loopback(const struct sockaddr_storage *address);
uint16_t rdma_address_port(const struct sockaddr_storage *address);
void rdma_address_set_port(struct sockaddr_storage *address, uint16_t port);

#endif
