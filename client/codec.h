/*
 * The client's side of the protocols: requests composed into caller's memory, replies parsed from contiguous bytes.
 * Pure. Used by kvbench and, later, by libpolarkv.
 */
#ifndef POLAR_CLIENT_CODEC_H
#define POLAR_CLIENT_CODEC_H

#include <stdbool.h>
#include <stdint.h>
#include "base/slice.h"

enum codec_protocol { CODEC_MEMCACHE, CODEC_RESP };

/* What precedes the value of a set, and what follows it. Bytes written (at most 128 + key.len). */
uint32_t codec_set_head(enum codec_protocol protocol, uint8_t *dst, struct slice key, uint32_t value_len);
uint32_t codec_set_tail(enum codec_protocol protocol, uint8_t *dst); /* "\r\n" */
uint32_t codec_get(enum codec_protocol protocol, uint8_t *dst, struct slice key);
/* RESP's AUTH; user empty: without one. Its answer is as a set's. Bytes written (at most 64 + both). */
uint32_t codec_auth(uint8_t *dst, struct slice user, struct slice password);

enum codec_status { CODEC_OK, CODEC_NEED_MORE, CODEC_BAD };

enum codec_kind {
    CODEC_HIT,     /* a get found it: value_len bytes start at value_offset from p */
    CODEC_MISS,
    CODEC_STORED,
    CODEC_REFUSED, /* an error of the server: text says it */
};

struct codec_reply {
    enum codec_kind kind;
    uint32_t head_len;     /* bytes before the value (or of the whole reply when there is none) */
    uint32_t value_len;
    uint32_t tail_len;     /* bytes behind the value: "\r\nEND\r\n" or "\r\n"; the caller checks them with codec_tail */
    struct slice text;     /* CODEC_REFUSED */
    struct slice key;      /* memcached: the key in the VALUE line */
};

/* Parses the head of the reply to a get (is_get) or a set. The value need not be there yet. */
enum codec_status codec_parse(enum codec_protocol protocol, bool is_get, const uint8_t *p, size_t n,
                              struct codec_reply *reply);
/* The bytes that must follow a value. */
struct slice codec_tail(enum codec_protocol protocol);

#endif
