#include "base/window.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t window_hash(const void *key, size_t len)
{
    return XXH3_64bits(key, len);
}

/* Who does not know the seed cannot make a value that holds an item with its sum: it goes in before the last mixing. */
uint64_t window_sum(uint64_t seed, const uint8_t *item, uint32_t bytes)
{
    uint64_t header = load32(item) & WINDOW_HEADER_SUMMED;
    uint64_t x = XXH3_64bits(item + 4, bytes - 4) ^ (seed + header * UINT64_C(0x9e3779b97f4a7c15));
    x = (x ^ x >> 33) * UINT64_C(0xff51afd7ed558ccd);
    x = (x ^ x >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return x ^ x >> 33;
}
