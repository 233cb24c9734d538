/* IPv6: headers and their extensions, neighbour and router discovery, ICMPv6. RFC 8200, 4861, 4862, 4443. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include "net/checksum.h"
#include "net/claim.h"
#include "net/mld.h"
#include "tests/net/ip/packets.h"

/* The stack's next frame, an IPv6 packet whose sum is right; protocol: TCP or ICMPv6. */
static const struct script_frame *frame6(struct script *s, uint8_t protocol)
{
    const struct script_frame *f = script_next_frame(s);
    uint8_t mended[SCRIPT_FRAME_BYTES];
    assert_non_null(f);
    assert_memory_equal(f->bytes + 12, "\x86\xdd\x60", 3);
    assert_int_equal(f->bytes[20], protocol);
    assert_int_equal(f->bytes[18] << 8 | f->bytes[19], (int)f->len - 54);
    memcpy(mended, f->bytes, f->len);
    packets_mend6(mended, protocol, 54, f->len);
    assert_memory_equal(mended, f->bytes, f->len);
    return f;
}

static void open6(struct script *s)
{
    uint8_t f[SCRIPT_FRAME_BYTES];
    script_frame_in(s, f, packets_tcp6(s, f, S, 0, 0, NULL, 0));
    const struct script_frame *r = frame6(s, IPPROTO_TCP);
    assert_int_equal(r->bytes[54 + 13], S | A);
    assert_memory_equal(r->bytes + 74, ((const uint8_t[]){2, 4, 1440 >> 8, 1440 & 255}), 4);
    memcpy(&s->iss, r->bytes + 58, 4);
    s->iss = rte_be_to_cpu_32(s->iss);
    script_frame_in(s, f, packets_tcp6(s, f, A, 1, 1, NULL, 0));
    assert_non_null(s->stream);
}

static void test_connection(void **state)
{
    (void)state;
    struct script s;
    uint8_t f[SCRIPT_FRAME_BYTES];
    char text[64];
    script_create(&s, packets_dual);
    open6(&s);
    s.stream->ops->peer(s.stream, text, sizeof text);
    assert_string_equal(text, "[2001:db8::2]:4000");
    uint32_t len = packets_tcp6(&s, f, A | P, 1, 1, "hello", 5);
    memset(f + len, 'Z', 40); /* padding is no payload */
    script_frame_in(&s, f, len + 40);
    assert_int_equal(s.stream->rx.len, 5);
    f[len - 1] ^= 1;
    script_frame_in(&s, f, len);
    assert_int_equal(net_stack_metrics(s.stack)->drop_tcp_checksum, 1);
    s.head = s.tail;
    script_write(&s, 300);
    assert_int_equal(frame6(&s, IPPROTO_TCP)->len, 54 + 20 + 300);
    assert_int_equal(script_destroy(&s), 0);
}

/* Both families at the same ports are two connections. */
static void test_families_apart(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, packets_dual);
    open6(&s);
    script_open(&s, 65535);
    assert_int_equal(s.accepted, 2);
    assert_int_equal(net_stack_connections(s.stack), 2);
    assert_int_equal(script_destroy(&s), 0);
}

/* Puts extension headers before the TCP header of a SYN. first: what the IPv6 header names. Returns what is counted. */
static void extended(struct script *s, uint8_t first, const uint8_t *headers, uint32_t n)
{
    uint8_t f[SCRIPT_FRAME_BYTES], g[SCRIPT_FRAME_BYTES];
    uint32_t len = packets_tcp6(s, f, S, 0, 0, NULL, 0);
    memcpy(g, f, 54);
    memcpy(g + 54, headers, n);
    memcpy(g + 54 + n, f + 54, len - 54);
    g[19] = (uint8_t)(g[19] + n);
    g[20] = first;
    script_frame_in(s, g, len + n);
}

