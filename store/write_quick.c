/* The usual write. All others take the way through item_alloc, holds and publish (write.c). */
#include "store/write.h"

#include "store/evacuate.h"
#include "store/evict.h"
#include "store/move.h"
#include "store/pin.h"
#include "store/slab.h"
#include "store/window.h"

static inline void bytes_copy(uint8_t *to, const uint8_t *from, uint32_t n)
{
    if (n - 8 > 8) { /* not 8 to 16 bytes */
        memcpy(to, from, n);
        return;
    }
    uint64_t last = load64(from + n - 8);
    save64(to, load64(from));
    save64(to + n - 8, last);
}

/* Meta, last access, CAS, key and value of a PLAIN item whose header is written. Not inline: where the compiler knows a
 * bound of the length it copies by an instruction that takes long to begin. */
static __attribute__((noinline)) void item_write(struct store *s, uint8_t *p, const struct write_request *r)
{
    const struct store_key *key = r->key;
    uint32_t bits = p[0];
    if (bits & (ITEM_EXPIRES | ITEM_FLAGS)) {
        item_set_meta(p, r->meta);
        if (item_is_tracked(bits)) item_set_access(p, s->now_ms, false);
    }
    if (bits & ITEM_CAS) save64(item_cas_at(p), ++s->cas);
    uint8_t *body = p + item_body_at(bits);
    bytes_copy(body, key->data, key->len);
    if (r->value_len) memcpy(body + key->len, r->value, r->value_len);
}

/* What an item's bytes are to be counted as. */
static inline void payload_add(struct store *s, uint64_t payload, uint64_t header)
{
    metric_add(&s->metrics.bytes_payload, payload);
    metric_add(&s->metrics.bytes_headers, header);
}

static inline void payload_sub_old(struct store *s, const uint8_t *p)
{
    payload_add(s, (uint64_t)0 - item_key_len(p) - item_value_len(p), (uint64_t)0 - item_body_at(p[0]));
}

static uint32_t header_for(const struct write_request *r, uint32_t bits, uint32_t hits)
{
    return bits | ITEM_PLAIN | ITEM_LIVE | r->key->len << 8 | r->value_len << 16 | hits << 30;
}

static uint32_t one_more(uint32_t hits)
{
    return hits < 3 ? hits + 1 : 3;
}

/* A write is a hit of the old item. */
static bool in_place(struct store *s, const struct write_request *r, uint32_t old, uint32_t bits)
{
    uint8_t *p = region_at(s, old);
    const struct page *page = page_of(s, old);
    if (item_shape(p) != ITEM_PLAIN || (page->holds && pin_find(s, old))) return false;
    if (page->group == GROUP_DETACHED) move_restart(s, old);
    window_retract(s, old);
    payload_sub_old(s, p);
    save32(p, header_for(r, bits, one_more(item_hits(p))));
    item_write(s, p, r);
    window_publish(s, old);
    payload_add(s, (uint64_t)r->key->len + r->value_len, item_body_at(bits));
    item_note_expiry(s, old, r->meta->expires_ms);
    metric_add(&s->metrics.in_place, 1);
    metric_add(&s->metrics.items_total, 1);
    return true;
}

static uint64_t bytes_for(const struct store *s, const struct write_request *r, uint32_t bits)
{
    return item_bytes_with_sum(s, bits, (uint64_t)item_body_at(bits) + r->key->len + r->value_len);
}

static uint32_t fields_for(const struct store *s, const struct write_request *r, uint32_t old)
{
    uint32_t bits = item_fields_for(r->meta, false);
    return old ? bits | fields_asked_for(*region_at(s, old)) : bits;
}

bool write_in_place(struct store *s, const struct write_request *r, uint32_t old)
{
    uint32_t bits = fields_for(s, r, old);
    uint64_t room = (uint64_t)s->cls[page_of(s, old)->cls].units * UNIT_BYTES;
    return bytes_for(s, r, bits) <= room && in_place(s, r, old, bits);
}

static inline void old_leave(struct store *s, uint32_t old)
{
    const uint8_t *p = region_at(s, old);
    payload_sub_old(s, p);
    if (item_shape(p) == ITEM_CHAIN || page_of(s, old)->holds)
        item_release(s, old);
    else
        slab_free(s, old);
}

/* The share of the background work: what has a new key may split a bucket. */
static inline void quick_background(struct store *s, bool inserted)
{
    if (inserted) index_adjust(s);
    if (evacuate_due(s)) evacuate_step(s);
    evict_step(s);
}

/* Whether the old item has a slot that would be taken for want of one of the class. */
static bool is_close(const struct store *s, uint32_t old, uint32_t cls)
{
    uint32_t has = page_of(s, old)->cls;
    return has >= cls && has <= s->cls[cls].close;
}

bool write_quick(struct store *s, const struct write_request *r, uint32_t old)
{
    uint64_t hash = r->key->hash;
    uint32_t bits = fields_for(s, r, old);
    uint64_t bytes = bytes_for(s, r, bits);
    if (r->key->len > ITEM_PLAIN_KEY_MAX || bytes > SLOT_BYTES_MAX) return false;
    uint32_t cls = slab_class(s, (uint32_t)bytes);
    if (old && page_of(s, old)->cls == cls && in_place(s, r, old, bits)) return true;
    if (bytes > MOVE_BYTES_MAX) return false;
    uint32_t item = slab_take(s, cls);
    if (!item && slab_shares(s)) {
        if (old && is_close(s, old, cls) && in_place(s, r, old, bits)) return true;
        item = slab_borrow(s, cls);
    }
    if (!item) return false;
    uint8_t *p = region_at(s, item);
    save32(p, header_for(r, bits, old ? one_more(item_hits(region_at(s, old))) : 0));
    if (old) {
        window_retract(s, old);
        index_replace(s, hash, old, item);
        old_leave(s, old);
    } else if (!index_insert(s, hash, item)) {
        slab_free(s, item);
        return false;
    }
    item_write(s, p, r);
    window_publish(s, item);
    item_note_expiry(s, item, r->meta->expires_ms);
    payload_add(s, (uint64_t)r->key->len + r->value_len, item_body_at(bits));
    metric_add(&s->metrics.items_total, 1);
    if (!old) {
        metric_add(&s->metrics.items, 1);
        evict_on_insert(s, hash, item);
    }
    quick_background(s, !old);
    return true;
}
