#include "store/move.h"

#include "store/index.h"
#include "store/slab.h"
#include "store/window.h"

/* Header and fields of any shape lie in so many bytes: they may change in place, and are copied last. */
#define PART_HEAD_BYTES 64u

/* The item's bytes stand in both slots: from now on the second one counts. */
static void move_finish(struct store *s, uint32_t item, uint32_t to, uint64_t hash)
{
    const uint8_t *p = region_at(s, item);
    uint32_t next = item_next(p);
    if (next) item_set_prev(region_at(s, next), to);
    if (item_shape(p) == ITEM_FRAGMENT) {
        item_set_next(region_at(s, item_prev(p)), to);
    } else {
        index_replace(s, hash, item, to);
        item_note_expiry(s, to, item_expires_ms(p));
    }
    window_retract(s, item);
    slab_free(s, item);
    metric_add(&s->metrics.moves, 1);
}

bool move_item(struct store *s, uint32_t item, uint64_t hash)
{
    const uint8_t *p = region_at(s, item);
    uint32_t bytes = item_bytes(s, p), cls = page_of(s, item)->cls;
    uint32_t to = slab_take(s, cls);
    if (!to) return false;
    memcpy(region_at(s, to), p, bytes);
    move_spend(s, bytes);
    move_finish(s, item, to, hash);
    return true;
}

bool move_bucket(struct store *s, uint32_t offset)
{
    uint32_t to = slab_take(s, s->class_overflow);
    if (!to) return false;
    index_move_overflow(s, offset, to);
    slab_free(s, offset);
    move_spend(s, sizeof(struct bucket));
    return true;
}

/* To whoever walks the page the slot is the held fragment of an item that is not there yet. */
static bool part_begin(struct store *s, uint32_t item)
{
    uint32_t to = slab_take(s, page_of(s, item)->cls);
    if (!to) return false;
    save32(region_at(s, to), ITEM_OPEN | ITEM_FRAGMENT);
    page_of(s, to)->holds++;
    s->move = (struct move){.from = item, .to = to, .copied = PART_HEAD_BYTES};
    return true;
}

bool move_part(struct store *s, uint32_t item)
{
    struct move *m = &s->move;
    const uint8_t *p = region_at(s, item);
    uint32_t bytes = item_bytes(s, p);
    if (m->to && m->from != item) move_drop(s);
    if (!m->to && !part_begin(s, item)) return false;
    uint32_t to = m->to, left = bytes > m->copied ? bytes - m->copied : 0;
    uint32_t n = left < s->allowance ? left : s->allowance;
    memcpy(region_at(s, to) + m->copied, p + m->copied, n);
    m->copied += n;
    move_spend(s, n);
    if (n < left || s->allowance < PART_HEAD_BYTES) return true;
    page_of(s, to)->holds--;
    memcpy(region_at(s, to), p, PART_HEAD_BYTES);
    move_spend(s, PART_HEAD_BYTES);
    s->move = (struct move){0};
    move_finish(s, item, to, item_shape(p) == ITEM_FRAGMENT ? 0 : item_hash(s, item));
    return true;
}

void move_drop(struct store *s)
{
    uint32_t to = s->move.to;
    if (!to) return;
    s->move = (struct move){0};
    page_of(s, to)->holds--;
    slab_free(s, to);
}

void move_restart(struct store *s, uint32_t item)
{
    if (s->move.from == item) s->move.copied = PART_HEAD_BYTES;
}
