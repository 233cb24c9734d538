/* Connections that fail, stop half-way, do not read, or find the server short of buffers or pins. */
#include <stdarg.h>
#include <setjmp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "server/session.h"
#include "tests/server/fixture.h"
#include "tests/server/text.h"

static struct fixture x;

/* The n-th key that a core owns. */
static const char *key_of(unsigned core, unsigned n)
{
    static char names[4][16];
    static unsigned turn;
    char *name = names[turn++ % 4];
    for (unsigned i = 0;; i++) {
        int len = snprintf(name, sizeof names[0], "k%u", i);
        if (core_owner(&x.cores[0], name, (size_t)len) == core && n-- == 0) return name;
    }
}

static void feed(unsigned s, const struct text *t, uint32_t room)
{
    fake_stream_feed(&x.streams[s], t->data, t->len, room);
}

static void feed_text(unsigned s, const char *text)
{
    fake_stream_feed(&x.streams[s], text, strlen(text), 2048);
}

static void assert_sent(unsigned s, const struct text *expected)
{
    struct fake_stream *f = &x.streams[s];
    size_t i = 0;
    while (i < f->sent_len && i < expected->len && f->sent[i] == (uint8_t)expected->data[i]) i++;
    if (i == f->sent_len && i == expected->len) return;
    fail_msg("%zu bytes, not %zu; at %zu '%.*s' not '%.*s'", f->sent_len, expected->len, i,
             (int)RTE_MIN(f->sent_len - i, (size_t)80), f->sent + i, (int)RTE_MIN(expected->len - i, (size_t)80),
             expected->data + i);
}

/* What another connection is answered. */
static void assert_answer(const char *request, const struct text *expected)
{
    unsigned s = fixture_connect(&x, 0, FIXTURE_MEMCACHE);
    feed_text(s, request);
    fixture_settle(&x);
    assert_sent(s, expected);
}

static void assert_answer_text(const char *request, const char *expected)
{
    struct text t = {.data = (char *)(uintptr_t)expected, .len = strlen(expected)};
    assert_answer(request, &t);
}

static struct text get_of(const char *key)
{
    struct text t = {0};
    text_print(&t, "get %s\r\n", key);
    text_add(&t, "", 1);
    return t;
}

static void text_value(struct text *t, const char *key, size_t n, unsigned seed)
{
    text_print(t, "VALUE %s %u %zu\r\n", key, seed, n);
    text_pattern(t, n, seed);
    text_add(t, "\r\n", 2);
}

/* ---- errors ---- */

/* A reset when a value of which half has come is with its owner: nowhere yet, asked for, or reserved. */
static void reset_in_value(unsigned owner, unsigned phase, bool resp)
{
    struct text t = {0};
    const char *key = key_of(owner, 3);
    if (resp)
        text_print(&t, "*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$100000\r\n", strlen(key), key);
    else
        text_print(&t, "set %s 0 0 100000\r\n", key);
    text_pattern(&t, 50000, 1);
    unsigned s = fixture_connect(&x, 0, resp ? FIXTURE_RESP : FIXTURE_MEMCACHE);
    feed(s, &t, 2048);
    if (phase == 0) fixture_settle(&x);
    if (phase >= 1) fixture_turn_core(&x, 0);
    if (phase == 1 && owner == 1) assert_int_equal(store_metrics(x.cores[1].store)->writes_open, 0);
    if (phase >= 2) fixture_turn_core(&x, 1);
    if (phase != 1 || owner == 0) assert_int_equal(store_metrics(x.cores[owner].store)->writes_open, 1);
    fake_stream_error(&x.streams[s], ECONNRESET);
    fixture_turn_core(&x, 0);
    assert_true(x.streams[s].aborted);
    fixture_settle(&x);
    assert_int_equal(store_metrics(x.cores[owner].store)->writes_open, 0);
    struct text get = get_of(key);
    assert_answer_text(get.data, "END\r\n");
    fixture_end_streams(&x);
    text_free(&get);
    text_free(&t);
}

