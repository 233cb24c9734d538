/* Which frames are ours, which the kernel's. Each frame is also judged when cut short at every length. */
#include <stdlib.h>
#include <string.h>
#include <rte_byteorder.h>
#include <rte_ip.h>
#include "net/exception_filter.h"
#include "tests/net/sim/cmocka_all.h"

#define OURS 0x0a000001u /* 10.0.0.1 */
#define PORT 11211u
#define CLIENT_FIRST 61000u
#define CLIENT_LAST 61999u
#define FRAME_MAX 256u

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t ours6[16] = {0xfd, [15] = 1};

struct frame {
    uint8_t bytes[FRAME_MAX];
    uint16_t len;
};

static void put16(struct frame *f, uint16_t v)
{
    f->bytes[f->len++] = (uint8_t)(v >> 8);
    f->bytes[f->len++] = (uint8_t)v;
}

static void put(struct frame *f, const void *p, uint16_t n)
{
    memcpy(f->bytes + f->len, p, n);
    f->len = (uint16_t)(f->len + n);
}

static void ethernet(struct frame *f, const uint8_t *to, uint16_t type)
{
    static const uint8_t from[6] = {2, 0, 0, 0, 0, 2};
    memset(f, 0, sizeof *f);
    put(f, to, 6);
    put(f, from, 6);
    put16(f, type);
}

static void ipv4(struct frame *f, uint8_t protocol, uint32_t src, uint32_t dst, uint16_t fragment, uint8_t options)
{
    struct rte_ipv4_hdr ip = {.version_ihl = (uint8_t)(0x45 + options / 4),
                              .fragment_offset = rte_cpu_to_be_16(fragment),
                              .next_proto_id = protocol,
                              .src_addr = rte_cpu_to_be_32(src),
                              .dst_addr = rte_cpu_to_be_32(dst)};
    put(f, &ip, sizeof ip);
    f->len = (uint16_t)(f->len + options);
}

static void ipv6(struct frame *f, uint8_t protocol, const uint8_t *src, const uint8_t *dst)
{
    struct rte_ipv6_hdr ip = {.vtc_flow = rte_cpu_to_be_32(6u << 28), .proto = protocol};
    memcpy(ip.src_addr, src, 16);
    memcpy(ip.dst_addr, dst, 16);
    put(f, &ip, sizeof ip);
}

static void tcp(struct frame *f, unsigned from, unsigned to)
{
    put16(f, (uint16_t)from);
    put16(f, (uint16_t)to);
    f->len = (uint16_t)(f->len + 16);
}

static void icmp(struct frame *f, uint8_t type)
{
    f->bytes[f->len] = type;
    f->len = (uint16_t)(f->len + 8);
}

static struct exception_filter *filter;

/* From memory of just that length, so that the sanitizer sees a byte read too far. */
static enum frame_fate judge_length(const struct frame *f, uint16_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    memcpy(copy, f->bytes, len);
    struct rte_mbuf m = {.buf_addr = copy, .buf_len = len, .data_len = len, .pkt_len = len, .nb_segs = 1};
    enum frame_fate fate = exception_filter_judge(filter, &m);
    free(copy);
    return fate;
}

static enum frame_fate judge(const struct frame *f)
{
    for (uint16_t len = 0; len < f->len; len++) judge_length(f, len);
    return judge_length(f, f->len);
}

static enum frame_fate judge_tcp4(uint32_t dst, unsigned port, uint16_t fragment, uint8_t options)
{
    struct frame f;
    ethernet(&f, mac, 0x0800);
    ipv4(&f, IPPROTO_TCP, 0x0a000002, dst, fragment, options);
    tcp(&f, 4000, port);
    return judge(&f);
}

