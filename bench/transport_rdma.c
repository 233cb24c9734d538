#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include "base/log.h"
#include "bench/onesided.h"
#include "bench/transport.h"
#include "rdma/address.h"
#include "rdma/core.h"
#include "rdma/dial.h"

#define TIMEOUT_NS UINT64_C(10000000000)
#define LINGER_NS UINT64_C(1000000000)
#define PAGE_BYTES 4096u

/* Stands for a connection until there is one: all that can be done with it is to give it up. */
struct attempt {
    struct stream stream; /* first */
    struct rdma_transport *transport;
    struct rdma_dial *dial; /* NULL: it has failed */
    LIST_ENTRY(attempt) entry;
};

struct rdma_transport {
    struct rdma_core *core;
    struct rdma_dialer *dialer;
    struct onesided_set *onesided; /* NULL: without */
    struct regions *regions;
    struct region_piece memory; /* base NULL: none */
    struct stream_loop *loop;
    struct sockaddr_storage server;
    LIST_HEAD(, attempt) attempts;
};

/* ---- attempts ---- */

static void attempt_free(struct attempt *a)
{
    stream_unlist(&a->stream);
    LIST_REMOVE(a, entry);
    free(a);
}

static void attempt_end(struct stream *s)
{
    struct attempt *a = (struct attempt *)s;
    if (a->dial) rdma_dial_cancel(a->dial);
    attempt_free(a);
}

static void attempt_send(struct stream *s, struct buf_chain *chain)
{
    (void)s;
    buf_chain_free(chain);
}

static void attempt_flush(struct stream *s)
{
    (void)s;
}

static void attempt_consumed(struct stream *s, uint32_t n)
{
    (void)s, (void)n;
}

static void attempt_peer(const struct stream *s, char *text, size_t cap)
{
    const struct attempt *a = (const struct attempt *)s;
    char address[RDMA_ADDRESS_TEXT];
    rdma_address_format((const struct sockaddr *)&a->transport->server, address);
    snprintf(text, cap, "%s", address);
}

static const struct stream_ops attempt_ops = {.send = attempt_send,
                                              .flush = attempt_flush,
                                              .consumed = attempt_consumed,
                                              .shutdown = attempt_flush,
                                              .close = attempt_end,
                                              .abort = attempt_end,
                                              .peer = attempt_peer,
                                              .name = "rdma"};

static void attempt_done(void *arg, struct stream *stream, int error)
{
    struct attempt *a = arg;
    a->dial = NULL;
    if (stream) {
        stream->user = a->stream.user;
        attempt_free(a);
        return;
    }
    a->stream.error = (int16_t)error;
    stream_raise(&a->stream, STREAM_ERROR);
}

static int transport_rdma_connect(struct transport *t, uint64_t now_ns, bool early, struct stream **out)
{
    struct rdma_transport *k = t->impl;
    struct attempt *a = calloc(1, sizeof *a);
    (void)now_ns, (void)early;
    if (!a) return -ENOMEM;
    *a = (struct attempt){.stream = {.ops = &attempt_ops, .loop = k->loop}, .transport = k};
    int rc = rdma_dial(k->dialer, &k->server, attempt_done, a, &a->dial);
    if (rc != 0) {
        free(a);
        return rc;
    }
    LIST_INSERT_HEAD(&k->attempts, a, entry);
    *out = &a->stream;
    return 0;
}

/* ---- the thread's ---- */

static int transport_rdma_add_memory(struct transport *t, void *base, size_t bytes)
{
    struct rdma_transport *k = t->impl;
    k->memory = (struct region_piece){.base = base, .bytes = bytes, .page_bytes = PAGE_BYTES};
    int rc = regions_add(k->regions, &k->memory, NULL);
    if (rc != 0) k->memory.base = NULL;
    return rc;
}

static uint32_t transport_rdma_lingering(const struct transport *t)
{
    const struct rdma_transport *k = t->impl;
    return rdma_dialer_count(k->dialer);
}

static unsigned transport_rdma_input(void *arg, const struct tick *now)
{
    struct rdma_transport *k = arg;
    return rdma_dialer_turn(k->dialer, now) + rdma_core_input(k->core, now);
}

