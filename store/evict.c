#include "store/evict.h"

#include "store/age.h"
#include "store/expiry.h"
#include "store/flush.h"
#include "store/ghost.h"
#include "store/index.h"
#include "store/ring.h"
#include "store/work.h"
#include "store/write.h"

#define RING_SHARE 10u   /* of all items, in the ring */
#define RING_SLACK 1024u /* entries more, and a quarter of the share, before the oldest are let go unseen */
#define HAND_ITEMS 36u   /* of a chain of buckets looked at together */
#define AHEAD_BUCKET 8u  /* entries of the ring whose bucket, and then whose item, is asked for */
#define AHEAD_ITEM 4u
#define RECLAIM_PAGES 4u
#define STEP_EVICTIONS 6u  /* a step that is not pressed for room */
#define STEP_LOOKS 48u
#define PRESSED_SHARE 4u /* of what is to be free: when so much is wanting */
#define LOOKS_TIMED (LOOKS_MAX - 8u) /* one item in exchange for another is the usual path: no clock is read for it */

/* Pages kept free, so that sizes may change and the index may grow: of all pages one in so many, and a few. */
#define LOW_WATER_SHARE 256u
#define LOW_WATER_PAGES 4u
#define FREE_SHARE 512u          /* and in pool and slots together */
#define LOW_WATER_SHARE_MOST 32u /* for the sake of one large value */
#define ROOM_SHARE 8u            /* all but one in so many may be made free for one that waits */
#define WANTED_FADE_MS 2000u
#define LARGE_FADE_MS 60000u /* halved, when so long none was as large */
#define NONE_SHARE 128u      /* without eviction they are only what compaction aims at */
#define NONE_ROOM_SHARE 64u  /* of all pages one in so many stays free in slots, however much is moved */
#define NONE_PAGES 64u       /* and so many, of which each size may want one at a time; but no more than an eighth */

static uint32_t pages_for_moves(const struct store *s)
{
    return s->page_count / NONE_SHARE + (s->page_count < 8 * NONE_PAGES ? s->page_count / 8 : NONE_PAGES);
}

static void reserve_set(struct store *s)
{
    struct eviction *e = &s->eviction;
    if (e->policy == STORE_EVICT_NONE) {
        s->low_water_pages = pages_for_moves(s) + e->wanted_pages;
        e->free_bytes = 0;
        return;
    }
    uint32_t most = s->page_count / LOW_WATER_SHARE_MOST, large = e->large_pages < most ? e->large_pages : most;
    if (large < e->wanted_pages) large = e->wanted_pages;
    uint32_t pages = s->page_count / LOW_WATER_SHARE;
    s->low_water_pages = LOW_WATER_PAGES + (pages > large ? pages : large);
    e->free_bytes = (uint64_t)(LOW_WATER_PAGES + large) * PAGE_BYTES + s->region_bytes / FREE_SHARE;
}

void evict_configure(struct store *s, enum store_eviction policy)
{
    struct eviction *e = &s->eviction;
    e->policy = policy;
    if (e->hand >= s->index.buckets) e->hand = e->hand_entry = 0;
    reserve_set(s);
}

/* Where eviction is off, of what is free; else the rest is for the index, which shrinks behind the items, and for what
 * others store meanwhile. */
static uint32_t room_pages_most(const struct store *s)
{
    uint32_t pages = s->page_count - s->head_pages;
    if (s->eviction.policy != STORE_EVICT_NONE) return pages - pages / ROOM_SHARE;
    uint32_t free_pages = (uint32_t)(slab_free_bytes(s) / PAGE_BYTES);
    uint32_t kept = INDEX_RESERVE_PAGES + pages / NONE_ROOM_SHARE;
    return free_pages > kept ? free_pages - kept : 0;
}

/* Moves alone may not: what is free lies in slots that nothing can be moved to. They are looked for again only after a
 * while, or for another. */
static bool makes_room(const struct store *s, uint64_t pages)
{
    if (pages > room_pages_most(s)) return false;
    return s->eviction.policy != STORE_EVICT_NONE || s->evacuation.page || s->evacuation.backoff == 0;
}

bool store_makes_room(const struct store *s, uint64_t bytes)
{
    return makes_room(s, bytes / PAGE_BYTES + 1);
}

bool evict_makes_room_first(struct store *s, uint64_t pages)
{
    if (s->eviction.policy == STORE_EVICT_NONE) {
        bool waits = pages == s->eviction.wanted_pages && pages + INDEX_RESERVE_PAGES > s->pool_count;
        if (!waits || !makes_room(s, pages)) return false;
    } else if (pages <= (uint64_t)s->pool_count + PAGES_AT_ONCE) {
        return false;
    }
    evict_note_wanted(s, pages);
    return true;
}

