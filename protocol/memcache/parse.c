#include "protocol/memcache/parse.h"

#include <string.h>
#include "protocol/token_index.h"

#define EXPTIME_RELATIVE_MAX_S (60 * 60 * 24 * 30)
#define VALUE_LEN_MAX                                                                                                  \
    (INT32_MAX - 2)             /* what memcached takes for a length at all; max_value is the server's own limit */
#define LEADING_BLANKS_MAX 100u /* before the name of a get that is longer than MC_LINE_MAX */

#define TEXT_ERROR "ERROR\r\n"
#define TEXT_FORMAT "CLIENT_ERROR bad command line format\r\n"
#define TEXT_DELETE "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n"
#define TEXT_EXPTIME "CLIENT_ERROR invalid exptime argument\r\n"
#define TEXT_DELTA "CLIENT_ERROR invalid numeric delta argument\r\n"
#define TEXT_TOO_LARGE "SERVER_ERROR object too large for cache\r\n"
#define TEXT_LINE_TOO_LONG "CLIENT_ERROR line too long\r\n"

enum shape {
    SHAPE_KEYS,         /* <key>+ */
    SHAPE_EXPTIME_KEYS, /* <exptime> <key>+ */
    SHAPE_STORAGE,      /* <key> <flags> <exptime> <bytes> [noreply] */
    SHAPE_STORAGE_CAS,  /* <key> <flags> <exptime> <bytes> <cas unique> [noreply] */
    SHAPE_KEY,          /* <key> [0] [noreply] */
    SHAPE_DELTA,        /* <key> <delta> [noreply] */
    SHAPE_TOUCH,        /* <key> <exptime> [noreply] */
    SHAPE_FLUSH,        /* [<exptime>] [noreply] */
    SHAPE_LEVEL,        /* <level> [noreply] */
    SHAPE_REST,         /* anything */
    SHAPE_NONE,         /* anything, ignored */
};

struct command_row {
    const char *token;
    uint8_t len;
    uint8_t shape;
};

static const struct command_row command_rows[MC_COMMAND_COUNT] = {
#define MC_COMMAND(id, token, shape, help) [MC_##id] = {token, sizeof(token) - 1, SHAPE_##shape},
#include "protocol/memcache/commands.def"
#undef MC_COMMAND
};

static struct token_index command_index;

__attribute__((constructor)) static void command_index_fill(void)
{
    for (unsigned row = MC_UNKNOWN + 1; row < MC_COMMAND_COUNT; row++)
        token_index_add(&command_index, command_rows[row].token, command_rows[row].len, (uint8_t)row);
}

/* Names are a few bytes: a call of memcmp costs more than this loop. */
static inline bool token_matches(const char *token, struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] != (uint8_t)token[i]) return false;
    return true;
}

static inline enum mc_command command_find(struct slice name)
{
    uint32_t slot = token_index_slot(name.data, name.len);
    for (uint8_t row; (row = command_index.row[slot]) != MC_UNKNOWN; slot = (slot + 1) & (TOKEN_INDEX_SLOTS - 1))
        if (command_rows[row].len == name.len && token_matches(command_rows[row].token, name))
            return (enum mc_command)row;
    return MC_UNKNOWN;
}

/* ---- tokens ---- */

/* The first blank at p or behind it, or end. Eight bytes at a time: keys are a few words long. */
static inline const uint8_t *blank_find(const uint8_t *p, const uint8_t *end)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    const uint64_t ones = 0x0101010101010101u;
    for (; end - p >= 8; p += 8) {
        uint64_t word;
        memcpy(&word, p, sizeof(word));
        word ^= ones * ' ';
        uint64_t found = (word - ones) & ~word & (ones << 7);
        if (found) return p + __builtin_ctzll(found) / 8;
    }
#endif
    while (p < end && *p != ' ') p++;
    return p;
}

/* Takes the next token from *rest; an empty one when there is none. */
static inline struct slice token_take(struct slice *rest)
{
    const uint8_t *p = rest->data, *end = p + rest->len;
    while (p < end && *p == ' ') p++;
    const uint8_t *token_end = blank_find(p, end);
    *rest = (struct slice){token_end, (size_t)(end - token_end)};
    return (struct slice){p, (size_t)(token_end - p)};
}

