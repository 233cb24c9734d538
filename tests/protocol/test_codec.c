#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "client/codec.h"
#include "protocol/memcache/parse.h"
#include "protocol/memcache/reply.h"
#include "protocol/resp/parse.h"
#include "protocol/resp/reply.h"
#include "tests/protocol/text.h"

#define MAX_VALUE 1048576u

static void key_fill(uint8_t *key, size_t len)
{
    for (size_t i = 0; i < len; i++) key[i] = (uint8_t)('a' + i % 26);
}

/* ---- requests: what is composed is what the servers' parsers read ---- */

static void assert_memcache_requests(struct slice key, uint32_t value_len)
{
    struct mc_request r;
    uint8_t *dst = malloc(128 + key.len);
    uint32_t len = codec_set_head(CODEC_MEMCACHE, dst, key, value_len);
    assert_int_equal(mc_parse(dst, len, UINT32_MAX, &r), MC_OK);
    assert_int_equal(r.line_len, len);
    assert_int_equal(r.command, MC_set);
    assert_true(slice_equal(r.key, key));
    assert_int_equal(r.value_len, value_len);
    assert_int_equal(r.flags, 0);
    assert_true(r.exptime == 0);
    assert_false(r.noreply);

    len = codec_get(CODEC_MEMCACHE, dst, key);
    assert_int_equal(mc_parse(dst, len, UINT32_MAX, &r), MC_OK);
    assert_int_equal(r.line_len, len);
    assert_int_equal(r.command, MC_get);
    assert_true(slice_equal(r.key, key));
    assert_int_equal(mc_next_key(&r.more, &key), 0);
    free(dst);
}

/* Reads the header and args whole arguments; returns the bytes read. */
static size_t resp_args_read(struct slice text, int64_t want_argc, struct slice *args, int count)
{
    int64_t argc;
    uint32_t used;
    struct slice error;
    assert_int_equal(resp_parse_header(text.data, text.len, &argc, &used, &error), RESP_OK);
    assert_true(argc == want_argc);
    size_t at = used;
    for (int i = 0; i < count; i++) {
        uint64_t len;
        assert_int_equal(resp_parse_bulk(text.data + at, text.len - at, UINT64_MAX, &len, &used, &error), RESP_OK);
        args[i] = (struct slice){text.data + at + used, len};
        at += used + len;
        assert_memory_equal(text.data + at, "\r\n", 2);
        at += 2;
    }
    return at;
}

static void assert_resp_requests(struct slice key, uint32_t value_len)
{
    struct slice args[2], error;
    uint8_t *dst = malloc(128 + key.len);
    uint32_t len = codec_set_head(CODEC_RESP, dst, key, value_len), used;
    uint64_t bulk_len;
    size_t at = resp_args_read((struct slice){dst, len}, 3, args, 2);
    assert_int_equal(resp_command_find(args[0]), RESP_CMD_set);
    assert_true(slice_equal(args[1], key));
    assert_int_equal(resp_parse_bulk(dst + at, len - at, UINT64_MAX, &bulk_len, &used, &error), RESP_OK);
    assert_true(bulk_len == value_len);
    assert_int_equal(at + used, len);

    len = codec_get(CODEC_RESP, dst, key);
    assert_int_equal(resp_args_read((struct slice){dst, len}, 2, args, 2), len);
    assert_int_equal(resp_command_find(args[0]), RESP_CMD_get);
    assert_true(slice_equal(args[1], key));
    free(dst);
}

static void test_requests(void **state)
{
    (void)state;
    static const uint32_t value_lens[] = {0, 1, 9, 10, 100, MAX_VALUE, 536870912, 2147483645};
    uint8_t key[250];
    key_fill(key, sizeof(key));
    for (size_t len = 1; len <= sizeof(key); len += len < 20 ? 1 : 23) {
        for (size_t i = 0; i < sizeof(value_lens) / sizeof(value_lens[0]); i++) {
            assert_memcache_requests((struct slice){key, len}, value_lens[i]);
            assert_resp_requests((struct slice){key, len}, value_lens[i]);
        }
    }
    uint8_t binary[] = {0, '\r', '\n', ' ', 0xff, '$'};
    assert_resp_requests((struct slice){binary, sizeof(binary)}, UINT32_MAX);
}

static void test_tail(void **state)
{
    (void)state;
    uint8_t dst[2];
    assert_int_equal(codec_set_tail(CODEC_MEMCACHE, dst), 2);
    assert_memory_equal(dst, "\r\n", 2);
    assert_int_equal(codec_set_tail(CODEC_RESP, dst), 2);
    assert_true(slice_equal(codec_tail(CODEC_MEMCACHE), slice_of("\r\nEND\r\n")));
    assert_true(slice_equal(codec_tail(CODEC_RESP), slice_of("\r\n")));
}

