#include "server/core.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rte_cycles.h>
#include "base/log.h"
#include "net/autoconf_key.h"
#include "server/core_ports.h"
#include "server/inquiry.h"
#include "server/rdma.h"
#include "server/room.h"
#include "server/session.h"
#include "server/snapshots.h"

#define STEP_BUSY_NS 100000u    /* between two steps of the store's background work while there is some */
#define STEP_IDLE_NS 100000000u /* and while there is none */
#define GAUGE_NS 1000000000u
#define KERNEL_ROOM 8192u       /* without a port: what a kernel socket reads into one buffer */
#define FRAME_OVERHEAD 320u     /* mbuf, headroom, mempool header */
#define FD_INTERVAL_US 50u       /* a look at kernel sockets costs a busy port's core a system call */
#define SMALL_BYTES 704u
#define REF_BYTES 256u

const struct metric_row server_metric_rows[] = {
#define METRIC(name, kind, help) METRIC_ROW(struct server_metrics, name, kind, help)
#include "server/metrics.def"
#undef METRIC
};
const size_t server_metric_row_count = sizeof server_metric_rows / sizeof *server_metric_rows;

struct chunk {
    struct chunk *next;
    uint64_t pad; /* objects behind it stay 16-byte aligned */
};

void *core_chunk(struct core *core, size_t size, unsigned count)
{
    struct chunk *chunk = calloc(1, sizeof *chunk + size * count);
    if (!chunk) return NULL;
    chunk->next = core->chunks;
    core->chunks = chunk;
    return chunk + 1;
}

/* Background work of the shard, what is due by the wall clock, and what the control thread asks. */
static unsigned housekeeping(void *arg, const struct tick *now)
{
    struct core *core = arg;
    core->now = now;
    unsigned asked = inquiry_answer(core) + snapshots_turn(core, now);
    if (now->ns < core->next_step_ns) return asked;
    if (core->flush_at_ms && now->unix_ms >= core->flush_at_ms) {
        core->flush_at_ms = 0;
        store_flush(core->store);
    }
    uint64_t start = rte_rdtsc();
    unsigned work = store_step(core->store, now->unix_ms);
    uint64_t cycles = rte_rdtsc() - start;
    if (cycles > core->metrics.cycles_step_most) metric_set(&core->metrics.cycles_step_most, cycles);
    work += room_turn(core, now);
    core->next_step_ns = now->ns + (core->waiting ? 0 : work ? STEP_BUSY_NS : STEP_IDLE_NS);
    if (now->ns >= core->next_gauge_ns) {
        core->next_gauge_ns = now->ns + GAUGE_NS;
        metric_set(&core->metrics.buffers_in_use, buf_pools_in_use(&core->pools) - ksock_spare_buffers(core->ksock));
    }
    return work + asked;
}

static uint64_t housekeeping_deadline(void *arg)
{
    const struct core *core = arg;
    return core->next_step_ns;
}

static unsigned kernel_output(void *arg, const struct tick *now)
{
    struct core *core = arg;
    (void)now;
    return ksock_output(core->ksock);
}

void core_add_poller(struct core *core, const struct poller *poller)
{
    assert(core->poller_count < CORE_POLLERS);
    struct poller *p = &core->pollers[core->poller_count++];
    *p = *poller;
    reactor_add_poller(core->reactor, p);
}

static void add_poller(struct core *core, const char *name, poller_fn *run, void *arg)
{
    const struct poller poller = {.name = name, .run = run, .arg = arg};
    core_add_poller(core, &poller);
}

static void add_net_input(struct core *core)
{
    const struct poller input = {.name = "net-rx",
                                 .run = netcore_rx,
                                 .deadline = netcore_deadline,
                                 .arg = core->net,
                                 .needs_naps = core->net->owns_queue,
                                 .arm = netcore_arm};
    core->net->reactor = core->reactor;
    core_add_poller(core, &input);
}

static void add_housekeeping(struct core *core)
{
    const struct poller poller = {
        .name = "housekeeping", .run = housekeeping, .deadline = housekeeping_deadline, .arg = core};
    core_add_poller(core, &poller);
}

