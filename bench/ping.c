#include "bench/ping.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rte_cycles.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include "base/clock.h"
#include "base/log.h"
#include "bench/histogram.h"
#include "net/port.h"

#define FRAME_BYTES 64u
#define ETHER_TYPE 0x88b5u /* IEEE 802: for local experiments */
#define WARM_TRIPS 2000u
#define LINK_SECONDS 5u
#define ANSWER_MILLISECONDS 100u
#define LOST_MAX 50u       /* in a row, before giving up */
#define SIGNAL_LOOK 65536u /* idle polls between two looks at pending signals */

struct ping_wire {
    struct buf_pools pools;
    struct port *port;
};

static void pin(int cpu)
{
    cpu_set_t set;
    if (cpu < 0) return;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    int rc = pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    if (rc != 0) log_warn("not pinned to processor %d: %s", cpu, strerror(rc));
}

static void wire_close(struct ping_wire *wire)
{
    if (wire->port) port_close(&wire->port);
    if (wire->pools.frame) buf_pools_destroy(&wire->pools);
}

static int wire_open(struct ping_wire *wire, const struct bench_plan *plan)
{
    char text[256] = "";
    uint32_t room = port_frame_room((uint16_t)plan->options.mtu);
    struct buf_pools_config pools = {.frame_count = 8192, .small_count = 512, .ref_count = 512, .frame_room = room};
    int rc = buf_pools_create(&wire->pools, &pools);
    if (rc != 0) return rc;
    struct port_config port = {
        .device = plan->device, .queues = 1, .mtu = (uint16_t)plan->options.mtu, .pools = &wire->pools};
    rc = port_open(&wire->port, &port, text, sizeof text);
    if (rc != 0) {
        log_error("%s", text);
        wire_close(wire);
    }
    return rc;
}

static bool stop_asked(void)
{
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, SIGINT) || sigismember(&pending, SIGTERM);
}

int ping_serve(const struct bench_plan *plan)
{
    struct ping_wire wire = {0};
    int rc = wire_open(&wire, plan);
    if (rc != 0) return rc;
    pin(plan->cpus[0]);
    uint64_t end = rte_rdtsc() + (uint64_t)((double)plan->duration_ns * 1e-9 * (double)clock_tsc_hz());
    for (uint32_t idle = 0; rte_rdtsc() < end;) {
        struct rte_mbuf *frames[PORT_BURST];
        uint16_t n = port_rx(wire.port, 0, frames, PORT_BURST);
        if (n > 0)
            port_tx(wire.port, 0, frames, n);
        else if (++idle % SIGNAL_LOOK == 0 && stop_asked())
            break;
    }
    wire_close(&wire);
    return 0;
}

static struct rte_mbuf *frame_make(struct ping_wire *wire, uint32_t serial)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(wire->pools.frame);
    if (!m) return NULL;
    m->pkt_len = m->data_len = FRAME_BYTES;
    uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
    struct rte_ether_hdr *ether = (struct rte_ether_hdr *)p;
    memset(p, 0, FRAME_BYTES);
    memset(&ether->dst_addr, 0xff, sizeof ether->dst_addr);
    memcpy(&ether->src_addr, port_caps(wire->port)->mac, sizeof ether->src_addr);
    ether->ether_type = rte_cpu_to_be_16(ETHER_TYPE);
    memcpy(p + sizeof *ether, &serial, sizeof serial);
    return m;
}

/* Ours, and the one awaited: late answers are passed over. */
static bool frame_is(const struct rte_mbuf *m, uint32_t serial)
{
    const struct rte_ether_hdr *ether = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
    return m->data_len >= FRAME_BYTES && ether->ether_type == rte_cpu_to_be_16(ETHER_TYPE) &&
           memcmp(ether + 1, &serial, sizeof serial) == 0;
}

/* One round trip in TSC ticks; 0: no answer in time. */
static uint64_t trip(struct ping_wire *wire, uint32_t serial, uint64_t patience)
{
    struct rte_mbuf *m = frame_make(wire, serial), *frames[PORT_BURST];
    if (!m) return 0;
    uint64_t start = rte_rdtsc(), now = start;
    port_tx(wire->port, 0, &m, 1);
    while (now - start < patience) {
        bool found = false;
        uint16_t n = port_rx(wire->port, 0, frames, PORT_BURST);
        now = rte_rdtsc();
        for (uint16_t i = 0; i < n; i++) {
            found |= frame_is(frames[i], serial);
            rte_pktmbuf_free(frames[i]);
        }
        if (found) return now - start;
    }
    return 0;
}

struct ping_result {
    struct histogram ns;
    uint64_t least_ns;
    uint32_t lost;
};

static int measure(struct ping_wire *wire, const struct bench_plan *plan, struct ping_result *result)
{
    double ns_per_tsc = 1e9 / (double)clock_tsc_hz();
    uint64_t patience = clock_tsc_hz() / 1000 * ANSWER_MILLISECONDS;
    uint32_t trips = (uint32_t)plan->options.ping_count + WARM_TRIPS, lost_in_a_row = 0;
    histogram_init(&result->ns);
    result->least_ns = UINT64_MAX;
    for (uint32_t i = 0; i < trips; i++) {
        uint64_t ticks = trip(wire, i, patience);
        if (ticks == 0) {
            result->lost++;
            if (++lost_in_a_row == LOST_MAX) return -ENETUNREACH;
            continue;
        }
        lost_in_a_row = 0;
        uint64_t ns = (uint64_t)((double)ticks * ns_per_tsc);
        if (i < WARM_TRIPS) continue;
        histogram_record(&result->ns, ns);
        if (ns < result->least_ns) result->least_ns = ns;
    }
    return result->ns.count > 0 ? 0 : -ENETUNREACH;
}

static void print_result(const struct bench_plan *plan, const struct ping_result *r)
{
    const struct histogram *h = &r->ns;
    unsigned long long least = r->least_ns, p50 = histogram_quantile(h, 0.5), p99 = histogram_quantile(h, 0.99);
    const char *path = plan->options.json;
    if (strcmp(path, "-") != 0)
        printf("%llu round trips of %u-byte frames: least %llu ns, p50 %llu ns, p99 %llu ns, max %llu ns, lost %u\n",
               (unsigned long long)h->count, FRAME_BYTES, least, p50, p99, (unsigned long long)h->max, r->lost);
    if (!*path) return;
    FILE *out = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");
    if (!out) {
        log_error("%s: %s", path, strerror(errno));
        return;
    }
    fprintf(out,
            "{\"count\": %llu, \"min_ns\": %llu, \"p50_ns\": %llu, \"p99_ns\": %llu, \"max_ns\": %llu, \"lost\": %u}\n",
            (unsigned long long)h->count, least, p50, p99, (unsigned long long)h->max, r->lost);
    if (out != stdout) fclose(out);
}

int ping_run(const struct bench_plan *plan)
{
    struct ping_wire wire = {0};
    struct ping_result *result = calloc(1, sizeof *result);
    if (!result) return -ENOMEM;
    int rc = wire_open(&wire, plan);
    if (rc != 0) goto free_result;
    pin(plan->cpus[0]);
    for (unsigned ms = 0; !port_link_up(wire.port) && ms < LINK_SECONDS * 1000; ms++) rte_delay_us_sleep(1000);
    rc = measure(&wire, plan, result);
    if (rc == 0)
        print_result(plan, result);
    else
        log_error("device %s: no frame comes back: is --ping-serve at the other end?", plan->device);
    wire_close(&wire);
free_result:
    free(result);
    return rc;
}
