#include "store/write.h"

#include "store/evacuate.h"
#include "store/evict.h"
#include "store/ghost.h"
#include "store/index.h"
#include "store/move.h"
#include "store/pin.h"
#include "store/reclaim.h"
#include "store/slab.h"
#include "store/window.h"
#include "store/work.h"

static const struct store_meta no_meta;

static enum store_status refuse(struct store *s)
{
    metric_add(&s->metrics.refused, 1);
    return STORE_NO_MEMORY;
}

/* An item's body from its first byte. */
static void writer_put(struct store_write *w, const uint8_t *src, uint32_t n)
{
    while (n > 0) {
        uint32_t part = n < w->dst_len ? n : w->dst_len;
        memcpy(w->dst, src, part);
        src += part;
        n -= part;
        w->dst += part;
        w->dst_len -= part;
        if (w->dst_len > 0 || !w->next) continue;
        uint8_t *p = region_at(w->store, w->next);
        w->dst = p + item_body_at(p[0]);
        w->dst_len = item_piece_len(p);
        w->next = item_next(p);
    }
}

void store_write_fill(struct store_write *w, const void *src, uint32_t n)
{
    assert(n <= w->value_len - w->filled);
    writer_put(w, src, n);
    w->filled += n;
}

static uint32_t successor_fields(const struct store *s, uint32_t old)
{
    return old ? fields_asked_for(*region_at(s, old)) : 0;
}

/* A new OPEN item with its key written; w stands at the value. 0: no memory. */
static uint32_t item_begin(struct store *s, uint32_t fields, const struct store_key *key, uint32_t value_len,
                           struct store_write *w)
{
    uint32_t item = item_alloc(s, fields, key->len, value_len);
    if (!item) return 0;
    item_writer(s, item, value_len, w);
    writer_put(w, key->data, key->len);
    return item;
}

static bool too_large(const struct store *s, const struct store_key *key, uint64_t value_len)
{
    return key->len > s->max_key || value_len > s->max_value;
}

enum store_status store_reserve(struct store *s, const struct store_key *key, uint32_t value_len,
                                const struct store_meta *meta, bool room_for_expiry, struct store_write *out)
{
    if (too_large(s, key, value_len)) return STORE_TOO_LARGE;
    write_begin(s);
    uint32_t fields =
        item_fields_for(meta ? meta : &no_meta, room_for_expiry) | successor_fields(s, index_find(s, key));
    if (!item_begin(s, fields, key, value_len, out)) return refuse(s);
    metric_add(&s->metrics.writes_open, 1);
    return STORE_OK;
}

static void item_drop_open(struct store *s, uint32_t item)
{
    item_unhold(s, item);
    item_free(s, item);
}

void store_abort(struct store *s, struct store_write *w)
{
    item_drop_open(s, w->item);
    w->item = 0;
    metric_sub(&s->metrics.writes_open, 1);
}

uint32_t write_copy(struct store *s, uint32_t item, uint32_t fields)
{
    uint8_t *p = region_at(s, item);
    item_hold(s, item);
    uint32_t copy = item_alloc(s, fields, item_key_len(p), item_value_len(p));
    item_unhold(s, item);
    if (!copy) return 0;
    struct store_write w;
    item_writer(s, copy, item_key_len(p) + item_value_len(p), &w);
    item_copy_body(s, item, 0, &w);
    uint8_t *q = region_at(s, copy);
    item_set_meta(q, &(struct store_meta){item_client_flags(p), item_expires_ms(p)});
    if (q[0] & ITEM_CAS) save64(item_cas_at(q), p[0] & ITEM_CAS ? item_cas(p) : ++s->cas);
    if (item_is_tracked(p[0]) && item_is_tracked(q[0])) save32(item_access_at(q), load32(item_access_at(p)));
    return copy;
}

void write_give_cas(struct store *s, uint32_t item)
{
    uint8_t *p = region_at(s, item);
    if (p[0] & ITEM_CAS) save64(item_cas_at(p), ++s->cas);
}

