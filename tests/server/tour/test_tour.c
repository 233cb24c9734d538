/* KEYS, RANDOMKEY, and statistics of size classes, over several cores: complete, in order, and a little at a time. */
#include <errno.h>
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
#define LONG_KEYS 4000u

static struct fixture x;

static void feed(unsigned s, const char *text)
{
    x.streams[s].sent_len = 0;
    fake_stream_feed(&x.streams[s], text, strlen(text), 2048);
}

/* What has come for it, until the next feed. */
static const char *answer(unsigned s)
{
    struct fake_stream *f = &x.streams[s];
    static char text[1 << 21];
    assert_true(f->sent_len < sizeof text);
    if (f->sent_len) memcpy(text, f->sent, f->sent_len);
    text[f->sent_len] = 0;
    return text;
}

static const char *ask(unsigned s, const char *text)
{
    feed(s, text);
    fixture_settle(&x);
    return answer(s);
}

static void set_keys(unsigned count, const char *format)
{
    struct text t = {0};
    char key[251];
    unsigned s = fixture_connect(&x, 0, FIXTURE_MEMCACHE);
    for (unsigned n = 0; n < count; n++) {
        snprintf(key, sizeof key, format, n);
        text_print(&t, "set %s 0 0 1 noreply\r\nv\r\n", key);
    }
    fake_stream_feed(&x.streams[s], t.data, t.len, 2048);
    fixture_settle(&x);
    text_free(&t);
}

/* An array of bulk strings "<prefix><n>": each n of 0..count-1 that fits, once. Returns what is behind it. */
static const char *expect_keys(const char *p, unsigned count, bool (*fits)(unsigned n))
{
    static unsigned char times[LONG_KEYS];
    memset(times, 0, sizeof times);
    char *end;
    assert_int_equal(*p, '*');
    unsigned long found = strtoul(p + 1, &end, 10), wanted = 0;
    for (unsigned long i = 0; i < found; i++) {
        unsigned n = count;
        assert_memory_equal(end, "\r\n$", 3);
        unsigned long len = strtoul(end + 3, &end, 10);
        assert_memory_equal(end, "\r\n", 2);
        assert_int_equal(sscanf(end + 2, "key:%u", &n), 1);
        assert_true(n < count && times[n]++ == 0);
        end += 2 + len;
    }
    assert_memory_equal(end, "\r\n", 2);
    for (unsigned n = 0; n < count; n++) {
        assert_int_equal(times[n], fits(n));
        wanted += times[n];
    }
    assert_int_equal(found, wanted);
    return end + 2;
}

static bool fits_all(unsigned n)
{
    return n < LONG_KEYS;
}

static bool fits_7(unsigned n)
{
    return n % 10 == 7;
}

static bool fits_12x(unsigned n)
{
    return n / 10 == 12;
}

static bool fits_none(unsigned n)
{
    (void)n;
    return false;
}

static void test_keys(void **state)
{
    (void)state;
    unsigned s = fixture_connect(&x, 1, FIXTURE_RESP);
    assert_string_equal(ask(s, "KEYS *\r\n"), "*0\r\n");
    set_keys(KEYS, "key:%u");
    assert_string_equal(expect_keys(ask(s, "KEYS *\r\n"), KEYS, fits_all), "");
    assert_string_equal(expect_keys(ask(s, "keys key:*7\r\n"), KEYS, fits_7), "");
    assert_string_equal(expect_keys(ask(s, "KEYS key:12?\r\n"), KEYS, fits_12x), "");
    assert_string_equal(expect_keys(ask(s, "KEYS \"\"\r\n"), KEYS, fits_none), "");
    assert_string_equal(ask(s, "KEYS key:12\r\n"), "*1\r\n$6\r\nkey:12\r\n");
    fixture_end_streams(&x);
}

