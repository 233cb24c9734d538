#include "tests/store/model/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct model m;

static uint32_t len_mixed(struct random *r)
{
    switch (random_below(r, 40)) {
    case 0: return 0;
    case 1: return random_below(r, 400000);
    case 2: return 60000 + random_below(r, 12000);
    case 3:
    case 4: return 8000 + random_below(r, 30000);
    case 5:
    case 6:
    case 7: return random_below(r, 9400);
    default: return random_below(r, 600);
    }
}

/* Many items: the index splits, merges and overflows. */
static uint32_t len_small(struct random *r)
{
    return random_below(r, 100);
}

/* Slots that share a page but are more than one operation moves. */
static uint32_t len_medium(struct random *r)
{
    return random_below(r, 3) ? 3500 + random_below(r, 9000) : random_below(r, 1500);
}

/* More items than fit, of few sizes: the clock and the ring go over many. */
static uint32_t len_modest(struct random *r)
{
    return 200 + random_below(r, 64);
}

const struct profile profiles[] = {
    {"mixed", 700, 6 * MIB, 400000, len_mixed, true, STORE_EVICT_NONE},
    {"small", 40000, 3 * MIB, 1000, len_small, false, STORE_EVICT_NONE},
    {"medium", 1100, 5 * MIB, 20000, len_medium, true, STORE_EVICT_NONE},
    {"mixed, hybrid", 700, 6 * MIB, 400000, len_mixed, true, STORE_EVICT_HYBRID},
    {"modest, hybrid", 4000, MIB, 1000, len_modest, false, STORE_EVICT_HYBRID},
    {"medium, fifo", 1100, 5 * MIB, 20000, len_medium, true, STORE_EVICT_FIFO},
};
const unsigned profile_count = sizeof(profiles) / sizeof(profiles[0]);

static uint32_t random_key_len(unsigned i)
{
    if (!m.profile->long_keys) return 4 + random_below(&m.r, 20);
    if (i % 350 == 0) return 65535 - random_below(&m.r, 100);
    if (i % 100 == 0) return 9000 + random_below(&m.r, 1000);
    if (i % 20 == 0) return 200 + random_below(&m.r, 120);
    return 4 + random_below(&m.r, 60);
}

void model_begin(uint64_t seed)
{
    m = (struct model){.seed = seed, .now_ms = 1700000000000u, .r = {seed * 0x9e3779b97f4a7c15u}};
    m.profile = &profiles[seed % profile_count];
    m.s = fixture_store_evicting(m.profile->region_bytes, m.profile->value_max, m.profile->eviction);
    m.entry = calloc(m.profile->keys, sizeof(*m.entry));
    for (unsigned i = 0; i < m.profile->keys; i++) {
        struct entry *e = &m.entry[i];
        e->key_len = random_key_len(i);
        e->key = malloc(e->key_len);
        fixture_fill(e->key, e->key_len, 1000000 + i);
        memcpy(e->key, &i, sizeof(i));
    }
}

void model_end(void)
{
    for (unsigned i = 0; i < PINS; i++)
        if (m.pinned[i].pin) pinned_release(&m.pinned[i]);
    for (unsigned i = 0; i < OPENS; i++) {
        if (!m.opened[i].open) continue;
        store_abort(m.s, &m.opened[i].write);
        free(m.opened[i].value);
    }
    for (unsigned i = 0; i < m.profile->keys; i++) {
        struct entry *e = &m.entry[i];
        struct store_key key = key_of(e);
        entry_assert(e);
        if (e->present) assert_int_equal(store_delete(m.s, &key, m.now_ms), STORE_OK);
        entry_gone(e);
        free(e->key);
    }
    free(m.entry);
    fixture_settle(m.s, m.now_ms, 10000);
    store_check(m.s);
    const struct store_metrics *metrics = store_metrics(m.s);
    assert_int_equal(metrics->bytes_used, 0);
    assert_int_equal(metrics->bytes_payload, 0);
    assert_int_equal(metrics->bytes_index, 65536);
    assert_int_equal(metrics->pins, 0);
    store_destroy(&m.s);
}

struct store_key key_of(const struct entry *e)
{
    return fixture_key(e->key, e->key_len);
}

uint8_t *random_value(uint32_t len)
{
    uint8_t *v = malloc(len + 1);
    fixture_fill(v, len, ++m.versions);
    return v;
}

