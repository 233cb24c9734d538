#include "tests/net/sim/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rte_ip.h>
#include "net/checksum.h"
#include "tests/support/eal.h"

#define FRAME_MAX 10000u
#define BURST 64u
#define START_NS UINT64_C(1000000000)

uint64_t sim_random(struct sim_wire *w)
{
    uint64_t z = w->rng += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static bool happens(struct sim_wire *w, unsigned per_10000) { return per_10000 && sim_random(w) % 10000 < per_10000; }

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at != b->at ? a->at < b->at : a->serial < b->serial;
}

static void heap_push(struct sim_wire *w, struct sim_event e)
{
    if (w->count == w->cap) {
        w->cap = w->cap ? 2 * w->cap : 256;
        w->heap = realloc(w->heap, w->cap * sizeof *w->heap);
        if (!w->heap) abort();
    }
    uint32_t i = w->count++;
    for (; i > 0 && before(&e, &w->heap[(i - 1) / 2]); i = (i - 1) / 2) w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = e;
}

static struct sim_event heap_pop(struct sim_wire *w)
{
    struct sim_event top = w->heap[0], last = w->heap[--w->count];
    uint32_t i = 0;
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= w->count) break;
        if (child + 1 < w->count && before(&w->heap[child + 1], &w->heap[child])) child++;
        if (!before(&w->heap[child], &last)) break;
        w->heap[i] = w->heap[child];
        i = child;
    }
    w->heap[i] = last;
    return top;
}

static struct rte_mbuf *frame_make(struct sim_host *to, const void *data, uint32_t len)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(to->pools.frame);
    if (!m) return NULL;
    memcpy(rte_pktmbuf_append(m, (uint16_t)len), data, len);
    return m;
}

static void frame_deliver(struct sim_wire *w, unsigned to, const void *data, uint32_t len, uint64_t at)
{
    struct rte_mbuf *m = frame_make(&w->hosts[to], data, len);
    if (m) heap_push(w, (struct sim_event){.at = at, .serial = w->serial++, .m = m, .to = to});
}

/* What a device with checksum offload does before a frame leaves. */
static void offload_apply(const struct rte_mbuf *m, uint8_t *frame, uint32_t len)
{
    struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(frame + m->l2_len);
    uint16_t sum;
    if (m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM) {
        ip->hdr_checksum = 0;
        ip->hdr_checksum = (uint16_t)~checksum_fold(checksum_sum(ip, m->l3_len));
    }
    if (m->ol_flags & RTE_MBUF_F_TX_TCP_CKSUM) {
        uint32_t at = m->l2_len + m->l3_len; /* the field holds the sum of the pseudo-header */
        sum = (uint16_t)~checksum_fold(checksum_sum(frame + at, len - at));
        memcpy(frame + at + 16, &sum, sizeof sum);
    }
}

static uint64_t delay(struct sim_wire *w)
{
    uint64_t ns = w->faults.latency_ns;
    if (w->faults.jitter_ns) ns += sim_random(w) % w->faults.jitter_ns;
    if (happens(w, w->faults.reorder)) ns += sim_random(w) % (20 * w->faults.latency_ns + 1);
    return ns;
}

static void frame_offer(struct sim_wire *w, unsigned from, struct rte_mbuf *m)
{
    uint8_t frame[FRAME_MAX];
    uint32_t len = 0;
    for (const struct rte_mbuf *it = m; it; len += it->data_len, it = it->next) {
        if (len + it->data_len > sizeof frame) abort();
        memcpy(frame + len, rte_pktmbuf_mtod(it, const void *), it->data_len);
    }
    if (len != m->pkt_len) abort(); /* the stack keeps its packet lengths right */
    offload_apply(m, frame, len);
    w->frames++;
    if (w->filter && !w->filter(w->filter_arg, from, frame, len)) return;
    if (happens(w, w->faults.loss)) return;
    unsigned copies = happens(w, w->faults.duplicate) ? 2 : 1;
    for (unsigned i = 0; i < copies; i++) {
        if (happens(w, w->faults.corrupt)) frame[14 + sim_random(w) % (len - 14)] ^= (uint8_t)(1 + sim_random(w) % 255);
        frame_deliver(w, !from, frame, len, w->now + delay(w));
    }
}

