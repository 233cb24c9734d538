/* Mutations of whole records, beside libFuzzer's own of bytes: one is repeated, removed, moved, or made anew. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define RECORD 8u

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);

static uint32_t random_next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static size_t record_insert(uint8_t *data, size_t size, size_t at, const uint8_t record[RECORD])
{
    memmove(data + at + RECORD, data + at, size - at);
    memcpy(data + at, record, RECORD);
    return size + RECORD;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    uint32_t state = seed;
    size_t records = size / RECORD;
    if (records < 2 || size + RECORD > size_max || random_next(&state) % 2)
        return LLVMFuzzerMutate(data, size, size_max);
    size_t at = random_next(&state) % records * RECORD, to = random_next(&state) % (records + 1) * RECORD;
    uint8_t record[RECORD];
    memcpy(record, data + at, RECORD);
    switch (random_next(&state) % 4) {
    case 0: return record_insert(data, size, to, record);
    case 1: memmove(data + at, data + at + RECORD, size - at - RECORD); return size - RECORD;
    case 2:
        memmove(data + at, data + at + RECORD, size - at - RECORD);
        return record_insert(data, size - RECORD, to > size - RECORD ? size - RECORD : to, record);
    default:
        for (unsigned i = 0; i < RECORD; i++) record[i] = (uint8_t)random_next(&state);
        return record_insert(data, size, to, record);
    }
}
