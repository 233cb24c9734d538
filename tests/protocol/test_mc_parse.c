#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "protocol/memcache/parse.h"
#include "tests/protocol/text.h"

#define MAX_VALUE 1048576u
#define FORMAT "CLIENT_ERROR bad command line format\r\n"
#define USAGE "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n"
#define EXPTIME "CLIENT_ERROR invalid exptime argument\r\n"
#define DELTA "CLIENT_ERROR invalid numeric delta argument\r\n"
#define TOO_LARGE "SERVER_ERROR object too large for cache\r\n"
#define TOO_LONG "CLIENT_ERROR line too long\r\n"
#define KEY_250                                                                                                        \
    "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk" \
    "kkkk"                                                                                                             \
    "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk" \
    "kkkk"                                                                                                             \
    "kkkkkkkkkkkkkkkkkk"
#define KEY_251 KEY_250 "k"

static struct slice piece_of(const struct slice *whole, struct slice piece)
{
    return piece.len ? (struct slice){(const uint8_t *)(piece.data - whole->data), piece.len} : (struct slice){0};
}

static void assert_same_piece(const struct slice *a, struct slice in_a, const struct slice *b, struct slice in_b)
{
    struct slice x = piece_of(a, in_a), y = piece_of(b, in_b);
    assert_ptr_equal(x.data, y.data);
    assert_int_equal(x.len, y.len);
}

/* a and b are answers for the same text at two places. */
static void assert_same(const struct slice *at, const struct mc_request *a, const struct slice *bt,
                        const struct mc_request *b)
{
    assert_int_equal(a->command, b->command);
    assert_int_equal(a->noreply, b->noreply);
    assert_int_equal(a->line_len, b->line_len);
    assert_same_piece(at, a->key, bt, b->key);
    assert_same_piece(at, a->more, bt, b->more);
    assert_same_piece(at, a->argument, bt, b->argument);
    assert_int_equal(a->flags, b->flags);
    assert_true(a->exptime == b->exptime);
    assert_int_equal(a->value_len, b->value_len);
    assert_true(a->number == b->number);
    assert_int_equal(a->has_exptime, b->has_exptime);
    assert_true(slice_equal(a->error, b->error));
    assert_true(a->swallow == b->swallow);
    assert_int_equal(a->close, b->close);
}

/*
 * Parses text, one line; its first part and a longer one too, which must not change the answer. *r points into text.
 */
static enum mc_status parse_every_way(struct slice text, struct mc_request *r)
{
    memset(r, 0, sizeof(*r));
    enum mc_status status = mc_parse(text.data, text.len, MAX_VALUE, r);
    assert_int_not_equal(status, MC_NEED_MORE);
    assert_true(r->line_len > 0 && r->line_len <= text.len);
    size_t step = text.len > 4096 ? text.len / 512 : 1;
    for (size_t n = 0; n < text.len; n += step) {
        struct slice part = exact_copy(text, n);
        struct mc_request got;
        enum mc_status early = mc_parse(part.data, n, MAX_VALUE, &got);
        if (early != MC_NEED_MORE) {
            assert_int_equal(early, status);
            assert_true(r->close);
            assert_same(&text, r, &part, &got);
        }
        exact_free(part);
    }
    uint8_t *longer = malloc(text.len + 40);
    memcpy(longer, text.data, text.len);
    memcpy(longer + text.len, "get a b\r\nset x 0 0 1\r\nHTTP/1.1\r\n\r\n\0\0\n  ", 40);
    struct slice with_more = {longer, text.len + 40};
    struct mc_request got;
    memset(&got, 0xa5, sizeof(got)); /* whatever a caller's request held before */
    assert_int_equal(mc_parse(longer, with_more.len, MAX_VALUE, &got), status);
    assert_same(&text, r, &with_more, &got);
    free(longer);
    return status;
}

static void parse_ok(const char *line, enum mc_command command, struct mc_request *r)
{
    struct slice text = slice_of(line);
    assert_int_equal(parse_every_way(text, r), MC_OK);
    assert_int_equal(r->command, command);
    assert_int_equal(r->line_len, text.len);
    assert_int_equal(r->error.len, 0);
    assert_true(r->swallow == 0);
    assert_false(r->close);
}

