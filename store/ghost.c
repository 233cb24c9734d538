#include "store/ghost.h"

#include "store/index.h"
#include "store/slab.h"

#define GHOSTS_A_PAGE (PAGE_BYTES / 8u)
#define EACH_BYTE UINT64_C(0x0101010101010101)

static inline uint32_t *ghost_page(const struct store *s, uint32_t bucket)
{
    return &s->ghost[bucket / GHOSTS_A_PAGE];
}

static inline uint64_t *ghost_at(const struct store *s, uint32_t page, uint32_t bucket)
{
    return (uint64_t *)region_at(s, page_offset(page, 0)) + bucket % GHOSTS_A_PAGE;
}

/* Other bits than those that choose the bucket and those of its tags. */
static inline uint64_t ghost_tag(uint64_t hash)
{
    uint64_t tag = hash >> 48 & 255u;
    return tag ? tag : 1;
}

void ghost_add(struct store *s, uint64_t hash)
{
    uint32_t bucket = bucket_number(s, hash), *page = ghost_page(s, bucket);
    if (!*page) {
        *page = page_acquire(s, CLASS_EVICTION, INDEX_RESERVE_PAGES);
        if (!*page) return;
        memset(region_at(s, page_offset(*page, 0)), 0, PAGE_BYTES);
    }
    uint64_t *ghosts = ghost_at(s, *page, bucket);
    *ghosts = *ghosts << 8 | ghost_tag(hash);
}

bool ghost_take(struct store *s, uint64_t hash)
{
    uint32_t bucket = bucket_number(s, hash), page = *ghost_page(s, bucket);
    if (!page) return false;
    uint64_t *ghosts = ghost_at(s, page, bucket);
    uint64_t other = *ghosts ^ ghost_tag(hash) * EACH_BYTE;
    uint64_t zero = (other - EACH_BYTE) & ~other & EACH_BYTE << 7; /* its lowest bit is exact */
    if (!zero) return false;
    *ghosts &= ~(UINT64_C(255) << (__builtin_ctzll(zero) & 56));
    return true;
}

void ghost_prefetch(const struct store *s, uint64_t hash)
{
    uint32_t bucket = bucket_number(s, hash), page = *ghost_page(s, bucket);
    if (page) __builtin_prefetch(ghost_at(s, page, bucket));
}

void ghost_split(struct store *s, uint32_t from, uint32_t to)
{
    uint32_t page = *ghost_page(s, from), to_page = *ghost_page(s, to);
    if (to_page) *ghost_at(s, to_page, to) = page ? *ghost_at(s, page, from) : 0;
}

void ghost_merge(struct store *s, uint32_t removed)
{
    uint32_t *page = ghost_page(s, removed);
    if (!*page || removed % GHOSTS_A_PAGE != 0) return;
    page_release(s, *page);
    *page = 0;
}

void ghost_forget(struct store *s, uint32_t buckets)
{
    memset(s->ghost, 0, (buckets / GHOSTS_A_PAGE + 1) * sizeof(*s->ghost));
}