static void test_reset_in_value(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 12; i++) reset_in_value(i & 1, i / 4, i & 2);
}

/* Half close in the middle of a value: the request is not answered, the earlier ones are. */
static void test_eof_in_value(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct text t = {0};
        text_print(&t, "set a 0 0 1\r\na\r\nset %s 0 0 100000\r\n", key_of(i & 1, 3));
        text_pattern(&t, 50000, 1);
        unsigned s = fixture_connect(&x, 0, FIXTURE_MEMCACHE);
        feed(s, &t, 2048);
        if (i & 2) fixture_settle(&x);
        fake_stream_eof(&x.streams[s]);
        fixture_settle(&x);
        assert_true(x.streams[s].closed);
        assert_int_equal(x.streams[s].sent_len, strlen("STORED\r\n"));
        fixture_end_streams(&x);
        text_free(&t);
    }
}

/* A reset while another core is about to copy a value out of our buffers: they stay until it has. */
static void test_reset_while_lent(void **state)
{
    (void)state;
    struct text t = {0}, expected = {0};
    const char *key = key_of(1, 5);
    text_mc_set(&t, key, 1000, 7);
    unsigned s = fixture_connect(&x, 0, FIXTURE_MEMCACHE);
    feed(s, &t, 100);
    fixture_turn_core(&x, 0);
    fake_stream_error(&x.streams[s], ECONNRESET);
    for (unsigned i = 0; i < 5; i++) fixture_turn_core(&x, 0);
    assert_false(x.streams[s].aborted);
    assert_true(buf_pools_in_use(&x.rx) >= 10);
    fixture_settle(&x);
    assert_true(x.streams[s].aborted);
    assert_int_equal(buf_pools_in_use(&x.rx), 0);
    text_value(&expected, key, 1000, 7);
    text_print(&expected, "END\r\n");
    struct text get = get_of(key);
    assert_answer(get.data, &expected);
    fixture_end_streams(&x);
    text_free(&get);
    text_free(&expected);
    text_free(&t);
}

/* An earlier write whose value went along with it is answered while a later one still lies in our buffers. */
static void test_lent_behind_inline(void **state)
{
    (void)state;
    struct text t = {0}, expected = {0};
    const char *first = key_of(1, 1), *second = key_of(1, 2);
    unsigned s = fixture_connect(&x, 0, FIXTURE_RESP);
    text_print(&t, "SET %s inline\r\n", first);
    feed(s, &t, 2048);
    fixture_turn_core(&x, 0);
    fixture_turn_core(&x, 1);
    t.len = 0;
    text_print(&t, "*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$1000\r\n", strlen(second), second);
    text_pattern(&t, 1000, 9);
    text_print(&t, "\r\n");
    feed(s, &t, 100);
    session_poll(&x.cores[0], &x.now);
    mailbox_flush(&x.cores[0], &x.now);
    uint32_t held = buf_pools_in_use(&x.rx);
    assert_true(held >= 10);
    for (unsigned i = 0; i < 3; i++) fixture_turn_core(&x, 0);
    assert_int_equal(buf_pools_in_use(&x.rx), held);
    fixture_settle(&x);
    text_print(&expected, "+OK\r\n+OK\r\n");
    assert_sent(s, &expected);
    expected.len = 0;
    text_print(&expected, "VALUE %s 0 1000\r\n", second);
    text_pattern(&expected, 1000, 9);
    text_print(&expected, "\r\nEND\r\n");
    struct text get = get_of(second);
    assert_answer(get.data, &expected);
    fixture_end_streams(&x);
    text_free(&get);
    text_free(&expected);
    text_free(&t);
}

/* ---- floods ---- */