static void assert_text(struct slice got, const char *want)
{
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.data ? got.data : (const uint8_t *)"", want, got.len);
}

static void test_get_keys(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum mc_command command;
        const char *keys[4];
    } rows[] = {
        {"get a\r\n", MC_get, {"a"}},
        {"get a\n", MC_get, {"a"}},
        {"get  a  \r\n", MC_get, {"a"}},
        {"  get a\r\n", MC_get, {"a"}},
        {"get a b c\r\n", MC_get, {"a", "b", "c"}},
        {"get a b c \n", MC_get, {"a", "b", "c"}},
        {"gets eightlet ninelette\r\n", MC_gets, {"eightlet", "ninelette"}},
        {"get noreply\r\n", MC_get, {"noreply"}},
        {"get a\tb \x80\xff\r\n", MC_get, {"a\tb", "\x80\xff"}},
        {"get a\r\r\n", MC_get, {"a\r"}}, /* one carriage return belongs to the line end */
        {"get \x10\r\n", MC_get, {"\x10"}},
        {"get / HTTP/1.1\r\n", MC_get, {"/", "HTTP/1.1"}},
        {"get " KEY_250 " " KEY_250 "\r\n", MC_get, {KEY_250, KEY_250}},
        {"gat 0 a b\r\n", MC_gat, {"a", "b"}},
        {"gats 100 a\r\n", MC_gats, {"a"}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mc_request r;
        parse_ok(rows[i].line, rows[i].command, &r);
        assert_text(r.key, rows[i].keys[0]);
        for (unsigned k = 1; rows[i].keys[k]; k++) {
            struct slice key;
            assert_int_equal(mc_next_key(&r.more, &key), 1);
            assert_text(key, rows[i].keys[k]);
        }
        struct slice key;
        assert_int_equal(mc_next_key(&r.more, &key), 0);
        assert_int_equal(mc_next_key(&r.more, &key), 0);
        assert_false(r.noreply);
    }
}

static void test_later_key_too_long(void **state)
{
    (void)state;
    struct mc_request r;
    struct slice key;
    parse_ok("get a " KEY_251 " b\r\n", MC_get, &r);
    assert_int_equal(mc_next_key(&r.more, &key), -1);
    assert_int_equal(mc_next_key(&r.more, &key), 1);
    assert_text(key, "b");
}

static void test_no_more_keys(void **state)
{
    (void)state;
    struct slice nothing = {0}, key;
    assert_int_equal(mc_next_key(&nothing, &key), 0);
    struct slice blanks = slice_of("   ");
    assert_int_equal(mc_next_key(&blanks, &key), 0);
}

static void test_gat_exptime(void **state)
{
    (void)state;
    struct mc_request r;
    parse_ok("gat -1 a\r\n", MC_gat, &r);
    assert_true(r.exptime == -1);
    parse_ok("gats 99999999999 a\r\n", MC_gats, &r);
    assert_true(r.exptime == 99999999999);
}

struct storage_row {
    const char *line;
    enum mc_command command;
    const char *key;
    uint32_t flags;
    int64_t exptime;
    uint32_t value_len;
    uint64_t number;
    bool noreply;
};

