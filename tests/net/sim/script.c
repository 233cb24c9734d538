#include "tests/net/sim/script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <rte_arp.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include "net/checksum.h"
#include "tests/support/eal.h"

#define IP_AT 14u
#define TCP_AT 34u

static const uint8_t mac_stack[6] = {2, 0, 0, 0, 0, 1}, mac_peer[6] = {2, 0, 0, 0, 0, 2};

static void capture(void *arg, struct rte_mbuf **frames, uint16_t n)
{
    struct script *s = arg;
    for (uint16_t i = 0; i < n; i++) {
        struct script_frame *f = &s->frames[s->tail++ % SCRIPT_FRAMES];
        assert_true(s->tail - s->head <= SCRIPT_FRAMES);
        *f = (struct script_frame){.at = s->now, .ol_flags = frames[i]->ol_flags, .l2_len = frames[i]->l2_len,
                                   .l3_len = frames[i]->l3_len, .segments = frames[i]->nb_segs};
        uint16_t segments = 0;
        for (const struct rte_mbuf *m = frames[i]; m; m = m->next, segments++) {
            assert_true(f->len + m->data_len <= sizeof f->bytes);
            memcpy(f->bytes + f->len, rte_pktmbuf_mtod(m, const void *), m->data_len);
            f->len += m->data_len;
        }
        assert_int_equal(f->len, frames[i]->pkt_len);
        assert_int_equal(segments, frames[i]->nb_segs);
        rte_pktmbuf_free(frames[i]);
    }
}

static void accepted(void *arg, struct stream *stream)
{
    struct script *s = arg;
    s->accepted++;
    s->stream = stream;
    if (!s->abort_on_accept) return;
    stream->ops->abort(stream);
    s->stream = NULL;
}

void script_create(struct script *s, void (*change)(struct net_stack_config *config))
{
    struct net_stack_config config;
    test_eal_start();
    memset(s, 0, sizeof *s);
    s->now = UINT64_C(5000000000);
    s->local_port = SCRIPT_PORT;
    s->peer_port = SCRIPT_PEER_PORT;
    s->ts_val = 100;
    net_stack_config_default(&config);
    config.quick_acks = 0; /* what is expected counts on the timer */
    net_stack_config_address(&config, net_addr_v4(RTE_IPV4(10, 0, 0, 1)), 24);
    memcpy(config.mac, mac_stack, 6);
    config.secret[0] = 1;
    config.secret[1] = 2;
    config.max_connections = 64;
    config.loop = &s->loop;
    config.pools = &s->pools;
    config.tx = capture;
    config.tx_arg = s;
    if (change) change(&config);
    test_pools_create(&s->pools, 255, 2048);
    assert_int_equal(net_stack_create(&s->stack, &config), 0);
    assert_int_equal(net_listen(s->stack, SCRIPT_PORT, accepted, s), 0);
}

uint32_t script_destroy(struct script *s)
{
    net_stack_destroy(&s->stack);
    uint32_t leaked = buf_pools_in_use(&s->pools);
    buf_pools_destroy(&s->pools);
    return leaked;
}

void script_checksum(uint8_t *frame, uint32_t len)
{
    struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(frame + IP_AT);
    uint32_t header = (ip->version_ihl & 15u) * 4u;
    if (len < IP_AT + sizeof *ip || len < IP_AT + header) return;
    ip->hdr_checksum = 0;
    ip->hdr_checksum = (uint16_t)~checksum_fold(checksum_sum(ip, header));
    uint32_t at = IP_AT + header, end = IP_AT + rte_be_to_cpu_16(ip->total_length);
    if (ip->next_proto_id != IPPROTO_TCP || end > len || end < at + 20) return;
    uint64_t sum = (uint64_t)ip->src_addr + ip->dst_addr + rte_cpu_to_be_16(IPPROTO_TCP) +
                   rte_cpu_to_be_16((uint16_t)(end - at));
    memset(frame + at + 16, 0, 2);
    uint16_t checksum = (uint16_t)~checksum_fold(sum + checksum_sum(frame + at, end - at));
    memcpy(frame + at + 16, &checksum, 2);
}

