/*
 * Which RDMA devices this machine has, and why an address cannot be served by one: each failure as one line of text
 * that says what to do. Set-up thread.
 */
#ifndef POLAR_RDMA_DISCOVER_H
#define POLAR_RDMA_DISCOVER_H

#include <stddef.h>
#include <sys/socket.h>
#include "rdma/cm.h"

/*
 * The connection manager and an event channel of it, whose descriptor is non-blocking. 0; -ENODEV, -EACCES, ... with
 * text: no device, no connection manager in the kernel, none for programs.
 */
int rdma_discover(const struct rdma_cm **cm, struct rdma_event_channel **channel, char *text, size_t cap);
/* The other way round; all that was made on the channel is destroyed. NULL: nothing. */
void rdma_discover_end(const struct rdma_cm **cm, struct rdma_event_channel **channel);
/* An id bound to the address; id->verbs is NULL only for the wildcard. 0 or -errno with text. */
int rdma_discover_bind(const struct rdma_cm *cm, struct rdma_event_channel *channel,
                       const struct sockaddr_storage *address, struct rdma_cm_id **id, char *text, size_t cap);
/* Whether rdma_discover and rdma_discover_bind would succeed for the address now; holds nothing after. */
int rdma_discover_probe(const struct sockaddr_storage *address, char *text, size_t cap);

#endif