static void test_storage(void **state)
{
    (void)state;
    static const struct storage_row rows[] = {
        {"set a 0 0 1\r\n", MC_set, "a", 0, 0, 1, 0, false},
        {"set a 0 0 1\n", MC_set, "a", 0, 0, 1, 0, false},
        {"set a 0 0 0\r\n", MC_set, "a", 0, 0, 0, 0, false},
        {"set  a  1  2  3  \r\n", MC_set, "a", 1, 2, 3, 0, false},
        {" set a 0 0 1  noreply  \r\n", MC_set, "a", 0, 0, 1, 0, true},
        {"set a 0 0 1 foo\r\n", MC_set, "a", 0, 0, 1, 0, false},
        {"set noreply 0 0 1\r\n", MC_set, "noreply", 0, 0, 1, 0, false},
        {"set a 4294967295 -1 1048576\r\n", MC_set, "a", UINT32_MAX, -1, MAX_VALUE, 0, false},
        {"set a +1 +2 +3\r\n", MC_set, "a", 1, 2, 3, 0, false},
        {"set a 0 -0000000000000000000000000000001 0000000000000000000000000000000005\r\n", MC_set, "a", 0, -1, 5, 0,
         false},
        {"set a 0 9223372036854775807 1\r\n", MC_set, "a", 0, INT64_MAX, 1, 0, false},
        {"set a 0 -9223372036854775808 1\r\n", MC_set, "a", 0, INT64_MIN, 1, 0, false},
        {"set " KEY_250 " 0 0 1 noreply\r\n", MC_set, KEY_250, 0, 0, 1, 0, true},
        {"add k 1 2 3\r\n", MC_add, "k", 1, 2, 3, 0, false},
        {"replace k 1 2 3\r\n", MC_replace, "k", 1, 2, 3, 0, false},
        {"append k 1 2 3\r\n", MC_append, "k", 1, 2, 3, 0, false},
        {"prepend k 1 2 3 noreply\r\n", MC_prepend, "k", 1, 2, 3, 0, true},
        {"cas k 1 2 3 4\r\n", MC_cas, "k", 1, 2, 3, 4, false},
        {"cas k 1 2 3 18446744073709551615 noreply\r\n", MC_cas, "k", 1, 2, 3, UINT64_MAX, true},
        {"cas k 1 2 3 0 foo\r\n", MC_cas, "k", 1, 2, 3, 0, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mc_request r;
        parse_ok(rows[i].line, rows[i].command, &r);
        assert_text(r.key, rows[i].key);
        assert_int_equal(r.flags, rows[i].flags);
        assert_true(r.exptime == rows[i].exptime);
        assert_int_equal(r.value_len, rows[i].value_len);
        assert_true(r.number == rows[i].number);
        assert_int_equal(r.noreply, rows[i].noreply);
    }
}

static void test_one_key(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum mc_command command;
        uint64_t number;
        int64_t exptime;
        bool noreply;
    } rows[] = {
        {"delete k\r\n", MC_delete, 0, 0, false},
        {"delete k 0\r\n", MC_delete, 0, 0, false},
        {"delete k noreply\r\n", MC_delete, 0, 0, true},
        {"delete k 0 noreply\r\n", MC_delete, 0, 0, true},
        {"incr k 1\r\n", MC_incr, 1, 0, false},
        {"incr k 18446744073709551615\r\n", MC_incr, UINT64_MAX, 0, false},
        {"incr k +0010 foo\r\n", MC_incr, 10, 0, false},
        {"decr k 1 noreply\r\n", MC_decr, 1, 0, true},
        {"touch k 0\r\n", MC_touch, 0, 0, false},
        {"touch k -9999999999\r\n", MC_touch, 0, -9999999999, false},
        {"touch k 60 noreply\r\n", MC_touch, 0, 60, true},
        {"touch k 60 foo\r\n", MC_touch, 0, 60, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mc_request r;
        parse_ok(rows[i].line, rows[i].command, &r);
        assert_text(r.key, "k");
        assert_true(r.number == rows[i].number);
        assert_true(r.exptime == rows[i].exptime);
        assert_int_equal(r.noreply, rows[i].noreply);
    }
}

static void test_without_key(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum mc_command command;
        const char *argument;
        bool has_exptime;
        int64_t exptime;
        bool noreply;
    } rows[] = {
        {"flush_all\r\n", MC_flush_all, "", false, 0, false},
        {"flush_all 0\r\n", MC_flush_all, "", true, 0, false},
        {"flush_all 10\r\n", MC_flush_all, "", true, 10, false},
        {"flush_all -1\r\n", MC_flush_all, "", true, -1, false},
        {"flush_all noreply\r\n", MC_flush_all, "", false, 0, true},
        {"flush_all 10 noreply\r\n", MC_flush_all, "", true, 10, true},
        {"flush_all 0 foo\r\n", MC_flush_all, "", true, 0, false},
        {"version\r\n", MC_version, "", false, 0, false},
        {"version foo bar\r\n", MC_version, "", false, 0, false},
        {"version noreply\r\n", MC_version, "", false, 0, false},
        {"verbosity 1\r\n", MC_verbosity, "1", false, 0, false},
        {"verbosity 1 2\r\n", MC_verbosity, "1", false, 0, false},
        {"verbosity 1 noreply\r\n", MC_verbosity, "1", false, 0, true},
        {"stats\r\n", MC_stats, "", false, 0, false},
        {"stats \r\n", MC_stats, "", false, 0, false},
        {"stats  detail  dump \r\n", MC_stats, "detail  dump", false, 0, false},
        {"stats noreply\r\n", MC_stats, "noreply", false, 0, false},
        {"quit\r\n", MC_quit, "", false, 0, false},
        {" quit foo\n", MC_quit, "", false, 0, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mc_request r;
        parse_ok(rows[i].line, rows[i].command, &r);
        assert_text(r.argument, rows[i].argument);
        assert_int_equal(r.has_exptime, rows[i].has_exptime);
        assert_true(r.exptime == rows[i].exptime);
        assert_int_equal(r.noreply, rows[i].noreply);
        assert_int_equal(r.key.len, 0);
    }
}

struct bad_row {
    const char *line;
    const char *error;
    uint64_t swallow;
};

static void assert_bad(const struct bad_row *row, bool close)
{
    struct mc_request r;
    struct slice text = slice_of(row->line);
    assert_int_equal(parse_every_way(text, &r), MC_ERROR);
    assert_text(r.error, row->error);
    assert_true(r.swallow == row->swallow);
    assert_int_equal(r.close, close);
    assert_int_equal(r.line_len, text.len);
    assert_int_equal(r.key.len, 0);
}

static void assert_all_bad(const struct bad_row *rows, size_t count, bool close)
{
    for (size_t i = 0; i < count; i++) assert_bad(&rows[i], close);
}

#define ASSERT_ALL_BAD(rows, close) assert_all_bad(rows, sizeof(rows) / sizeof(rows[0]), close)

static void test_bad_commands(void **state)
{
    (void)state;
    static const struct bad_row rows[] = {
        {"\r\n", "ERROR\r\n", 0},
        {"\n", "ERROR\r\n", 0},
        {"   \r\n", "ERROR\r\n", 0},
        {"foo\r\n", "ERROR\r\n", 0},
        {"foo noreply\r\n", "ERROR\r\n", 0},
        {"GET a\r\n", "ERROR\r\n", 0},
        {"Set a 0 0 1\r\n", "ERROR\r\n", 0},
        {"gett a\r\n", "ERROR\r\n", 0},
        {"ge\r\n", "ERROR\r\n", 0},
        {"get\ta\r\n", "ERROR\r\n", 0},
        {"flush_al\r\n", "ERROR\r\n", 0},
        {"flush_alll\r\n", "ERROR\r\n", 0},
        {"flush-all\r\n", "ERROR\r\n", 0},
        {"Host: x\r\n", "ERROR\r\n", 0},
        {"PUT / HTTP/1.0 x\r\n", "ERROR\r\n", 0},
        {"get\r\n", "ERROR\r\n", 0},
        {"get \r\n", "ERROR\r\n", 0},
        {"gat\r\n", "ERROR\r\n", 0},
        {"gat 0\r\n", "ERROR\r\n", 0},
        {"get " KEY_251 "\r\n", FORMAT, 0},
        {"gat 0 " KEY_251 "\r\n", FORMAT, 0},
        {"gat x a\r\n", EXPTIME, 0},
        {"gat 0x a\r\n", EXPTIME, 0},
        {"gat - a\r\n", EXPTIME, 0},
        {"gat + a\r\n", EXPTIME, 0},
        {"gat -+1 a\r\n", EXPTIME, 0},
        {"verbosity\r\n", "ERROR\r\n", 0},
        {"verbosity 1 2 3\r\n", "ERROR\r\n", 0},
        {"verbosity x\r\n", FORMAT, 0},
        {"verbosity -1\r\n", FORMAT, 0},
        {"verbosity noreply\r\n", "", 0},
        {"flush_all x\r\n", EXPTIME, 0},
        {"flush_all 0 0 0\r\n", "ERROR\r\n", 0},
        {"flush_all 0 0 noreply\r\n", "ERROR\r\n", 0},
        {"flush_all x noreply\r\n", "", 0},
        {"flush_all noreply noreply\r\n", "", 0},
        {"flush_all 0 noreply x\r\n", "ERROR\r\n", 0},
    };
    ASSERT_ALL_BAD(rows, false);
}

static void test_bad_key_commands(void **state)
{
    (void)state;
    static const struct bad_row rows[] = {
        {"delete\r\n", "ERROR\r\n", 0},
        {"delete a 1\r\n", USAGE, 0},
        {"delete a 00\r\n", USAGE, 0},
        {"delete a foo\r\n", USAGE, 0},
        {"delete a 0 foo\r\n", USAGE, 0},
        {"delete a noreply 0\r\n", USAGE, 0},
        {"delete a 1 noreply\r\n", "", 0},
        {"delete a noreply noreply\r\n", "", 0},
        {"delete a 0 0 0\r\n", "ERROR\r\n", 0},
        {"delete a x x x x x x x x x x noreply\r\n", "ERROR\r\n", 0},
        {"delete " KEY_251 "\r\n", FORMAT, 0},
        {"delete " KEY_251 " noreply\r\n", "", 0},
        {"incr\r\n", "ERROR\r\n", 0},
        {"incr a\r\n", "ERROR\r\n", 0},
        {"incr noreply\r\n", "ERROR\r\n", 0},
        {"incr a 1 2 3\r\n", "ERROR\r\n", 0},
        {"incr a x\r\n", DELTA, 0},
        {"incr a -1\r\n", DELTA, 0},
        {"incr a 1x\r\n", DELTA, 0},
        {"incr a 18446744073709551616\r\n", DELTA, 0},
        {"decr a 99999999999999999999999\r\n", DELTA, 0},
        {"incr a noreply\r\n", "", 0},
        {"incr a x noreply\r\n", "", 0},
        {"incr " KEY_251 " 1\r\n", FORMAT, 0},
        {"incr " KEY_251 " x\r\n", FORMAT, 0},
        {"touch\r\n", "ERROR\r\n", 0},
        {"touch a\r\n", "ERROR\r\n", 0},
        {"touch a 0 0 0\r\n", "ERROR\r\n", 0},
        {"touch a x\r\n", EXPTIME, 0},
        {"touch a 9223372036854775808\r\n", EXPTIME, 0},
        {"touch a -9223372036854775809\r\n", EXPTIME, 0},
        {"touch a noreply\r\n", "", 0},
        {"touch " KEY_251 " 0\r\n", FORMAT, 0},
    };
    ASSERT_ALL_BAD(rows, false);
}

/* Where the length of the data block is known, the block goes with the line. */
static void test_bad_storage(void **state)
{
    (void)state;
    static const struct bad_row rows[] = {
        {"set\r\n", "ERROR\r\n", 0},
        {"set a 0 0\r\n", "ERROR\r\n", 0},
        {"set a 0 noreply\r\n", "ERROR\r\n", 0},
        {"set a 0 0 1 noreply foo\r\n", "ERROR\r\n", 0},
        {"set a 0 0 1 foo noreply\r\n", "ERROR\r\n", 0},
        {"set a 0 0 -1\r\n", FORMAT, 0},
        {"set a 0 0 -1 noreply\r\n", "", 0},
        {"set a 0 0 x\r\n", FORMAT, 0},
        {"set a 0 0 noreply\r\n", "", 0},
        {"set a 0 0 2147483646\r\n", FORMAT, 0},
        {"set a 0 0 4294967296\r\n", FORMAT, 0},
        {"set a 0 0 18446744073709551615\r\n", FORMAT, 0},
        {"set a 0 0 18446744073709551616\r\n", FORMAT, 0},
        {"set " KEY_251 " 0 0 -1\r\n", FORMAT, 0},
        {"set " KEY_251 " 0 0 1\r\n", FORMAT, 3},
        {"set " KEY_251 " 0 0 1 noreply\r\n", "", 3},
        {"set " KEY_251 " 0 0 2147483645\r\n", FORMAT, 2147483647},
        {"set a x 0 5\r\n", FORMAT, 7},
        {"set a -1 0 5\r\n", FORMAT, 7},
        {"set a 0x1 0 5\r\n", FORMAT, 7},
        {"set a 4294967296 0 5\r\n", FORMAT, 7},
        {"set a 0 x 5\r\n", FORMAT, 7},
        {"set a 0 9223372036854775808 5\r\n", FORMAT, 7},
        {"set a 0 x 5 noreply\r\n", "", 7},
        {"cas a 0 0 1\r\n", "ERROR\r\n", 0},
        {"cas a 0 0 1 1 noreply foo\r\n", "ERROR\r\n", 0},
        {"cas a 0 0 1 x\r\n", FORMAT, 3},
        {"cas a 0 0 1 -1\r\n", FORMAT, 3},
        {"cas a 0 0 1 18446744073709551616\r\n", FORMAT, 3},
        {"cas a 0 0 1 noreply\r\n", "", 3},
        {"cas a 0 0 1 x noreply\r\n", "", 3},
        {"cas a 0 0 -1 1\r\n", FORMAT, 0},
    };
    ASSERT_ALL_BAD(rows, false);
}

static void test_too_large(void **state)
{
    (void)state;
    struct mc_request r;
    assert_int_equal(parse_every_way(slice_of("set a 7 0 1048577\r\n"), &r), MC_ERROR);
    assert_text(r.error, TOO_LARGE);
    assert_true(r.swallow == 1048579);
    assert_int_equal(r.command, MC_set);
    assert_text(r.key, "a");
    assert_false(r.close);

    assert_int_equal(parse_every_way(slice_of("append b 0 0 2147483645 noreply\r\n"), &r), MC_ERROR);
    assert_text(r.error, "");
    assert_true(r.swallow == 2147483647);
    assert_int_equal(r.command, MC_append);
    assert_text(r.key, "b");
}

/* memcached closes on a line of an unknown command whose last word starts so. */
static void test_http(void **state)
{
    (void)state;
    static const struct bad_row rows[] = {
        {"GET / HTTP/1.1\r\n", "", 0},
        {"POST /x HTTP/1.0 \r\n", "", 0},
        {"PUT HTTP/\n", "", 0},
        {"HTTP/1.1\r\n", "", 0},
    };
    ASSERT_ALL_BAD(rows, true);
    struct mc_request r;
    assert_int_equal(parse_every_way(slice_of("GET /HTTP/1.1\r\n"), &r), MC_ERROR);
    assert_text(r.error, "ERROR\r\n");
    assert_false(r.close);
}

static void test_nul_bytes(void **state)
{
    (void)state;
    struct mc_request r;
    struct slice name = SLICE_LITERAL("\0get a\r\n");
    assert_int_equal(parse_every_way(name, &r), MC_ERROR);
    assert_text(r.error, "ERROR\r\n");
    struct slice key = SLICE_LITERAL("get a\0b\r\n");
    assert_int_equal(parse_every_way(key, &r), MC_OK);
    assert_int_equal(r.key.len, 3);
}

/* "<head>xxxx...<tail>" of len bytes; the caller frees data. */
static struct slice long_line(const char *head, char fill, size_t len, const char *tail)
{
    uint8_t *text = malloc(len);
    memset(text, fill, len);
    memcpy(text, head, strlen(head));
    memcpy(text + len - strlen(tail), tail, strlen(tail));
    return (struct slice){text, len};
}

static enum mc_status parse_long(const char *head, char fill, size_t len, const char *tail, struct mc_request *r)
{
    struct slice text = long_line(head, fill, len, tail);
    enum mc_status status = parse_every_way(text, r);
    exact_free(text);
    return status;
}

static void test_long_lines(void **state)
{
    (void)state;
    static const char *const gets[] = {"get a", "gets a", "gat 0 a", "gats 0 a", "   get a"};
    struct mc_request r;
    assert_int_equal(parse_long("x", 'x', MC_LINE_MAX, "\r\n", &r), MC_ERROR);
    assert_text(r.error, "ERROR\r\n");
    assert_false(r.close);
    assert_int_equal(parse_long("set a 0 0 1", ' ', MC_LINE_MAX, "\r\n", &r), MC_OK);
    static const char *const others[] = {"x", "set a 0 0 1 ", "gett", "GET ", "delete "};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_int_equal(parse_long(others[i], ' ', MC_LINE_MAX + 1, "\r\n", &r), MC_ERROR);
        assert_text(r.error, TOO_LONG);
        assert_true(r.close);
        assert_int_equal(r.line_len, MC_LINE_MAX);
    }
    for (size_t i = 0; i < sizeof(gets) / sizeof(gets[0]); i++) {
        assert_int_equal(parse_long(gets[i], ' ', MC_LINE_MAX + 1, "\n", &r), MC_OK);
        assert_int_equal(parse_long(gets[i], ' ', MC_GET_LINE_MAX, " b\r\n", &r), MC_OK);
        assert_int_equal(r.line_len, MC_GET_LINE_MAX);
        assert_int_equal(parse_long(gets[i], ' ', MC_GET_LINE_MAX + 1, " b\r\n", &r), MC_ERROR);
        assert_text(r.error, TOO_LONG);
        assert_true(r.close);
    }
}

