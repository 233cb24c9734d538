/* The limits: memory that does not grow with load, and the longest value and key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/store/fixture.h"

#define NOW 1000000u
#define LONGEST (512u * MIB)

static struct store *store_of(uint64_t memory_limit, uint32_t max_value, enum store_eviction eviction)
{
    struct store *s = NULL;
    struct store_config config = {
        .memory_limit = memory_limit, .max_value = max_value, .max_key = 65535, .eviction = eviction};
    assert_int_equal(store_create(&s, &config), 0);
    return s;
}

static uint64_t resident_bytes(void)
{
    unsigned long long size, resident;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%llu %llu", &size, &resident), 2);
    fclose(f);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

#define PINS 500u

/* Three times the limit, of all sizes, with old versions pinned meanwhile and flushes between. */
static uint64_t load(struct store *s, uint64_t bytes, struct random *r)
{
    static uint8_t value[100000];
    struct store_pin *pins[PINS] = {NULL};
    uint64_t written = 0, refused = 0;
    char buf[24];
    for (uint64_t n = 0; written < bytes; n++) {
        struct store_key k = fixture_key_n(buf, random_below(r, 200000));
        uint32_t len = random_below(r, n % 50 == 0 ? sizeof(value) : 1500);
        struct store_meta meta = {.flags = (uint32_t)n & 1, .expires_ms = n % 3 == 0 ? NOW + n % 1000 + 1 : 0};
        uint64_t now_ms = NOW + n / 1000;
        refused += store_set(s, &k, value, len, &meta, STORE_SET, 0, now_ms) != STORE_OK;
        written += len;
        struct store_value v;
        struct store_pin **pin = &pins[random_below(r, PINS)];
        if (*pin) store_unpin(s, *pin);
        *pin = store_get(s, &k, now_ms, &v) == STORE_OK ? store_pin(s, v.item) : NULL;
        if (n % 100000 == 99999) store_flush(s);
        if (n % 4 == 0) store_step(s, now_ms);
    }
    store_check(s);
    for (unsigned i = 0; i < PINS; i++)
        if (pins[i]) store_unpin(s, pins[i]);
    return refused;
}

/* Under a sanitizer its own shadow grows: there only the store's own account is checked. */
static void test_resident_memory_does_not_grow(void **state)
{
    (void)state;
    const uint64_t limit = 48 * MIB;
    for (unsigned policy = STORE_EVICT_NONE; policy <= STORE_EVICT_HYBRID; policy++) {
        struct random r = {policy + 1};
        struct store *s = store_of(limit, MIB, (enum store_eviction)policy);
        const struct store_metrics *m = store_metrics(s);
        uint64_t before = resident_bytes();
        uint64_t refused = load(s, limit * 3, &r);
        uint64_t after = resident_bytes();
        print_message("policy %u: %.1f MiB resident before, %.1f MiB after, %lu writes refused\n", policy,
                      (double)before / MIB, (double)after / MIB, refused);
#ifndef __SANITIZE_ADDRESS__
        assert_true(before >= limit);
        assert_true(after < before + MIB);
#endif
        assert_true(m->bytes_head + m->bytes_used + m->bytes_index + m->bytes_eviction + m->bytes_free <= limit);
        store_destroy(&s);
    }
}

static void fill_and_commit(struct store *s, const struct store_key *k, uint32_t len, const uint8_t *part)
{
    struct store_write w;
    assert_int_equal(store_reserve(s, k, len, NULL, false, &w), STORE_OK);
    for (uint32_t done = 0; done < len; done += MIB) store_write_fill(&w, part, len - done < MIB ? len - done : MIB);
    assert_int_equal(store_commit(s, &w, k, STORE_SET, 0, NULL, NOW), STORE_OK);
}

/* The value is the part over and over. */
static void assert_parts(const struct store *s, struct store_value v, uint32_t len, const uint8_t *part)
{
    uint32_t done = 0;
    assert_int_equal(v.len, len);
    do {
        for (uint32_t i = 0; i < v.data_len;) {
            uint32_t at = (done + i) % MIB, n = v.data_len - i < MIB - at ? v.data_len - i : MIB - at;
            assert_true(memcmp(v.data + i, part + at, n) == 0);
            i += n;
        }
        done += v.data_len;
    } while (store_next_fragment(s, &v));
    assert_int_equal(done, len);
}

/* 512 MiB, under the longest key, among others that must make room; one byte more is too much. */
static void test_longest_value(void **state)
{
    (void)state;
    struct store *s = store_of(UINT64_C(1100) * MIB, LONGEST, STORE_EVICT_HYBRID);
    uint8_t *part = malloc(MIB), *key = malloc(65536);
    struct store_value v;
    struct store_write w;
    char buf[24];
    fixture_fill(part, MIB, 7);
    fixture_fill(key, 65536, 8);
    struct store_key k = fixture_key(key, 65535), too_long = fixture_key(key, 65536), small = fixture_key_n(buf, 1);
    assert_int_equal(store_set(s, &small, "small", 5, NULL, STORE_SET, 0, NOW), STORE_OK);
    assert_int_equal(store_reserve(s, &k, LONGEST + 1, NULL, false, &w), STORE_TOO_LARGE);
    assert_int_equal(store_reserve(s, &too_long, 1, NULL, false, &w), STORE_TOO_LARGE);
    fill_and_commit(s, &k, LONGEST, part);
    assert_int_equal(store_get(s, &k, NOW, &v), STORE_OK);
    assert_parts(s, v, LONGEST, part);
    assert_int_equal(store_set(s, &k, "x", 1, NULL, STORE_APPEND, 0, NOW), STORE_TOO_LARGE);
    struct store_pin *pin = store_pin(s, v.item);
    assert_non_null(pin);
    fill_and_commit(s, &k, LONGEST - 1, part); /* beside the old one, which a reply still reads */
    assert_parts(s, v, LONGEST, part);
    store_unpin(s, pin);
    assert_int_equal(store_get(s, &small, NOW, &v), STORE_OK);
    assert_int_equal(store_delete(s, &k, NOW), STORE_OK);
    assert_int_equal(store_delete(s, &small, NOW), STORE_OK);
    assert_int_equal(store_metrics(s)->bytes_used, 0);
    store_check(s);
    free(key);
    free(part);
    store_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resident_memory_does_not_grow),
        cmocka_unit_test(test_longest_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