static int create_pools(struct core *core)
{
    const struct config *config = core->config;
    uint64_t bytes = config->buffer_memory * 9 / 10 / config->core_count;
    uint32_t room = *config->port ? port_frame_room((uint16_t)config->mtu) : KERNEL_ROOM;
    struct buf_pools_config pools = {.core = core->index, .frame_room = room};
    pools.frame_count = (uint32_t)(bytes * 6 / 10 / (room + FRAME_OVERHEAD));
    pools.small_count = (uint32_t)(bytes * 25 / 100 / SMALL_BYTES);
    pools.ref_count = (uint32_t)(bytes * 15 / 100 / REF_BYTES);
    return buf_pools_create(&core->pools, &pools);
}

static int create_reactor(struct core *core)
{
    const struct config *config = core->config;
    clock_tsc_init(&core->clock);
    struct reactor_config reactor = {.core = core->index,
                                     .cpu = config->core_cpus[core->index],
                                     .poll = strcmp(config->poll, "busy") == 0 ? REACTOR_BUSY : REACTOR_ADAPTIVE,
                                     .idle_spin_us = (uint32_t)(config->idle_spin / 1000),
                                     .nap_us = (uint32_t)(config->nap / 1000),
                                     .fd_interval_us = FD_INTERVAL_US,
                                     .clock = &core->clock.clock};
    return reactor_create(&core->reactor, &reactor);
}

int core_create(struct core *core, struct server *server, unsigned index)
{
    core->index = index;
    core->server = server;
    core->config = server->config;
    int rc = create_pools(core);
    if (rc != 0) return rc;
    if ((rc = create_reactor(core)) != 0) return rc;
    if ((rc = mailbox_create(&core->mailbox, server->config->core_count, index)) != 0) return rc;
    struct ksock_config ksock = {.reactor = core->reactor,
                                 .loop = &core->loop,
                                 .pools = &core->pools,
                                 .max_connections = (uint32_t)core->config->max_connections,
                                 .rx_limit = (uint32_t)core->config->rx_window,
                                 .keep_idle_ns = core->config->keepalive,
                                 .keep_interval_ns = core->config->keepalive_interval,
                                 .keep_count = (uint32_t)core->config->keepalive_count,
                                 .user_timeout_ns = core->config->user_timeout};
    if ((rc = ksock_create(&core->ksock, &ksock)) != 0) return rc;
    if ((rc = server_rdma_create_core(core)) != 0) return rc;
    core->scratch.data = malloc(SCRATCH_SIZE);
    return core->scratch.data ? 0 : -ENOMEM;
}

static enum store_huge huge_pages(const struct config *config)
{
    if (strcmp(config->huge_pages, "no") == 0) return STORE_HUGE_NO;
    return strcmp(config->huge_pages, "yes") == 0 ? STORE_HUGE_YES : STORE_HUGE_AUTO;
}

static enum store_eviction eviction_named(const char *word)
{
    if (strcmp(word, "none") == 0) return STORE_EVICT_NONE;
    return strcmp(word, "fifo") == 0 ? STORE_EVICT_FIFO : STORE_EVICT_HYBRID;
}

int core_create_store(struct core *core, uint64_t *touched)
{
    const struct config *config = core->config;
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/polarkv-region-%u", config->region_file, core->index) >= sizeof path)
        return -ENAMETOOLONG;
    struct store_config store = {.core = core->index,
                                 .cores = config->core_count,
                                 .region_path = *config->region_file ? path : NULL,
                                 .memory_limit = config->memory_limit / config->core_count,
                                 .max_value = (uint32_t)config->max_value_size,
                                 .max_key = UINT16_MAX,
                                 .eviction = eviction_named(config->eviction),
                                 .huge_pages = huge_pages(config),
                                 .window = config->rdma_onesided && config->rdma.count > 0,
                                 .touched = touched};
    return store_create(&core->store, &store);
}

static void half_open_config(struct net_stack_config *stack, const struct config *config)
{
    stack->syn_cookies = (enum net_syn_cookies)net_syn_cookies_find(config->syn_cookies);
    stack->syn_rate_full = (uint32_t)config->syn_rate_full;
    stack->max_half_open = (uint32_t)config->max_half_open;
    stack->rx_memory = config->rx_memory;
    stack->fast_open = (uint32_t)config->fast_open;
    memcpy(stack->fast_open_secret, config->fast_open_secret, sizeof stack->fast_open_secret);
}

