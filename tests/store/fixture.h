/* Stores, keys and values for tests. */
#ifndef POLAR_TESTS_STORE_FIXTURE_H
#define POLAR_TESTS_STORE_FIXTURE_H

#include "store/store.h"

#define MIB (1024u * 1024u)

/* Whether stores of this run have a window: POLAR_TEST_WINDOW is set. */
bool fixture_window(void);
/* Without eviction. */
struct store *fixture_store(uint64_t memory_limit, uint32_t max_value);
struct store *fixture_store_evicting(uint64_t memory_limit, uint32_t max_value, enum store_eviction eviction);
struct store_key fixture_key(const void *data, size_t len);
/* "key:<n>" in buf (at least 24 bytes). */
struct store_key fixture_key_n(char *buf, uint64_t n);

/* xorshift64*: repeats from its seed, which is not 0. */
struct random {
    uint64_t state;
};
uint64_t random_next(struct random *r);
/* 0..n-1 */
uint32_t random_below(struct random *r, uint32_t n);

/* len bytes that depend on seed and position. */
void fixture_fill(uint8_t *dst, uint32_t len, uint64_t seed);
/* Asserts that the whole value, over its fragments, equals these bytes. */
void fixture_assert_value(const struct store *s, struct store_value v, const uint8_t *bytes, uint32_t len);

/* store_set of plain text, and store_get that asserts it. now 1000. */
enum store_status fixture_set(struct store *s, const char *key, const char *value);
void fixture_assert_get(struct store *s, const char *key, const char *value);
void fixture_assert_absent(struct store *s, const char *key);
/* Runs store_step until it has nothing to do, at most n times. */
void fixture_settle(struct store *s, uint64_t now_ms, unsigned n);

#endif
