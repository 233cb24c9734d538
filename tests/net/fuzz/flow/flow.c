#include "tests/net/fuzz/flow/flow.h"

#include <stdlib.h>
#include <string.h>
#include "net/stack_impl.h"
#include "net/tcp/tcp.h"
#include "tests/support/eal.h"

#define BUFFERS 511u

static struct buf_pools pools;

struct buf_pools *flow_pools(void)
{
    return &pools;
}

void flow_require(bool holds)
{
    if (!holds) abort();
}

/* By its remote port. */
static struct flow_peer *peer_of_stream(struct flow *f, struct stream *s)
{
    struct tcp_tuple t;
    tcp_conn_tuple(tcp_conn_of(s), &t);
    unsigned i = tcp_tuple_remote_port(t.ports) - FLOW_PEER_PORT;
    flow_require(i < FLOW_PEERS);
    return &f->peers[i];
}

static void accepted(void *arg, struct stream *s)
{
    struct flow_peer *p = peer_of_stream(arg, s);
    if (p->stream) { /* the application still holds the last connection of that port */
        s->ops->abort(s);
        return;
    }
    p->stream = s;
    p->eof = p->shut = false;
}

/* What has arrived is what was sent at these numbers. */
static void received_check(const struct stream *s)
{
    const struct tcp_conn *c = tcp_conn_of((struct stream *)(uintptr_t)s);
    if (c->state < TCPS_ESTABLISHED) return;
    uint32_t seq = c->rcv_nxt - (c->flags & TCPF_EOF ? 1 : 0) - s->rx.len;
    for (const struct rte_mbuf *m = s->rx.head; m; m = m->next)
        for (uint32_t i = 0; i < m->data_len; i++) flow_require(buf_data(m)[i] == flow_byte(seq++, true));
}

static void applications(struct flow *f)
{
    struct stream *s;
    while ((s = stream_loop_pop(&f->loop)) != NULL) {
        struct flow_peer *p = peer_of_stream(f, s);
        uint32_t events = s->events;
        flow_require(p->stream == s);
        s->events = 0;
        if (events & STREAM_READABLE) received_check(s);
        if (events & STREAM_EOF) p->eof = true;
        if (!(events & STREAM_ERROR)) continue;
        s->ops->close(s);
        p->stream = NULL;
    }
}

static void turn(struct flow *f)
{
    applications(f);
    net_stack_timers(f->stack, f->now);
    applications(f);
    net_stack_output(f->stack, f->now);
}

void flow_turn(struct flow *f, uint64_t wait_ns)
{
    turn(f);
    if (f->asked && f->answers) {
        f->asked = false;
        flow_neighbour(f, 0);
        turn(f);
    }
    f->now += wait_ns + 1000;
    turn(f);
    const struct net_stack *st = f->stack;
    flow_require(net_stack_connections(st) <= st->config.max_connections);
    for (unsigned i = 0; i < FLOW_PEERS; i++) {
        const struct stream *s = f->peers[i].stream;
        /* A window is 32 KiB at most; what holds it, twice that and a buffer: tcp_rx_memory.h. */
        if (s) flow_require(s->rx.len <= st->config.rx_window + UINT16_MAX);
    }
    flow_require(st->rx_memory <= st->config.rx_memory + 2 * FLOW_PEERS * st->config.rx_window);
}

void flow_open(struct flow *f, const struct flow_setup *setup)
{
    struct net_stack_config config;
    if (!pools.frame) {
        test_eal_start();
        test_pools_create(&pools, BUFFERS, FLOW_FRAME);
    }
    *f = (struct flow){.now = 1000000000,
                       .v6 = setup->v6,
                       .answers = setup->answers,
                       .vlan = setup->vlan ? 5 : 0,
                       .mac = {2, 0, 0, 0, 0, 2}};
    f->mtu = !setup->small_mtu ? 1500 : setup->v6 ? 1280 : 576;
    net_stack_config_default(&config);
    net_stack_config_address(&config, flow_addr(f, 1), setup->v6 ? 64 : 24);
    memcpy(config.mac, (uint8_t[]){2, 0, 0, 0, 0, 1}, 6);
    config.secret[0] = 1;
    config.mtu = f->mtu;
    config.vlan = f->vlan;
    config.rx_checksum = setup->rx_checksum;
    config.max_connections = 2 + setup->connections % 6;
    config.max_half_open = 2;
    config.rx_window = 2048u << setup->window % 5;
    config.syn_cookies = setup->cookies % 3;
    config.tcp_cc = setup->cc % NET_TCP_CC_COUNT;
    config.tcp_ecn = setup->ecn % 3;
    config.tuning.keepalive = setup->keepalive;
    config.tuning.keep_idle_ns = 1000000000;
    config.tuning.keep_interval_ns = 1000000000;
    config.time_wait_ns = 100000000;
    config.loop = &f->loop;
    config.pools = &pools;
    config.tx = flow_seen;
    config.tx_arg = f;
    for (unsigned i = 0; i < FLOW_PEERS; i++) {
        struct flow_peer *p = &f->peers[i];
        p->port = (uint16_t)(FLOW_PEER_PORT + i);
        p->stack_port = FLOW_PORT;
        p->iss = p->nxt = 0xfffff000u + (i << 20); /* the first wraps soon */
        p->ts_val = 100;
        p->ts = setup->ts >> i & 1;
    }
    flow_require(net_stack_create(&f->stack, &config) == 0 && net_listen(f->stack, FLOW_PORT, accepted, f) == 0);
}

void flow_close(struct flow *f)
{
    rte_pktmbuf_free_bulk(f->hostages, f->hostage_count);
    net_stack_destroy(&f->stack);
    flow_require(buf_pools_in_use(&pools) == 0);
}