/* Its answer stands between those of what was asked before and after. */
static void test_keys_in_order(void **state)
{
    (void)state;
    set_keys(KEYS, "key:%u");
    for (unsigned core = 0; core < 3; core++) {
        unsigned s = fixture_connect(&x, core, FIXTURE_RESP);
        const char *p = ask(s, "SET a 1\r\nGET a\r\nKEYS key:*7\r\nINCR a\r\nDEL a\r\nKEYS nosuch\r\nPING\r\n");
        assert_memory_equal(p, "+OK\r\n$1\r\n1\r\n", 12);
        p = expect_keys(p + 12, KEYS, fits_7);
        assert_string_equal(p, ":2\r\n:1\r\n*0\r\n+PONG\r\n");
    }
    fixture_end_streams(&x);
}

/* Somebody else on the same core is answered long before the keys are. */
static void test_others_go_on(void **state)
{
    (void)state;
    set_keys(LONG_KEYS, "key:%u");
    unsigned s = fixture_connect(&x, 0, FIXTURE_RESP), other = fixture_connect(&x, 0, FIXTURE_RESP);
    feed(s, "KEYS *\r\n");
    for (unsigned turn = 0; turn < 4; turn++) {
        feed(other, "PING\r\n");
        fixture_turn(&x);
        assert_string_equal(answer(other), "+PONG\r\n");
        assert_int_equal(x.streams[s].sent_len, 0);
    }
    fixture_settle(&x);
    assert_string_equal(expect_keys(answer(s), LONG_KEYS, fits_all), "");
    fixture_end_streams(&x);
}

/* Who does not read is not sent for without bound, and gets the rest when he does. */
static void test_keys_of_a_slow_reader(void **state)
{
    (void)state;
    set_keys(LONG_KEYS, "key:%0240u");
    unsigned s = fixture_connect(&x, 2, FIXTURE_RESP);
    x.stuck[s] = true;
    feed(s, "KEYS *\r\nPING\r\n");
    fixture_settle(&x);
    assert_in_range(x.streams[s].stream.tx_queued, 1, x.config.output_limit + (64u << 10) + 4096);
    assert_true(x.streams[s].stream.tx_queued < LONG_KEYS * 240);
    x.stuck[s] = false;
    fake_stream_deliver(&x.streams[s], UINT32_MAX);
    fixture_settle(&x);
    assert_string_equal(expect_keys(answer(s), LONG_KEYS, fits_all), "+PONG\r\n");
    fixture_end_streams(&x);
}

/* A connection may go at any moment of it; a long pattern is not the client's to take back. */
static void test_keys_cut_short(void **state)
{
    (void)state;
    char line[600];
    set_keys(KEYS, "key:%u");
    snprintf(line, sizeof line, "KEYS %0*d*7\r\n", 400, 0);
    memset(line + 5, '*', 400);
    for (unsigned turns = 0; turns < 40; turns++) {
        unsigned s = fixture_connect(&x, turns % 3, FIXTURE_RESP);
        x.stuck[s] = turns % 2;
        feed(s, line);
        for (unsigned i = 0; i < turns; i++) fixture_turn(&x);
        if (turns % 5)
            fake_stream_error(&x.streams[s], ECONNRESET);
        else
            fake_stream_eof(&x.streams[s]);
        x.stuck[s] = false;
        fixture_settle(&x);
        if (turns % 5 == 0) assert_string_equal(expect_keys(answer(s), KEYS, fits_7), "");
        fixture_end_streams(&x);
    }
}

/* All keys of all cores, each as likely. */
static void test_random_key(void **state)
{
    (void)state;
    unsigned times[40] = {0}, n;
    unsigned s = fixture_connect(&x, 0, FIXTURE_RESP);
    assert_string_equal(ask(s, "RANDOMKEY\r\n"), "$-1\r\n");
    set_keys(40, "key:%u");
    for (unsigned i = 0; i < 4000; i++) {
        const char *p = strchr(ask(s, "RANDOMKEY\r\n"), '\n');
        assert_non_null(p);
        assert_int_equal(sscanf(p + 1, "key:%u", &n), 1);
        assert_true(n < 40);
        times[n]++;
    }
    for (n = 0; n < 40; n++) assert_in_range(times[n], 50, 150); /* five standard deviations about 100 */
    const char *p = ask(s, "SET a 1\r\nRANDOMKEY\r\nGET a\r\n");
    assert_memory_equal(p, "+OK\r\n$", 6);
    assert_string_equal(p + strlen(p) - 7, "$1\r\n1\r\n");
    fixture_end_streams(&x);
}