/* ---- replies ---- */

/* A prefix of a good head is never more than "need more"; what follows changes nothing. */
static enum codec_status parse_every_way(enum codec_protocol protocol, bool is_get, struct slice text,
                                         struct codec_reply *reply)
{
    enum codec_status status = codec_parse(protocol, is_get, text.data, text.len, reply);
    size_t head_len = status == CODEC_OK ? reply->head_len : text.len;
    for (size_t n = 0; n < head_len; n++) {
        struct slice part = exact_copy(text, n);
        struct codec_reply early;
        enum codec_status got = codec_parse(protocol, is_get, part.data, n, &early);
        assert_true(got == CODEC_NEED_MORE || (got == CODEC_BAD && status == CODEC_BAD));
        exact_free(part);
    }
    return status;
}

struct reply_row {
    enum codec_protocol protocol;
    bool is_get;
    const char *text;
    enum codec_kind kind;
    uint32_t value_len;
    const char *said; /* text of a refusal, or the key of a hit */
};

static void test_good_replies(void **state)
{
    (void)state;
    static const struct reply_row rows[] = {
        {CODEC_MEMCACHE, true, "VALUE k 0 5\r\n", CODEC_HIT, 5, "k"},
        {CODEC_MEMCACHE, true, "VALUE key:1 4294967295 4294967295\r\n", CODEC_HIT, UINT32_MAX, "key:1"},
        {CODEC_MEMCACHE, true, "VALUE k 7 0 18446744073709551615\r\n", CODEC_HIT, 0, "k"},
        {CODEC_MEMCACHE, true, "END\r\n", CODEC_MISS, 0, ""},
        {CODEC_MEMCACHE, true, "ERROR\r\n", CODEC_REFUSED, 0, "ERROR"},
        {CODEC_MEMCACHE, true, "SERVER_ERROR out of memory\r\n", CODEC_REFUSED, 0, "SERVER_ERROR out of memory"},
        {CODEC_MEMCACHE, false, "STORED\r\n", CODEC_STORED, 0, ""},
        {CODEC_MEMCACHE, false, "NOT_STORED\r\n", CODEC_REFUSED, 0, "NOT_STORED"},
        {CODEC_MEMCACHE, false, "EXISTS\r\n", CODEC_REFUSED, 0, "EXISTS"},
        {CODEC_MEMCACHE, false, "CLIENT_ERROR bad data chunk\r\n", CODEC_REFUSED, 0, "CLIENT_ERROR bad data chunk"},
        {CODEC_RESP, true, "$5\r\n", CODEC_HIT, 5, ""},
        {CODEC_RESP, true, "$0\r\n", CODEC_HIT, 0, ""},
        {CODEC_RESP, true, "$4294967295\r\n", CODEC_HIT, UINT32_MAX, ""},
        {CODEC_RESP, true, "$-1\r\n", CODEC_MISS, 0, ""},
        {CODEC_RESP, true, "_\r\n", CODEC_MISS, 0, ""},
        {CODEC_RESP, true, "-WRONGTYPE x\r\n", CODEC_REFUSED, 0, "WRONGTYPE x"},
        {CODEC_RESP, false, "+OK\r\n", CODEC_STORED, 0, ""},
        {CODEC_RESP, false, "-MOVED 3999 127.0.0.1:6381\r\n", CODEC_REFUSED, 0, "MOVED 3999 127.0.0.1:6381"},
        {CODEC_RESP, false, "-OOM command not allowed\r\n", CODEC_REFUSED, 0, "OOM command not allowed"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct reply_row *row = &rows[i];
        struct codec_reply reply;
        struct slice text = slice_of(row->text);
        assert_int_equal(parse_every_way(row->protocol, row->is_get, text, &reply), CODEC_OK);
        assert_int_equal(reply.kind, row->kind);
        assert_int_equal(reply.head_len, text.len);
        assert_int_equal(reply.value_len, row->value_len);
        assert_int_equal(reply.tail_len, row->kind == CODEC_HIT ? codec_tail(row->protocol).len : 0);
        struct slice said = row->kind == CODEC_HIT ? reply.key : reply.text;
        assert_int_equal(said.len, strlen(row->said));
        if (said.len) assert_memory_equal(said.data, row->said, said.len);
    }
}

static void test_bad_replies(void **state)
{
    (void)state;
    static const struct reply_row rows[] = {
        {.protocol = CODEC_MEMCACHE, .is_get = true, .text = "STORED\r\n"},
        {.protocol = CODEC_MEMCACHE, .is_get = false, .text = "END\r\n"},
        {.protocol = CODEC_MEMCACHE, .is_get = false, .text = "VALUE k 0 1\r\n"},
        {.protocol = CODEC_MEMCACHE, .is_get = true, .text = "VALUE k 0\r\n"},
        {.protocol = CODEC_MEMCACHE, .is_get = true, .text = "VALUE  0 1\r\n"},
        {.protocol = CODEC_MEMCACHE, .is_get = true, .text = "VALUE \r\n"},
        {.protocol = CODEC_MEMCACHE, .is_get = true, .text = "VALUE k x 1\r\n"},
        {.protocol = CODEC_MEMCACHE, .is_get = true, .text = "VALUE k 0 -1\r\n"},
        {.protocol = CODEC_MEMCACHE, .is_get = true, .text = "VALUE k 0 4294967296\r\n"},
        {.protocol = CODEC_MEMCACHE, .is_get = true, .text = "VALUE k 4294967296 1\r\n"},
        {.protocol = CODEC_MEMCACHE, .is_get = true, .text = "VALUE k 0 1 x\r\n"},
        {.protocol = CODEC_MEMCACHE, .is_get = true, .text = "VALUE k 0 1 1 1\r\n"},
        {.protocol = CODEC_MEMCACHE, .is_get = true, .text = "VALUE k 0 1\n"},
        {.protocol = CODEC_MEMCACHE, .is_get = true, .text = "END\n"},
        {.protocol = CODEC_MEMCACHE, .is_get = true, .text = "ENDED\r\n"},
        {.protocol = CODEC_MEMCACHE, .is_get = true, .text = "\r\n"},
        {.protocol = CODEC_MEMCACHE, .is_get = true, .text = "\n"},
        {.protocol = CODEC_MEMCACHE, .is_get = true, .text = "$5\r\n"},
        {.protocol = CODEC_RESP, .is_get = true, .text = "$\r\n"},
        {.protocol = CODEC_RESP, .is_get = true, .text = "$x\r\n"},
        {.protocol = CODEC_RESP, .is_get = true, .text = "$-2\r\n"},
        {.protocol = CODEC_RESP, .is_get = true, .text = "$4294967296\r\n"},
        {.protocol = CODEC_RESP, .is_get = true, .text = "$5\n"},
        {.protocol = CODEC_RESP, .is_get = true, .text = "+OK\r\n"},
        {.protocol = CODEC_RESP, .is_get = true, .text = ":1\r\n"},
        {.protocol = CODEC_RESP, .is_get = true, .text = "\r\n"},
        {.protocol = CODEC_RESP, .is_get = false, .text = "$2\r\n"},
        {.protocol = CODEC_RESP, .is_get = false, .text = "+QUEUED\r\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct codec_reply reply;
        assert_int_equal(parse_every_way(rows[i].protocol, rows[i].is_get, slice_of(rows[i].text), &reply), CODEC_BAD);
    }
}

static void test_a_line_without_end(void **state)
{
    (void)state;
    struct codec_reply reply;
    uint8_t text[8192];
    memset(text, 'x', sizeof(text));
    assert_int_equal(codec_parse(CODEC_RESP, true, text, 1024, &reply), CODEC_NEED_MORE);
    assert_int_equal(codec_parse(CODEC_RESP, true, text, sizeof(text), &reply), CODEC_BAD);
    assert_int_equal(codec_parse(CODEC_MEMCACHE, false, text, sizeof(text), &reply), CODEC_BAD);
}

/* What the servers compose is what the codec reads. */
static void test_replies_of_our_servers(void **state)
{
    (void)state;
    uint8_t dst[MC_VALUE_HEADER_MAX], key[250];
    struct codec_reply reply;
    key_fill(key, sizeof(key));
    uint32_t len = mc_value_header(dst, (struct slice){key, 250}, UINT32_MAX, UINT32_MAX, true, UINT64_MAX);
    assert_int_equal(parse_every_way(CODEC_MEMCACHE, true, (struct slice){dst, len}, &reply), CODEC_OK);
    assert_int_equal(reply.head_len, len);
    assert_int_equal(reply.value_len, UINT32_MAX);
    assert_true(slice_equal(reply.key, (struct slice){key, 250}));

    len = resp_bulk_header(dst, 1234567);
    assert_int_equal(parse_every_way(CODEC_RESP, true, (struct slice){dst, len}, &reply), CODEC_OK);
    assert_int_equal(reply.value_len, 1234567);
    for (int resp3 = 0; resp3 <= 1; resp3++) {
        len = resp_null(dst, resp3);
        assert_int_equal(parse_every_way(CODEC_RESP, true, (struct slice){dst, len}, &reply), CODEC_OK);
        assert_int_equal(reply.kind, CODEC_MISS);
        assert_int_equal(reply.head_len, len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),           cmocka_unit_test(test_tail),
        cmocka_unit_test(test_good_replies),       cmocka_unit_test(test_bad_replies),
        cmocka_unit_test(test_a_line_without_end), cmocka_unit_test(test_replies_of_our_servers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
