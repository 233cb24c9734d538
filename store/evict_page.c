/* Eviction by page: what lies in a page that is to be emptied for another size, or a slot of one size at once. */
#include "store/evict.h"
#include "store/expiry.h"
#include "store/index.h"
#include "store/move.h"

#define CHAIN_STEPS 64u    /* pieces followed back to their item */
#define CHOICE_PAGES 8u    /* in need one of so many is chosen */
#define MOST_FREE_SHARE 4u /* of a page at least, or another is chosen */
#define CLASS_PAGES 256u   /* descriptors looked at for a page of one class */
#define CLEAR_ITEMS 16u    /* slots cleared together */
#define CLEAR_SLOTS 256u   /* slots looked at for them */

/* The item that a piece belongs to. 0: the chain is too long to follow. */
static uint32_t head_of(const struct store *s, uint32_t piece)
{
    for (unsigned i = 0; i < CHAIN_STEPS; i++) {
        const uint8_t *p = region_at(s, piece);
        if (item_shape(p) != ITEM_FRAGMENT) return piece;
        piece = item_prev(p);
    }
    return 0;
}

/* A page of items that may all go. */
static bool page_may_go(const struct store *s, const struct page *p)
{
    return page_is_slab(s, p) && p->cls != s->class_overflow && p->holds == 0 && p->generation == s->generation &&
           p->group != GROUP_DETACHED;
}

/* The next page in turn. 0: not for the work that is left. */
static uint32_t page_hand_next(struct store *s)
{
    struct eviction *e = &s->eviction;
    while (look(s)) {
        if (++e->page_hand >= s->page_count) e->page_hand = s->head_pages;
        if (page_may_go(s, &s->page[e->page_hand])) return e->page_hand;
    }
    return 0;
}

/* A thin page of the class that has most free slots, reckoned in its pages: fewest of its items must go for it. */
static uint32_t most_free_page(const struct store *s)
{
    const struct size_class *best = NULL;
    for (uint32_t cls = 0; cls < s->class_page; cls++) {
        const struct size_class *c = &s->cls[cls];
        if (c->free_slots == 0 || (best && c->free_slots * best->slots <= best->free_slots * c->slots)) continue;
        if (!c->growing && c->units * UNIT_BYTES <= MOVE_BYTES_MAX) best = c;
    }
    if (!best || best->free_slots * MOST_FREE_SHARE < best->slots) return 0;
    uint32_t number = best->list[__builtin_ctz(best->nonempty)];
    for (unsigned i = 0; i < CHOICE_PAGES && number; i++, number = s->page[number].next)
        if (page_may_go(s, &s->page[number])) return number;
    return 0;
}

uint32_t evict_choose_page(struct store *s, bool in_need)
{
    uint32_t best = most_free_page(s);
    if (best) return best;
    best = page_hand_next(s);
    for (unsigned i = 1; in_need && best && i < CHOICE_PAGES; i++) {
        uint32_t number = page_hand_next(s);
        if (number && s->page[number].used < s->page[best].used) best = number;
    }
    return best;
}

/* The first item of a page that nobody has read, or the first. 0: none. */
static uint32_t least_used(const struct store *s, uint32_t number)
{
    const struct page *p = &s->page[number];
    uint32_t units = s->cls[p->cls].units, first = 0;
    unsigned looked = 0;
    for (uint32_t unit = 0; unit < p->bump_unit && looked < BUCKET_SLOTS; unit += units) {
        uint32_t piece = page_offset(number, unit);
        if (item_state(region_at(s, piece)) != ITEM_LIVE) continue;
        uint32_t item = head_of(s, piece);
        if (!item) continue;
        if (item_hits(region_at(s, item)) == 0) return item;
        if (!first) first = item;
        looked++;
    }
    return first;
}

/* Evicts an item from the next page whose class is one of these. Returns the class. */
static uint32_t evict_between(struct store *s, uint32_t least, uint32_t most)
{
    if (s->eviction.policy == STORE_EVICT_NONE || s->evictions == 0 || least >= s->class_overflow) return CLASS_FREE;
    struct eviction *e = &s->eviction;
    for (unsigned i = 0; i < CLASS_PAGES; i++) {
        if (++e->class_hand >= s->page_count) e->class_hand = s->head_pages;
        const struct page *p = &s->page[e->class_hand];
        uint32_t item = p->cls >= least && p->cls <= most && page_may_go(s, p) ? least_used(s, e->class_hand) : 0;
        if (!item) continue;
        uint32_t cls = p->cls;
        evict_item(s, item, item_hash(s, item), &s->metrics.evicted_class);
        return cls;
    }
    return CLASS_FREE;
}

