/*
 * Cluster slots, as Redis Cluster counts them: CRC16-XMODEM of the first non-empty {tag} or else of the whole key,
 * modulo 16384. A slot map says which core owns a slot.
 */
#ifndef POLAR_BASE_SLOT_H
#define POLAR_BASE_SLOT_H

#include <stddef.h>
#include <stdint.h>

#define SLOT_COUNT 16384u

uint16_t slot_crc16(const void *data, size_t len);
uint16_t slot_of_key(const void *key, size_t len); /* 0..16383 */

struct slot_map {
    uint8_t owner[SLOT_COUNT]; /* core index */
};
/* Contiguous ranges of nearly equal size. cores: 1..256. */
void slot_map_init(struct slot_map *map, unsigned cores);

#endif
