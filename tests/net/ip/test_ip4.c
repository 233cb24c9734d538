/* Neighbours by ARP, our claim to addresses, routes, VLAN tags, ICMP errors: RFC 826, 5227, 1122, 792. */
#include <errno.h>
#include <string.h>
#include <rte_ip.h>
#include "net/claim.h"
#include "net/neighbour.h"
#include "tests/net/ip/packets.h"

#define PEER RTE_IPV4(10, 0, 0, 2)

/* An ARP packet of the peer at 02:00:00:00:00:mac: from, for. */
static void arp_in(struct script *s, uint8_t opcode, uint8_t mac, uint8_t from, uint8_t target)
{
    uint8_t f[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, mac, 8, 6, 0, 1, 8, 0, 6, 4, 0, opcode,
                     2,    0,    0,    0,    0,    mac,  10, 0, 0, from, 0, 0, 0, 0, 0, 0, 10, 0, 0, target};
    if (from == 0) memset(f + 28, 0, 4);
    script_frame_in(s, f, sizeof f);
}

static struct stream *connect_to(struct script *s, uint32_t ip, int want)
{
    struct stream *t = NULL;
    assert_int_equal(net_connect(s->stack, net_endpoint_v4(ip, 9), s->now, &t), want);
    script_output(s);
    return t;
}

/* Nobody answers three questions: the open fails, and the next one soon after fails without a question. */
static void test_negative_entry(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    struct stream *t = connect_to(&s, PEER, 0);
    script_wait(&s, 3100 * SCRIPT_MS);
    assert_int_equal(t->error, EHOSTUNREACH);
    t->ops->close(t);
    for (unsigned i = 0; i < NEIGHBOUR_TRIES; i++) assert_non_null(script_next_frame(&s));
    script_expect_nothing(&s);
    t = connect_to(&s, PEER, 0);
    script_wait(&s, 10 * SCRIPT_MS);
    script_expect_nothing(&s);
    assert_int_equal(t->error, EHOSTUNREACH);
    t->ops->close(t);
    script_wait(&s, 2000 * SCRIPT_MS);
    connect_to(&s, PEER, 0);
    assert_non_null(script_next_frame(&s)); /* asked again */
    assert_int_equal(net_stack_metrics(s.stack)->neighbour_failed, 1);
    assert_int_equal(script_destroy(&s), 0);
}

/* The peer has another MAC in mid-transfer: said by itself (gratuitous ARP), the connection follows. */
static void test_mac_moved(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_connect(&s, 65535);
    script_write(&s, 1000);
    assert_int_equal(script_next(&s).frame->bytes[5], 2);
    arp_in(&s, 1, 9, 2, 2);
    assert_int_equal(net_stack_metrics(s.stack)->neighbour_moved, 1);
    script_wait(&s, 200 * SCRIPT_MS);
    uint8_t last = 0;
    const struct script_frame *f;
    while ((f = script_next_frame(&s)) != NULL) last = f->bytes[5];
    assert_int_equal(last, 9);
    s.head = s.tail;
    assert_int_equal(script_destroy(&s), 0);
}

static void announcing(struct net_stack_config *config) { config->announce = true; }

/* Probes from no address, then announcements. RFC 5227 2.1.1, 2.3. */
static void test_announced(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, announcing);
    script_wait(&s, 3000 * SCRIPT_MS);
    for (unsigned i = 0; i < CLAIM_PROBES + CLAIM_ANNOUNCES; i++) {
        const struct script_frame *f = script_next_frame(&s);
        assert_non_null(f);
        assert_int_equal(f->bytes[13], 6);
        assert_int_equal(f->bytes[0], 0xff);
        assert_memory_equal(f->bytes + 28, i < CLAIM_PROBES ? "\0\0\0\0" : "\12\0\0\1", 4);
        assert_memory_equal(f->bytes + 38, "\12\0\0\1", 4);
    }
    script_expect_nothing(&s);
    assert_int_equal(script_destroy(&s), 0);
}

/* Somebody else says that it has our address: counted, and answered once in ten seconds. RFC 5227 2.4. */
static void test_conflict(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    for (unsigned i = 0; i < 5; i++) arp_in(&s, 1, 9, 1, 1);
    assert_int_equal(net_stack_metrics(s.stack)->address_conflicts, 5);
    assert_non_null(script_next_frame(&s));
    script_expect_nothing(&s);
    arp_in(&s, 1, 9, 0, 1); /* a probe for our address is answered, and teaches nothing */
    assert_int_equal(script_next_frame(&s)->bytes[21], 2);
    script_wait(&s, 11000 * SCRIPT_MS);
    arp_in(&s, 1, 9, 1, 1);
    assert_non_null(script_next_frame(&s));
    assert_int_equal(script_destroy(&s), 0);
}

