/* polarkv: configuration, cores, signals. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/eal.h"
#include "base/log.h"
#include "server/admin.h"
#include "server/config.h"
#include "server/control.h"
#include "server/core.h"
#include "server/core_ports.h"
#include "server/crew.h"
#include "server/map_ahead.h"
#include "server/probe.h"
#include "server/rdma.h"
#include "server/snapshots.h"

#define EXIT_MACHINE 1 /* the machine refuses */
#define EXIT_USAGE 2

static void set_log_level(const char *word)
{
    static const char *const words[] = {"error", "warn", "info", "debug"};
    for (int i = 0; i < 4; i++)
        if (strcmp(words[i], word) == 0) log_set_level((enum log_level)i);
}

/* Whether the kernel keeps the port's address beside us. */
static int open_exception(const struct config *config, struct exception **out)
{
    char text[256];
    if (!*config->port) return 0;
    struct exception_config exception = {.device = config->port,
                                         .vdevs = config->vdev.items,
                                         .vdev_count = config->vdev.count,
                                         .want = EXCEPTION_AUTO,
                                         .tap = config->tap};
    int count = net_prefix_list_parse(config->ip, exception.addrs, NET_ADDRS_MAX);
    exception.addr_count = count > 0 ? (unsigned)count : 0; /* checked with the configuration */
    if (strcmp(config->share_address, "yes") == 0) exception.want = EXCEPTION_YES;
    if (strcmp(config->share_address, "no") == 0) exception.want = EXCEPTION_NO;
    int rc = exception_open(out, &exception, text, sizeof text);
    if (rc != 0) log_error("option 'share-address': %s", text);
    return rc;
}

static int start_eal(const struct config *config, const struct exception *exception, const char *program)
{
    const char *vdevs[OPTION_LIST_MAX];
    for (unsigned i = 0; i < config->vdev.count; i++)
        vdevs[i] = exception ? exception_vdev(exception, i) : config->vdev.items[i];
    bool pci = *config->port && strchr(config->port, ':');
    struct eal_config eal = {.program = program,
                             .memory_mib = (uint32_t)(config->buffer_memory / 4 * 5 >> 20) + 32, /* pools pay for alignment and rings beside */
                             .huge_pages = strcmp(config->huge_pages, "yes") == 0,
                             .pci = pci,
                             .vdevs = vdevs,
                             .vdev_count = config->vdev.count,
                             .allow = &config->port,
                             .allow_count = pci};
    return eal_start(&eal);
}

static int create_port(struct server *server)
{
    const struct config *config = server->config;
    char text[256];
    if (!*config->port) return 0;
    struct buf_pools pools[CONFIG_CORES_MAX];
    for (unsigned i = 0; i < config->core_count; i++) pools[i] = server->cores[i].pools;
    struct port_config port = {
        .device = config->port, .queues = (uint16_t)config->core_count, .mtu = (uint16_t)config->mtu, .pools = pools,
        .rx_interrupts = strcmp(config->poll, "busy") != 0, .no_tcp_checksum = !config->port_checksums,
        .isolate = exception_wants_isolation(server->exception)};
    eal_quiet(true);
    int rc = port_open(&server->port, &port, text, sizeof text);
    eal_quiet(false);
    bool said = *eal_said();
    if (rc != 0) log_error("option 'port': %s%s%s", text, said ? "; DPDK says: " : "", eal_said());
    else if (said) log_warn("DPDK: %s", eal_said());
    if (rc != 0 || !server->exception) return rc;
    rc = exception_attach(server->exception, server->port, text, sizeof text);
    if (rc != 0) log_error("option 'share-address': %s", text);
    return rc;
}

static void wake_core(void *arg, unsigned core)
{
    struct server *server = arg;
    reactor_wake(server->cores[core].reactor);
}

/* With fewer queues than cores, connections are divided by their hash; else as the device or the peer puts them. */
static int create_spread(struct server *server)
{
    struct net_stack_config stack;
    uint16_t cores = (uint16_t)server->config->core_count, queues = port_queue_count(server->port);
    if (cores == 1) return 0;
    net_stack_config_default(&stack);
    struct spread_config spread = {.cores = cores,
                                   .queues = queues,
                                   .by_hash = queues < cores,
                                   .client_first = stack.port_first,
                                   .client_last = stack.port_last,
                                   .wake = wake_core,
                                   .wake_arg = server};
    int rc = spread_create(&server->spread, &spread);
    if (rc != 0) log_error("cannot share the port between %u cores: %s", cores, strerror(-rc));
    return rc;
}

