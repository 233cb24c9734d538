/* Numbers, times and ranges as scripts write them. */
#ifndef POLAR_TESTS_NET_SCRIPTS_VALUE_H
#define POLAR_TESTS_NET_SCRIPTS_VALUE_H

#include <stdbool.h>
#include <stdint.h>
#include "tests/net/scripts/packet.h"

#define VALUE_VARIABLES 26u

struct value_scope {
    int64_t variable[VALUE_VARIABLES]; /* $a to $z: the counters of repeat */
};

/*
 * An expression: decimal or 0x numbers with a unit (ns us ms s: in nanoseconds; k: 1000; K: 1024), $i, and + - *
 * between them, no blanks. Advances *text behind it. False: none stands there.
 */
bool value_parse(const struct value_scope *scope, const char **text, int64_t *out);
/* The whole of text: an expression, "low..high", or "*" for any. */
bool value_range(const struct value_scope *scope, const char *text, struct packet_range *out);

#endif