static void fill_keys(unsigned count, size_t bytes)
{
    struct text t = {0}, expected = {0};
    unsigned s = fixture_connect(&x, 0, FIXTURE_MEMCACHE);
    for (unsigned i = 0; i < count; i++) {
        char key[16];
        snprintf(key, sizeof key, "m%u", i);
        text_mc_set(&t, key, bytes, i);
        text_print(&expected, "STORED\r\n");
    }
    for (size_t off = 0; off < t.len; off += 65536) {
        fake_stream_feed(&x.streams[s], t.data + off, RTE_MIN(t.len - off, (size_t)65536), 2048);
        fixture_settle(&x);
    }
    assert_sent(s, &expected);
    text_free(&expected);
    text_free(&t);
}

static void text_gets(struct text *t, struct text *expected, unsigned count, unsigned keys, size_t bytes)
{
    for (unsigned i = 0; i < count; i++) {
        char key[16];
        snprintf(key, sizeof key, "m%u", i % keys);
        text_print(t, "get %s\r\n", key);
        text_value(expected, key, bytes, i % keys);
        text_print(expected, "END\r\n");
    }
}

/* A client that shuts down its side at once still gets every answer, however many wait for other cores or for it. */
static void half_close(size_t bytes, unsigned count, bool slow)
{
    struct text t = {0}, expected = {0};
    fill_keys(20, bytes);
    text_gets(&t, &expected, count, 20, bytes);
    unsigned s = fixture_connect(&x, 0, FIXTURE_MEMCACHE);
    x.stuck[s] = slow;
    feed(s, &t, 2048);
    fake_stream_eof(&x.streams[s]);
    fixture_settle(&x);
    while (fake_stream_deliver(&x.streams[s], 10000)) fixture_turn(&x);
    fixture_settle(&x);
    assert_true(x.streams[s].closed);
    fake_stream_deliver(&x.streams[s], UINT32_MAX);
    assert_sent(s, &expected);
    fixture_end_streams(&x);
    text_free(&expected);
    text_free(&t);
}

static void test_half_close(void **state)
{
    (void)state;
    half_close(10, 3000, false);
    half_close(10, 3000, true);
    half_close(3000, 600, false);
    half_close(3000, 600, true);
    half_close(100000, 40, false);
    half_close(100000, 40, true);
}

/* Output stalls at its limit and goes on as the peer reads. */
static void test_peer_reads_slowly(void **state)
{
    (void)state;
    struct text t = {0}, expected = {0};
    fill_keys(20, 3000);
    text_gets(&t, &expected, 2000, 20, 3000);
    unsigned s = fixture_connect(&x, 0, FIXTURE_MEMCACHE);
    x.stuck[s] = true;
    feed(s, &t, 2048);
    fixture_settle(&x);
    struct fake_stream *f = &x.streams[s];
    assert_true(f->stream.tx_queued >= x.config.output_limit / 2);
    assert_true(x.cores[0].metrics.stalls_output > 0);
    assert_false(f->closed || f->aborted);
    while (fake_stream_deliver(f, 50000)) fixture_turn(&x);
    fixture_settle(&x);
    while (fake_stream_deliver(f, 50000)) fixture_settle(&x);
    assert_true(f->most_queued <= x.config.output_limit + BATCH_MAX * 3100u);
    assert_sent(s, &expected);
    fixture_end_streams(&x);
    text_free(&expected);
    text_free(&t);
}

