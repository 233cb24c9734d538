#include "store/item.h"

#define XXH_INLINE_ALL
#include <xxhash.h>
#include "store/evict.h"
#include "store/flush.h"
#include "store/pin.h"
#include "store/reclaim.h"
#include "store/slab.h"
#include "store/work.h"

/* Of remnants, the slots of other classes that an item is chained over before it is refused. */
#define REMNANT_UNITS_MIN 16u
#define REMNANTS_MAX 64u
#define CHAIN_BYTES_MIN 256u /* no smaller item is */

#define BODY(bits)                                                                                                     \
    (uint8_t)(4u + ((0x8c80u >> ((bits)&ITEM_SHAPE)) & 15u) +                                                          \
              (((bits)&ITEM_SHAPE) == ITEM_FRAGMENT                                                                    \
                   ? 0                                                                                                 \
                   : (((bits)&ITEM_EXPIRES) >> 2) + ((bits)&ITEM_FLAGS ? 4u : 0u) + ((bits)&ITEM_CAS ? 8u : 0u)))
#define BODY_OF_SHAPES(bits) BODY(bits), BODY((bits) | 1 << 2), BODY((bits) | 2 << 2), BODY((bits) | 3 << 2)
#define BODY_OF_EXPIRIES(bits)                                                                                         \
    BODY_OF_SHAPES(bits), BODY_OF_SHAPES((bits) | 1 << 4), BODY_OF_SHAPES((bits) | 2 << 4),                            \
        BODY_OF_SHAPES((bits) | 3 << 4)
alignas(64) const uint8_t item_body_bytes[64] = {BODY_OF_EXPIRIES(0), BODY_OF_EXPIRIES(ITEM_FLAGS),
                                                 BODY_OF_EXPIRIES(ITEM_CAS), BODY_OF_EXPIRIES(ITEM_FLAGS | ITEM_CAS)};

uint64_t store_hash(const void *data, size_t len)
{
    return XXH3_64bits(data, len);
}

/* A key that goes on in the next slots. */
static uint64_t hash_chained(const struct store *s, const uint8_t *p)
{
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    uint32_t left = item_key_len(p);
    while (left > 0) {
        uint32_t n = item_piece_len(p) < left ? item_piece_len(p) : left;
        XXH3_64bits_update(&state, p + item_body_at(p[0]), n);
        left -= n;
        p = region_at(s, item_next(p));
    }
    return XXH3_64bits_digest(&state);
}

uint64_t item_hash(const struct store *s, uint32_t item)
{
    const uint8_t *p = region_at(s, item);
    uint32_t len = item_key_len(p);
    if (item_shape(p) == ITEM_CHAIN && len > item_piece_len(p)) return hash_chained(s, p);
    return XXH3_64bits(p + item_body_at(p[0]), len);
}

bool item_key_equal_slow(const struct store *s, const uint8_t *p, const struct store_key *key)
{
    if (item_key_len(p) != key->len) return false;
    uint32_t done = 0;
    while (done < key->len) {
        uint32_t n = item_piece_len(p) < key->len - done ? item_piece_len(p) : key->len - done;
        if (memcmp(p + item_body_at(p[0]), key->data + done, n) != 0) return false;
        done += n;
        p = region_at(s, item_next(p));
    }
    return true;
}

/* Bytes of the next slot of a chain, for left bytes of body behind overhead bytes: whole pages, unless an eighth or
 * more of one would be lost; then the largest shared slots. */
static uint32_t piece_bytes(uint64_t left, uint32_t overhead)
{
    uint64_t want = left + overhead;
    if (want <= SLOT_BYTES_MAX) return (uint32_t)want;
    if (want >= PAGE_BYTES) return PAGE_BYTES;
    return want >= PAGE_BYTES - PAGE_BYTES / 8 ? (uint32_t)want : SLOT_BYTES_MAX;
}

static uint32_t class_for(const struct store *s, uint32_t bytes)
{
    return bytes <= SLOT_BYTES_MAX ? slab_class(s, bytes) : s->class_page;
}

/* Writes the header of a slot just taken, as OPEN, and holds its page. */
static void piece_begin(struct store *s, uint32_t item, uint32_t header)
{
    save32(region_at(s, item), header | ITEM_OPEN);
    page_of(s, item)->holds++;
}

