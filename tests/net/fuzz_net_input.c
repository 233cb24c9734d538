/*
 * Frames into a stack of both families that listens and has connections of its own, from a stranger who knows
 * everything: the input is a run of records (control byte, two-byte length, frame). Control bits: 1 mends checksums, 2 fills in the sequence and
 * acknowledgement numbers that the stack expects, 4 lets 10 ms pass, 8 lets the application read and answer, 16 lets it
 * close. No frame may crash, hang or leak.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <rte_byteorder.h>
#include <rte_ip.h>
#include "net/checksum.h"
#include "net/stack.h"
#include "tests/support/eal.h"

#define RECORDS_MAX 200u
#define FRAME_MAX 2000u
#define STREAMS_MAX 64u

enum { DO_MEND = 1, DO_NUMBERS = 2, DO_WAIT = 4, DO_READ = 8, DO_CLOSE = 16 };

struct fuzz {
    struct net_stack *stack;
    struct stream_loop loop;
    struct buf_pools *pools;
    uint64_t now;
    uint32_t seq, ack; /* of the last segment that the stack sent, in network order */
    struct stream *streams[STREAMS_MAX];
    unsigned stream_count;
};

static void capture(void *arg, struct rte_mbuf **frames, uint16_t n)
{
    struct fuzz *f = arg;
    for (uint16_t i = 0; i < n; i++) {
        const uint8_t *p = rte_pktmbuf_mtod(frames[i], const uint8_t *);
        bool v6 = p[12] == 0x86;
        uint32_t at = v6 ? 54 : 34;
        if (frames[i]->data_len >= at + 20 && p[v6 ? 20 : 23] == IPPROTO_TCP) {
            uint32_t seq;
            memcpy(&seq, p + at + 4, 4);
            f->seq = rte_cpu_to_be_32(rte_be_to_cpu_32(seq) + (p[at + 13] & 3 ? 1 : 0) + frames[i]->pkt_len - at -
                                      (p[at + 12] >> 4) * 4u);
            memcpy(&f->ack, p + at + 8, 4);
        }
        rte_pktmbuf_free(frames[i]);
    }
}

static void accepted(void *arg, struct stream *s)
{
    struct fuzz *f = arg;
    if (f->stream_count == STREAMS_MAX) s->ops->abort(s);
    else f->streams[f->stream_count++] = s;
}

static void stream_forget(struct fuzz *f, const struct stream *s)
{
    for (unsigned i = 0; i < f->stream_count; i++)
        if (f->streams[i] == s) f->streams[i] = f->streams[--f->stream_count];
}

static void application(struct fuzz *f, uint8_t control)
{
    struct stream *s;
    while ((s = stream_loop_pop(&f->loop)) != NULL) {
        uint32_t events = s->events, n = s->rx.len;
        s->events = 0;
        if (events & STREAM_ERROR) {
            stream_forget(f, s);
            s->ops->close(s);
            continue;
        }
        if (!(control & DO_READ) || n == 0) continue;
        struct buf_chain echo; /* received buffers go out again */
        buf_chain_init(&echo);
        buf_chain_join(&echo, &s->rx);
        s->ops->consumed(s, n);
        s->ops->send(s, &echo);
        s->ops->flush(s);
    }
    if (control & DO_CLOSE && f->stream_count) {
        s = f->streams[--f->stream_count];
        s->ops->close(s);
    }
}

/* Of a TCP, ICMP or ICMPv6 packet at byte at that ends at end; pseudo: what precedes it in the sum. */
static void payload_mend(uint8_t *frame, uint32_t at, uint32_t end, uint8_t protocol, uint64_t pseudo)
{
    uint32_t field = at + (protocol == IPPROTO_TCP ? 16 : 2);
    if (end < at || end - at < (protocol == IPPROTO_TCP ? 20u : 4u)) return;
    memset(frame + field, 0, 2);
    uint16_t checksum = (uint16_t)~checksum_fold(pseudo + checksum_sum(frame + at, end - at));
    memcpy(frame + field, &checksum, 2);
}

