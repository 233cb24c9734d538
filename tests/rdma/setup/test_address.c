/* Addresses as the options name them: what is taken, what is refused, and that what is taken comes out again. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <arpa/inet.h>
#include <cmocka.h>
#include "rdma/address.h"

static void test_round_trip(void **state)
{
    static const struct {
        const char *text, *again;
        int family;
        uint16_t port;
        bool any, loopback;
    } cases[] = {
        {"10.9.0.1:6379", "10.9.0.1:6379", AF_INET, 6379, false, false},
        {"0.0.0.0:1", "0.0.0.0:1", AF_INET, 1, true, false},
        {"127.0.0.1:65535", "127.0.0.1:65535", AF_INET, 65535, false, true},
        {"127.200.3.4:80", "127.200.3.4:80", AF_INET, 80, false, true},
        {"[2001:db8::1]:6379", "[2001:db8::1]:6379", AF_INET6, 6379, false, false},
        {"[2001:0db8:0:0:0:0:0:1]:06379", "[2001:db8::1]:6379", AF_INET6, 6379, false, false},
        {"[::]:11211", "[::]:11211", AF_INET6, 11211, true, false},
        {"[::1]:11211", "[::1]:11211", AF_INET6, 11211, false, true},
        {"[fe80::1%lo]:7", "[fe80::1%lo]:7", AF_INET6, 7, false, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sockaddr_storage address;
        char text[RDMA_ADDRESS_TEXT];
        assert_int_equal(rdma_address_parse(cases[i].text, &address), 0);
        assert_int_equal(address.ss_family, cases[i].family);
        assert_int_equal(rdma_address_port(&address), cases[i].port);
        assert_int_equal(rdma_address_is_any(&address), cases[i].any);
        assert_int_equal(rdma_address_is_loopback(&address), cases[i].loopback);
        rdma_address_format((const struct sockaddr *)&address, text);
        assert_string_equal(text, cases[i].again);
    }
}

static void test_equal_addresses_have_equal_bytes(void **state)
{
    struct sockaddr_storage one, other;
    (void)state;
    memset(&one, 0xaa, sizeof one);
    memset(&other, 0x55, sizeof other);
    assert_int_equal(rdma_address_parse("[2001:db8::1]:6379", &one), 0);
    assert_int_equal(rdma_address_parse("[2001:DB8:0::1]:6379", &other), 0);
    assert_memory_equal(&one, &other, sizeof one);
}

static void test_refused(void **state)
{
    static const char *const cases[] = {
        "",
        ":",
        "10.9.0.1",
        "10.9.0.1:",
        "10.9.0.1:0",
        "10.9.0.1:65536",
        "10.9.0.1:-1",
        "10.9.0.1:+1",
        "10.9.0.1: 1",
        "10.9.0.1:1x",
        "10.9.0.1:4294967297",
        "10.9.0.256:1",
        "10.9.0:1",
        "localhost:1",
        "10.9.0.1/24:1",
        " 10.9.0.1:1",
        ":6379",
        "2001:db8::1:6379",
        "[2001:db8::1]",
        "[2001:db8::1]:",
        "[2001:db8::1]6379",
        "[2001:db8::1:6379",
        "2001:db8::1]:6379",
        "[10.9.0.1]:6379",
        "[]:6379",
        "[2001:db8::g]:6379",
        "[fe80::1%nosuchinterface0]:6379",
        "[fe80::1%]:6379",
        "[2001:db8::1]]:6379",
        "[[2001:db8::1]:6379",
        "x@10.9.0.1:6379",
        "[1111:2222:3333:4444:5555:6666:7777:8888%aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]:6379",
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sockaddr_storage address;
        if (rdma_address_parse(cases[i], &address) != -EINVAL) fail_msg("\"%s\" was taken", cases[i]);
    }
}

static void test_set_port(void **state)
{
    static const char *const cases[][2] = {{"10.9.0.1:6379", "10.9.0.1:6380"},
                                           {"[2001:db8::1]:1", "[2001:db8::1]:6380"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sockaddr_storage address;
        char text[RDMA_ADDRESS_TEXT];
        assert_int_equal(rdma_address_parse(cases[i][0], &address), 0);
        rdma_address_set_port(&address, 6380);
        assert_int_equal(rdma_address_port(&address), 6380);
        rdma_address_format((const struct sockaddr *)&address, text);
        assert_string_equal(text, cases[i][1]);
    }
}

static void test_another_family(void **state)
{
    struct sockaddr_storage address = {.ss_family = AF_UNIX};
    char text[RDMA_ADDRESS_TEXT];
    (void)state;
    rdma_address_format((const struct sockaddr *)&address, text);
    assert_string_equal(text, "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_equal_addresses_have_equal_bytes),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_set_port), cmocka_unit_test(test_another_family)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
