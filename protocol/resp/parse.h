/*
 * RESP, request side (Redis protocol specification; inline commands). Pure and incremental: an array of bulk strings is
 * read header by header, so that a large argument need not be in one piece, nor yet be there.
 *
 * The caller drives it over a contiguous window of bytes:
 *   resp_parse_header  "*<argc>\r\n" or an inline line
 *   resp_parse_bulk    "$<len>\r\n", argc times; each is followed by len bytes and "\r\n", which the caller takes.
 */
#ifndef POLAR_PROTOCOL_RESP_PARSE_H
#define POLAR_PROTOCOL_RESP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/slice.h"

#define RESP_INLINE_MAX 65536u      /* bytes of an inline command or of a header line */
#define RESP_ARGC_MAX (1024u * 1024u)
#define RESP_INLINE_ARGS_MAX 1024u

enum resp_status {
    RESP_OK,
    RESP_NEED_MORE,
    RESP_ERROR, /* *error is the line to answer, without its "-" and "\r\n", e.g. "ERR Protocol error: invalid bulk length"; close after */
};

/* A header: *argc > 0 arguments follow as bulk strings; *argc == 0: nothing to do (an empty array or empty line), skip
 * *used; *argc == -1: an inline line of *used bytes (its end included), to be split by resp_split_inline. */
enum resp_status resp_parse_header(const uint8_t *p, size_t n, int64_t *argc, uint32_t *used, struct slice *error);
/* A bulk header of *used bytes; *len bytes and 2 more follow ("\r\n", which redis skips without a look). max_len: as
 * proto-max-bulk-len. The lower limits before AUTH are not here. */
enum resp_status resp_parse_bulk(const uint8_t *p, size_t n, uint64_t max_len, uint64_t *len, uint32_t *used,
                                 struct slice *error);
/*
 * Splits an inline line (as redis' sdssplitargs: blanks, "double quotes" with \n \r \t \b \a \xHH escapes, 'single').
 * Unescaped text goes to scratch (at least n bytes); args point into it. Returns the count (0 for a blank line), or -1
 * for unbalanced quotes (answer RESP_ERROR_QUOTES and close), -2 for more than max_args.
 */
#define RESP_ERROR_QUOTES "ERR Protocol error: unbalanced quotes in request"
int resp_split_inline(const uint8_t *p, size_t n, uint8_t *scratch, struct slice *args, int max_args);

/* Commands: one row each in commands.def. */
enum resp_command {
    RESP_CMD_UNKNOWN,
#define RESP_COMMAND(id, token, arity, shape, flags, first_key, last_key, step, group, summary) RESP_CMD_##id,
#include "protocol/resp/commands.def"
#undef RESP_COMMAND
    RESP_CMD_COUNT
};

/* How the arguments are taken. */
enum resp_shape {
    RESP_SHAPE_ARGS,  /* a few small arguments, all gathered before the command runs */
    RESP_SHAPE_KEYS,  /* each argument behind the name is a key: one operation each */
    RESP_SHAPE_PAIRS, /* key value key value...: one write each */
    RESP_SHAPE_VALUE, /* key value [options], or key time value: the value streams */
};

struct resp_command_row {
    const char *token; /* lower case */
    int arity;         /* as redis: the name counts; negative: at least */
    enum resp_shape shape;
    const char *flags; /* "readonly fast": words for COMMAND */
    int first_key, last_key, step;
    const char *group;
    const char *summary;
};

extern const struct resp_command_row resp_command_rows[RESP_CMD_COUNT];
/* Case-insensitive; RESP_CMD_UNKNOWN when there is none. A perfect or open-addressed hash, not a chain of strcmp. */
enum resp_command resp_command_find(struct slice name);

#endif
