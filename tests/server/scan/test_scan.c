/* SCAN over several cores, and what the options of memory and eviction do to a whole server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "server/session.h"
#include "tests/server/fixture.h"
#include "tests/server/text.h"

#define KEYS 3000u

static struct fixture x;

/* The answer to one command of an own connection, until the next one. */
static const char *ask(unsigned s, const char *format, ...)
{
    static char answer[1 << 18];
    char line[512];
    struct fake_stream *f = &x.streams[s];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    f->sent_len = 0;
    fake_stream_feed(f, line, (size_t)n, 2048);
    fixture_settle(&x);
    assert_true(f->sent_len < sizeof answer);
    memcpy(answer, f->sent, f->sent_len);
    answer[f->sent_len] = 0;
    return answer;
}

static const char *line_end(const char *p)
{
    const char *end = strstr(p, "\r\n");
    assert_non_null(end);
    return end + 2;
}

struct scanned {
    unsigned times[KEYS];
    unsigned keys, calls;
};

/* The whole iteration with these options. */
static void scan(unsigned s, const char *options, struct scanned *out)
{
    memset(out, 0, sizeof *out);
    unsigned long long cursor = 0;
    do {
        const char *p = ask(s, "SCAN %llu%s\r\n", cursor, options);
        assert_memory_equal(p, "*2\r\n$", 5);
        p = line_end(line_end(p));
        cursor = strtoull(p, NULL, 10);
        p = line_end(p);
        assert_int_equal(*p, '*');
        unsigned count = (unsigned)strtoul(p + 1, NULL, 10);
        p = line_end(p);
        for (unsigned i = 0; i < count; i++) {
            p = line_end(p);
            unsigned n = KEYS;
            assert_int_equal(sscanf(p, "key:%u", &n), 1);
            assert_true(n < KEYS);
            out->times[n]++;
            p = line_end(p);
        }
        assert_int_equal(*p, 0);
        out->keys += count;
        assert_true(++out->calls < 10000);
    } while (cursor);
}

static void set_keys(void)
{
    struct text t = {0};
    unsigned s = fixture_connect(&x, 0, FIXTURE_MEMCACHE);
    for (unsigned n = 0; n < KEYS; n++) text_print(&t, "set key:%u 0 0 1 noreply\r\nv\r\n", n);
    fake_stream_feed(&x.streams[s], t.data, t.len, 2048);
    fixture_settle(&x);
    text_free(&t);
}

static void test_scan(void **state)
{
    (void)state;
    struct scanned got;
    unsigned s = fixture_connect(&x, 1, FIXTURE_RESP);
    scan(s, "", &got);
    assert_int_equal(got.keys, 0);
    set_keys();
    scan(s, "", &got);
    for (unsigned n = 0; n < KEYS; n++) assert_int_equal(got.times[n], 1);
    assert_true(got.calls > KEYS / 100);
    scan(s, " COUNT 100000", &got);
    assert_int_equal(got.keys, KEYS);
    assert_true(got.calls < 16);
    scan(s, " match key:*7 count 100", &got);
    for (unsigned n = 0; n < KEYS; n++) assert_int_equal(got.times[n], n % 10 == 7);
    scan(s, " TYPE string MATCH key:12?", &got);
    assert_int_equal(got.keys, 10);
    scan(s, " TYPE list", &got);
    assert_int_equal(got.keys, 0);
    fixture_end_streams(&x);
}

static void test_scan_errors(void **state)
{
    (void)state;
    unsigned s = fixture_connect(&x, 0, FIXTURE_RESP);
    assert_string_equal(ask(s, "SCAN x\r\n"), "-ERR invalid cursor\r\n");
    assert_string_equal(ask(s, "SCAN 18446744073709551615\r\n"), "-ERR invalid cursor\r\n");
    assert_string_equal(ask(s, "SCAN 0 COUNT 0\r\n"), "-ERR syntax error\r\n");
    assert_string_equal(ask(s, "SCAN 0 COUNT x\r\n"), "-ERR value is not an integer or out of range\r\n");
    assert_string_equal(ask(s, "SCAN 0 MATCH\r\n"), "-ERR syntax error\r\n");
    assert_string_equal(ask(s, "SCAN 0 SORT key\r\n"), "-ERR syntax error\r\n");
    fixture_end_streams(&x);
}

