/*
 * The bytes of an item. A slot begins with a header of 32 bits:
 *
 *     bits 0..7   state, shape, fields    bits 8..31   by shape, below
 *
 *     PLAIN     key length (8 bits), value length (14 bits), hits (2 bits)
 *     WIDE      hits in bits 30..31; then value length 4, key length 2, two unused
 *     CHAIN     body bytes in this slot (22 bits), hits (2 bits); then value length 4, key length 2, two unused, next
 *               piece 4
 *     FRAGMENT  body bytes in this slot; then previous piece 4, next piece 4
 *     free      in bits 16..31 the next free slot of the page
 *
 * Hits count up to 3 and are taken back by the clock of the eviction: see evict.h.
 *
 * then the fields that the item has, in this order: expiry (4 bytes seconds, or 8 bytes milliseconds, or these and 4
 * bytes of last access: bit 31 whether it was read since it was stored, below it seconds), client flags 4, CAS 8; then
 * the body: key, value. The body of a CHAIN goes on in its fragments. A CHAIN has all fields, so that it is never
 * copied for the sake of one. Behind the body of a PLAIN or WIDE item of a store with a window lies its sum: window.h.
 */
#ifndef POLAR_STORE_ITEM_H
#define POLAR_STORE_ITEM_H

#include <string.h>
#include "base/load.h"
#include "store/shard.h"

enum {
    ITEM_STATE = 3,
    ITEM_FREE = 0,
    ITEM_OPEN = 1,   /* reserved, not committed */
    ITEM_LIVE = 2,   /* in the index, or the fragment of such or of a doomed one */
    ITEM_DOOMED = 3, /* out of the index, still pinned */

    ITEM_SHAPE = 3 << 2,
    ITEM_PLAIN = 0 << 2,
    ITEM_WIDE = 1 << 2,
    ITEM_CHAIN = 2 << 2,
    ITEM_FRAGMENT = 3 << 2,

    ITEM_EXPIRES = 3 << 4,
    ITEM_EXPIRES_S = 1 << 4,
    ITEM_EXPIRES_MS = 2 << 4,
    ITEM_TRACKED = 3 << 4, /* as ITEM_EXPIRES_MS, and the last access */
    ITEM_HELD = 1 << 4,    /* of a fragment, which has no expiry: its item is pinned */

    ITEM_FLAGS = 1 << 6,
    ITEM_CAS = 1 << 7,
};

#define ITEM_CHAIN_FIELDS (ITEM_TRACKED | ITEM_FLAGS | ITEM_CAS)
#define ITEM_PLAIN_KEY_MAX 255u
_Static_assert(SLOT_BYTES_MAX < 1u << 14, "the value length of a PLAIN item");

static inline uint32_t item_state(const uint8_t *p)
{
    return p[0] & ITEM_STATE;
}
static inline uint32_t item_shape(const uint8_t *p)
{
    return p[0] & ITEM_SHAPE;
}
static inline void item_set_state(uint8_t *p, uint32_t state)
{
    p[0] = (uint8_t)((p[0] & ~ITEM_STATE) | state);
}

/* Bytes of header and shape: where the fields begin. */
static inline uint32_t item_fields_at(uint32_t bits)
{
    return 4u + ((0x8c80u >> (bits & ITEM_SHAPE)) & 15u);
}

static inline uint32_t item_expiry_bytes(uint32_t bits)
{
    return (bits & ITEM_EXPIRES) >> 2;
}

/* Where the body begins, by the fields and the shape: bits 2..7 of the header. One cache line. */
extern const uint8_t item_body_bytes[64];
static inline uint32_t item_body_at(uint32_t bits)
{
    return item_body_bytes[(bits & 255u) >> 2];
}

static inline uint32_t item_key_len(const uint8_t *p)
{
    return item_shape(p) == ITEM_PLAIN ? p[1] : load16(p + 8);
}
static inline uint32_t item_value_len(const uint8_t *p)
{
    return item_shape(p) == ITEM_PLAIN ? load16(p + 2) & 0x3fffu : load32(p + 4);
}

static inline uint32_t item_hits(const uint8_t *p)
{
    return p[3] >> 6;
}
/* A look-up has found it: at most a store into the line that was just read. */
static inline void item_hit(uint8_t *p)
{
    if (p[3] < 3u << 6) p[3] = (uint8_t)(p[3] + (1u << 6));
}
static inline void item_set_hits(uint8_t *p, uint32_t hits)
{
    p[3] = (uint8_t)((p[3] & 0x3fu) | hits << 6);
}