static uint64_t transport_rdma_deadline(void *arg)
{
    struct rdma_transport *k = arg;
    uint64_t dialer = rdma_dialer_deadline(k->dialer), core = rdma_core_deadline(k->core);
    return dialer < core ? dialer : core;
}

static unsigned transport_rdma_output(void *arg, const struct tick *now)
{
    struct rdma_transport *k = arg;
    return rdma_core_output(k->core, now);
}

static void transport_rdma_close(struct rdma_transport *k)
{
    struct attempt *a;
    bool all = rdma_dialer_destroy(&k->dialer, LINGER_NS);
    while ((a = LIST_FIRST(&k->attempts)) != NULL) attempt_free(a);
    if (k->core && all) rdma_core_destroy(&k->core);
    if (all) onesided_set_destroy(&k->onesided);
    if (k->memory.base) regions_remove(k->regions, k->memory.base);
    if (k->regions) regions_destroy(&k->regions);
    free(k);
}

static void transport_rdma_destroy(struct transport *t)
{
    transport_rdma_close(t->impl);
}

static int server_address(struct rdma_transport *k, const struct bench_plan *plan)
{
    char text[RDMA_ADDRESS_TEXT];
    bool v6 = strchr(plan->server_address, ':') != NULL;
    snprintf(text, sizeof text, v6 ? "[%s]:%u" : "%s:%u", plan->server_address, plan->server_port);
    return rdma_address_parse(text, &k->server);
}

static int transport_rdma_open(struct rdma_transport *k, struct transport_set *set, uint32_t thread,
                               struct reactor *reactor, char *text, size_t cap)
{
    struct rdma_core_config core = {.loop = k->loop,
                                    .pools = &set->pools[thread],
                                    .max_connections = transport_connections_most(set->plan),
                                    .linger_ns = LINGER_NS};
    uint32_t looks = set->plan->options.onesided ? set->plan->pipeline : 0;
    snprintf(text, cap, "out of memory");
    k->regions = regions_create();
    if (!k->regions) return -ENOMEM;
    if (looks > 0) {
        k->onesided = onesided_set_create(looks);
        if (!k->onesided) return -ENOMEM;
        core.message = onesided_message;
        core.message_arg = k->onesided;
    }
    int rc = server_address(k, set->plan);
    if (rc == 0) rc = rdma_core_create(&k->core, &core);
    struct rdma_dialer_config dialer = {.reactor = reactor,
                                        .core = k->core,
                                        .pools = &set->pools[thread],
                                        .regions = k->regions,
                                        .vector = thread,
                                        .buffer_bytes = (uint32_t)set->plan->options.rdma_buffer,
                                        .timeout_ns = TIMEOUT_NS,
                                        .reads = looks > 0 ? ONESIDED_READS : 1,
                                        .read_bytes = onesided_memory_bytes(looks)};
    return rc == 0 ? rdma_dialer_create(&k->dialer, &dialer, text, cap) : rc;
}

int transport_rdma_create(struct transport *t, struct transport_set *set, uint32_t thread, struct reactor *reactor)
{
    char text[512];
    struct rdma_transport *k = calloc(1, sizeof *k);
    if (!k) return -ENOMEM;
    k->loop = &t->loop;
    LIST_INIT(&k->attempts);
    int rc = transport_rdma_open(k, set, thread, reactor, text, sizeof text);
    if (rc != 0) {
        log_error("transport rdma: %s", text);
        transport_rdma_close(k);
        return rc;
    }
    t->impl = k;
    t->onesided = k->onesided;
    t->connect = transport_rdma_connect;
    t->add_memory = transport_rdma_add_memory;
    t->lingering = transport_rdma_lingering;
    t->destroy = transport_rdma_destroy;
    t->input = (struct poller){.name = "input",
                               .run = transport_rdma_input,
                               .deadline = transport_rdma_deadline,
                               .arg = k,
                               .needs_naps = true};
    t->output = (struct poller){.name = "output", .run = transport_rdma_output, .arg = k};
    return 0;
}
