#include "store/slab.h"

#include <string.h>
#include "store/item.h"

#define GROUP_SHIFT 20u
#define AHEAD_BYTES_MAX 384u /* beyond these the processor sees a run of lines by itself */
#define CLOSE_CLASSES 2u
#define CLASS_STEP                                                                                                     \
    32u /* above the grain each class is about so much of itself larger than the last, or one slot a page fewer */

static void class_add(struct store *s, uint32_t units)
{
    assert(s->class_count < CLASS_COUNT_MAX);
    struct size_class *c = &s->cls[s->class_count++];
    c->units = units;
    c->slots = PAGE_UNITS / units;
    c->scale = (GROUP_COUNT << GROUP_SHIFT) / c->slots;
    c->ahead = (uint16_t)(units * UNIT_BYTES < AHEAD_BYTES_MAX ? units * UNIT_BYTES : AHEAD_BYTES_MAX);
}

void slab_init(struct store *s)
{
    for (uint32_t units = 1; units <= GRAIN_UNITS_MAX; units++) class_add(s, units);
    for (uint32_t units = GRAIN_UNITS_MAX; units < SLOT_UNITS_MAX;) {
        units = PAGE_UNITS / (PAGE_UNITS / (units + units / CLASS_STEP + 1));
        if (units > SLOT_UNITS_MAX) units = SLOT_UNITS_MAX;
        class_add(s, units);
    }
    uint32_t cls = 0;
    for (uint32_t units = 0; units <= SLOT_UNITS_MAX; units++) {
        if (units > s->cls[cls].units) cls++;
        s->class_of[units] = (uint8_t)cls;
    }
    for (cls = 0; cls < s->class_count; cls++) {
        uint32_t most = cls + CLOSE_CLASSES;
        s->cls[cls].close = (uint16_t)(most < s->class_count ? most : s->class_count - 1);
    }
    s->class_page = s->class_count;
    class_add(s, PAGE_UNITS);
    s->class_overflow = s->class_count;
    class_add(s, 64 / UNIT_BYTES);

    for (uint32_t n = s->page_count - 1; n >= s->head_pages; n--) {
        s->page[n].cls = CLASS_FREE;
        s->page[n].next = s->pool;
        s->pool = n;
    }
    for (uint32_t n = 0; n < s->head_pages; n++) s->page[n].cls = CLASS_HEAD;
    s->pool_count = s->page_count - s->head_pages;
    metric_set(&s->metrics.bytes_free, (uint64_t)s->pool_count * PAGE_BYTES);
}

void slab_forget(struct store *s)
{
    for (uint32_t i = 0; i < s->class_count; i++) {
        s->cls[i].nonempty = 0;
        s->cls[i].free_slots = 0;
        s->class_counts[i].pages = 0;
        memset(s->cls[i].list, 0, sizeof(s->cls[i].list));
    }
    memset(s->open, 0, sizeof(s->open));
}

static bool class_is_index(const struct store *s, uint32_t cls)
{
    return cls == CLASS_INDEX || cls == s->class_overflow;
}

static uint64_t page_slot_bytes(const struct size_class *c)
{
    return (uint64_t)c->slots * c->units * UNIT_BYTES;
}

uint32_t page_acquire(struct store *s, uint32_t cls, uint32_t reserve)
{
    if (s->pool_count <= reserve) return 0;
    uint32_t number = s->pool;
    struct page *p = &s->page[number];
    s->pool = p->next;
    s->pool_count--;
    s->eviction.page_wanted = false;
    metric_sub(&s->metrics.bytes_free, PAGE_BYTES);
    if (cls < CLASS_COUNT_MAX) s->class_counts[cls].pages++;
    if (cls < s->class_overflow) {
        s->slot_bytes += page_slot_bytes(&s->cls[cls]);
        s->fresh_bytes += page_slot_bytes(&s->cls[cls]);
    }
    if (cls == CLASS_EVICTION) metric_add(&s->metrics.bytes_eviction, PAGE_BYTES);
    *p = (struct page){.generation = s->generation,
                       .expires_s = EXPIRES_NEVER,
                       .free_unit = NO_UNIT,
                       .cls = (uint8_t)cls,
                       .group = GROUP_DETACHED};
    if (class_is_index(s, cls)) metric_add(&s->metrics.bytes_index, PAGE_BYTES);
    return number;
}

