/* Every invariant of the store, checked from the ground: for tests. */
#include <stdio.h>
#include <stdlib.h>
#include "store/ghost.h"
#include "store/index.h"
#include "store/pin.h"
#include "store/slab.h"
#include "store/window.h"

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) check_failed(__LINE__, #condition);                                                          \
    } while (0)

static void check_failed(int line, const char *condition)
{
    fprintf(stderr, "store_check: line %d: %s\n", line, condition);
    abort();
}

struct census {
    uint64_t items, payload, headers, pinned, bytes_used, bytes_index, bytes_eviction, slot_bytes, overflow, opens, pins;
    uint64_t live_heads;
    uint32_t *holds;      /* a page */
    uint64_t *free_slots; /* a class, in listed pages */
    uint64_t *pages;      /* a class, of this generation */
};

static void check_value_lengths(const struct store *s, uint32_t item)
{
    uint64_t body = 0;
    uint32_t prev = 0;
    const uint8_t *head = region_at(s, item);
    for (uint32_t at = item; at; prev = at, at = item_next(region_at(s, at))) {
        const uint8_t *p = region_at(s, at);
        CHECK(item_state(p) != ITEM_FREE);
        CHECK(item_bytes(s, p) <= s->cls[page_of(s, at)->cls].units * UNIT_BYTES);
        CHECK((at == item) == (item_shape(p) != ITEM_FRAGMENT));
        if (at != item) CHECK(item_prev(p) == prev);
        body += item_piece_len(p);
    }
    CHECK(body == (uint64_t)item_key_len(head) + item_value_len(head));
}

static void check_index(const struct store *s, struct census *c)
{
    const struct index *x = &s->index;
    CHECK(x->mask + 1 <= x->buckets && x->buckets <= x->mask_wide && x->mask_wide == x->mask * 2 + 1);
    for (uint32_t n = 0; n < x->buckets; n++)
        for (const struct bucket *b = bucket_at(s, n); b; b = bucket_linked(s, b)) {
            unsigned count = 0;
            for (; count < BUCKET_SLOTS && b->tag[count]; count++) {
                const uint8_t *p = region_at(s, b->item[count]);
                uint64_t hash = item_hash(s, b->item[count]);
                CHECK(item_state(p) == ITEM_LIVE && item_shape(p) != ITEM_FRAGMENT);
                CHECK(page_of(s, b->item[count])->generation == s->generation);
                CHECK(bucket_number(s, hash) == n && bucket_tag(hash) == b->tag[count]);
                if (s->window) CHECK(window_is_published(s, b->item[count]) == window_has_sum(p[0]));
                check_value_lengths(s, b->item[count]);
                c->items++;
                c->payload += (uint64_t)item_key_len(p) + item_value_len(p);
                c->headers += item_body_at(p[0]);
            }
            for (unsigned i = count; i < BUCKET_SLOTS; i++) CHECK(b->tag[i] == 0);
            CHECK(!b->link || count == BUCKET_SLOTS);
            CHECK(count > 0 || b == bucket_at(s, n));
        }
    CHECK(c->items == x->items && c->items == metric_get(&s->metrics.items));
    CHECK(c->payload == metric_get(&s->metrics.bytes_payload));
    CHECK(c->headers == metric_get(&s->metrics.bytes_headers));
}

static void check_slot(const struct store *s, struct census *c, uint32_t item)
{
    const uint8_t *p = region_at(s, item);
    const struct page *page = page_of(s, item);
    if (item_state(p) == ITEM_OPEN) {
        c->holds[page_number(item)]++;
        if (item_shape(p) != ITEM_FRAGMENT) c->opens++;
    }
    if (item_shape(p) == ITEM_FRAGMENT || page->generation != s->generation) return;
    if (item_state(p) == ITEM_DOOMED) CHECK(pin_find(s, item) && pin_find(s, item)->doomed);
    if (s->window && item_state(p) != ITEM_LIVE) CHECK(!window_is_published(s, item));
    if (item_state(p) != ITEM_LIVE) return;
    c->live_heads++;
    if (item_expires_ms(p) && !(s->sweep.walking && s->sweep.page == page_number(item)))
        CHECK(page->expires_s <= item_expires_ms(p) / 1000);
}

static void check_slab_page(const struct store *s, struct census *c, uint32_t number)
{
    const struct page *p = &s->page[number];
    const struct size_class *k = &s->cls[p->cls];
    bool buckets = p->cls == s->class_overflow, current = p->generation == s->generation;
    uint32_t taken = 0, freed = 0;
    CHECK(p->used > 0 && p->used <= k->slots && p->bump_unit <= PAGE_UNITS);
    for (uint32_t unit = 0; unit < p->bump_unit; unit += k->units) {
        const uint8_t *slot = region_at(s, page_offset(number, unit));
        if (buckets ? slot[0] == 0 : item_state(slot) == ITEM_FREE) continue;
        taken++;
        if (!buckets) check_slot(s, c, page_offset(number, unit));
    }
    for (uint32_t unit = p->free_unit; unit != NO_UNIT; freed++) {
        CHECK(unit < p->bump_unit && unit % k->units == 0 && freed <= k->slots);
        const uint8_t *slot = region_at(s, page_offset(number, unit));
        CHECK(item_state(slot) == ITEM_FREE);
        unit = load16(slot + 2);
    }
    CHECK(taken == p->used && taken + freed == p->bump_unit / k->units);
    if (buckets) {
        c->overflow += taken;
        c->bytes_index += PAGE_BYTES;
    } else {
        c->bytes_used += (uint64_t)taken * k->units * UNIT_BYTES;
    }
    if (!current) return;
    c->pages[p->cls]++;
    CHECK((p->group == GROUP_DETACHED) == (s->evacuation.page == number));
    if (p->group == GROUP_DETACHED) return;
    CHECK(p->group == (p->used == k->slots ? GROUP_FULL : p->used * k->scale >> 20));
    c->free_slots[p->cls] += k->slots - p->used;
}

