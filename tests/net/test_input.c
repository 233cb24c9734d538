/* Below TCP: what is dropped and counted, ARP, ICMP echo. */
#include <stdlib.h>
#include <string.h>
#include <rte_byteorder.h>
#include <rte_ip.h>
#include "net/neighbour.h"
#include "net/checksum.h"
#include "tests/net/sim/cmocka_all.h"
#include "tests/net/sim/script.h"
#include "tests/support/eal.h"

#define IP_AT 14u
#define TCP_AT 34u

typedef void edit_fn(uint8_t *frame, uint32_t *len);

static void short_ethernet(uint8_t *f, uint32_t *len) { (void)f, *len = 13; }
static void other_mac(uint8_t *f, uint32_t *len) { (void)len, f[5] = 77; }
static void other_type(uint8_t *f, uint32_t *len) { (void)len, f[12] = 0x86; }
static void truncated_ip(uint8_t *f, uint32_t *len) { (void)f, *len = IP_AT + 19; }
static void version_6(uint8_t *f, uint32_t *len) { (void)len, f[IP_AT] = 0x65; }
static void short_ihl(uint8_t *f, uint32_t *len) { (void)len, f[IP_AT] = 0x44; }
static void long_ihl(uint8_t *f, uint32_t *len) { f[IP_AT] = 0x4f, *len = IP_AT + 50; }
static void total_beyond_frame(uint8_t *f, uint32_t *len) { (void)len, f[IP_AT + 2] = 1; }
static void total_below_header(uint8_t *f, uint32_t *len) { (void)len, f[IP_AT + 3] = 19; }
static void other_ip(uint8_t *f, uint32_t *len) { (void)len, f[IP_AT + 19] = 55; }
static void first_fragment(uint8_t *f, uint32_t *len) { (void)len, f[IP_AT + 6] = 0x20; }
static void later_fragment(uint8_t *f, uint32_t *len) { (void)len, f[IP_AT + 7] = 3; }
static void udp(uint8_t *f, uint32_t *len) { (void)len, f[IP_AT + 9] = 17; }
static void source_zero(uint8_t *f, uint32_t *len) { (void)len, memset(f + IP_AT + 12, 0, 4); }
static void source_multicast(uint8_t *f, uint32_t *len) { (void)len, f[IP_AT + 12] = 224; }
static void source_ours(uint8_t *f, uint32_t *len) { (void)len, memcpy(f + IP_AT + 12, f + IP_AT + 16, 4); }
static void port_zero(uint8_t *f, uint32_t *len) { (void)len, memset(f + TCP_AT + 2, 0, 2); }
static void peer_port_zero(uint8_t *f, uint32_t *len) { (void)len, memset(f + TCP_AT, 0, 2); }
static void truncated_tcp(uint8_t *f, uint32_t *len) { (void)len, f[IP_AT + 3] = 39; }
static void short_offset(uint8_t *f, uint32_t *len) { (void)len, f[TCP_AT + 12] = 0x40; }
static void long_offset(uint8_t *f, uint32_t *len) { (void)len, f[TCP_AT + 12] = 0xf0; }