static void test_thousand_keys(void **state)
{
    (void)state;
    struct text t = {0}, expected = {0};
    fill_keys(1000, 300);
    text_print(&t, "get");
    for (unsigned i = 0; i < 1000; i++) {
        char key[16];
        snprintf(key, sizeof key, "m%u", i);
        text_print(&t, " %s none%u", key, i);
        text_value(&expected, key, 300, i);
    }
    text_print(&t, "\r\n");
    text_print(&expected, "END\r\n");
    for (uint32_t room = 3; room < 2048; room = room * 3 + 1) {
        unsigned s = fixture_connect(&x, 0, FIXTURE_MEMCACHE);
        feed(s, &t, room);
        fixture_settle(&x);
        assert_sent(s, &expected);
    }
    t.len = expected.len = 0;
    text_print(&t, "*1001\r\n$4\r\nMGET\r\n");
    text_print(&expected, "*1000\r\n");
    for (unsigned i = 0; i < 1000; i++) {
        text_print(&t, "$%u\r\nm%u\r\n", i < 10 ? 2 : i < 100 ? 3 : 4, i);
        text_print(&expected, "$300\r\n");
        text_pattern(&expected, 300, i);
        text_print(&expected, "\r\n");
    }
    unsigned s = fixture_connect(&x, 0, FIXTURE_RESP);
    feed(s, &t, 5);
    fixture_settle(&x);
    assert_sent(s, &expected);
    fixture_end_streams(&x);
    text_free(&expected);
    text_free(&t);
}

static void test_flush_all(void **state)
{
    (void)state;
    fill_keys(100, 10);
    struct text t = {0};
    text_print(&t, "flush_all\r\nget");
    for (unsigned i = 0; i < 100; i++) text_print(&t, " m%u", i);
    text_print(&t, "\r\nset m1 0 0 1\r\n1\r\nset m2 0 0 1\r\n2\r\nset m3 0 0 1\r\n3\r\nget m1 m2 m3 m4\r\n");
    text_add(&t, "", 1);
    assert_answer_text(t.data, "OK\r\nEND\r\nSTORED\r\nSTORED\r\nSTORED\r\n"
                               "VALUE m1 0 1\r\n1\r\nVALUE m2 0 1\r\n2\r\nVALUE m3 0 1\r\n3\r\nEND\r\n");
    fixture_end_streams(&x);
    text_free(&t);
}

/* ---- shortage ---- */

#define HELD_MAX 65536u
static struct rte_mbuf *held[HELD_MAX];

static unsigned drain(struct rte_mempool *pool, unsigned count)
{
    while (count < HELD_MAX && (held[count] = rte_pktmbuf_alloc(pool))) count++;
    return count;
}

/* Requests wait for buffers, then go on; nobody is answered wrongly or cut off. */
static void out_of_buffers(bool small, bool ref)
{
    struct text t = {0}, expected = {0};
    fill_keys(20, 3000);
    text_gets(&t, &expected, 100, 20, 3000);
    unsigned count = 0;
    if (small) count = drain(x.cores[0].pools.small, count);
    if (ref) count = drain(x.cores[0].pools.ref, count);
    assert_true(count < HELD_MAX);
    unsigned s = fixture_connect(&x, 0, FIXTURE_MEMCACHE);
    feed(s, &t, 2048);
    for (unsigned i = 0; i < 100; i++) fixture_turn(&x);
    assert_int_equal(x.streams[s].sent_len, 0);
    assert_false(x.streams[s].aborted || x.streams[s].closed);
    while (count) rte_pktmbuf_free(held[--count]);
    fixture_settle(&x);
    assert_sent(s, &expected);
    fixture_end_streams(&x);
    text_free(&expected);
    text_free(&t);
}

static void test_out_of_buffers(void **state)
{
    (void)state;
    out_of_buffers(true, false);
    out_of_buffers(false, true);
    out_of_buffers(true, true);
}

/* All pins of a shard, on values of its own. */
static unsigned take_pins(unsigned core, struct store_pin **pins)
{
    struct store *store = x.cores[core].store;
    unsigned count = 0;
    for (unsigned i = 0; i < HELD_MAX; i++) {
        char name[16];
        struct store_value value;
        int len = snprintf(name, sizeof name, "pin%u", i);
        struct store_key key = {(const uint8_t *)name, (uint32_t)len, store_hash(name, (size_t)len)};
        assert_int_equal(store_set(store, &key, "v", 1, NULL, STORE_SET, 0, x.now.unix_ms), STORE_OK);
        assert_int_equal(store_get(store, &key, x.now.unix_ms, &value), STORE_OK);
        struct store_pin *pin = store_pin(store, value.item);
        if (!pin) return count;
        pins[count++] = pin;
    }
    fail_msg("pins without end");
    return 0;
}

