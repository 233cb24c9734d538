/* The Internet checksum against a sum of single bytes: all lengths, all alignments, carries throughout. RFC 1071. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "net/checksum.h"

#define LENGTHS 300u
#define ALIGNMENTS 8u

static uint8_t bytes[LENGTHS + ALIGNMENTS];

static uint16_t slowly(const uint8_t *p, size_t len, uint64_t before)
{
    uint64_t sum = before;
    for (size_t i = 0; i < len; i++) sum += i & 1 ? (uint64_t)p[i] << 8 : p[i];
    while (sum >> 16) sum = (sum & UINT16_MAX) + (sum >> 16);
    return (uint16_t)sum;
}

static void every_length_at_every_place(void)
{
    static const uint64_t before[] = {0, 1, UINT16_MAX, UINT32_MAX, UINT64_C(0x1fffeffffffff)};
    for (size_t i = 0; i < sizeof before / sizeof *before; i++)
        for (size_t at = 0; at < ALIGNMENTS; at++)
            for (size_t len = 0; len <= LENGTHS; len++)
                assert_int_equal(checksum_fold(checksum_sum(bytes + at, len) + before[i]),
                                 slowly(bytes + at, len, before[i]));
}

static void test_random_bytes(void **state)
{
    (void)state;
    srand(1);
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)rand();
    every_length_at_every_place();
}

static void test_every_addition_carries(void **state)
{
    (void)state;
    memset(bytes, 0xff, sizeof bytes);
    every_length_at_every_place();
}

/* Nothing but zeros sums up to zero; what else does is a header with its own checksum, and that is all ones. */
static void test_zero(void **state)
{
    (void)state;
    memset(bytes, 0, sizeof bytes);
    every_length_at_every_place();
    assert_int_equal(checksum_fold(checksum_sum(bytes, LENGTHS)), 0);
    bytes[0] = bytes[1] = 0xff;
    assert_int_equal(checksum_fold(checksum_sum(bytes, LENGTHS)), UINT16_MAX);
}

static void test_two_halves(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 37);
    for (size_t cut = 0; cut <= LENGTHS; cut++) {
        uint64_t rest = checksum_sum(bytes + cut, LENGTHS - cut);
        uint64_t sum = checksum_sum(bytes, cut) + (cut & 1 ? checksum_odd(rest) : rest);
        assert_int_equal(checksum_fold(sum), slowly(bytes, LENGTHS, 0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_every_addition_carries),
        cmocka_unit_test(test_zero),
        cmocka_unit_test(test_two_halves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
