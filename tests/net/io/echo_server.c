/*
 * An echo server on one DPDK port and one core, for trials with kernel TCP as the peer:
 *
 *     echo_server --vdev net_tap0,iface=pt0 --ip 10.97.0.1/24 --port 7 --seconds 10 [--mtu 1500] [--huge]
 *
 * Prints "ready" when it serves, and counters at its end.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/eal.h"
#include "net/netcore.h"

#define TX_HIGH (256u * 1024u) /* bytes queued at which a stream's input is left where it is */
#define BUFFERS 16384u

struct arguments {
    const char *vdev;
    const char *ip;
    uint16_t port, mtu;
    unsigned seconds;
    bool huge;
};

struct echo {
    struct buf_pools pools;
    struct stream_loop loop;
    struct port *port;
    struct netcore core;
    struct clock_tsc clock;
    unsigned open, errors;
};

static volatile sig_atomic_t stop;

static void on_signal(int signal_number)
{
    (void)signal_number;
    stop = 1;
}

static void accepted(void *arg, struct stream *s)
{
    struct echo *e = arg;
    s->user = e;
    s->tx_low_water = TX_HIGH / 2;
    e->open++;
}

static void echo_some(struct stream *s)
{
    if (s->tx_queued >= TX_HIGH) {
        s->want_writable = true;
        return;
    }
    uint32_t n = s->rx.len;
    if (n == 0) return;
    struct buf_chain out;
    buf_chain_init(&out);
    buf_chain_join(&out, &s->rx);
    s->ops->send(s, &out);
    s->ops->flush(s);
    s->ops->consumed(s, n);
}

static unsigned handle_ready(struct echo *e)
{
    unsigned handled = 0;
    struct stream *s;
    for (; (s = stream_loop_pop(&e->loop)); handled++) {
        uint32_t events = s->events;
        s->events &= STREAM_EOF;
        if (!(events & STREAM_ERROR)) echo_some(s);
        bool done = (events & STREAM_EOF) && s->rx.len == 0;
        if (!(events & STREAM_ERROR) && !done) continue;
        if (events & STREAM_ERROR) e->errors++;
        s->ops->close(s);
        e->open--;
    }
    return handled;
}

static void serve(struct echo *e, unsigned seconds)
{
    struct tick now;
    clock_tsc_init(&e->clock);
    e->clock.clock.now(&e->clock.clock, &now);
    uint64_t end_ns = now.ns + seconds * UINT64_C(1000000000);
    while (!stop && now.ns < end_ns) {
        e->clock.clock.now(&e->clock.clock, &now);
        netcore_rx(&e->core, &now);
        handle_ready(e);
        netcore_tx(&e->core, &now);
    }
}

static void report(struct echo *e)
{
    const struct net_metrics *m = net_stack_metrics(e->core.stack);
    for (size_t i = 0; i < net_metric_row_count; i++) {
        uint64_t value = metric_get((const uint64_t *)((const char *)m + net_metric_rows[i].offset));
        if (value) printf("%s %lu\n", net_metric_rows[i].name, value);
    }
    for (size_t i = 0; i < netcore_metric_row_count; i++)
        printf("%s %lu\n", netcore_metric_rows[i].name,
               metric_get((const uint64_t *)((const char *)&e->core.metrics + netcore_metric_rows[i].offset)));
    printf("tx_dropped %lu\nopen %u\nerrors %u\nbuffers_in_use %u\n", port_tx_dropped(e->port, 0), e->open, e->errors,
           buf_pools_in_use(&e->pools));
}

static int start(struct echo *e, const struct arguments *a, char *text, size_t cap)
{
    struct buf_pools_config pools = {.frame_count = BUFFERS,
                                     .small_count = BUFFERS,
                                     .ref_count = BUFFERS,
                                     .frame_room = port_frame_room(a->mtu)};
    struct port_config port = {.queues = 1, .mtu = a->mtu, .pools = &e->pools};
    char device[64];
    snprintf(device, sizeof device, "%.*s", (int)strcspn(a->vdev, ","), a->vdev);
    port.device = device;
    if (port_check_vdev(a->vdev, a->mtu, text, cap) != 0) return -1;
    struct eal_config eal = {
        .program = "echo_server", .memory_mib = 512, .huge_pages = a->huge, .vdevs = &a->vdev, .vdev_count = 1};
    snprintf(text, cap, "no environment");
    if (eal_start(&eal) != 0 || buf_pools_create(&e->pools, &pools) != 0) return -1;
    if (port_open(&e->port, &port, text, cap) != 0) return -1;
    struct netcore_config core = {.port = e->port, .address = a->ip};
    net_stack_config_default(&core.stack);
    core.stack.pools = &e->pools;
    core.stack.loop = &e->loop;
    if (netcore_init(&e->core, &core, text, cap) != 0) return -1;
    snprintf(text, cap, "cannot listen");
    return net_listen(e->core.stack, a->port, accepted, e);
}

static void arguments_read(struct arguments *a, int argc, char **argv)
{
    static const struct option options[] = {
        {"vdev", required_argument, NULL, 'v'}, {"ip", required_argument, NULL, 'i'},
        {"port", required_argument, NULL, 'p'}, {"seconds", required_argument, NULL, 's'},
        {"mtu", required_argument, NULL, 'm'},  {"huge", no_argument, NULL, 'h'},
        {0},
    };
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'v': a->vdev = optarg; break;
        case 'i': a->ip = optarg; break;
        case 'p': a->port = (uint16_t)atoi(optarg); break;
        case 's': a->seconds = (unsigned)atoi(optarg); break;
        case 'm': a->mtu = (uint16_t)atoi(optarg); break;
        case 'h': a->huge = true; break;
        default: exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    static struct echo e;
    struct arguments a = {.port = 7, .mtu = 1500, .seconds = 10};
    char text[256];
    arguments_read(&a, argc, argv);
    if (!a.vdev || !a.ip) {
        fprintf(stderr, "echo_server: --vdev and --ip are needed\n");
        return 2;
    }
    if (start(&e, &a, text, sizeof text) != 0) {
        fprintf(stderr, "echo_server: %s\n", text);
        return 1;
    }
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    const uint8_t *mac = port_caps(e.port)->mac;
    printf("ready %02x:%02x:%02x:%02x:%02x:%02x\n", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    fflush(stdout);
    serve(&e, a.seconds);
    report(&e);
    netcore_fini(&e.core);
    port_close(&e.port);
    printf("buffers_left %u\n", buf_pools_in_use(&e.pools));
    buf_pools_destroy(&e.pools);
    eal_stop();
    return 0;
}
