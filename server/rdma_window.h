/*
 * Option rdma-onesided: which RDMA clients are told where the shards lie and may read them by themselves
 * (rdma/window.h), and the time by which they judge. Built with RDMA only.
 */
#ifndef POLAR_SERVER_RDMA_WINDOW_H
#define POLAR_SERVER_RDMA_WINDOW_H

#include <stdint.h>
#include "rdma/core.h"

struct config;
struct core;

/* One-sided reads that a client may have under way at a time, as far as its device and ours have them. */
#define SERVER_WINDOW_READS 16u

/* What the core's datapath offers: nothing without the option. All stores are there before a client is. */
void server_window_offer(struct core *core, struct rdma_core_config *config);
/* How regions are registered with RDMA devices: IBV_ACCESS_ bits. */
int server_window_access(const struct config *config);
/* A poller for before all others; with the option only. */
void server_window_add_clock(struct core *core);

#endif
