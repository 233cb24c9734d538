#include "tests/net/sim/fabric.h"

#include <stdlib.h>
#include <string.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include "net/checksum.h"
#include "tests/support/eal.h"

#define FRAME_MAX 10000u
#define FRAME_ROOM 2048u
#define BURST 64u
#define START_NS UINT64_C(1000000000)
#define ETH 14u
#define SWITCH_HOST 253u
#define IP6 40u

struct frame {
    uint32_t len;
    uint8_t bytes[];
};

struct fabric_event {
    uint64_t at, serial;
    struct frame *frame;
    uint8_t host;
    bool at_switch; /* it came up the host's pipe; else down to it */
};

uint64_t fabric_random(struct fabric *f)
{
    uint64_t z = f->rng += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t fabric_between(struct fabric *f, uint64_t least, uint64_t most)
{
    return least + fabric_random(f) % (most - least + 1);
}

bool fabric_chance(struct fabric *f, unsigned per_10000)
{
    return per_10000 && fabric_random(f) % 10000 < per_10000;
}

uint32_t fabric_ip(unsigned host)
{
    return RTE_IPV4(10, 0, 0, 1 + host);
}

struct net_addr fabric_addr(const struct fabric *f, unsigned host)
{
    if (!f->v6) return net_addr_v4(fabric_ip(host));
    return (struct net_addr){.bytes = {0x20, 1, 0x0d, 0xb8, [15] = (uint8_t)(1 + host)}};
}

uint32_t fabric_ip_at(const struct fabric *f)
{
    return f->vlan ? ETH + 4 : ETH;
}

static bool before(const struct fabric_event *a, const struct fabric_event *b)
{
    return a->at != b->at ? a->at < b->at : a->serial < b->serial;
}

static void heap_push(struct fabric *f, struct fabric_event e)
{
    if (f->events == f->cap) {
        f->cap = f->cap ? 2 * f->cap : 256;
        f->heap = realloc(f->heap, f->cap * sizeof *f->heap);
        if (!f->heap) abort();
    }
    uint32_t i = f->events++;
    for (; i > 0 && before(&e, &f->heap[(i - 1) / 2]); i = (i - 1) / 2) f->heap[i] = f->heap[(i - 1) / 2];
    f->heap[i] = e;
}

static struct fabric_event heap_pop(struct fabric *f)
{
    struct fabric_event top = f->heap[0], last = f->heap[--f->events];
    uint32_t i = 0;
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= f->events) break;
        if (child + 1 < f->events && before(&f->heap[child + 1], &f->heap[child])) child++;
        if (!before(&f->heap[child], &last)) break;
        f->heap[i] = f->heap[child];
        i = child;
    }
    f->heap[i] = last;
    return top;
}

static void events_drop(struct fabric *f)
{
    for (uint32_t i = 0; i < f->events; i++) free(f->heap[i].frame);
    f->events = 0;
}

static struct frame *frame_copy(const void *bytes, uint32_t len)
{
    struct frame *frame = malloc(sizeof *frame + len);
    if (!frame) abort();
    frame->len = len;
    memcpy(frame->bytes, bytes, len);
    return frame;
}

static bool tap(struct fabric *f, enum fabric_fate fate, unsigned host, uint8_t *bytes, uint32_t len)
{
    return !f->tap || f->tap(f->arg, fate, host, bytes, len);
}

static bool is_type(const struct fabric *f, const uint8_t *bytes, uint32_t len, uint16_t type, uint32_t header)
{
    uint32_t at = fabric_ip_at(f);
    return len >= at + header && bytes[at - 2] == type >> 8 && bytes[at - 1] == (type & 255);
}

static bool is_ipv4(const struct fabric *f, const uint8_t *bytes, uint32_t len)
{
    return is_type(f, bytes, len, RTE_ETHER_TYPE_IPV4, sizeof(struct rte_ipv4_hdr));
}

static bool is_ipv6(const struct fabric *f, const uint8_t *bytes, uint32_t len)
{
    return is_type(f, bytes, len, RTE_ETHER_TYPE_IPV6, IP6);
}

static void ip_checksum(struct rte_ipv4_hdr *ip)
{
    ip->hdr_checksum = 0;
    ip->hdr_checksum = (uint16_t)~checksum_fold(checksum_sum(ip, sizeof *ip));
}