uint32_t script_build(struct script *s, uint8_t *frame, uint8_t flags, uint32_t seq, uint32_t ack, uint16_t wnd,
                      const void *options, uint32_t options_len, const void *payload, uint32_t len)
{
    struct rte_ether_hdr *eth = (struct rte_ether_hdr *)frame;
    struct rte_ipv4_hdr ip = {.version_ihl = 0x45, .time_to_live = 64, .next_proto_id = IPPROTO_TCP,
                              .src_addr = rte_cpu_to_be_32(RTE_IPV4(10, 0, 0, 2)),
                              .dst_addr = rte_cpu_to_be_32(RTE_IPV4(10, 0, 0, 1)),
                              .total_length = rte_cpu_to_be_16((uint16_t)(40 + options_len + len))};
    struct rte_tcp_hdr tcp = {.src_port = rte_cpu_to_be_16(s->peer_port), .dst_port = rte_cpu_to_be_16(s->local_port),
                              .sent_seq = rte_cpu_to_be_32(SCRIPT_PEER_ISS + seq),
                              .recv_ack = flags & A ? rte_cpu_to_be_32(s->iss + ack) : 0,
                              .data_off = (uint8_t)((20 + options_len) / 4 << 4), .tcp_flags = flags,
                              .rx_win = rte_cpu_to_be_16(wnd)};
    memcpy(&eth->dst_addr, mac_stack, 6);
    memcpy(&eth->src_addr, mac_peer, 6);
    eth->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
    memcpy(frame + IP_AT, &ip, sizeof ip);
    memcpy(frame + TCP_AT, &tcp, sizeof tcp);
    if (options_len) memcpy(frame + TCP_AT + 20, options, options_len);
    if (len) memcpy(frame + TCP_AT + 20 + options_len, payload, len);
    script_checksum(frame, TCP_AT + 20 + options_len + len);
    return TCP_AT + 20 + options_len + len;
}

void script_output(struct script *s) { net_stack_output(s->stack, s->now); }

void script_frame_in(struct script *s, const void *frame, uint32_t len)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(s->pools.frame);
    assert_non_null(m);
    memcpy(rte_pktmbuf_append(m, (uint16_t)len), frame, len);
    net_stack_input(s->stack, &m, 1, s->now);
    script_output(s);
}

void script_send_options(struct script *s, uint8_t flags, uint32_t seq, uint32_t ack, uint16_t wnd,
                         const void *options, uint32_t options_len, const void *payload, uint32_t len)
{
    uint8_t frame[SCRIPT_FRAME_BYTES];
    script_frame_in(s, frame, script_build(s, frame, flags, seq, ack, wnd, options, options_len, payload, len));
}

void script_send(struct script *s, uint8_t flags, uint32_t seq, uint32_t ack, uint16_t wnd, const void *payload,
                 uint32_t len)
{
    uint32_t ts[3] = {rte_cpu_to_be_32(0x0101080a), rte_cpu_to_be_32(s->ts_val), rte_cpu_to_be_32(s->ts_ecr)};
    script_send_options(s, flags, seq, ack, wnd, ts, s->ts ? sizeof ts : 0, payload, len);
}

void script_wait(struct script *s, uint64_t ns)
{
    uint64_t until = s->now + ns;
    for (;;) {
        uint64_t at = net_stack_deadline(s->stack);
        if (at > until) break;
        if (at > s->now) s->now = at;
        net_stack_timers(s->stack, s->now);
        script_output(s);
    }
    s->now = until;
}

const struct script_frame *script_next_frame(struct script *s)
{
    return s->head == s->tail ? NULL : &s->frames[s->head++ % SCRIPT_FRAMES];
}

