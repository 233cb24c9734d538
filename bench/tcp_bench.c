/*
 * Two stacks in one thread hand each other frames directly: 64-byte requests and answers on many connections. Prints TSC
 * cycles a request of one stack's input and output, the application's part apart.
 *
 *     tcp_bench [connections] [batch] [payload bytes] [requests] [idle connections]
 *     tcp_bench bulk [batch] [segments]
 *
 * bulk: the client sends full segments on one connection, each in one buffer as a device would have it; what the server
 * spends on receiving them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rte_cycles.h>
#include "base/eal.h"
#include "net/stack.h"

#define QUEUE_MAX 65536u
#define BULK_QUEUE (256u << 10)
#define BULK_SEGMENT 1448u
#define CLIENT_ADDRESSES 16u
#define IDLE_MAX 960000u
#define OPEN_AT_ONCE 64u
#define TURN_NS 20000u

struct side {
    struct net_stack *stack;
    struct stream_loop loop;
    struct buf_pools pools;
    struct side *peer;
    struct rte_mbuf *queue[QUEUE_MAX]; /* frames towards this side */
    uint32_t head, tail;
    uint32_t payload;
    uint64_t messages;
    bool bulk;
    bool idle; /* what connects now says nothing */
    uint32_t connected;
    uint64_t bytes;
    uint64_t input, application, output; /* cycles */
};

/* One buffer of the receiver's, its checksum vouched for. */
static struct rte_mbuf *delivered(struct side *to, struct rte_mbuf *m)
{
    struct rte_mbuf *copy = rte_pktmbuf_alloc(to->pools.frame);
    if (!copy) abort();
    uint8_t *p = (uint8_t *)rte_pktmbuf_append(copy, (uint16_t)m->pkt_len);
    const void *bytes = rte_pktmbuf_read(m, 0, m->pkt_len, p);
    if (bytes != p) memcpy(p, bytes, m->pkt_len);
    copy->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE;
    rte_pktmbuf_free(m);
    return copy;
}

static void side_tx(void *arg, struct rte_mbuf **frames, uint16_t n)
{
    struct side *to = ((struct side *)arg)->peer;
    for (uint16_t i = 0; i < n; i++) to->queue[to->tail++ % QUEUE_MAX] = to->bulk ? delivered(to, frames[i]) : frames[i];
}

static void message_send(struct side *s, struct stream *t)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(s->payload <= BUF_SMALL_ROOM ? s->pools.small : s->pools.frame);
    if (!m) abort();
    memset(rte_pktmbuf_mtod(m, void *), 'x', s->payload);
    m->data_len = (uint16_t)s->payload;
    struct buf_chain chain;
    buf_chain_init(&chain);
    buf_chain_append(&chain, m);
    t->ops->send(t, &chain);
    t->ops->flush(t);
}

static void bulk_fill(struct side *s, struct stream *t)
{
    while (t->tx_queued < BULK_QUEUE) message_send(s, t);
    t->tx_low_water = BULK_QUEUE / 2;
    t->want_writable = true;
}

static void bulk_application(struct side *s)
{
    struct stream *t;
    while ((t = stream_loop_pop(&s->loop)) != NULL) {
        uint32_t n = t->rx.len;
        if (t->events & (STREAM_CONNECTED | STREAM_WRITABLE)) bulk_fill(s, t);
        t->events = 0;
        if (n == 0) continue;
        buf_chain_consume(&t->rx, n);
        t->ops->consumed(t, n);
        s->bytes += n;
    }
}

static void side_application(struct side *s)
{
    if (s->bulk) {
        bulk_application(s);
        return;
    }
    struct stream *t;
    while ((t = stream_loop_pop(&s->loop)) != NULL) {
        uint32_t events = t->events, n = t->rx.len;
        t->events = 0;
        if (events & STREAM_CONNECTED) {
            s->connected++;
            if (!s->idle) message_send(s, t);
        }
        if (!(events & STREAM_READABLE) || n < s->payload) continue;
        buf_chain_consume(&t->rx, n);
        t->ops->consumed(t, n);
        s->messages++;
        message_send(s, t);
    }
}

static void side_accept(void *arg, struct stream *t)
{
    (void)arg;
    (void)t;
}

static void side_turn(struct side *s, uint32_t batch, uint64_t now_ns)
{
    struct rte_mbuf *frames[64];
    uint16_t n = 0;
    while (n < batch && s->head != s->tail) frames[n++] = s->queue[s->head++ % QUEUE_MAX];
    uint64_t t0 = rte_rdtsc();
    net_stack_input(s->stack, frames, n, now_ns);
    uint64_t t1 = rte_rdtsc();
    side_application(s);
    uint64_t t2 = rte_rdtsc();
    net_stack_timers(s->stack, now_ns);
    net_stack_output(s->stack, now_ns);
    s->output += rte_rdtsc() - t2;
    s->application += t2 - t1;
    s->input += t1 - t0;
}