/* The sum of the rows of one name. */
static unsigned long long sum_of(const char *text, const char *name)
{
    unsigned long long sum = 0;
    for (const char *p = text; (p = strstr(p, name)) != NULL; p += strlen(name))
        if (p[strlen(name)] == ' ') sum += strtoull(p + strlen(name), NULL, 10);
    return sum;
}

static unsigned long long sizes_sum(const char *p)
{
    unsigned long long sum = 0, size, count, last = 0;
    for (; sscanf(p, "STAT %llu %llu\r\n", &size, &count) == 2; p = strchr(p, '\n') + 1) {
        assert_true(size % 32 == 0 && size > last && count > 0);
        last = size;
        sum += count;
    }
    assert_string_equal(p, "END\r\n");
    return sum;
}

static void test_stats_classes(void **state)
{
    (void)state;
    unsigned s = fixture_connect(&x, 1, FIXTURE_MEMCACHE);
    assert_string_equal(ask(s, "stats items\r\n"), "END\r\n");
    assert_string_equal(ask(s, "stats sizes\r\n"), "END\r\n");
    assert_string_equal(ask(s, "stats slabs\r\n"), "STAT active_slabs 0\r\nSTAT total_malloced 0\r\nEND\r\n");
    set_keys(KEYS, "key:%u");
    const char *text = ask(s, "stats slabs\r\n");
    assert_int_equal(sum_of(text, ":used_chunks"), KEYS);
    assert_int_equal(sum_of(text, ":total_chunks"), KEYS + sum_of(text, ":free_chunks"));
    assert_int_equal(sum_of(text, "total_malloced") % 8, 0);
    assert_int_equal(sum_of(text, "active_slabs"), sum_of(text, ":total_pages") / 3); /* a page each, on three cores */
    text = ask(s, "stats items\r\n");
    assert_int_equal(sum_of(text, ":number"), KEYS);
    assert_int_equal(sum_of(text, ":evicted") + sum_of(text, ":outofmemory"), 0);
    assert_int_equal(sizes_sum(ask(s, "stats sizes\r\n")), KEYS);
    text = ask(s, "set z 0 0 1 noreply\r\n1\r\nstats sizes\r\nstats items\r\nget z\r\n");
    assert_string_equal(text + strlen(text) - 21, "VALUE z 0 1\r\n1\r\nEND\r\n");
    assert_string_equal(ask(s, "flush_all\r\nstats items\r\n"), "OK\r\nEND\r\n");
    fixture_end_streams(&x);
}

/* What is evicted is told by its class. */
static void test_stats_of_evictions(void **state)
{
    (void)state;
    struct text t = {0};
    unsigned s = fixture_connect(&x, 0, FIXTURE_MEMCACHE);
    for (unsigned n = 0; n < 6000; n++) {
        char key[16];
        t.len = 0;
        snprintf(key, sizeof key, "big:%u", n);
        text_mc_set(&t, key, 7000, n);
        fake_stream_feed(&x.streams[s], t.data, t.len, 2048);
        fixture_settle(&x);
    }
    uint64_t evicted = 0;
    for (unsigned i = 0; i < 3; i++) {
        const struct store_metrics *m = store_metrics(x.cores[i].store);
        evicted += m->evicted_new + m->evicted_cold + m->evicted_page + m->evicted_class;
    }
    assert_true(evicted > 100);
    assert_int_equal(sum_of(ask(s, "stats items\r\n"), ":evicted"), evicted);
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
        cmocka_unit_test_setup_teardown(test_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keys_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_others_go_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keys_of_a_slow_reader, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keys_cut_short, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_random_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stats_classes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stats_of_evictions, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