static void test_malformed(void **state)
{
    (void)state;
    static const struct {
        edit_fn *edit;
        size_t metric;
    } cases[] = {
#define CASE(edit, metric) {edit, offsetof(struct net_metrics, metric)}
        CASE(short_ethernet, drop_ethernet),       CASE(other_mac, drop_ethernet),
        CASE(other_type, drop_ethernet),           CASE(truncated_ip, drop_ip_header),
        CASE(version_6, drop_ip_header),           CASE(short_ihl, drop_ip_header),
        CASE(long_ihl, drop_ip_header),            CASE(total_beyond_frame, drop_ip_header),
        CASE(total_below_header, drop_ip_header),  CASE(other_ip, drop_ip_not_ours),
        CASE(first_fragment, drop_ip_fragment),    CASE(later_fragment, drop_ip_fragment),
        CASE(udp, drop_ip_protocol),               CASE(truncated_tcp, drop_tcp_header),
        CASE(source_zero, drop_ip_header),         CASE(source_multicast, drop_ip_header),
        CASE(source_ours, drop_ip_header),         CASE(port_zero, drop_tcp_header),
        CASE(peer_port_zero, drop_tcp_header),
        CASE(short_offset, drop_tcp_header),       CASE(long_offset, drop_tcp_header),
#undef CASE
    };
    struct script s;
    script_create(&s, NULL);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t frame[SCRIPT_FRAME_BYTES] = {0};
        uint32_t len = script_build(&s, frame, S, 0, 0, 65535, NULL, 0, NULL, 0);
        const uint64_t *metric =
            (const uint64_t *)(const void *)((const char *)net_stack_metrics(s.stack) + cases[i].metric);
        uint64_t before = *metric;
        cases[i].edit(frame, &len);
        script_checksum(frame, len);
        script_frame_in(&s, frame, len);
        if (*metric != before + 1) fail_msg("case %u was not counted", i);
        script_expect_nothing(&s);
    }
    assert_int_equal(net_stack_metrics(s.stack)->half_open, 0);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_bad_checksums(void **state)
{
    (void)state;
    struct script s;
    uint8_t frame[SCRIPT_FRAME_BYTES];
    script_create(&s, NULL);
    uint32_t len = script_build(&s, frame, S, 0, 0, 65535, NULL, 0, "abc", 3);
    frame[IP_AT + 8] ^= 1;
    script_frame_in(&s, frame, len);
    assert_int_equal(net_stack_metrics(s.stack)->drop_ip_checksum, 1);
    frame[IP_AT + 8] ^= 1;
    frame[len - 1] ^= 1;
    script_frame_in(&s, frame, len);
    assert_int_equal(net_stack_metrics(s.stack)->drop_tcp_checksum, 1);
    script_expect_nothing(&s);
    assert_int_equal(script_destroy(&s), 0);
}

