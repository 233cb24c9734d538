/*
 * A reply as a client sees it (the first byte: which protocol, get or set), and a request with a key of any bytes,
 * which the server's parser must read back.
 */
#include "client/codec.h"
#include "protocol/memcache/parse.h"
#include "protocol/resp/parse.h"
#include "tests/protocol/fuzz.h"

static void check_reply(enum codec_protocol protocol, bool is_get, const uint8_t *p, size_t n)
{
    struct codec_reply reply, again;
    enum codec_status status = codec_parse(protocol, is_get, p, n, &reply);
    if (status != CODEC_OK) return;
    CHECK(reply.head_len > 1 && reply.head_len <= n);
    CHECK(memcmp(p + reply.head_len - 2, "\r\n", 2) == 0);
    CHECK(slice_within(reply.text, p, reply.head_len) && slice_within(reply.key, p, reply.head_len));
    CHECK((reply.kind == CODEC_HIT || reply.kind == CODEC_MISS) <= is_get);
    CHECK((reply.kind == CODEC_STORED) <= !is_get);
    CHECK(reply.tail_len == (reply.kind == CODEC_HIT ? codec_tail(protocol).len : 0));
    CHECK(reply.kind == CODEC_HIT || reply.value_len == 0);
    CHECK(codec_parse(protocol, is_get, p, reply.head_len, &again) == CODEC_OK && again.kind == reply.kind);
    CHECK(codec_parse(protocol, is_get, p, reply.head_len - 1, &again) == CODEC_NEED_MORE);
}

static void check_memcache_request(const uint8_t *dst, uint32_t len, enum mc_command command, struct slice key)
{
    struct mc_request r;
    CHECK(mc_parse(dst, len, UINT32_MAX, &r) == MC_OK);
    CHECK(r.command == command && r.line_len == len && slice_equal(r.key, key));
}

static void check_resp_request(const uint8_t *dst, uint32_t len, enum resp_command command, struct slice key)
{
    int64_t argc;
    uint64_t bulk_len;
    uint32_t used;
    struct slice error;
    CHECK(resp_parse_header(dst, len, &argc, &used, &error) == RESP_OK);
    CHECK(argc == (command == RESP_CMD_get ? 2 : 3));
    size_t at = used;
    CHECK(resp_parse_bulk(dst + at, len - at, len, &bulk_len, &used, &error) == RESP_OK);
    CHECK(resp_command_find((struct slice){dst + at + used, bulk_len}) == command);
    at += used + bulk_len + 2;
    CHECK(resp_parse_bulk(dst + at, len - at, len, &bulk_len, &used, &error) == RESP_OK);
    CHECK(slice_equal((struct slice){dst + at + used, bulk_len}, key));
}

static void check_requests(struct slice key)
{
    uint8_t *dst = malloc(128 + key.len);
    check_resp_request(dst, codec_set_head(CODEC_RESP, dst, key, 77), RESP_CMD_set, key);
    check_resp_request(dst, codec_get(CODEC_RESP, dst, key), RESP_CMD_get, key);
    bool plain = key.len > 0 && key.len <= MC_KEY_MAX && !memchr(key.data, ' ', key.len);
    /* A carriage return at a key's end would be taken for the line's. */
    if (plain && !memchr(key.data, '\n', key.len) && key.data[key.len - 1] != '\r') {
        check_memcache_request(dst, codec_set_head(CODEC_MEMCACHE, dst, key, 77), MC_set, key);
        check_memcache_request(dst, codec_get(CODEC_MEMCACHE, dst, key), MC_get, key);
    }
    free(dst);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    check_reply(data[0] & 1 ? CODEC_RESP : CODEC_MEMCACHE, data[0] & 2, data + 1, size - 1);
    check_requests((struct slice){data + 1, size - 1});
    return 0;
}
