#include "store/expiry.h"

#include "store/evacuate.h"
#include "store/evict.h"
#include "store/flush.h"
#include "store/index.h"
#include "store/slab.h"
#include "store/write.h"

#define SWEEP_SLOTS 256u    /* a call */
#define SWEEP_ITEMS 32u     /* removed a call */
#define SWEEP_ROUND_MS 100u /* rounds begin no more often */
#define STEP_SCAN_PAGES 1024u
#define STEP_RECLAIM_PAGES 16u

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

/* Slots of the page being walked, as many as one call looks at: those whose time has passed, with their buckets on the
 * way. */
static unsigned walk_gather(struct store *s, uint32_t *due, uint64_t *hash)
{
    struct sweep *w = &s->sweep;
    const struct page *p = &s->page[w->page];
    uint32_t units = s->cls[p->cls].units;
    unsigned count = 0;
    for (unsigned looked = 0; looked < SWEEP_SLOTS && count < SWEEP_ITEMS && w->unit < p->bump_unit; looked++) {
        uint32_t item = page_offset(w->page, w->unit);
        const uint8_t *slot = region_at(s, item);
        w->unit += units;
        if (item_state(slot) != ITEM_LIVE || item_shape(slot) == ITEM_FRAGMENT) continue;
        uint64_t expires_ms = item_expires_ms(slot);
        if (!expires_ms) continue;
        if (expires_ms <= s->now_ms) {
            due[count] = item;
            hash[count] = item_hash(s, item);
            store_prefetch_bucket(s, hash[count++]);
        } else if (expires_ms / 1000 < w->expires_s) {
            w->expires_s = (uint32_t)(expires_ms / 1000);
        }
    }
    return count;
}

static unsigned walk_page(struct store *s)
{
    struct sweep *w = &s->sweep;
    const struct page *p = &s->page[w->page];
    uint32_t due[SWEEP_ITEMS];
    uint64_t hash[SWEEP_ITEMS];
    unsigned count = walk_gather(s, due, hash);
    for (unsigned i = 0; i < count; i++) expire_item(s, due[i], hash[i]);
    if (w->walking && w->unit >= p->bump_unit) walk_end(s); /* not walking: with its last item the page has gone */
    return count + 1;
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
    if (now_ms >= s->sweep.next_ms || stepped_back) done += sweep_some(s, STEP_SCAN_PAGES);
    done += index_adjust(s);
    if (s->eviction.large_pages > 0) evict_large_fade(s);
    done += evacuate_step(s);
    done += evict_step(s);
    note_slack(s);
    return done;
}
