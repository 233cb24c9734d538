#include "tests/store/window/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "store/index.h"

struct world w;

static uint32_t len_small(struct random *r)
{
    return random_below(r, 100);
}

/* Up to what lies in several pieces. */
static uint32_t len_mixed(struct random *r)
{
    switch (random_below(r, 12)) {
    case 0: return random_below(r, 20000);
    case 1:
    case 2: return 3000 + random_below(r, 6400);
    default: return random_below(r, 600);
    }
}

/* As good as one size: each slot that is freed is soon another's. */
static uint32_t len_same(struct random *r)
{
    return 64 + random_below(r, 2) * 8;
}

static uint32_t len_tiny(struct random *r)
{
    return random_below(r, 12);
}

static const struct profile profiles[] = {
    {"small", 200, 6, MIB, len_small, STORE_EVICT_NONE, 1500},
    {"same", 60, 4, MIB, len_same, STORE_EVICT_NONE, 1500},
    {"mixed", 450, 8, MIB, len_mixed, STORE_EVICT_NONE, 1500},
    {"mixed, hybrid", 300, 12, MIB, len_mixed, STORE_EVICT_HYBRID, 1500},
    {"small, fifo", 400, 8, MIB, len_mixed, STORE_EVICT_FIFO, 1500},
};
#define PROFILE_COUNT (sizeof(profiles) / sizeof(profiles[0]))
/* The index grows over several pages and shrinks again. */
#define MANY_EVERY 50u
static const struct profile many = {"many", 26000, 40, 3 * MIB, len_tiny, STORE_EVICT_NONE, 12000};
#define BULK 600u
#define BULK_PHASE 4000u

static bool one_in(uint32_t n)
{
    return random_below(&w.r, n) == 0;
}

static struct store_key key_of(const struct entry *e)
{
    return (struct store_key){.data = e->key, .len = e->key_len, .hash = e->hash};
}

static struct entry *random_entry(void)
{
    return &w.entry[random_below(&w.r, one_in(2) ? w.profile->hot : w.profile->keys)];
}

/* ---- the model ---- */

static uint32_t version_add(struct version v)
{
    if (w.version_count == w.version_room) {
        w.version_room = w.version_room ? w.version_room * 2 : 1024;
        w.version = realloc(w.version, w.version_room * sizeof(*w.version));
        assert_non_null(w.version);
    }
    w.version[w.version_count] = v;
    return w.version_count++;
}

static struct version version_new(uint32_t len, uint32_t flags)
{
    struct version v = {.bytes = malloc(len + 1), .len = len, .flags = flags};
    fixture_fill(v.bytes, len, random_next(&w.r));
    return v;
}

static bool alive(const struct entry *e)
{
    return e->present && (!e->expires_ms || e->expires_ms > w.now_ms);
}

static void set_add(struct reading *r, uint32_t version)
{
    assert_true(r->set_count < SET_MAX);
    r->set[r->set_count++] = version;
}

/* The key has this from now on: also for those who are just reading it. */
static void entry_has(struct entry *e, uint32_t version, uint64_t expires_ms)
{
    e->present = true;
    e->version = version;
    e->expires_ms = expires_ms;
    for (unsigned i = 0; i < READERS && alive(e); i++)
        if (w.reading[i].active && &w.entry[w.reading[i].entry] == e) set_add(&w.reading[i], version);
}

/* What the store evicted by itself the model learns here. */
static bool entry_is_there(struct entry *e)
{
    struct store_key key = key_of(e);
    bool there = index_find(w.s, &key) != 0;
    if (!alive(e)) return false;
    assert_true(there || w.profile->eviction != STORE_EVICT_NONE);
    if (!there) e->present = false;
    return there;
}

/* ---- operations ---- */

static void clock_step(uint32_t ms)
{
    w.now_ms += ms;
    store_window_tick(w.s, w.now_ms);
}