/* More strangers than there is room for: the table stays bounded, and counts. */
static void test_table_is_bounded(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    for (unsigned i = 2; i < 255; i++) arp_in(&s, 1, (uint8_t)i, (uint8_t)i, 1);
    assert_int_equal(net_stack_metrics(s.stack)->neighbour_evicted, 0);
    s.head = s.tail;
    uint8_t f[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1,
                     2,    0,    0,    0,    0,    2,    10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1};
    for (unsigned i = 0; i < 100; i++) {
        f[31] = (uint8_t)i;
        script_frame_in(&s, f, sizeof f);
        s.head = s.tail;
    }
    assert_int_equal(net_stack_metrics(s.stack)->neighbour_evicted, 97);
    assert_int_equal(script_destroy(&s), 0);
}

/* Strangers who ask for us, in any number, displace nobody whom we have talked to. */
static void test_flood_displaces_nobody(void **state)
{
    (void)state;
    struct script s;
    uint8_t f[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1,
                     2,    0,    0,    0,    0,    2,    10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1};
    script_create(&s, NULL);
    script_connect(&s, 65535);
    uint64_t asked = net_stack_metrics(s.stack)->neighbour_requests;
    for (unsigned i = 0; i < 4 * NEIGHBOURS; i++) {
        f[30] = (uint8_t)(i >> 8);
        f[31] = (uint8_t)i;
        script_frame_in(&s, f, sizeof f);
        s.head = s.tail;
    }
    assert_in_range(net_stack_metrics(s.stack)->neighbour_evicted, 3 * NEIGHBOURS, 4 * NEIGHBOURS);
    connect_to(&s, PEER, 0);
    assert_int_equal(script_next(&s).flags, S);
    assert_int_equal(net_stack_metrics(s.stack)->neighbour_requests, asked);
    assert_int_equal(script_destroy(&s), 0);
}

static void routed(struct net_stack_config *config)
{
    struct net_route r;
    assert_int_equal(net_route_parse("172.16.0.0/12 via 10.0.0.253", &r), 0);
    config->routes[config->route_count++] = r;
    assert_int_equal(net_route_parse("172.16.5.0/24 via 10.0.0.252", &r), 0);
    config->routes[config->route_count++] = r;
    assert_int_equal(net_stack_config_address(config, net_addr_v4(RTE_IPV4(10, 7, 0, 1)), 16), 0);
}

/* The longest prefix says which router; the source is of the router's prefix; elsewhere there is no way. */
static void test_routes(void **state)
{
    (void)state;
    static const struct {
        uint32_t to;
        uint8_t hop[4], from[4];
    } cases[] = {{RTE_IPV4(172, 16, 5, 1), {10, 0, 0, 252}, {10, 0, 0, 1}},
                 {RTE_IPV4(172, 17, 5, 1), {10, 0, 0, 253}, {10, 0, 0, 1}},
                 {RTE_IPV4(10, 7, 9, 9), {10, 7, 9, 9}, {10, 7, 0, 1}}};
    struct script s;
    script_create(&s, routed);
    for (unsigned i = 0; i < 3; i++) {
        connect_to(&s, cases[i].to, 0);
        const struct script_frame *f = script_next_frame(&s);
        assert_memory_equal(f->bytes + 38, cases[i].hop, 4);
        assert_memory_equal(f->bytes + 28, cases[i].from, 4);
    }
    connect_to(&s, RTE_IPV4(8, 8, 8, 8), -ENETUNREACH);
    struct net_route r;
    static const char *const bad[] = {"10.0.0.0/8", "10.0.0.0/8 via ", "10.0.0.0/33 via 10.0.0.1", "10.0.0.0/8 via ::1",
                                      "10.0.0.0/8 via 0.0.0.0", " via 10.0.0.1"};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) assert_int_equal(net_route_parse(bad[i], &r), -EINVAL);
    assert_int_equal(script_destroy(&s), 0);
}

static void accepted(void *arg, struct stream *t)
{
    *(unsigned *)arg += 1;
    t->ops->abort(t);
}