static void test_extension_headers(void **state)
{
    (void)state;
    static const uint8_t pads[8] = {IPPROTO_TCP, 0, 1, 4};                                    /* PadN */
    static const uint8_t two[24] = {60, 0, 1, 4, 0, 0, 0, 0, IPPROTO_TCP, 1, 0, 0, 30, 6};   /* Pad1, an unknown one, Pad1s */
    static const uint8_t spent[8] = {IPPROTO_TCP, 0, 0, 0};                                  /* routing, segments left 0 */
    struct script s;
    script_create(&s, packets_dual);
    extended(&s, IPPROTO_HOPOPTS, pads, 8);
    frame6(&s, IPPROTO_TCP);
    s.peer_port++;
    extended(&s, IPPROTO_HOPOPTS, two, 24);
    frame6(&s, IPPROTO_TCP);
    s.peer_port++;
    extended(&s, IPPROTO_ROUTING, spent, 8);
    frame6(&s, IPPROTO_TCP);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_hostile_extension_headers(void **state)
{
    (void)state;
    static const uint8_t fragment[8] = {IPPROTO_TCP, 0, 0, 1};
    static const uint8_t stop[8] = {IPPROTO_TCP, 0, 0x80, 4};     /* an option that must not be skipped */
    static const uint8_t overlong[8] = {IPPROTO_TCP, 0, 1, 5};    /* an option beyond its header */
    static const uint8_t beyond[8] = {IPPROTO_TCP, 20, 1, 4};     /* a header beyond the packet */
    static const uint8_t left[8] = {IPPROTO_TCP, 0, 0, 1};        /* routing, segments left 1 */
    static const uint8_t again[16] = {0, 0, 1, 4, 0, 0, 0, 0, IPPROTO_TCP, 0, 1, 4}; /* hop-by-hop behind another */
    uint8_t nine[72] = {0};
    for (unsigned i = 0; i < 9; i++) {
        nine[8 * i] = i < 8 ? IPPROTO_DSTOPTS : IPPROTO_TCP;
        nine[8 * i + 2] = 1;
        nine[8 * i + 3] = 4;
    }
    struct script s;
    script_create(&s, packets_dual);
    const struct net_metrics *m = net_stack_metrics(s.stack);
    extended(&s, IPPROTO_FRAGMENT, fragment, 8);
    assert_int_equal(m->drop_ip_fragment, 1); /* RFC 5722, and no others either */
    extended(&s, IPPROTO_DSTOPTS, stop, 8);
    extended(&s, IPPROTO_DSTOPTS, overlong, 8);
    extended(&s, IPPROTO_DSTOPTS, beyond, 8);
    extended(&s, IPPROTO_ROUTING, left, 8);
    extended(&s, IPPROTO_DSTOPTS, nine, 72);
    assert_int_equal(m->drop_ip_extension, 5);
    extended(&s, IPPROTO_HOPOPTS, again, 16);
    assert_int_equal(m->drop_ip_header, 1);
    extended(&s, IPPROTO_NONE, left, 8);
    assert_int_equal(m->drop_ip_protocol, 1);
    script_expect_nothing(&s);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_malformed(void **state)
{
    (void)state;
    struct script s;
    uint8_t f[SCRIPT_FRAME_BYTES];
    script_create(&s, packets_dual);
    const struct net_metrics *m = net_stack_metrics(s.stack);
    uint32_t len = packets_tcp6(&s, f, S, 0, 0, NULL, 0);
    script_frame_in(&s, f, 53);
    f[14] = 0x40;
    script_frame_in(&s, f, len);
    f[14] = 0x60;
    f[18] = 1; /* longer than the frame */
    script_frame_in(&s, f, len);
    f[18] = 0;
    f[22] = 0xff; /* from a group */
    script_frame_in(&s, f, len);
    memcpy(f + 22, us6.bytes, 16); /* from us */
    script_frame_in(&s, f, len);
    memset(f + 22, 0, 16); /* from nobody */
    script_frame_in(&s, f, len);
    assert_int_equal(m->drop_ip_header, 6);
    packets_tcp6(&s, f, S, 0, 0, NULL, 0);
    f[53] = 99;
    script_frame_in(&s, f, len);
    assert_int_equal(m->drop_ip_not_ours, 1);
    script_expect_nothing(&s);
    assert_int_equal(script_destroy(&s), 0);
}

/* We open: who has it is asked of its solicited-node group; the SYN goes where the answer says. RFC 4861 7.2.2. */
static void test_resolution(void **state)
{
    (void)state;
    static const uint8_t group[6] = {0x33, 0x33, 0xff, 0, 0, 2};
    struct script s;
    struct net_endpoint to = {peer6, 9};
    script_create(&s, packets_dual);
    assert_int_equal(net_connect(s.stack, to, s.now, &s.stream), 0);
    script_output(&s);
    const struct script_frame *f = frame6(&s, IPPROTO_ICMPV6);
    assert_memory_equal(f->bytes, group, 6);
    assert_int_equal(f->bytes[21], 255);
    assert_int_equal(f->bytes[54], 135);
    assert_memory_equal(f->bytes + 62, peer6.bytes, 16);
    assert_memory_equal(f->bytes + 78, ((const uint8_t[]){1, 1, 2, 0, 0, 0, 0, 1}), 8);
    script_expect_nothing(&s);
    packets_advert_in(&s, &peer6, 0x60, 2);
    f = frame6(&s, IPPROTO_TCP);
    assert_int_equal(f->bytes[5], 2);
    packets_advert_in(&s, &peer6, 0x20, 9); /* it has moved, and says so */
    assert_int_equal(net_stack_metrics(s.stack)->neighbour_moved, 1);
    packets_advert_in(&s, &peer6, 0x00, 8); /* another claims it without override: not believed */
    assert_int_equal(net_stack_metrics(s.stack)->neighbour_moved, 1);
    assert_int_equal(script_destroy(&s), 0);
}

/* Who asks for our address is answered, and then known. RFC 4861 7.2.3, 7.2.4. */
static void test_solicitation(void **state)
{
    (void)state;
    static const struct net_addr group = {.bytes = {0xff, 2, [11] = 1, [12] = 0xff, [15] = 1}}, nobody;
    uint8_t ask[32] = {135, [24] = 1, 1, 2, 0, 0, 0, 0, 2};
    struct script s;
    script_create(&s, packets_dual);
    memcpy(ask + 8, us6.bytes, 16);
    packets_icmp6_in(&s, &peer6, &group, 255, ask, sizeof ask);
    const struct script_frame *f = frame6(&s, IPPROTO_ICMPV6);
    assert_int_equal(f->bytes[54], 136);
    assert_int_equal(f->bytes[58], 0x60); /* solicited, override */
    assert_memory_equal(f->bytes + 38, peer6.bytes, 16);
    struct net_endpoint to = {peer6, 9};
    assert_int_equal(net_connect(s.stack, to, s.now, &s.stream), 0);
    script_output(&s);
    frame6(&s, IPPROTO_TCP); /* no question before the SYN ... */
    assert_int_equal(frame6(&s, IPPROTO_ICMPV6)->bytes[5], 2); /* ... but whether it hears us: RFC 4861 7.3.3 */
    uint64_t dropped = net_stack_metrics(s.stack)->drop_icmp;
    packets_icmp6_in(&s, &peer6, &group, 254, ask, sizeof ask); /* it came through a router */
    packets_icmp6_in(&s, &nobody, &group, 255, ask, sizeof ask); /* a probe has no such option */
    ask[25] = 0;                                                 /* an option of no length */
    packets_icmp6_in(&s, &peer6, &group, 255, ask, sizeof ask);
    ask[25] = 1;
    ask[1] = 1; /* a code that is none */
    packets_icmp6_in(&s, &peer6, &group, 255, ask, sizeof ask);
    ask[1] = 0;
    packets_icmp6_in(&s, &peer6, &group, 255, ask, 20); /* cut off */
    assert_int_equal(net_stack_metrics(s.stack)->drop_icmp, dropped + 5);
    script_expect_nothing(&s);
    packets_icmp6_in(&s, &nobody, &group, 255, ask, 24); /* a probe for our address: told to all. RFC 4862 5.4.3 */
    assert_int_equal(net_stack_metrics(s.stack)->address_conflicts, 1);
    assert_int_equal(frame6(&s, IPPROTO_ICMPV6)->bytes[0], 0x33);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_echo(void **state)
{
    (void)state;
    uint8_t echo[64] = {128, 0, 0, 0, 0, 7, 0, 1, 'p', 'i', 'n', 'g'};
    struct script s;
    script_create(&s, packets_dual);
    packets_icmp6_in(&s, &peer6, &us6, 64, echo, sizeof echo);
    const struct script_frame *f = frame6(&s, IPPROTO_ICMPV6);
    assert_int_equal(f->bytes[54], 129);
    assert_memory_equal(f->bytes + 58, echo + 4, 60);
    packets_icmp6_in(&s, &peer_link, &us_link, 64, echo, sizeof echo); /* the link-local address is ours too */
    frame6(&s, IPPROTO_ICMPV6);
    for (unsigned i = 0; i < 300; i++) {
        packets_icmp6_in(&s, &peer6, &us6, 64, echo, sizeof echo);
        s.head = s.tail;
    }
    assert_in_range(net_stack_metrics(s.stack)->icmp_echoes, 90, 110);
    assert_int_equal(script_destroy(&s), 0);
}

static void discovering(struct net_stack_config *config)
{
    packets_dual(config);
    config->router_discovery = true;
    config->announce = true;
}

/* A router says what it routes and for how long. RFC 4861 6.3.4. */
static void test_router(void **state)
{
    (void)state;
    static const struct net_addr all = {.bytes = {0xff, 2, [15] = 1}};
    uint8_t advert[56] = {134, 0, 0, 0, 64, 0, 0, 30, [16] = 1, 1, 2, 0, 0, 0, 0, 2, 3, 4, 64, 0x80, 0, 0, 0, 60};
    static const struct net_addr far = {.bytes = {0x20, 1, 0x0d, 0xb9, [15] = 9}};
    struct net_endpoint to = {far, 9};
    struct stream *t;
    struct script s;
    script_create(&s, discovering);
    script_wait(&s, 3000 * SCRIPT_MS);
    unsigned solicited = 0, frames = 0;
    for (const struct script_frame *f; (f = script_next_frame(&s)) != NULL; frames++)
        solicited += f->bytes[12] == 0x86 && f->bytes[54] == 133;
    assert_int_equal(solicited, CLAIM_PROBES);
    assert_int_equal(frames, CLAIM_PROBES * 4 + CLAIM_ANNOUNCES * 3 + MLD_ROBUSTNESS); /* three addresses, the router, groups */
    assert_int_equal(net_connect(s.stack, to, s.now, &t), -ENETUNREACH);
    packets_icmp6_in(&s, &peer6, &all, 255, advert, sizeof advert); /* not from the link */
    assert_int_equal(net_stack_metrics(s.stack)->router_adverts, 0);
    packets_icmp6_in(&s, &peer_link, &all, 255, advert, sizeof advert);
    assert_int_equal(net_stack_metrics(s.stack)->router_adverts, 1);
    assert_int_equal(net_connect(s.stack, to, s.now, &t), 0);
    script_output(&s);
    assert_int_equal(frame6(&s, IPPROTO_TCP)->bytes[5], 2); /* to the router, whose MAC it has told */
    t->ops->abort(t);
    s.head = s.tail;
    advert[7] = 0; /* it routes no longer */
    packets_icmp6_in(&s, &peer_link, &all, 255, advert, sizeof advert);
    assert_int_equal(net_connect(s.stack, to, s.now, &t), -ENETUNREACH);
    advert[7] = 30;
    packets_icmp6_in(&s, &peer_link, &all, 255, advert, sizeof advert);
    s.now += 31000 * SCRIPT_MS;
    assert_int_equal(net_connect(s.stack, to, s.now, &t), -ENETUNREACH);
    assert_int_equal(script_destroy(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connection),        cmocka_unit_test(test_families_apart),
        cmocka_unit_test(test_extension_headers), cmocka_unit_test(test_hostile_extension_headers),
        cmocka_unit_test(test_malformed),         cmocka_unit_test(test_resolution),
        cmocka_unit_test(test_solicitation),      cmocka_unit_test(test_echo),
        cmocka_unit_test(test_router),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
