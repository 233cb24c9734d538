#include "store/evacuate.h"

#include "store/expiry.h"
#include "store/index.h"
#include "store/reclaim.h"
#include "store/slab.h"

#define STEP_BYTES 4096u        /* earned by each step */
#define CREDIT_BYTES_MAX 16384u /* holds the largest item that is moved */
#define STEP_ITEMS 16u
#define STEP_SLOTS 256u /* looked at */
#define THIN_GROUP 5u   /* beside ordinary writes only pages less than three quarters full are worth it */
#define LIST_TRIES 4u   /* pages of a list looked at for one without holds */
#define BACKOFF_STEPS 256u

/* The first page of the class's thinnest list that nobody holds. 0: none. */
static uint32_t thinnest_page(const struct store *s, const struct size_class *c, uint32_t *group)
{
    *group = (uint32_t)__builtin_ctz(c->nonempty);
    uint32_t number = c->list[*group];
    for (unsigned i = 0; i < LIST_TRIES && number; i++, number = s->page[number].next)
        if (s->page[number].holds == 0) return number;
    return 0;
}

/* A page whose items fit into the other pages of its class: the thinnest, and of those the class with most to give. */
static uint32_t choose_page(const struct store *s, uint32_t group_most)
{
    uint32_t best = 0, best_group = group_most + 1;
    uint64_t best_bytes = 0;
    for (uint32_t cls = 0; cls < s->class_count; cls++) {
        const struct size_class *c = &s->cls[cls];
        uint32_t group;
        if (cls == s->class_page || !c->nonempty || c->free_slots < c->slots) continue;
        uint32_t number = thinnest_page(s, c, &group);
        uint64_t bytes = c->free_slots * c->units;
        if (!number || group > best_group || (group == best_group && bytes <= best_bytes)) continue;
        if (group > group_most) continue;
        best = number;
        best_group = group;
        best_bytes = bytes;
    }
    return best;
}

static bool evacuation_begin(struct store *s, uint32_t group_most)
{
    uint32_t number = choose_page(s, group_most);
    if (!number) return false;
    page_detach(s, number);
    s->evacuation.page = number;
    s->evacuation.unit = 0;
    return true;
}

static void evacuation_abandon(struct store *s)
{
    uint32_t number = s->evacuation.page;
    s->evacuation.page = 0;
    page_attach(s, number);
}

static void move_fragment_links(struct store *s, const uint8_t *p, uint32_t to)
{
    uint32_t next = item_next(p);
    if (item_shape(p) == ITEM_FRAGMENT) item_set_next(region_at(s, item_prev(p)), to);
    if (next) item_set_prev(region_at(s, next), to);
}

/* False: no slot to move to. */
static bool move_item(struct store *s, uint32_t item, uint64_t hash)
{
    uint8_t *p = region_at(s, item);
    uint32_t to = slab_take(s, page_of(s, item)->cls);
    if (!to) return false;
    uint32_t bytes = item_bytes(p);
    memcpy(region_at(s, to), p, bytes);
    move_fragment_links(s, p, to);
    if (item_shape(p) != ITEM_FRAGMENT) {
        index_replace(s, hash, item, to);
        item_note_expiry(s, to, item_expires_ms(p));
    }
    slab_free(s, item);
    metric_add(&s->metrics.moves, 1);
    metric_add(&s->metrics.moved_bytes, bytes);
    return true;
}

static bool move_bucket(struct store *s, uint32_t offset)
{
    uint32_t to = slab_take(s, s->class_overflow);
    if (!to) return false;
    index_move_overflow(s, offset, to);
    slab_free(s, offset);
    return true;
}

struct batch {
    uint32_t item[STEP_ITEMS];
    uint64_t hash[STEP_ITEMS];
    unsigned count;
    uint32_t bytes;
};

