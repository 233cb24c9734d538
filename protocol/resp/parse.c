#include "protocol/resp/parse.h"

#include <string.h>
#include "base/decimal.h"

#define PROTOCOL_ERROR "ERR Protocol error: "

static enum resp_status refuse(struct slice *error, struct slice text)
{
    *error = text;
    return RESP_ERROR;
}

#define REFUSE(error, text) refuse(error, SLICE_LITERAL(PROTOCOL_ERROR text))

/* ---- "expected '$', got 'x'": one constant text for each byte, so that an error needs no memory ---- */

#define EXPECTED_HEAD PROTOCOL_ERROR "expected '$', got '"

struct expected_text {
    uint8_t head[sizeof(EXPECTED_HEAD) - 1];
    uint8_t got;
    uint8_t quote;
};

/* A line end within an error line would end it: redis writes a blank there. */
#define EXPECTED_1(c)                                                                                                  \
    {                                                                                                                  \
        EXPECTED_HEAD, (c) == '\r' || (c) == '\n' || (c) == 0 ? ' ' : (c), '\''                                        \
    }
#define EXPECTED_4(c) EXPECTED_1(c), EXPECTED_1((c) + 1), EXPECTED_1((c) + 2), EXPECTED_1((c) + 3)
#define EXPECTED_16(c) EXPECTED_4(c), EXPECTED_4((c) + 4), EXPECTED_4((c) + 8), EXPECTED_4((c) + 12)
#define EXPECTED_64(c) EXPECTED_16(c), EXPECTED_16((c) + 16), EXPECTED_16((c) + 32), EXPECTED_16((c) + 48)

static const struct expected_text expected_texts[256] = {EXPECTED_64(0), EXPECTED_64(64), EXPECTED_64(128),
                                                         EXPECTED_64(192)};

/* ---- headers ---- */

enum number_status { NUMBER_OK, NUMBER_NEED_MORE, NUMBER_TOO_LONG, NUMBER_BAD };

/*
 * The rest: signs, leading zeros, faults, a line whose end is not there yet. redis judges a number only when it sees
 * the carriage return, and skips whatever byte follows that.
 */
static enum number_status number_line_slow(const uint8_t *p, size_t n, int64_t *number, uint32_t *used)
{
    const uint8_t *cr = memchr(p, '\r', n <= RESP_INLINE_MAX ? n : RESP_INLINE_MAX + 1);
    if (!cr) return n > RESP_INLINE_MAX ? NUMBER_TOO_LONG : NUMBER_NEED_MORE;
    if ((size_t)(cr - p) + 2 > n) return NUMBER_NEED_MORE;
    *used = (uint32_t)(cr - p) + 2;
    return decimal_parse_i64((struct slice){p + 1, (size_t)(cr - p) - 1}, number) ? NUMBER_OK : NUMBER_BAD;
}

/* The number of a line "<type><number>\r\n" at p, whose first byte was not looked at. n > 0. */
static inline enum number_status number_line(const uint8_t *p, size_t n, int64_t *number, uint32_t *used)
{
    const size_t digits_max = 9;
    uint32_t value = 0;
    size_t i = 1;
    for (; i < n && i <= digits_max; i++) {
        unsigned digit = p[i] - (unsigned)'0';
        if (digit > 9) break;
        value = value * 10 + digit;
    }
    bool plain = i > 1 && i + 1 < n && p[i] == '\r' && (p[1] != '0' || i == 2);
    if (!plain) return number_line_slow(p, n, number, used);
    *number = value;
    *used = (uint32_t)i + 2;
    return NUMBER_OK;
}

static enum resp_status inline_header(const uint8_t *p, size_t n, int64_t *argc, uint32_t *used, struct slice *error)
{
    const uint8_t *newline = memchr(p, '\n', n <= RESP_INLINE_MAX ? n : RESP_INLINE_MAX + 1);
    if (!newline) return n > RESP_INLINE_MAX ? REFUSE(error, "too big inline request") : RESP_NEED_MORE;
    *used = (uint32_t)(newline - p) + 1;
    bool empty = *used == 1 || (*used == 2 && p[0] == '\r');
    *argc = empty ? 0 : -1;
    return RESP_OK;
}