static void wire_tx(void *arg, struct rte_mbuf **frames, uint16_t n)
{
    struct sim_host *h = arg;
    for (uint16_t i = 0; i < n; i++) {
        frame_offer(h->wire, h->index, frames[i]);
        rte_pktmbuf_free(frames[i]);
    }
}

uint32_t sim_ip(unsigned host) { return RTE_IPV4(10, 0, 0, 1 + host); }

static void host_create(struct sim_wire *w, unsigned index, uint32_t buffers,
                        void (*change)(unsigned, struct net_stack_config *))
{
    struct sim_host *h = &w->hosts[index];
    struct net_stack_config config;
    h->wire = w;
    h->index = index;
    net_stack_config_default(&config);
    net_stack_config_address(&config, net_addr_v4(sim_ip(index)), 24);
    memcpy(config.mac, (uint8_t[]){2, 0, 0, 0, 0, (uint8_t)(1 + index)}, 6);
    config.secret[0] = sim_random(w);
    config.secret[1] = sim_random(w);
    config.max_connections = 4096;
    config.loop = &h->loop;
    config.pools = &h->pools;
    config.tx = wire_tx;
    config.tx_arg = h;
    if (change) change(index, &config);
    test_pools_create(&h->pools, buffers, config.mtu > 2034 ? config.mtu + 14u : 2048u);
    if (net_stack_create(&h->stack, &config) != 0) abort();
}

void sim_wire_create(struct sim_wire *w, uint64_t seed, uint32_t buffers, const struct sim_faults *faults,
                     void (*change)(unsigned host, struct net_stack_config *config))
{
    test_eal_start();
    memset(w, 0, sizeof *w);
    w->rng = seed;
    w->now = START_NS;
    if (faults) w->faults = *faults;
    for (unsigned i = 0; i < SIM_HOSTS; i++) host_create(w, i, buffers, change);
}

uint32_t sim_wire_destroy(struct sim_wire *w)
{
    uint32_t leaked = 0;
    for (unsigned i = 0; i < SIM_HOSTS; i++) net_stack_destroy(&w->hosts[i].stack);
    for (uint32_t i = 0; i < w->count; i++) rte_pktmbuf_free(w->heap[i].m);
    free(w->heap);
    for (unsigned i = 0; i < SIM_HOSTS; i++) {
        leaked += buf_pools_in_use(&w->hosts[i].pools);
        buf_pools_destroy(&w->hosts[i].pools);
    }
    return leaked;
}

static void host_turn(struct sim_host *h, struct rte_mbuf **frames, uint16_t n, uint64_t now)
{
    if (n) net_stack_input(h->stack, frames, n, now);
    if (h->turn) h->turn(h->turn_arg, &h->loop);
    net_stack_timers(h->stack, now);
    net_stack_output(h->stack, now);
}

void sim_wire_turn(struct sim_wire *w)
{
    struct rte_mbuf *frames[SIM_HOSTS][BURST];
    uint16_t n[SIM_HOSTS] = {0};
    while (w->count && w->heap[0].at <= w->now && n[w->heap[0].to] < BURST) {
        struct sim_event e = heap_pop(w);
        frames[e.to][n[e.to]++] = e.m;
    }
    for (unsigned i = 0; i < SIM_HOSTS; i++) host_turn(&w->hosts[i], frames[i], n[i], w->now);
}

bool sim_wire_step(struct sim_wire *w, uint64_t until)
{
    uint64_t at = w->count ? w->heap[0].at : UINT64_MAX;
    for (unsigned i = 0; i < SIM_HOSTS; i++) {
        uint64_t deadline = net_stack_deadline(w->hosts[i].stack);
        if (deadline < at) at = deadline;
        if (w->hosts[i].loop.head) at = 0;
    }
    if (at == UINT64_MAX || at > until) return false;
    if (at > w->now) w->now = at;
    sim_wire_turn(w);
    return true;
}

void sim_wire_run(struct sim_wire *w, uint64_t for_ns)
{
    uint64_t until = w->now + for_ns;
    while (sim_wire_step(w, until)) {}
    w->now = until;
    sim_wire_turn(w);
}

void sim_wire_inject(struct sim_wire *w, unsigned to, const void *frame, uint32_t len)
{
    frame_deliver(w, to, frame, len, w->now);
}
