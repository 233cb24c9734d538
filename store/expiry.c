#include "store/expiry.h"

#include "store/evacuate.h"
#include "store/flush.h"
#include "store/index.h"
#include "store/slab.h"
#include "store/write.h"

#define SWEEP_SLOTS 128u    /* a call */
#define SWEEP_ITEMS 16u     /* removed a call */
#define SWEEP_ROUND_MS 100u /* rounds begin no more often */
#define STEP_SCAN_PAGES 64u
#define STEP_RECLAIM_PAGES 16u

void expire_item(struct store *s, uint32_t item, uint64_t hash)
{
    const uint8_t *p = region_at(s, item);
    metric_sub(&s->metrics.bytes_payload, (uint64_t)item_key_len(p) + item_value_len(p));
    metric_sub(&s->metrics.items, 1);
    metric_add(&s->metrics.expired, 1);
    index_remove(s, hash, item);
    item_release(s, item);
}

/* The page is walked to its end: when it is next due is what was seen, or what has come since. */
static void walk_end(struct store *s)
{
    struct page *p = &s->page[s->sweep.page];
    if (s->sweep.expires_s < p->expires_s) p->expires_s = s->sweep.expires_s;
    s->sweep.walking = false;
    s->sweep.page++;
}

static void walk_begin(struct store *s)
{
    s->sweep.walking = true;
    s->sweep.unit = 0;
    s->sweep.expires_s = EXPIRES_NEVER;
    s->page[s->sweep.page].expires_s = EXPIRES_NEVER;
}

static unsigned walk_page(struct store *s)
{
    struct sweep *w = &s->sweep;
    uint32_t number = w->page;
    const struct page *p = &s->page[number];
    uint32_t units = s->cls[p->cls].units;
    unsigned removed = 0;
    for (unsigned looked = 0; looked < SWEEP_SLOTS && removed < SWEEP_ITEMS; looked++) {
        if (w->unit >= p->bump_unit) {
            walk_end(s);
            break;
        }
        uint32_t item = page_offset(number, w->unit);
        const uint8_t *slot = region_at(s, item);
        w->unit += units;
        if (item_state(slot) != ITEM_LIVE || item_shape(slot) == ITEM_FRAGMENT) continue;
        uint64_t expires_ms = item_expires_ms(slot);
        if (!expires_ms) continue;
        if (expires_ms <= s->now_ms) {
            removed++;
            expire_item(s, item, item_hash(s, item));
            if (!w->walking) break; /* that was the page's last item: the page has gone */
        } else if (expires_ms / 1000 < w->expires_s) {
            w->expires_s = (uint32_t)(expires_ms / 1000);
        }
    }
    return removed;
}

static bool page_due(const struct store *s, const struct page *p)
{
    if (!page_is_slab(s, p) || p->cls == s->class_overflow || p->generation != s->generation) return false;
    return p->expires_s <= s->now_ms / 1000;
}

unsigned sweep_some(struct store *s, uint32_t scan)
{
    struct sweep *w = &s->sweep;
    if (!w->walking) {
        for (; w->page < s->page_count && !page_due(s, &s->page[w->page]); w->page++)
            if (scan-- == 0) return 0;
        if (w->page == s->page_count) {
            w->page = s->head_pages;
            w->next_ms = s->now_ms + SWEEP_ROUND_MS;
            return 0;
        }
        walk_begin(s);
    }
    return walk_page(s);
}

unsigned store_step(struct store *s, uint64_t now_ms)
{
    bool stepped_back = now_ms + 2 * SWEEP_ROUND_MS < s->sweep.next_ms;
    s->now_ms = now_ms;
    write_begin(s);
    unsigned done = flush_reclaim(s, STEP_SCAN_PAGES, STEP_RECLAIM_PAGES);
    if (now_ms >= s->sweep.next_ms || stepped_back) done += sweep_some(s, STEP_SCAN_PAGES);
    done += index_adjust(s);
    return done + evacuate_step(s);
}