struct script_segment script_next(struct script *s)
{
    const struct script_frame *f = script_next_frame(s);
    if (!f) fail_msg("no frame was sent");
    struct rte_tcp_hdr tcp;
    assert_true(f->len >= TCP_AT + 20);
    memcpy(&tcp, f->bytes + TCP_AT, sizeof tcp);
    assert_int_equal(f->bytes[IP_AT + 9], IPPROTO_TCP);
    uint8_t mended[SCRIPT_FRAME_BYTES];
    memcpy(mended, f->bytes, f->len);
    script_checksum(mended, f->len);
    if (f->ol_flags == 0) assert_memory_equal(mended, f->bytes, f->len); /* both checksums were right */
    uint32_t header = (uint32_t)(tcp.data_off >> 4) * 4;
    if (tcp.tcp_flags & S) s->iss = rte_be_to_cpu_32(tcp.sent_seq);
    if (header >= 32 && memcmp(f->bytes + TCP_AT + 20, "\1\1\10\12", 4) == 0) {
        memcpy(&s->ts_ecr, f->bytes + TCP_AT + 24, 4);
        s->ts_ecr = rte_be_to_cpu_32(s->ts_ecr);
    }
    return (struct script_segment){
        .seq = rte_be_to_cpu_32(tcp.sent_seq) - s->iss,
        .ack = rte_be_to_cpu_32(tcp.recv_ack) - SCRIPT_PEER_ISS,
        .flags = tcp.tcp_flags,
        .wnd = rte_be_to_cpu_16(tcp.rx_win),
        .len = f->len - TCP_AT - header,
        .payload = f->bytes + TCP_AT + header,
        .options = f->bytes + TCP_AT + 20,
        .options_len = header - 20,
        .at = f->at,
        .frame = f,
    };
}

struct script_segment script_expect(struct script *s, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len)
{
    struct script_segment t = script_next(s);
    assert_int_equal(t.flags & ~P, flags);
    assert_int_equal(t.seq, seq);
    if (flags & A) assert_int_equal(t.ack, ack);
    assert_int_equal(t.len, len);
    return t;
}

void script_expect_nothing(struct script *s) { assert_null(script_next_frame(s)); }

void script_open(struct script *s, uint16_t wnd)
{
    uint8_t options[20] = {2, 4, 1460 >> 8, 1460 & 255, 4, 2, 8, 10, 0, 0, 0, (uint8_t)s->ts_val};
    script_send_options(s, S, 0, 0, wnd, options, s->ts ? 16 : 4, NULL, 0);
    script_expect(s, S | A, 0, 1, 0);
    script_send(s, A, 1, 1, wnd, NULL, 0);
    script_expect_nothing(s);
    assert_non_null(s->stream);
}

void script_connect(struct script *s, uint16_t wnd)
{
    static const uint8_t mss[4] = {2, 4, 1460 >> 8, 1460 & 255};
    uint8_t arp[42] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 2,
                       10, 0, 0, 2, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1};
    assert_int_equal(net_connect(s->stack, net_endpoint_v4(RTE_IPV4(10, 0, 0, 2), SCRIPT_PEER_PORT), s->now, &s->stream), 0);
    script_output(s);
    assert_non_null(script_next_frame(s)); /* who has 10.0.0.2? */
    script_frame_in(s, arp, sizeof arp);
    struct script_segment syn = script_next(s);
    assert_int_equal(syn.flags, S);
    s->local_port = (uint16_t)(syn.frame->bytes[TCP_AT] << 8 | syn.frame->bytes[TCP_AT + 1]);
    if (wnd == 0) return; /* the test answers */
    script_send_options(s, S | A, 0, 1, wnd, mss, sizeof mss, NULL, 0);
    script_expect(s, A, 1, 1, 0);
}

void script_write(struct script *s, uint32_t len)
{
    struct buf_chain chain;
    buf_chain_init(&chain);
    for (uint32_t done = 0; done < len;) {
        uint32_t n = RTE_MIN(len - done, 1000u);
        struct rte_mbuf *m = rte_pktmbuf_alloc(s->pools.frame);
        assert_non_null(m);
        uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)n);
        for (uint32_t i = 0; i < n; i++) p[i] = (uint8_t)((done + i) * 7 + ((done + i) >> 8));
        buf_chain_append(&chain, m);
        done += n;
    }
    s->stream->ops->send(s->stream, &chain);
    s->stream->ops->flush(s->stream);
    script_output(s);
}

uint32_t script_events(struct script *s)
{
    uint32_t events = 0;
    struct stream *t;
    while ((t = stream_loop_pop(&s->loop)) != NULL) {
        events |= t->events;
        t->events = 0;
    }
    return events;
}