static void bad_options(const void *options, uint32_t len)
{
    struct script s;
    script_create(&s, NULL);
    script_send_options(&s, S, 0, 0, 65535, options, len, NULL, 0);
    script_expect_nothing(&s);
    assert_int_equal(net_stack_metrics(s.stack)->drop_tcp_header, 1);
    script_open(&s, 65535);
    script_send_options(&s, A | P, 1, 1, 65535, options, len, "x", 1);
    assert_int_equal(s.stream->rx.len, 0);
    assert_int_equal(net_stack_metrics(s.stack)->drop_tcp_header, 2);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_malformed_options(void **state)
{
    (void)state;
    bad_options((const uint8_t[]){8, 0, 0, 0}, 4);                /* length zero: would go round for ever */
    bad_options((const uint8_t[]){1, 1, 1, 2}, 4);                /* no room for a length */
    bad_options((const uint8_t[]){2, 8, 5, 180}, 4);              /* beyond the header */
    bad_options((const uint8_t[]){2, 3, 5, 0}, 4);                /* a wrong length for its kind */
    bad_options((const uint8_t[]){1, 1, 8, 9, 0, 0, 0, 0, 0, 0, 0, 0}, 12);
    bad_options((const uint8_t[]){3, 4, 1, 1}, 4);
}

static void test_strange_options_are_taken(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    /* An unknown kind, an MSS of 1, a scale of 255, then the end and rubbish. */
    static const uint8_t options[16] = {254, 4, 9, 9, 2, 4, 0, 1, 3, 3, 255, 0, 2, 0, 0, 0};
    script_send_options(&s, S, 0, 0, 65535, options, sizeof options, NULL, 0);
    script_expect(&s, S | A, 0, 1, 0);
    script_send(&s, A, 1, 1, 65535, NULL, 0);
    script_write(&s, 1000);
    assert_int_equal(script_next(&s).len, 64); /* the least segment we believe in */
    assert_int_equal(script_destroy(&s), 0);
}

/* Frames are padded to 60 bytes, and may carry more: none of it is payload. */
static void test_padding_is_no_payload(void **state)
{
    (void)state;
    struct script s;
    uint8_t frame[SCRIPT_FRAME_BYTES];
    script_create(&s, NULL);
    script_open(&s, 65535);
    uint32_t len = script_build(&s, frame, P | A, 1, 1, 65535, NULL, 0, "ab", 2);
    memset(frame + len, 'Z', 60);
    script_frame_in(&s, frame, len + 60);
    assert_int_equal(s.stream->rx.len, 2);
    script_wait(&s, 2 * SCRIPT_MS);
    script_expect(&s, A, 1, 3, 0);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_ip_options_are_skipped(void **state)
{
    (void)state;
    struct script s;
    uint8_t frame[SCRIPT_FRAME_BYTES], with[SCRIPT_FRAME_BYTES];
    script_create(&s, NULL);
    uint32_t len = script_build(&s, frame, S, 0, 0, 65535, NULL, 0, NULL, 0);
    memcpy(with, frame, TCP_AT);
    memset(with + TCP_AT, 1, 4);
    memcpy(with + TCP_AT + 4, frame + TCP_AT, len - TCP_AT);
    with[IP_AT] = 0x46;
    with[IP_AT + 3] = (uint8_t)(with[IP_AT + 3] + 4);
    script_checksum(with, len + 4);
    script_frame_in(&s, with, len + 4);
    script_expect(&s, S | A, 0, 1, 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* A frame in several buffers, as devices with small ones deliver: borders within the payload and the padding. */
static void test_frame_in_pieces(void **state)
{
    (void)state;
    struct script s;
    uint8_t frame[SCRIPT_FRAME_BYTES] = {0};
    script_create(&s, NULL);
    script_open(&s, 65535);
    uint32_t len = script_build(&s, frame, P | A, 1, 1, 65535, NULL, 0, "0123456789abcdef", 16);
    static const uint32_t cuts[] = {57, 61, 70, 80};
    struct rte_mbuf *head = NULL, *last = NULL;
    for (uint32_t at = 0, i = 0; i < 4; at = cuts[i++]) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(s.pools.frame);
        memcpy(rte_pktmbuf_append(m, (uint16_t)(cuts[i] - at)), frame + at, cuts[i] - at);
        if (head) {
            last->next = m;
            head->nb_segs++;
            head->pkt_len += m->data_len;
        } else {
            head = m;
        }
        last = m;
    }
    assert_true(len == 70);
    net_stack_input(s.stack, &head, 1, s.now);
    script_output(&s);
    char got[17] = {0};
    assert_int_equal(s.stream->rx.len, 16);
    assert_int_equal(buf_chain_copy(&s.stream->rx, 0, got, 16), 16);
    assert_string_equal(got, "0123456789abcdef");
    assert_int_equal(script_destroy(&s), 0);
}

static const uint8_t arp_request[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1,
                                        2,    0,    0,    0,    0,    2,    10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1};

static void test_arp_answer(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_frame_in(&s, arp_request, sizeof arp_request);
    const struct script_frame *f = script_next_frame(&s);
    static const uint8_t want[42] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 2,
                                     2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 2, 0, 0, 0, 0, 2, 10, 0, 0, 2};
    assert_int_equal(f->len, sizeof want);
    assert_memory_equal(f->bytes, want, sizeof want);
    uint8_t other[42];
    memcpy(other, arp_request, sizeof other);
    other[41] = 3; /* for somebody else */
    script_frame_in(&s, other, sizeof other);
    memcpy(other, arp_request, sizeof other);
    other[18] = 8; /* hardware addresses of 8 bytes */
    script_frame_in(&s, other, sizeof other);
    script_frame_in(&s, arp_request, 41);
    script_expect_nothing(&s);
    assert_int_equal(net_stack_metrics(s.stack)->drop_arp, 2); /* who asks is known, so another's request is news */
    assert_int_equal(script_destroy(&s), 0);
}

/* Who has asked us is known: no question before the SYN. After a minute it is asked again, the SYN goes at once. */
static void test_arp_learns_and_ages(void **state)
{
    (void)state;
    struct script s;
    struct stream *t;
    script_create(&s, NULL);
    script_frame_in(&s, arp_request, sizeof arp_request);
    script_next_frame(&s);
    assert_int_equal(net_connect(s.stack, net_endpoint_v4(RTE_IPV4(10, 0, 0, 2), 9), s.now, &t), 0);
    script_output(&s);
    assert_int_equal(script_next(&s).flags, S);
    t->ops->close(t);
    script_wait(&s, 61000 * SCRIPT_MS);
    script_expect_nothing(&s);
    assert_int_equal(net_connect(s.stack, net_endpoint_v4(RTE_IPV4(10, 0, 0, 2), 9), s.now, &t), 0);
    script_output(&s);
    assert_int_equal(script_next(&s).flags, S);
    const struct script_frame *f = script_next_frame(&s);
    assert_int_equal(f->bytes[13], 6);
    assert_int_equal(f->bytes[5], 2); /* to the neighbour, not to all */
    t->ops->close(t);
    script_wait(&s, 4000 * SCRIPT_MS); /* no answer: forgotten */
    s.head = s.tail;
    assert_int_equal(net_connect(s.stack, net_endpoint_v4(RTE_IPV4(10, 0, 0, 2), 9), s.now, &t), 0);
    script_output(&s);
    assert_int_equal(script_next_frame(&s)->bytes[5], 0xff);
    script_expect_nothing(&s);
    assert_int_equal(script_destroy(&s), 0);
}

static void gateway(struct net_stack_config *config)
{
    net_stack_config_gateway(config, net_addr_v4(RTE_IPV4(10, 0, 0, 254)));
    config->max_connections = 4096;
}

static void test_arp_gateway(void **state)
{
    (void)state;
    struct script s;
    struct stream *t;
    script_create(&s, gateway);
    assert_int_equal(net_connect(s.stack, net_endpoint_v4(RTE_IPV4(11, 0, 0, 1), 9), s.now, &t), 0);
    script_output(&s);
    const struct script_frame *f = script_next_frame(&s);
    assert_memory_equal(f->bytes + 38, ((const uint8_t[]){10, 0, 0, 254}), 4);
    assert_int_equal(script_destroy(&s), 0);
}

/* What waits for a neighbour is bounded; it all goes when the answer comes. */
static void test_arp_pending_bound(void **state)
{
    (void)state;
    struct script s;
    struct stream *t;
    script_create(&s, gateway);
    struct buf_pools small = s.pools;
    small.small = rte_pktmbuf_pool_create("many", 2047, 0, 0, BUF_SMALL_ROOM + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
    assert_non_null(small.small);
    struct rte_mempool *few = s.pools.small;
    s.pools.small = small.small;
    for (unsigned i = 0; i < NEIGHBOUR_PENDING_MAX + 10; i++)
        assert_int_equal(net_connect(s.stack, net_endpoint_v4(RTE_IPV4(10, 0, 0, 2), (uint16_t)(i + 1)), s.now, &t), 0);
    script_output(&s);
    assert_int_equal(net_stack_metrics(s.stack)->neighbour_pending_dropped, 10);
    assert_non_null(script_next_frame(&s));
    script_expect_nothing(&s); /* one question for all of them */
    assert_int_equal(rte_mempool_in_use_count(small.small), NEIGHBOUR_PENDING_MAX);
    net_stack_destroy(&s.stack);
    assert_int_equal(rte_mempool_in_use_count(small.small), 0);
    s.pools.small = few;
    rte_mempool_free(small.small);
    assert_int_equal(script_destroy(&s), 0);
}

static uint32_t echo_build(uint8_t *f, uint8_t type, uint32_t payload)
{
    static const uint8_t head[34] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0,
                                     0, 9, 9, 0, 0, 3, 1, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1};
    memcpy(f, head, sizeof head);
    f[16] = (uint8_t)((28 + payload) >> 8);
    f[17] = (uint8_t)(28 + payload);
    memset(f + 34, 0, 8);
    f[34] = type;
    f[39] = 77;
    for (uint32_t i = 0; i < payload; i++) f[42 + i] = (uint8_t)i;
    uint16_t sum = (uint16_t)~checksum_fold(checksum_sum(f + 34, 8 + payload));
    memcpy(f + 36, &sum, 2);
    script_checksum(f, 42 + payload);
    return 42 + payload;
}

static void test_icmp_echo(void **state)
{
    (void)state;
    struct script s;
    uint8_t f[SCRIPT_FRAME_BYTES];
    script_create(&s, NULL);
    uint32_t len = echo_build(f, 8, 57);
    script_frame_in(&s, f, len);
    const struct script_frame *r = script_next_frame(&s);
    assert_int_equal(r->len, len);
    assert_memory_equal(r->bytes, ((const uint8_t[]){2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1}), 12);
    assert_memory_equal(r->bytes + 26, ((const uint8_t[]){10, 0, 0, 1, 10, 0, 0, 2}), 8);
    assert_int_equal(r->bytes[34], 0);
    assert_memory_equal(r->bytes + 38, f + 38, len - 38);
    assert_int_equal(checksum_fold(checksum_sum(r->bytes + 14, 20)), 0xffff);
    assert_int_equal(checksum_fold(checksum_sum(r->bytes + 34, len - 34)), 0xffff);
    f[50] ^= 1;
    script_frame_in(&s, f, len); /* a wrong checksum */
    script_frame_in(&s, f, echo_build(f, 13, 12)); /* a type that nobody should answer */
    script_expect_nothing(&s);
    assert_int_equal(net_stack_metrics(s.stack)->drop_icmp, 2);
    len = echo_build(f, 8, 8);
    for (unsigned i = 0; i < 300; i++) script_frame_in(&s, f, len);
    assert_in_range(net_stack_metrics(s.stack)->icmp_echoes, 90, 110); /* rate-limited */
    s.now += 100 * SCRIPT_MS;
    uint64_t before = net_stack_metrics(s.stack)->icmp_echoes;
    script_frame_in(&s, f, len);
    assert_int_equal(net_stack_metrics(s.stack)->icmp_echoes, before + 1);
    assert_int_equal(script_destroy(&s), 0);
}

/* The sum is that of a plain loop over 16-bit words, for each length and however it is split. */
static void test_checksum_against_plain(void **state)
{
    (void)state;
    uint8_t data[200];
    test_eal_start();
    struct rte_mempool *pool = rte_pktmbuf_pool_create("sum", 63, 0, 0, 512, SOCKET_ID_ANY);
    for (unsigned i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * 167 + 13);
    for (uint32_t len = 0; len <= sizeof data; len++) {
        uint32_t plain = 0;
        for (uint32_t i = 0; i + 1 < len; i += 2) plain += (uint32_t)(data[i] << 8 | data[i + 1]);
        if (len & 1) plain += (uint32_t)data[len - 1] << 8;
        while (plain >> 16) plain = (plain & 0xffff) + (plain >> 16);
        assert_int_equal(rte_be_to_cpu_16(checksum_fold(checksum_sum(data, len))), plain);
        struct rte_mbuf *a = rte_pktmbuf_alloc(pool), *b = rte_pktmbuf_alloc(pool);
        uint32_t cut = len / 3;
        memcpy(rte_pktmbuf_append(a, (uint16_t)cut), data, cut);
        memcpy(rte_pktmbuf_append(b, (uint16_t)(len - cut)), data + cut, len - cut);
        a->next = b;
        a->nb_segs = 2;
        assert_int_equal(rte_be_to_cpu_16(checksum_fold(checksum_chain(a, 0, len))), plain);
        rte_pktmbuf_free(a);
    }
    rte_mempool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_bad_checksums),
        cmocka_unit_test(test_malformed_options),
        cmocka_unit_test(test_strange_options_are_taken),
        cmocka_unit_test(test_padding_is_no_payload),
        cmocka_unit_test(test_ip_options_are_skipped),
        cmocka_unit_test(test_frame_in_pieces),
        cmocka_unit_test(test_arp_answer),
        cmocka_unit_test(test_arp_learns_and_ages),
        cmocka_unit_test(test_arp_gateway),
        cmocka_unit_test(test_arp_pending_bound),
        cmocka_unit_test(test_icmp_echo),
        cmocka_unit_test(test_checksum_against_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
