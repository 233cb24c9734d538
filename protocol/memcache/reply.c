#include "protocol/memcache/reply.h"

#include <string.h>
#include "base/decimal.h"

static uint8_t *put(uint8_t *dst, const void *bytes, size_t n)
{
    memcpy(dst, bytes, n);
    return dst + n;
}

static uint8_t *put_number(uint8_t *dst, uint64_t n)
{
    return dst + decimal_format_u64(dst, n);
}

uint32_t mc_value_header(uint8_t *dst, struct slice key, uint32_t flags, uint32_t value_len, bool with_cas,
                         uint64_t cas)
{
    uint8_t *p = put(dst, "VALUE ", 6);
    p = put(p, key.data, key.len);
    *p++ = ' ';
    p = put_number(p, flags);
    *p++ = ' ';
    p = put_number(p, value_len);
    if (with_cas) {
        *p++ = ' ';
        p = put_number(p, cas);
    }
    p = put(p, "\r\n", 2);
    return (uint32_t)(p - dst);
}

uint32_t mc_number_line(uint8_t *dst, uint64_t n)
{
    uint8_t *p = put(put_number(dst, n), "\r\n", 2);
    return (uint32_t)(p - dst);
}