/* Long patterns and keys, local and remote, and connections that go while their answer is under way. */
static void test_scan_long(void **state)
{
    (void)state;
    struct text t = {0};
    set_keys();
    for (unsigned core = 0; core < 3; core++) {
        unsigned s = fixture_connect(&x, core, FIXTURE_RESP);
        t.len = 0;
        for (unsigned long long i = 0; i < 3; i++) {
            text_print(&t, "*6\r\n$4\r\nSCAN\r\n$%d\r\n%llu\r\n$5\r\nMATCH\r\n$301\r\n", i ? 10 : 1, i << 32);
            for (unsigned n = 0; n < 300; n++) text_add(&t, "*", 1);
            text_print(&t, "7\r\n$5\r\nCOUNT\r\n$5\r\n10000\r\n");
        }
        fake_stream_feed(&x.streams[s], t.data, t.len, 700);
        if (core == 2) {
            fixture_turn_core(&x, core);
            fake_stream_error(&x.streams[s], 104);
        }
        fixture_settle(&x);
        struct fake_stream *f = &x.streams[s];
        unsigned found = 0;
        for (size_t i = 0; i + 4 <= f->sent_len; i++) found += memcmp(f->sent + i, "key:", 4) == 0;
        if (core < 2) assert_int_equal(found, KEYS / 10);
    }
    fixture_end_streams(&x);
    text_free(&t);
}

/* A server that is full goes on storing, tells what it evicted, and says so in both protocols. */
static void test_eviction(void **state)
{
    (void)state;
    struct text t = {0};
    unsigned s = fixture_connect(&x, 0, FIXTURE_MEMCACHE);
    for (unsigned n = 0; n < 6000; n++) {
        t.len = 0;
        char key[16];
        snprintf(key, sizeof key, "big:%u", n);
        text_mc_set(&t, key, 10000, n);
        fake_stream_feed(&x.streams[s], t.data, t.len, 2048);
        fixture_settle(&x);
    }
    struct fake_stream *f = &x.streams[s];
    assert_int_equal(f->sent_len, 6000 * 8);
    for (unsigned i = 0; i < 6000; i++) assert_memory_equal(f->sent + i * 8, "STORED\r\n", 8);
    uint64_t items = 0, evicted = 0;
    for (unsigned i = 0; i < 3; i++) {
        const struct store_metrics *m = store_metrics(x.cores[i].store);
        items += m->items;
        evicted += m->evicted_new + m->evicted_cold + m->evicted_page + m->evicted_class;
    }
    assert_int_equal(items + evicted, 6000);
    assert_true(evicted > 1000);
    assert_non_null(strstr(ask(s, "stats settings\r\n"), "STAT evictions on\r\n"));
    unsigned r = fixture_connect(&x, 0, FIXTURE_RESP);
    assert_non_null(strstr(ask(r, "INFO memory\r\n"), "maxmemory_policy:hybrid\r\n"));
    assert_non_null(strstr(ask(r, "CONFIG GET maxmemory-policy\r\n"), "hybrid"));
    fixture_end_streams(&x);
    text_free(&t);
}

static void test_no_eviction(void **state)
{
    (void)state;
    fixture_fini(&x);
    fixture_init(&x, 3, "--eviction", "none");
    struct text t = {0};
    unsigned s = fixture_connect(&x, 0, FIXTURE_MEMCACHE), r = fixture_connect(&x, 0, FIXTURE_RESP);
    bool refused = false;
    for (unsigned n = 0; n < 6000 && !refused; n++) {
        t.len = 0;
        char key[16];
        snprintf(key, sizeof key, "big:%u", n);
        text_mc_set(&t, key, 10000, n);
        x.streams[s].sent_len = 0;
        fake_stream_feed(&x.streams[s], t.data, t.len, 2048);
        fixture_settle(&x);
        refused = memcmp(x.streams[s].sent, "STORED\r\n", 8) != 0;
    }
    static const char error[] = "SERVER_ERROR out of memory storing object\r\n";
    assert_int_equal(x.streams[s].sent_len, sizeof error - 1);
    assert_memory_equal(x.streams[s].sent, error, sizeof error - 1);
    assert_non_null(strstr(ask(s, "stats\r\n"), "STAT evictions 0\r\n"));
    assert_non_null(strstr(ask(r, "INFO memory\r\n"), "maxmemory_policy:noeviction\r\n"));
    fixture_end_streams(&x);
    text_free(&t);
}

static int set_up(void **state)
{
    (void)state;
    fixture_init(&x, 3, NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_fini(&x);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_scan, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_scan_errors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_scan_long, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_eviction, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_eviction, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
