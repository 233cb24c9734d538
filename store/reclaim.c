#include "store/reclaim.h"

#include "store/evacuate.h"
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

bool reclaim_page(struct store *s)
{
    while (s->reclaim_page && effort_spend(s, COST_OF_SCAN))
        if (flush_reclaim(s, SCAN_PAGES, RECLAIM_PAGES)) return true;
    if (evacuate_one_page(s)) return true;
    while (effort_spend(s, COST_OF_SCAN))
        if (sweep_some(s, SCAN_PAGES) > 0) return true;
    return false;
}

static uint32_t take_larger(struct store *s, uint32_t cls)
{
    uint32_t most = s->cls[cls].units * 2;
    if (cls >= s->class_page) return 0;
    for (cls++; cls < s->class_page && s->cls[cls].units <= most; cls++)
        if (s->cls[cls].nonempty) return slab_take(s, cls);
    return 0;
}

uint32_t reclaim_slot(struct store *s, uint32_t cls)
{
    uint32_t offset = slab_alloc(s, cls, INDEX_RESERVE_PAGES);
    while (!offset && reclaim_page(s)) offset = slab_alloc(s, cls, INDEX_RESERVE_PAGES);
    return offset ? offset : take_larger(s, cls);
}