static bool slot_is_taken(const struct store *s, uint32_t cls, const uint8_t *slot)
{
    return cls == s->class_overflow ? slot[0] != 0 : item_state(slot) != ITEM_FREE;
}

/* The next items of the page that the credit covers, with their buckets on their way into the cache. */
static void batch_gather(struct store *s, struct batch *b)
{
    struct evacuation *e = &s->evacuation;
    const struct page *p = &s->page[e->page];
    uint32_t units = s->cls[p->cls].units, slot_bytes = units * UNIT_BYTES;
    b->count = 0;
    b->bytes = 0;
    for (unsigned looked = 0; looked < STEP_SLOTS && b->count < STEP_ITEMS && e->unit < p->bump_unit; looked++) {
        uint32_t item = page_offset(e->page, e->unit);
        const uint8_t *slot = region_at(s, item);
        if (slot_is_taken(s, p->cls, slot)) {
            if (b->bytes + slot_bytes > e->credit) return;
            b->bytes += slot_bytes;
            uint64_t hash = 0;
            if (p->cls != s->class_overflow && item_shape(slot) != ITEM_FRAGMENT) {
                hash = item_hash(s, item);
                store_prefetch_bucket(s, hash);
            }
            b->hash[b->count] = hash;
            b->item[b->count++] = item;
        }
        e->unit += units;
    }
}

/* False: a slot was wanting. An item that goes by its time may take fragments, or the whole page, with it. */
static bool batch_move(struct store *s, const struct batch *b)
{
    uint32_t number = s->evacuation.page;
    bool buckets = s->page[number].cls == s->class_overflow;
    for (unsigned i = 0; i < b->count && s->evacuation.page == number; i++) {
        uint32_t item = b->item[i];
        const uint8_t *p = region_at(s, item);
        if (!slot_is_taken(s, s->page[number].cls, p)) continue;
        if (buckets) {
            if (!move_bucket(s, item)) return false;
        } else if (item_shape(p) != ITEM_FRAGMENT && item_expired(p, s->now_ms)) {
            expire_item(s, item, b->hash[i]);
        } else if (!move_item(s, item, b->hash[i])) {
            return false;
        }
    }
    return true;
}

/* One batch. False: nothing more can be done with this page, or it is done with. */
static bool evacuation_go_on(struct store *s)
{
    struct evacuation *e = &s->evacuation;
    uint32_t number = e->page;
    if (s->page[number].holds > 0) {
        evacuation_abandon(s);
        return false;
    }
    struct batch b;
    batch_gather(s, &b);
    e->credit -= b.bytes;
    if (!batch_move(s, &b)) {
        evacuation_abandon(s);
        return false;
    }
    assert(!e->page || e->unit < s->page[number].bump_unit);
    if (e->page) return true;
    metric_add(&s->metrics.evacuations, 1);
    return false;
}

unsigned evacuate_step(struct store *s)
{
    struct evacuation *e = &s->evacuation;
    if (!e->page) {
        if (s->pool_count >= s->low_water_pages) return 0;
        if (e->backoff > 0) {
            e->backoff--;
            return 0;
        }
        if (!evacuation_begin(s, THIN_GROUP)) {
            e->backoff = BACKOFF_STEPS;
            return 0;
        }
    }
    uint64_t moves = s->metrics.moves;
    e->credit = e->credit + STEP_BYTES < CREDIT_BYTES_MAX ? e->credit + STEP_BYTES : CREDIT_BYTES_MAX;
    evacuation_go_on(s);
    return (unsigned)(s->metrics.moves - moves);
}

bool evacuate_one_page(struct store *s)
{
    uint32_t free_before = s->pool_count;
    while (s->pool_count == free_before) {
        if (!s->evacuation.page && !evacuation_begin(s, GROUP_COUNT - 1)) return false;
        if (!effort_spend(s, STEP_BYTES)) return false;
        s->evacuation.credit = CREDIT_BYTES_MAX;
        evacuation_go_on(s);
    }
    return true;
}
