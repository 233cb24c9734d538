/*
 * Random operations on a small store against the naive model.
 * Arguments: first seed [operations a seed [seeds]]. A failure names its seed and step; the seed repeats it.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/store/model/model.h"

static uint64_t arg_seed = 1, arg_operations = 200000, arg_seeds = 1;

static void do_gets(struct entry *e)
{
    struct store_key key = key_of(e);
    struct store_value v;
    enum store_status status = store_gets(m.s, &key, m.now_ms, &v);
    if (status == STORE_NO_MEMORY) {
        m.refused++;
        entry_assert(e);
        return;
    }
    assert_int_equal(status, entry_alive(e) ? STORE_OK : STORE_NOT_FOUND);
    if (status != STORE_OK) return;
    fixture_assert_value(m.s, v, e->value, e->len);
    assert_true(v.cas != 0);
    if (e->cas) assert_int_equal(v.cas, e->cas);
    e->cas = v.cas;
}

static void do_access(struct entry *e)
{
    struct store_key key = key_of(e);
    struct store_value v;
    struct store_access access;
    enum store_status status = store_get_access(m.s, &key, m.now_ms, &v, &access);
    if (status == STORE_NO_MEMORY) {
        m.refused++;
        entry_assert(e);
        return;
    }
    assert_int_equal(status, entry_alive(e) ? STORE_OK : STORE_NOT_FOUND);
    if (status != STORE_OK) return;
    assert_true(access.read_before); /* by the model itself */
    fixture_assert_value(m.s, v, e->value, e->len);
}

static void do_set(struct entry *e)
{
    struct store_key key = key_of(e);
    enum store_mode mode = random_below(&m.r, 2) ? STORE_SET : (enum store_mode)random_below(&m.r, 6);
    uint32_t len = random_below(&m.r, 3) == 0 && e->present ? e->len : m.profile->len(&m.r);
    uint8_t *value = random_value(len);
    struct store_meta meta = random_meta();
    uint64_t cas = random_cas(e);
    enum store_status status = store_set(m.s, &key, value, len, &meta, mode, cas, m.now_ms);
    entry_write_result(e, mode, cas, value, len, meta, status);
}

/* As a server does it: what stands there is read, and a number put in its place if it has not changed since. */
static void do_incr(struct entry *e)
{
    struct store_key key = key_of(e);
    struct store_value v;
    if (store_gets(m.s, &key, m.now_ms, &v) != STORE_OK) return;
    assert_true(entry_alive(e));
    e->cas = v.cas;
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)(e->len + v.cas));
    uint8_t *value = malloc((size_t)len + 1);
    memcpy(value, digits, (size_t)len);
    uint64_t cas = e->cas;
    enum store_status status = store_set(m.s, &key, value, (uint32_t)len, &v.meta, STORE_CAS, cas, m.now_ms);
    entry_write_result(e, STORE_CAS, cas, value, (uint32_t)len, v.meta, status);
}

static void do_reserve(struct entry *e)
{
    struct opened *o = &m.opened[random_below(&m.r, OPENS)];
    if (o->open) return;
    struct store_key key = key_of(e);
    o->len = m.profile->len(&m.r);
    o->meta = random_meta();
    bool room = random_below(&m.r, 2);
    enum store_status status = store_reserve(m.s, &key, o->len, &o->meta, room, &o->write);
    if (status == STORE_NO_MEMORY) {
        m.refused++;
        entry_assert(e);
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
        entry_assert(e);
        return;
    }
    if (o->write.filled < o->len) return;
    entry_assert(e);
    struct store_key key = key_of(e);
    enum store_mode mode = (enum store_mode)random_below(&m.r, 6);
    uint64_t cas = random_cas(e);
    o->open = false;
    enum store_status status = store_commit(m.s, &o->write, &key, mode, cas, &o->meta, m.now_ms);
    entry_write_result(e, mode, cas, o->value, o->len, o->meta, status);
}

