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

static void test_loose(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t n;
    } good[] = {{"0", 0}, {"007", 7}, {"+5", 5}, {"-0", 0}, {" \t\v\f\r\n5", 5}, {"5 ", 5}, {"5 x", 5}, {"5\nx", 5},
                {"000000000000000000000000000012", 12}, {"18446744073709551615", UINT64_MAX}};
    static const char *const bad[] = {"", " ", "+", "-", "+-1", "-1", "x", "1x", "1.5", "1e3", "0x10", "- 1",
                                      "18446744073709551616", "99999999999999999999"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint64_t n = ~good[i].n;
        if (!decimal_parse_loose(text_of(good[i].text), &n) || n != good[i].n) fail_msg("\"%s\"", good[i].text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t n = 42;
        if (decimal_parse_loose(text_of(bad[i]), &n) || n != 42) fail_msg("\"%s\"", bad[i]);
    }
}

static void test_real(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        long double n;
    } good[] = {{"0", 0}, {"0.1", 0.1L}, {"-2.5", -2.5L}, {"3.0e3", 3000}, {".5", 0.5L}, {"5.", 5}, {"+3", 3}, {"0x1p3", 8}};
    static const char *const bad[] = {"", " 1", "\t1", "1 ", "x", "1x", "1,5", "1e", "--1", "nan", "1e9999", "-1e9999", "1e-9999"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        long double n = -1;
        if (!decimal_parse_real(text_of(good[i].text), &n) || n != good[i].n) fail_msg("\"%s\"", good[i].text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        long double n = 42;
        if (decimal_parse_real(text_of(bad[i]), &n) || n != 42) fail_msg("\"%s\"", bad[i]);
    }
    long double infinite = 0;
    assert_true(decimal_parse_real(text_of("-inf"), &infinite));
    assert_true(infinite < -1e300L);
    assert_false(decimal_parse_real((struct slice){(const uint8_t *)"1\0", 2}, &infinite));
    char longer[300];
    memset(longer, '1', sizeof longer);
    assert_false(decimal_parse_real((struct slice){(const uint8_t *)longer, 256}, &infinite));
    assert_true(decimal_parse_real((struct slice){(const uint8_t *)longer, 255}, &infinite));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_u64_takes),   cmocka_unit_test(test_u64_refuses), cmocka_unit_test(test_i64_takes),
        cmocka_unit_test(test_i64_refuses), cmocka_unit_test(test_format),
        cmocka_unit_test(test_loose),
        cmocka_unit_test(test_real),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