static struct store_meta random_meta(uint32_t flags)
{
    struct store_meta meta = {.flags = flags};
    switch (random_below(&w.r, w.profile->len == len_same ? 3 : 6)) {
    case 0: meta.expires_ms = w.now_ms + 1 + random_below(&w.r, 3000); break;
    case 1: meta.expires_ms = (w.now_ms / 1000 + 1 + random_below(&w.r, 3)) * 1000; break;
    }
    return meta;
}

static void do_set(struct entry *e, uint32_t len)
{
    struct store_key key = key_of(e);
    struct version v = version_new(len, one_in(3) ? (uint32_t)random_next(&w.r) : 0);
    struct store_meta meta = random_meta(v.flags);
    if (store_set(w.s, &key, v.bytes, v.len, &meta, STORE_SET, 0, w.now_ms) == STORE_OK)
        entry_has(e, version_add(v), meta.expires_ms);
    else
        free(v.bytes);
}

static void do_append(struct entry *e)
{
    struct store_key key = key_of(e);
    struct version part = version_new(random_below(&w.r, 40), 0);
    if (entry_is_there(e) && store_set(w.s, &key, part.bytes, part.len, NULL, STORE_APPEND, 0, w.now_ms) == STORE_OK) {
        const struct version old = w.version[e->version];
        struct version v = {.bytes = malloc(old.len + part.len + 1), .len = old.len + part.len, .flags = old.flags};
        memcpy(v.bytes, old.bytes, old.len);
        memcpy(v.bytes + old.len, part.bytes, part.len);
        entry_has(e, version_add(v), e->expires_ms);
    }
    free(part.bytes);
}

static void do_delete(struct entry *e)
{
    struct store_key key = key_of(e);
    entry_is_there(e);
    assert_int_equal(store_delete(w.s, &key, w.now_ms), alive(e) ? STORE_OK : STORE_NOT_FOUND);
    e->present = false;
}

static void do_touch(struct entry *e)
{
    struct store_key key = key_of(e);
    struct store_meta meta = random_meta(0);
    bool there = entry_is_there(e);
    enum store_status status = store_touch(w.s, &key, meta.expires_ms, w.now_ms);
    assert_true(there ? status != STORE_NOT_FOUND : status == STORE_NOT_FOUND);
    if (status == STORE_OK) entry_has(e, e->version, meta.expires_ms);
}

static void do_get(struct entry *e)
{
    struct store_key key = key_of(e);
    struct store_value v;
    struct store_access access;
    enum store_status status;
    bool there = entry_is_there(e);
    switch (random_below(&w.r, 8)) {
    case 0: status = store_gets(w.s, &key, w.now_ms, &v); break;
    case 1: status = one_in(4) ? store_get_access(w.s, &key, w.now_ms, &v, &access) : STORE_NO_MEMORY; break;
    default: status = store_get(w.s, &key, w.now_ms, &v); break;
    }
    if (status == STORE_NO_MEMORY) return;
    assert_int_equal(status, there ? STORE_OK : STORE_NOT_FOUND);
    if (there) fixture_assert_value(w.s, v, w.version[e->version].bytes, w.version[e->version].len);
}

static void do_open(struct opened *o)
{
    struct entry *e = random_entry();
    struct store_key key = key_of(e);
    uint32_t len = e->present && one_in(2) ? w.version[e->version].len : w.profile->len(&w.r);
    o->version = version_new(len, 0);
    o->entry = (uint32_t)(e - w.entry);
    o->open = store_reserve(w.s, &key, o->version.len, NULL, false, &o->write) == STORE_OK;
    if (!o->open) free(o->version.bytes);
}

static void do_fill_and_end(struct opened *o)
{
    struct entry *e = &w.entry[o->entry];
    struct store_key key = key_of(e);
    uint32_t left = o->version.len - o->write.filled, n = random_below(&w.r, left + 1);
    if (one_in(2)) n = left;
    store_write_fill(&o->write, o->version.bytes + o->write.filled, n);
    if (n < left || one_in(4)) return;
    o->open = false;
    if (one_in(3)) {
        store_abort(w.s, &o->write);
        free(o->version.bytes);
    } else if (store_commit(w.s, &o->write, &key, STORE_SET, 0, NULL, w.now_ms) == STORE_OK) {
        entry_has(e, version_add(o->version), 0);
    } else {
        free(o->version.bytes);
    }
}