static void test_blanks_before_a_long_get(void **state)
{
    (void)state;
    struct mc_request r;
    struct slice text = long_line("", ' ', 3000, " b\r\n");
    memcpy((uint8_t *)text.data + 100, "get a", 5);
    assert_int_equal(parse_every_way(text, &r), MC_OK);
    memcpy((uint8_t *)text.data + 100, " get a", 6);
    assert_int_equal(parse_every_way(text, &r), MC_ERROR);
    assert_text(r.error, TOO_LONG);
    exact_free(text);
}

static void test_incomplete(void **state)
{
    (void)state;
    struct mc_request r;
    assert_int_equal(mc_parse(NULL, 0, MAX_VALUE, &r), MC_NEED_MORE);
    struct slice text = long_line("get a", ' ', MC_GET_LINE_MAX - 1, "b");
    assert_int_equal(mc_parse(text.data, text.len, MAX_VALUE, &r), MC_NEED_MORE);
    exact_free(text);
    text = long_line("x", 'x', MC_LINE_MAX - 1, "x");
    assert_int_equal(mc_parse(text.data, text.len, MAX_VALUE, &r), MC_NEED_MORE);
    exact_free(text);
}

static void test_every_command_is_found(void **state)
{
    (void)state;
    static const char *const tokens[] = {
#define MC_COMMAND(id, token, shape, help) [MC_##id] = token,
#include "protocol/memcache/commands.def"
#undef MC_COMMAND
    };
    for (unsigned id = MC_UNKNOWN + 1; id < MC_COMMAND_COUNT; id++) {
        char line[64];
        struct mc_request r;
        int len = snprintf(line, sizeof(line), "%s\r\n", tokens[id]);
        mc_parse((const uint8_t *)line, (size_t)len, MAX_VALUE, &r);
        assert_int_equal(r.command, id);
    }
}

