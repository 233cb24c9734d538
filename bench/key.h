/* The text of key number i: `key_len` bytes, "kvbench:kvbe..." and then i in eight hexadecimal digits. Pure. */
#ifndef POLAR_BENCH_KEY_H
#define POLAR_BENCH_KEY_H

#include <stdint.h>
#include <string.h>

#define KEY_DIGITS 8u
#define KEY_MAX 250u

/* Fills the part that all keys share. key_len: KEY_DIGITS..KEY_MAX. */
static inline void key_prefix(uint8_t *dst, uint32_t key_len)
{
    static const uint8_t text[8] = "kvbench:";
    for (uint32_t i = 0; i < key_len; i++) dst[i] = text[i % sizeof text];
}

/* The eight digits, least significant last, all at once: nibbles spread over bytes, then to '0'..'9', 'a'..'f'. */
static inline void key_digits(uint8_t *dst, uint32_t index)
{
    uint64_t x = index;
    x = (x | x << 16) & 0x0000ffff0000ffffu;
    x = (x | x << 8) & 0x00ff00ff00ff00ffu;
    x = (x | x << 4) & 0x0f0f0f0f0f0f0f0fu;
    uint64_t letters = ((x + 0x0606060606060606u) >> 4) & 0x0101010101010101u;
    x = __builtin_bswap64(x + 0x3030303030303030u + letters * ('a' - '0' - 10));
    memcpy(dst, &x, sizeof x);
}

#endif
