#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "protocol/resp/parse.h"
#include "tests/protocol/text.h"

#define MAX_BULK 536870912u
#define PROTOCOL "ERR Protocol error: "
#define BAD_MULTIBULK PROTOCOL "invalid multibulk length"
#define BAD_BULK PROTOCOL "invalid bulk length"

struct answer {
    enum resp_status status;
    int64_t number; /* argc or length */
    uint32_t used;
    struct slice error;
};

typedef struct answer parse_fn(const uint8_t *p, size_t n);

static struct answer parse_header(const uint8_t *p, size_t n)
{
    struct answer a = {0};
    a.status = resp_parse_header(p, n, &a.number, &a.used, &a.error);
    return a;
}

static struct answer parse_bulk(const uint8_t *p, size_t n)
{
    struct answer a = {0};
    uint64_t len = 0;
    a.status = resp_parse_bulk(p, n, MAX_BULK, &len, &a.used, &a.error);
    a.number = (int64_t)len;
    return a;
}

static void assert_same(const struct answer *a, const struct answer *b)
{
    assert_int_equal(a->status, b->status);
    if (a->status == RESP_ERROR) {
        assert_true(slice_equal(a->error, b->error));
        return;
    }
    assert_true(a->number == b->number);
    assert_int_equal(a->used, b->used);
}

/* The answer for text, its prefixes, and text with more behind it: a prefix asks for more or says the same. */
static struct answer parse_every_way(parse_fn *parse, struct slice text)
{
    struct answer answer = parse(text.data, text.len);
    size_t step = text.len > 4096 ? text.len / 512 : 1;
    for (size_t n = 0; n < text.len; n += step) {
        struct slice part = exact_copy(text, n);
        struct answer early = parse(part.data, n);
        if (early.status == RESP_ERROR)
            assert_same(&answer, &early);
        else
            assert_int_equal(early.status, RESP_NEED_MORE);
        exact_free(part);
    }
    uint8_t *longer = malloc(text.len + 16);
    memcpy(longer, text.data, text.len);
    memcpy(longer + text.len, "9\r\n*1\r\n$4\r\nPING", 16);
    struct answer with_more = parse(longer, text.len + 16);
    if (answer.status != RESP_NEED_MORE) assert_same(&answer, &with_more);
    free(longer);
    return answer;
}

static void assert_takes(parse_fn *parse, const char *line, int64_t number)
{
    struct slice text = slice_of(line);
    struct answer a = parse_every_way(parse, text);
    assert_int_equal(a.status, RESP_OK);
    assert_true(a.number == number);
    assert_int_equal(a.used, text.len);
}

static void assert_refuses(parse_fn *parse, const char *line, const char *error)
{
    struct answer a = parse_every_way(parse, slice_of(line));
    assert_int_equal(a.status, RESP_ERROR);
    assert_true(slice_equal(a.error, slice_of(error)));
}

static void test_multibulk(void **state)
{
    (void)state;
    assert_takes(parse_header, "*1\r\n", 1);
    assert_takes(parse_header, "*3\r\n", 3);
    assert_takes(parse_header, "*10\r\n", 10);
    assert_takes(parse_header, "*1048576\r\n", 1048576);
    assert_takes(parse_header, "*0\r\n", 0);
    assert_takes(parse_header, "*-1\r\n", 0);
    assert_takes(parse_header, "*-9223372036854775808\r\n", 0);
    assert_takes(parse_header, "*1\rx", 1); /* redis does not look at the byte behind the carriage return */
}

static void test_bad_multibulk(void **state)
{
    (void)state;
    static const char *const rows[] = {"*\r\n",
                                       "*x\r\n",
                                       "*+1\r\n",
                                       "*01\r\n",
                                       "*00\r\n",
                                       "*-0\r\n",
                                       "* 1\r\n",
                                       "*1 \r\n",
                                       "*1x\r\n",
                                       "*1\n\r\n",
                                       "*1048577\r\n",
                                       "*999999999\r\n",
                                       "*1000000000\r\n",
                                       "*2147483648\r\n",
                                       "*4294967297\r\n",
                                       "*9223372036854775807\r\n",
                                       "*9223372036854775808\r\n",
                                       "*18446744073709551617\r\n",
                                       "*99999999999999999999\r\n",
                                       "*-9223372036854775809\r\n"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) assert_refuses(parse_header, rows[i], BAD_MULTIBULK);
}

