/*
 * Composes RESP replies into caller's memory. Each returns the bytes written. Pure. resp3: the connection said HELLO 3.
 */
#ifndef POLAR_PROTOCOL_RESP_REPLY_H
#define POLAR_PROTOCOL_RESP_REPLY_H

#include <stdbool.h>
#include <stdint.h>
#include "base/slice.h"

uint32_t resp_bulk_header(uint8_t *dst, uint64_t len);            /* "$<len>\r\n", at most 24 */
uint32_t resp_integer(uint8_t *dst, int64_t n);                   /* ":<n>\r\n", at most 24 */
uint32_t resp_array_header(uint8_t *dst, uint64_t n);             /* "*<n>\r\n", at most 24 */
uint32_t resp_map_header(uint8_t *dst, uint64_t pairs, bool resp3); /* "%<n>\r\n" or "*<2n>\r\n" */
uint32_t resp_null(uint8_t *dst, bool resp3);                     /* "_\r\n" or "$-1\r\n" */

#endif