bool evict_from_class(struct store *s, uint32_t cls)
{
    return evict_between(s, cls, cls) != CLASS_FREE;
}

uint32_t evict_larger(struct store *s, uint32_t cls)
{
    uint32_t larger;
    while (cls < s->class_page && (larger = evict_between(s, cls, s->class_page - 1)) != CLASS_FREE) {
        uint32_t slot = slab_take(s, larger); /* none: with its last item the page has gone */
        if (!slot) slot = slab_alloc(s, cls, INDEX_RESERVE_PAGES);
        if (slot) return slot;
    }
    return 0;
}

/* Whether a piece may stay, in another page: who is in use, as long as there are slots, or all if there are enough. */
static bool slot_stays(const struct store *s, uint32_t piece, const uint8_t *head)
{
    const struct page *page = page_of(s, piece);
    if (s->cls[page->cls].free_slots >= page->used) return true;
    return s->eviction.policy == STORE_EVICT_HYBRID && item_hits(head) > 0;
}

static enum clearing slot_clear(struct store *s, uint32_t piece, uint64_t hash)
{
    uint32_t head = head_of(s, piece);
    if (!head || page_of(s, head)->holds > 0) return CLEAR_STUCK;
    uint8_t *p = region_at(s, head);
    if (head != piece) hash = item_hash(s, head);
    if (item_expired(p, s->now_ms)) {
        expire_item(s, head, hash);
        return CLEAR_MORE;
    }
    uint32_t bytes = item_bytes(s, region_at(s, piece));
    if (bytes <= MOVE_BYTES_MAX && slot_stays(s, piece, p)) {
        if (bytes <= s->allowance && move_item(s, piece, hash)) return CLEAR_MORE;
        if (bytes > s->allowance && !s->evacuation.urgent) return CLEAR_SPENT;
    }
    if (s->evictions <= (s->evacuation.urgent ? EVICTIONS_KEPT : 0)) return CLEAR_SPENT;
    evict_item(s, head, hash, &s->metrics.evicted_page);
    return CLEAR_MORE;
}

struct pieces {
    uint32_t at[CLEAR_ITEMS];
    uint64_t hash[CLEAR_ITEMS]; /* not of fragments */
    unsigned count;
};

/* The next pieces of the page, with the buckets of their items on their way into the cache. */
static void gather(struct store *s, struct pieces *g)
{
    struct evacuation *e = &s->evacuation;
    const struct page *page = &s->page[e->page];
    uint32_t units = s->cls[page->cls].units;
    g->count = 0;
    for (unsigned looked = 0; looked < CLEAR_SLOTS && g->count < CLEAR_ITEMS && e->unit < page->bump_unit; looked++) {
        uint32_t piece = page_offset(e->page, e->unit);
        const uint8_t *p = region_at(s, piece);
        e->unit += units;
        if (item_state(p) == ITEM_FREE) continue;
        g->at[g->count] = piece;
        g->hash[g->count] = 0;
        if (item_shape(p) != ITEM_FRAGMENT) {
            g->hash[g->count] = item_hash(s, piece);
            store_prefetch_bucket(s, g->hash[g->count]);
        }
        g->count++;
    }
}

enum clearing evict_clear(struct store *s)
{
    struct evacuation *e = &s->evacuation;
    uint32_t number = e->page;
    struct pieces g;
    gather(s, &g);
    for (unsigned i = 0; i < g.count && e->page == number; i++) {
        if (item_state(region_at(s, g.at[i])) == ITEM_FREE) continue;
        enum clearing clearing = slot_clear(s, g.at[i], g.hash[i]);
        if (clearing == CLEAR_MORE) continue;
        e->unit = g.at[i] & (PAGE_UNITS - 1);
        return clearing;
    }
    return e->page == number ? CLEAR_MORE : CLEAR_DONE;
}
