/*
 * Conversations whose answers may not depend on how the requests arrive: at once, split in two anywhere, byte by byte,
 * in buffers of any size, with the keys on one core or on two.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/server/fixture.h"
#include "tests/server/text.h"

#define SPLITS_MAX 700u /* places to split a longer conversation at */
#define BYTEWISE_MAX 3000u
#define RANDOM_RUNS 12u

static struct fixture one, two;

static uint64_t random_state = 88172645463325252u;

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 16) % n;
}

/* ---- conversations ---- */

static void mc_small(struct text *t)
{
    text_print(t, "set a 1 0 3\r\nabc\r\nset b 2 0 0\r\n\r\nget a b c\r\nget a\r\nget none\r\n");
    text_print(t, "append a 0 0 2\r\nde\r\nprepend a 0 0 1\r\n_\r\nget a\r\nadd a 0 0 1\r\nx\r\nadd c 9 0 1\r\ny\r\n");
    text_print(
        t, "replace nope 0 0 1\r\nz\r\nreplace c 4 0 2\r\nzz\r\ngat 1000 a c none\r\ntouch a 100\r\ntouch no 1\r\n");
    text_print(
        t, "set n 0 0 2\r\n41\r\nincr n 1\r\ndecr n 100\r\nincr n 18446744073709551615\r\nincr n 1\r\nincr a 1\r\n");
    text_print(t, "incr none 1\r\nincr n x\r\nget a b c n d e f g h i j k l m\r\n");
    text_print(t, "delete a\r\ndelete a\r\nget a\r\nget b\r\n");
}

static void mc_errors(struct text *t)
{
    text_print(
        t, "bogus\r\nget\r\n\r\nset\r\nset a b c\r\nset k 0 0 3\r\nabcd\r\nget k\r\nset k 0 0 3\r\nabc\r\nget k\r\n");
    text_print(t, "set k2 0 0 -1\r\nget k k2\r\nset big 0 0 300000\r\n");
    text_pattern(t, 300000, 1);
    text_print(t, "\r\nget big\r\nset k 0 0 262145\r\n");
    text_pattern(t, 262145, 1);
    text_print(t, "\r\nget k\r\nget ");
    for (int i = 0; i < 251; i++) text_print(t, "k");
    text_print(t, "\r\nget x ");
    for (int i = 0; i < 251; i++) text_print(t, "k");
    text_print(t, "\r\nversion\r\nverbosity 1\r\ncas k 0 0 1 1\r\nq\r\n");
}

static void mc_noreply(struct text *t)
{
    text_print(t, "set a 0 0 1 noreply\r\n1\r\nincr a 5 noreply\r\nget a\r\nset b 0 0 2 noreply\r\nbbb\r\nget b\r\n");
    text_print(t,
               "add c 0 0 1 noreply\r\nc\r\nappend c 0 0 1 noreply\r\nd\r\nget c a\r\ndelete c noreply\r\nget c\r\n");
    text_print(t, "touch a 100 noreply\r\nflush_all noreply\r\nget a\r\nset z 0 0 1\r\nz\r\nflush_all\r\nget "
                  "z\r\nquit\r\nget z\r\n");
}

static void mc_values(struct text *t)
{
    static const size_t sizes[] = {1, 255, 256, 257, 4000, 32768, 32769, 40000, 70000, 200000, 262144};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char key[16];
        snprintf(key, sizeof key, "v%u", i);
        text_mc_set(t, key, sizes[i], i);
        text_print(t, "get %s\r\nget v0 v1 v2\r\n", key);
    }
    text_print(t, "append v6 0 0 40000\r\n");
    text_pattern(t, 40000, 77);
    text_print(t, "\r\nget v6 v7 v8 v9 v10\r\nset v5 0 0 50000\r\n");
    text_pattern(t, 50000, 3);
    text_print(t, "xyget v5\r\nadd v5 0 0 50000\r\n"); /* a bad end: nothing is stored, "xy" is taken */
    text_pattern(t, 50000, 3);
    text_print(t, "\r\nget v5\r\n");
}

