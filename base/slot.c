#include "base/slot.h"

#include <string.h>

/* CRC16-XMODEM (polynomial 0x1021, start 0), a nibble at a time: 16 entries stay in the cache. */
static const uint16_t crc16_nibble[16] = {0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
                                          0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef};

uint16_t slot_crc16(const void *data, size_t len)
{
    const uint8_t *p = data;
    uint16_t crc = 0;
    for (size_t i = 0; i < len; i++) {
        crc = (uint16_t)(crc << 4) ^ crc16_nibble[(crc >> 12) ^ (p[i] >> 4)];
        crc = (uint16_t)(crc << 4) ^ crc16_nibble[(crc >> 12) ^ (p[i] & 15)];
    }
    return crc;
}

uint16_t slot_of_key(const void *key, size_t len)
{
    const uint8_t *p = key;
    const uint8_t *open = memchr(p, '{', len);
    if (open) {
        const uint8_t *tag = open + 1;
        const uint8_t *close = memchr(tag, '}', (size_t)(p + len - tag));
        if (close && close > tag) return slot_crc16(tag, (size_t)(close - tag)) % SLOT_COUNT;
    }
    return slot_crc16(p, len) % SLOT_COUNT;
}

void slot_map_init(struct slot_map *map, unsigned cores)
{
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++) map->owner[slot] = (uint8_t)(slot * cores / SLOT_COUNT);
}
