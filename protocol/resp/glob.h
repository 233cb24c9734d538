/*
 * Glob patterns as redis' KEYS and SCAN take them: * any bytes, ? one byte, [abc] [a-z] [^a] one byte of a set, \x the
 * byte x. Binary safe. Pure.
 */
#ifndef POLAR_PROTOCOL_RESP_GLOB_H
#define POLAR_PROTOCOL_RESP_GLOB_H

#include <stdbool.h>
#include "base/slice.h"

/*
 * Time is at most proportional to the product of both lengths, however many stars there are; work beyond GLOB_STEPS
 * steps is not done: then the text does not match.
 */
#define GLOB_STEPS (1u << 20)
bool glob_match(struct slice pattern, struct slice text);

#endif
