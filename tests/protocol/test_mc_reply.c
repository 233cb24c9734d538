#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "protocol/memcache/reply.h"
#include "tests/protocol/text.h"

static void assert_composed(const uint8_t *got, uint32_t len, const char *want)
{
    assert_int_equal(len, strlen(want));
    assert_memory_equal(got, want, len);
}

static void test_value_header(void **state)
{
    (void)state;
    uint8_t dst[MC_VALUE_HEADER_MAX];
    assert_composed(dst, mc_value_header(dst, slice_of("k"), 0, 0, false, 9), "VALUE k 0 0\r\n");
    assert_composed(dst, mc_value_header(dst, slice_of("a\tb"), 12, 345, true, 67), "VALUE a\tb 12 345 67\r\n");
}

static void test_longest_value_header(void **state)
{
    (void)state;
    uint8_t key[250];
    memset(key, 'k', sizeof(key));
    uint8_t *dst = malloc(MC_VALUE_HEADER_MAX);
    uint32_t len = mc_value_header(dst, (struct slice){key, 250}, UINT32_MAX, UINT32_MAX, true, UINT64_MAX);
    assert_int_equal(len, MC_VALUE_HEADER_MAX);
    assert_memory_equal(dst, "VALUE kk", 8);
    const char *end = "k 4294967295 4294967295 18446744073709551615\r\n";
    assert_memory_equal(dst + len - strlen(end), end, strlen(end));
    free(dst);
}

static void test_number_line(void **state)
{
    (void)state;
    uint8_t dst[22];
    assert_composed(dst, mc_number_line(dst, 0), "0\r\n");
    assert_composed(dst, mc_number_line(dst, 18446744073709551615u), "18446744073709551615\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_value_header),
        cmocka_unit_test(test_longest_value_header),
        cmocka_unit_test(test_number_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
