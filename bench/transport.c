#include "bench/transport.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <rte_cycles.h>
#include "base/log.h"

#define KERNEL_FRAME_ROOM 8192u /* one read takes a reply with a 4 KB value */
#define KERNEL_FRAMES 8192u
#define TCP_FRAMES 12288u /* twice a deep receive ring, and what is on its way */
#define RDMA_FRAMES 256u  /* its connections receive into memory of their own */
#define BUFFERS_SPARE 16384u
#define BUFFERS_MAX 262144u
#define MBUF_OVERHEAD 384u /* struct, headroom, pool's own */
#define LINK_WAIT_MS 5000u
#define LINGERING 4096u /* connections closed for others */

/* Requests in flight of one thread. */
static uint64_t in_flight_of(const struct bench_plan *plan)
{
    return ((uint64_t)plan->connections * plan->pipeline + plan->threads - 1) / plan->threads;
}

static uint32_t capped(uint64_t n)
{
    return n < BUFFERS_MAX ? (uint32_t)n : BUFFERS_MAX;
}

static struct buf_pools_config pools_config(const struct bench_plan *plan, unsigned thread)
{
    uint64_t in_flight = in_flight_of(plan);
    struct buf_pools_config config = {.core = thread, .frame_count = KERNEL_FRAMES, .frame_room = KERNEL_FRAME_ROOM};
    if (plan->transport == BENCH_TCP) {
        config.frame_count = TCP_FRAMES;
        config.frame_room = port_frame_room((uint16_t)plan->options.mtu);
    }
    if (plan->transport == BENCH_RDMA) config.frame_count = RDMA_FRAMES;
    config.small_count = capped(BUFFERS_SPARE + 3 * in_flight); /* request, its header, its tail */
    config.ref_count = capped(BUFFERS_SPARE + in_flight * (2 + plan->value_max / 1024));
    return config;
}

uint32_t transport_connections_most(const struct bench_plan *plan)
{
    uint32_t open = plan->connections + (uint32_t)plan->options.idle_connections + 8;
    return plan->options.reconnect ? 2 * open + LINGERING : open;
}

uint32_t transport_memory_mib(const struct bench_plan *plan)
{
    struct buf_pools_config c = pools_config(plan, 0);
    uint64_t bytes = (uint64_t)c.frame_count * (c.frame_room + MBUF_OVERHEAD) +
                     (uint64_t)c.small_count * (BUF_SMALL_ROOM + MBUF_OVERHEAD) +
                     (uint64_t)c.ref_count * MBUF_OVERHEAD + value_pattern_size(plan->value_max);
    return (uint32_t)((bytes * plan->threads >> 20) + 64);
}

static int pools_open(struct transport_set *set)
{
    for (uint32_t i = 0; i < set->threads; i++) {
        struct buf_pools_config config = pools_config(set->plan, i);
        int rc = buf_pools_create(&set->pools[i], &config);
        if (rc != 0) return rc;
    }
    return 0;
}

static int wait_for_link(struct port *port, const char *device)
{
    for (unsigned ms = 0; ms < LINK_WAIT_MS; ms++) {
        if (port_link_up(port)) return 0;
        rte_delay_us_sleep(1000);
    }
    log_error("device %s has no link after %u s: is the other end there?", device, LINK_WAIT_MS / 1000);
    return -ENETDOWN;
}

static int set_port_open(struct transport_set *set)
{
    char text[256] = "";
    struct port_config config = {.device = set->plan->device,
                                 .queues = (uint16_t)set->threads,
                                 .mtu = (uint16_t)set->plan->options.mtu,
                                 .no_tcp_checksum = !set->plan->options.port_checksums,
                                 .pools = set->pools};
    int rc = port_open(&set->port, &config, text, sizeof text);
    if (rc != 0) {
        log_error("%s", text);
        return rc;
    }
    if (port_queue_count(set->port) < set->threads) {
        log_error("device %s has %u queues: takes at most as many threads", config.device, port_queue_count(set->port));
        return -EINVAL;
    }
    return wait_for_link(set->port, config.device);
}

int transport_set_open(struct transport_set *set, const struct bench_plan *plan)
{
    *set = (struct transport_set){.plan = plan, .threads = plan->threads};
    set->pools = calloc(set->threads, sizeof *set->pools);
    if (!set->pools) return -ENOMEM;
    int rc = pools_open(set);
    if (rc == 0 && plan->transport == BENCH_TCP) rc = set_port_open(set);
    if (rc != 0) transport_set_close(set);
    return rc;
}

void transport_set_close(struct transport_set *set)
{
    if (set->port) port_close(&set->port);
    for (uint32_t i = 0; set->pools && i < set->threads; i++)
        if (set->pools[i].frame) buf_pools_destroy(&set->pools[i]);
    free(set->pools);
    set->pools = NULL;
}

int transport_create(struct transport *t, struct transport_set *set, uint32_t thread, struct reactor *reactor)
{
    *t = (struct transport){0};
    if (set->plan->transport == BENCH_TCP) return transport_tcp_create(t, set, thread);
    if (set->plan->transport == BENCH_RDMA) return transport_rdma_create(t, set, thread, reactor);
    return transport_kernel_create(t, set, thread, reactor);
}
