#include "store/flush.h"

#include "store/evacuate.h"
#include "store/evict.h"
#include "store/index.h"
#include "store/item.h"
#include "store/pin.h"
#include "store/slab.h"
#include "store/window.h"

void store_flush(struct store *s)
{
    evacuate_stop(s);
    s->sweep.walking = false;
    s->generation++;
    window_flush(s);
    slab_forget(s);
    evict_forget(s);
    index_reset(s);
    s->reclaim_page = s->head_pages;
    metric_set(&s->metrics.items, 0);
    metric_set(&s->metrics.bytes_payload, 0);
    metric_set(&s->metrics.bytes_headers, 0);
    metric_add(&s->metrics.flushes, 1);
}

/* Of an item that was visible when the flush came: whether a pin keeps it. The pin frees it then. */
static bool keep_for_pin(struct store *s, uint32_t item, uint8_t *p)
{
    if (item_shape(p) == ITEM_FRAGMENT) return p[0] & ITEM_HELD;
    struct store_pin *pin = pin_find(s, item);
    if (!pin) return false;
    item_doom(s, item, pin);
    return true;
}

void page_settle_old(struct store *s, uint32_t number)
{
    struct page *p = &s->page[number];
    assert(page_is_slab(s, p) && p->holds > 0);
    p->generation = s->generation;
    p->expires_s = EXPIRES_NEVER;
    s->class_counts[p->cls].pages++;
    page_attach(s, number);
    uint32_t units = s->cls[p->cls].units;
    for (uint32_t unit = 0; unit < p->bump_unit; unit += units) {
        uint32_t item = page_offset(number, unit);
        uint8_t *slot = region_at(s, item);
        if (item_state(slot) == ITEM_LIVE && !keep_for_pin(s, item, slot)) slab_free(s, item);
    }
}

unsigned flush_reclaim(struct store *s, uint32_t scan, uint32_t most)
{
    unsigned done = 0;
    if (!s->reclaim_page) return 0;
    for (; scan > 0 && done < most; scan--) {
        if (s->reclaim_page == s->page_count) {
            s->reclaim_page = 0;
            break;
        }
        uint32_t number = s->reclaim_page++;
        struct page *p = &s->page[number];
        if (p->cls == CLASS_FREE || p->generation == s->generation) continue;
        done++;
        if (p->holds == 0) {
            page_release(s, number);
            continue;
        }
        page_settle_old(s, number);
        break; /* a whole page was walked: enough for one call */
    }
    return done;
}