/* What a congested switch does to an ECN-capable packet. False: it is not one. RFC 3168 5. */
static bool mark(const struct fabric *f, struct frame *frame)
{
    uint8_t *packet = frame->bytes + fabric_ip_at(f);
    if (is_ipv6(f, frame->bytes, frame->len)) {
        if ((packet[1] & 0x30) == 0) return false;
        packet[1] |= 0x30;
        return true;
    }
    if (!is_ipv4(f, frame->bytes, frame->len) || (packet[1] & 3) == 0) return false;
    packet[1] |= 3;
    ip_checksum((struct rte_ipv4_hdr *)packet);
    return true;
}

static void pipe_send(struct fabric *f, unsigned host, bool up, struct frame *frame);

/* The Ethernet header of a frame of ours to its sender. */
static void answer_ethernet(const struct fabric *f, const struct frame *frame, uint8_t *bytes)
{
    memcpy(bytes, frame->bytes + 6, 6);
    memcpy(bytes + 6, (uint8_t[]){2, 0, 0, 0, 0, 254}, 6);
    memcpy(bytes + 12, frame->bytes + 12, fabric_ip_at(f) - 12);
}

/* Packet too big: RFC 4443 3.2. Returns the bytes of the packet, which is written to p. */
static uint32_t too_big_v6(const struct fabric *f, const uint8_t *packet, uint16_t mtu, uint8_t *p)
{
    uint32_t quoted = IP6 + 8, len = 8 + quoted;
    struct net_addr from = fabric_addr(f, SWITCH_HOST);
    memcpy(p, (uint8_t[]){0x60, 0, 0, 0, 0, (uint8_t)len, IPPROTO_ICMPV6, 64}, 8);
    memcpy(p + 8, from.bytes, 16);
    memcpy(p + 24, packet + 8, 16);
    uint8_t *icmp = p + IP6;
    memcpy(icmp, (uint8_t[]){2, 0, 0, 0, 0, 0, (uint8_t)(mtu >> 8), (uint8_t)mtu}, 8);
    memcpy(icmp + 8, packet, quoted);
    uint64_t pseudo = checksum_sum(p + 8, 32) + rte_cpu_to_be_16((uint16_t)len) + rte_cpu_to_be_16(IPPROTO_ICMPV6);
    uint16_t sum = (uint16_t)~checksum_fold(pseudo + checksum_sum(icmp, len));
    memcpy(icmp + 2, &sum, sizeof sum);
    return IP6 + len;
}

/* Destination unreachable, fragmentation needed: RFC 1191 4. */
static uint32_t too_big_v4(const struct fabric *f, const uint8_t *packet, uint16_t mtu, uint8_t *p)
{
    struct net_addr from = fabric_addr(f, SWITCH_HOST);
    struct rte_ipv4_hdr ip = {.version_ihl = RTE_IPV4_VHL_DEF,
                              .time_to_live = 64,
                              .next_proto_id = IPPROTO_ICMP,
                              .src_addr = from.be32[3],
                              .total_length = rte_cpu_to_be_16(sizeof ip + 36)};
    memcpy(&ip.dst_addr, packet + 12, 4);
    ip_checksum(&ip);
    memcpy(p, &ip, sizeof ip);
    uint8_t *icmp = p + sizeof ip;
    memcpy(icmp, (uint8_t[]){3, 4, 0, 0, 0, 0, (uint8_t)(mtu >> 8), (uint8_t)mtu}, 8);
    memcpy(icmp + 8, packet, 28);
    uint16_t sum = (uint16_t)~checksum_fold(checksum_sum(icmp, 36));
    memcpy(icmp + 2, &sum, sizeof sum);
    return sizeof ip + 36;
}

static void tell_mtu(struct fabric *f, const struct frame *frame, uint16_t mtu)
{
    uint8_t bytes[ETH + 4 + IP6 + 8 + IP6 + 8] = {0};
    uint32_t at = fabric_ip_at(f), len, to = frame->bytes[11] - 1u;
    if (is_ipv6(f, frame->bytes, frame->len))
        len = too_big_v6(f, frame->bytes + at, mtu, bytes + at);
    else if (is_ipv4(f, frame->bytes, frame->len))
        len = too_big_v4(f, frame->bytes + at, mtu, bytes + at);
    else
        return;
    answer_ethernet(f, frame, bytes);
    if (to < f->count) pipe_send(f, to, false, frame_copy(bytes, at + len));
}

static void corrupt(struct fabric *f, struct frame *frame)
{
    /* Only what a checksum of the packet covers: the Ethernet check sum would have found the rest. */
    uint32_t at = fabric_ip_at(f);
    if (!is_ipv4(f, frame->bytes, frame->len) && !is_ipv6(f, frame->bytes, frame->len)) return;
    frame->bytes[at + fabric_random(f) % (frame->len - at)] ^= (uint8_t)(1 + fabric_random(f) % 255);
}