static void count_payload(struct store *s, uint32_t item, bool visible)
{
    const uint8_t *p = region_at(s, item);
    uint64_t n = (uint64_t)item_key_len(p) + item_value_len(p);
    uint64_t header = item_body_at(p[0]);
    metric_add(&s->metrics.bytes_payload, visible ? n : (uint64_t)0 - n);
    metric_add(&s->metrics.bytes_headers, visible ? header : (uint64_t)0 - header);
}

void write_remove(struct store *s, uint64_t hash, uint32_t item)
{
    window_retract(s, item);
    count_payload(s, item, false);
    metric_sub(&s->metrics.items, 1);
    index_remove(s, hash, item);
    item_release(s, item);
}

void write_expire(struct store *s, uint64_t hash, uint32_t item)
{
    metric_add(&s->metrics.expired, 1);
    if (item_hits(region_at(s, item)) == 0) metric_add(&s->metrics.expired_unfetched, 1);
    write_remove(s, hash, item);
}

void write_supersede(struct store *s, uint64_t hash, uint32_t old, uint32_t item)
{
    window_retract(s, old);
    count_payload(s, old, false);
    count_payload(s, item, true);
    item_set_hits(region_at(s, item), item_hits(region_at(s, old)));
    item_hit(region_at(s, item));
    index_replace(s, hash, old, item);
    item_make_live(s, item);
    item_note_expiry(s, item, item_expires_ms(region_at(s, item)));
    item_release(s, old);
    window_publish(s, item);
}

static bool insert_new(struct store *s, uint64_t hash, uint32_t item)
{
    while (!index_insert(s, hash, item)) {
        bool begun = work_begin(s), found = reclaim_page(s);
        work_end(s, begun);
        if (!found) return false;
    }
    item_make_live(s, item);
    item_note_expiry(s, item, item_expires_ms(region_at(s, item)));
    window_publish(s, item);
    count_payload(s, item, true);
    metric_add(&s->metrics.items, 1);
    evict_on_insert(s, hash, item);
    return true;
}

/* Makes an OPEN item visible in the place of old, which may be 0. */
static enum store_status publish(struct store *s, uint64_t hash, uint32_t old, uint32_t item, uint64_t now_ms)
{
    write_give_cas(s, item);
    if (item_expired(region_at(s, item), now_ms)) {
        if (old) write_remove(s, hash, old);
        item_drop_open(s, item);
    } else if (old) {
        write_supersede(s, hash, old, item);
    } else if (!insert_new(s, hash, item)) {
        item_drop_open(s, item);
        return refuse(s);
    }
    metric_add(&s->metrics.items_total, 1);
    write_background(s);
    return STORE_OK;
}

void write_background(struct store *s)
{
    index_adjust(s);
    /* First: where pages are wanting, one that is emptied helps more than as many free slots. */
    if (evacuate_due(s)) evacuate_step(s);
    evict_step(s);
}

static enum store_status mode_allows(const struct store *s, uint32_t old, enum store_mode mode, uint64_t cas)
{
    const uint8_t *p = old ? region_at(s, old) : NULL;
    switch (mode) {
    case STORE_SET: return STORE_OK;
    case STORE_ADD: return old ? STORE_NOT_STORED : STORE_OK;
    case STORE_REPLACE:
    case STORE_APPEND:
    case STORE_PREPEND: return old ? STORE_OK : STORE_NOT_STORED;
    case STORE_CAS: break;
    }
    if (!old) return STORE_NOT_FOUND;
    return p[0] & ITEM_CAS && item_cas(p) == cas ? STORE_OK : STORE_EXISTS;
}

/* *item with the meta that commit names: as it is, or copied where a field is wanting. */
static enum store_status fit_meta(struct store *s, uint32_t old, uint32_t *item, const struct store_meta *meta)
{
    uint8_t *p = region_at(s, *item);
    if (!item_meta_fits(p[0], meta)) {
        if (old) item_hold(s, old);
        uint32_t copy = write_copy(s, *item, item_fields_for(meta, false) | fields_asked_for(p[0]));
        if (old) item_unhold(s, old);
        if (!copy) return refuse(s);
        item_drop_open(s, *item);
        *item = copy;
        p = region_at(s, copy);
    }
    item_set_meta(p, meta);
    return STORE_OK;
}

