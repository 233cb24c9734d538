/* Decimal numbers as the protocols write them. Pure. */
#ifndef POLAR_BASE_DECIMAL_H
#define POLAR_BASE_DECIMAL_H

#include <stdbool.h>
#include <stdint.h>
#include "base/slice.h"

#define DECIMAL_MAX 21u /* longest text of a 64-bit number with its sign */

/* Only digits, 1..20 of them, no sign, no blank, no overflow. */
bool decimal_parse_u64(struct slice text, uint64_t *out);
/* As redis' string2ll: an optional '-', no leading zero but "0" itself, no blank, no overflow. */
bool decimal_parse_i64(struct slice text, int64_t *out);
/* As strtoull reads it, and memcached with it: blanks and a sign before it, leading zeros; it ends at a blank or the end. Not
 * below 0, no overflow. */
bool decimal_parse_loose(struct slice text, uint64_t *out);
/* As redis' string2ld: all of strtold's forms but "nan", no blank; not too large and not too small. At most 255 bytes. */
bool decimal_parse_real(struct slice text, long double *out);
uint32_t decimal_format_u64(uint8_t *dst, uint64_t n); /* bytes written, at most 20; no terminator */
uint32_t decimal_format_i64(uint8_t *dst, int64_t n);  /* at most 20 */

#endif