static void checksums_mend_v6(uint8_t *frame, uint32_t len)
{
    const struct rte_ipv6_hdr *ip = (const struct rte_ipv6_hdr *)(frame + 14);
    if (len < 54) return;
    uint32_t at = 54, end = 54u + rte_be_to_cpu_16(ip->payload_len);
    uint8_t protocol = ip->proto;
    for (unsigned i = 0; i < 8 && (protocol == 0 || protocol == 43 || protocol == 60) && at + 8 <= len; i++) {
        protocol = frame[at];
        at += (frame[at + 1] + 1u) * 8;
    }
    if (end > len || at > end) return;
    uint64_t pseudo = checksum_sum(ip->src_addr, 32) + rte_cpu_to_be_32(end - at) + rte_cpu_to_be_32(protocol);
    payload_mend(frame, at, end, protocol, pseudo);
}

static void checksums_mend(uint8_t *frame, uint32_t len)
{
    if (len >= 14 && frame[12] == 0x86 && frame[13] == 0xdd) {
        checksums_mend_v6(frame, len);
        return;
    }
    struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(frame + 14);
    uint32_t header = len >= 34 ? (ip->version_ihl & 15u) * 4u : 0, at = 14 + header;
    if (header < 20 || len < at) return;
    ip->hdr_checksum = 0;
    ip->hdr_checksum = (uint16_t)~checksum_fold(checksum_sum(ip, header));
    uint32_t end = 14u + rte_be_to_cpu_16(ip->total_length);
    if (end > len || end < at) return;
    uint64_t pseudo = (uint64_t)ip->src_addr + ip->dst_addr + rte_cpu_to_be_16(IPPROTO_TCP) +
                      rte_cpu_to_be_16((uint16_t)(end - at));
    payload_mend(frame, at, end, ip->next_proto_id, ip->next_proto_id == IPPROTO_TCP ? pseudo : 0);
}

static void record(struct fuzz *f, uint8_t control, const uint8_t *data, uint32_t len)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(f->pools->frame);
    if (m && len >= 14) {
        uint8_t *frame = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)len);
        memcpy(frame, data, len);
        uint32_t numbers = frame[12] == 0x86 ? 58 : 38;
        if (control & DO_NUMBERS && len >= numbers + 8) {
            memcpy(frame + numbers, &f->ack, 4);
            memcpy(frame + numbers + 4, &f->seq, 4);
        }
        if (control & DO_MEND) checksums_mend(frame, len);
        net_stack_input(f->stack, &m, 1, f->now);
    } else {
        rte_pktmbuf_free(m);
    }
    application(f, control);
    if (control & DO_WAIT) f->now += 10000000;
    f->now += 1000;
    net_stack_timers(f->stack, f->now);
    net_stack_output(f->stack, f->now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct buf_pools pools;
    struct fuzz f = {.pools = &pools, .now = 1000000000};
    struct net_stack_config config;
    if (!pools.frame) {
        test_eal_start();
        test_pools_create(&pools, 511, 2048);
    }
    net_stack_config_default(&config);
    net_stack_config_address(&config, net_addr_v4(RTE_IPV4(10, 0, 0, 1)), 24);
    struct net_addr us = {.bytes = {0x20, 1, 0x0d, 0xb8, [15] = 1}}, peer = {.bytes = {0x20, 1, 0x0d, 0xb8, [15] = 2}};
    net_stack_config_address(&config, us, 64);
    config.router_discovery = true;
    memcpy(config.mac, (uint8_t[]){2, 0, 0, 0, 0, 1}, 6);
    config.secret[0] = 1;
    config.max_connections = 32;
    config.max_half_open = 16;
    config.rx_window = 8192;
    config.loop = &f.loop;
    config.pools = &pools;
    config.tx = capture;
    config.tx_arg = &f;
    if (net_stack_create(&f.stack, &config) != 0 || net_listen(f.stack, 7, accepted, &f) != 0) abort();
    if (net_connect(f.stack, net_endpoint_v4(RTE_IPV4(10, 0, 0, 2), 80), f.now, &f.streams[0]) != 0) abort();
    if (net_connect(f.stack, (struct net_endpoint){peer, 80}, f.now, &f.streams[1]) != 0) abort();
    f.stream_count = 2;
    for (unsigned i = 0; i < RECORDS_MAX && size >= 3; i++) {
        uint32_t len = (uint32_t)data[1] << 8 | data[2];
        uint8_t control = data[0];
        data += 3;
        size -= 3;
        if (len > size) len = (uint32_t)size;
        record(&f, control, data, RTE_MIN(len, FRAME_MAX));
        data += len;
        size -= len;
    }
    net_stack_destroy(&f.stack);
    if (buf_pools_in_use(&pools) != 0) abort();
    return 0;
}
