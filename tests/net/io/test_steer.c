/* Which core a frame is for; and the hash of RSS, by Microsoft's verification suite. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "net/steer.h"
#include "net/toeplitz.h"

#define CORES 3u
#define FIRST 32768u
#define LAST 60999u
#define US 0x0a090001u
#define LISTENER 11211u

static struct steer steer;
static uint8_t bytes[256];
static struct rte_mbuf frame;

static uint8_t *put(uint8_t *p, const void *data, size_t n)
{
    memcpy(p, data, n);
    return p + n;
}

static uint8_t *put16(uint8_t *p, unsigned v)
{
    *p++ = (uint8_t)(v >> 8);
    *p++ = (uint8_t)v;
    return p;
}

static uint8_t *put32(uint8_t *p, uint32_t v) { return put16(put16(p, v >> 16), v & 0xffff); }

static const struct rte_mbuf *frame_of(const uint8_t *end)
{
    memset(&frame, 0, sizeof frame);
    frame.buf_addr = bytes;
    frame.buf_len = sizeof bytes;
    frame.data_len = (uint16_t)(end - bytes);
    frame.pkt_len = frame.data_len;
    return &frame;
}

static uint8_t *ethernet(unsigned type, bool vlan)
{
    uint8_t *p = bytes + 12;
    memset(bytes, 2, sizeof bytes);
    if (vlan) p = put16(put16(p, 0x8100), 7);
    return put16(p, type);
}

static uint8_t *ipv4(uint8_t *p, uint8_t protocol, uint32_t src, uint32_t dst)
{
    memset(p, 0, 20);
    p[0] = 0x45;
    p[9] = protocol;
    put32(p + 12, src);
    put32(p + 16, dst);
    return p + 20;
}

static uint8_t *ipv6(uint8_t *p, uint8_t protocol, uint8_t src, uint8_t dst)
{
    memset(p, 0, 40);
    p[0] = 0x60;
    p[6] = protocol;
    p[7] = 255;
    p[23] = src;
    p[39] = dst;
    return p + 40;
}

static uint16_t tcp4(uint32_t src, unsigned src_port, unsigned dst_port, uint16_t here)
{
    uint8_t *p = ipv4(ethernet(0x0800, false), 6, src, US);
    return steer_home(&steer, frame_of(put16(put16(p, src_port), dst_port) + 16), here);
}

static void segments_go_by_their_hash(void **state)
{
    (void)state;
    unsigned count[CORES] = {0};
    for (unsigned i = 0; i < 3000; i++) {
        uint16_t home = tcp4(0x0a090002 + i % 7, 2000 + i, LISTENER, 0);
        assert_in_range(home, 0, CORES - 1);
        assert_int_equal(tcp4(0x0a090002 + i % 7, 2000 + i, LISTENER, 2), home);
        count[home]++;
    }
    for (unsigned c = 0; c < CORES; c++) assert_in_range(count[c], 800, 1200);
}

static void a_tag_changes_nothing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 50; i++) {
        uint16_t home = tcp4(0x0a090002, 2000 + i, LISTENER, 0);
        uint8_t *p = ipv4(ethernet(0x0800, true), 6, 0x0a090002, US);
        assert_int_equal(steer_home(&steer, frame_of(put16(put16(p, 2000 + i), LISTENER) + 16), 1), home);
    }
}

static void without_a_hash_segments_stay(void **state)
{
    (void)state;
    steer.by_hash = false;
    for (unsigned i = 0; i < 50; i++) assert_int_equal(tcp4(0x0a090002, 2000 + i, LISTENER, i % CORES), i % CORES);
}

static void client_ports_are_divided(void **state)
{
    (void)state;
    uint32_t next = FIRST;
    for (uint16_t core = 0; core < CORES; core++) {
        uint16_t first, last;
        steer_ports(&steer, core, &first, &last);
        assert_int_equal(first, next);
        assert_int_equal(tcp4(0x0a090002, 80, first, 1), core);
        assert_int_equal(tcp4(0x0a090003, 443, last, 2), core);
        next = last + 1u;
    }
    assert_int_equal(next, LAST + 1);
    steer.by_hash = false;
    assert_int_equal(tcp4(0x0a090002, 80, FIRST, 2), 0);
}

static void a_listener_among_client_ports_is_none_of_theirs(void **state)
{
    (void)state;
    unsigned elsewhere = 0;
    for (unsigned i = 0; i < 100; i++) elsewhere += tcp4(0x0a090002, 2000 + i, 40000, 0) != tcp4(0x0a090002, 2000, 40000, 0);
    assert_int_equal(elsewhere, 0);
    steer_listen(&steer, 40000);
    for (unsigned i = 0; i < 100; i++) elsewhere += tcp4(0x0a090002, 2000 + i, 40000, 0) != tcp4(0x0a090002, 2000, 40000, 0);
    assert_in_range(elsewhere, 30, 90);
}

static void errors_go_where_the_quoted_segment_came_from(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        unsigned local = i & 1 ? LISTENER : FIRST + 131 * i;
        uint16_t home = tcp4(0x0a090005, 2000 + i, local, 0);
        uint8_t *p = ipv4(ethernet(0x0800, false), 1, 0x0a0900fe, US); /* from a router */
        p = put32(put16(put16(p, 0x0304), 0), 1400);
        p = ipv4(p, 6, US, 0x0a090005);
        assert_int_equal(steer_home(&steer, frame_of(put32(put16(put16(p, local), 2000 + i), 77)), 1), home);
    }
    uint8_t *p = ipv4(ethernet(0x0800, false), 1, 0x0a090005, US);
    assert_int_equal(steer_home(&steer, frame_of(put32(put32(p, 0x08000000), 1) + 40), 2), 2); /* echo stays */
}