static void do_pin(struct store_pin **pin)
{
    struct entry *e = random_entry();
    struct store_key key = key_of(e);
    struct store_value v;
    if (*pin) {
        store_unpin(w.s, *pin);
        *pin = NULL;
    } else if (store_get(w.s, &key, w.now_ms, &v) == STORE_OK) {
        *pin = store_pin(w.s, v.item);
    }
}

static void do_flush(void)
{
    store_flush(w.s);
    for (unsigned i = 0; i < w.profile->keys; i++) w.entry[i].present = false;
}

/* Many keys one behind the other come, or go. */
static void do_bulk(void)
{
    uint32_t first = random_below(&w.r, w.profile->keys);
    for (uint32_t i = 0; i < BULK; i++) {
        struct entry *e = &w.entry[(first + i) % w.profile->keys];
        if (w.step / BULK_PHASE % 2)
            do_set(e, w.profile->len(&w.r));
        else
            do_delete(e);
    }
}

void world_operate(void)
{
    struct entry *e = random_entry();
    struct opened *o = &w.opened[random_below(&w.r, OPENS)];
    uint32_t what = random_below(&w.r, 100);
    if (w.profile == &many && one_in(40)) do_bulk();
    if (one_in(200)) memcpy(w.copy[random_below(&w.r, COPIES)], w.window, w.window_bytes);
    if (what < 30) {
        do_set(e, e->present ? w.version[e->version].len : w.profile->len(&w.r));
    } else if (what < 55) {
        do_set(e, w.profile->len(&w.r));
    } else if (what < 62) {
        do_delete(e);
    } else if (what < 66) {
        do_touch(e);
    } else if (what < 71) {
        do_get(e);
    } else if (what < 74) {
        do_append(e);
    } else if (what < 88) {
        if (o->open)
            do_fill_and_end(o);
        else
            do_open(o);
    } else if (what < 92) {
        clock_step(random_below(&w.r, 500));
    } else if (what < 94) {
        do_pin(&w.pin[random_below(&w.r, PINS)]);
    } else if (what < 99) {
        store_step(w.s, w.now_ms);
    } else if (one_in(8)) {
        do_flush();
    }
}

/* ---- readers ---- */

static void piece_begin(struct reading *r)
{
    const struct window_piece *p = &r->get.pieces[r->piece];
    bool hint = p->into == r->buffer + 64 || p->into == r->buffer + 128;
    r->chunk = 0;
    r->chunk_bytes = one_in(2) ? 8 : 64;
    r->first = random_below(&w.r, p->bytes / r->chunk_bytes + 1);
    if (one_in(2)) r->first = 0;
    r->backwards = one_in(3);
    r->from = w.window;
    if (!hint || !one_in(4)) return;
    r->from = w.copy[random_below(&w.r, COPIES)];
    w.totals.old++;
}

static void reading_check_value(struct reading *r)
{
    const struct window_get *g = &r->get;
    w.totals.values++;
    for (uint32_t i = r->set_count; i-- > 0;) {
        const struct version *v = &w.version[r->set[i]];
        if (v->len != g->value_len || v->flags != g->flags || memcmp(v->bytes, g->value, v->len) != 0) continue;
        w.totals.in_between += i > 0;
        return;
    }
    fail_msg("a value that key %u had at no moment of the look-up", r->entry);
}

static void reading_go_on(struct reading *r, enum window_step step)
{
    r->piece = 0;
    switch (step) {
    case WINDOW_READ: piece_begin(r); return;
    case WINDOW_VALUE: reading_check_value(r); break;
    case WINDOW_MESSAGE: w.totals.messages++; break;
    }
    r->active = false;
}

