#include "protocol/resp/reply.h"

#include <string.h>
#include "base/decimal.h"

static uint32_t end_line(uint8_t *dst, uint32_t len)
{
    dst[len] = '\r';
    dst[len + 1] = '\n';
    return len + 2;
}

static uint32_t header(uint8_t *dst, uint8_t type, uint64_t n)
{
    dst[0] = type;
    return end_line(dst, 1 + decimal_format_u64(dst + 1, n));
}

uint32_t resp_bulk_header(uint8_t *dst, uint64_t len)
{
    return header(dst, '$', len);
}

uint32_t resp_integer(uint8_t *dst, int64_t n)
{
    dst[0] = ':';
    return end_line(dst, 1 + decimal_format_i64(dst + 1, n));
}

uint32_t resp_array_header(uint8_t *dst, uint64_t n)
{
    return header(dst, '*', n);
}

uint32_t resp_map_header(uint8_t *dst, uint64_t pairs, bool resp3)
{
    return resp3 ? header(dst, '%', pairs) : header(dst, '*', pairs * 2);
}

uint32_t resp_null(uint8_t *dst, bool resp3)
{
    struct slice text = resp3 ? SLICE_LITERAL("_\r\n") : SLICE_LITERAL("$-1\r\n");
    memcpy(dst, text.data, text.len);
    return (uint32_t)text.len;
}
