#include "store/evacuate.h"

#include "store/evict.h"
#include "store/expiry.h"
#include "store/index.h"
#include "store/move.h"
#include "store/reclaim.h"
#include "store/slab.h"
#include "store/work.h"

#define COST_OF_STEP 4096u /* effort */
#define STEP_ITEMS 16u
#define STEP_SLOTS 256u /* looked at */
#define LIST_TRIES 4u   /* pages of a list looked at for one without holds */
#define BACKOFF_STEPS 256u
#define FEW_SHARE 8u /* of the low water: below it eviction helps */

/* The first page that nobody holds, from the class's thinnest list on. 0: none. */
static uint32_t thinnest_page(const struct store *s, const struct size_class *c, uint32_t *group)
{
    for (uint32_t lists = c->nonempty; lists; lists &= lists - 1) {
        *group = (uint32_t)__builtin_ctz(lists);
        uint32_t number = c->list[*group];
        for (unsigned i = 0; i < LIST_TRIES && number; i++, number = s->page[number].next)
            if (s->page[number].holds == 0) return number;
    }
    return 0;
}

/* Whether the items of a page of the class fit into other pages: its own, or those of about its size too. */
static bool fits_elsewhere(const struct store *s, uint32_t cls)
{
    const struct size_class *c = &s->cls[cls];
    return c->free_slots >= c->slots;
}

/* A page whose items fit elsewhere: the thinnest, and of those the class with most to give. */
static uint32_t choose_page(const struct store *s, uint32_t group_most)
{
    uint32_t best = 0, best_group = group_most + 1;
    uint64_t best_bytes = 0;
    for (uint32_t cls = 0; cls < s->class_count; cls++) {
        const struct size_class *c = &s->cls[cls];
        if (cls == s->class_page || !c->nonempty) continue;
        uint32_t group = (uint32_t)__builtin_ctz(c->nonempty);
        uint64_t bytes = c->free_slots * c->units;
        if (group > best_group || (group == best_group && bytes <= best_bytes) || !fits_elsewhere(s, cls)) continue;
        uint32_t number = thinnest_page(s, c, &group);
        if (!number || group > best_group || group > group_most) continue;
        best = number;
        best_group = group;
        best_bytes = bytes;
    }
    return best;
}

static bool evacuation_begin(struct store *s, uint32_t number, bool evicts)
{
    if (!number) return false;
    move_drop(s);
    page_detach(s, number);
    s->evacuation.page = number;
    s->evacuation.unit = 0;
    s->evacuation.evicts = evicts;
    return true;
}

static void evacuation_abandon(struct store *s)
{
    uint32_t number = s->evacuation.page;
    s->evacuation.page = 0;
    page_attach(s, number);
    move_drop(s);
}

struct batch {
    uint32_t item[STEP_ITEMS];
    uint64_t hash[STEP_ITEMS];
    unsigned count;
};

static bool slot_is_taken(const struct store *s, uint32_t cls, const uint8_t *slot)
{
    return cls == s->class_overflow ? slot[0] != 0 : item_state(slot) != ITEM_FREE;
}

/* The next items of the page that the allowance covers, with their buckets on their way into the cache. */
static void batch_gather(struct store *s, struct batch *b)
{
    struct evacuation *e = &s->evacuation;
    const struct page *p = &s->page[e->page];
    bool buckets = p->cls == s->class_overflow;
    uint32_t units = s->cls[p->cls].units, bytes = 0;
    b->count = 0;
    for (unsigned looked = 0; looked < STEP_SLOTS && b->count < STEP_ITEMS && e->unit < p->bump_unit; looked++) {
        uint32_t item = page_offset(e->page, e->unit);
        const uint8_t *slot = region_at(s, item);
        if (slot_is_taken(s, p->cls, slot)) {
            bytes += buckets ? (uint32_t)sizeof(struct bucket) : item_bytes(s, slot);
            if (bytes > s->allowance) return;
            uint64_t hash = 0;
            if (!buckets && item_shape(slot) != ITEM_FRAGMENT) {
                hash = item_hash(s, item);
                store_prefetch_bucket(s, hash);
            }
            b->hash[b->count] = hash;
            b->item[b->count++] = item;
        }
        e->unit += units;
    }
}

/* An item whose time has passed goes, and may take fragments, or the whole page, with it. */
static bool drop_expired(struct store *s, uint32_t item)
{
    const uint8_t *p = region_at(s, item);
    if (item_shape(p) == ITEM_FRAGMENT || !item_expired(p, s->now_ms)) return false;
    expire_item(s, item, item_hash(s, item));
    return true;
}

/* False: a slot was wanting. */
static bool batch_move(struct store *s, const struct batch *b)
{
    uint32_t number = s->evacuation.page;
    uint32_t cls = s->page[number].cls;
    for (unsigned i = 0; i < b->count && s->evacuation.page == number; i++) {
        uint32_t item = b->item[i];
        if (!slot_is_taken(s, cls, region_at(s, item))) continue;
        if (cls == s->class_overflow) {
            if (!move_bucket(s, item)) return false;
        } else if (!drop_expired(s, item) && !move_item(s, item, b->hash[i])) {
            return false;
        }
    }
    return true;
}