/* When a client is given up. */
static void peer_config(struct net_tcp_tuning *t, const struct config *config)
{
    t->keepalive = config->keepalive > 0;
    if (t->keepalive) t->keep_idle_ns = config->keepalive;
    t->keep_interval_ns = config->keepalive_interval;
    t->keep_count = (uint32_t)config->keepalive_count;
    t->user_timeout_ns = config->user_timeout;
}

int core_add_region(struct core *core)
{
    const char *failed;
    struct region_piece piece;
    if (!core->server->regions) return 0;
    store_region(core->store, &piece.base, &piece.bytes, &piece.page_bytes);
    int rc = regions_add(core->server->regions, &piece, &failed);
    if (rc != 0)
        log_error("%s does not take the memory of option 'memory-limit': %s", failed ? failed : "no device",
                  strerror(-rc));
    core->has_region = rc == 0;
    return rc;
}

static int autoconf_key(struct net_stack_config *stack, const struct config *config, char *err_text, size_t err_cap)
{
    if (stack->autoconf != NET_AUTOCONF_STABLE) return 0;
    int rc = net_autoconf_key(config->autoconf_secret, config->port, stack->autoconf_secret);
    if (rc != 0)
        snprintf(err_text, err_cap, "option 'autoconf-secret': got '%s', takes 32 hex digits, or '' where /etc/machine-id "
                 "has them: %s", config->autoconf_secret, strerror(-rc));
    return rc;
}

int core_create_net(struct core *core, char *err_text, size_t err_cap)
{
    const struct config *config = core->config;
    struct netcore_config net = {
        .port = core->server->port, .spread = core->server->spread, .exception = core->server->exception,
        .address = config->ip, .gateway = config->gateway, .routes = config->route.items, .route_count = config->route.count};
    net_stack_config_default(&net.stack);
    net.stack.vlan = (uint16_t)config->vlan;
    net.stack.announce = config->announce && core->index == 0;
    net.stack.follows = config->announce && core->index > 0;
    net.stack.router_discovery = config->router_discovery;
    if (config->router_discovery) net.stack.autoconf = (enum net_autoconf)net_autoconf_find(config->autoconf);
    net.stack.core = core->index;
    net.stack.pools = &core->pools;
    net.stack.loop = &core->loop;
    net.stack.max_connections = (uint32_t)config->max_connections;
    net.stack.rx_window = (uint32_t)config->rx_window;
    net.stack.rto_min_ns = config->rto_min;
    net.stack.tlp_min_ns = config->tlp_min;
    net.stack.tcp_cc = (enum net_tcp_cc)net_tcp_cc_find(config->tcp_congestion_control);
    net.stack.mtu_probing = (enum net_mtu_probing)net_mtu_probing_find(config->mtu_probing);
    net.stack.tcp_ecn = (enum net_tcp_ecn)net_tcp_ecn_find(config->tcp_ecn);
    half_open_config(&net.stack, config);
    peer_config(&net.stack.tuning, config);
    int rc = autoconf_key(&net.stack, config, err_text, err_cap);
    if (rc != 0) return rc;
    core->net = calloc(1, sizeof *core->net);
    if (!core->net) return -ENOMEM;
    rc = netcore_init(core->net, &net, err_text, err_cap);
    if (rc == 0) return 0;
    free(core->net);
    core->net = NULL;
    return rc;
}

static int listen_kernel(struct core *core, uint16_t port, stream_accept_fn *accept)
{
    uint16_t bound;
    if (port == 0 || !*core->config->listen) return 0;
    int rc = ksock_listen(core->ksock, core->config->listen, port, accept, core, &bound);
    if (rc != 0)
        log_error("cannot listen on %s port %u: %s", core->config->listen, port, strerror(-rc));
    return rc;
}

/* On the core's own port beside the shared one. */
static int listen_alone(struct core *core, uint16_t shared, stream_accept_fn *accept)
{
    return shared ? listen_kernel(core, core_port(shared, core->index), accept) : 0;
}

static int listen_port(struct core *core, uint16_t port, stream_accept_fn *accept)
{
    if (port == 0 || !core->net) return 0;
    return net_listen(core->net->stack, port, accept, core);
}