struct store_meta random_meta(void)
{
    struct store_meta meta = {0};
    if (random_below(&m.r, 4) == 0) meta.flags = (uint32_t)random_next(&m.r);
    switch (random_below(&m.r, 8)) {
    case 0: meta.expires_ms = m.now_ms + random_below(&m.r, 20000); break;
    case 1: meta.expires_ms = (m.now_ms / 1000 + random_below(&m.r, 20)) * 1000; break;
    case 2: meta.expires_ms = m.now_ms + 3600000; break;
    }
    return meta;
}

struct entry *random_entry(void)
{
    return &m.entry[random_below(&m.r, m.profile->keys)];
}

uint64_t random_cas(const struct entry *e)
{
    return e->cas && random_below(&m.r, 3) ? e->cas : random_next(&m.r); /* not one that is given in our time */
}

void entry_gone(struct entry *e)
{
    free(e->value);
    e->value = NULL;
    e->present = false;
    e->cas = 0;
}

bool entry_alive(struct entry *e)
{
    if (e->present && e->meta.expires_ms && e->meta.expires_ms <= m.now_ms) {
        entry_gone(e);
        m.expired_seen++;
    }
    return e->present;
}

uint64_t model_evictions(void)
{
    const struct store_metrics *metrics = store_metrics(m.s);
    return metrics->evicted_new + metrics->evicted_cold + metrics->evicted_page + metrics->evicted_class;
}

void entry_assert(struct entry *e)
{
    struct store_key key = key_of(e);
    struct store_value v;
    bool alive = entry_alive(e);
    enum store_status status = store_get(m.s, &key, m.now_ms, &v);
    if (alive && status == STORE_NOT_FOUND && m.missing < model_evictions()) {
        m.missing++;
        entry_gone(e);
        return;
    }
    assert_int_equal(status, alive ? STORE_OK : STORE_NOT_FOUND);
    if (!alive) return;
    fixture_assert_value(m.s, v, e->value, e->len);
    assert_int_equal(v.meta.flags, e->meta.flags);
    assert_int_equal(v.meta.expires_ms, e->meta.expires_ms);
    m.chained += v.data_len != v.len;
}

static enum store_status expected(struct entry *e, enum store_mode mode, uint64_t cas)
{
    bool alive = entry_alive(e);
    switch (mode) {
    case STORE_SET: return STORE_OK;
    case STORE_ADD: return alive ? STORE_NOT_STORED : STORE_OK;
    case STORE_CAS: return !alive ? STORE_NOT_FOUND : e->cas && e->cas == cas ? STORE_OK : STORE_EXISTS;
    default: return alive ? STORE_OK : STORE_NOT_STORED;
    }
}

/* The model's side of a write that was stored. Takes value. */
static void entry_written(struct entry *e, enum store_mode mode, uint8_t *value, uint32_t len, struct store_meta meta)
{
    if (mode == STORE_APPEND || mode == STORE_PREPEND) {
        uint8_t *joined = malloc(e->len + len + 1);
        memcpy(joined + (mode == STORE_APPEND ? 0 : len), e->value, e->len);
        memcpy(joined + (mode == STORE_APPEND ? e->len : 0), value, len);
        free(value);
        value = joined;
        len += e->len;
        meta = e->meta;
    }
    free(e->value);
    e->value = value;
    e->len = len;
    e->meta = meta;
    e->present = true;
    e->cas = 0;
    m.stored++;
}

static bool joins_too_large(const struct entry *e, enum store_mode mode, uint32_t len)
{
    return (mode == STORE_APPEND || mode == STORE_PREPEND) && (uint64_t)e->len + len > m.profile->value_max;
}

void entry_write_result(struct entry *e, enum store_mode mode, uint64_t cas, uint8_t *value, uint32_t len,
                        struct store_meta meta, enum store_status status)
{
    enum store_status want = expected(e, mode, cas);
    if (want == STORE_OK && joins_too_large(e, mode, len)) {
        assert_true(status == STORE_TOO_LARGE || status == STORE_NO_MEMORY);
    } else if (status == STORE_NO_MEMORY) {
        m.refused++;
        assert_int_equal(want, STORE_OK);
    } else {
        assert_int_equal(status, want);
    }
    if (status == STORE_OK) {
        entry_written(e, mode, value, len, meta);
    } else {
        free(value);
    }
    entry_assert(e);
}

void pinned_assert(const struct pinned *p)
{
    fixture_assert_value(m.s, p->view, p->value, p->len);
}

void pinned_release(struct pinned *p)
{
    pinned_assert(p);
    store_unpin(m.s, p->pin);
    free(p->value);
    *p = (struct pinned){0};
}
