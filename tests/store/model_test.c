/*
 * Random operations on a small store against a naive model: an array of keys, each with a copy of its value.
 * Arguments: seed [operations]. The same seed repeats the same run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/store/fixture.h"

#define KEYS 700u
#define PINS 40u
#define OPENS 6u
#define VALUE_MAX 400000u

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

static struct model {
    struct store *s;
    struct random r;
    uint64_t now_ms;
    uint64_t versions;
    uint64_t cas_seen;
    struct entry entry[KEYS];
    struct pinned pinned[PINS];
    struct opened opened[OPENS];
    unsigned refused, stored, expired_seen, chained;
} m;

static uint64_t arg_seed = 1;
static unsigned arg_operations = 200000;

static struct store_key key_of(const struct entry *e)
{
    return fixture_key(e->key, e->key_len);
}

static uint32_t random_len(void)
{
    switch (random_below(&m.r, 40)) {
    case 0: return 0;
    case 1: return random_below(&m.r, VALUE_MAX);
    case 2: return 60000 + random_below(&m.r, 12000);
    case 3:
    case 4: return 8000 + random_below(&m.r, 30000);
    case 5:
    case 6:
    case 7: return random_below(&m.r, 9400);
    default: return random_below(&m.r, 600);
    }
}

static uint8_t *random_value(uint32_t len)
{
    uint8_t *v = malloc(len + 1);
    fixture_fill(v, len, ++m.versions);
    return v;
}

static struct store_meta random_meta(void)
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

static struct entry *random_entry(void)
{
    return &m.entry[random_below(&m.r, KEYS)];
}

static void entry_gone(struct entry *e)
{
    free(e->value);
    e->value = NULL;
    e->present = false;
    e->cas = 0;
}

/* What the model holds now, expiry considered. */
static bool entry_alive(struct entry *e)
{
    if (e->present && e->meta.expires_ms && e->meta.expires_ms <= m.now_ms) {
        entry_gone(e);
        m.expired_seen++;
    }
    return e->present;
}

static void assert_entry(struct entry *e)
{
    struct store_key key = key_of(e);
    struct store_value v;
    bool alive = entry_alive(e);
    assert_int_equal(store_get(m.s, &key, m.now_ms, &v), alive ? STORE_OK : STORE_NOT_FOUND);
    if (!alive) return;
    fixture_assert_value(m.s, v, e->value, e->len);
    assert_int_equal(v.meta.flags, e->meta.flags);
    assert_int_equal(v.meta.expires_ms, e->meta.expires_ms);
    m.chained += v.data_len != v.len;
}

static void do_gets(struct entry *e)
{
    struct store_key key = key_of(e);
    struct store_value v;
    enum store_status status = store_gets(m.s, &key, m.now_ms, &v);
    if (status == STORE_NO_MEMORY) {
        m.refused++;
        assert_entry(e);
        return;
    }
    assert_int_equal(status, entry_alive(e) ? STORE_OK : STORE_NOT_FOUND);
    if (status != STORE_OK) return;
    fixture_assert_value(m.s, v, e->value, e->len);
    assert_true(v.cas != 0);
    if (e->cas) assert_int_equal(v.cas, e->cas);
    e->cas = v.cas;
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
    return (mode == STORE_APPEND || mode == STORE_PREPEND) && (uint64_t)e->len + len > VALUE_MAX;
}

/* Judges the status of a write and follows it. Takes value. */
static void write_result(struct entry *e, enum store_mode mode, uint64_t cas, uint8_t *value, uint32_t len,
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
    assert_entry(e);
}

static uint64_t random_cas(const struct entry *e)
{
    return e->cas && random_below(&m.r, 3) ? e->cas : random_next(&m.r); /* not one that is given in our time */
}