enum resp_status resp_parse_header(const uint8_t *p, size_t n, int64_t *argc, uint32_t *used, struct slice *error)
{
    if (n == 0) return RESP_NEED_MORE;
    if (p[0] != '*') return inline_header(p, n, argc, used, error);
    int64_t number = 0;
    switch (number_line(p, n, &number, used)) {
    case NUMBER_OK: break;
    case NUMBER_NEED_MORE: return RESP_NEED_MORE;
    case NUMBER_TOO_LONG: return REFUSE(error, "too big mbulk count string");
    case NUMBER_BAD: return REFUSE(error, "invalid multibulk length");
    }
    if (number > (int64_t)RESP_ARGC_MAX) return REFUSE(error, "invalid multibulk length");
    *argc = number > 0 ? number : 0;
    return RESP_OK;
}

enum resp_status resp_parse_bulk(const uint8_t *p, size_t n, uint64_t max_len, uint64_t *len, uint32_t *used,
                                 struct slice *error)
{
    if (n == 0) return RESP_NEED_MORE;
    int64_t number = -1;
    enum number_status status = number_line(p, n, &number, used);
    if (status == NUMBER_NEED_MORE) return RESP_NEED_MORE;
    if (status == NUMBER_TOO_LONG) return REFUSE(error, "too big bulk count string");
    if (p[0] != '$') return refuse(error, (struct slice){expected_texts[p[0]].head, sizeof(struct expected_text)});
    if (status == NUMBER_BAD || number < 0 || (uint64_t)number > max_len) return REFUSE(error, "invalid bulk length");
    *len = (uint64_t)number;
    return RESP_OK;
}

/* ---- inline lines ---- */

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static uint8_t escape_value(uint8_t c)
{
    switch (c) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'b': return '\b';
    case 'a': return '\a';
    default: return c;
    }
}

/* What stands between p and end, and where its unescaped text goes. */
struct splitter {
    const uint8_t *p, *end;
    uint8_t *dst;
};

/* Behind a closing quote: the argument ends there, by a blank or the end of the line. */
static bool quote_ends_argument(const struct splitter *s)
{
    return s->p == s->end || is_space(*s->p);
}

static bool double_quoted_take(struct splitter *s)
{
    while (s->p < s->end) {
        uint8_t c = *s->p++;
        if (c == '"') return quote_ends_argument(s);
        size_t left = (size_t)(s->end - s->p);
        if (c != '\\' || left == 0) {
            *s->dst++ = c;
        } else if (left >= 3 && s->p[0] == 'x' && hex_digit(s->p[1]) >= 0 && hex_digit(s->p[2]) >= 0) {
            *s->dst++ = (uint8_t)(hex_digit(s->p[1]) << 4 | hex_digit(s->p[2]));
            s->p += 3;
        } else {
            *s->dst++ = escape_value(*s->p++);
        }
    }
    return false;
}

static bool single_quoted_take(struct splitter *s)
{
    while (s->p < s->end) {
        uint8_t c = *s->p++;
        if (c == '\'') return quote_ends_argument(s);
        if (c == '\\' && s->p < s->end && *s->p == '\'') c = *s->p++;
        *s->dst++ = c;
    }
    return false;
}

/* One argument, which may turn into a quoted one halfway. False: quotes that do not close, or text right behind them.
 */
static bool argument_take(struct splitter *s)
{
    while (s->p < s->end) {
        uint8_t c = *s->p++;
        switch (c) {
        case ' ':
        case '\n':
        case '\r':
        case '\t': return true;
        case '"': return double_quoted_take(s);
        case '\'': return single_quoted_take(s);
        default: *s->dst++ = c;
        }
    }
    return true;
}

int resp_split_inline(const uint8_t *p, size_t n, uint8_t *scratch, struct slice *args, int max_args)
{
    struct splitter s = {p, p + n, scratch};
    for (int count = 0;; count++) {
        while (s.p < s.end && is_space(*s.p)) s.p++;
        if (s.p == s.end) return count;
        if (count == max_args) return -2;
        const uint8_t *start = s.dst;
        if (!argument_take(&s)) return -1;
        args[count] = (struct slice){start, (size_t)(s.dst - start)};
    }
}
