/*
 * What a SYN flood does to those who are connected: clients at a steady rate (open loop, "get x" of memcached's
 * protocol), or each again as soon as it is answered (--rate 0), first alone, then while SYNs are built but not sent
 * (which takes from the clients, on the same processor, and nothing from the server), then beside a flood of these SYNs,
 * from addresses that do not exist, on the same wire. Prints one JSON object. Only for a point-to-point vdev (memif) whose
 * other end a test has started itself.
 *
 *     syn_flood --vdev net_memif0,role=client,... --server 10.9.0.1:11211 [--ip 10.9.0.2/24] [--mtu 9000]
 *               [--connections 100] [--rate 100000] [--flood 1000000] [--milliseconds 1000]
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include "base/clock.h"
#include "base/eal.h"
#include "net/inspect.h"
#include "net/netcore.h"

#define BUFFERS 16384u
#define CONNECTIONS_MAX 4096u
#define FLOOD_BURST 32u
#define FLOOD_LATEST 1000u /* a turn sends no more SYNs than belong to this part of a second */
#define NEWCOMERS 50u /* connections that are opened while the flood runs */
#define REQUEST "get x\r\n"
#define ANSWER_BYTES 5u /* END\r\n */
#define OPTIONS_BYTES 20u
#define SECOND UINT64_C(1000000000)

struct arguments {
    const char *vdev, *ip;
    struct net_endpoint server;
    uint16_t mtu;
    unsigned connections, rate, flood, milliseconds;
};

struct client {
    struct stream *stream; /* NULL: lost, or never came */
    bool connected, asked;
};

struct trial {
    struct arguments args;
    struct buf_pools pools;
    struct stream_loop loop;
    struct port *port;
    struct netcore core;
    struct clock_tsc clock;
    struct client clients[CONNECTIONS_MAX + NEWCOMERS];
    unsigned opened, connected, lost, next;
    uint64_t answers, unanswered, floods;
    bool unsent; /* SYNs are built, and go no further */
    uint8_t server_mac[6];
    uint64_t rng;
};

static uint64_t draw(struct trial *t)
{
    t->rng ^= t->rng << 13;
    t->rng ^= t->rng >> 7;
    t->rng ^= t->rng << 17;
    return t->rng;
}

static void client_ask(struct trial *t, struct client *c)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(t->pools.small);
    if (!m) return;
    memcpy(rte_pktmbuf_append(m, sizeof REQUEST - 1), REQUEST, sizeof REQUEST - 1);
    struct buf_chain chain;
    buf_chain_init(&chain);
    buf_chain_append(&chain, m);
    c->stream->ops->send(c->stream, &chain);
    c->stream->ops->flush(c->stream);
    c->asked = true;
}

static void client_events(struct trial *t, struct client *c)
{
    struct stream *s = c->stream;
    uint32_t events = s->events;
    s->events = 0;
    if (events & STREAM_CONNECTED) {
        c->connected = true;
        t->connected++;
    }
    if (events & (STREAM_ERROR | STREAM_EOF)) {
        t->lost++;
        c->stream = NULL;
        s->ops->abort(s);
        return;
    }
    if (s->rx.len < ANSWER_BYTES) return;
    s->ops->consumed(s, ANSWER_BYTES);
    buf_chain_consume(&s->rx, ANSWER_BYTES);
    c->asked = false;
    t->answers++;
}

/* Due requests go to the next connection that has no answer outstanding; with none left they count as unanswered. */
static void ask_some(struct trial *t, unsigned due)
{
    for (; due > 0; due--) {
        unsigned tries = 0;
        struct client *c;
        do c = &t->clients[t->next++ % t->args.connections];
        while ((!c->stream || c->asked) && ++tries < t->args.connections);
        if (!c->stream || c->asked) {
            t->unanswered += due;
            return;
        }
        client_ask(t, c);
    }
}

/* Everyone who has his answer asks again. */
static void ask_all(struct trial *t)
{
    for (unsigned i = 0; i < t->args.connections; i++)
        if (t->clients[i].stream && !t->clients[i].asked) client_ask(t, &t->clients[i]);
}

