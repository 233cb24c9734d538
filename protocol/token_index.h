/*
 * An open-addressed index from a command's name to the row of its table, the same for both protocols. Filled once by a
 * constructor before main, from the rows of a .def file; only read from then on, by any thread.
 */
#ifndef POLAR_PROTOCOL_TOKEN_INDEX_H
#define POLAR_PROTOCOL_TOKEN_INDEX_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define TOKEN_INDEX_SLOTS 256u /* a power of two, a few times the rows of the longest table */

struct token_index {
    uint8_t row[TOKEN_INDEX_SLOTS]; /* 0: free */
};

/* Equal for both cases of a letter. len > 0. */
static inline uint32_t token_index_slot(const uint8_t *name, size_t len)
{
    uint32_t ends = (uint32_t)(name[0] | 0x20) << 8 | (uint32_t)(name[len - 1] | 0x20);
    uint32_t middle = (uint32_t)(name[len / 2] | 0x20);
    return (ends * 0x9e37u + middle * 0x6d2bu + (uint32_t)len * 0x4f1bu) >> 7 & (TOKEN_INDEX_SLOTS - 1);
}

static inline void token_index_add(struct token_index *index, const char *name, size_t len, uint8_t row)
{
    uint32_t slot = token_index_slot((const uint8_t *)name, len);
    for (unsigned tries = 0; index->row[slot]; tries++) {
        assert(tries < TOKEN_INDEX_SLOTS);
        slot = (slot + 1) & (TOKEN_INDEX_SLOTS - 1);
    }
    index->row[slot] = row;
}

#endif
