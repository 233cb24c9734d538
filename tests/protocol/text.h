/* Text helpers of the protocol tests. */
#ifndef POLAR_TESTS_PROTOCOL_TEXT_H
#define POLAR_TESTS_PROTOCOL_TEXT_H

#include <stdlib.h>
#include <string.h>
#include "base/slice.h"

static inline struct slice slice_of(const char *text)
{
    return (struct slice){(const uint8_t *)text, strlen(text)};
}

/*
 * A copy of the first n bytes in a block of its own, so that the address sanitizer sees a read behind them. The caller
 * frees data.
 */
static inline struct slice exact_copy(struct slice text, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    memcpy(copy, text.data, n);
    return (struct slice){copy, n};
}

static inline void exact_free(struct slice copy)
{
    free((void *)copy.data);
}

#endif
