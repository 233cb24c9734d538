/*
 * Neighbours for a stack that shares its address with the kernel on a port where the kernel gets all ARP and neighbour
 * discovery (AF_XDP with our program, bifurcated drivers): the answers to our own requests would never reach us. So
 * what the stack sends of either is taken out of its transmit bursts; a request becomes a question to the kernel, by
 * netlink, which resolves the neighbour itself if it must, and its answer comes back to the stack as the frame that the
 * neighbour would have sent. The stack notices nothing. RFC 826, 4861.
 *
 * Core of the stack only. Does not block.
 */
#ifndef POLAR_NET_KERNEL_RESOLVE_H
#define POLAR_NET_KERNEL_RESOLVE_H

#include <stdbool.h>
#include <stdint.h>
#include <rte_mbuf.h>

struct kernel_resolve;

/* ifindex: the kernel's interface of the port. pool: for the frames made here. 0 or -errno. */
int kernel_resolve_open(struct kernel_resolve **out, unsigned ifindex, const uint8_t mac[6], struct rte_mempool *pool);
void kernel_resolve_close(struct kernel_resolve **resolve);

/* Takes ARP and neighbour discovery out of frames, which keep their order; returns how many are left. */
uint16_t kernel_resolve_take(struct kernel_resolve *r, struct rte_mbuf **frames, uint16_t n, uint64_t now_ns);
/* Answers that have come, as received frames for the stack; at most max. Cheap when nothing was asked lately. */
uint16_t kernel_resolve_answers(struct kernel_resolve *r, struct rte_mbuf **frames, uint16_t max, uint64_t now_ns);

#endif
