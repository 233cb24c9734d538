#include "server/rdma.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <rte_common.h>
#include "base/log.h"
#include "rdma/address.h"
#include "rdma/core.h"
#include "rdma/discover.h"
#include "rdma/listener.h"
#include "server/control.h"
#include "server/core.h"
#include "server/core_ports.h"
#include "server/inquiry.h"
#include "server/rdma_window.h"
#include "server/session.h"

#define CONNECTIONS_MOST UINT64_C(65536)  /* of a core */
#define KEEPALIVE_NS UINT64_C(3000000000) /* the protocol document's */
#define LINGER_NS UINT64_C(5000000000)
#define DRAIN_NS (2 * LINGER_NS)
#define DRAIN_NAP_NS 100000
#define TEXT_BYTES 1024u

/* ---- the option ---- */

static const struct {
    const char *prefix;
    stream_accept_fn *accept;
    bool has_password;
} protocols[] = {{"memcache@", session_accept_memcache, false}, {"resp@", session_accept_resp, true}};

/* One value: its protocol, redis' without a word, and its address. -EINVAL. */
static int listen_parse(const char *text, struct rdma_listen *out, bool *has_password)
{
    *out = (struct rdma_listen){.core = RDMA_ANY_CORE, .accept = session_accept_resp};
    *has_password = true;
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
        size_t len = strlen(protocols[i].prefix);
        if (strncmp(text, protocols[i].prefix, len) != 0) continue;
        text += len;
        out->accept = protocols[i].accept;
        *has_password = protocols[i].has_password;
        break;
    }
    return rdma_address_parse(text, &out->address);
}

static bool check_protected(const struct config *config, const char *text, const struct rdma_listen *listen,
                            bool has_password)
{
    if (!config->protected || rdma_address_is_loopback(&listen->address)) return true;
    if (!has_password)
        return config_refuse("rdma", text,
                             "reaches beyond this host and memcached's protocol has no password here: "
                             "say protected no");
    return *config->password || config_refuse("rdma", text,
                                              "reaches beyond this host: give a password with password, "
                                              "or say protected no");
}

/* Whether two listen on the same address and port, be it one of core-ports. */
static bool listens_meet(const struct config *config, const struct rdma_listen *a, const struct rdma_listen *b)
{
    struct sockaddr_storage one = a->address, other = b->address;
    rdma_address_set_port(&one, 0);
    rdma_address_set_port(&other, 0);
    return memcmp(&one, &other, sizeof one) == 0 &&
           core_ports_meet(config, rdma_address_port(&a->address), rdma_address_port(&b->address));
}

bool server_rdma_check(const struct config *config)
{
    struct rdma_listen listens[OPTION_LIST_MAX];
    bool has_password;
    for (unsigned i = 0; i < config->rdma.count; i++) {
        const char *text = config->rdma.items[i];
        if (listen_parse(text, &listens[i], &has_password) != 0)
            return config_refuse("rdma", text,
                                 "takes a numeric address and a port, as 10.9.0.1:6379 or "
                                 "[2001:db8::1]:6379, for memcached with memcache@ before it");
        if (!check_protected(config, text, &listens[i], has_password)) return false;
        if (rdma_address_port(&listens[i].address) + core_ports_count(config) - 1 > UINT16_MAX)
            return config_refuse("rdma", text, "leaves no room behind its port for those of core-ports");
        for (unsigned j = 0; j < i; j++) {
            if (memcmp(&listens[j].address, &listens[i].address, sizeof listens[i].address) == 0)
                return config_refuse("rdma", text, "is given twice");
            if (listens_meet(config, &listens[j], &listens[i]))
                return config_refuse("rdma", text,
                                     "is too near to another: core-ports takes a port for each core "
                                     "behind it");
        }
    }
    return true;
}

int server_rdma_probe(const struct config *config)
{
    char text[TEXT_BYTES];
    struct rdma_listen listen;
    bool has_password;
    for (unsigned i = 0; i < config->rdma.count; i++) {
        listen_parse(config->rdma.items[i], &listen, &has_password);
        int rc = rdma_discover_probe(&listen.address, text, sizeof text);
        if (rc == 0) continue;
        log_error("option 'rdma': %s", text);
        return rc;
    }
    return 0;
}

/* ---- the cores ---- */

static uint32_t connections_most(const struct config *config)
{
    return (uint32_t)RTE_MIN(config->max_connections, CONNECTIONS_MOST);
}

int server_rdma_create_core(struct core *core)
{
    if (core->config->rdma.count == 0) return 0;
    struct rdma_core_config config = {.loop = &core->loop,
                                      .pools = &core->pools,
                                      .max_connections = connections_most(core->config),
                                      .keepalive_ns = KEEPALIVE_NS,
                                      .linger_ns = LINGER_NS};
    server_window_offer(core, &config);
    return rdma_core_create(&core->rdma, &config);
}

int server_rdma_register_metrics(struct core *core)
{
    struct metrics *m = core->server->metrics;
    if (!core->rdma) return 0;
    int rc = metrics_register(m, "rdma", core->index, rdma_metric_rows, rdma_metric_row_count,
                              rdma_core_metrics(core->rdma));
    if (rc != 0 || core->index != 0) return rc;
    return metrics_register(m, "rdma_listener", 0, rdma_listener_metric_rows, rdma_listener_metric_row_count,
                            rdma_listener_metrics(core->server->rdma));
}

void server_rdma_add_clock(struct core *core)
{
    server_window_add_clock(core);
}

