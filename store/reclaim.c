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

/* A slot of a class up to so many percent larger that has one. */
static uint32_t take_larger(struct store *s, uint32_t cls, uint32_t percent)
{
    uint32_t most = s->cls[cls].units * (100 + percent) / 100;
    if (cls >= s->class_page) return 0;
    for (cls++; cls < s->class_page && s->cls[cls].units <= most; cls++)
        if (s->cls[cls].nonempty) return slab_take(s, cls);
    return 0;
}

/* When sizes shift each new class would take a page at once: while pages are few, close ones share. */
static uint32_t take_close(struct store *s, uint32_t cls)
{
    uint32_t pool = s->pool_count, low = s->low_water_pages;
    if (s->eviction.policy == STORE_EVICT_NONE || pool >= low / 2 || s->cls[cls].nonempty) return 0;
    return take_larger(s, cls, pool < low / 4 ? 100 : 25);
}

uint32_t reclaim_slot(struct store *s, uint32_t cls)
{
    uint32_t offset = take_close(s, cls);
    if (!offset) offset = slab_alloc(s, cls, INDEX_RESERVE_PAGES);
    while (!offset && (reclaim_old(s) || evict_from_class(s, cls) || reclaim_page(s)))
        offset = slab_alloc(s, cls, INDEX_RESERVE_PAGES);
    if (!offset) offset = take_larger(s, cls, s->eviction.policy == STORE_EVICT_NONE ? 100 : SLOT_BYTES_MAX);
    if (!offset) offset = evict_larger(s, cls);
    /* The largest of a new kind of sizes: eviction is on its way to make the reserve whole again. */
    if (!offset && s->eviction.policy != STORE_EVICT_NONE) offset = slab_alloc(s, cls, 0);
    if (!offset) s->class_counts[cls].refused++;
    return offset;
}
