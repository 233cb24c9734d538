/*
 * The Internet checksum (RFC 1071). Sums are kept in 64 bits, in the byte order of memory, and folded once at the end;
 * a sum of 32-bit words folds to the same 16 bits as one of 16-bit words.
 */
#ifndef POLAR_NET_CHECKSUM_H
#define POLAR_NET_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <rte_mbuf.h>

/* The sum of len bytes, the last one padded with zero. At most 2^32 bytes; the result is below 2^35. */
static inline uint64_t checksum_sum(const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t sum = 0, carries = 0, words[4];
    uint32_t rest = 0;
    for (; len >= sizeof words; len -= sizeof words, p += sizeof words) {
        memcpy(words, p, sizeof words);
        for (unsigned i = 0; i < 4; i++) {
            sum += words[i];
            carries += sum < words[i];
        }
    }
    sum = (sum & UINT32_MAX) + (sum >> 32) + carries;
    for (; len >= sizeof rest; len -= sizeof rest, p += sizeof rest) {
        memcpy(&rest, p, sizeof rest);
        sum += rest;
    }
    if (len) {
        rest = 0;
        memcpy(&rest, p, len);
        sum += rest;
    }
    return sum;
}

/* Adding both halves of a number to one another, in both orders, leaves their sum with its carry in the upper one. */
static inline uint16_t checksum_fold(uint64_t sum)
{
    sum += sum << 32 | sum >> 32;
    uint32_t half = (uint32_t)(sum >> 32);
    half += half << 16 | half >> 16;
    return (uint16_t)(half >> 16);
}

/* What a run of bytes adds to a sum when it starts at an odd place. */
static inline uint64_t checksum_odd(uint64_t sum)
{
    uint16_t folded = checksum_fold(sum);
    return (uint16_t)(folded << 8 | folded >> 8);
}

/* The sum of len bytes from byte off of a chain of segments. */
uint64_t checksum_chain(const struct rte_mbuf *m, uint32_t off, uint32_t len);

#endif