/* A SYN with the options of a modern client, from an address and port that nobody has. */
static void syn_build(struct trial *t, struct rte_mbuf *m)
{
    static const uint8_t options[OPTIONS_BYTES] = {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7};
    uint64_t r = draw(t);
    struct rte_ether_hdr *eth = (struct rte_ether_hdr *)rte_pktmbuf_append(m, 14 + 20 + 20 + OPTIONS_BYTES);
    struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(eth + 1);
    struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(ip + 1);
    memcpy(&eth->dst_addr, t->server_mac, 6);
    memcpy(&eth->src_addr, port_caps(t->port)->mac, 6);
    eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
    *ip = (struct rte_ipv4_hdr){.version_ihl = 0x45,
                                .total_length = RTE_BE16(40 + OPTIONS_BYTES),
                                .time_to_live = 64,
                                .next_proto_id = IPPROTO_TCP,
                                .src_addr = rte_cpu_to_be_32(0x0a200000u | (uint32_t)(r & 0xfffff)),
                                .dst_addr = t->args.server.addr.be32[3]};
    ip->hdr_checksum = rte_ipv4_cksum(ip);
    *tcp = (struct rte_tcp_hdr){.src_port = (uint16_t)(r >> 20),
                                .dst_port = rte_cpu_to_be_16(t->args.server.port),
                                .sent_seq = (uint32_t)(r >> 32),
                                .data_off = (20 + OPTIONS_BYTES) / 4 << 4,
                                .tcp_flags = RTE_TCP_SYN_FLAG,
                                .rx_win = 0xffff};
    memcpy(tcp + 1, options, OPTIONS_BYTES);
    tcp->cksum = rte_ipv4_udptcp_cksum(ip, tcp);
}

static void flood_some(struct trial *t, uint64_t due)
{
    while (due > 0) {
        struct rte_mbuf *burst[FLOOD_BURST];
        unsigned n = due < FLOOD_BURST ? (unsigned)due : FLOOD_BURST;
        if (rte_pktmbuf_alloc_bulk(t->pools.small, burst, n) != 0) return;
        for (unsigned i = 0; i < n; i++) syn_build(t, burst[i]);
        if (t->unsent)
            rte_pktmbuf_free_bulk(burst, n);
        else
            port_tx(t->port, 0, burst, (uint16_t)n);
        t->floods += n;
        due -= n;
    }
}

static void now_is(struct trial *t, struct tick *now)
{
    t->clock.clock.now(&t->clock.clock, now);
}

static void turn(struct trial *t, const struct tick *now)
{
    struct stream *s;
    netcore_rx(&t->core, now);
    while ((s = stream_loop_pop(&t->loop))) client_events(t, s->user);
    netcore_tx(&t->core, now);
}

static void open_some(struct trial *t, unsigned until)
{
    struct tick now;
    now_is(t, &now);
    for (; t->opened < until; t->opened++) {
        struct client *c = &t->clients[t->opened];
        if (net_connect(t->core.stack, t->args.server, now.ns, &c->stream) != 0)
            c->stream = NULL;
        else
            c->stream->user = c;
    }
}

struct phase {
    double seconds;
    uint64_t answers, unanswered, floods, dropped;
    unsigned came; /* of the newcomers */
};

/* rate: requests a second; 0: as many as are answered, if there are to be any. */
static void run_phase(struct trial *t, uint64_t ns, unsigned rate, bool closed, unsigned flood, bool newcomers,
                      struct phase *p)
{
    struct tick now;
    now_is(t, &now);
    uint64_t start = now.ns, asked = 0, flooded = 0, dropped = port_tx_dropped(t->port, 0);
    unsigned connected = t->connected;
    t->answers = t->unanswered = t->floods = 0;
    while (now.ns - start < ns) {
        uint64_t asks = (now.ns - start) * rate / SECOND, syns = (now.ns - start) * flood / SECOND;
        if (rate > 0)
            ask_some(t, (unsigned)(asks - asked));
        else if (closed)
            ask_all(t);
        asked = asks;
        flood_some(t, RTE_MIN(syns - flooded, flood / FLOOD_LATEST + 1)); /* what a break left out is not made up for */
        flooded = syns;
        if (newcomers && now.ns - start > ns / 4) { /* the SYN cache is full by now, and there is time for a second SYN */
            open_some(t, t->opened + NEWCOMERS);
            newcomers = false;
        }
        turn(t, &now);
        now_is(t, &now);
    }
    *p = (struct phase){.seconds = (double)(now.ns - start) / 1e9,
                        .answers = t->answers,
                        .unanswered = t->unanswered,
                        .floods = t->floods,
                        .dropped = port_tx_dropped(t->port, 0) - dropped,
                        .came = t->connected - connected};
}

static void print_phase(const char *name, const struct phase *p)
{
    printf("\"%s\": {\"seconds\": %.6f, \"answers\": %lu, \"answers_per_s\": %.0f, \"unanswered\": %lu, \"syns\": %lu, "
           "\"tx_dropped\": %lu, \"newcomers\": %u},\n",
           name, p->seconds, p->answers, (double)p->answers / p->seconds, p->unanswered, p->floods, p->dropped, p->came);
}

static int connect_all(struct trial *t)
{
    struct tick now;
    now_is(t, &now);
    uint64_t end = now.ns + 5 * SECOND;
    while (t->connected < t->args.connections && now.ns < end) {
        if (t->opened < t->args.connections && t->opened - t->connected < 64) open_some(t, t->opened + 1);
        turn(t, &now);
        now_is(t, &now);
    }
    struct net_neighbour_info neighbour;
    uint32_t at = 0;
    unsigned found = 0;
    while (at != NET_READ_END && !found) found = net_stack_read_neighbours(t->core.stack, &at, &neighbour, 1);
    if (found) memcpy(t->server_mac, neighbour.mac, 6);
    return t->connected == t->args.connections && found ? 0 : -1;
}