/* There is no slot of this size, or a little more: the largest that is smaller, its bytes in *bytes. */
static uint32_t remnant_take(struct store *s, uint32_t *bytes)
{
    uint32_t wanted = class_for(s, *bytes), item = 0;
    for (uint32_t cls = wanted; !item && cls-- > 0 && s->cls[cls].units >= REMNANT_UNITS_MIN;) {
        item = slab_take(s, cls);
        *bytes = s->cls[cls].units * UNIT_BYTES;
    }
    return item;
}

static void chain_abandon(struct store *s, uint32_t item)
{
    item_unhold(s, item);
    item_free(s, item);
}

static uint32_t chain_alloc(struct store *s, uint32_t key_len, uint32_t value_len)
{
    uint64_t left = (uint64_t)key_len + value_len;
    bool any = s->reclaim_page || s->eviction.policy != STORE_EVICT_NONE;
    if (!any && left > slab_free_bytes(s) + EFFORT_BYTES_MAX) return 0;
    uint64_t pages = left / PAGE_BYTES + 1;
    if (pages > s->page_count) return 0;
    if (pages > 1) evict_note_large(s, pages);
    if (pages > 1 && evict_makes_room_first(s, pages)) return 0;
    uint32_t first = 0, last = 0, remnants = 0;
    while (left > 0 || !first) {
        uint32_t bits = first ? ITEM_FRAGMENT : ITEM_CHAIN | ITEM_CHAIN_FIELDS;
        uint32_t overhead = item_body_at(bits), bytes = piece_bytes(left, overhead);
        uint32_t item = reclaim_slot(s, class_for(s, bytes));
        if (!item && remnants++ < REMNANTS_MAX) item = remnant_take(s, &bytes);
        if (!item) {
            if (first) chain_abandon(s, first);
            if (pages > 1) evict_note_wanted(s, pages);
            return 0;
        }
        piece_begin(s, item, bits | (bytes - overhead) << 8);
        uint8_t *p = region_at(s, item);
        item_set_next(p, 0);
        if (first) {
            item_set_prev(p, last);
            item_set_next(region_at(s, last), item);
        } else {
            save32(p + 4, value_len);
            save32(p + 8, key_len);
            item_set_access(p, s->now_ms, false);
            first = item;
        }
        last = item;
        left -= bytes - overhead;
    }
    evict_note_found(s, pages);
    return first;
}

static uint32_t slots_alloc(struct store *s, uint32_t fields, uint32_t key_len, uint32_t value_len)
{
    uint32_t bits = fields | (key_len > ITEM_PLAIN_KEY_MAX ? ITEM_WIDE : ITEM_PLAIN);
    uint64_t bytes = item_bytes_with_sum(s, bits, (uint64_t)item_body_at(bits) + key_len + value_len);
    if (bytes > MOVE_BYTES_MAX) s->effort += bytes < EFFORT_BYTES_MAX ? (uint32_t)bytes : EFFORT_BYTES_MAX;
    if (bytes > SLOT_BYTES_MAX) return chain_alloc(s, key_len, value_len);
    bool plain = (bits & ITEM_SHAPE) == ITEM_PLAIN;
    uint32_t item = reclaim_slot(s, class_for(s, (uint32_t)bytes));
    if (!item) return bytes >= CHAIN_BYTES_MIN ? chain_alloc(s, key_len, value_len) : 0;
    piece_begin(s, item, plain ? bits | key_len << 8 | value_len << 16 : bits);
    if (!plain) {
        save32(region_at(s, item) + 4, value_len);
        save32(region_at(s, item) + 8, key_len);
    }
    if (item_is_tracked(bits)) item_set_access(region_at(s, item), s->now_ms, false);
    return item;
}

uint32_t item_alloc(struct store *s, uint32_t fields, uint32_t key_len, uint32_t value_len)
{
    bool begun = work_begin(s);
    uint32_t item = slots_alloc(s, fields, key_len, value_len);
    work_end(s, begun);
    return item;
}

static void fragments_free(struct store *s, uint32_t piece)
{
    bool begun = work_begin(s);
    while (piece) {
        uint32_t next = item_next(region_at(s, piece));
        slab_free(s, piece);
        piece = next;
    }
    work_end(s, begun);
}