/* The queue before the pipe. False: no room. */
static bool pipe_queue(struct fabric *f, struct fabric_pipe *p, struct frame *frame)
{
    if (!p->faults.rate) {
        p->free_at = f->now;
        return true;
    }
    uint64_t waiting_ns = p->free_at > f->now ? p->free_at - f->now : 0;
    uint64_t queued = (uint64_t)((unsigned __int128)waiting_ns * p->faults.rate / 8 / 1000000000);
    if (p->faults.queue_bytes && queued + frame->len > p->faults.queue_bytes) return false;
    if (p->faults.mark_bytes && queued > p->faults.mark_bytes) {
        if (!mark(f, frame)) return false;
        p->marked++;
    }
    if (queued + frame->len > p->queue_most) p->queue_most = (uint32_t)(queued + frame->len);
    uint64_t start = RTE_MAX(p->free_at, f->now);
    p->free_at = start + (uint64_t)frame->len * 8 * 1000000000 / p->faults.rate;
    return true;
}

static void pipe_deliver(struct fabric *f, unsigned host, bool up, const struct fabric_pipe *p, struct frame *frame)
{
    uint64_t at = p->free_at + p->faults.latency_ns;
    if (p->faults.jitter_ns) at += fabric_random(f) % p->faults.jitter_ns;
    if (fabric_chance(f, p->faults.reorder)) at += fabric_random(f) % (p->faults.late_ns + 1);
    uint64_t poll = up ? 0 : f->hosts[host].poll_ns;
    if (poll) at += poll - at % poll;
    heap_push(f, (struct fabric_event){
                     .at = at, .serial = f->serial++, .frame = frame, .host = (uint8_t)host, .at_switch = up});
}

static enum fabric_fate pipe_fate(struct fabric *f, struct fabric_pipe *p, struct frame *frame)
{
    if (p->faults.down) return FABRIC_DOWN;
    if (p->faults.mtu && frame->len > fabric_ip_at(f) + p->faults.mtu) return FABRIC_TOO_BIG;
    if (fabric_chance(f, p->faults.loss)) return FABRIC_LOST;
    return pipe_queue(f, p, frame) ? FABRIC_SENT : FABRIC_QUEUE_FULL;
}

/* Takes frame. */
static void pipe_send(struct fabric *f, unsigned host, bool up, struct frame *frame)
{
    struct fabric_pipe *p = up ? &f->hosts[host].up : &f->hosts[host].down;
    p->frames++;
    enum fabric_fate fate = pipe_fate(f, p, frame);
    if (fate != FABRIC_SENT) {
        p->dropped++;
        tap(f, fate, host, frame->bytes, frame->len);
        if (fate == FABRIC_TOO_BIG && p->faults.tell_mtu) tell_mtu(f, frame, p->faults.mtu);
        free(frame);
        return;
    }
    struct frame *copy = fabric_chance(f, p->faults.duplicate) ? frame_copy(frame->bytes, frame->len) : NULL;
    if (fabric_chance(f, p->faults.corrupt)) corrupt(f, frame);
    pipe_deliver(f, host, up, p, frame);
    if (copy) pipe_deliver(f, host, up, p, copy);
}

/* MAC addresses end with the host's number + 1. */
static void switch_frame(struct fabric *f, unsigned from, struct frame *frame)
{
    unsigned to = frame->bytes[5] - 1u;
    if (!(frame->bytes[0] & 1)) {
        if (to < f->count && to != from)
            pipe_send(f, to, false, frame);
        else
            free(frame);
        return;
    }
    for (unsigned i = 0; i < f->count; i++)
        if (i != from) pipe_send(f, i, false, frame_copy(frame->bytes, frame->len));
    free(frame);
}