static void test_tcp_v4(void **state)
{
    (void)state;
    assert_int_equal(judge_tcp4(OURS, PORT, 0, 0), FRAME_OURS);
    assert_int_equal(judge_tcp4(OURS, PORT, 0, 40), FRAME_OURS);
    assert_int_equal(judge_tcp4(OURS, PORT, 0x2000, 0), FRAME_OURS); /* a first fragment */
    assert_int_equal(judge_tcp4(OURS, PORT, 1, 0), FRAME_KERNEL);    /* a later one has no ports */
    assert_int_equal(judge_tcp4(OURS, 22, 0, 0), FRAME_KERNEL);
    assert_int_equal(judge_tcp4(OURS, PORT + 1, 0, 0), FRAME_KERNEL);
    assert_int_equal(judge_tcp4(OURS + 1, PORT, 0, 0), FRAME_KERNEL);
    assert_int_equal(judge_tcp4(OURS, CLIENT_FIRST, 0, 0), FRAME_OURS);
    assert_int_equal(judge_tcp4(OURS, CLIENT_LAST, 0, 0), FRAME_OURS);
    assert_int_equal(judge_tcp4(OURS, CLIENT_FIRST - 1, 0, 0), FRAME_KERNEL);
    assert_int_equal(judge_tcp4(OURS, CLIENT_LAST + 1, 0, 0), FRAME_KERNEL);
    assert_int_equal(judge_tcp4(OURS, 0, 0, 0), FRAME_KERNEL);
}

static void test_claims_come_and_go(void **state)
{
    (void)state;
    for (unsigned port = 1; port < 61000; port += 61) {
        if (port == PORT) continue;
        exception_filter_claim(&filter->addresses[0], (uint16_t)port, true);
        assert_int_equal(judge_tcp4(OURS, port, 0, 0), FRAME_OURS);
        exception_filter_claim(&filter->addresses[0], (uint16_t)port, false);
        assert_int_equal(judge_tcp4(OURS, port, 0, 0), FRAME_KERNEL);
        assert_int_equal(judge_tcp4(OURS, PORT, 0, 0), FRAME_OURS);
    }
}

static enum frame_fate judge_tcp6(const uint8_t *dst, unsigned port)
{
    static const uint8_t peer[16] = {0xfd, [15] = 2};
    struct frame f;
    ethernet(&f, mac, 0x86dd);
    ipv6(&f, IPPROTO_TCP, peer, dst);
    tcp(&f, 4000, port);
    return judge(&f);
}

static void test_tcp_v6(void **state)
{
    (void)state;
    static const uint8_t other[16] = {0xfd, [15] = 3};
    assert_int_equal(judge_tcp6(ours6, 6379), FRAME_OURS);
    assert_int_equal(judge_tcp6(ours6, PORT), FRAME_KERNEL); /* claimed on the other address only */
    assert_int_equal(judge_tcp6(ours6, CLIENT_FIRST), FRAME_KERNEL);
    assert_int_equal(judge_tcp6(other, 6379), FRAME_KERNEL);
}

/* An ICMP error of a router about a segment from `src` port `port`. */
static enum frame_fate judge_icmp4(uint8_t type, uint8_t protocol, uint32_t src, unsigned port)
{
    struct frame f;
    ethernet(&f, mac, 0x0800);
    ipv4(&f, IPPROTO_ICMP, 0x0a0000fe, OURS, 0, 0);
    icmp(&f, type);
    ipv4(&f, protocol, src, 0x0a000002, 0, 0);
    tcp(&f, port, 4000);
    return judge(&f);
}

static void test_icmp_errors_about_our_segments(void **state)
{
    (void)state;
    assert_int_equal(judge_icmp4(3, IPPROTO_TCP, OURS, PORT), FRAME_OURS);
    assert_int_equal(judge_icmp4(11, IPPROTO_TCP, OURS, CLIENT_FIRST), FRAME_OURS);
    assert_int_equal(judge_icmp4(3, IPPROTO_TCP, OURS, 22), FRAME_KERNEL);
    assert_int_equal(judge_icmp4(3, IPPROTO_UDP, OURS, PORT), FRAME_KERNEL);
    assert_int_equal(judge_icmp4(3, IPPROTO_TCP, OURS + 1, PORT), FRAME_KERNEL);
    assert_int_equal(judge_icmp4(8, IPPROTO_TCP, OURS, PORT), FRAME_KERNEL); /* a ping, whatever it carries */
}

