#include "client/codec.h"

#include <string.h>
#include "base/decimal.h"
#include "protocol/resp/reply.h"

#define LINE_MAX_BYTES 4096u /* longest reply line; a server's longest error text is far shorter */

/* ---- requests ---- */

static uint8_t *put(uint8_t *dst, struct slice text)
{
    memcpy(dst, text.data, text.len);
    return dst + text.len;
}

#define PUT(dst, text) put(dst, SLICE_LITERAL(text))

static uint8_t *put_bulk(uint8_t *dst, struct slice text)
{
    return PUT(put(dst + resp_bulk_header(dst, text.len), text), "\r\n");
}

uint32_t codec_set_head(enum codec_protocol protocol, uint8_t *dst, struct slice key, uint32_t value_len)
{
    uint8_t *p = dst;
    if (protocol == CODEC_MEMCACHE) {
        p = PUT(put(PUT(p, "set "), key), " 0 0 ");
        p = PUT(p + decimal_format_u64(p, value_len), "\r\n");
    } else {
        p = put_bulk(PUT(p, "*3\r\n$3\r\nSET\r\n"), key);
        p += resp_bulk_header(p, value_len);
    }
    return (uint32_t)(p - dst);
}

uint32_t codec_set_tail(enum codec_protocol protocol, uint8_t *dst)
{
    (void)protocol;
    return (uint32_t)(PUT(dst, "\r\n") - dst);
}

uint32_t codec_get(enum codec_protocol protocol, uint8_t *dst, struct slice key)
{
    uint8_t *p = dst;
    if (protocol == CODEC_MEMCACHE)
        p = PUT(put(PUT(p, "get "), key), "\r\n");
    else
        p = put_bulk(PUT(p, "*2\r\n$3\r\nGET\r\n"), key);
    return (uint32_t)(p - dst);
}

uint32_t codec_auth(uint8_t *dst, struct slice user, struct slice password)
{
    uint8_t *p = user.len ? put_bulk(PUT(dst, "*3\r\n$4\r\nAUTH\r\n"), user) : PUT(dst, "*2\r\n$4\r\nAUTH\r\n");
    return (uint32_t)(put_bulk(p, password) - dst);
}

/* ---- replies ---- */

struct slice codec_tail(enum codec_protocol protocol)
{
    return protocol == CODEC_MEMCACHE ? SLICE_LITERAL("\r\nEND\r\n") : SLICE_LITERAL("\r\n");
}

static bool starts_with(struct slice line, struct slice prefix)
{
    return line.len >= prefix.len && memcmp(line.data, prefix.data, prefix.len) == 0;
}

#define STARTS_WITH(line, prefix) starts_with(line, SLICE_LITERAL(prefix))
#define IS(line, text) slice_equal(line, SLICE_LITERAL(text))

static bool length_parse(struct slice text, uint32_t *out)
{
    uint64_t n;
    if (!decimal_parse_u64(text, &n) || n > UINT32_MAX) return false;
    *out = (uint32_t)n;
    return true;
}

/* Takes the text up to the next blank, which is dropped; the last field has none. */
static struct slice field_take(struct slice *rest)
{
    const uint8_t *blank = rest->len ? memchr(rest->data, ' ', rest->len) : NULL;
    size_t len = blank ? (size_t)(blank - rest->data) : rest->len;
    struct slice field = {rest->data, len};
    size_t taken = len + (blank ? 1 : 0);
    *rest = (struct slice){rest->data + taken, rest->len - taken};
    return field;
}

/* "VALUE <key> <flags> <bytes>[ <cas>]" */
static enum codec_status memcache_value(struct slice line, struct codec_reply *reply)
{
    struct slice rest = {line.data + 6, line.len - 6};
    struct slice key = field_take(&rest);
    struct slice flags = field_take(&rest), bytes = field_take(&rest);
    uint32_t number;
    uint64_t cas;
    if (key.len == 0 || !length_parse(flags, &number) || !length_parse(bytes, &reply->value_len)) return CODEC_BAD;
    if (rest.len > 0 && !decimal_parse_u64(rest, &cas)) return CODEC_BAD;
    reply->kind = CODEC_HIT;
    reply->key = key;
    reply->tail_len = (uint32_t)codec_tail(CODEC_MEMCACHE).len;
    return CODEC_OK;
}

static enum codec_status without_value(struct codec_reply *reply, enum codec_kind kind)
{
    reply->kind = kind;
    return CODEC_OK;
}

static enum codec_status refused(struct codec_reply *reply, struct slice text)
{
    reply->text = text;
    return without_value(reply, CODEC_REFUSED);
}

static enum codec_status memcache_reply(bool is_get, struct slice line, struct codec_reply *reply)
{
    if (is_get && STARTS_WITH(line, "VALUE ")) return memcache_value(line, reply);
    if (is_get && IS(line, "END")) return without_value(reply, CODEC_MISS);
    if (!is_get && IS(line, "STORED")) return without_value(reply, CODEC_STORED);
    if (!is_get && (IS(line, "NOT_STORED") || IS(line, "EXISTS") || IS(line, "NOT_FOUND"))) return refused(reply, line);
    if (IS(line, "ERROR") || STARTS_WITH(line, "CLIENT_ERROR ") || STARTS_WITH(line, "SERVER_ERROR "))
        return refused(reply, line);
    return CODEC_BAD;
}

static enum codec_status resp_reply(bool is_get, struct slice line, struct codec_reply *reply)
{
    if (STARTS_WITH(line, "-")) return refused(reply, (struct slice){line.data + 1, line.len - 1});
    if (!is_get) return IS(line, "+OK") ? without_value(reply, CODEC_STORED) : CODEC_BAD;
    if (IS(line, "$-1") || IS(line, "_")) return without_value(reply, CODEC_MISS);
    if (!STARTS_WITH(line, "$") || !length_parse((struct slice){line.data + 1, line.len - 1}, &reply->value_len))
        return CODEC_BAD;
    reply->tail_len = (uint32_t)codec_tail(CODEC_RESP).len;
    return without_value(reply, CODEC_HIT);
}

enum codec_status codec_parse(enum codec_protocol protocol, bool is_get, const uint8_t *p, size_t n,
                              struct codec_reply *reply)
{
    if (n == 0) return CODEC_NEED_MORE;
    const uint8_t *newline = memchr(p, '\n', n < LINE_MAX_BYTES ? n : LINE_MAX_BYTES);
    if (!newline) return n < LINE_MAX_BYTES ? CODEC_NEED_MORE : CODEC_BAD;
    if (newline == p || newline[-1] != '\r') return CODEC_BAD;
    struct slice line = {p, (size_t)(newline - p) - 1};
    *reply = (struct codec_reply){.head_len = (uint32_t)(newline - p) + 1};
    return protocol == CODEC_MEMCACHE ? memcache_reply(is_get, line, reply) : resp_reply(is_get, line, reply);
}