static void do_set(struct entry *e)
{
    struct store_key key = key_of(e);
    enum store_mode mode = random_below(&m.r, 2) ? STORE_SET : (enum store_mode)random_below(&m.r, 6);
    uint32_t len = random_below(&m.r, 3) == 0 && e->present ? e->len : random_len();
    uint8_t *value = random_value(len);
    struct store_meta meta = random_meta();
    uint64_t cas = random_cas(e);
    enum store_status status = store_set(m.s, &key, value, len, &meta, mode, cas, m.now_ms);
    write_result(e, mode, cas, value, len, meta, status);
}

static void do_reserve(struct entry *e)
{
    struct opened *o = &m.opened[random_below(&m.r, OPENS)];
    if (o->open) return;
    struct store_key key = key_of(e);
    o->len = random_len();
    o->meta = random_meta();
    bool room = random_below(&m.r, 2);
    enum store_status status = store_reserve(m.s, &key, o->len, &o->meta, room, &o->write);
    if (status == STORE_NO_MEMORY) {
        m.refused++;
        assert_entry(e);
        return;
    }
    assert_int_equal(status, STORE_OK);
    if (random_below(&m.r, 3) == 0) o->meta = random_meta(); /* not known before the value has come */
    o->value = random_value(o->len);
    o->key = (uint32_t)(e - m.entry);
    o->open = true;
}

static void do_fill_and_end(void)
{
    struct opened *o = &m.opened[random_below(&m.r, OPENS)];
    if (!o->open) return;
    uint32_t left = o->len - o->write.filled;
    uint32_t n = random_below(&m.r, 3) ? left : random_below(&m.r, left + 1);
    store_write_fill(&o->write, o->value + o->write.filled, n);
    struct entry *e = &m.entry[o->key];
    if (random_below(&m.r, 10) == 0) {
        store_abort(m.s, &o->write);
        free(o->value);
        o->open = false;
        assert_entry(e);
        return;
    }
    if (o->write.filled < o->len) return;
    struct store_key key = key_of(e);
    enum store_mode mode = (enum store_mode)random_below(&m.r, 6);
    uint64_t cas = random_cas(e);
    o->open = false;
    enum store_status status = store_commit(m.s, &o->write, &key, mode, cas, &o->meta, m.now_ms);
    write_result(e, mode, cas, o->value, o->len, o->meta, status);
}

static void do_delete(struct entry *e)
{
    struct store_key key = key_of(e);
    bool alive = entry_alive(e);
    assert_int_equal(store_delete(m.s, &key, m.now_ms), alive ? STORE_OK : STORE_NOT_FOUND);
    if (alive) entry_gone(e);
    assert_entry(e);
}

static void do_touch(struct entry *e)
{
    struct store_key key = key_of(e);
    uint64_t expires_ms = random_meta().expires_ms;
    bool alive = entry_alive(e);
    enum store_status status = store_touch(m.s, &key, expires_ms, m.now_ms);
    if (status == STORE_NO_MEMORY) {
        m.refused++;
    } else {
        assert_int_equal(status, alive ? STORE_OK : STORE_NOT_FOUND);
        if (alive) e->meta.expires_ms = expires_ms;
    }
    assert_entry(e);
}

static void assert_pinned(const struct pinned *p)
{
    fixture_assert_value(m.s, p->view, p->value, p->len);
}

static void unpin(struct pinned *p)
{
    assert_pinned(p);
    store_unpin(m.s, p->pin);
    free(p->value);
    *p = (struct pinned){0};
}

static void do_pin(struct entry *e)
{
    struct pinned *p = &m.pinned[random_below(&m.r, PINS)];
    if (p->pin) {
        unpin(p);
        return;
    }
    struct store_key key = key_of(e);
    if (store_get(m.s, &key, m.now_ms, &p->view) != STORE_OK) return;
    p->pin = store_pin(m.s, p->view.item);
    if (!p->pin) return;
    p->len = e->len;
    p->value = malloc(e->len + 1);
    memcpy(p->value, e->value, e->len);
}