static void ipv6_as_ipv4(void **state)
{
    (void)state;
    unsigned count[CORES] = {0};
    for (unsigned i = 0; i < 300; i++) {
        uint8_t *p = ipv6(ethernet(0x86dd, false), 6, 2, 1);
        uint16_t home = steer_home(&steer, frame_of(put16(put16(p, 2000 + i), LISTENER) + 16), 0);
        count[home]++;
        p = ipv6(ethernet(0x86dd, false), 60, 2, 1); /* the same behind destination options */
        memset(p, 0, 8);
        p[0] = 6;
        assert_int_equal(steer_home(&steer, frame_of(put16(put16(p + 8, 2000 + i), LISTENER) + 16), 1), home);
        p = ipv6(ethernet(0x86dd, false), 58, 9, 1); /* too big */
        p = put32(put32(p, 0x02000000), 1280);
        p = ipv6(p, 6, 1, 2);
        assert_int_equal(steer_home(&steer, frame_of(put32(put16(put16(p, LISTENER), 2000 + i), 5)), 2), home);
    }
    for (unsigned c = 0; c < CORES; c++) assert_in_range(count[c], 60, 140);
}

static void neighbours_are_for_all(void **state)
{
    (void)state;
    static const struct {
        uint8_t type;
        uint16_t home;
    } rows[] = {{134, STEER_ALL}, {136, STEER_ALL}, {137, STEER_ALL}, {135, 1}, {128, 1}, {133, 1}};
    assert_int_equal(steer_home(&steer, frame_of(ethernet(0x0806, false) + 28), 1), STEER_ALL);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t *p = ipv6(ethernet(0x86dd, false), 58, 2, 1);
        assert_int_equal(steer_home(&steer, frame_of(put32(put32(p, (uint32_t)rows[i].type << 24), 0) + 16), 1),
                         rows[i].home);
    }
    uint8_t *p = ipv6(ethernet(0x86dd, false), 58, 0, 1); /* a probe: from no address */
    assert_int_equal(steer_home(&steer, frame_of(put32(put32(p, UINT32_C(135) << 24), 0) + 16), 1), STEER_ALL);
}

/* Whatever its length, a frame is not read beyond its end: the sanitizer looks on. */
static void short_frames_stay_or_go_but_are_not_overrun(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t *copy;
        uint32_t len = i % 120;
        struct rte_mbuf m;
        memset(&m, 0, sizeof m);
        ethernet(i & 1 ? 0x86dd : 0x0800, i & 2);
        for (unsigned at = 14; at < 120; at++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
            if (random >> 62) bytes[at] = (uint8_t)(random >> 40);
        }
        bytes[14] = i & 1 ? 0x60 : 0x45;
        bytes[20] = (uint8_t)(i & 4 ? 0 : 58);
        bytes[23] = i & 8 ? 1 : 6;
        copy = test_malloc(len + !len);
        memcpy(copy, bytes, len);
        m.buf_addr = copy;
        m.data_len = (uint16_t)len;
        uint16_t home = steer_home(&steer, &m, 1);
        assert_true(home < CORES || home == STEER_ALL);
        test_free(copy);
    }
}

static int fresh(void **state)
{
    (void)state;
    steer_init(&steer, CORES, 12345, FIRST, LAST);
    steer.by_hash = true;
    return 0;
}

static const uint8_t suite_key[TOEPLITZ_KEY_BYTES] = {
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
    0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

static void toeplitz_by_the_verification_suite(void **state)
{
    (void)state;
    static const struct {
        const char *src, *dst;
        unsigned src_port, dst_port;
        uint32_t hash;
    } rows[] = {
        {"66.9.149.187", "161.142.100.80", 2794, 1766, 0x51ccc178},
        {"199.92.111.2", "65.69.140.83", 14230, 4739, 0xc626b0ea},
        {"24.19.198.95", "12.22.207.184", 12898, 38024, 0x5c2b394a},
        {"38.27.205.30", "209.142.163.6", 48228, 2217, 0xafc7327f},
        {"153.39.163.191", "202.188.127.2", 44251, 1303, 0x10e828a2},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(toeplitz_ipv4(suite_key, inet_addr(rows[i].src), inet_addr(rows[i].dst),
                                       htons((uint16_t)rows[i].src_port), htons((uint16_t)rows[i].dst_port)),
                         rows[i].hash);
    uint8_t tuple[36]; /* 3ffe:2501:200:1fff::7 port 2794 to 3ffe:2501:200:3::1 port 1766 */
    uint8_t *p = tuple;
    assert_int_equal(inet_pton(AF_INET6, "3ffe:2501:200:1fff::7", p), 1);
    assert_int_equal(inet_pton(AF_INET6, "3ffe:2501:200:3::1", p + 16), 1);
    uint16_t ports[2] = {htons(2794), htons(1766)};
    put(p + 32, ports, sizeof ports);
    assert_int_equal(toeplitz_hash(suite_key, tuple, sizeof tuple), 0x40207d3d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(segments_go_by_their_hash, fresh),
        cmocka_unit_test_setup(a_tag_changes_nothing, fresh),
        cmocka_unit_test_setup(without_a_hash_segments_stay, fresh),
        cmocka_unit_test_setup(client_ports_are_divided, fresh),
        cmocka_unit_test_setup(a_listener_among_client_ports_is_none_of_theirs, fresh),
        cmocka_unit_test_setup(errors_go_where_the_quoted_segment_came_from, fresh),
        cmocka_unit_test_setup(ipv6_as_ipv4, fresh),
        cmocka_unit_test_setup(neighbours_are_for_all, fresh),
        cmocka_unit_test_setup(short_frames_stay_or_go_but_are_not_overrun, fresh),
        cmocka_unit_test(toeplitz_by_the_verification_suite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