/* Body bytes in this slot. */
static inline uint32_t item_piece_len(const uint8_t *p)
{
    uint32_t header = load32(p);
    switch (header & ITEM_SHAPE) {
    case ITEM_PLAIN: return (header >> 8 & 255u) + (header >> 16 & 0x3fffu);
    case ITEM_WIDE: return load16(p + 8) + load32(p + 4);
    default: return header >> 8 & 0x3fffffu;
    }
}

/* The next piece of a chain, 0 at its end. */
static inline uint32_t item_next(const uint8_t *p)
{
    switch (item_shape(p)) {
    case ITEM_CHAIN: return load32(p + 12);
    case ITEM_FRAGMENT: return load32(p + 8);
    default: return 0;
    }
}
static inline void item_set_next(uint8_t *p, uint32_t next)
{
    save32(p + (item_shape(p) == ITEM_CHAIN ? 12 : 8), next);
}
static inline uint32_t item_prev(const uint8_t *fragment)
{
    return load32(fragment + 4);
}
static inline void item_set_prev(uint8_t *fragment, uint32_t prev)
{
    save32(fragment + 4, prev);
}

/* Bytes that a slot must have for a piece with this first byte, whose body ends after so many. */
static inline uint64_t item_bytes_with_sum(const struct store *s, uint32_t bits, uint64_t bytes)
{
    if (__builtin_expect(!s->window, 1) || (bits & ITEM_SHAPE) > ITEM_WIDE) return bytes;
    return window_sum_at(bytes) + WINDOW_SUM_BYTES;
}
/* Bytes that a slot must have for this piece. */
static inline uint32_t item_bytes(const struct store *s, const uint8_t *p)
{
    return (uint32_t)item_bytes_with_sum(s, p[0], item_body_at(p[0]) + item_piece_len(p));
}

/* Milliseconds since 1970; 0: never. */
static inline uint64_t item_expires_ms(const uint8_t *p)
{
    const uint8_t *field = p + item_fields_at(p[0]);
    switch (p[0] & ITEM_EXPIRES) {
    case ITEM_EXPIRES_S: return (uint64_t)load32(field) * 1000u;
    case ITEM_TRACKED:
    case ITEM_EXPIRES_MS: return load64(field);
    default: return 0;
    }
}
static inline bool item_expired(const uint8_t *p, uint64_t now_ms)
{
    if (!(p[0] & ITEM_EXPIRES)) return false;
    uint64_t at_ms = item_expires_ms(p);
    return at_ms != 0 && at_ms <= now_ms;
}

static inline uint32_t item_client_flags(const uint8_t *p)
{
    return p[0] & ITEM_FLAGS ? load32(p + item_fields_at(p[0]) + item_expiry_bytes(p[0])) : 0;
}

static inline uint8_t *item_cas_at(uint8_t *p)
{
    return p + item_body_at(p[0]) - 8;
}
static inline uint64_t item_cas(const uint8_t *p)
{
    return load64(p + item_body_at(p[0]) - 8);
}

static inline bool expires_whole_s(uint64_t expires_ms)
{
    return expires_ms % 1000 == 0 && expires_ms / 1000 < EXPIRES_NEVER;
}

/* The bits of the fields that an item with this meta needs. */
static inline uint32_t item_fields_for(const struct store_meta *meta, bool room_for_expiry)
{
    uint32_t bits = meta->flags ? ITEM_FLAGS : 0;
    if (room_for_expiry) return bits | ITEM_EXPIRES_MS;
    if (!meta->expires_ms) return bits;
    return bits | (expires_whole_s(meta->expires_ms) ? ITEM_EXPIRES_S : ITEM_EXPIRES_MS);
}

/* Whether an item that has these fields can hold the meta. */
static inline bool item_expiry_fits(uint32_t bits, uint64_t expires_ms)
{
    if (!expires_ms || (bits & ITEM_EXPIRES_MS)) return true;
    return (bits & ITEM_EXPIRES) == ITEM_EXPIRES_S && expires_whole_s(expires_ms);
}
static inline bool item_meta_fits(uint32_t bits, const struct store_meta *meta)
{
    return (!meta->flags || (bits & ITEM_FLAGS)) && item_expiry_fits(bits, meta->expires_ms);
}

