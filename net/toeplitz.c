#include "net/toeplitz.h"

#include <assert.h>
#include <string.h>

uint32_t toeplitz_hash(const uint8_t key[TOEPLITZ_KEY_BYTES], const void *data, uint32_t len)
{
    const uint8_t *p = data;
    uint32_t window = (uint32_t)key[0] << 24 | (uint32_t)key[1] << 16 | (uint32_t)key[2] << 8 | key[3], hash = 0;
    assert(len + 4 <= TOEPLITZ_KEY_BYTES);
    for (uint32_t i = 0; i < len; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            if (p[i] & 0x80u >> bit) hash ^= window;
            window = window << 1 | (key[i + 4] >> (7 - bit) & 1u);
        }
    }
    return hash;
}

uint32_t toeplitz_ipv4(const uint8_t key[TOEPLITZ_KEY_BYTES], uint32_t src_be, uint32_t dst_be, uint16_t src_port_be,
                       uint16_t dst_port_be)
{
    struct {
        uint32_t src, dst;
        uint16_t src_port, dst_port;
    } tuple = {src_be, dst_be, src_port_be, dst_port_be};
    return toeplitz_hash(key, &tuple, sizeof tuple);
}