static void side_create(struct side *s, struct side *peer, unsigned index, uint32_t connections, uint32_t payload,
                        uint32_t idle)
{
    s->bulk = connections == 0;
    struct net_stack_config config;
    struct buf_pools_config pools = {.core = index, .frame_count = 8192, .small_count = 8 * connections + 8192,
                                     .ref_count = 8192, .frame_room = 2048};
    if (buf_pools_create(&s->pools, &pools) != 0) exit(1);
    net_stack_config_default(&config);
    net_stack_config_address(&config, net_addr_v4(0x0a000001 + index), 24);
    for (uint32_t i = 1; index == 0 && i < CLIENT_ADDRESSES; i++)
        net_stack_config_address(&config, net_addr_v4(0x0a000001 + CLIENT_ADDRESSES * i), 24);
    config.port_first = 1024;
    config.max_connections = RTE_MAX(config.max_connections, connections + idle + 64);
    config.mac[0] = 2;
    config.mac[5] = (uint8_t)(index + 1);
    config.secret[0] = 0x5bd1e995 + index;
    config.secret[1] = 0x27d4eb2f;
    config.rto_min_ns = 1000000000;
    config.rx_checksum = config.tx_tcp_checksum = s->bulk;
    config.pools = &s->pools;
    config.loop = &s->loop;
    config.tx = side_tx;
    config.tx_arg = s;
    s->peer = peer;
    s->payload = payload;
    if (net_stack_create(&s->stack, &config) != 0) exit(1);
}

static void side_report(const char *name, const struct side *s)
{
    double n = (double)s->messages;
    printf("%s: input %.0f, application %.0f, output %.0f; stack %.0f cycles a message\n", name, (double)s->input / n,
           (double)s->application / n, (double)s->output / n, (double)(s->input + s->output) / n);
}

static void bulk_run(struct side *client, struct side *server, uint32_t batch, uint64_t *now, uint64_t segments)
{
    for (; server->bytes < segments * BULK_SEGMENT; *now += TURN_NS) {
        side_turn(client, batch, *now);
        side_turn(server, batch, *now);
    }
}

static int bulk(uint32_t batch, uint64_t segments)
{
    static struct side client, server;
    struct stream *t;
    side_create(&client, &server, 0, 0, BULK_SEGMENT, 0);
    side_create(&server, &client, 1, 0, BULK_SEGMENT, 0);
    uint64_t now = 1000000000;
    if (net_listen(server.stack, 7, side_accept, NULL) != 0) return 1;
    if (net_connect(client.stack, net_endpoint_v4(0x0a000002, 7), now, &t) != 0) return 1;
    bulk_run(&client, &server, batch, &now, 1000); /* until warm */
    server.bytes = server.input = server.application = server.output = 0;
    bulk_run(&client, &server, batch, &now, segments);
    server.messages = server.bytes / BULK_SEGMENT;
    printf("%lu segments, batch %u\n", (unsigned long)server.messages, batch);
    side_report("receiver", &server);
    net_stack_destroy(&client.stack);
    net_stack_destroy(&server.stack);
    return 0;
}

/* From all of the client's addresses in turn. False: one was refused. */
static bool idle_open(struct side *client, struct side *server, uint32_t idle, uint64_t *now)
{
    uint32_t opened = 0;
    struct stream *t;
    for (client->idle = true; client->connected < idle; *now += TURN_NS) {
        for (; opened < idle && opened - client->connected < OPEN_AT_ONCE; opened++) {
            struct net_endpoint from = net_endpoint_v4(0x0a000001 + CLIENT_ADDRESSES * (opened % CLIENT_ADDRESSES), 0);
            if (net_connect_from(client->stack, from, net_endpoint_v4(0x0a000002, 7), *now, &t) != 0) return false;
        }
        side_turn(client, OPEN_AT_ONCE, *now);
        side_turn(server, OPEN_AT_ONCE, *now);
    }
    client->idle = false;
    return true;
}

int main(int argc, char **argv)
{
    static struct side client, server;
    bool stream = argc > 1 && strcmp(argv[1], "bulk") == 0;
    uint32_t connections = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000;
    uint32_t batch = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 32;
    uint32_t payload = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 64;
    uint64_t requests = argc > 4 ? strtoull(argv[4], NULL, 10) : 3000000;
    uint32_t idle = argc > 5 ? (uint32_t)strtoul(argv[5], NULL, 10) : 0;
    if (stream) connections = payload = 1;
    if (batch < 1 || batch > 64 || connections < 1 || connections > 20000 || payload < 1 || payload > 1400 ||
        idle > IDLE_MAX) {
        fprintf(stderr, "usage: tcp_bench [connections 1-20000] [batch 1-64] [payload 1-1400] [requests] "
                        "[idle connections 0-%u]\n", IDLE_MAX);
        return 1;
    }
    struct eal_config eal = {.program = argv[0], .memory_mib = 512};
    if (eal_start(&eal) != 0) return 1;
    if (stream) return bulk(batch, argc > 3 ? strtoull(argv[3], NULL, 10) : 1000000);
    side_create(&client, &server, 0, connections, payload, idle);
    side_create(&server, &client, 1, connections, payload, idle);
    if (net_listen(server.stack, 7, side_accept, NULL) != 0) return 1;
    uint64_t now = 1000000000;
    if (!idle_open(&client, &server, idle, &now)) return 1;
    struct stream *t;
    for (uint32_t i = 0; i < connections; i++)
        if (net_connect(client.stack, net_endpoint_v4(0x0a000002, 7), now, &t) != 0) return 1;
    for (; client.messages < 10 * connections; now += TURN_NS) { /* until warm */
        side_turn(&client, batch, now);
        side_turn(&server, batch, now);
    }
    client.messages = client.input = client.application = client.output = 0;
    server.messages = server.input = server.application = server.output = 0;
    uint64_t start = rte_rdtsc();
    for (; client.messages < requests; now += TURN_NS) {
        side_turn(&client, batch, now);
        side_turn(&server, batch, now);
    }
    printf("%u connections, batch %u, %u bytes, %lu requests, %.0f cycles a request for both sides\n", connections, batch,
           payload, (unsigned long)requests, (double)(rte_rdtsc() - start) / (double)requests);
    side_report("client", &client);
    side_report("server", &server);
    net_stack_destroy(&client.stack);
    net_stack_destroy(&server.stack);
    return 0;
}