/* *item, which holds the new part only, becomes old's value with the part behind or before it, and old's meta. */
static enum store_status join(struct store *s, const struct store_key *key, uint32_t old, uint32_t *item,
                              enum store_mode mode)
{
    const uint8_t *p = region_at(s, old);
    uint64_t len = (uint64_t)item_value_len(p) + item_value_len(region_at(s, *item));
    if (too_large(s, key, len)) return STORE_TOO_LARGE;
    struct store_write w;
    uint32_t fields = p[0] & (ITEM_EXPIRES | ITEM_FLAGS | ITEM_CAS);
    item_hold(s, old);
    uint32_t joined = item_begin(s, fields, key, (uint32_t)len, &w);
    item_unhold(s, old);
    if (!joined) return refuse(s);
    item_copy_body(s, mode == STORE_APPEND ? old : *item, key->len, &w);
    item_copy_body(s, mode == STORE_APPEND ? *item : old, key->len, &w);
    item_set_meta(region_at(s, joined), &(struct store_meta){item_client_flags(p), item_expires_ms(p)});
    item_drop_open(s, *item);
    *item = joined;
    return STORE_OK;
}

enum store_status store_commit(struct store *s, struct store_write *w, const struct store_key *key,
                               enum store_mode mode, uint64_t cas, const struct store_meta *meta, uint64_t now_ms)
{
    assert(w->filled == w->value_len);
    write_begin(s);
    uint32_t item = w->item, old = write_find(s, key, now_ms);
    w->item = 0;
    metric_sub(&s->metrics.writes_open, 1);
    enum store_status status = mode_allows(s, old, mode, cas);
    if (status == STORE_OK) {
        bool joins = mode == STORE_APPEND || mode == STORE_PREPEND;
        status = joins ? join(s, key, old, &item, mode) : fit_meta(s, old, &item, meta ? meta : &no_meta);
    }
    if (status == STORE_OK) return publish(s, key->hash, old, item, now_ms);
    item_drop_open(s, item);
    return status;
}

/* A value that joins another or is gone at once takes the long way. */
static bool is_usual(enum store_mode mode, const struct store_meta *meta, uint64_t now_ms)
{
    return mode != STORE_APPEND && mode != STORE_PREPEND && (!meta->expires_ms || meta->expires_ms > now_ms);
}

/* May move, evict and wait for pages: old is held against it. */
static enum store_status set_with_effort(struct store *s, const struct write_request *r, enum store_mode mode,
                                         uint32_t old, uint64_t now_ms)
{
    const struct store_key *key = r->key;
    struct store_write w;
    uint32_t fields = item_fields_for(r->meta, false) | successor_fields(s, old);
    if (old) item_hold(s, old);
    uint32_t item = item_begin(s, fields, key, r->value_len, &w);
    if (old) item_unhold(s, old);
    if (!item) {
        bool fits = old && is_usual(mode, r->meta, now_ms) && write_in_place(s, r, old);
        return fits ? STORE_OK : refuse(s);
    }
    writer_put(&w, r->value, r->value_len);
    enum store_status status = STORE_OK;
    if (mode == STORE_APPEND || mode == STORE_PREPEND)
        status = join(s, key, old, &item, mode);
    else
        item_set_meta(region_at(s, item), r->meta);
    if (status == STORE_OK) return publish(s, key->hash, old, item, now_ms);
    item_drop_open(s, item);
    return status;
}

enum store_status store_set(struct store *s, const struct store_key *key, const void *value, uint32_t value_len,
                            const struct store_meta *meta, enum store_mode mode, uint64_t cas, uint64_t now_ms)
{
    if (too_large(s, key, value_len)) return STORE_TOO_LARGE;
    write_begin(s);
    struct write_request r = {key, value, value_len, meta ? meta : &no_meta};
    uint32_t old = write_find(s, key, now_ms);
    enum store_status status = mode == STORE_SET ? STORE_OK : mode_allows(s, old, mode, cas);
    if (status != STORE_OK) return status;
    if (!old) ghost_prefetch(s, key->hash);
    if (is_usual(mode, r.meta, now_ms) && write_quick(s, &r, old)) return STORE_OK;
    return set_with_effort(s, &r, mode, old, now_ms);
}