static uint32_t check_pages(const struct store *s, struct census *c)
{
    uint32_t free_pages = 0;
    for (uint32_t n = s->head_pages; n < s->page_count; n++) {
        const struct page *p = &s->page[n];
        if (p->cls == CLASS_FREE) {
            free_pages++;
        } else if (p->cls == CLASS_INDEX) {
            c->bytes_index += PAGE_BYTES;
        } else if (p->cls == CLASS_EVICTION) {
            c->bytes_eviction += PAGE_BYTES;
        } else {
            const struct size_class *k = &s->cls[p->cls];
            CHECK(page_is_slab(s, p));
            if (p->cls != s->class_overflow) c->slot_bytes += (uint64_t)k->slots * k->units * UNIT_BYTES;
            check_slab_page(s, c, n);
        }
    }
    return free_pages;
}

static void check_lists(const struct store *s, const struct census *c)
{
    for (uint32_t i = 0; i < s->class_count; i++) {
        const struct size_class *k = &s->cls[i];
        uint64_t free_slots = 0;
        for (uint32_t g = 0; g < GROUP_COUNT; g++) {
            CHECK((k->list[g] != 0) == (k->nonempty >> g & 1));
            for (uint32_t n = k->list[g], prev = 0; n; prev = n, n = s->page[n].next) {
                CHECK(s->page[n].cls == i && s->page[n].group == g && s->page[n].prev == prev);
                free_slots += k->slots - s->page[n].used;
            }
        }
        CHECK(free_slots == k->free_slots && free_slots == c->free_slots[i]);
        CHECK(s->class_counts[i].pages == c->pages[i]);
    }
}

static void check_pins(const struct store *s, struct census *c)
{
    for (uint32_t h = 0; h <= s->pin_mask; h++)
        for (uint32_t i = s->pin_head[h]; i; i = s->pin[i].next) {
            CHECK(s->pin[i].count > 0);
            CHECK(item_state(region_at(s, s->pin[i].item)) == (s->pin[i].doomed ? ITEM_DOOMED : ITEM_LIVE));
            for (uint32_t at = s->pin[i].item; at; at = item_next(region_at(s, at))) {
                c->holds[page_number(at)]++;
                if (s->pin[i].doomed) c->pinned += s->cls[page_of(s, at)->cls].units * UNIT_BYTES;
            }
            c->pins++;
        }
    CHECK(c->pins == metric_get(&s->metrics.pins));
    CHECK(c->pinned == metric_get(&s->metrics.bytes_pinned));
}

/* Every page of ring and ghosts is found from where it is used: the others are of before a flush. */
static void check_eviction(const struct store *s, const struct census *c)
{
    const struct ring *r = &s->eviction.ring;
    const uint32_t entries = PAGE_BYTES / sizeof(uint32_t), ghosts = PAGE_BYTES / 8;
    uint64_t count = 0, bytes = 0;
    for (uint32_t n = r->head_page; n; n = s->page[n].next, bytes += PAGE_BYTES) {
        CHECK(s->page[n].cls == CLASS_EVICTION && s->page[n].generation == s->generation);
        CHECK((n == r->tail_page) == (s->page[n].next == 0));
        count += (n == r->tail_page ? r->tail : entries) - (n == r->head_page ? r->head : 0);
    }
    CHECK(count == r->count && (r->head_page != 0) == (r->tail_page != 0));
    for (uint32_t i = 0; i < s->page_count / GHOST_SHARE + 1; i++) {
        if (!s->ghost[i]) continue;
        CHECK(s->page[s->ghost[i]].cls == CLASS_EVICTION && s->page[s->ghost[i]].generation == s->generation);
        CHECK(i * ghosts < s->index.buckets);
        bytes += PAGE_BYTES;
    }
    CHECK(s->reclaim_page ? bytes <= c->bytes_eviction : bytes == c->bytes_eviction);
    CHECK(c->bytes_eviction == metric_get(&s->metrics.bytes_eviction) && c->slot_bytes == s->slot_bytes);
}

void store_check(const struct store *s)
{
    uint64_t free_slots[CLASS_COUNT_MAX] = {0}, pages[CLASS_COUNT_MAX] = {0};
    struct census c = {.holds = calloc(s->page_count, sizeof(uint32_t)), .free_slots = free_slots, .pages = pages};
    if (!c.holds) abort();
    check_index(s, &c);
    uint32_t free_pages = check_pages(s, &c);
    check_lists(s, &c);
    check_pins(s, &c);
    check_eviction(s, &c);
    for (uint32_t n = s->head_pages; n < s->page_count; n++)
        if (s->page[n].cls != CLASS_FREE) CHECK(c.holds[n] == s->page[n].holds);
    uint32_t pool = 0;
    for (uint32_t n = s->pool; n; n = s->page[n].next, pool++) CHECK(s->page[n].cls == CLASS_FREE);
    CHECK(pool == free_pages && pool == s->pool_count);
    CHECK(c.live_heads == c.items && c.opens == metric_get(&s->metrics.writes_open));
    CHECK(c.bytes_used == metric_get(&s->metrics.bytes_used) && c.bytes_index == metric_get(&s->metrics.bytes_index));
    CHECK(c.overflow == metric_get(&s->metrics.overflow_buckets));
    CHECK((uint64_t)pool * PAGE_BYTES == metric_get(&s->metrics.bytes_free));
    free(c.holds);
}