void evict_note_large(struct store *s, uint64_t pages)
{
    struct eviction *e = &s->eviction;
    if (e->policy == STORE_EVICT_NONE || pages * 2 < e->large_pages || pages > room_pages_most(s)) return;
    e->large_ms = s->now_ms;
    if (pages <= e->large_pages) return;
    e->large_pages = (uint32_t)pages;
    reserve_set(s);
}

void evict_note_wanted(struct store *s, uint64_t pages)
{
    struct eviction *e = &s->eviction;
    if (pages > room_pages_most(s)) return;
    e->wanted_ms = s->now_ms;
    if (pages == e->wanted_pages) return;
    if (e->policy == STORE_EVICT_NONE) s->evacuation.backoff = 0;
    e->wanted_pages = (uint32_t)pages;
    reserve_set(s);
}

void evict_note_found(struct store *s, uint64_t pages)
{
    if (s->eviction.wanted_pages && pages >= s->eviction.wanted_pages) evict_note_wanted(s, 0);
}

void evict_large_fade(struct store *s)
{
    struct eviction *e = &s->eviction;
    if (e->wanted_pages && s->now_ms - e->wanted_ms >= WANTED_FADE_MS) evict_note_wanted(s, 0);
    if (s->now_ms - e->large_ms < LARGE_FADE_MS) return;
    e->large_pages /= 2;
    e->large_ms = s->now_ms;
    reserve_set(s);
}

void evict_init(struct store *s)
{
    s->eviction.page_hand = s->eviction.class_hand = s->head_pages;
}

void evict_forget(struct store *s)
{
    struct eviction *e = &s->eviction;
    e->ring = (struct ring){0};
    e->ages = (struct ages){0};
    e->hand = e->hand_entry = 0;
    ghost_forget(s, s->index.buckets);
}

void evict_item(struct store *s, uint32_t item, uint64_t hash, uint64_t *reason)
{
    const uint8_t *p = region_at(s, item);
    assert(s->evictions > 0);
    s->evictions--;
    metric_add(reason, 1);
    s->class_counts[page_of(s, item)->cls].evicted++;
    metric_add(&s->metrics.evicted_bytes, (uint64_t)item_key_len(p) + item_value_len(p));
    write_remove(s, hash, item);
}

static inline bool is_held(const struct store *s, uint32_t item)
{
    return page_of(s, item)->holds > 0;
}

/* ---- the ring ---- */

/* Items of the bucket that may be the entry's: found by five bits of their tag. */
static uint32_t entry_candidate(const struct store *s, const struct bucket **b, unsigned *slot, uint32_t entry)
{
    for (; *b; *b = bucket_linked(s, *b), *slot = 0)
        while (*slot < BUCKET_SLOTS) {
            unsigned i = (*slot)++;
            if ((*b)->tag[i] && (*b)->tag[i] >> 3 == entry >> RING_LOW_BITS) return (*b)->item[i];
        }
    return 0;
}

static const struct bucket *entry_bucket(const struct store *s, uint32_t entry)
{
    return bucket_at(s, bucket_number(s, entry & ((1u << RING_LOW_BITS) - 1)));
}

static uint32_t entry_find(const struct store *s, uint32_t entry, uint64_t *hash)
{
    const struct bucket *b = entry_bucket(s, entry);
    unsigned slot = 0;
    for (uint32_t item; (item = entry_candidate(s, &b, &slot, entry)) != 0;) {
        *hash = item_hash(s, item);
        if (ring_entry(*hash) == entry) return item;
    }
    return 0;
}

/* Asks for what the next pops will look at. */
static void ring_prefetch(const struct store *s)
{
    const struct ring *r = &s->eviction.ring;
    uint32_t entry;
    if (ring_peek(s, r, AHEAD_BUCKET, &entry)) __builtin_prefetch(entry_bucket(s, entry));
    if (!ring_peek(s, r, AHEAD_ITEM, &entry)) return;
    const struct bucket *b = entry_bucket(s, entry);
    unsigned slot = 0;
    uint32_t item = entry_candidate(s, &b, &slot, entry);
    if (item) __builtin_prefetch(region_at(s, item));
}

/* The oldest entry leaves the ring; its item goes, unless it was read, is held, or has gone already. */
static unsigned ring_evict(struct store *s)
{
    uint64_t hash = 0;
    ring_prefetch(s);
    uint32_t item = entry_find(s, ring_pop(s, &s->eviction.ring), &hash);
    if (!item || is_held(s, item)) return 0;
    uint8_t *p = region_at(s, item);
    if (item_expired(p, s->now_ms)) {
        expire_item(s, item, hash);
    } else if (item_hits(p) > 0) {
        item_set_hits(p, 0);
    } else {
        evict_item(s, item, hash, &s->metrics.evicted_new);
        ghost_add(s, hash);
        return 1;
    }
    return 0;
}

/* Without eviction for a while the ring would outgrow its share: the oldest become as all others are. */
static void ring_shorten(struct store *s)
{
    struct ring *r = &s->eviction.ring;
    if (r->count > s->index.items / RING_SHARE * 5 / 4 + RING_SLACK) ring_pop(s, r);
}

