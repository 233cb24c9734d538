/*
 * The memcached text protocol (protocol.txt of memcached 1.6), request side. Pure: bytes in, a request out. A request's
 * slices point into the bytes that were parsed.
 */
#ifndef POLAR_PROTOCOL_MEMCACHE_PARSE_H
#define POLAR_PROTOCOL_MEMCACHE_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/slice.h"

#define MC_KEY_MAX 250u
#define MC_LINE_MAX 2048u           /* longest command line but for the get family */
#define MC_GET_LINE_MAX (1u << 20)  /* longest line of get, gets, gat, gats */

enum mc_command {
    MC_UNKNOWN,
#define MC_COMMAND(id, token, shape, help) MC_##id,
#include "protocol/memcache/commands.def"
#undef MC_COMMAND
    MC_COMMAND_COUNT
};

enum mc_status {
    MC_OK,        /* a whole command line was parsed: line_len bytes */
    MC_NEED_MORE, /* no line end yet */
    MC_ERROR,     /* answer `error` (with its \r\n; empty: nothing), skip line_len bytes, then `swallow` more; if `close`, close */
};

struct mc_request {
    enum mc_command command;
    bool noreply;
    uint32_t line_len;    /* bytes of the line, its end included */
    struct slice key;     /* the first key */
    struct slice more;    /* get family: what stands behind the first key, for mc_next_key */
    uint32_t flags;
    int64_t exptime;      /* as sent; mc_expires_ms makes it absolute */
    uint32_t value_len;   /* storage commands: bytes of the data block, its \r\n not counted */
    uint64_t number;      /* cas unique, or delta of incr/decr */
    bool has_exptime;     /* flush_all with a delay */
    struct slice argument; /* stats: the rest of the line without blanks around it; verbosity: the level */
    struct slice error;   /* MC_ERROR: the line to answer; empty with noreply, and for a line that ends in "HTTP/..." */
    uint64_t swallow;     /* MC_ERROR: bytes of a data block that follow and must be dropped (its \r\n included) */
    bool close;           /* MC_ERROR: close after the answer */
};

/*
 * Parses one command line at p (n bytes contiguous). Does not look at the data block. A storage command whose length is
 * valid but over max_value gives MC_ERROR with "SERVER_ERROR object too large for cache" and its swallow, with
 * r->command and r->key set (memcached drops the old item of a set then); key.len is 0 in every other MC_ERROR.
 *
 * Lines, blanks, texts and noreply are taken as memcached 1.6.18 does, but for these: flags over 32 bits and a gat
 * without a key are refused; exptime keeps its 64 bits; a bad line of a storage command swallows its data block whenever
 * its length can be read; a line over MC_LINE_MAX is answered and closed on wherever its end is. r is unspecified after
 * MC_NEED_MORE. The answer for a line does not depend on how much of what follows is there.
 */
enum mc_status mc_parse(const uint8_t *p, size_t n, uint32_t max_value, struct mc_request *r);

/* Takes the next key of a get family request from *more: 1 a key, 0 no more, -1 a key that is too long. */
int mc_next_key(struct slice *more, struct slice *key);

/*
 * memcached's exptime rules: 0 never (returns 0); negative: at once (returns 1, a time long past); up to 30 days:
 * relative to now, up to the next whole second, for which an item needs but 4 bytes; else absolute seconds. Returns
 * absolute ms since 1970, INT64_MAX at most.
 */
uint64_t mc_expires_ms(int64_t exptime, uint64_t now_ms);

#endif
