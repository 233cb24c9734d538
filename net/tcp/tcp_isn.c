/* Initial sequence numbers: a clock of 4 us and a keyed hash of the connection. RFC 6528 3. */
#include <string.h>
#include "net/tcp/tcp.h"

static inline uint64_t rotl(uint64_t x, unsigned n) { return x << n | x >> (64 - n); }

/* Inlined, so that the four words stay in registers. */
#define SIP_INLINE static inline __attribute__((always_inline))

SIP_INLINE void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

SIP_INLINE void sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    sip_round(v);
    v[0] ^= word;
}

SIP_INLINE void sip_begin(uint64_t v[4], const uint64_t secret[2])
{
    v[0] = secret[0] ^ 0x736f6d6570736575u;
    v[1] = secret[1] ^ 0x646f72616e646f6du;
    v[2] = secret[0] ^ 0x6c7967656e657261u;
    v[3] = secret[1] ^ 0x7465646279746573u;
}

SIP_INLINE uint64_t sip_end(uint64_t v[4])
{
    v[2] ^= 0xff;
    for (unsigned i = 0; i < 4; i++) sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t siphash_15(const uint64_t secret[2], uint64_t first, uint64_t second)
{
    uint64_t v[4];
    sip_begin(v, secret);
    sip_word(v, first);
    sip_word(v, second | UINT64_C(15) << 56);
    return sip_end(v);
}

/* SipHash-2-4 of a little-endian machine. */
uint64_t siphash(const uint64_t secret[2], const void *data, uint32_t len)
{
    const uint8_t *p = data;
    uint64_t v[4], word;
    uint32_t left = len;
    sip_begin(v, secret);
    for (; left >= sizeof word; left -= sizeof word, p += sizeof word) {
        memcpy(&word, p, sizeof word);
        sip_word(v, word);
    }
    word = 0;
    memcpy(&word, p, left);
    sip_word(v, word | (uint64_t)len << 56);
    return sip_end(v);
}

tcp_seq tcp_isn(const struct net_stack *st, uint64_t key)
{
    return (uint32_t)(st->now >> 12) + (uint32_t)siphash(st->config.secret, &key, sizeof key);
}
