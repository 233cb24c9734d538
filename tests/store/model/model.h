/*
 * The naive model of a store: an array of keys, each with a copy of its value, beside the store itself. One world at a
 * time; everything follows from its seed.
 */
#ifndef POLAR_TESTS_STORE_MODEL_H
#define POLAR_TESTS_STORE_MODEL_H

#include "tests/store/fixture.h"

#define PINS 40u
#define OPENS 6u

/* What a world is like. */
struct profile {
    const char *name;
    uint32_t keys;
    uint64_t region_bytes;
    uint32_t value_max;
    uint32_t (*len)(struct random *r); /* of a value */
    bool long_keys;
    enum store_eviction eviction;
};
extern const struct profile profiles[];
extern const unsigned profile_count;

struct entry {
    uint8_t *key;
    uint32_t key_len;
    bool present;
    uint8_t *value;
    uint32_t len;
    struct store_meta meta;
    uint64_t cas; /* as the store has told it since the last change; 0: not told */
};

struct pinned {
    struct store_pin *pin;
    struct store_value view;
    uint8_t *value;
    uint32_t len;
};

struct opened {
    struct store_write write;
    bool open;
    uint32_t key;
    uint8_t *value;
    uint32_t len;
    struct store_meta meta;
};

struct model {
    struct store *s;
    const struct profile *profile;
    struct random r;
    uint64_t seed;
    uint64_t step;
    uint64_t now_ms;
    uint64_t versions;
    struct entry *entry;
    struct pinned pinned[PINS];
    struct opened opened[OPENS];
    uint64_t refused, stored, expired_seen, chained, missing;
};
extern struct model m;

void model_begin(uint64_t seed);
/* Everything unpinned, aborted and deleted: nothing of it is left in the store. */
void model_end(void);

struct store_key key_of(const struct entry *e);
uint8_t *random_value(uint32_t len);
struct store_meta random_meta(void);
struct entry *random_entry(void);
uint64_t random_cas(const struct entry *e);

void entry_gone(struct entry *e);
/* What the model holds now, expiry considered. */
bool entry_alive(struct entry *e);
/* Items that the store has counted as evicted. */
uint64_t model_evictions(void);
/* The store says the same of this key; where it evicts, the model follows, as far as the store has counted it. */
void entry_assert(struct entry *e);
/* Judges the status of a write and follows it. Takes value. */
void entry_write_result(struct entry *e, enum store_mode mode, uint64_t cas, uint8_t *value, uint32_t len,
                        struct store_meta meta, enum store_status status);
void pinned_assert(const struct pinned *p);
void pinned_release(struct pinned *p);

#endif
