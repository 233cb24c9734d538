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

/* The sum of len bytes, the last one padded with zero. At most 2^32 bytes. */
static inline uint64_t checksum_sum(const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t sum = 0;
    uint32_t word;
    for (; len >= sizeof word; len -= sizeof word, p += sizeof word) {
        memcpy(&word, p, sizeof word);
        sum += word;
    }
    if (len) {
        word = 0;
        memcpy(&word, p, len);
        sum += word;
    }
    return sum;
}

static inline uint16_t checksum_fold(uint64_t sum)
{
    sum = (sum & UINT32_MAX) + (sum >> 32);
    sum = (sum & UINT32_MAX) + (sum >> 32);
    sum = (sum & UINT16_MAX) + (sum >> 16);
    sum = (sum & UINT16_MAX) + (sum >> 16);
    return (uint16_t)sum;
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
