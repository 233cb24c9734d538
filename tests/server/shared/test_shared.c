/* Received bytes that the peer can still change (stream_ops.rx_shared): nothing is decided by them where they lie. */
#include <stdarg.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>
#include "server/session.h"
#include "tests/server/fixture.h"
#include "tests/server/text.h"

static struct fixture x;
static struct stream_ops shared_ops;

static unsigned connect_shared(enum fixture_protocol protocol)
{
    unsigned s = fixture_connect(&x, 0, protocol);
    shared_ops = *x.streams[s].stream.ops;
    shared_ops.rx_shared = true;
    x.streams[s].stream.ops = &shared_ops;
    return s;
}

static void feed(unsigned s, const char *text)
{
    fake_stream_feed(&x.streams[s], text, strlen(text), 2048);
}

static void assert_sent(unsigned s, const char *expected)
{
    assert_int_equal(x.streams[s].sent_len, strlen(expected));
    assert_memory_equal(x.streams[s].sent, expected, strlen(expected));
}

/* Where the key lay of the operation that was last in this place of core 0's batch. */
static bool key_was_copied(unsigned place)
{
    const struct core *core = &x.cores[0];
    const uint8_t *key = core->batch.slots[place].key.data;
    return key >= core->scratch.data && key < core->scratch.data + SCRATCH_SIZE;
}

static void test_keys_are_copied(void **state)
{
    (void)state;
    static const char *const sets[] = {"set alpha 0 0 2\r\nab\r\n", "*3\r\n$3\r\nSET\r\n$5\r\nalpha\r\n$2\r\nab\r\n"};
    static const char *const answers[] = {"STORED\r\n", "+OK\r\n"};
    fixture_init(&x, 1, NULL, NULL);
    for (unsigned i = 0; i < 2; i++) {
        unsigned s = connect_shared(i ? FIXTURE_RESP : FIXTURE_MEMCACHE);
        feed(s, sets[i]);
        fixture_settle(&x);
        assert_sent(s, answers[i]);
        assert_true(key_was_copied(0));
        s = fixture_connect(&x, 0, i ? FIXTURE_RESP : FIXTURE_MEMCACHE);
        feed(s, sets[i]);
        fixture_settle(&x);
        assert_sent(s, answers[i]);
        assert_false(key_was_copied(0)); /* those of others are taken where they lie */
    }
    fixture_end_streams(&x);
    fixture_fini(&x);
}

/* A line of many keys of the other core: more than may be out at once, so that the rest is read a second time. */
static struct text line_of_many(void)
{
    struct text t = {0};
    text_print(&t, "get");
    for (unsigned i = 0, found = 0; found < 2 * SESSION_QUEUE_MAX; i++) {
        char name[16];
        int len = snprintf(name, sizeof name, "k%u", i);
        if (core_owner(&x.cores[0], name, (size_t)len) != 1) continue;
        text_print(&t, " %s", name);
        found++;
    }
    text_print(&t, "\r\n");
    return t;
}

static void overwrite(unsigned s, const char *with)
{
    struct rte_mbuf *m = x.streams[s].stream.rx.head;
    assert_non_null(m);
    uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
    assert_true(m->data_len > strlen(with));
    memset(p, ' ', m->data_len);
    memcpy(p, with, strlen(with));
}

/* What it wrote was a get when the half of it was done, and is this now. */
static void line_becomes(const char *with, bool broken)
{
    fixture_init(&x, 2, NULL, NULL);
    struct text line = line_of_many();
    unsigned s = connect_shared(FIXTURE_MEMCACHE), other = fixture_connect(&x, 0, FIXTURE_MEMCACHE);
    fake_stream_feed(&x.streams[s], line.data, line.len, 2048);
    fixture_turn_core(&x, 0);
    assert_int_equal(x.streams[s].consumed, 0); /* half of it is out */
    if (with) overwrite(s, with);
    fixture_settle(&x);
    assert_int_equal(x.streams[s].aborted, broken);
    if (!broken) assert_sent(s, "END\r\n");
    feed(other, "set alpha 0 0 2\r\nab\r\nget alpha\r\n");
    fixture_settle(&x);
    assert_sent(other, "STORED\r\nVALUE alpha 0 2\r\nab\r\nEND\r\n");
    fixture_end_streams(&x);
    fixture_fini(&x);
    text_free(&line);
}

static void test_lines_that_change(void **state)
{
    (void)state;
    line_becomes(NULL, false);
    line_becomes("get k1\r\n", true);
    line_becomes("get k1 \r\n", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_keys_are_copied), cmocka_unit_test(test_lines_that_change)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
