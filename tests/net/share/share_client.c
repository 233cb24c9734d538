/*
 * An active open from an address that the kernel shares: connects to an echo service, sends bytes and compares what
 * comes back. For the end-to-end test of shared addresses:
 *
 *     share_client VDEV ADDRESS/PREFIX SERVER-ADDRESS SERVER-PORT
 *
 * Exit status 0: all bytes came back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/eal.h"
#include "net/addr.h"
#include "net/exception.h"
#include "net/netcore.h"

#define BUFFERS 4096u
#define MTU 1500u
#define BYTES 200000u
#define CHUNK 1000u
#define SECONDS 20u
#define PORT_FIRST 61000u
#define PORT_LAST 65535u

struct client {
    struct buf_pools pools;
    struct stream_loop loop;
    struct exception *exception;
    struct port *port;
    struct netcore core;
    struct stream *stream;
    uint32_t sent, received;
    bool failed;
};

static uint8_t pattern(uint32_t at)
{
    return (uint8_t)(at * 2654435761u >> 24);
}

static void send_some(struct client *c)
{
    while (c->sent < BYTES && c->stream->tx_queued < 8 * CHUNK) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(c->pools.frame);
        if (!m) return;
        uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, CHUNK);
        for (uint32_t i = 0; i < CHUNK; i++) p[i] = pattern(c->sent + i);
        struct buf_chain chain;
        buf_chain_init(&chain);
        buf_chain_append(&chain, m);
        c->stream->ops->send(c->stream, &chain);
        c->sent += CHUNK;
    }
    c->stream->ops->flush(c->stream);
}

static void receive_some(struct client *c)
{
    uint8_t bytes[CHUNK];
    while (c->stream->rx.len) {
        uint32_t n = buf_chain_copy(&c->stream->rx, 0, bytes, sizeof bytes);
        for (uint32_t i = 0; i < n; i++)
            if (bytes[i] != pattern(c->received + i)) c->failed = true;
        buf_chain_consume(&c->stream->rx, n);
        c->stream->ops->consumed(c->stream, n);
        c->received += n;
    }
}

static void handle(struct client *c)
{
    while (stream_loop_pop(&c->loop)) {
        if (c->stream->events & STREAM_ERROR) {
            fprintf(stderr, "share_client: %s\n", strerror(c->stream->error));
            c->failed = true;
            return;
        }
        c->stream->events = 0;
    }
    receive_some(c);
    send_some(c);
}

static void exchange(struct client *c, struct net_addr server, uint16_t port)
{
    struct clock_tsc clock;
    struct tick now;
    clock_tsc_init(&clock);
    clock.clock.now(&clock.clock, &now);
    uint64_t end_ns = now.ns + SECONDS * UINT64_C(1000000000);
    c->failed = net_connect(c->core.stack, (struct net_endpoint){server, port}, now.ns, &c->stream) != 0;
    while (!c->failed && c->received < BYTES && now.ns < end_ns) {
        clock.clock.now(&clock.clock, &now);
        netcore_rx(&c->core, &now);
        handle(c);
        netcore_tx(&c->core, &now);
    }
    if (!c->stream) return;
    c->stream->ops->abort(c->stream);
    netcore_tx(&c->core, &now);
}

static int start(struct client *c, const char *vdev, const char *address, char *text, size_t cap)
{
    char device[64];
    struct exception_config exception = {.device = device,
                                         .vdevs = &vdev,
                                         .vdev_count = 1,
                                         .want = EXCEPTION_YES,
                                         .tap = "pk-client-tap",
                                         .client_first = PORT_FIRST,
                                         .client_last = PORT_LAST};
    struct port_config port = {.device = device, .queues = 1, .mtu = MTU, .pools = &c->pools};
    struct buf_pools_config pools = {
        .frame_count = BUFFERS, .small_count = BUFFERS, .ref_count = BUFFERS, .frame_room = port_frame_room(MTU)};
    struct netcore_config core = {.address = address};
    snprintf(device, sizeof device, "%.*s", (int)strcspn(vdev, ","), vdev);
    if (net_prefix_parse(address, &exception.addrs[0]) != 0) return -1;
    exception.addr_count = 1;
    if (exception_open(&c->exception, &exception, text, cap) != 0) return -1;
    const char *vdevs[] = {exception_vdev(c->exception, 0)};
    struct eal_config eal = {.program = "share_client", .memory_mib = 128, .vdevs = vdevs, .vdev_count = 1};
    if (eal_start(&eal) != 0 || buf_pools_create(&c->pools, &pools) != 0) return -1;
    if (port_open(&c->port, &port, text, cap) != 0) return -1;
    if (exception_attach(c->exception, c->port, text, cap) != 0) return -1;
    net_stack_config_default(&core.stack);
    core.port = c->port;
    core.exception = c->exception;
    core.stack.pools = &c->pools;
    core.stack.loop = &c->loop;
    core.stack.port_first = PORT_FIRST;
    core.stack.port_last = PORT_LAST;
    return netcore_init(&c->core, &core, text, cap);
}

int main(int argc, char **argv)
{
    static struct client c;
    char text[256] = "";
    struct net_addr server;
    if (argc != 5 || net_addr_parse(argv[3], &server) != 0) {
        fprintf(stderr, "share_client: takes VDEV ADDRESS/PREFIX SERVER-ADDRESS SERVER-PORT\n");
        return 2;
    }
    if (start(&c, argv[1], argv[2], text, sizeof text) != 0) {
        fprintf(stderr, "share_client: does not start: %s\n", text);
        return 1;
    }
    exchange(&c, server, (uint16_t)atoi(argv[4]));
    printf("%u of %u bytes came back\n", c.received, BYTES);
    netcore_fini(&c.core);
    port_close(&c.port);
    exception_close(&c.exception);
    buf_pools_destroy(&c.pools);
    eal_stop();
    return c.received == BYTES && !c.failed ? 0 : 1;
}
