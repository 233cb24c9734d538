/* A connection's bytes: line after line, each answered, its data block skipped. The first two bytes choose max_value.
 */
#include "protocol/memcache/parse.h"
#include "tests/protocol/fuzz.h"

static void check_keys(const struct mc_request *r, const uint8_t *p)
{
    struct slice more = r->more, key;
    size_t left = more.len + 1;
    for (int found; (found = mc_next_key(&more, &key)) != 0;) {
        CHECK(slice_within(key, p, r->line_len));
        CHECK(key.len > 0 && (key.len <= MC_KEY_MAX) == (found == 1));
        CHECK(more.len < left);
        left = more.len;
    }
}

static void check_request(const struct mc_request *r, const uint8_t *p, size_t n, uint32_t max_value)
{
    CHECK(r->line_len > 0 && r->line_len <= n);
    CHECK(p[r->line_len - 1] == '\n');
    CHECK(r->command > MC_UNKNOWN && r->command < MC_COMMAND_COUNT);
    CHECK(r->key.len <= MC_KEY_MAX);
    CHECK(slice_within(r->key, p, r->line_len));
    CHECK(slice_within(r->more, p, r->line_len));
    CHECK(slice_within(r->argument, p, r->line_len));
    CHECK(r->value_len <= max_value);
    CHECK(r->error.len == 0 && r->swallow == 0 && !r->close);
    CHECK(memchr(r->key.len ? r->key.data : p, ' ', r->key.len) == NULL);
    check_keys(r, p);
}

static void check_error(const struct mc_request *r, size_t n)
{
    CHECK(r->line_len > 0 && r->line_len <= n);
    CHECK(r->error.len > 0 || r->noreply || r->close);
    CHECK(r->error.len == 0 || (r->error.len > 2 && memcmp(r->error.data + r->error.len - 2, "\r\n", 2) == 0));
    CHECK(r->swallow <= INT32_MAX);
}

/* The whole line alone must be answered as the line with more behind it, and a part of it not be taken for a line. */
static void check_split(const uint8_t *p, enum mc_status status, const struct mc_request *r, uint32_t max_value)
{
    struct mc_request again;
    CHECK(mc_parse(p, r->line_len, max_value, &again) == status);
    CHECK(again.line_len == r->line_len && again.command == r->command && again.noreply == r->noreply);
    CHECK(again.swallow == r->swallow && again.close == r->close && slice_equal(again.error, r->error));
    CHECK(again.value_len == r->value_len && again.number == r->number && again.exptime == r->exptime);
    if (p[r->line_len - 1] == '\n') CHECK(mc_parse(p, r->line_len - 1, max_value, &again) == MC_NEED_MORE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    uint32_t max_value = (uint32_t)data[0] << data[1] % 24;
    const uint8_t *p = data + 2, *end = data + size;
    while (p < end) {
        struct mc_request r;
        size_t n = (size_t)(end - p);
        enum mc_status status = mc_parse(p, n, max_value, &r);
        if (status == MC_NEED_MORE) break;
        if (status == MC_OK)
            check_request(&r, p, n, max_value);
        else
            check_error(&r, n);
        check_split(p, status, &r, max_value);
        if (r.close) break;
        uint64_t skip = r.line_len + r.swallow;
        if (status == MC_OK && r.value_len > 0) skip += r.value_len + 2;
        if (skip > n) break;
        p += skip;
    }
    return 0;
}
