#include "tests/net/fuzz/fuzz_stack.h"

#include <stdlib.h>
#include <string.h>
#include <rte_byteorder.h>
#include <rte_ip.h>
#include "net/checksum.h"
#include "tests/support/eal.h"

#define PEER_ISS 0xffffff00u /* so that numbers wrap */
#define ICMP6 58u

static const uint8_t mac_stack[6] = {2, 0, 0, 0, 0, 1}, mac_peer[6] = {2, 0, 0, 0, 0, 2};
static struct buf_pools pools;

static void capture(void *arg, struct rte_mbuf **frames, uint16_t n)
{
    struct fuzz_stack *f = arg;
    for (uint16_t i = 0; i < n; i++) {
        const uint8_t *p = rte_pktmbuf_mtod(frames[i], const uint8_t *);
        uint32_t seq, ack;
        if (frames[i]->data_len >= 54 && p[12] == 8 && p[13] == 0 && p[23] == IPPROTO_TCP) {
            memcpy(&seq, p + 38, 4);
            memcpy(&ack, p + 42, 4);
            if (p[47] & 2) f->iss = rte_be_to_cpu_32(seq);
            if (p[47] & 16) f->ack = rte_be_to_cpu_32(ack) - PEER_ISS;
        }
        f->frames++;
        rte_pktmbuf_free(frames[i]);
    }
}

static void accepted(void *arg, struct stream *s)
{
    struct fuzz_stack *f = arg;
    if (f->stream)
        s->ops->abort(s);
    else
        f->stream = s;
}

void fuzz_checksums(uint8_t *frame, uint32_t len)
{
    if (len < 34) return;
    bool v6 = frame[12] == 0x86 && frame[13] == 0xdd;
    uint32_t at = 14 + (v6 ? 40u : (frame[14] & 15u) * 4u), proto = v6 ? frame[20] : frame[23];
    uint32_t total = v6 ? 40u + ((uint32_t)frame[18] << 8 | frame[19]) : (uint32_t)frame[16] << 8 | frame[17];
    uint32_t end = 14 + total;
    if (!v6 && (at < 34 || at > len)) return;
    if (!v6) {
        memset(frame + 24, 0, 2);
        uint16_t sum = (uint16_t)~checksum_fold(checksum_sum(frame + 14, at - 14));
        memcpy(frame + 24, &sum, 2);
    }
    uint32_t place = proto == IPPROTO_TCP ? 16 : proto == IPPROTO_ICMP || proto == ICMP6 ? 2 : 0;
    if (place == 0 || end > len || end < at + place + 2) return;
    uint64_t sum = 0;
    if (proto != IPPROTO_ICMP) {
        sum = v6 ? checksum_sum(frame + 22, 32) : checksum_sum(frame + 26, 8);
        sum += rte_cpu_to_be_16((uint16_t)proto) + rte_cpu_to_be_16((uint16_t)(end - at));
    }
    memset(frame + at + place, 0, 2);
    uint16_t checksum = (uint16_t)~checksum_fold(sum + checksum_sum(frame + at, end - at));
    memcpy(frame + at + place, &checksum, 2);
}

uint32_t fuzz_segment(const struct fuzz_stack *f, uint8_t *frame, uint8_t flags, uint32_t seq, uint32_t ack,
                      const void *options, uint32_t options_len, const void *payload, uint32_t len)
{
    uint32_t header = 20 + options_len, total = 20 + header + len;
    uint32_t seq_be = rte_cpu_to_be_32(PEER_ISS + seq), ack_be = rte_cpu_to_be_32(f->iss + ack);
    memset(frame, 0, FUZZ_TCP_AT + 20);
    memcpy(frame, mac_stack, 6);
    memcpy(frame + 6, mac_peer, 6);
    memcpy(frame + 12, (uint8_t[]){8, 0, 0x45, 0, (uint8_t)(total >> 8), (uint8_t)total, 0, 0, 0x40, 0, 64, 6}, 12);
    memcpy(frame + 26, (uint8_t[]){10, 0, 0, 2, 10, 0, 0, 1, 4000 >> 8, 4000 & 255, 0, 7}, 12);
    memcpy(frame + 38, &seq_be, 4);
    if (flags & 16) memcpy(frame + 42, &ack_be, 4);
    memcpy(frame + 46, (uint8_t[]){(uint8_t)(header / 4 << 4), flags, 0xff, 0xff}, 4);
    if (options_len) memcpy(frame + FUZZ_TCP_AT + 20, options, options_len);
    if (len) memcpy(frame + FUZZ_TCP_AT + header, payload, len);
    fuzz_checksums(frame, 14 + total);
    return 14 + total;
}

static void application(struct fuzz_stack *f)
{
    struct stream *s;
    while ((s = stream_loop_pop(&f->loop)) != NULL) {
        uint32_t events = s->events;
        s->events = 0;
        if (!(events & STREAM_ERROR)) continue;
        if (s == f->stream) f->stream = NULL;
        s->ops->close(s);
    }
}

void fuzz_turn(struct fuzz_stack *f, const uint8_t *frame, uint32_t len, uint64_t wait_ns)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(pools.frame);
    if (m && len) {
        memcpy(rte_pktmbuf_append(m, (uint16_t)len), frame, len);
        net_stack_input(f->stack, &m, 1, f->now);
    } else {
        rte_pktmbuf_free(m);
    }
    application(f);
    net_stack_output(f->stack, f->now);
    f->now += wait_ns;
    net_stack_timers(f->stack, f->now);
    application(f);
    net_stack_output(f->stack, f->now);
}

void fuzz_stack_open(struct fuzz_stack *f, bool sack)
{
    struct net_stack_config config;
    uint8_t frame[FUZZ_FRAME];
    static const uint8_t options[8] = {2, 4, 1460 >> 8, 1460 & 255, 1, 1, 4, 2};
    if (!pools.frame) {
        test_eal_start();
        test_pools_create(&pools, 1023, 2048);
    }
    *f = (struct fuzz_stack){.now = 1000000000};
    net_stack_config_default(&config);
    net_stack_config_address(&config, net_addr_v4(RTE_IPV4(10, 0, 0, 1)), 24);
    memcpy(config.mac, mac_stack, 6);
    config.secret[0] = 1;
    config.max_connections = 32;
    config.max_half_open = 16;
    config.rx_window = 32768;
    config.loop = &f->loop;
    config.pools = &pools;
    config.tx = capture;
    config.tx_arg = f;
    if (net_stack_create(&f->stack, &config) != 0 || net_listen(f->stack, 7, accepted, f) != 0) abort();
    fuzz_turn(f, frame, fuzz_segment(f, frame, 2, 0, 0, options, sack ? 8 : 4, NULL, 0), 0);
    fuzz_turn(f, frame, fuzz_segment(f, frame, 16, 1, 1, NULL, 0, NULL, 0), 0);
    if (!f->stream) abort();
}

void fuzz_stack_close(struct fuzz_stack *f)
{
    net_stack_destroy(&f->stack);
    if (buf_pools_in_use(&pools) != 0) abort();
}

struct rte_mempool *fuzz_stack_pool(void)
{
    return pools.frame;
}