void item_free(struct store *s, uint32_t item)
{
    uint32_t next = item_next(region_at(s, item));
    slab_free(s, item);
    if (next) fragments_free(s, next);
}

void item_release(struct store *s, uint32_t item)
{
    struct store_pin *pin = page_of(s, item)->holds ? pin_find(s, item) : NULL;
    if (!pin) {
        item_free(s, item);
        return;
    }
    item_doom(s, item, pin);
}

static uint64_t item_slot_bytes(const struct store *s, uint32_t item)
{
    uint64_t bytes = 0;
    for (; item; item = item_next(region_at(s, item))) bytes += s->cls[page_of(s, item)->cls].units * UNIT_BYTES;
    return bytes;
}

void item_doom(struct store *s, uint32_t item, struct store_pin *pin)
{
    pin->doomed = true;
    item_set_state(region_at(s, item), ITEM_DOOMED);
    metric_add(&s->metrics.bytes_pinned, item_slot_bytes(s, item));
}

void item_free_doomed(struct store *s, uint32_t item)
{
    metric_sub(&s->metrics.bytes_pinned, item_slot_bytes(s, item));
    item_free(s, item);
}

void item_hold(struct store *s, uint32_t item)
{
    for (; item; item = item_next(region_at(s, item))) page_of(s, item)->holds++;
}

/* A page of an older generation is settled while it still has its hold, so that what stays is told from what goes. */
void item_unhold(struct store *s, uint32_t item)
{
    for (; item; item = item_next(region_at(s, item))) {
        page_settle(s, page_number(item));
        page_of(s, item)->holds--;
    }
}

void item_make_live(struct store *s, uint32_t item)
{
    item_unhold(s, item);
    for (; item; item = item_next(region_at(s, item))) item_set_state(region_at(s, item), ITEM_LIVE);
}

void item_note_expiry(struct store *s, uint32_t item, uint64_t expires_ms)
{
    if (!expires_ms) return;
    uint64_t expires_s = expires_ms / 1000;
    struct page *p = page_of(s, item);
    if (expires_s < p->expires_s) p->expires_s = (uint32_t)expires_s;
}

void item_writer(const struct store *s, uint32_t item, uint32_t body_len, struct store_write *w)
{
    uint8_t *p = region_at(s, item);
    *w = (struct store_write){.item = item,
                              .value_len = body_len,
                              .dst = p + item_body_at(p[0]),
                              .dst_len = item_piece_len(p),
                              .next = item_next(p),
                              .store = s};
}

void item_copy_body(const struct store *s, uint32_t item, uint32_t skip, struct store_write *w)
{
    for (; item; item = item_next(region_at(s, item))) {
        const uint8_t *p = region_at(s, item);
        uint32_t len = item_piece_len(p), skipped = skip < len ? skip : len;
        skip -= skipped;
        store_write_fill(w, p + item_body_at(p[0]) + skipped, len - skipped);
    }
}

static void view_chained(const struct store *s, const uint8_t *p, struct store_value *out)
{
    uint32_t skip = item_key_len(p);
    while (skip >= item_piece_len(p) && item_next(p)) {
        skip -= item_piece_len(p);
        p = region_at(s, item_next(p));
    }
    out->data = p + item_body_at(p[0]) + skip;
    out->data_len = item_piece_len(p) - skip;
    out->next = item_next(p);
}

void item_view(const struct store *s, uint32_t item, struct store_value *out)
{
    const uint8_t *p = region_at(s, item);
    out->item = item;
    out->len = item_value_len(p);
    out->cas = 0;
    out->meta = (struct store_meta){.flags = item_client_flags(p), .expires_ms = item_expires_ms(p)};
    if (item_shape(p) == ITEM_CHAIN) {
        view_chained(s, p, out);
        return;
    }
    out->data = p + item_body_at(p[0]) + item_key_len(p);
    out->data_len = out->len;
    out->next = 0;
}

bool store_next_fragment(const struct store *s, struct store_value *v)
{
    if (!v->next) return false;
    const uint8_t *p = region_at(s, v->next);
    v->data = p + item_body_at(p[0]);
    v->data_len = item_piece_len(p);
    v->next = item_next(p);
    return true;
}
