/* The process: DPDK's environment, the port, its buffers, and which thread has which queue. */
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <rte_lcore.h>
#include <rte_memory.h>
#include "base/eal.h"
#include "net/addr.h"
#include "net/netcore.h"
#include "net/polar/polar_impl.h"
#include "net/polar/polar_share.h"

#define NAME_BYTES 64u
#define ADDRESSES_BYTES 1024u
#define BUFFERS_LEAST 4096u /* the receive ring holds a thousand */
#define MTU_DEFAULT 1500u

struct process_core {
    struct polar_thread *thread;   /* NULL: nobody's */
    struct buf_pools pools;
    struct stream_loop loop;
    struct clock_tsc clock;
    struct netcore netcore;
    bool registered;               /* rte_thread_register was ours */
};

static struct {
    pthread_mutex_t lock;
    bool started, used;            /* the environment starts once in a process */
    struct polar_config config;
    char address[ADDRESSES_BYTES], gateway[ADDRESSES_BYTES];
    struct port *port;
    struct polar_share share;
    struct clock_tsc clock;        /* of the share */
    struct process_core *cores;    /* [config.threads] */
    char error[256];
} process = {.lock = PTHREAD_MUTEX_INITIALIZER};

__attribute__((format(printf, 2, 3))) static int refuse(int rc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(process.error, sizeof process.error, format, args);
    va_end(args);
    return rc;
}

const char *polar_init_error(void) { return process.error; }

static int config_check(const struct polar_config *c)
{
    struct net_prefix addresses[NET_ADDRS_MAX];
    if (!c->vdev && !c->pci) return refuse(-EINVAL, "vdev or pci is missing");
    if (!c->address || net_prefix_list_parse(c->address, addresses, NET_ADDRS_MAX) < 1)
        return refuse(-EINVAL, "address %s is not of the form 10.9.0.1/24", c->address ? c->address : "");
    if (strlen(c->address) >= ADDRESSES_BYTES || (c->gateway && strlen(c->gateway) >= ADDRESSES_BYTES))
        return refuse(-EINVAL, "an address is too long");
    if (c->threads < 1 || c->threads > POLAR_THREADS_MAX)
        return refuse(-EINVAL, "threads %u is not in 1..%d", c->threads, POLAR_THREADS_MAX);
    if (c->buffers < BUFFERS_LEAST) return refuse(-EINVAL, "buffers %u is below %u", c->buffers, BUFFERS_LEAST);
    if (c->max_sockets < 1 || c->max_sockets > POLAR_SOCKETS_MOST)
        return refuse(-EINVAL, "max_sockets %u is not in 1..%u", c->max_sockets, POLAR_SOCKETS_MOST);
    if (c->mtu > UINT16_MAX) return refuse(-EINVAL, "mtu %u is above %u", c->mtu, UINT16_MAX);
    if (c->port_first < 1 || c->port_first > c->port_last || c->port_last > UINT16_MAX)
        return refuse(-EINVAL, "port_first..port_last %u..%u is no range of ports", c->port_first, c->port_last);
    if (c->nap_us > 1000000) return refuse(-EINVAL, "nap_us %u is above a second", c->nap_us);
    return 0;
}

static uint16_t mtu_of(const struct polar_config *c) { return (uint16_t)(c->mtu ? c->mtu : MTU_DEFAULT); }

/* Room for the buffers with DPDK's heads, and a margin for its rings and fragmentation. */
static uint32_t memory_needed(const struct polar_config *c)
{
    uint64_t each = port_frame_room(mtu_of(c)) + BUF_SMALL_ROOM + 3u * 320u + 2u * RTE_PKTMBUF_HEADROOM;
    return 64 + (uint32_t)(c->threads * (uint64_t)c->buffers * each >> 20) * 5 / 4;
}

static int environment_start(const struct polar_config *c)
{
    const char *vdev = share_vdev(&process.share, c);
    struct eal_config eal = {
        .program = "polarnet",
        .memory_mib = c->memory_mib ? c->memory_mib : memory_needed(c),
        .huge_pages = c->huge_pages,
        .pci = c->pci != NULL,
        .vdevs = &vdev,
        .vdev_count = vdev != NULL,
        .allow = &c->pci,
        .allow_count = c->pci != NULL,
    };
    process.used = true;
    int rc = eal_start(&eal);
    if (rc != 0) refuse(rc, "DPDK does not start: %s (its log says more)", strerror(-rc));
    return rc;
}

static int pools_start(const struct polar_config *c)
{
    for (uint32_t i = 0; i < c->threads; i++) {
        struct buf_pools_config pools = {.core = i, .frame_count = c->buffers, .small_count = c->buffers,
                                         .ref_count = c->buffers, .frame_room = port_frame_room(mtu_of(c))};
        int rc = buf_pools_create(&process.cores[i].pools, &pools);
        if (rc != 0) return refuse(rc, "no memory for %u buffers: give more memory_mib", c->buffers);
    }
    return 0;
}

