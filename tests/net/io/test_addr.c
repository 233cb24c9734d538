#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "net/addr.h"

static void parses_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint8_t bytes[16];
    } good[] = {
        {"10.9.0.1", {[10] = 0xff, [11] = 0xff, [12] = 10, [13] = 9, [15] = 1}},
        {"255.255.255.255", {[10] = 0xff, [11] = 0xff, [12] = 0xff, [13] = 0xff, [14] = 0xff, [15] = 0xff}},
        {"0.0.0.0", {[10] = 0xff, [11] = 0xff}},
        {"2001:db8::2", {0x20, 1, 0x0d, 0xb8, [15] = 2}},
        {"::", {0}},
        {"::ffff:10.9.0.1", {[10] = 0xff, [11] = 0xff, [12] = 10, [13] = 9, [15] = 1}},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct net_addr a;
        assert_int_equal(net_addr_parse(good[i].text, &a), 0);
        assert_memory_equal(a.bytes, good[i].bytes, 16);
    }
}

static void refuses_what_is_no_address(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",           "10.9.0",  "10.9.0.256", "10.9.0.1.2", " 10.9.0.1", "10.9.0.1 ", "10.9.0.1/24", "a.b.c.d",
        "0x0a.9.0.1", "10..0.1", "-1.0.0.0",   "2001:db8",   ":::",       "1::2::3",   "[::1]",       "fe80::1%eth0"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct net_addr a = {.be64 = {7, 7}};
        assert_int_equal(net_addr_parse(bad[i], &a), -EINVAL);
        assert_true(a.be64[0] == 7 && a.be64[1] == 7);
    }
}

static void parses_prefixes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *addr;
        uint8_t len;
    } good[] = {{"10.9.0.1/24", "10.9.0.1", 24},
                {"192.168.1.2/0", "192.168.1.2", 0},
                {"255.255.255.255/32", "255.255.255.255", 32},
                {"2001:db8::1/64", "2001:db8::1", 64},
                {"fe80::1/128", "fe80::1", 128}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct net_prefix p;
        char text[NET_ADDR_TEXT];
        assert_int_equal(net_prefix_parse(good[i].text, &p), 0);
        assert_string_equal(net_addr_format(&p.addr, text), good[i].addr);
        assert_int_equal(p.len, good[i].len);
    }
}

static void refuses_what_is_no_prefix(void **state)
{
    (void)state;
    static const char *const bad[] = {"10.9.0.1",
                                      "10.9.0.1/",
                                      "10.9.0.1/33",
                                      "10.9.0.1/-1",
                                      "10.9.0.1/ 8",
                                      "10.9.0.1/8x",
                                      "10.9.0.1/1000",
                                      "/24",
                                      "10.9/24",
                                      "10.9.0.1/8/8",
                                      "0010.0009.0000.0001/24",
                                      "2001:db8::1/129",
                                      "2001:db8::1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct net_prefix p;
        assert_int_equal(net_prefix_parse(bad[i], &p), -EINVAL);
    }
}

static void test_addr_list(void **state)
{
    struct net_addr a[2], v4, v6;
    (void)state;
    assert_int_equal(net_addr_parse("10.9.0.2", &v4), 0);
    assert_int_equal(net_addr_parse("fd00::2", &v6), 0);
    assert_int_equal(net_addr_list_parse("", a, 2), 0);
    assert_int_equal(net_addr_list_parse("10.9.0.2,fd00::2", a, 2), 2);
    assert_true(net_addr_equal(&a[0], &v4) && net_addr_equal(&a[1], &v6));
    assert_int_equal(net_addr_list_parse("10.9.0.2,", a, 2), 1);
    assert_int_equal(net_addr_list_parse("10.9.0.2,10.9.0.3,10.9.0.4", a, 2), -EINVAL);
    assert_int_equal(net_addr_list_parse(",10.9.0.2", a, 2), -EINVAL);
    assert_int_equal(net_addr_list_parse("10.9.0.2,nowhere", a, 2), -EINVAL);
    assert_int_equal(net_addr_list_parse("10.9.0.2.............................................................", a, 2),
                     -EINVAL);
}

static void parses_lists(void **state)
{
    (void)state;
    struct net_prefix p[3];
    assert_int_equal(net_prefix_list_parse("10.9.0.1/24", p, 3), 1);
    assert_int_equal(net_prefix_list_parse("10.9.0.1/24,fd00::1/64,10.9.0.2/24", p, 3), 3);
    assert_true(net_addr_is_v4(&p[0].addr) && !net_addr_is_v4(&p[1].addr));
    assert_int_equal(p[1].len, 64);
    assert_int_equal(net_prefix_list_parse("10.9.0.1/24,10.9.0.2/24,10.9.0.3/24,10.9.0.4/24", p, 3), -EINVAL);
    assert_int_equal(net_prefix_list_parse("10.9.0.1/24,", p, 3), -EINVAL);
    assert_int_equal(net_prefix_list_parse(",", p, 3), -EINVAL);
    assert_int_equal(net_prefix_list_parse("", p, 3), -EINVAL);
}

static void contains(void **state)
{
    (void)state;
    static const struct {
        const char *prefix, *addr;
        bool in;
    } cases[] = {{"10.9.0.1/24", "10.9.0.255", true},
                 {"10.9.0.1/24", "10.9.1.0", false},
                 {"10.9.0.129/25", "10.9.0.128", true},
                 {"10.9.0.129/25", "10.9.0.127", false},
                 {"0.0.0.0/0", "255.1.2.3", true},
                 {"0.0.0.0/0", "2001:db8::1", false},
                 {"::/0", "2001:db8::1", true},
                 {"::/0", "10.0.0.1", false},
                 {"2001:db8::1/64", "2001:db8::ffff", true},
                 {"2001:db8::1/64", "2001:db8:0:1::1", false},
                 {"2001:db8::1/128", "2001:db8::1", true},
                 {"2001:db8::1/127", "2001:db8::2", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct net_prefix p;
        struct net_addr a;
        assert_int_equal(net_prefix_parse(cases[i].prefix, &p), 0);
        assert_int_equal(net_addr_parse(cases[i].addr, &a), 0);
        assert_int_equal(net_prefix_contains(&p, &a), cases[i].in);
    }
}

static void formats_what_it_parses(void **state)
{
    (void)state;
    static const char *const texts[] = {"0.0.0.0", "10.9.0.1", "255.255.255.255", "::", "::1", "2001:db8::2"};
    char text[NET_ENDPOINT_TEXT];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct net_addr a;
        assert_int_equal(net_addr_parse(texts[i], &a), 0);
        assert_string_equal(net_addr_format(&a, text), texts[i]);
    }
    struct net_endpoint e = {.port = 4000};
    assert_int_equal(net_addr_parse("2001:db8::2", &e.addr), 0);
    assert_string_equal(net_endpoint_format(&e, text), "[2001:db8::2]:4000");
    e = net_endpoint_v4(0x0a090001, 65535);
    assert_string_equal(net_endpoint_format(&e, text), "10.9.0.1:65535");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addr_list),
        cmocka_unit_test(parses_addresses),
        cmocka_unit_test(refuses_what_is_no_address),
        cmocka_unit_test(parses_prefixes),
        cmocka_unit_test(refuses_what_is_no_prefix),
        cmocka_unit_test(parses_lists),
        cmocka_unit_test(contains),
        cmocka_unit_test(formats_what_it_parses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