static int create_stacks(struct server *server)
{
    char text[256];
    if (!server->port) return 0;
    int failed = create_spread(server);
    if (failed) return failed;
    for (unsigned i = 0; i < server->config->core_count; i++) {
        int rc = core_create_net(&server->cores[i], text, sizeof text);
        if (rc == 0) continue;
        log_error("option 'ip': %s", text);
        return rc;
    }
    return 0;
}

static int create_store(struct core *core, void *arg)
{
    struct crew_progress *progress = arg;
    return core_create_store(core, &progress->done);
}

static int port_add_region(void *arg, const struct region_piece *piece)
{
    int rc = port_register_memory(arg, piece->base, piece->bytes, piece->page_bytes);
    if (rc == 0) return 0;
    log_warn("the port's device does not reach the memory of items (%s): they are copied for it", strerror(-rc));
    port_copy_foreign(arg);
    return 0;
}

/* All shards are taken up as they were left, or none: half of the keys would be worth less than a snapshot. */
static void take_up_regions(struct server *server)
{
    unsigned count = server->config->core_count, warm = 0;
    const char *why = NULL, *one;
    uint64_t items = 0;
    if (!*server->config->region_file) return;
    for (unsigned i = 0; i < count; i++) {
        if (store_is_warm(server->cores[i].store, &one)) warm++;
        else if (!why) why = one;
        items += store_count(server->cores[i].store);
    }
    server->warm = warm == count;
    if (warm == count) {
        log_info("regions in %s taken up: %llu items", server->config->region_file, (unsigned long long)items);
        return;
    }
    log_info("regions in %s not taken up: %s", server->config->region_file, why);
    for (unsigned i = 0; i < count; i++)
        if (store_is_warm(server->cores[i].store, &one)) store_flush(server->cores[i].store);
}

/* The shards' memory, and the port that is to know it. */
static int create_stores(struct server *server)
{
    const struct config *config = server->config;
    struct crew_progress progress = {.what = "of memory touched", .total = config->memory_limit};
    int rc = crew_run(server, create_store, &progress, &progress);
    if (rc != 0 && *config->region_file) {
        log_error("option 'region-file': got %s, takes a folder on tmpfs or hugetlbfs with room for memory-limit: %s",
                  config->region_file, strerror(-rc));
        return rc;
    }
    if (rc != 0) {
        log_error("cannot take option 'memory-limit' %llu MiB for items: %s%s",
                  (unsigned long long)config->memory_limit >> 20, strerror(-rc),
                  strcmp(config->huge_pages, "yes") == 0 ? "; reserve huge pages with sysctl vm.nr_hugepages" : "");
        return rc;
    }
    take_up_regions(server);
    const struct region_user port = {.name = config->port, .add = port_add_region, .arg = server->port};
    if (server->port) rc = regions_add_user(server->regions, &port);
    for (unsigned i = 0; i < config->core_count && rc == 0; i++) rc = core_add_region(&server->cores[i]);
    return rc;
}

static int create_cores(struct server *server)
{
    const struct config *config = server->config;
    int rc = 0;
    for (unsigned i = 0; i < config->core_count && rc == 0; i++) rc = core_create(&server->cores[i], server, i);
    if (rc != 0) {
        log_error("cannot create %u cores: %s (option 'buffer-memory' has %llu MiB)", config->core_count, strerror(-rc),
                  (unsigned long long)config->buffer_memory >> 20);
        return rc;
    }
    if ((rc = create_port(server)) != 0) return rc;
    if ((rc = create_stores(server)) != 0) return rc;
    return create_stacks(server);
}

static int start_cores(struct server *server)
{
    int rc = 0;
    for (unsigned i = 0; i < server->config->core_count && rc == 0; i++) rc = core_listen(&server->cores[i]);
    for (unsigned i = 0; i < server->config->core_count && rc == 0; i++) rc = core_start(&server->cores[i]);
    for (unsigned i = 0; i < server->config->core_count && rc == 0; i++) rc = core_run(&server->cores[i]);
    return rc;
}