#define TOKENS_MAX 6 /* behind the command's name */

/* Returns the number of tokens, or TOKENS_MAX + 1 when there are more: no command takes so many. */
static inline unsigned tokens_split(struct slice rest, struct slice *tokens)
{
    for (unsigned count = 0; count < TOKENS_MAX; count++) {
        tokens[count] = token_take(&rest);
        if (tokens[count].len == 0) return count;
    }
    return token_take(&rest).len == 0 ? TOKENS_MAX : TOKENS_MAX + 1;
}

static inline bool token_is_noreply(struct slice token)
{
    return token.len == 7 && memcmp(token.data, "noreply", 7) == 0;
}

static inline bool digits_parse(const uint8_t *p, const uint8_t *end, uint64_t *out)
{
    if (p == end) return false;
    uint64_t n = 0;
    for (; p < end; p++) {
        unsigned digit = *p - (unsigned)'0';
        if (digit > 9) return false;
        if (__builtin_mul_overflow(n, 10u, &n) || __builtin_add_overflow(n, digit, &n)) return false;
    }
    *out = n;
    return true;
}

/* memcached reads numbers with strtoull: a plus sign and leading zeros are fine. */
static inline bool token_u64(struct slice token, uint64_t *out)
{
    const uint8_t *end = token.data + token.len;
    return digits_parse(token.data + (token.len > 1 && token.data[0] == '+'), end, out);
}

static inline bool token_i64(struct slice token, int64_t *out)
{
    bool negative = token.len > 1 && token.data[0] == '-';
    struct slice digits = {token.data + negative, token.len - negative};
    uint64_t n;
    if (negative ? !digits_parse(digits.data, digits.data + digits.len, &n) : !token_u64(digits, &n)) return false;
    if (n > (uint64_t)INT64_MAX + negative) return false;
    *out = negative ? (int64_t)(0 - n) : (int64_t)n;
    return true;
}

static inline bool token_u32(struct slice token, uint32_t *out)
{
    uint64_t n;
    if (!token_u64(token, &n) || n > UINT32_MAX) return false;
    *out = (uint32_t)n;
    return true;
}

/* ---- shapes ---- */

static enum mc_status refuse(struct mc_request *r, struct slice text)
{
    if (!r->noreply) r->error = text;
    return MC_ERROR;
}

#define REFUSE(r, text) refuse(r, SLICE_LITERAL(text))

int mc_next_key(struct slice *more, struct slice *key)
{
    if (more->len == 0) return 0; /* data may be NULL then */
    *key = token_take(more);
    if (key->len == 0) return 0;
    return key->len <= MC_KEY_MAX ? 1 : -1;
}

static inline enum mc_status keys_parse(struct slice rest, struct mc_request *r)
{
    int found = mc_next_key(&rest, &r->key);
    r->more = rest;
    if (found == 1) return MC_OK;
    r->key.len = 0;
    return found == 0 ? REFUSE(r, TEXT_ERROR) : REFUSE(r, TEXT_FORMAT);
}

static enum mc_status exptime_keys_parse(struct slice rest, struct mc_request *r)
{
    struct slice exptime = token_take(&rest);
    struct slice after = rest;
    if (token_take(&after).len == 0) return REFUSE(r, TEXT_ERROR);
    if (!token_i64(exptime, &r->exptime)) return REFUSE(r, TEXT_EXPTIME);
    return keys_parse(rest, r);
}

/*
 * Whenever the length of the data block can be read, the block is swallowed with the bad line. memcached 1.6.18 does so
 * only for a value that is too large; but then the bytes of a value run as commands.
 */