static void resp_small(struct text *t)
{
    static const char *const commands[] = {"PING",
                                           "SET a 1",
                                           "GET a",
                                           "INCR a",
                                           "INCRBY a 40",
                                           "DECR a",
                                           "DECRBY a 5",
                                           "INCRBYFLOAT a 0.5",
                                           "GET a",
                                           "INCR a",
                                           "SET b @300",
                                           "GET b",
                                           "APPEND b @20",
                                           "STRLEN b",
                                           "GET b",
                                           "APPEND new x",
                                           "SETNX new y",
                                           "SETNX newer y",
                                           "GETSET newer z",
                                           "SET c v EX 100",
                                           "TTL c",
                                           "SET c w KEEPTTL",
                                           "TTL c",
                                           "SET c x NX",
                                           "SET c x XX GET",
                                           "SET nope x XX",
                                           "SET c x EX 0",
                                           "SET c x EX a",
                                           "SET c x WHAT",
                                           "SET c x EX",
                                           "PERSIST c",
                                           "TTL c",
                                           "EXPIRE c 100 GT",
                                           "EXPIRE c 100 NX",
                                           "EXPIRE c 50 LT",
                                           "EXPIRE c 1 HM",
                                           "TYPE c",
                                           "TYPE no",
                                           "MSET k1 @10 k2 @400 k3 @3 k4 @0 k5 @5000 k6 @1",
                                           "MGET k1 k2 k3 none k4 k5 k6 k7",
                                           "EXISTS k1 k2 no k3",
                                           "DEL k1 k2 k3 no",
                                           "DEL k1",
                                           "MSET k1",
                                           "MGET",
                                           "NOSUCH x y",
                                           "SETEX s 100 v",
                                           "SETEX s 0 v",
                                           "PSETEX s 5 v",
                                           "TTL s",
                                           "ECHO @100",
                                           "SELECT 0",
                                           "SELECT 1",
                                           "CLIENT ID",
                                           "HELLO 3",
                                           "GET none",
                                           "MGET none a",
                                           "HELLO 2",
                                           "GET none",
                                           "COMMAND COUNT",
                                           "DBSIZE",
                                           "FLUSHALL",
                                           "DBSIZE",
                                           "MGET a b c"};
    for (unsigned i = 0; i < sizeof commands / sizeof *commands; i++) text_resp(t, commands[i]);
}

static void resp_inline_lines(struct text *t)
{
    text_print(t, "PING\r\nSET a 1\r\nSET b \"two words\\r\\n\"\nGET b\r\nGET a\r\nSET c 1\r\nSET d 2\r\nSET e 3\r\n");
    text_resp(t, "SET f @600");
    text_resp(t, "SET g @601");
    text_print(
        t, "MSET a 1 b 2 c 3 d 4 e 5 f 6 g 7\r\nMGET a b c d e f g h\r\nDEL a b c d\r\nSET a 1 EX\r\nSET a 1 NX\r\n");
    text_print(t, "SET x @\r\n\r\n*0\r\nINCR a\r\nEXISTS a a a zz\r\nSET q 'open\r\nGET a\r\n");
}

static void resp_values(struct text *t)
{
    static const char *const commands[] = {"SET a @40000",
                                           "GET a",
                                           "SET b @40000 EX 100",
                                           "TTL b",
                                           "GET b",
                                           "SET b @40001 KEEPTTL GET",
                                           "TTL b",
                                           "SET b @50000 WHAT",
                                           "STRLEN b",
                                           "SET b @50000 NX",
                                           "STRLEN b",
                                           "GETSET b @200000",
                                           "STRLEN b",
                                           "MSET a @33000 b @33001 c @200000 d @1 e @40000",
                                           "MGET a b c d e",
                                           "APPEND a @40000",
                                           "STRLEN a",
                                           "GET a",
                                           "SET big @300000",
                                           "SET big @300000 EX 10",
                                           "GET big",
                                           "MSET x @1 big @300000 y @2",
                                           "MGET x big y",
                                           "SETEX s 100 @60000",
                                           "STRLEN s",
                                           "SETEX s 0 @60000",
                                           "STRLEN s",
                                           "SETNX s @50000",
                                           "SETNX t @50000",
                                           "PING",
                                           "SET u @50000 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17",
                                           "PING",
                                           "BAD @50000",
                                           "GET @100000"};
    for (unsigned i = 0; i < sizeof commands / sizeof *commands; i++) text_resp(t, commands[i]);
}

static void resp_nonsense(struct text *t)
{
    text_resp(t, "SET a 1");
    text_resp(t, "GET a");
    text_print(t, "*2\r\n$3\r\nGET\r\n:5\r\n");
    text_resp(t, "GET a");
}

/* ---- running them ---- */

struct answer {
    uint8_t *data;
    size_t len;
};

static unsigned start(struct fixture *x, enum fixture_protocol protocol)
{
    fixture_clear(x);
    return fixture_connect(x, 0, protocol);
}

/* Ends the connection as a client does, checks that nothing is left, and compares with the answer or keeps it as such.
 */
static void finish(struct fixture *x, unsigned stream, struct answer *expected, const char *how, size_t at)
{
    struct fake_stream *f = &x->streams[stream];
    fixture_settle(x);
    fake_stream_eof(f);
    fixture_settle(x);
    assert_true(f->closed);
    if (!expected->data) {
        expected->len = f->sent_len;
        expected->data = malloc(f->sent_len + 1);
        memcpy(expected->data, f->sent, f->sent_len);
    } else if (f->sent_len != expected->len || memcmp(f->sent, expected->data, expected->len) != 0) {
        size_t i = 0;
        while (i < f->sent_len && i < expected->len && f->sent[i] == expected->data[i]) i++;
        size_t from = i > 40 ? i - 40 : 0;
        fail_msg("%s %zu on %u cores: %zu bytes, not %zu; at %zu: '%.*s' not '%.*s'", how, at, x->config.core_count,
                 f->sent_len, expected->len, i, (int)RTE_MIN(f->sent_len - from, (size_t)120), f->sent + from,
                 (int)RTE_MIN(expected->len - from, (size_t)120), expected->data + from);
    }
    fixture_end_streams(x);
}

