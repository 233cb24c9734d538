/* What the fuzzers check with: on in every build type, unlike assert. */
#ifndef POLAR_TESTS_PROTOCOL_FUZZ_H
#define POLAR_TESTS_PROTOCOL_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include "base/slice.h"

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static inline bool slice_within(struct slice inner, const uint8_t *data, size_t len)
{
    return inner.len == 0 || (inner.data >= data && inner.len <= len && inner.data + inner.len <= data + len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
