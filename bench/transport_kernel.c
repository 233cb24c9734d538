#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "bench/transport.h"
#include "net/ksock.h"

#define RX_LIMIT (1u << 20)

struct kernel_transport {
    struct ksock *ksock;
    const struct bench_plan *plan;
};

static int kernel_connect(struct transport *t, uint64_t now_ns, bool early, struct stream **out)
{
    struct kernel_transport *k = t->impl;
    (void)now_ns;
    const char *address = k->plan->server_address;
    if (early && k->plan->options.fast_open) return ksock_connect_early(k->ksock, address, k->plan->server_port, out);
    return ksock_connect(k->ksock, address, k->plan->server_port, out);
}

/* The kernel ends connections without us. */
static uint32_t kernel_lingering(const struct transport *t)
{
    (void)t;
    return 0;
}

static unsigned kernel_output(void *arg, const struct tick *now)
{
    struct kernel_transport *k = arg;
    (void)now;
    return ksock_output(k->ksock);
}

static void kernel_destroy(struct transport *t)
{
    struct kernel_transport *k = t->impl;
    ksock_destroy(&k->ksock);
    free(k);
}

int transport_kernel_create(struct transport *t, struct transport_set *set, uint32_t thread, struct reactor *reactor)
{
    struct kernel_transport *k = calloc(1, sizeof *k);
    if (!k) return -ENOMEM;
    struct ksock_config config = {.reactor = reactor,
                                  .loop = &t->loop,
                                  .pools = &set->pools[thread],
                                  .max_connections = transport_connections_most(set->plan),
                                  .rx_limit = RX_LIMIT};
    int rc = ksock_create(&k->ksock, &config);
    if (rc != 0) {
        log_error("kernel sockets: %s", strerror(-rc));
        free(k);
        return rc;
    }
    k->plan = set->plan;
    t->impl = k;
    t->connect = kernel_connect;
    t->lingering = kernel_lingering;
    t->destroy = kernel_destroy;
    t->output = (struct poller){.name = "output", .run = kernel_output, .arg = k};
    return 0;
}