static void run_whole(struct fixture *x, enum fixture_protocol protocol, const struct text *t, struct answer *expected)
{
    unsigned s = start(x, protocol);
    fake_stream_feed(&x->streams[s], t->data, t->len, 2048);
    finish(x, s, expected, "whole", 0);
}

static void run_split(struct fixture *x, enum fixture_protocol protocol, const struct text *t, size_t at,
                      struct answer *expected)
{
    unsigned s = start(x, protocol);
    fake_stream_feed(&x->streams[s], t->data, at, 2048);
    fixture_settle(x);
    fake_stream_feed(&x->streams[s], t->data + at, t->len - at, 2048);
    finish(x, s, expected, "split at", at);
}

static void run_bytewise(struct fixture *x, enum fixture_protocol protocol, const struct text *t,
                         struct answer *expected)
{
    unsigned s = start(x, protocol);
    for (size_t i = 0; i < t->len; i++) {
        fake_stream_feed(&x->streams[s], t->data + i, 1, 1 + (uint32_t)(i & 1));
        fixture_turn(x);
    }
    finish(x, s, expected, "byte by byte", 0);
}

static void run_random(struct fixture *x, enum fixture_protocol protocol, const struct text *t, unsigned seed,
                       struct answer *expected)
{
    random_state = 88172645463325252u + seed * UINT64_C(0x9e3779b97f4a7c15);
    unsigned s = start(x, protocol);
    uint32_t longest = 1u << random_below(16);
    for (size_t i = 0; i < t->len;) {
        uint32_t room = 1 + random_below(100);
        size_t n = 1 + random_below(RTE_MIN(longest, 2000 * room));
        if (n > t->len - i) n = t->len - i;
        fake_stream_feed(&x->streams[s], t->data + i, n, room);
        i += n;
        for (unsigned turns = random_below(4); turns; turns--) {
            if (random_below(2))
                fixture_turn(x);
            else
                fixture_turn_core(x, random_below(x->config.core_count));
        }
        if (buf_pools_in_use(&x->rx) > 12000) fixture_settle(x);
    }
    finish(x, s, expected, "seed", seed);
}

static void converse(enum fixture_protocol protocol, void (*compose)(struct text *))
{
    struct text t = {0};
    struct answer expected = {0};
    compose(&t);
    run_whole(&one, protocol, &t, &expected);
    assert_true(expected.len > 0);
    struct fixture *both[] = {&one, &two};
    for (unsigned i = 0; i < 2; i++) {
        run_whole(both[i], protocol, &t, &expected);
        size_t step = t.len > SPLITS_MAX ? t.len / SPLITS_MAX + 1 : 1;
        if (t.len > 100000) step = t.len / 40;
        for (size_t at = 1; at < t.len; at += step) run_split(both[i], protocol, &t, at, &expected);
        if (t.len <= BYTEWISE_MAX) run_bytewise(both[i], protocol, &t, &expected);
        for (unsigned seed = 0; seed < RANDOM_RUNS; seed++) run_random(both[i], protocol, &t, seed, &expected);
    }
    free(expected.data);
    text_free(&t);
}

#define CONVERSATION(name, protocol)                                                                                   \
    static void test_##name(void **state)                                                                              \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        converse(protocol, name);                                                                                      \
    }
CONVERSATION(mc_small, FIXTURE_MEMCACHE)
CONVERSATION(mc_errors, FIXTURE_MEMCACHE)
CONVERSATION(mc_noreply, FIXTURE_MEMCACHE)
CONVERSATION(mc_values, FIXTURE_MEMCACHE)
CONVERSATION(resp_small, FIXTURE_RESP)
CONVERSATION(resp_inline_lines, FIXTURE_RESP)
CONVERSATION(resp_values, FIXTURE_RESP)
CONVERSATION(resp_nonsense, FIXTURE_RESP)

static int set_up(void **state)
{
    (void)state;
    fixture_init(&one, 1, NULL, NULL);
    fixture_init(&two, 2, NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_fini(&one);
    fixture_fini(&two);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mc_small),    cmocka_unit_test(test_mc_errors),
                                       cmocka_unit_test(test_mc_noreply),  cmocka_unit_test(test_mc_values),
                                       cmocka_unit_test(test_resp_small),  cmocka_unit_test(test_resp_inline_lines),
                                       cmocka_unit_test(test_resp_values), cmocka_unit_test(test_resp_nonsense)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