static void test_bulk(void **state)
{
    (void)state;
    assert_takes(parse_bulk, "$0\r\n", 0);
    assert_takes(parse_bulk, "$4\r\n", 4);
    assert_takes(parse_bulk, "$16\r\n", 16);
    assert_takes(parse_bulk, "$536870912\r\n", 536870912);
    assert_takes(parse_bulk, "$4\rx", 4);
}

static void test_bad_bulk(void **state)
{
    (void)state;
    static const char *const rows[] = {"$\r\n",
                                       "$-1\r\n",
                                       "$-0\r\n",
                                       "$x\r\n",
                                       "$ 4\r\n",
                                       "$4 \r\n",
                                       "$04\r\n",
                                       "$+4\r\n",
                                       "$4\n\r\n",
                                       "$536870913\r\n",
                                       "$4294967296\r\n",
                                       "$9223372036854775808\r\n",
                                       "$-5\r\n",
                                       "$1e3\r\n",
                                       "$4:\r\n",
                                       "$0000\r\n",
                                       "$1000000000000\r\n",
                                       "$99999999999999999999\r\n"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) assert_refuses(parse_bulk, rows[i], BAD_BULK);

    uint64_t len;
    uint32_t used;
    struct slice error;
    assert_int_equal(resp_parse_bulk((const uint8_t *)"$6\r\n", 4, 5, &len, &used, &error), RESP_ERROR);
    assert_int_equal(resp_parse_bulk((const uint8_t *)"$5\r\n", 4, 5, &len, &used, &error), RESP_OK);
    assert_int_equal(resp_parse_bulk((const uint8_t *)"$9223372036854775807\r\n", 22, UINT64_MAX, &len, &used, &error),
                     RESP_OK);
    assert_true(len == INT64_MAX);
}

static void test_not_a_bulk(void **state)
{
    (void)state;
    assert_refuses(parse_bulk, "PING\r\n", PROTOCOL "expected '$', got 'P'");
    assert_refuses(parse_bulk, ":4\r\n", PROTOCOL "expected '$', got ':'");
    assert_refuses(parse_bulk, "*1\r\n", PROTOCOL "expected '$', got '*'");
    assert_refuses(parse_bulk, "'\r\n", PROTOCOL "expected '$', got '''");
    assert_refuses(parse_bulk, "\xff\r\n", PROTOCOL "expected '$', got '\xff'");
    assert_refuses(parse_bulk, "\r\n", PROTOCOL "expected '$', got ' '");
    assert_refuses(parse_bulk, "\n\n\r\n", PROTOCOL "expected '$', got ' '");
    for (unsigned byte = 1; byte < 256; byte++) {
        if (byte == '$' || byte == '\r' || byte == '\n') continue;
        uint8_t line[] = {(uint8_t)byte, '4', '\r', '\n'};
        struct answer a = parse_bulk(line, sizeof(line));
        assert_int_equal(a.status, RESP_ERROR);
        assert_int_equal(a.error.data[a.error.len - 2], byte);
    }
    struct answer nul = parse_bulk((const uint8_t *)"\0\r\n", 3);
    assert_true(slice_equal(nul.error, slice_of(PROTOCOL "expected '$', got ' '")));
}

static void test_inline_header(void **state)
{
    (void)state;
    assert_takes(parse_header, "PING\r\n", -1);
    assert_takes(parse_header, "PING\n", -1);
    assert_takes(parse_header, "$4\r\n", -1);
    assert_takes(parse_header, "  \r\n", -1);
    assert_takes(parse_header, "\r\r\n", -1);
    assert_takes(parse_header, "\r\n", 0);
    assert_takes(parse_header, "\n", 0);
}

/* first, then len - 1 bytes of fill. */
static struct answer parse_filled(parse_fn *parse, char first, char fill, size_t len)
{
    uint8_t *text = malloc(len);
    memset(text, fill, len);
    text[0] = (uint8_t)first;
    struct answer a = parse_every_way(parse, (struct slice){text, len});
    free(text);
    return a;
}

static void assert_limit(parse_fn *parse, char first, char fill, const char *error)
{
    assert_int_equal(parse_filled(parse, first, fill, RESP_INLINE_MAX).status, RESP_NEED_MORE);
    struct answer a = parse_filled(parse, first, fill, RESP_INLINE_MAX + 1);
    assert_int_equal(a.status, RESP_ERROR);
    assert_true(slice_equal(a.error, slice_of(error)));
}

static void test_too_big_lines(void **state)
{
    (void)state;
    assert_limit(parse_header, '*', '1', PROTOCOL "too big mbulk count string");
    assert_limit(parse_header, 'x', 'x', PROTOCOL "too big inline request");
    assert_limit(parse_bulk, '$', '1', PROTOCOL "too big bulk count string");
    assert_limit(parse_bulk, 'x', 'x', PROTOCOL "too big bulk count string");
}

