#include "store/snapshot_format.h"

#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>
#include "base/slot.h"
#include "store/item.h"

#define HEADER_SUMMED (SNAPSHOT_HEADER_BYTES - 8u)
#define HEAD_SUMMED (SNAPSHOT_HEAD_BYTES - 8u)
#define HEAD_MAGIC 0x42534b50u /* "PKSB" */

static const uint8_t header_magic[8] = "POLARSNP";

enum { FIELD_EXPIRES = 1, FIELD_FLAGS = 2, FIELD_CAS = 4 };

void snapshot_header_encode(uint8_t *dst, const struct snapshot_header *h)
{
    memset(dst, 0, SNAPSHOT_HEADER_BYTES);
    memcpy(dst, header_magic, sizeof(header_magic));
    save32(dst + 8, SNAPSHOT_VERSION);
    save32(dst + 12, SNAPSHOT_BLOCK_BYTES);
    save64(dst + 16, h->id);
    save64(dst + 24, h->created_ms);
    save32(dst + 32, h->shards);
    save64(dst + HEADER_SUMMED, XXH3_64bits(dst, HEADER_SUMMED));
}

const char *snapshot_header_decode(const uint8_t *src, struct snapshot_header *h)
{
    if (memcmp(src, header_magic, sizeof(header_magic)) != 0) return "not a snapshot";
    if (load64(src + HEADER_SUMMED) != XXH3_64bits(src, HEADER_SUMMED)) return "the header's checksum is wrong";
    if (load32(src + 8) != SNAPSHOT_VERSION) return "of another version";
    if (load32(src + 12) != SNAPSHOT_BLOCK_BYTES) return "of another block size";
    *h = (struct snapshot_header){.id = load64(src + 16), .created_ms = load64(src + 24), .shards = load32(src + 32)};
    if (h->shards == 0 || h->shards > SNAPSHOT_SHARDS_MAX) return "a number of shards that cannot be";
    return NULL;
}

void snapshot_head_encode(uint8_t *dst, const struct snapshot_head *h, uint64_t id)
{
    save32(dst, HEAD_MAGIC);
    dst[4] = h->kind;
    dst[5] = 0;
    save16(dst + 6, h->shard);
    save32(dst + 8, h->length);
    save32(dst + 12, h->records);
    save64(dst + 16, h->number);
    save16(dst + 24, h->slot_first);
    save16(dst + 26, h->slot_last);
    save32(dst + 28, 0);
    save64(dst + 32, h->payload_sum);
    save64(dst + HEAD_SUMMED, snapshot_sum(dst, HEAD_SUMMED, id));
}

static bool length_fits(const struct snapshot_head *h)
{
    if (h->kind == SNAPSHOT_SHARD) return h->length == SNAPSHOT_SHARD_BYTES;
    if (h->kind == SNAPSHOT_END) return h->length == SNAPSHOT_END_BYTES;
    return h->length > 0 && h->length <= SNAPSHOT_PAYLOAD_MAX;
}

const char *snapshot_head_decode(const uint8_t *src, struct snapshot_head *h, const struct snapshot_header *file)
{
    if (load32(src) != HEAD_MAGIC) return "no block begins here";
    if (load64(src + HEAD_SUMMED) != snapshot_sum(src, HEAD_SUMMED, file->id)) return "its head's checksum is wrong";
    *h = (struct snapshot_head){.kind = src[4],
                                .shard = load16(src + 6),
                                .length = load32(src + 8),
                                .records = load32(src + 12),
                                .number = load64(src + 16),
                                .slot_first = load16(src + 24),
                                .slot_last = load16(src + 26),
                                .payload_sum = load64(src + 32)};
    if (h->kind < SNAPSHOT_WHOLE || h->kind > SNAPSHOT_END) return "an unknown kind";
    if (h->kind != SNAPSHOT_END && h->shard >= file->shards) return "of a shard that is not there";
    if (h->kind <= SNAPSHOT_MORE && (h->slot_first > h->slot_last || h->slot_last >= SLOT_COUNT))
        return "slots that cannot be";
    return length_fits(h) ? NULL : "a length that cannot be";
}

uint64_t snapshot_sum(const void *payload, size_t len, uint64_t id)
{
    return XXH3_64bits_withSeed(payload, len, id);
}

void snapshot_totals_encode(uint8_t *dst, const struct snapshot_totals *t)
{
    save64(dst, t->items);
    save64(dst + 8, t->bytes);
    save64(dst + 16, t->cas);
    save64(dst + 24, t->blocks);
    save64(dst + 32, t->finished_ms);
}

void snapshot_totals_decode(const uint8_t *src, uint32_t len, struct snapshot_totals *t)
{
    *t = (struct snapshot_totals){.items = load64(src), .bytes = load64(src + 8), .cas = load64(src + 16)};
    if (len < SNAPSHOT_END_BYTES) return;
    t->blocks = load64(src + 24);
    t->finished_ms = load64(src + 32);
}

uint32_t snapshot_record_encode(uint8_t *dst, const struct snapshot_record *r)
{
    uint8_t *p = dst + 8;
    dst[0] = 0;
    dst[1] = 0;
    save16(dst + 2, (uint16_t)r->key_len);
    save32(dst + 4, r->value_len);
    if (r->meta.expires_ms) {
        dst[0] |= FIELD_EXPIRES;
        save64(p, r->meta.expires_ms);
        p += 8;
    }
    if (r->meta.flags) {
        dst[0] |= FIELD_FLAGS;
        save32(p, r->meta.flags);
        p += 4;
    }
    if (r->cas) {
        dst[0] |= FIELD_CAS;
        save64(p, r->cas);
        p += 8;
    }
    return (uint32_t)(p - dst);
}

uint32_t snapshot_record_decode(const uint8_t *src, size_t len, struct snapshot_record *r)
{
    *r = (struct snapshot_record){0};
    if (len < 8) return 0;
    uint8_t fields = src[0];
    uint32_t at = 8;
    if (fields & ~(FIELD_EXPIRES | FIELD_FLAGS | FIELD_CAS) || src[1]) return 0;
    if (len <
        8u + (fields & FIELD_EXPIRES ? 8u : 0u) + (fields & FIELD_FLAGS ? 4u : 0u) + (fields & FIELD_CAS ? 8u : 0u))
        return 0;
    r->key_len = load16(src + 2);
    r->value_len = load32(src + 4);
    if (fields & FIELD_EXPIRES) {
        r->meta.expires_ms = load64(src + at);
        at += 8;
    }
    if (fields & FIELD_FLAGS) {
        r->meta.flags = load32(src + at);
        at += 4;
    }
    if (fields & FIELD_CAS) {
        r->cas = load64(src + at);
        at += 8;
    }
    return r->key_len && r->value_len <= SNAPSHOT_VALUE_MAX ? at : 0;
}