/* ---- the fifo ---- */

/* What was told of an item in a ring of before, when the policy was the other one, goes. */
static void fifo_on_insert(struct store *s, uint64_t hash, uint32_t item)
{
    const uint8_t *p = region_at(s, item);
    if (s->eviction.ring.count > 0) ring_pop(s, &s->eviction.ring);
    age_note(s, hash, (uint64_t)item_key_len(p) + item_value_len(p));
}

/* One of the oldest goes, or the hand goes on. */
static unsigned fifo_evict(struct store *s)
{
    unsigned place;
    uint32_t item = age_oldest(s, &place);
    if (!item) {
        age_advance(s);
    } else if (is_held(s, item)) {
        age_spare(s, place);
    } else if (item_expired(region_at(s, item), s->now_ms)) {
        expire_item(s, item, item_hash(s, item));
    } else {
        evict_item(s, item, item_hash(s, item), &s->metrics.evicted_cold);
        return 1;
    }
    return 0;
}

void evict_on_insert(struct store *s, uint64_t hash, uint32_t item)
{
    struct eviction *e = &s->eviction;
    if (e->policy != STORE_EVICT_HYBRID) {
        if (e->policy == STORE_EVICT_FIFO) fifo_on_insert(s, hash, item);
        return;
    }
    if (ghost_take(s, hash)) {
        metric_add(&s->metrics.ghost_hits, 1);
        return;
    }
    ring_append(s, &e->ring, ring_entry(hash));
    ring_shorten(s);
}

/* ---- the clock ---- */

static void prefetch_chain(const struct store *s, uint32_t number)
{
    const struct bucket *b = bucket_at(s, number);
    for (unsigned i = 0; i < BUCKET_SLOTS && b->tag[i]; i++) __builtin_prefetch(region_at(s, b->item[i]));
}

static void hand_advance(struct store *s)
{
    struct eviction *e = &s->eviction;
    e->hand_entry = 0;
    if (++e->hand >= s->index.buckets) e->hand = 0;
    if (e->hand + 2 >= s->index.buckets) return;
    __builtin_prefetch(bucket_at(s, e->hand + 2));
    prefetch_chain(s, e->hand + 1);
}

/* True: it was evicted. */
static bool hand_pass(struct store *s, uint32_t item)
{
    uint8_t *p = region_at(s, item);
    uint32_t hits = item_hits(p);
    if (is_held(s, item)) return false;
    if (item_expired(p, s->now_ms)) {
        expire_item(s, item, item_hash(s, item));
        return false;
    }
    if (hits > 0) {
        item_set_hits(p, hits - 1);
        return false;
    }
    evict_item(s, item, item_hash(s, item), &s->metrics.evicted_cold);
    return true;
}

/* Goes over the rest of the hand's bucket until an item has gone. */
static unsigned hand_evict(struct store *s)
{
    struct eviction *e = &s->eviction;
    uint32_t item[HAND_ITEMS];
    unsigned count = 0;
    if (e->hand >= s->index.buckets) e->hand = e->hand_entry = 0;
    for (const struct bucket *b = bucket_at(s, e->hand); b && count < HAND_ITEMS; b = bucket_linked(s, b))
        for (unsigned i = 0; i < BUCKET_SLOTS && b->tag[i] && count < HAND_ITEMS; i++) item[count++] = b->item[i];
    for (unsigned i = e->hand_entry; i < count; i++) {
        uint64_t items = s->index.items;
        bool evicted = look(s) && hand_pass(s, item[i]);
        if (s->index.items == items) e->hand_entry++; /* else the chain's last one stands in its place */
        if (evicted || s->looks == 0) return evicted;
    }
    hand_advance(s);
    look(s);
    return 0;
}

unsigned evict_some(struct store *s, uint64_t enough)
{
    struct eviction *e = &s->eviction;
    unsigned done = 0;
    bool begun = false, pressed = slab_free_bytes(s) < enough - enough / PRESSED_SHARE;
    uint32_t evictions = pressed || s->evictions < STEP_EVICTIONS ? 0 : s->evictions - STEP_EVICTIONS;
    uint32_t looks = pressed || s->looks < STEP_LOOKS ? 0 : s->looks - STEP_LOOKS;
    if (s->reclaim_page) return flush_reclaim(s, LOOKS_MAX, RECLAIM_PAGES);
    while (slab_free_bytes(s) < enough && s->evictions > evictions && s->looks > looks && s->index.items > 0) {
        if (!begun && s->looks <= LOOKS_TIMED) begun = work_begin(s);
        if (e->policy == STORE_EVICT_FIFO) {
            look(s);
            done += fifo_evict(s);
        } else if (e->ring.count > s->index.items / RING_SHARE) {
            look(s);
            done += ring_evict(s);
        } else {
            done += hand_evict(s);
        }
    }
    work_end(s, begun);
    return done;
}
