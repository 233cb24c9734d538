/*
 * Values that can be checked. A value of key i, version v and size n is a header that says so, then n - 16 bytes of one
 * static pattern, from an offset that i and v choose: so a set sends the body by reference, and a check of any read is
 * one memcmp. A value of another key, of another size, torn between two versions, or with any byte changed does not
 * pass. Values shorter than the header are bytes of the pattern alone, from an offset that i chooses. Pure.
 */
#ifndef POLAR_BENCH_VALUE_H
#define POLAR_BENCH_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "bench/rng.h"

#define VALUE_HEADER 16u
#define VALUE_SPAN 16384u /* bytes of different offsets: pattern and a 4 KB value fit the first cache together */

enum value_verify { VALUE_VERIFY_FULL, VALUE_VERIFY_HEAD, VALUE_VERIFY_NONE };

struct value_header {
    uint32_t index;
    uint32_t size; /* of the whole value */
    uint32_t version;
    uint32_t check; /* of the three above: a change to any one byte of them shows */
};
_Static_assert(sizeof(struct value_header) == VALUE_HEADER, "the header's bytes go out as they lie");

/* Bytes of pattern that values of up to value_max bytes need. */
static inline size_t value_pattern_size(uint32_t value_max)
{
    return (size_t)VALUE_SPAN + value_max;
}
void value_pattern_fill(uint8_t *pattern, size_t len);

static inline struct value_header value_header_of(uint32_t index, uint32_t size, uint32_t version)
{
    uint32_t check = ((index * 0x9e3779b1u ^ size) * 0x85ebca6bu ^ version) * 0xc2b2ae35u; /* odd: one to one in each */
    return (struct value_header){.index = index, .size = size, .version = version, .check = check};
}

/* Where the body starts in the pattern: a multiple of 8 below VALUE_SPAN. */
static inline uint32_t value_offset(uint32_t index, uint32_t version)
{
    uint32_t h = (index * 0x9e3779b1u ^ version) * 0x85ebca6bu;
    return (h >> 16) & (VALUE_SPAN - 8);
}

static inline uint32_t value_header_len(uint32_t size)
{
    return size >= VALUE_HEADER ? VALUE_HEADER : 0;
}

/* A value of key `index`, checked as it arrives in pieces. */
struct value_check {
    const uint8_t *pattern;
    const uint8_t *body; /* what the next bytes of the body must be */
    struct value_header header;
    uint32_t index, size, at;
    enum value_verify verify;
    bool good;
};

void value_check_begin(struct value_check *c, const uint8_t *pattern, enum value_verify verify, uint32_t index,
                       uint32_t size);
/* The next n bytes; not beyond the value's size. */
void value_check_bytes(struct value_check *c, const uint8_t *p, uint32_t n);

/* A value that lies in one piece. */
static inline bool value_check_whole(const uint8_t *pattern, enum value_verify verify, uint32_t index, const uint8_t *p,
                                     uint32_t size)
{
    if (verify == VALUE_VERIFY_NONE) return true;
    if (size < VALUE_HEADER) return memcmp(p, pattern + value_offset(index, 0), size) == 0;
    struct value_header got;
    memcpy(&got, p, sizeof got);
    struct value_header want = value_header_of(index, size, got.version);
    if (got.index != index || got.size != size || got.check != want.check) return false;
    if (verify == VALUE_VERIFY_HEAD) return true;
    return memcmp(p + VALUE_HEADER, pattern + value_offset(index, got.version), size - VALUE_HEADER) == 0;
}

#endif