/* A value that cannot be held until it is sent is an error, not a miss; the answer keeps its form. */
static void test_out_of_pins(void **state)
{
    (void)state;
    struct text t = {0}, expected = {0};
    static struct store_pin *pins[HELD_MAX];
    const char *remote = key_of(1, 2), *local = key_of(0, 2);
    text_mc_set(&t, remote, 1000, 1);
    text_mc_set(&t, local, 1000, 2);
    text_add(&t, "", 1);
    assert_answer_text(t.data, "STORED\r\nSTORED\r\n");
    unsigned count = take_pins(1, pins);
    count += take_pins(0, pins + count);
    unsigned s = fixture_connect(&x, 0, FIXTURE_RESP);
    t.len = 0;
    text_print(&t, "GET %s\r\nMGET %s none %s\r\n", remote, remote, local);
    feed(s, &t, 2048);
    fixture_settle(&x);
    static const char oom[] = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
    text_print(&expected, "%s*3\r\n%s$-1\r\n%s", oom, oom,
               oom); /* the local one is held too: it waits behind the first */
    assert_sent(s, &expected);
    t.len = expected.len = 0;
    text_print(&t, "get %s none\r\nget none %s none\r\nget none\r\n", remote, remote);
    text_add(&t, "", 1);
    static const char error[] = "SERVER_ERROR out of memory writing get response\r\n";
    text_print(&expected, "%s%sEND\r\n", error, error);
    assert_answer(t.data, &expected);
    unsigned of_one = (unsigned)store_metrics(x.cores[1].store)->pins;
    for (unsigned i = 0; i < count; i++) store_unpin(x.cores[i < of_one].store, pins[i]);
    fixture_end_streams(&x);
    text_free(&expected);
    text_free(&t);
}

/* A refused value takes the old one with it, though its line lay in pieces and others followed in the same turn. */
static void test_too_large_drops_stale(void **state)
{
    (void)state;
    struct text t = {0};
    fixture_fini(&x);
    fixture_init(&x, 2, "--max-value-size", "2k");
    for (unsigned core = 0; core < 2; core++) {
        t.len = 0;
        const char *key = key_of(core, 4);
        text_print(&t, "set %s 0 0 1\r\na\r\nset %s 0 0 3000\r\n", key, key);
        text_pattern(&t, 3000, 1);
        text_print(&t, "\r\nget %s\r\nget another-key-that-is-long\r\n", key);
        unsigned s = fixture_connect(&x, 0, FIXTURE_MEMCACHE);
        feed(s, &t, 3);
        fixture_settle(&x);
        struct text expected = {0};
        text_print(&expected, "STORED\r\nSERVER_ERROR object too large for cache\r\nEND\r\nEND\r\n");
        assert_sent(s, &expected);
        text_free(&expected);
    }
    fixture_end_streams(&x);
    fixture_fini(&x);
    fixture_init(&x, 2, NULL, NULL);
    text_free(&t);
}

static int set_up(void **state)
{
    (void)state;
    fixture_init(&x, 2, NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_fini(&x);
    return 0;
}

static int clear(void **state)
{
    (void)state;
    fixture_clear(&x);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup(name, clear)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_reset_in_value),       TEST(test_eof_in_value),
                                       TEST(test_reset_while_lent),     TEST(test_lent_behind_inline),
                                       TEST(test_half_close),           TEST(test_peer_reads_slowly),
                                       TEST(test_thousand_keys),        TEST(test_flush_all),
                                       TEST(test_out_of_buffers),       TEST(test_out_of_pins),
                                       TEST(test_too_large_drops_stale)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