static enum frame_fate judge_icmp6(uint8_t type, unsigned port)
{
    static const uint8_t peer[16] = {0xfd, [15] = 2};
    struct frame f;
    ethernet(&f, mac, 0x86dd);
    ipv6(&f, IPPROTO_ICMPV6, peer, ours6);
    icmp(&f, type);
    ipv6(&f, IPPROTO_TCP, ours6, peer);
    tcp(&f, port, 4000);
    return judge(&f);
}

static void test_icmp_v6(void **state)
{
    (void)state;
    assert_int_equal(judge_icmp6(2, 6379), FRAME_OURS); /* packet too big */
    assert_int_equal(judge_icmp6(2, 22), FRAME_KERNEL);
    assert_int_equal(judge_icmp6(128, 6379), FRAME_KERNEL);
    assert_int_equal(judge_icmp6(135, 6379), FRAME_KERNEL); /* it answers neighbours */
    assert_int_equal(judge_icmp6(136, 6379), FRAME_BOTH);
    assert_int_equal(judge_icmp6(134, 6379), FRAME_BOTH);
}

static void test_other_frames(void **state)
{
    (void)state;
    static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255}, other[6] = {2, 9, 9, 9, 9, 9};
    static const uint8_t request[28] = {0, 1, 8, 0, 6, 4, 0, 1}, reply[28] = {0, 1, 8, 0, 6, 4, 0, 2};
    struct frame f;
    ethernet(&f, broadcast, 0x0806);
    put(&f, request, sizeof request);
    assert_int_equal(judge(&f), FRAME_KERNEL);
    ethernet(&f, mac, 0x0806);
    put(&f, reply, sizeof reply);
    assert_int_equal(judge(&f), FRAME_BOTH);
    ethernet(&f, mac, 0x0800);
    ipv4(&f, IPPROTO_UDP, 0x0a000002, OURS, 0, 0);
    tcp(&f, 4000, PORT);
    assert_int_equal(judge(&f), FRAME_KERNEL);
    ethernet(&f, mac, 0x88cc);
    assert_int_equal(judge(&f), FRAME_KERNEL);
    ethernet(&f, other, 0x88cc); /* nobody's: the stack counts it */
    assert_int_equal(judge(&f), FRAME_OURS);
    ethernet(&f, mac, 0x8100); /* a VLAN tag is looked behind */
    put16(&f, 7);
    put16(&f, 0x0800);
    ipv4(&f, IPPROTO_TCP, 0x0a000002, OURS, 0, 0);
    tcp(&f, 4000, PORT);
    assert_int_equal(judge(&f), FRAME_OURS);
}

static int set_up(void **state)
{
    (void)state;
    filter = calloc(1, sizeof *filter);
    if (!filter) return -1;
    memcpy(filter->mac, mac, sizeof mac);
    const struct net_addr addr4 = net_addr_v4(OURS), addr6 = net_addr_v6(ours6);
    struct exception_address *v4 = exception_filter_add(filter, &addr4), *v6 = exception_filter_add(filter, &addr6);
    v4->clients = CLIENT_FIRST << 16 | CLIENT_LAST;
    exception_filter_claim(v4, PORT, true);
    exception_filter_claim(v6, 6379, true);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(filter);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp_v4),  cmocka_unit_test(test_claims_come_and_go),
        cmocka_unit_test(test_tcp_v6),  cmocka_unit_test(test_icmp_errors_about_our_segments),
        cmocka_unit_test(test_icmp_v6), cmocka_unit_test(test_other_frames),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