/* What a device with checksum offload does before a frame leaves. */
static void offload_apply(const struct rte_mbuf *m, uint8_t *frame, uint32_t len)
{
    struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(frame + m->l2_len);
    if (m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM) ip_checksum(ip);
    if ((m->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_TCP_CKSUM) {
        uint32_t at = m->l2_len + m->l3_len; /* the field holds the sum of the pseudo-header */
        uint16_t sum = (uint16_t)~checksum_fold(checksum_sum(frame + at, len - at));
        memcpy(frame + at + 16, &sum, sizeof sum);
    }
}

static void host_offer(struct fabric_host *h, struct rte_mbuf *m)
{
    uint8_t bytes[FRAME_MAX];
    uint32_t len = 0;
    for (const struct rte_mbuf *it = m; it; len += it->data_len, it = it->next) {
        if (len + it->data_len > sizeof bytes) abort();
        memcpy(bytes + len, rte_pktmbuf_mtod(it, const void *), it->data_len);
    }
    if (len != m->pkt_len) abort(); /* the stack keeps its packet lengths right */
    offload_apply(m, bytes, len);
    if (tap(h->fabric, FABRIC_SENT, h->index, bytes, len)) pipe_send(h->fabric, h->index, true, frame_copy(bytes, len));
}

static void host_tx(void *arg, struct rte_mbuf **frames, uint16_t n)
{
    for (uint16_t i = 0; i < n; i++) {
        host_offer(arg, frames[i]);
        rte_pktmbuf_free(frames[i]);
    }
}

static bool sum_good(uint64_t pseudo, const uint8_t *segment, uint32_t len)
{
    uint64_t sum = pseudo + rte_cpu_to_be_16(IPPROTO_TCP) + rte_cpu_to_be_16((uint16_t)len);
    return checksum_fold(sum + checksum_sum(segment, len)) == 0xffff;
}

/* What a device that verifies writes into the buffer. */
static uint64_t checksum_verdict(const struct fabric *f, const uint8_t *bytes, uint32_t len)
{
    uint32_t at = fabric_ip_at(f);
    const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(bytes + at);
    if (is_ipv6(f, bytes, len)) {
        uint32_t payload = (uint32_t)bytes[at + 4] << 8 | bytes[at + 5];
        if (bytes[at + 6] != IPPROTO_TCP || at + IP6 + payload > len) return 0;
        bool good = sum_good(checksum_sum(bytes + at + 8, 32), bytes + at + IP6, payload);
        return good ? RTE_MBUF_F_RX_L4_CKSUM_GOOD : RTE_MBUF_F_RX_L4_CKSUM_BAD;
    }
    uint32_t header = (ip->version_ihl & 15u) * 4, end = at + rte_be_to_cpu_16(ip->total_length);
    if (!is_ipv4(f, bytes, len) || header < 20 || end > len || end < at + header) return 0;
    if (checksum_fold(checksum_sum(ip, header)) != 0xffff) return RTE_MBUF_F_RX_IP_CKSUM_BAD;
    if (ip->next_proto_id != IPPROTO_TCP) return RTE_MBUF_F_RX_IP_CKSUM_GOOD;
    bool good = sum_good((uint64_t)ip->src_addr + ip->dst_addr, bytes + at + header, end - at - header);
    return RTE_MBUF_F_RX_IP_CKSUM_GOOD | (good ? RTE_MBUF_F_RX_L4_CKSUM_GOOD : RTE_MBUF_F_RX_L4_CKSUM_BAD);
}

/* A received frame in the host's own buffers, several of them if it is long; NULL: it has not enough. */
static struct rte_mbuf *host_take(struct fabric_host *h, const struct frame *frame)
{
    struct rte_mbuf *head = NULL, *tail = NULL;
    for (uint32_t done = 0; done < frame->len || !head;) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(h->pools.frame);
        if (!m) {
            rte_pktmbuf_free(head);
            return NULL;
        }
        uint16_t n = (uint16_t)RTE_MIN(frame->len - done, FRAME_ROOM);
        memcpy(rte_pktmbuf_append(m, n), frame->bytes + done, n);
        done += n;
        if (head) {
            tail->next = m;
            head->nb_segs++;
            head->pkt_len += n;
        } else {
            head = m;
        }
        tail = m;
    }
    if (h->config.rx_checksum) head->ol_flags |= checksum_verdict(h->fabric, frame->bytes, frame->len);
    return head;
}

static void host_turn(struct fabric *f, struct fabric_host *h, struct rte_mbuf **frames, uint16_t n)
{
    if (n) net_stack_input(h->stack, frames, n, f->now);
    if (f->turn) f->turn(f->arg, h->index);
    net_stack_timers(h->stack, f->now);
    net_stack_output(h->stack, f->now);
}

void fabric_turn(struct fabric *f, unsigned host)
{
    host_turn(f, &f->hosts[host], NULL, 0);
}

static void stack_start(struct fabric_host *h)
{
    h->loop = (struct stream_loop){0};
    h->config.secret[0] = fabric_random(h->fabric);
    h->config.secret[1] = fabric_random(h->fabric);
    if (net_stack_create(&h->stack, &h->config) != 0) abort();
}

