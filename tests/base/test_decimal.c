#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include "base/decimal.h"

static struct slice text_of(const char *text)
{
    return (struct slice){(const uint8_t *)text, strlen(text)};
}

static void test_u64_takes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t n;
    } rows[] = {
        {"0", 0},
        {"7", 7},
        {"10", 10},
        {"007", 7},
        {"00000000000000000000", 0},
        {"4294967296", 4294967296u},
        {"9999999999999999999", 9999999999999999999u},
        {"18446744073709551615", UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t n = ~rows[i].n;
        assert_true(decimal_parse_u64(text_of(rows[i].text), &n));
        assert_true(n == rows[i].n);
    }
}

static void test_u64_refuses(void **state)
{
    (void)state;
    static const char *const rows[] = {"",
                                       "-1",
                                       "+1",
                                       " 1",
                                       "1 ",
                                       "1x",
                                       "x",
                                       "1.0",
                                       "-",
                                       "0x1",
                                       "1:2",
                                       "/",
                                       "18446744073709551616",
                                       "99999999999999999999",
                                       "000000000000000000001"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t n = 42;
        assert_false(decimal_parse_u64(text_of(rows[i]), &n));
        assert_true(n == 42);
    }
}

static void test_i64_takes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t n;
    } rows[] = {
        {"0", 0},
        {"-1", -1},
        {"100", 100},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775807", -INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t n = ~rows[i].n;
        assert_true(decimal_parse_i64(text_of(rows[i].text), &n));
        assert_true(n == rows[i].n);
    }
}

/* The answers of redis' string2ll. */
static void test_i64_refuses(void **state)
{
    (void)state;
    static const char *const rows[] = {"",
                                       "-",
                                       "-0",
                                       "00",
                                       "01",
                                       "-01",
                                       "+1",
                                       " 1",
                                       "1 ",
                                       "--1",
                                       "1-",
                                       "1e3",
                                       "9223372036854775808",
                                       "-9223372036854775809",
                                       "18446744073709551615"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t n = 42;
        assert_false(decimal_parse_i64(text_of(rows[i]), &n));
        assert_true(n == 42);
    }
}

static void assert_formats(int64_t n)
{
    uint8_t got[DECIMAL_MAX];
    char want[32];
    int len = snprintf(want, sizeof(want), "%" PRId64, n);
    assert_int_equal(decimal_format_i64(got, n), len);
    assert_memory_equal(got, want, (size_t)len);
    len = snprintf(want, sizeof(want), "%" PRIu64, (uint64_t)n);
    assert_int_equal(decimal_format_u64(got, (uint64_t)n), len);
    assert_memory_equal(got, want, (size_t)len);
    uint64_t back;
    assert_true(decimal_parse_u64((struct slice){got, (size_t)len}, &back));
    assert_true(back == (uint64_t)n);
}

static void test_format(void **state)
{
    (void)state;
    assert_formats(0);
    assert_formats(INT64_MAX);
    assert_formats(INT64_MIN);
    uint64_t power = 1;
    for (int digits = 1; digits <= 20; digits++, power *= 10) {
        assert_formats((int64_t)(power - 1));
        assert_formats((int64_t)power);
        assert_formats((int64_t)(0 - power));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_u64_takes),   cmocka_unit_test(test_u64_refuses), cmocka_unit_test(test_i64_takes),
        cmocka_unit_test(test_i64_refuses), cmocka_unit_test(test_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