static void do_flush(void)
{
    store_flush(m.s);
    for (unsigned i = 0; i < KEYS; i++) entry_gone(&m.entry[i]);
    assert_int_equal(store_count(m.s), 0);
    for (unsigned i = 0; i < PINS; i++)
        if (m.pinned[i].pin) assert_pinned(&m.pinned[i]);
}

static void operate(unsigned i)
{
    struct entry *e = random_entry();
    uint32_t what = random_below(&m.r, 100);
    if (random_below(&m.r, 8) == 0) m.now_ms += random_below(&m.r, 400);
    if (what < 25) {
        assert_entry(e);
    } else if (what < 32) {
        do_gets(e);
    } else if (what < 60) {
        do_set(e);
    } else if (what < 67) {
        do_reserve(e);
    } else if (what < 78) {
        do_fill_and_end();
    } else if (what < 84) {
        do_delete(e);
    } else if (what < 88) {
        do_touch(e);
    } else if (what < 95) {
        do_pin(e);
    } else {
        store_step(m.s, m.now_ms);
    }
    if (i % 12000 == 11999) do_flush();
    if (i % 500 == 0) store_check(m.s);
    if (i % 50 == 0)
        for (unsigned k = 0; k < PINS; k++)
            if (m.pinned[k].pin) assert_pinned(&m.pinned[k]);
}

static void make_keys(void)
{
    for (unsigned i = 0; i < KEYS; i++) {
        struct entry *e = &m.entry[i];
        uint32_t len = 4 + random_below(&m.r, 60);
        if (i % 20 == 0) len = 200 + random_below(&m.r, 120);
        if (i % 100 == 0) len = 9000 + random_below(&m.r, 1000);
        if (i % 350 == 0) len = 65535 - random_below(&m.r, 100);
        e->key_len = len;
        e->key = malloc(len);
        fixture_fill(e->key, len, 1000000 + i);
        memcpy(e->key, &i, sizeof(i));
    }
}

static void end_everything(void)
{
    for (unsigned i = 0; i < PINS; i++)
        if (m.pinned[i].pin) unpin(&m.pinned[i]);
    for (unsigned i = 0; i < OPENS; i++) {
        if (!m.opened[i].open) continue;
        store_abort(m.s, &m.opened[i].write);
        free(m.opened[i].value);
    }
    for (unsigned i = 0; i < KEYS; i++) {
        if (m.entry[i].present) do_delete(&m.entry[i]);
        free(m.entry[i].key);
    }
}

static void test_model(void **state)
{
    (void)state;
    m.r.state = arg_seed * 0x9e3779b97f4a7c15u;
    m.now_ms = 1700000000000u;
    m.s = fixture_store(6 * MIB, VALUE_MAX);
    make_keys();
    for (unsigned i = 0; i < arg_operations; i++) operate(i);
    store_check(m.s);
    const struct store_metrics *metrics = store_metrics(m.s);
    print_message("stored %u refused %u expired %u chained %u moves %lu evacuations %lu in place %lu\n", m.stored,
                  m.refused, m.expired_seen, m.chained, metrics->moves, metrics->evacuations, metrics->in_place);
    assert_true(m.stored > arg_operations / 20 && m.refused > 0 && m.expired_seen > 0 && m.chained > 0);
    assert_true(metrics->moves > 0 && metrics->in_place > 0);
    end_everything();
    fixture_settle(m.s, m.now_ms, 1000);
    store_check(m.s);
    assert_int_equal(metrics->bytes_used, 0);
    assert_int_equal(metrics->bytes_payload, 0);
    assert_int_equal(metrics->bytes_index, 65536);
    assert_int_equal(metrics->pins, 0);
    store_destroy(&m.s);
}

int main(int argc, char **argv)
{
    if (argc > 1) arg_seed = strtoull(argv[1], NULL, 0);
    if (argc > 2) arg_operations = (unsigned)strtoul(argv[2], NULL, 0);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