static void pools_stop(const struct polar_config *c)
{
    for (uint32_t i = 0; i < c->threads; i++)
        if (process.cores[i].pools.frame) buf_pools_destroy(&process.cores[i].pools);
}

static const char *device_of(const struct polar_config *c, char text[NAME_BYTES])
{
    if (c->port) snprintf(text, NAME_BYTES, "%s", c->port);
    else if (c->vdev) snprintf(text, NAME_BYTES, "%.*s", (int)strcspn(c->vdev, ","), c->vdev);
    else snprintf(text, NAME_BYTES, "%s", c->pci);
    return text;
}

static int port_start(const struct polar_config *c)
{
    char device[NAME_BYTES];
    struct buf_pools pools[POLAR_THREADS_MAX];
    struct process_core *first = &process.cores[0];
    for (uint32_t i = 0; i < c->threads; i++) pools[i] = process.cores[i].pools;
    struct port_config port = {.device = device_of(c, device), .queues = (uint16_t)c->threads, .mtu = (uint16_t)c->mtu,
                               .isolate = exception_wants_isolation(process.share.exception), .pools = pools};
    int rc = port_open(&process.port, &port, process.error, sizeof process.error);
    if (rc != 0) return rc;
    clock_tsc_init(&process.clock);
    rc = share_attach(&process.share, process.port, &process.clock.clock, &first->pools,
                      &first->netcore.exception_metrics, process.error, sizeof process.error);
    if (rc != 0) port_close(&process.port);
    return rc;
}

/* What must be known before the environment starts. */
static int share_start(const struct polar_config *c)
{
    char device[NAME_BYTES];
    if (process.used) return refuse(-EPERM, "the environment starts once in a process");
    int rc = c->vdev ? port_check_vdev(c->vdev, (uint16_t)c->mtu, process.error, sizeof process.error) : 0;
    if (rc != 0) return rc;
    return share_open(&process.share, c, device_of(c, device), process.error, sizeof process.error);
}

static int process_start(const struct polar_config *c)
{
    int rc = config_check(c);
    if (rc != 0 || (rc = share_start(c)) != 0) return rc;
    if ((rc = environment_start(c)) != 0) goto close_share;
    rc = -ENOMEM;
    process.cores = calloc(c->threads, sizeof *process.cores);
    if (!process.cores) goto close_share;
    if ((rc = pools_start(c)) != 0) goto stop_pools;
    if ((rc = port_start(c)) != 0) goto stop_pools;
    process.config = *c;
    snprintf(process.address, sizeof process.address, "%s", c->address);
    snprintf(process.gateway, sizeof process.gateway, "%s", c->gateway ? c->gateway : "");
    process.started = true;
    return 0;
stop_pools:
    pools_stop(c);
    free(process.cores);
    process.cores = NULL;
close_share:
    share_close(&process.share);
    return rc;
}

int polar_init(const struct polar_config *config)
{
    pthread_mutex_lock(&process.lock);
    int rc = process.started ? refuse(-EALREADY, "it is initialised already") : process_start(config);
    pthread_mutex_unlock(&process.lock);
    return result(rc);
}

static int process_stop(void)
{
    if (!process.started) return -EPERM;
    for (uint32_t i = 0; i < process.config.threads; i++)
        if (process.cores[i].thread) return -EBUSY;
    port_close(&process.port);
    share_close(&process.share);
    pools_stop(&process.config);
    free(process.cores);
    process.cores = NULL;
    process.started = false;
    eal_stop();
    return 0;
}

int polar_fini(void)
{
    pthread_mutex_lock(&process.lock);
    int rc = process_stop();
    pthread_mutex_unlock(&process.lock);
    return result(rc);
}

static int netcore_start(struct process_core *core, uint32_t index)
{
    const struct polar_config *c = &process.config;
    struct netcore_config config = {
        .port = process.port, .queue = (uint16_t)index, .exception = process.share.exception,
        .address = process.address, .gateway = process.gateway};
    net_stack_config_default(&config.stack);
    config.stack.core = index;
    config.stack.rx_window = c->receive_buffer;
    config.stack.port_first = (uint16_t)c->port_first;
    config.stack.port_last = (uint16_t)c->port_last;
    config.stack.max_connections = 2 * c->max_sockets;
    config.stack.pools = &core->pools;
    config.stack.loop = &core->loop;
    return netcore_init(&core->netcore, &config, process.error, sizeof process.error);
}

/* polar_link's, of the thread with queue 0 where the kernel shares the address. */
static unsigned shared_rx(void *arg, const struct tick *now)
{
    return share_turn(&process.share) + netcore_rx(arg, now);
}

