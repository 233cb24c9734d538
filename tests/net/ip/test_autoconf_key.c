/* The key of stable addresses: RFC 7217 5, secret_key and Net_Iface. */
#include <errno.h>
#include <unistd.h>
#include "net/autoconf_key.h"
#include "tests/net/sim/cmocka_all.h"

#define HEX "000102030405060708090A0b0c0d0e0f"

static void test_digits(void **state)
{
    (void)state;
    uint64_t a[2], b[2];
    assert_int_equal(net_autoconf_key(HEX, "net_memif0", a), 0);
    assert_int_equal(net_autoconf_key(HEX, "net_memif0", b), 0);
    assert_memory_equal(a, b, sizeof a);
    assert_true(a[0] != a[1]);
    assert_int_equal(net_autoconf_key(HEX, "net_memif1", b), 0);
    assert_true(a[0] != b[0] && a[1] != b[1]);
    assert_int_equal(net_autoconf_key("000102030405060708090A0b0c0d0e0e", "net_memif0", b), 0);
    assert_true(a[0] != b[0] && a[1] != b[1]);
}

static void test_other_text(void **state)
{
    (void)state;
    static const char *const rows[] = {"0",
                                       "000102030405060708090a0b0c0d0e",
                                       HEX "0",
                                       "0x0102030405060708090a0b0c0d0e0f",
                                       "00010203040506070809 a0b0c0d0e0f",
                                       "g00102030405060708090a0b0c0d0e0f"};
    uint64_t key[2];
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(net_autoconf_key(rows[i], "net_memif0", key), -EINVAL);
}

/* Of the machine, if it has an identity. */
static void test_machine(void **state)
{
    (void)state;
    uint64_t a[2], b[2];
    if (access("/etc/machine-id", R_OK) != 0) skip();
    int rc = net_autoconf_key("", "net_memif0", a);
    if (rc != 0) skip();
    assert_int_equal(net_autoconf_key("", "net_memif0", b), 0);
    assert_memory_equal(a, b, sizeof a);
    assert_int_equal(net_autoconf_key(HEX, "net_memif0", b), 0);
    assert_true(a[0] != b[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digits),
        cmocka_unit_test(test_other_text),
        cmocka_unit_test(test_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
