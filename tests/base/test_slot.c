#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "base/slot.h"

/* The definition, a bit at a time. */
static uint16_t crc16_by_bits(const uint8_t *p, size_t len)
{
    uint16_t crc = 0;
    for (size_t i = 0; i < len; i++) {
        crc ^= (uint16_t)(p[i] << 8);
        for (int bit = 0; bit < 8; bit++) crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
    }
    return crc;
}

static void test_crc16(void **state)
{
    (void)state;
    assert_int_equal(slot_crc16("123456789", 9), 0x31c3); /* the check value of the CRC catalogue and of redis */
    assert_int_equal(slot_crc16("", 0), 0);
    uint8_t bytes[512];
    uint32_t seed = 1;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        seed = seed * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(seed >> 24);
        assert_int_equal(slot_crc16(bytes, i), crc16_by_bits(bytes, i));
    }
    for (unsigned byte = 0; byte < 256; byte++) {
        uint8_t one = (uint8_t)byte;
        assert_int_equal(slot_crc16(&one, 1), crc16_by_bits(&one, 1));
    }
}

/* As redis 7.0.15 answers CLUSTER KEYSLOT; the keys are the cases of the Redis Cluster specification. */
static void test_slot_of_key(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        uint16_t slot;
    } rows[] = {
        {"foo", 12182},
        {"bar", 5061},
        {"123456789", 12739},
        {"", 0},
        {"user1000", 3443},
        {"{user1000}.following", 3443},
        {"{user1000}.followers", 3443},
        {"foo{}{bar}", 8363},    /* the first tag is empty: the whole key */
        {"foo{{bar}}zap", 4015}, /* the tag is "{bar" */
        {"{bar", 4015},
        {"foo{bar}{zap}", 5061}, /* the first tag only */
        {"{}", 15257},
        {"{a", 10276},
        {"a}b", 7866},
        {"}{a}", 15495},
        {"a", 15495},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(slot_of_key(rows[i].key, strlen(rows[i].key)), rows[i].slot);
    assert_int_equal(slot_of_key("{a\0b}c", 6), slot_of_key("a\0b", 3));
}

static void assert_map(unsigned cores)
{
    static struct slot_map map;
    unsigned held[256] = {0};
    memset(&map, 0xff, sizeof(map));
    slot_map_init(&map, cores);
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
        assert_true(map.owner[slot] < cores);
        if (slot > 0) assert_in_range(map.owner[slot] - map.owner[slot - 1], 0, 1);
        held[map.owner[slot]]++;
    }
    assert_int_equal(map.owner[0], 0);
    for (unsigned core = 0; core < cores; core++)
        assert_in_range(held[core], SLOT_COUNT / cores, SLOT_COUNT / cores + 1);
}

static void test_map(void **state)
{
    (void)state;
    for (unsigned cores = 1; cores <= 256; cores++) assert_map(cores);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc16),
        cmocka_unit_test(test_slot_of_key),
        cmocka_unit_test(test_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