static void do_delete(struct entry *e)
{
    struct store_key key = key_of(e);
    bool alive = entry_alive(e);
    assert_int_equal(store_delete(m.s, &key, m.now_ms), alive ? STORE_OK : STORE_NOT_FOUND);
    if (alive) entry_gone(e);
    entry_assert(e);
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
    entry_assert(e);
}

static void do_pin(struct entry *e)
{
    struct pinned *p = &m.pinned[random_below(&m.r, PINS)];
    if (p->pin) {
        pinned_release(p);
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

static void assert_all_pinned(void)
{
    for (unsigned i = 0; i < PINS; i++)
        if (m.pinned[i].pin) pinned_assert(&m.pinned[i]);
}

static void do_flush(void)
{
    store_flush(m.s);
    for (unsigned i = 0; i < m.profile->keys; i++) entry_gone(&m.entry[i]);
    assert_int_equal(store_count(m.s), 0);
    m.missing = 0;
    assert_all_pinned();
}

/* Memory fills up and is thinned out by turns. */
static bool thinning(void)
{
    return m.step / (m.profile->keys * 6u) % 2 == 1;
}

static void operate(void)
{
    struct entry *e = random_entry();
    uint32_t what = random_below(&m.r, 100);
    if (random_below(&m.r, 8) == 0) m.now_ms += random_below(&m.r, 8 * 280000 / m.profile->keys + 1);
    if (what < 90) entry_assert(e);
    if (what < 17) return;
    if (what < 20) {
        do_access(e);
    } else if (what < 26) {
        do_gets(e);
    } else if (what < 30) {
        do_incr(e);
    } else if (what < 60 && thinning()) {
        do_delete(e);
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
}

/* Flushes are rare, that memory may fill up; and checks, which walk everything. */
static void run(uint64_t operations)
{
    uint64_t flush_every = m.profile->keys * 29u, check_every = 499 + operations / 200;
    for (m.step = 0; m.step < operations; m.step++) {
        operate();
        if (m.step % flush_every == flush_every - 1) do_flush();
        if (m.step % check_every == 0) store_check(m.s);
        if (m.step % 50 == 0) assert_all_pinned();
    }
    store_check(m.s);
}

static void test_model(void **state)
{
    (void)state;
    for (uint64_t seed = arg_seed; seed < arg_seed + arg_seeds; seed++) {
        model_begin(seed);
        run(arg_operations);
        const struct store_metrics *metrics = store_metrics(m.s);
        if (arg_seeds == 1)
            print_message("%s: stored %lu refused %lu expired %lu chained %lu moves %lu evacuations %lu most moved %lu "
                          "in place %lu splits %lu merges %lu missing %lu\n",
                          m.profile->name, m.stored, m.refused, m.expired_seen, m.chained, metrics->moves,
                          metrics->evacuations, metrics->moved_most, metrics->in_place, metrics->splits,
                          metrics->merges, m.missing);
        assert_true(metrics->moved_most <= 4096);
        assert_true(m.stored > arg_operations / 20 && m.expired_seen > 0 && metrics->in_place > 0);
        assert_true((model_evictions() > 0) == (m.profile->eviction != STORE_EVICT_NONE));
        model_end();
    }
}

static void say_where(void)
{
    fprintf(stderr, "seed %lu, step %lu, profile %s\n", m.seed, m.step, m.profile ? m.profile->name : "none yet");
}

static int teardown(void **state)
{
    (void)state;
    if (m.s) say_where();
    return 0;
}

static void on_abort(int signal_number)
{
    (void)signal_number;
    say_where();
    _exit(1);
}

#ifdef __SANITIZE_ADDRESS__
/* A fault that the sanitizer finds ends in abort() too, and so names its seed. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "abort_on_error=1";
}
#endif

int main(int argc, char **argv)
{
    if (argc > 1) arg_seed = strtoull(argv[1], NULL, 0);
    if (argc > 2) arg_operations = strtoull(argv[2], NULL, 0);
    if (argc > 3) arg_seeds = strtoull(argv[3], NULL, 0);
    signal(SIGABRT, on_abort);
    const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(test_model, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