/* Whether each of its slots was taken once. */
static bool page_was_full(const struct size_class *c, const struct page *p)
{
    return p->bump_unit + c->units > PAGE_UNITS;
}

void page_release(struct store *s, uint32_t number)
{
    struct page *p = &s->page[number];
    assert(p->holds == 0);
    if (page_is_slab(s, p) && p->generation == s->generation) s->class_counts[p->cls].pages--;
    if (class_is_index(s, p->cls)) {
        metric_sub(&s->metrics.bytes_index, PAGE_BYTES);
        if (p->cls == s->class_overflow) metric_sub(&s->metrics.overflow_buckets, p->used);
    } else if (p->cls == CLASS_EVICTION) {
        metric_sub(&s->metrics.bytes_eviction, PAGE_BYTES);
    } else {
        s->slot_bytes -= page_slot_bytes(&s->cls[p->cls]);
        s->fresh_bytes -= page_slot_bytes(&s->cls[p->cls]) - (uint64_t)p->bump_unit * UNIT_BYTES;
        metric_sub(&s->metrics.bytes_used, (uint64_t)p->used * s->cls[p->cls].units * UNIT_BYTES);
    }
    if (page_is_slab(s, p) && !page_was_full(&s->cls[p->cls], p)) s->cls[p->cls].growing = false;
    if (s->evacuation.page == number) s->evacuation.page = 0;
    if (s->sweep.walking && s->sweep.page == number) s->sweep.walking = false;
    p->cls = CLASS_FREE;
    p->next = s->pool;
    s->pool = number;
    s->pool_count++;
    metric_add(&s->metrics.bytes_free, PAGE_BYTES);
}

static uint32_t page_group(const struct size_class *c, const struct page *p)
{
    return p->used == c->slots ? GROUP_FULL : p->used * c->scale >> GROUP_SHIFT;
}

static void list_add(struct store *s, struct size_class *c, uint32_t number, uint32_t group)
{
    struct page *p = &s->page[number];
    p->group = (uint8_t)group;
    if (group == GROUP_FULL) return;
    p->prev = 0;
    p->next = c->list[group];
    if (p->next) s->page[p->next].prev = number;
    c->list[group] = number;
    if (!c->nonempty) s->open[p->cls / 64] |= UINT64_C(1) << p->cls % 64;
    c->nonempty |= 1u << group;
}

static void list_remove(struct store *s, struct size_class *c, uint32_t number)
{
    struct page *p = &s->page[number];
    if (p->group == GROUP_FULL) return;
    if (p->next) s->page[p->next].prev = p->prev;
    if (p->prev) {
        s->page[p->prev].next = p->next;
    } else {
        c->list[p->group] = p->next;
        if (!p->next) c->nonempty &= ~(1u << p->group);
        if (!c->nonempty) s->open[p->cls / 64] &= ~(UINT64_C(1) << p->cls % 64);
    }
}

void page_attach(struct store *s, uint32_t number)
{
    struct page *p = &s->page[number];
    struct size_class *c = &s->cls[p->cls];
    c->free_slots += c->slots - p->used;
    list_add(s, c, number, page_group(c, p));
}

void page_detach(struct store *s, uint32_t number)
{
    struct page *p = &s->page[number];
    struct size_class *c = &s->cls[p->cls];
    list_remove(s, c, number);
    c->free_slots -= c->slots - p->used;
    p->group = GROUP_DETACHED;
}

static void page_regroup(struct store *s, struct size_class *c, uint32_t number)
{
    struct page *p = &s->page[number];
    uint32_t group = page_group(c, p);
    if (group == p->group) return;
    list_remove(s, c, number);
    list_add(s, c, number, group);
}