static int core_start(struct process_core *core, uint32_t index)
{
    const struct polar_config *c = &process.config;
    core->registered = rte_lcore_id() == LCORE_ID_ANY && rte_thread_register() == 0;
    memset(&core->loop, 0, sizeof core->loop);
    clock_tsc_init(&core->clock);
    int rc = netcore_start(core, index);
    if (rc != 0) goto unregister;
    bool shared = index == 0 && process.share.reactor;
    struct polar_thread_config thread = {
        .index = index,
        .stack = core->netcore.stack,
        .pools = &core->pools,
        .loop = &core->loop,
        .link = {.rx = shared ? shared_rx : netcore_rx, .tx = netcore_tx, .arg = &core->netcore},
        .clock = &core->clock.clock,
        .max_sockets = c->max_sockets,
        .send_buffer = c->send_buffer,
        .receive_buffer = c->receive_buffer,
        .nap_us = c->nap_us,
        .linger_ms = c->linger_ms,
    };
    if ((rc = thread_create(&core->thread, &thread)) == 0) return 0;
    refuse(rc, "no memory for a thread's sockets");
    netcore_fini(&core->netcore);
unregister:
    if (core->registered) rte_thread_unregister();
    return rc;
}

static int thread_start(void)
{
    if (!process.started) return refuse(-EPERM, "polar_init comes first");
    uint32_t index = 0, queues = port_queue_count(process.port);
    while (index < process.config.threads && process.cores[index].thread) index++;
    if (index >= process.config.threads || index >= queues)
        return refuse(-ENODEV, "all of %u threads and %u queues are taken", process.config.threads, queues);
    int rc = core_start(&process.cores[index], index);
    if (rc == 0) polar_self = process.cores[index].thread;
    return rc;
}

int polar_thread_init(void)
{
    if (polar_self) return fail_with(EALREADY);
    pthread_mutex_lock(&process.lock);
    int rc = thread_start();
    pthread_mutex_unlock(&process.lock);
    return result(rc);
}

/* Until what was sent before a close has arrived. */
static void drain(struct polar_thread *t)
{
    thread_turn(t);
    uint64_t deadline = t->now + t->linger_ms * UINT64_C(1000000);
    while (net_stack_connections(t->stack) && t->now < deadline) {
        thread_turn(t);
        thread_idle(t, deadline);
    }
}

int polar_thread_fini(void)
{
    struct polar_thread *t = polar_self;
    if (!t) return fail_with(EPERM);
    if (t->calling_back) return fail_with(EBUSY);
    thread_close_all(t);
    drain(t);
    struct process_core *core = &process.cores[t->index];
    netcore_fini(&core->netcore);
    pthread_mutex_lock(&process.lock);
    polar_self = NULL;
    thread_destroy(&core->thread);
    if (core->registered) rte_thread_unregister();
    pthread_mutex_unlock(&process.lock);
    return 0;
}

int process_map(void *base, size_t len)
{
    if (!process.port) return 0; /* nobody to tell */
    return port_register_memory(process.port, base, len, (size_t)sysconf(_SC_PAGESIZE));
}

void process_unmap(void *base, size_t len)
{
    if (process.port) rte_extmem_unregister(base, len);
}

struct group {
    const char *name;
    const struct metric_row *rows;
    size_t count;
};

static const struct metric_row polar_metric_rows[] = {
#define METRIC(name, kind, help) METRIC_ROW(struct polar_metrics, name, kind, help)
#include "net/polar/metrics.def"
#undef METRIC
};

static const void *block_of(const struct process_core *core, unsigned group)
{
    if (group == 0) return net_stack_metrics(core->netcore.stack);
    return group == 1 ? (const void *)&core->netcore.metrics : (const void *)&core->thread->metrics;
}

static uint64_t row_sum(unsigned group, const struct metric_row *row)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < process.config.threads; i++) {
        if (!process.cores[i].thread) continue;
        const char *block = block_of(&process.cores[i], group);
        sum += metric_get((const uint64_t *)(const void *)(block + row->offset));
    }
    return sum;
}

int polar_metrics_each(polar_metric *fn, void *arg)
{
    const struct group groups[] = {{"net", net_metric_rows, net_metric_row_count},
                                   {"netcore", netcore_metric_rows, netcore_metric_row_count},
                                   {"polar", polar_metric_rows, RTE_DIM(polar_metric_rows)}};
    pthread_mutex_lock(&process.lock);
    bool started = process.started;
    for (unsigned g = 0; started && g < RTE_DIM(groups); g++)
        for (size_t i = 0; i < groups[g].count; i++)
            fn(arg, groups[g].name, groups[g].rows[i].name, row_sum(g, &groups[g].rows[i]));
    pthread_mutex_unlock(&process.lock);
    return result(started ? 0 : -EPERM);
}
