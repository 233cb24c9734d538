#include "store/expiry.h"

#include "store/evacuate.h"
#include "store/evict.h"
#include "store/flush.h"
#include "store/index.h"
#include "store/slab.h"
#include "store/write.h"

#define SWEEP_SLOTS 512u     /* a call */
#define SWEEP_ITEMS 32u      /* removed a call */
#define SWEEP_AHEAD_SLOTS 8u /* asked for ahead of the one that is looked at */
#define SWEEP_ROUND_MS 100u  /* rounds begin no more often */
#define SWEEP_LAG_S 3u       /* what comes due in a page so long after its first is removed in one walk */
#define NEVER_MS UINT64_MAX
#define STEP_SCAN_PAGES 1024u
#define STEP_RECLAIM_PAGES 16u
#define STEP_MERGES 8u /* while a value waits for room, part of which the index may have */

void expire_item(struct store *s, uint32_t item, uint64_t hash)
{
    metric_add(&s->metrics.expired_swept, 1);
    write_expire(s, hash, item);
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

/* When the slot's item is due; NEVER_MS: it never is, or there is none. What a slot holds is hard to foresee, so there
 * is no branch; a slot of 8 bytes, in which the loads would not fit, has no room for an expiry. */
static inline uint64_t slot_due_ms(const uint8_t *slot)
{
    uint32_t bits = slot[0];
    const uint8_t *field = slot + item_fields_at(bits);
    uint64_t in_s = (uint64_t)load32(field) * 1000u, in_ms = load64(field);
    uint64_t due_ms = bits & ITEM_EXPIRES_MS ? in_ms : in_s;
    bool none = ((bits & ITEM_STATE) != ITEM_LIVE) | ((bits & ITEM_SHAPE) == ITEM_FRAGMENT) | !(bits & ITEM_EXPIRES);
    return due_ms | ((uint64_t)0 - (none | (due_ms == 0)));
}

/* Slots of the page being walked, as many as one call looks at: those whose time has passed. */
static unsigned walk_gather(struct store *s, uint32_t *due)
{
    struct sweep *w = &s->sweep;
    const struct page *p = &s->page[w->page];
    uint32_t units = s->cls[p->cls].units, unit = w->unit;
    uint64_t now_ms = s->now_ms, next_ms = NEVER_MS;
    unsigned count = 0;
    for (unsigned looked = 0; looked < SWEEP_SLOTS && count < SWEEP_ITEMS && unit < p->bump_unit; looked++) {
        uint32_t item = page_offset(w->page, unit);
        __builtin_prefetch(region_at(s, item + SWEEP_AHEAD_SLOTS * units));
        uint64_t due_ms = slot_due_ms(region_at(s, item));
        due[count] = item;
        count += due_ms <= now_ms;
        uint64_t later_ms = due_ms <= now_ms ? NEVER_MS : due_ms;
        next_ms = later_ms < next_ms ? later_ms : next_ms;
        unit += units;
    }
    w->unit = unit;
    if (next_ms / 1000 < w->expires_s) w->expires_s = (uint32_t)(next_ms / 1000);
    return count;
}

static unsigned walk_page(struct store *s)
{
    struct sweep *w = &s->sweep;
    const struct page *p = &s->page[w->page];
    uint32_t due[SWEEP_ITEMS];
    uint64_t hash[SWEEP_ITEMS];
    unsigned count = walk_gather(s, due);
    for (unsigned i = 0; i < count; i++) {
        hash[i] = item_hash(s, due[i]);
        store_prefetch_bucket(s, hash[i]);
    }
    for (unsigned i = 0; i < count; i++) expire_item(s, due[i], hash[i]);
    if (w->walking && w->unit >= p->bump_unit) walk_end(s); /* not walking: with its last item the page has gone */
    return count + 1;
}

/* lag_s: since the earliest of its items was due. */
static bool page_due(const struct store *s, const struct page *p, uint32_t lag_s)
{
    if (!page_is_slab(s, p) || p->cls == s->class_overflow || p->generation != s->generation) return false;
    return (uint64_t)p->expires_s + lag_s <= s->now_ms / 1000;
}

unsigned sweep_some(struct store *s, uint32_t scan, uint32_t lag_s)
{
    struct sweep *w = &s->sweep;
    if (!w->walking) {
        for (; w->page < s->page_count && !page_due(s, &s->page[w->page], lag_s); w->page++)
            if (scan-- == 0) return 1;
        if (w->page == s->page_count) {
            w->page = s->head_pages;
            w->next_ms = s->now_ms + SWEEP_ROUND_MS;
            return 0;
        }
        walk_begin(s);
    }
    return walk_page(s);
}

/* What item pages hold of nothing that is counted elsewhere. */
static void note_slack(struct store *s)
{
    struct store_metrics *m = &s->metrics;
    uint64_t elsewhere = m->bytes_head + m->bytes_free + m->bytes_index + m->bytes_eviction;
    uint64_t counted = m->bytes_payload + m->bytes_headers + m->bytes_pinned;
    metric_set(&m->bytes_slack, m->bytes_limit - elsewhere - counted);
}

unsigned store_step(struct store *s, uint64_t now_ms)
{
    bool stepped_back = now_ms + 2 * SWEEP_ROUND_MS < s->sweep.next_ms;
    s->now_ms = now_ms;
    write_begin(s);
    unsigned done = flush_reclaim(s, STEP_SCAN_PAGES, STEP_RECLAIM_PAGES);
    if (now_ms >= s->sweep.next_ms || stepped_back) done += sweep_some(s, STEP_SCAN_PAGES, SWEEP_LAG_S);
    for (unsigned i = s->eviction.wanted_pages ? STEP_MERGES : 1; i > 0; i--) done += index_adjust(s);
    if (s->eviction.large_pages > 0 || s->eviction.wanted_pages > 0) evict_large_fade(s);
    done += evacuate_step(s);
    done += evict_step(s);
    note_slack(s);
    return done;
}