static int start(struct trial *t, char *text, size_t cap)
{
    const struct arguments *a = &t->args;
    struct buf_pools_config pools = {
        .frame_count = BUFFERS, .small_count = BUFFERS, .ref_count = BUFFERS, .frame_room = port_frame_room(a->mtu)};
    struct port_config port = {.queues = 1, .mtu = a->mtu, .pools = &t->pools};
    char device[64];
    snprintf(device, sizeof device, "%.*s", (int)strcspn(a->vdev, ","), a->vdev);
    port.device = device;
    struct eal_config eal = {.program = "syn_flood", .memory_mib = 320, .vdevs = &a->vdev, .vdev_count = 1};
    snprintf(text, cap, "no environment");
    if (eal_start(&eal) != 0 || buf_pools_create(&t->pools, &pools) != 0) return -1;
    if (port_open(&t->port, &port, text, cap) != 0) return -1;
    struct netcore_config core = {.port = t->port, .address = a->ip};
    net_stack_config_default(&core.stack);
    core.stack.pools = &t->pools;
    core.stack.loop = &t->loop;
    clock_tsc_init(&t->clock);
    return netcore_init(&t->core, &core, text, cap);
}

static int server_parse(const char *text, struct net_endpoint *out)
{
    char address[64];
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof address) return -1;
    snprintf(address, sizeof address, "%.*s", (int)(colon - text), text);
    out->port = (uint16_t)atoi(colon + 1);
    return net_addr_parse(address, &out->addr);
}

static void arguments_read(struct arguments *a, int argc, char **argv)
{
    static const struct option options[] = {
        {"vdev", required_argument, NULL, 'v'},
        {"ip", required_argument, NULL, 'i'},
        {"server", required_argument, NULL, 's'},
        {"mtu", required_argument, NULL, 'm'},
        {"connections", required_argument, NULL, 'c'},
        {"rate", required_argument, NULL, 'r'},
        {"flood", required_argument, NULL, 'f'},
        {"milliseconds", required_argument, NULL, 't'},
        {0},
    };
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'v': a->vdev = optarg; break;
        case 'i': a->ip = optarg; break;
        case 's':
            if (server_parse(optarg, &a->server) != 0) exit(2);
            break;
        case 'm': a->mtu = (uint16_t)atoi(optarg); break;
        case 'c': a->connections = (unsigned)atoi(optarg); break;
        case 'r': a->rate = (unsigned)atoi(optarg); break;
        case 'f': a->flood = (unsigned)atoi(optarg); break;
        case 't': a->milliseconds = (unsigned)atoi(optarg); break;
        default: exit(2);
        }
    }
    if (!a->vdev || a->server.port == 0 || a->connections == 0 || a->connections > CONNECTIONS_MAX) exit(2);
    if (a->milliseconds > 60000) exit(2);
}

int main(int argc, char **argv)
{
    static struct trial t = {.args = {.ip = "10.9.0.2/24",
                                      .mtu = 9000,
                                      .connections = 100,
                                      .rate = 100000,
                                      .flood = 1000000,
                                      .milliseconds = 1000},
                             .rng = UINT64_C(0x9e3779b97f4a7c15)};
    char text[256] = "";
    struct phase phase;
    arguments_read(&t.args, argc, argv);
    if (start(&t, text, sizeof text) != 0 || connect_all(&t) != 0) {
        fprintf(stderr, "syn_flood: %s\n", *text ? text : "the connections did not come");
        return 1;
    }
    uint64_t ns = t.args.milliseconds * UINT64_C(1000000);
    run_phase(&t, ns / 4, t.args.rate, true, 0, false, &phase);
    printf("{");
    run_phase(&t, ns, t.args.rate, true, 0, false, &phase);
    print_phase("alone", &phase);
    t.unsent = true;
    run_phase(&t, ns, t.args.rate, true, t.args.flood, false, &phase);
    print_phase("unsent", &phase);
    t.unsent = false;
    run_phase(&t, ns, t.args.rate, true, t.args.flood, true, &phase);
    print_phase("flooded", &phase);
    run_phase(&t, ns, t.args.rate, true, 0, false, &phase);
    print_phase("after", &phase);
    printf("\"lost\": %u}\n", t.lost);
    for (unsigned i = 0; i < t.opened; i++)
        if (t.clients[i].stream) t.clients[i].stream->ops->abort(t.clients[i].stream);
    run_phase(&t, ns / 10, 0, false, 0, false, &phase);
    netcore_fini(&t.core);
    port_close(&t.port);
    buf_pools_destroy(&t.pools);
    eal_stop();
    return 0;
}