static void reading_begin(struct reading *r)
{
    struct entry *e = random_entry();
    r->entry = (uint32_t)(e - w.entry);
    r->set_count = 0;
    r->active = true;
    if (entry_is_there(e)) set_add(r, e->version);
    reading_go_on(r, window_get_begin(&r->get, w.map, e->key, e->key_len, e->hash, r->buffer));
}

/* Chunks in order, backwards, or from one in the middle on. */
static void reading_chunk(struct reading *r)
{
    const struct window_piece *p = &r->get.pieces[r->piece];
    uint32_t chunks = (p->bytes + r->chunk_bytes - 1) / r->chunk_bytes;
    uint32_t i = (r->chunk + r->first) % chunks;
    if (r->backwards) i = chunks - 1 - i;
    uint32_t at = i * r->chunk_bytes, n = p->bytes - at < r->chunk_bytes ? p->bytes - at : r->chunk_bytes;
    assert_true(p->at + p->bytes <= w.window_bytes);
    memcpy(p->into + at, r->from + p->at + at, n);
    if (++r->chunk < chunks) return;
    if (++r->piece < r->get.piece_count)
        piece_begin(r);
    else
        reading_go_on(r, window_get_on(&r->get));
}

void world_read(struct reading *r)
{
    if (r->active)
        reading_chunk(r);
    else
        reading_begin(r);
}

/* ---- life ---- */

static void entry_begin(struct entry *e, uint32_t i)
{
    e->key_len = 4 + random_below(&w.r, 40);
    if (i % 16 == 0) e->key_len = 250 + random_below(&w.r, 20);
    fixture_fill(e->key, e->key_len, 77 + i);
    memcpy(e->key, &i, sizeof(i));
    e->hash = store_hash(e->key, e->key_len);
}

void world_begin(uint64_t seed)
{
    struct window_counts counts = w.counts;
    struct totals totals = w.totals;
    w = (struct world){.seed = seed, .now_ms = 1700000000000u, .r = {seed * 0x9e3779b97f4a7c15u}};
    w.counts = counts;
    w.totals = totals;
    w.profile = seed % MANY_EVERY == 0 ? &many : &profiles[seed % PROFILE_COUNT];
    struct store_config config = {.memory_limit = w.profile->region_bytes,
                                  .max_value = 100000,
                                  .max_key = 1000,
                                  .eviction = w.profile->eviction,
                                  .window = true};
    void *window;
    assert_int_equal(store_create(&w.s, &config), 0);
    clock_step(0);
    assert_true(store_window(w.s, &window, &w.window_bytes));
    w.window = window;
    w.map = window_map_create(w.window_bytes);
    assert_non_null(w.map);
    for (unsigned i = 0; i < COPIES; i++) {
        w.copy[i] = malloc(w.window_bytes);
        memcpy(w.copy[i], w.window, w.window_bytes);
    }
    w.entry = calloc(w.profile->keys, sizeof(*w.entry));
    for (uint32_t i = 0; i < w.profile->keys; i++) {
        entry_begin(&w.entry[i], i);
        do_set(&w.entry[i], w.profile->len(&w.r));
    }
}

void world_end(void)
{
    uint64_t *to = (uint64_t *)&w.counts;
    const uint64_t *from = (const uint64_t *)&w.map->counts;
    for (unsigned i = 0; i < sizeof(w.counts) / sizeof(*to); i++) to[i] += from[i];
    store_check(w.s);
    for (unsigned i = 0; i < OPENS; i++) {
        if (!w.opened[i].open) continue;
        store_abort(w.s, &w.opened[i].write);
        free(w.opened[i].version.bytes);
    }
    for (unsigned i = 0; i < PINS; i++)
        if (w.pin[i]) store_unpin(w.s, w.pin[i]);
    for (uint32_t i = 0; i < w.version_count; i++) free(w.version[i].bytes);
    for (unsigned i = 0; i < COPIES; i++) free(w.copy[i]);
    free(w.version);
    free(w.entry);
    window_map_destroy(&w.map);
    store_destroy(&w.s);
}