/* Each of our addresses is answered; the most exact listener takes a connection. */
static void test_several_addresses(void **state)
{
    (void)state;
    struct script s;
    unsigned exact = 0;
    uint8_t f[SCRIPT_FRAME_BYTES];
    script_create(&s, routed);
    struct net_endpoint at = net_endpoint_v4(RTE_IPV4(10, 7, 0, 1), SCRIPT_PORT);
    assert_int_equal(net_listen_at(s.stack, &at, accepted, &exact), 0);
    assert_int_equal(net_listen_at(s.stack, &at, accepted, &exact), -EADDRINUSE);
    at.addr = net_addr_v4(RTE_IPV4(10, 9, 9, 9));
    assert_int_equal(net_listen_at(s.stack, &at, accepted, &exact), -EADDRNOTAVAIL);
    uint32_t len = script_build(&s, f, S, 0, 0, 65535, NULL, 0, NULL, 0);
    f[31] = 7; /* to 10.7.0.1 */
    script_checksum(f, len);
    script_frame_in(&s, f, len);
    struct script_segment t = script_next(&s);
    assert_int_equal(t.flags, S | A);
    assert_memory_equal(t.frame->bytes + 26, ((const uint8_t[]){10, 7, 0, 1}), 4);
    len = script_build(&s, f, A, 1, 1, 65535, NULL, 0, NULL, 0);
    f[31] = 7;
    script_checksum(f, len);
    script_frame_in(&s, f, len);
    assert_int_equal(exact, 1);
    s.head = s.tail;
    script_open(&s, 65535); /* the same ports at the other address: another connection, the other listener */
    assert_int_equal(s.accepted, 1);
    assert_int_equal(script_destroy(&s), 0);
}

static void tagged(struct net_stack_config *config) { config->vlan = 100; }

static uint32_t tag_insert(uint8_t *f, uint32_t len, uint16_t tag)
{
    memmove(f + 16, f + 12, len - 12);
    f[12] = 0x81;
    f[13] = 0;
    f[14] = (uint8_t)(tag >> 8);
    f[15] = (uint8_t)tag;
    return len + 4;
}

/* Only frames of our tag (any priority) are taken, and ours carry it, with sums that are right. */
static void test_vlan(void **state)
{
    (void)state;
    struct script s;
    uint8_t f[SCRIPT_FRAME_BYTES], plain[SCRIPT_FRAME_BYTES];
    script_create(&s, tagged);
    uint32_t len = script_build(&s, f, S, 0, 0, 65535, NULL, 0, NULL, 0);
    script_frame_in(&s, f, len);
    memcpy(plain, f, len);
    script_frame_in(&s, plain, tag_insert(plain, len, 101));
    assert_int_equal(net_stack_metrics(s.stack)->drop_vlan, 2);
    script_expect_nothing(&s);
    memcpy(plain, f, len);
    script_frame_in(&s, plain, tag_insert(plain, len, 0xe000 | 100));
    const struct script_frame *r = script_next_frame(&s);
    assert_memory_equal(r->bytes, ((const uint8_t[]){2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x81, 0, 0, 100, 8, 0, 0x45}), 19);
    assert_int_equal(r->bytes[38 + 13], S | A);
    memcpy(plain, r->bytes, 12);
    memcpy(plain + 12, r->bytes + 16, r->len - 16);
    memcpy(f, plain, r->len - 4);
    script_checksum(f, r->len - 4);
    assert_memory_equal(f, plain, r->len - 4);
    assert_int_equal(script_destroy(&s), 0);
    script_create(&s, NULL); /* and one without a tag takes none */
    len = script_build(&s, f, S, 0, 0, 65535, NULL, 0, NULL, 0);
    script_frame_in(&s, f, tag_insert(f, len, 100));
    assert_int_equal(net_stack_metrics(s.stack)->drop_vlan, 1);
    script_expect_nothing(&s);
    assert_int_equal(script_destroy(&s), 0);
}

/* An open is told; what is established is not disturbed. RFC 5461, RFC 1122 4.2.3.9. */
static void test_unreachable(void **state)
{
    (void)state;
    static const struct {
        uint8_t code;
        int error;
    } cases[] = {{0, EHOSTUNREACH}, {1, EHOSTUNREACH}, {3, ECONNREFUSED}};
    struct script s;
    for (unsigned i = 0; i < 3; i++) {
        script_create(&s, NULL);
        script_connect(&s, 0);
        const struct script_frame *syn = &s.frames[s.head - 1];
        packets_icmp_in(&s, 3, cases[i].code, 0, syn->bytes, 28);
        assert_int_equal(s.stream->error, cases[i].error);
        assert_int_equal(script_destroy(&s), 0);
    }
    script_create(&s, NULL);
    script_open(&s, 65535);
    script_write(&s, 100);
    packets_icmp_in(&s, 3, 3, 0, script_next(&s).frame->bytes, 28);
    assert_int_equal(net_stack_metrics(s.stack)->icmp_errors, 1);
    assert_int_equal(s.stream->error, 0);
    script_send(&s, A, 1, 101, 65535, NULL, 0);
    assert_int_equal(s.stream->tx_queued, 0);
    assert_int_equal(script_destroy(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_negative_entry), cmocka_unit_test(test_mac_moved),
        cmocka_unit_test(test_announced),      cmocka_unit_test(test_conflict),
        cmocka_unit_test(test_table_is_bounded), cmocka_unit_test(test_flood_displaces_nobody),
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_several_addresses), cmocka_unit_test(test_vlan),
        cmocka_unit_test(test_unreachable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
