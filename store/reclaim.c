#include "store/reclaim.h"

#include "store/evacuate.h"
#include "store/evict.h"
#include "store/expiry.h"
#include "store/flush.h"
#include "store/slab.h"

#define SCAN_PAGES 1024u /* descriptors looked at in one go */
#define RECLAIM_PAGES 4u
#define COST_OF_SCAN 8192u /* effort */

bool effort_spend(struct store *s, uint32_t bytes)
{
    if (s->effort == 0) return false;
    s->effort = s->effort > bytes ? s->effort - bytes : 0;
    return true;
}

static bool reclaim_old(struct store *s)
{
    while (s->reclaim_page && effort_spend(s, COST_OF_SCAN))
        if (flush_reclaim(s, SCAN_PAGES, RECLAIM_PAGES)) return true;
    return false;
}

bool reclaim_page(struct store *s)
{
    if (reclaim_old(s)) return true;
    if (evacuate_one_page(s)) return true;
    while (effort_spend(s, COST_OF_SCAN))
        if (sweep_some(s, SCAN_PAGES, 0) > 0) return true;
    return false;
}

/* A slot of the nearest class of larger slots, which are at most so many times as large. */
static uint32_t take_larger(struct store *s, uint32_t cls, uint32_t times)
{
    uint64_t most = (uint64_t)s->cls[cls].units * times;
    if (cls >= s->class_page) return 0;
    return slab_take_between(s, cls + 1, most < SLOT_UNITS_MAX ? s->class_of[most + 1] - 1u : s->class_page - 1);
}

/* Each class that is new would take a page: while pages are few, those of about one size share. */
static uint32_t take_close(struct store *s, uint32_t cls)
{
    if (!slab_shares(s) || s->cls[cls].nonempty || cls >= s->class_page) return 0;
    uint32_t slot = slab_borrow(s, cls);
    return slot || s->pool_count >= INDEX_RESERVE_PAGES ? slot : take_larger(s, cls, 2);
}

/* In the place of an item of the class. A class that lives so for long is to have a page. */
static uint32_t take_by_eviction(struct store *s, uint32_t cls)
{
    struct size_class *c = &s->cls[cls];
    uint16_t lent = (uint16_t)(c->lent + (slab_in_want(c) ? 0 : 2));
    if (slab_in_want(c)) s->eviction.page_wanted = true;
    if (!evict_from_class(s, cls)) return 0;
    uint32_t offset = slab_take(s, cls);
    c->lent = lent;
    return offset;
}

uint32_t reclaim_slot(struct store *s, uint32_t cls)
{
    uint32_t offset = take_close(s, cls);
    if (!offset) offset = slab_alloc(s, cls, INDEX_RESERVE_PAGES);
    while (!offset && reclaim_old(s)) offset = slab_alloc(s, cls, INDEX_RESERVE_PAGES);
    if (!offset) offset = take_by_eviction(s, cls);
    while (!offset && reclaim_page(s)) offset = slab_alloc(s, cls, INDEX_RESERVE_PAGES);
    if (!offset) offset = take_larger(s, cls, s->eviction.policy == STORE_EVICT_NONE ? 2 : SLOT_UNITS_MAX);
    if (!offset) offset = evict_larger(s, cls);
    /* The largest of a new kind of sizes: eviction is on its way to make the reserve whole again. */
    if (!offset && s->eviction.policy != STORE_EVICT_NONE) offset = slab_alloc(s, cls, 0);
    if (!offset) s->class_counts[cls].refused++;
    return offset;
}