/* The item at e->unit, which the allowance does not cover, if no later operation's would either. */
static bool large_move(struct store *s)
{
    const struct evacuation *e = &s->evacuation;
    const struct page *p = &s->page[e->page];
    uint32_t item = page_offset(e->page, e->unit);
    const uint8_t *slot = region_at(s, item);
    if (s->cls[p->cls].units * UNIT_BYTES <= MOVE_BYTES_MAX || e->unit >= p->bump_unit) return true;
    if (!slot_is_taken(s, p->cls, slot) || item_bytes(s, slot) <= MOVE_BYTES_MAX) return true;
    return drop_expired(s, item) || move_part(s, item);
}

/* The same where eviction helps. */
static bool evacuation_clear(struct store *s)
{
    enum clearing clearing = evict_clear(s);
    if (clearing == CLEAR_DONE) metric_add(&s->metrics.evacuations, 1);
    if (clearing == CLEAR_STUCK) evacuation_abandon(s);
    return clearing == CLEAR_MORE;
}

/* What the allowance covers. False: nothing more can be done with this page, or it is done with. */
static bool evacuation_go_on(struct store *s)
{
    struct evacuation *e = &s->evacuation;
    uint32_t number = e->page;
    if (s->page[number].holds > 0) {
        evacuation_abandon(s);
        return false;
    }
    if (e->evicts) return evacuation_clear(s);
    struct batch b;
    batch_gather(s, &b);
    if (!(b.count ? batch_move(s, &b) : large_move(s))) {
        evacuation_abandon(s);
        return false;
    }
    assert(!e->page || e->unit < s->page[number].bump_unit);
    if (e->page) return true;
    metric_add(&s->metrics.evacuations, 1);
    return false;
}

/* The fullest pages that are worth moving: the lower the pool, the fuller. */
static uint32_t groups_worth(const struct store *s)
{
    uint32_t pool = s->pool_count, low = s->low_water_pages;
    return pool >= low ? 0 : pool >= low / 2 ? 5 : pool >= low / 4 ? 6 : GROUP_COUNT - 1;
}

/* Memory is so short that moving alone is too slow. */
static bool eviction_helps(const struct store *s)
{
    uint32_t few = INDEX_RESERVE_PAGES + s->low_water_pages / FEW_SHARE;
    if (s->eviction.policy == STORE_EVICT_NONE || s->pool_count > few) return false;
    return s->eviction.page_wanted || s->pool_count < few;
}

/* A value waits for pages; what is free would do, but lies in slots that nothing can be moved to or from. */
static bool room_is_stuck(const struct store *s)
{
    const struct eviction *e = &s->eviction;
    if (e->policy == STORE_EVICT_NONE) return false;
    return e->wanted_pages && s->pool_count < s->low_water_pages && slab_free_bytes(s) >= e->free_bytes;
}

/* Of buckets nothing can be evicted. */
static void evacuation_hurry(struct store *s)
{
    struct evacuation *e = &s->evacuation;
    if (s->page[e->page].cls != s->class_overflow) e->evicts = true;
}

/* Looking for a page in vain is not repeated at once, but when the pool has shrunk. */
static bool evacuation_wanted(struct store *s)
{
    struct evacuation *e = &s->evacuation;
    uint32_t groups = groups_worth(s);
    if (groups == 0) return false;
    if (e->backoff > 0 && s->pool_count >= e->pool_seen) {
        e->backoff--;
    } else {
        if (evacuation_begin(s, choose_page(s, groups), false)) return true;
        e->backoff = BACKOFF_STEPS;
        e->pool_seen = s->pool_count;
    }
    return (eviction_helps(s) || room_is_stuck(s)) && evacuation_begin(s, evict_choose_page(s, false), true);
}

unsigned evacuate_step(struct store *s)
{
    if (!s->evacuation.page) {
        if (s->move.to) move_drop(s);
        if (!evacuation_wanted(s)) return 0;
    }
    if (eviction_helps(s)) evacuation_hurry(s);
    uint64_t moves = s->metrics.moves;
    bool begun = work_begin(s), more = evacuation_go_on(s);
    while (more && s->evacuation.evicts && s->evictions > 0) more = evacuation_go_on(s);
    work_end(s, begun);
    return (unsigned)(s->metrics.moves - moves);
}

bool evacuate_one_page(struct store *s)
{
    uint32_t free_before = s->pool_count;
    bool evicts = s->eviction.policy != STORE_EVICT_NONE;
    while (s->pool_count <= free_before) {
        if ((evicts ? s->evictions <= EVICTIONS_KEPT : s->allowance == 0) || !effort_spend(s, COST_OF_STEP))
            return false;
        uint32_t number = s->evacuation.page;
        if (!number) number = evicts ? evict_choose_page(s, true) : choose_page(s, GROUP_COUNT - 1);
        if (!s->evacuation.page && !evacuation_begin(s, number, evicts)) return false;
        if (evicts) evacuation_hurry(s);
        s->evacuation.urgent = true;
        evacuation_go_on(s);
        s->evacuation.urgent = false;
    }
    return true;
}

void evacuate_stop(struct store *s)
{
    if (s->evacuation.page) evacuation_abandon(s);
    move_drop(s);
}
