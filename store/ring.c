#include "store/ring.h"

#include "store/slab.h"

#define RING_ENTRIES (PAGE_BYTES / sizeof(uint32_t))

static uint32_t *ring_at(const struct store *s, uint32_t page)
{
    return (uint32_t *)region_at(s, page_offset(page, 0));
}

bool ring_append(struct store *s, struct ring *r, uint32_t entry)
{
    if (!r->tail_page || r->tail == RING_ENTRIES) {
        uint32_t page = page_acquire(s, CLASS_EVICTION, INDEX_RESERVE_PAGES);
        if (!page) return false;
        s->page[page].next = 0;
        if (r->tail_page) {
            s->page[r->tail_page].next = page;
        } else {
            r->head_page = page;
            r->head = 0;
        }
        r->tail_page = page;
        r->tail = 0;
    }
    ring_at(s, r->tail_page)[r->tail++] = entry;
    r->count++;
    return true;
}

uint32_t ring_pop(struct store *s, struct ring *r)
{
    assert(r->count > 0);
    uint32_t entry = ring_at(s, r->head_page)[r->head++];
    r->count--;
    if (r->head < RING_ENTRIES) return entry;
    uint32_t page = r->head_page;
    r->head_page = s->page[page].next;
    r->head = 0;
    if (!r->head_page) r->tail_page = 0;
    page_release(s, page);
    return entry;
}

bool ring_peek(const struct store *s, const struct ring *r, uint32_t ahead, uint32_t *entry)
{
    if (ahead >= r->count || r->head + ahead >= RING_ENTRIES) return false;
    *entry = ring_at(s, r->head_page)[r->head + ahead];
    return true;
}