static void host_create(struct fabric *f, unsigned index, uint32_t buffers,
                        void (*change)(struct fabric *, unsigned, struct net_stack_config *))
{
    struct fabric_host *h = &f->hosts[index];
    struct net_stack_config *config = &h->config;
    h->fabric = f;
    h->index = index;
    h->up = h->down = (struct fabric_pipe){0};
    h->poll_ns = 0;
    h->wake_at = UINT64_MAX;
    net_stack_config_default(config);
    net_stack_config_address(config, fabric_addr(f, index), f->v6 ? 64 : 24);
    memcpy(config->mac, (uint8_t[]){2, 0, 0, 0, 0, (uint8_t)(1 + index)}, 6);
    config->vlan = f->vlan;
    config->max_connections = 256;
    config->loop = &h->loop;
    config->pools = &h->pools;
    config->tx = host_tx;
    config->tx_arg = h;
    if (change) change(f, index, config);
    if (!h->pools_made) test_pools_create(&h->pools, buffers, FRAME_ROOM);
    h->pools_made = true;
    if (config->mtu + fabric_ip_at(f) > FRAME_MAX) abort();
    stack_start(h);
}

uint32_t fabric_reboot(struct fabric *f, unsigned host)
{
    struct fabric_host *h = &f->hosts[host];
    net_stack_destroy(&h->stack);
    uint32_t kept = buf_pools_in_use(&h->pools);
    stack_start(h);
    return kept;
}

void fabric_start(struct fabric *f, uint64_t seed, unsigned hosts, uint32_t buffers,
                  void (*change)(struct fabric *, unsigned, struct net_stack_config *))
{
    test_eal_start();
    f->now = START_NS;
    f->rng = seed;
    f->count = hosts;
    f->serial = f->steps = 0;
    events_drop(f); /* of a run that a failed test left */
    for (unsigned i = 0; i < hosts; i++) host_create(f, i, buffers, change);
}

uint32_t fabric_stop(struct fabric *f)
{
    uint32_t leaked = 0;
    for (unsigned i = 0; i < f->count; i++) {
        net_stack_destroy(&f->hosts[i].stack);
        leaked += buf_pools_in_use(&f->hosts[i].pools);
    }
    events_drop(f);
    return leaked;
}

void fabric_free(struct fabric *f)
{
    for (unsigned i = 0; i < FABRIC_HOSTS; i++) {
        if (f->hosts[i].pools_made) buf_pools_destroy(&f->hosts[i].pools);
        f->hosts[i].pools_made = false;
    }
    free(f->heap);
    f->heap = NULL;
    f->cap = 0;
}

static bool host_due(const struct fabric *f, const struct fabric_host *h)
{
    return h->loop.head || h->wake_at <= f->now || net_stack_deadline(h->stack) <= f->now;
}

/* All that happens now: frames of the same moment come as one burst. */
static void happen(struct fabric *f)
{
    struct rte_mbuf *frames[FABRIC_HOSTS][BURST];
    uint16_t n[FABRIC_HOSTS] = {0};
    while (f->events && f->heap[0].at <= f->now && n[f->heap[0].host] < BURST) {
        struct fabric_event e = heap_pop(f);
        struct fabric_host *h = &f->hosts[e.host];
        if (e.at_switch) {
            switch_frame(f, e.host, e.frame);
            continue;
        }
        struct rte_mbuf *m = NULL;
        if (tap(f, FABRIC_ARRIVED, e.host, e.frame->bytes, e.frame->len) && !(m = host_take(h, e.frame)))
            tap(f, FABRIC_NO_BUFFER, e.host, e.frame->bytes, e.frame->len);
        if (m) frames[e.host][n[e.host]++] = m;
        free(e.frame);
    }
    for (unsigned i = 0; i < f->count; i++)
        if (n[i] || host_due(f, &f->hosts[i])) host_turn(f, &f->hosts[i], frames[i], n[i]);
}

bool fabric_step(struct fabric *f, uint64_t until)
{
    uint64_t at = f->events ? f->heap[0].at : UINT64_MAX;
    for (unsigned i = 0; i < f->count; i++) {
        const struct fabric_host *h = &f->hosts[i];
        at = RTE_MIN(at, RTE_MIN(net_stack_deadline(h->stack), h->wake_at));
        if (h->loop.head) at = 0;
    }
    if (at == UINT64_MAX || at > until) return false;
    if (at > f->now) f->now = at;
    f->steps++;
    happen(f);
    return true;
}

void fabric_run(struct fabric *f, uint64_t for_ns)
{
    uint64_t until = f->now + for_ns;
    while (fabric_step(f, until)) {
    }
    f->now = until;
}