struct split_row {
    const char *line;
    int count;
    const char *args[4];
};

static void assert_split(const struct split_row *row)
{
    struct slice line = exact_copy(slice_of(row->line), strlen(row->line));
    uint8_t *scratch = malloc(line.len ? line.len : 1);
    struct slice args[4];
    assert_int_equal(resp_split_inline(line.data, line.len, scratch, args, 4), row->count);
    for (int i = 0; i < row->count; i++) assert_true(slice_equal(args[i], slice_of(row->args[i])));
    free(scratch);
    exact_free(line);
}

static void test_split(void **state)
{
    (void)state;
    static const struct split_row rows[] = {
        {"PING\r\n", 1, {"PING"}},
        {"PING", 1, {"PING"}},
        {"", 0, {0}},
        {" \t \r\n", 0, {0}},
        {"  PING  \r\n", 1, {"PING"}},
        {"\tPING\ta\r\n", 2, {"PING", "a"}},
        {"PING a\rb\r\n", 3, {"PING", "a", "b"}},
        {"PING a\vb \v\f c\r\n", 3, {"PING", "a\vb", "c"}},
        {"PING \"a b\"\r\n", 2, {"PING", "a b"}},
        {"PING 'a b'\r\n", 2, {"PING", "a b"}},
        {"\"PING\"", 1, {"PING"}},
        {"PING \"\" ''\r\n", 3, {"PING", "", ""}},
        {"PING 'a\\'b'\r\n", 2, {"PING", "a'b"}},
        {"PING 'a\\nb'\r\n", 2, {"PING", "a\\nb"}},
        {"PING \"\\x41\\n\\r\\t\\b\\a\\q\\x4g\\\"\\\\\"\r\n", 2, {"PING", "A\n\r\t\b\aqx4g\"\\"}},
        {"PING \"\\xfF\"\r\n", 2, {"PING", "\xff"}},
        {"PING a\"b c\"\r\n", 2, {"PING", "ab c"}},
        {"PING a'b c' d\r\n", 3, {"PING", "ab c", "d"}},
        {"PING \"a\"\vb\r\n", 3, {"PING", "a", "b"}},
        {"PING a\\nb\r\n", 2, {"PING", "a\\nb"}},
        {"a b c d\r\n", 4, {"a", "b", "c", "d"}},
        {"a b c d e\r\n", -2, {0}},
        {"a b c d \"\r\n", -2, {0}},
        {"PING \"a b\r\n", -1, {0}},
        {"PING 'a b\r\n", -1, {0}},
        {"PING \"a\"b\r\n", -1, {0}},
        {"PING 'a'b\r\n", -1, {0}},
        {"PING \"a\"\"b\"\r\n", -1, {0}},
        {"PING a\"b\r\n", -1, {0}},
        {"PING \"\\\r\n", -1, {0}},
        {"PING \"\\\"\r\n", -1, {0}},
        {"PING \"\\", -1, {0}},
        {"PING \"\\x4\"", 2, {"PING", "x4"}},
        {"PING \"\\x4", -1, {0}},
        {"PING 'a\\'", -1, {0}},
        {"'", -1, {0}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) assert_split(&rows[i]);
}

/* "*3 $3 SET $1 a $5 hello" through all three calls, as a session drives them. */
static void test_a_whole_request(void **state)
{
    (void)state;
    struct slice text = slice_of("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nhello\r\n");
    static const char *const want[] = {"SET", "a", "hello"};
    int64_t argc;
    uint32_t used;
    struct slice error;
    assert_int_equal(resp_parse_header(text.data, text.len, &argc, &used, &error), RESP_OK);
    assert_true(argc == 3);
    size_t at = used;
    for (int i = 0; i < argc; i++) {
        uint64_t len;
        assert_int_equal(resp_parse_bulk(text.data + at, text.len - at, MAX_BULK, &len, &used, &error), RESP_OK);
        at += used;
        assert_true(slice_equal((struct slice){text.data + at, len}, slice_of(want[i])));
        at += len + 2;
    }
    assert_int_equal(at, text.len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_multibulk),
        cmocka_unit_test(test_bad_multibulk),
        cmocka_unit_test(test_bulk),
        cmocka_unit_test(test_bad_bulk),
        cmocka_unit_test(test_not_a_bulk),
        cmocka_unit_test(test_inline_header),
        cmocka_unit_test(test_too_big_lines),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_a_whole_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
