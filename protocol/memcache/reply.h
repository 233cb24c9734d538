/* Composes memcached text replies into caller's memory. Each returns the bytes written. Pure. */
#ifndef POLAR_PROTOCOL_MEMCACHE_REPLY_H
#define POLAR_PROTOCOL_MEMCACHE_REPLY_H

#include <stdint.h>
#include "base/slice.h"

/* Upper bound of mc_value_header: "VALUE " key flags len cas and the line end. */
#define MC_VALUE_HEADER_MAX (6u + 250u + 1u + 10u + 1u + 10u + 1u + 20u + 2u)

/* "VALUE <key> <flags> <bytes>[ <cas>]\r\n" */
uint32_t mc_value_header(uint8_t *dst, struct slice key, uint32_t flags, uint32_t value_len, bool with_cas, uint64_t cas);
/* "<n>\r\n"; at most 22 bytes */
uint32_t mc_number_line(uint8_t *dst, uint64_t n);

#endif