int core_listen(struct core *core)
{
    uint16_t memcache = (uint16_t)core->config->memcache_port, resp = (uint16_t)core->config->resp_port;
    int rc = listen_kernel(core, memcache, session_accept_memcache);
    if (rc == 0) rc = listen_kernel(core, resp, session_accept_resp);
    if (rc == 0 && core->config->core_ports) rc = listen_alone(core, memcache, session_accept_memcache);
    if (rc == 0 && core->config->core_ports) rc = listen_alone(core, resp, session_accept_resp);
    if (rc == 0) rc = listen_port(core, memcache, session_accept_memcache);
    if (rc == 0) rc = listen_port(core, resp, session_accept_resp);
    return rc;
}

static int register_metrics(struct core *core)
{
    struct metrics *m = core->server->metrics;
    unsigned i = core->index;
    int rc = metrics_register(m, "server", i, server_metric_rows, server_metric_row_count, &core->metrics);
    if (rc == 0) rc = metrics_register(m, "store", i, store_metric_rows, store_metric_row_count, store_metrics(core->store));
    if (rc == 0) rc = metrics_register(m, "ksock", i, ksock_metric_rows, ksock_metric_row_count, ksock_get_metrics(core->ksock));
    if (rc == 0) rc = server_rdma_register_metrics(core);
    if (rc != 0 || !core->net) return rc;
    rc = metrics_register(m, "net", i, net_metric_rows, net_metric_row_count, net_stack_metrics(core->net->stack));
    if (rc == 0 && core->server->exception)
        rc = metrics_register(m, "exception", i, exception_metric_rows, exception_metric_row_count,
                              &core->net->exception_metrics);
    if (rc == 0) rc = metrics_register(m, "netcore", i, netcore_metric_rows, netcore_metric_row_count, &core->net->metrics);
    return rc;
}

static void *core_main(void *arg)
{
    struct core *core = arg;
    reactor_run(core->reactor);
    return NULL;
}

int core_start(struct core *core)
{
    int rc = register_metrics(core);
    if (rc != 0) return rc;
    server_rdma_add_clock(core);
    if (core->net) add_net_input(core);
    server_rdma_add_input(core);
    if (core->config->core_count > 1) add_poller(core, "mailbox", mailbox_poll, core);
    add_poller(core, "sessions", session_poll, core);
    if (core->config->core_count > 1) add_poller(core, "mailbox-out", mailbox_flush, core);
    if (core->net) add_poller(core, "net-tx", netcore_tx, core->net);
    server_rdma_add_output(core);
    if (core->index == 0 && core->server->exception)
        rc = exception_serve(core->server->exception, core->reactor, 0, &core->pools, &core->net->exception_metrics);
    add_poller(core, "kernel-out", kernel_output, core);
    add_housekeeping(core);
    return rc;
}

int core_run(struct core *core)
{
    int rc = pthread_create(&core->thread, NULL, core_main, core);
    core->running = rc == 0;
    return -rc;
}

void core_stop(struct core *core)
{
    if (!core->running) return;
    reactor_stop(core->reactor);
    pthread_join(core->thread, NULL);
    core->running = false;
}

void core_close(struct core *core)
{
    session_close_all(core);
    ksock_destroy(&core->ksock);
    if (core->net) netcore_fini(core->net);
    free(core->net);
    core->net = NULL;
}

void core_destroy_store(struct core *core)
{
    struct region_piece piece;
    const char *why;
    if (!core->store) return;
    store_region(core->store, &piece.base, &piece.bytes, &piece.page_bytes);
    if (core->has_region) regions_remove(core->server->regions, piece.base);
    core->has_region = false;
    /* A start that fails leaves what it took up as it was. */
    if (core->server->served || store_is_warm(core->store, &why)) store_park(&core->store);
    else store_destroy(&core->store);
}

void core_destroy(struct core *core)
{
    core_destroy_store(core);
    mailbox_destroy(&core->mailbox);
    if (core->reactor) reactor_destroy(&core->reactor);
    for (struct chunk *chunk = core->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    free(core->scratch.data);
    if (core->pools.frame) buf_pools_destroy(&core->pools);
}