/* The completion queues' descriptors are in the core's reactor (rdma/lane.c). */
static bool arm(void *arg, bool on)
{
    if (on) rdma_core_arm(arg);
    return true;
}

void server_rdma_add_input(struct core *core)
{
    if (!core->rdma) return;
    const struct poller input = {.name = "rdma-rx",
                                 .run = rdma_core_input,
                                 .deadline = rdma_core_deadline,
                                 .arg = core->rdma,
                                 .needs_naps = true,
                                 .arm = arm};
    core_add_poller(core, &input);
}

void server_rdma_add_output(struct core *core)
{
    if (!core->rdma) return;
    const struct poller output = {.name = "rdma-tx", .run = rdma_core_output, .arg = core->rdma};
    core_add_poller(core, &output);
}

/* ---- the listener ---- */

struct call {
    void (*fn)(void *arg);
    void *arg;
};

static void call_on_core(struct core *core, void *arg)
{
    const struct call *call = arg;
    (void)core;
    call->fn(call->arg);
}

static void on_core(void *arg, unsigned index, void (*fn)(void *fn_arg), void *fn_arg)
{
    struct server *server = arg;
    struct core *core = &server->cores[index];
    struct call call = {fn, fn_arg};
    if (core->running)
        inquiry_ask(core, call_on_core, &call);
    else
        fn(fn_arg);
}

/* Each value, and with core-ports one for each core behind it. Returns their number. */
static unsigned listens_fill(const struct config *config, struct rdma_listen *listens)
{
    unsigned count = 0;
    bool has_password;
    for (unsigned i = 0; i < config->rdma.count; i++) {
        struct rdma_listen *shared = &listens[count++];
        listen_parse(config->rdma.items[i], shared, &has_password);
        for (unsigned core = 0; core + 1 < core_ports_count(config); core++) {
            struct rdma_listen *own = &listens[count++];
            *own = *shared;
            own->core = (int)core;
            rdma_address_set_port(&own->address, core_port(rdma_address_port(&shared->address), core));
        }
    }
    return count;
}

int server_rdma_create(struct server *server, struct control *control)
{
    const struct config *config = server->config;
    struct rdma_listener_core cores[CONFIG_CORES_MAX];
    char text[TEXT_BYTES];
    if (config->rdma.count == 0) return 0;
    struct rdma_listen *listens = calloc((size_t)config->rdma.count * core_ports_count(config), sizeof *listens);
    if (!listens) return -ENOMEM;
    for (unsigned i = 0; i < config->core_count; i++) {
        struct core *core = &server->cores[i];
        cores[i] = (struct rdma_listener_core){core->rdma, core->reactor, &core->pools, core};
    }
    struct rdma_listener_config listener = {.reactor = control_reactor(control),
                                            .listens = listens,
                                            .listen_count = listens_fill(config, listens),
                                            .cores = cores,
                                            .core_count = config->core_count,
                                            .on_core = on_core,
                                            .on_core_arg = server,
                                            .regions = server->regions,
                                            .buffer_bytes = (uint32_t)config->rdma_buffer,
                                            .memory_bytes = config->rdma_memory,
                                            .max_connections = connections_most(config),
                                            .region_access = server_window_access(config),
                                            .reads = config->rdma_onesided ? SERVER_WINDOW_READS : 0};
    int rc = rdma_listener_create(&server->rdma, &listener, text, sizeof text);
    free(listens);
    if (rc != 0) log_error("option 'rdma': %s", text);
    return rc;
}

bool server_rdma_is_read(struct stream *stream)
{
    const struct rdma_conn *conn = rdma_conn_of(stream);
    return conn && rdma_conn_is_read(conn);
}

int server_rdma_listen(struct server *server)
{
    char text[TEXT_BYTES];
    int rc = server->rdma ? rdma_listener_start(server->rdma, text, sizeof text) : 0;
    if (rc != 0) log_error("option 'rdma': %s", text);
    return rc;
}

/* ---- the end ---- */

void server_rdma_stop(struct server *server)
{
    if (server->rdma) rdma_listener_stop(server->rdma);
}

/* The cores' part, which their threads do not do any more. */
static unsigned cores_turn(struct server *server, const struct tick *now)
{
    unsigned work = 0;
    for (unsigned i = 0; i < server->config->core_count; i++) {
        work += rdma_core_input(server->cores[i].rdma, now);
        work += rdma_core_output(server->cores[i].rdma, now);
    }
    return work;
}

static bool drain(struct server *server, struct control *control)
{
    static const struct timespec nap = {.tv_nsec = DRAIN_NAP_NS};
    struct reactor *reactor = control_reactor(control);
    uint64_t end_ns = 0;
    while (rdma_listener_connections(server->rdma) > 0) {
        unsigned work = reactor_turn(reactor);
        const struct tick *now = reactor_now(reactor);
        work += cores_turn(server, now);
        if (end_ns == 0) end_ns = now->ns + DRAIN_NS;
        if (now->ns > end_ns) return false;
        if (work == 0) nanosleep(&nap, NULL);
    }
    return true;
}

void server_rdma_destroy(struct server *server, struct control *control)
{
    bool drained = !server->rdma || drain(server, control);
    if (!drained) log_error("%u RDMA connections did not end", rdma_listener_connections(server->rdma));
    rdma_listener_destroy(&server->rdma);
    for (unsigned i = 0; i < server->config->core_count && drained; i++)
        if (server->cores[i].rdma) rdma_core_destroy(&server->cores[i].rdma);
}
