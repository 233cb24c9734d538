#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "bench/value.h"

#define VALUE_MOST 5000u

struct fixture {
    uint8_t *pattern;
    uint8_t value[VALUE_MOST];
};

/* As a server holds it: the header, then the body from the pattern. */
static void value_write(struct fixture *f, uint32_t index, uint32_t size, uint32_t version)
{
    uint32_t header_len = value_header_len(size);
    struct value_header header = value_header_of(index, size, version);
    memcpy(f->value, &header, header_len);
    memcpy(f->value + header_len, f->pattern + value_offset(index, header_len ? version : 0), size - header_len);
}

static bool check_in_pieces(struct fixture *f, enum value_verify verify, uint32_t index, uint32_t size, uint32_t piece)
{
    struct value_check c;
    value_check_begin(&c, f->pattern, verify, index, size);
    for (uint32_t at = 0; at < size; at += piece)
        value_check_bytes(&c, f->value + at, size - at < piece ? size - at : piece);
    return c.good;
}

static bool check_all_ways(struct fixture *f, uint32_t index, uint32_t size)
{
    bool whole = value_check_whole(f->pattern, VALUE_VERIFY_FULL, index, f->value, size);
    static const uint32_t pieces[] = {1, 3, 7, 16, 17, 1448};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        assert_true(check_in_pieces(f, VALUE_VERIFY_FULL, index, size, pieces[i]) == whole);
    return whole;
}

static int set_up(void **state)
{
    struct fixture *f = malloc(sizeof *f);
    f->pattern = malloc(value_pattern_size(VALUE_MOST));
    value_pattern_fill(f->pattern, value_pattern_size(VALUE_MOST));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    free(f->pattern);
    free(f);
    return 0;
}

static void test_good_values_pass(void **state)
{
    struct fixture *f = *state;
    for (uint32_t size = 1; size <= VALUE_MOST; size += 1 + size / 3)
        for (uint32_t version = 0; version < 5; version++) {
            value_write(f, size * 7919, size, version * 0x01010101u);
            assert_true(check_all_ways(f, size * 7919, size));
        }
}

/* Any byte, any bit of it, in a value of each kind: shorter than the header, just it, small, large. */
static void test_any_flipped_byte_shows(void **state)
{
    struct fixture *f = *state;
    static const uint32_t sizes[] = {1, 8, 15, 16, 17, 64, 100, 4096};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint32_t size = sizes[i];
        value_write(f, 4711, size, 0xdeadbeef);
        for (uint32_t at = 0; at < size; at++) {
            f->value[at] ^= (uint8_t)(1u << at % 8);
            assert_false(value_check_whole(f->pattern, VALUE_VERIFY_FULL, 4711, f->value, size));
            assert_false(check_in_pieces(f, VALUE_VERIFY_FULL, 4711, size, 13));
            f->value[at] ^= (uint8_t)(1u << at % 8);
        }
        assert_true(check_all_ways(f, 4711, size));
    }
}

static void test_another_keys_or_sizes_value_shows(void **state)
{
    struct fixture *f = *state;
    value_write(f, 1, 64, 9);
    assert_false(check_all_ways(f, 2, 64));
    assert_false(check_all_ways(f, 1, 63));
    value_write(f, 1, 16, 9);
    assert_false(check_all_ways(f, 2, 16));
}

static void test_torn_values_show(void **state)
{
    struct fixture *f = *state, torn = {.pattern = f->pattern};
    uint32_t passed = 0;
    for (uint32_t version = 1; version <= 1000; version++) {
        value_write(&torn, 77, 256, 0);
        value_write(f, 77, 256, version);
        memcpy(f->value + 128, torn.value + 128, 128);
        passed += value_check_whole(f->pattern, VALUE_VERIFY_FULL, 77, f->value, 256);
    }
    assert_true(passed < 5); /* two of 2,048 offsets fall together now and then */
}

static void test_head_and_none(void **state)
{
    struct fixture *f = *state;
    value_write(f, 5, 100, 1);
    f->value[99] ^= 1;
    assert_false(value_check_whole(f->pattern, VALUE_VERIFY_FULL, 5, f->value, 100));
    assert_true(value_check_whole(f->pattern, VALUE_VERIFY_HEAD, 5, f->value, 100));
    assert_true(check_in_pieces(f, VALUE_VERIFY_HEAD, 5, 100, 11));
    f->value[0] ^= 1;
    assert_false(value_check_whole(f->pattern, VALUE_VERIFY_HEAD, 5, f->value, 100));
    assert_false(check_in_pieces(f, VALUE_VERIFY_HEAD, 5, 100, 11));
    assert_true(value_check_whole(f->pattern, VALUE_VERIFY_NONE, 5, f->value, 100));
    assert_true(check_in_pieces(f, VALUE_VERIFY_NONE, 5, 100, 11));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_values_pass),
        cmocka_unit_test(test_any_flipped_byte_shows),
        cmocka_unit_test(test_another_keys_or_sizes_value_shows),
        cmocka_unit_test(test_torn_values_show),
        cmocka_unit_test(test_head_and_none),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