static void count_slot(struct store *s, uint32_t cls, uint32_t units, bool taken)
{
    uint64_t *metric = &s->metrics.bytes_used;
    uint64_t n = (uint64_t)units * UNIT_BYTES;
    if (cls == s->class_overflow) {
        metric = &s->metrics.overflow_buckets;
        n = 1;
    }
    metric_add(metric, taken ? n : (uint64_t)0 - n);
}

/* The page of the class whose slot is taken next, or was just now; the class has one. */
static inline uint32_t fullest_page(const struct size_class *c)
{
    return c->list[31 - (unsigned)__builtin_clz(c->nonempty)];
}

/*
 * Asks for the lines of the slot that will be taken next. The link in its first bytes and the lines that its item will
 * be written to are a miss each otherwise.
 */
static inline void slot_prefetch(const struct store *s, const struct size_class *c)
{
    if (!c->nonempty) return;
    uint32_t number = fullest_page(c);
    const struct page *p = &s->page[number];
    const uint8_t *slot = region_at(s, page_offset(number, p->free_unit != NO_UNIT ? p->free_unit : p->bump_unit));
    for (uint32_t at = 0; at < c->ahead; at += 64) __builtin_prefetch(slot + at, 1);
}

uint32_t slab_take(struct store *s, uint32_t cls)
{
    struct size_class *c = &s->cls[cls];
    if (!c->nonempty) return 0;
    uint32_t number = fullest_page(c);
    struct page *p = &s->page[number];
    uint32_t unit = p->free_unit;
    if (unit != NO_UNIT) {
        p->free_unit = load16(region_at(s, page_offset(number, unit)) + 2);
    } else {
        unit = p->bump_unit;
        p->bump_unit = (uint16_t)(unit + c->units);
        if (page_was_full(c, p)) c->growing = false;
        if (cls < s->class_overflow) s->fresh_bytes -= (uint64_t)c->units * UNIT_BYTES;
    }
    p->used++;
    c->free_slots--;
    c->lent = 0;
    page_regroup(s, c, number);
    count_slot(s, cls, c->units, true);
    slot_prefetch(s, c);
    return page_offset(number, unit);
}

uint32_t slab_take_between(struct store *s, uint32_t least, uint32_t most)
{
    for (uint32_t word = least / 64; word <= most / 64; word++) {
        uint64_t bits = s->open[word] & (word == least / 64 ? UINT64_MAX << least % 64 : UINT64_MAX);
        if (!bits) continue;
        uint32_t cls = word * 64 + (uint32_t)__builtin_ctzll(bits);
        return cls <= most ? slab_take(s, cls) : 0;
    }
    return 0;
}

uint32_t slab_borrow(struct store *s, uint32_t cls)
{
    struct size_class *c = &s->cls[cls];
    if (slab_in_want(c) || cls >= s->class_page) return 0;
    uint32_t slot = slab_take_between(s, cls, c->close);
    if (slot) c->lent++;
    return slot;
}

uint32_t slab_alloc(struct store *s, uint32_t cls, uint32_t reserve)
{
    uint32_t offset = slab_take(s, cls);
    if (offset) return offset;
    uint32_t number = page_acquire(s, cls, reserve);
    if (!number) return 0;
    page_attach(s, number);
    s->cls[cls].growing = true;
    return slab_take(s, cls);
}

void slab_free(struct store *s, uint32_t offset)
{
    uint32_t number = page_number(offset);
    struct page *p = &s->page[number];
    struct size_class *c = &s->cls[p->cls];
    uint8_t *slot = region_at(s, offset);
    assert(p->generation == s->generation && p->used > 0);
    save16(slot, 0);
    save16(slot + 2, p->free_unit);
    p->free_unit = (uint16_t)(offset & (PAGE_UNITS - 1));
    p->used--;
    count_slot(s, p->cls, c->units, false);
    if (p->group == GROUP_DETACHED) {
        if (p->used == 0) page_release(s, number);
        return;
    }
    c->free_slots++;
    if (p->used > 0) {
        page_regroup(s, c, number);
        return;
    }
    list_remove(s, c, number);
    c->free_slots -= c->slots;
    page_release(s, number);
}
