/* A connection's bytes: headers, bulk strings, inline lines, as a session drives them. */
#include "protocol/resp/parse.h"
#include "tests/protocol/fuzz.h"

#define MAX_BULK 65536u

static void check_error(struct slice error)
{
    CHECK(error.len > 4 && memcmp(error.data, "ERR ", 4) == 0);
    CHECK(!memchr(error.data, '\r', error.len) && !memchr(error.data, '\n', error.len));
}

static void check_inline(const uint8_t *line, size_t n)
{
    enum { ARGS = 16 };
    struct slice args[ARGS];
    uint8_t *scratch = malloc(n);
    int count = resp_split_inline(line, n, scratch, args, ARGS);
    CHECK(count >= -2 && count <= ARGS);
    const uint8_t *last = scratch;
    for (int i = 0; i < count; i++) {
        CHECK(slice_within(args[i], scratch, n));
        CHECK(args[i].data >= last);
        last = args[i].data + args[i].len;
    }
    if (count > 0) {
        enum resp_command command = resp_command_find(args[0]);
        CHECK(command < RESP_CMD_COUNT);
        if (command != RESP_CMD_UNKNOWN) CHECK(strlen(resp_command_rows[command].token) == args[0].len);
    }
    free(scratch);
}

/* Returns the bytes taken with the arguments; 0 when the connection ends here. */
static size_t take_args(const uint8_t *p, size_t n, int64_t argc)
{
    size_t at = 0;
    for (; argc > 0; argc--) {
        uint64_t len;
        uint32_t used;
        struct slice error;
        enum resp_status status = resp_parse_bulk(p + at, n - at, MAX_BULK, &len, &used, &error);
        if (status == RESP_ERROR) check_error(error);
        if (status != RESP_OK) return 0;
        CHECK(used > 3 && used <= n - at && p[at] == '$' && len <= MAX_BULK);
        CHECK(resp_parse_bulk(p + at, used - 1, MAX_BULK, &len, &used, &error) == RESP_NEED_MORE);
        at += used;
        if (len + 2 > n - at) return 0;
        resp_command_find((struct slice){p + at, len});
        at += len + 2;
    }
    return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t at = 0; at < size;) {
        int64_t argc;
        uint32_t used;
        struct slice error;
        enum resp_status status = resp_parse_header(data + at, size - at, &argc, &used, &error);
        if (status == RESP_ERROR) check_error(error);
        if (status != RESP_OK) break;
        CHECK(used > 0 && used <= size - at);
        CHECK(argc >= -1 && argc <= (int64_t)RESP_ARGC_MAX);
        int64_t again;
        uint32_t again_used;
        CHECK(resp_parse_header(data + at, used - 1, &again, &again_used, &error) == RESP_NEED_MORE);
        if (argc == -1) check_inline(data + at, used);
        at += used;
        if (argc <= 0) continue;
        size_t taken = take_args(data + at, size - at, argc);
        if (taken == 0) break;
        at += taken;
    }
    return 0;
}
