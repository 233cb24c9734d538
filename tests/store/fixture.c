#include "tests/store/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

bool fixture_window(void)
{
    return getenv("POLAR_TEST_WINDOW") != NULL;
}

struct store *fixture_store(uint64_t memory_limit, uint32_t max_value)
{
    return fixture_store_evicting(memory_limit, max_value, STORE_EVICT_NONE);
}

struct store *fixture_store_evicting(uint64_t memory_limit, uint32_t max_value, enum store_eviction eviction)
{
    struct store *s = NULL;
    struct store_config config = {.memory_limit = memory_limit,
                                  .max_value = max_value,
                                  .max_key = 65535,
                                  .eviction = eviction,
                                  .window = fixture_window()};
    assert_int_equal(store_create(&s, &config), 0);
    return s;
}

struct store_key fixture_key(const void *data, size_t len)
{
    return (struct store_key){.data = data, .len = (uint32_t)len, .hash = store_hash(data, len)};
}

struct store_key fixture_key_n(char *buf, uint64_t n)
{
    int len = snprintf(buf, 24, "key:%012llu", (unsigned long long)n);
    return fixture_key(buf, (size_t)len);
}

uint64_t random_next(struct random *r)
{
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return r->state * 0x2545f4914f6cdd1du;
}

uint32_t random_below(struct random *r, uint32_t n)
{
    return (uint32_t)((random_next(r) >> 32) * n >> 32);
}

void fixture_fill(uint8_t *dst, uint32_t len, uint64_t seed)
{
    uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;
    uint32_t i = 0;
    for (; i + 8 <= len; i += 8) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        uint64_t mixed = x ^ x >> 29;
        memcpy(dst + i, &mixed, 8);
    }
    for (; i < len; i++) dst[i] = (uint8_t)(x >> (i & 7) * 8 ^ i);
}

void fixture_assert_value(const struct store *s, struct store_value v, const uint8_t *bytes, uint32_t len)
{
    assert_int_equal(v.len, len);
    uint32_t done = 0;
    do {
        assert_true(v.data_len <= len - done);
        if (memcmp(v.data, bytes + done, v.data_len) != 0) assert_memory_equal(v.data, bytes + done, v.data_len);
        done += v.data_len;
    } while (store_next_fragment(s, &v));
    assert_int_equal(done, len);
}

enum store_status fixture_set(struct store *s, const char *key, const char *value)
{
    struct store_key k = fixture_key(key, strlen(key));
    return store_set(s, &k, value, (uint32_t)strlen(value), NULL, STORE_SET, 0, 1000);
}

void fixture_assert_get(struct store *s, const char *key, const char *value)
{
    struct store_key k = fixture_key(key, strlen(key));
    struct store_value v;
    assert_int_equal(store_get(s, &k, 1000, &v), STORE_OK);
    fixture_assert_value(s, v, (const uint8_t *)value, (uint32_t)strlen(value));
}

void fixture_assert_absent(struct store *s, const char *key)
{
    struct store_key k = fixture_key(key, strlen(key));
    struct store_value v;
    assert_int_equal(store_get(s, &k, 1000, &v), STORE_NOT_FOUND);
}

void fixture_settle(struct store *s, uint64_t now_ms, unsigned n)
{
    for (unsigned i = 0; i < n; i++) store_step(s, now_ms + i / 64);
}
