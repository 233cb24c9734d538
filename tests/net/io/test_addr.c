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
    uint32_t ip = 0;
    assert_int_equal(net_addr_parse("10.9.0.1", &ip), 0);
    assert_int_equal(ip, 0x0a090001);
    assert_int_equal(net_addr_parse("255.255.255.255", &ip), 0);
    assert_int_equal(ip, 0xffffffff);
    assert_int_equal(net_addr_parse("0.0.0.0", &ip), 0);
    assert_int_equal(ip, 0);
}

static void refuses_what_is_no_address(void **state)
{
    (void)state;
    static const char *const bad[] = {"",          "10.9.0",      "10.9.0.256", "10.9.0.1.2",  " 10.9.0.1",
                                      "10.9.0.1 ", "10.9.0.1/24", "a.b.c.d",    "0x0a.9.0.1", "10..0.1",
                                      "-1.0.0.0"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint32_t ip = 7;
        assert_int_equal(net_addr_parse(bad[i], &ip), -EINVAL);
        assert_int_equal(ip, 7);
    }
}

static void parses_prefixes(void **state)
{
    (void)state;
    uint32_t ip;
    uint8_t len;
    assert_int_equal(net_addr_parse_prefix("10.9.0.1/24", &ip, &len), 0);
    assert_int_equal(ip, 0x0a090001);
    assert_int_equal(len, 24);
    assert_int_equal(net_addr_parse_prefix("192.168.1.2/0", &ip, &len), 0);
    assert_int_equal(len, 0);
    assert_int_equal(net_addr_parse_prefix("255.255.255.255/32", &ip, &len), 0);
    assert_int_equal(len, 32);
}

static void refuses_what_is_no_prefix(void **state)
{
    (void)state;
    static const char *const bad[] = {"10.9.0.1",    "10.9.0.1/",    "10.9.0.1/33",           "10.9.0.1/-1",
                                      "10.9.0.1/ 8", "10.9.0.1/8x",  "10.9.0.1/100",          "/24",
                                      "10.9/24",     "10.9.0.1/8/8", "0010.0009.0000.0001/24"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint32_t ip;
        uint8_t len;
        assert_int_equal(net_addr_parse_prefix(bad[i], &ip, &len), -EINVAL);
    }
}

static void formats_what_it_parses(void **state)
{
    (void)state;
    static const uint32_t ips[] = {0, 1, 0x0a090001, 0x7f000001, 0xffffffff};
    for (size_t i = 0; i < sizeof ips / sizeof *ips; i++) {
        char text[NET_ADDR_TEXT];
        uint32_t back;
        assert_int_equal(net_addr_parse(net_addr_format(ips[i], text), &back), 0);
        assert_int_equal(back, ips[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_addresses), cmocka_unit_test(refuses_what_is_no_address),
        cmocka_unit_test(parses_prefixes),  cmocka_unit_test(refuses_what_is_no_prefix),
        cmocka_unit_test(formats_what_it_parses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
