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
uint32_t decimal_format_u64(uint8_t *dst, uint64_t n); /* bytes written, at most 20; no terminator */
uint32_t decimal_format_i64(uint8_t *dst, int64_t n);  /* at most 20 */

#endif