static inline void item_set_expires(uint8_t *p, uint64_t expires_ms)
{
    uint8_t *field = p + item_fields_at(p[0]);
    if (p[0] & ITEM_EXPIRES_MS) save64(field, expires_ms);
    if ((p[0] & ITEM_EXPIRES) == ITEM_EXPIRES_S) save32(field, (uint32_t)(expires_ms / 1000));
}
static inline bool item_is_tracked(uint32_t bits)
{
    return (bits & ITEM_EXPIRES) == ITEM_TRACKED;
}
static inline uint8_t *item_access_at(uint8_t *p)
{
    return p + item_fields_at(p[0]) + 8;
}
#define ACCESS_READ (1u << 31)
static inline void item_set_access(uint8_t *p, uint64_t now_ms, bool read)
{
    save32(item_access_at(p), ((uint32_t)(now_ms / 1000) & ~ACCESS_READ) | (read ? ACCESS_READ : 0));
}

static inline void item_set_meta(uint8_t *p, const struct store_meta *meta)
{
    item_set_expires(p, meta->expires_ms);
    if (p[0] & ITEM_FLAGS) save32(p + item_fields_at(p[0]) + item_expiry_bytes(p[0]), meta->flags);
}

/* memcmp's call costs more than the comparison of a short key. */
static inline bool bytes_equal(const uint8_t *a, const uint8_t *b, uint32_t n)
{
    if (n >= 8) {
        if (load64(a) != load64(b) || load64(a + n - 8) != load64(b + n - 8)) return false;
        for (uint32_t i = 8; i + 8 < n; i += 8)
            if (load64(a + i) != load64(b + i)) return false;
        return true;
    }
    if (n >= 4) return load32(a) == load32(b) && load32(a + n - 4) == load32(b + n - 4);
    for (uint32_t i = 0; i < n; i++)
        if (a[i] != b[i]) return false;
    return true;
}

/* Items of one or more slots: item.c. */

/*
 * Takes the slots for an item and writes everything but meta, CAS, key and value. fields: ITEM_EXPIRES_*, ITEM_FLAGS,
 * ITEM_CAS. The item is OPEN and its pages are held. 0: no memory. May move or drop other items that are not held.
 */
uint32_t item_alloc(struct store *s, uint32_t fields, uint32_t key_len, uint32_t value_len);
/* Frees every slot of an item whose pages it no longer holds. */
void item_free(struct store *s, uint32_t item);
/* Frees an item that is out of the index, now or, if it is pinned, at its last unpin. */
void item_release(struct store *s, uint32_t item);
/* Of an item out of the index: its pin frees it, by item_free_doomed. */
void item_doom(struct store *s, uint32_t item, struct store_pin *pin);
void item_free_doomed(struct store *s, uint32_t item);
/* Holds keep an item where it is; each is undone once. */
void item_hold(struct store *s, uint32_t item);
void item_unhold(struct store *s, uint32_t item);
/* OPEN to LIVE; the item's pages are no longer held for it. */
void item_make_live(struct store *s, uint32_t item);
/* Lets the page know when the item is due. */
void item_note_expiry(struct store *s, uint32_t item, uint64_t expires_ms);
/* A writer at the beginning of the item's body, for body_len bytes. */
void item_writer(const struct store *s, uint32_t item, uint32_t body_len, struct store_write *w);
/* Appends the item's body from byte skip on to the writer. */
void item_copy_body(const struct store *s, uint32_t item, uint32_t skip, struct store_write *w);
/* A view of the value. */
void item_view(const struct store *s, uint32_t item, struct store_value *out) __attribute__((noinline));
/* Of an item that is not PLAIN. */
bool item_key_equal_slow(const struct store *s, const uint8_t *p, const struct store_key *key) __attribute__((cold));
uint64_t item_hash(const struct store *s, uint32_t item);

static inline bool item_key_equal(const struct store *s, uint32_t item, const struct store_key *key)
{
    const uint8_t *p = region_at(s, item);
    uint32_t header = load32(p);
    /* Shape and length in one comparison: no PLAIN item has a key that is longer than the 8 bits. */
    if ((header & (ITEM_SHAPE | ITEM_PLAIN_KEY_MAX << 8)) == (ITEM_PLAIN | key->len << 8))
        return bytes_equal(p + item_body_at(header), key->data, key->len);
    return (header & ITEM_SHAPE) != ITEM_PLAIN && item_key_equal_slow(s, p, key);
}

#endif