static void announce(const struct server *server)
{
    const struct config *config = server->config;
    char where[256] = "";
    if (*config->listen) snprintf(where, sizeof where, "%s", config->listen);
    if (server->port)
        snprintf(where + strlen(where), sizeof where - strlen(where), "%s%s on %s (%u queues for %u cores%s%s)",
                 *where ? " and " : "",
                 config->ip, config->port, port_queue_count(server->port), config->core_count,
                 server->exception ? ", shared with the kernel by " : "",
                 server->exception ? exception_name(server->exception) : "");
    log_info("polarkv %s ready: %u cores, memcached port %llu, redis port %llu, at %s", POLAR_VERSION, config->core_count,
             (unsigned long long)config->memcache_port, (unsigned long long)config->resp_port, where);
}

static int destroy_server(struct server *server, struct control *control)
{
    unsigned count = server->config->core_count;
    server_rdma_stop(server);
    snapshots_stop(server->snapshots);
    map_ahead_stop(server);
    for (unsigned i = 0; i < count; i++) core_stop(&server->cores[i]);
    for (unsigned i = 0; i < count; i++) core_close(&server->cores[i]);
    server_rdma_destroy(server, control);
    spread_destroy(&server->spread);
    if (server->port) {
        regions_remove_user(server->regions, server->port);
        port_close(&server->port);
    }
    int rc = server->served ? snapshots_final(server->snapshots) : 0;
    for (unsigned i = 0; i < count; i++) core_destroy(&server->cores[i]);
    snapshots_destroy(&server->snapshots);
    regions_destroy(&server->regions);
    free(server->cores);
    metrics_destroy(&server->metrics);
    return rc;
}

static int serve(const struct config *config, struct exception *exception, sigset_t *signals)
{
    struct server server = {.config = config, .tsc_hz = clock_tsc_hz(), .start_unix_ms = (uint64_t)time(NULL) * 1000};
    struct admin *admin = NULL;
    struct control *control = NULL;
    server.exception = exception;
    slot_map_init(&server.slots, config->core_count);
    server.metrics = metrics_create();
    server.cores = aligned_alloc(64, (sizeof *server.cores * config->core_count + 63) & ~(size_t)63);
    server.regions = regions_create();
    if (!server.metrics || !server.cores || !server.regions) return EXIT_MACHINE;
    memset(server.cores, 0, sizeof *server.cores * config->core_count);
    if (control_create(&control, signals) != 0) return EXIT_MACHINE;
    int rc = create_cores(&server);
    if (rc == 0) rc = server_rdma_create(&server, control);
    if (rc == 0) rc = snapshots_create(&server.snapshots, &server);
    if (rc == 0 && !server.warm) rc = snapshots_load(server.snapshots);
    if (rc == 0 && *config->admin_socket) rc = admin_create(&admin, &server, config->admin_socket);
    if (rc == 0) rc = start_cores(&server);
    if (rc == 0) rc = snapshots_start(server.snapshots);
    if (rc == 0) rc = server_rdma_listen(&server);
    if (rc == 0 && admin) rc = admin_watch(admin, control_reactor(control));
    if (rc == 0 && server.warm) map_ahead_start(&server);
    server.served = rc == 0;
    if (server.served) {
        announce(&server);
        int signal_number = control_serve(control);
        log_info("%s: stopping", strsignal(signal_number));
    }
    admin_destroy(&admin);
    int ended = destroy_server(&server, control);
    control_destroy(&control);
    if (rc == 0) rc = ended;
    return rc == 0 ? 0 : EXIT_MACHINE;
}

/* Those that end the server in order. One that is blocked would be had even where it is ignored, as under nohup. */
static void signals_block(sigset_t *signals)
{
    struct sigaction hangup;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file over a limit is an error of its write */
    sigemptyset(signals);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGTERM);
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) sigaddset(signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, signals, NULL);
}

int main(int argc, char **argv)
{
    struct config config;
    sigset_t signals;
    enum config_result loaded = config_load(&config, argc, argv);
    if (loaded != CONFIG_RUN) {
        config_free(&config);
        return loaded == CONFIG_EXIT_OK ? 0 : EXIT_USAGE;
    }
    set_log_level(config.log_level);
    if (*config.check_snapshot) {
        int status = snapshots_check(config.check_snapshot);
        config_free(&config);
        return status;
    }
    signals_block(&signals);
    int status = EXIT_MACHINE;
    struct exception *exception = NULL;
    if (server_probe(&config) == 0 && core_ports_probe(&config) == 0 && server_rdma_probe(&config) == 0 &&
        open_exception(&config, &exception) == 0 && start_eal(&config, exception, argv[0]) == 0) {
        status = serve(&config, exception, &signals);
        eal_stop();
    }
    exception_close(&exception);
    config_free(&config);
    return status;
}
