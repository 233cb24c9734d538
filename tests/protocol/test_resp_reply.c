#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "protocol/resp/reply.h"
#include "tests/protocol/text.h"

static uint8_t dst[24];

static void assert_composed(uint32_t len, const char *want)
{
    assert_true(len <= sizeof(dst));
    assert_int_equal(len, strlen(want));
    assert_memory_equal(dst, want, len);
    memset(dst, 0, sizeof(dst));
}

static void test_headers(void **state)
{
    (void)state;
    assert_composed(resp_bulk_header(dst, 0), "$0\r\n");
    assert_composed(resp_bulk_header(dst, 536870912), "$536870912\r\n");
    assert_composed(resp_bulk_header(dst, UINT64_MAX), "$18446744073709551615\r\n");
    assert_composed(resp_array_header(dst, 0), "*0\r\n");
    assert_composed(resp_array_header(dst, UINT64_MAX), "*18446744073709551615\r\n");
    assert_composed(resp_map_header(dst, 7, true), "%7\r\n");
    assert_composed(resp_map_header(dst, 7, false), "*14\r\n");
}

static void test_integer(void **state)
{
    (void)state;
    assert_composed(resp_integer(dst, 0), ":0\r\n");
    assert_composed(resp_integer(dst, -2), ":-2\r\n");
    assert_composed(resp_integer(dst, INT64_MAX), ":9223372036854775807\r\n");
    assert_composed(resp_integer(dst, INT64_MIN), ":-9223372036854775808\r\n");
}

static void test_null(void **state)
{
    (void)state;
    assert_composed(resp_null(dst, false), "$-1\r\n");
    assert_composed(resp_null(dst, true), "_\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_integer),
        cmocka_unit_test(test_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
