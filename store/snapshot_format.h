/*
 * The snapshot file. All numbers are little-endian.
 *
 *     file     header, blocks of all shards mixed (those of one shard in order), one END block, nothing more
 *     block    48 bytes of head, then `length` bytes of payload, at most SNAPSHOT_PAYLOAD_MAX
 *     WHOLE    `records` records one behind the other
 *     FIRST    the beginning of a record longer than a block; MORE: how it goes on, `records` counting 1, 2, ...
 *     SHARD    the shard's totals: it has no block behind this one
 *     END      the file's totals
 *     record   8 bytes: fields, 0, key length 2, value length 4; then expiry 8 (ms since 1970), client flags 4, CAS 8,
 * as far as the fields say so; then key, value
 *
 * Every byte is under a checksum (XXH3, 64 bits): the header's own; of each block one of the head, one of the payload,
 * both with the file's id as their seed, so that a block of another file is not taken for one of this. A block's head
 * names its number in the file and the slots that its keys may have.
 */
#ifndef POLAR_STORE_SNAPSHOT_FORMAT_H
#define POLAR_STORE_SNAPSHOT_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "store/store.h"

#define SNAPSHOT_VERSION 1u
#define SNAPSHOT_HEADER_BYTES 64u
#define SNAPSHOT_BLOCK_BYTES (256u << 10)
#define SNAPSHOT_HEAD_BYTES 48u
#define SNAPSHOT_PAYLOAD_MAX (SNAPSHOT_BLOCK_BYTES - SNAPSHOT_HEAD_BYTES)
#define SNAPSHOT_RECORD_MAX 28u /* bytes of a record before its key */
#define SNAPSHOT_SHARDS_MAX 256u
#define SNAPSHOT_KEY_MAX 65535u
#define SNAPSHOT_VALUE_MAX (512u << 20)

enum snapshot_kind { SNAPSHOT_WHOLE = 1, SNAPSHOT_FIRST, SNAPSHOT_MORE, SNAPSHOT_SHARD, SNAPSHOT_END };

struct snapshot_header {
    uint64_t id;         /* random */
    uint64_t created_ms; /* wall clock */
    uint32_t shards;     /* 1..SNAPSHOT_SHARDS_MAX */
};

struct snapshot_head {
    uint8_t kind;
    uint16_t shard;
    uint32_t length;
    uint32_t records;
    uint64_t number;     /* blocks before it in the file */
    uint16_t slot_first; /* the slots that keys of this shard may have */
    uint16_t slot_last;
    uint64_t payload_sum;
};

/* The payload of SHARD and, with all five, of END. */
struct snapshot_totals {
    uint64_t items;
    uint64_t bytes; /* of keys and values */
    uint64_t cas;   /* the last one given; of END: the greatest */
    uint64_t blocks;
    uint64_t finished_ms;
};
#define SNAPSHOT_SHARD_BYTES 24u
#define SNAPSHOT_END_BYTES 40u

struct snapshot_record {
    struct store_meta meta;
    uint64_t cas; /* 0: none */
    uint32_t key_len;
    uint32_t value_len;
};

/* dst and src have room for what is encoded: SNAPSHOT_HEADER_BYTES, _HEAD_BYTES, _END_BYTES, _RECORD_MAX. */
void snapshot_header_encode(uint8_t *dst, const struct snapshot_header *h);
/* NULL, or what is wrong with it. */
const char *snapshot_header_decode(const uint8_t *src, struct snapshot_header *h);

void snapshot_head_encode(uint8_t *dst, const struct snapshot_head *h, uint64_t id);
/* NULL, or what is wrong with it: the checksum, a kind, shard or length that cannot be. */
const char *snapshot_head_decode(const uint8_t *src, struct snapshot_head *h, const struct snapshot_header *file);
uint64_t snapshot_sum(const void *payload, size_t len, uint64_t id);

void snapshot_totals_encode(uint8_t *dst, const struct snapshot_totals *t);
/* len: SNAPSHOT_SHARD_BYTES or SNAPSHOT_END_BYTES; what is not there is 0. */
void snapshot_totals_decode(const uint8_t *src, uint32_t len, struct snapshot_totals *t);

/* Bytes written before the key. */
uint32_t snapshot_record_encode(uint8_t *dst, const struct snapshot_record *r);
/* Bytes read before the key; 0: no record that could be. */
uint32_t snapshot_record_decode(const uint8_t *src, size_t len, struct snapshot_record *r);

#endif
