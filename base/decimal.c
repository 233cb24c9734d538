#include "base/decimal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool decimal_parse_u64(struct slice text, uint64_t *out)
{
    if (text.len == 0 || text.len > 20) return false;
    uint64_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = text.data[i] - (unsigned)'0';
        if (digit > 9) return false;
        if (__builtin_mul_overflow(n, 10u, &n) || __builtin_add_overflow(n, digit, &n)) return false;
    }
    *out = n;
    return true;
}

bool decimal_parse_i64(struct slice text, int64_t *out)
{
    bool negative = text.len > 0 && text.data[0] == '-';
    struct slice digits = {text.data + negative, text.len - negative};
    uint64_t n;
    if (!decimal_parse_u64(digits, &n)) return false;
    if (digits.data[0] == '0' && (digits.len > 1 || negative)) return false;
    if (n > (uint64_t)INT64_MAX + negative) return false;
    *out = negative ? (int64_t)(0 - n) : (int64_t)n;
    return true;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool decimal_parse_loose(struct slice text, uint64_t *out)
{
    const uint8_t *p = text.data, *end = p + text.len;
    uint64_t n = 0;
    while (p < end && is_blank(*p)) p++;
    bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+')) p++;
    const uint8_t *digits = p;
    for (; p < end && (unsigned)(*p - '0') <= 9; p++)
        if (__builtin_mul_overflow(n, 10u, &n) || __builtin_add_overflow(n, (unsigned)(*p - '0'), &n)) return false;
    if (p == digits || (p < end && !is_blank(*p)) || (negative && n)) return false;
    *out = n;
    return true;
}

bool decimal_parse_real(struct slice text, long double *out)
{
    char copy[256], *end;
    if (text.len == 0 || text.len >= sizeof copy || is_blank(text.data[0])) return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    errno = 0;
    long double n = strtold(copy, &end);
    if (end != copy + text.len || isnan(n) || (errno == ERANGE && (isinf(n) || n == 0))) return false;
    *out = n;
    return true;
}

uint32_t decimal_format_u64(uint8_t *dst, uint64_t n)
{
    uint8_t text[20];
    uint32_t len = 0;
    do {
        text[len++] = (uint8_t)('0' + n % 10);
        n /= 10;
    } while (n);
    for (uint32_t i = 0; i < len; i++) dst[i] = text[len - 1 - i];
    return len;
}

uint32_t decimal_format_i64(uint8_t *dst, int64_t n)
{
    if (n >= 0) return decimal_format_u64(dst, (uint64_t)n);
    dst[0] = '-';
    return 1 + decimal_format_u64(dst + 1, 0 - (uint64_t)n);
}