static void test_expires(void **state)
{
    (void)state;
    const uint64_t now = 1700000000123;
    assert_true(mc_expires_ms(0, now) == 0);
    assert_true(mc_expires_ms(-1, now) == 1);
    assert_true(mc_expires_ms(INT64_MIN, now) == 1);
    assert_true(mc_expires_ms(1, now) == 1700000002000);
    assert_true(mc_expires_ms(1, 1700000000000) == 1700000001000);
    assert_true(mc_expires_ms(2592000, now) == 1702592001000);
    assert_true(mc_expires_ms(2592001, now) == 2592001000);
    assert_true(mc_expires_ms(1800000000, now) == 1800000000000);
    assert_true(mc_expires_ms(INT64_MAX / 1000, now) == INT64_MAX / 1000 * 1000);
    assert_true(mc_expires_ms(INT64_MAX / 1000 + 1, now) == INT64_MAX);
    assert_true(mc_expires_ms(INT64_MAX, now) == INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get_keys),     cmocka_unit_test(test_later_key_too_long),
        cmocka_unit_test(test_no_more_keys),
        cmocka_unit_test(test_gat_exptime),  cmocka_unit_test(test_storage),
        cmocka_unit_test(test_one_key),      cmocka_unit_test(test_without_key),
        cmocka_unit_test(test_bad_commands), cmocka_unit_test(test_bad_key_commands),
        cmocka_unit_test(test_bad_storage),  cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_http),         cmocka_unit_test(test_nul_bytes),
        cmocka_unit_test(test_long_lines),   cmocka_unit_test(test_blanks_before_a_long_get),
        cmocka_unit_test(test_incomplete),   cmocka_unit_test(test_every_command_is_found),
        cmocka_unit_test(test_expires),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