static inline enum mc_status storage_parse(struct slice rest, bool with_cas, uint32_t max_value, struct mc_request *r)
{
    struct slice token[TOKENS_MAX];
    unsigned count = tokens_split(rest, token);
    unsigned least = with_cas ? 5 : 4;
    if (count < least || count > least + 1) return REFUSE(r, TEXT_ERROR);
    r->noreply = token_is_noreply(token[count - 1]);

    uint64_t value_len;
    if (!token_u64(token[3], &value_len) || value_len > VALUE_LEN_MAX) return REFUSE(r, TEXT_FORMAT);
    r->swallow = value_len + 2;
    if (token[0].len > MC_KEY_MAX || !token_u32(token[1], &r->flags) || !token_i64(token[2], &r->exptime))
        return REFUSE(r, TEXT_FORMAT);
    if (with_cas && !token_u64(token[4], &r->number)) return REFUSE(r, TEXT_FORMAT);
    r->key = token[0];
    r->value_len = (uint32_t)value_len;
    if (value_len > max_value) return REFUSE(r, TEXT_TOO_LARGE);
    r->swallow = 0;
    return MC_OK;
}

/* A hold time was once allowed behind the key; 0 still is. */
static enum mc_status delete_parse(struct slice rest, struct mc_request *r)
{
    struct slice token[TOKENS_MAX];
    unsigned count = tokens_split(rest, token);
    if (count < 1 || count > 3) return REFUSE(r, TEXT_ERROR);
    if (count > 1) {
        bool hold_is_zero = token[1].len == 1 && token[1].data[0] == '0';
        r->noreply = token_is_noreply(token[count - 1]);
        if (count == 2 ? !hold_is_zero && !r->noreply : !hold_is_zero || !r->noreply) return REFUSE(r, TEXT_DELETE);
    }
    if (token[0].len > MC_KEY_MAX) return REFUSE(r, TEXT_FORMAT);
    r->key = token[0];
    return MC_OK;
}

/* <key> <number> [noreply]: incr, decr and touch differ in the number. */
static enum mc_status key_number_parse(struct slice rest, bool is_exptime, struct mc_request *r)
{
    struct slice token[TOKENS_MAX];
    unsigned count = tokens_split(rest, token);
    if (count < 2 || count > 3) return REFUSE(r, TEXT_ERROR);
    r->noreply = token_is_noreply(token[count - 1]);
    if (token[0].len > MC_KEY_MAX) return REFUSE(r, TEXT_FORMAT);
    if (is_exptime && !token_i64(token[1], &r->exptime)) return REFUSE(r, TEXT_EXPTIME);
    if (!is_exptime && !token_u64(token[1], &r->number)) return REFUSE(r, TEXT_DELTA);
    r->key = token[0];
    return MC_OK;
}

static enum mc_status flush_parse(struct slice rest, struct mc_request *r)
{
    struct slice token[TOKENS_MAX];
    unsigned count = tokens_split(rest, token);
    if (count > 2) return REFUSE(r, TEXT_ERROR);
    r->noreply = count > 0 && token_is_noreply(token[count - 1]);
    r->has_exptime = count > (r->noreply ? 1 : 0);
    if (r->has_exptime && !token_i64(token[0], &r->exptime)) return REFUSE(r, TEXT_EXPTIME);
    return MC_OK;
}

static enum mc_status level_parse(struct slice rest, struct mc_request *r)
{
    struct slice token[TOKENS_MAX];
    unsigned count = tokens_split(rest, token);
    if (count < 1 || count > 2) return REFUSE(r, TEXT_ERROR);
    r->noreply = token_is_noreply(token[count - 1]);
    uint64_t level;
    if (!token_u64(token[0], &level)) return REFUSE(r, TEXT_FORMAT);
    r->argument = token[0];
    return MC_OK;
}

static enum mc_status rest_parse(struct slice rest, struct mc_request *r)
{
    while (rest.len > 0 && rest.data[0] == ' ') rest = (struct slice){rest.data + 1, rest.len - 1};
    r->argument = rest;
    return MC_OK;
}

/* A browser, or a page that makes one post to this port: closed on without a word, as memcached does. */
static enum mc_status unknown_refuse(struct slice line, struct mc_request *r)
{
    const uint8_t *blank = line.len ? memrchr(line.data, ' ', line.len) : NULL;
    const uint8_t *last = blank ? blank + 1 : line.data;
    r->close = line.data + line.len - last >= 5 && memcmp(last, "HTTP/", 5) == 0;
    return r->close ? MC_ERROR : REFUSE(r, TEXT_ERROR);
}

