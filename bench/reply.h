/*
 * Reads replies from a stream's received chain: in place where a reply lies in one segment, otherwise piece by piece as
 * it comes, so that a value may be longer than the receive window. Checks each value as the plan says.
 */
#ifndef POLAR_BENCH_REPLY_H
#define POLAR_BENCH_REPLY_H

#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "bench/request.h"
#include "bench/value.h"
#include "client/codec.h"

#define REPLY_TEXT 120u

struct reply {
    enum codec_kind kind;
    bool wrong;            /* CODEC_HIT: not the value that belongs to the key */
    char text[REPLY_TEXT]; /* CODEC_REFUSED: set only then */
};

enum reply_status { REPLY_DONE, REPLY_NEED_MORE, REPLY_BAD };

struct reply_reader {
    struct request_source *source; /* borrowed: protocol, keys, pattern */
    enum value_verify verify;
    uint32_t value_min, value_max; /* a value of another size is wrong */
    enum { REPLY_HEAD, REPLY_VALUE, REPLY_TAIL } state;
    uint32_t left; /* bytes of the value, or of the tail, still to come */
    bool wrong;
    struct value_check check;
};

void reply_reader_init(struct reply_reader *r, struct request_source *source, enum value_verify verify,
                       uint32_t value_min, uint32_t value_max);
/* Whether this is a value of the key's, as the plan has it checked. */
bool reply_value_is_right(struct reply_reader *r, uint32_t index, const uint8_t *value, uint32_t len);
/* Takes the next reply, to a get or a set of key `index`, from rx and consumes its bytes (also with NEED_MORE: of what
 * has been read already). REPLY_BAD: what came is not the protocol. */
enum reply_status reply_read(struct reply_reader *r, bool is_get, uint32_t index, struct buf_chain *rx,
                             struct reply *reply);

#endif