/* ---- lines ---- */

static bool line_is_get(const uint8_t *p)
{
    unsigned blanks = 0;
    while (blanks < LEADING_BLANKS_MAX && p[blanks] == ' ') blanks++;
    p += blanks;
    return memcmp(p, "get ", 4) == 0 || memcmp(p, "gets ", 5) == 0 || memcmp(p, "gat ", 4) == 0 ||
           memcmp(p, "gats ", 5) == 0;
}

/* Finds the line end behind the first MC_LINE_MAX bytes, where only a get of many keys may have it. */
static enum mc_status long_line_find(const uint8_t *p, size_t n, const uint8_t **newline, struct mc_request *r)
{
    size_t limit = line_is_get(p) ? MC_GET_LINE_MAX : MC_LINE_MAX;
    size_t seen = n < limit ? n : limit;
    *newline = memchr(p + MC_LINE_MAX, '\n', seen - MC_LINE_MAX);
    if (*newline) return MC_OK;
    if (seen < limit) return MC_NEED_MORE;
    r->line_len = (uint32_t)limit;
    r->close = true;
    return REFUSE(r, TEXT_LINE_TOO_LONG);
}

/* Field by field: of the whole at once gcc 12 makes "rep stos", which costs a third of a get. */
static inline void request_clear(struct mc_request *r)
{
    const struct slice none = {0};
    r->command = MC_UNKNOWN;
    r->noreply = false;
    r->line_len = 0;
    r->key = r->more = r->argument = r->error = none;
    r->flags = 0;
    r->exptime = 0;
    r->value_len = 0;
    r->number = 0;
    r->has_exptime = false;
    r->swallow = 0;
    r->close = false;
}

enum mc_status mc_parse(const uint8_t *p, size_t n, uint32_t max_value, struct mc_request *r)
{
    if (n == 0) return MC_NEED_MORE;
    const uint8_t *newline = memchr(p, '\n', n < MC_LINE_MAX ? n : MC_LINE_MAX);
    if (!newline && n < MC_LINE_MAX) return MC_NEED_MORE;
    request_clear(r);
    if (!newline) {
        enum mc_status status = long_line_find(p, n, &newline, r);
        if (status != MC_OK) return status;
    }
    r->line_len = (uint32_t)(newline - p) + 1;

    const uint8_t *end = newline > p && newline[-1] == '\r' ? newline - 1 : newline;
    while (end > p && end[-1] == ' ') end--;
    struct slice line = {p, (size_t)(end - p)};
    struct slice rest = line;
    struct slice name = token_take(&rest);
    if (name.len == 0) return REFUSE(r, TEXT_ERROR);
    r->command = command_find(name);
    if (r->command == MC_UNKNOWN) return unknown_refuse(line, r);

    switch ((enum shape)command_rows[r->command].shape) {
    case SHAPE_KEYS: return keys_parse(rest, r);
    case SHAPE_EXPTIME_KEYS: return exptime_keys_parse(rest, r);
    case SHAPE_STORAGE: return storage_parse(rest, false, max_value, r);
    case SHAPE_STORAGE_CAS: return storage_parse(rest, true, max_value, r);
    case SHAPE_KEY: return delete_parse(rest, r);
    case SHAPE_DELTA: return key_number_parse(rest, false, r);
    case SHAPE_TOUCH: return key_number_parse(rest, true, r);
    case SHAPE_FLUSH: return flush_parse(rest, r);
    case SHAPE_LEVEL: return level_parse(rest, r);
    case SHAPE_REST: return rest_parse(rest, r);
    case SHAPE_NONE: return MC_OK;
    }
    return REFUSE(r, TEXT_ERROR);
}

uint64_t mc_expires_ms(int64_t exptime, uint64_t now_ms)
{
    if (exptime == 0) return 0;
    if (exptime < 0) return 1;
    if (exptime <= EXPTIME_RELATIVE_MAX_S) return ((now_ms + 999) / 1000 + (uint64_t)exptime) * 1000;
    return exptime > INT64_MAX / 1000 ? INT64_MAX : (uint64_t)exptime * 1000;
}
