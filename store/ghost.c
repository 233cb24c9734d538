#include "store/ghost.h"

#include "store/index.h"
#include "store/slab.h"

#define EACH_BYTE UINT64_C(0x0101010101010101)

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
    uint64_t *ghosts = ghost_word(s, bucket);
    *ghosts = *ghosts << 8 | ghost_tag(hash);
}

bool ghost_take(struct store *s, uint64_t hash)
{
    uint64_t *ghosts = ghost_word(s, bucket_number(s, hash));
    if (!ghosts) return false;
    uint64_t other = *ghosts ^ ghost_tag(hash) * EACH_BYTE;
    uint64_t zero = (other - EACH_BYTE) & ~other & EACH_BYTE << 7; /* its lowest bit is exact */
    if (!zero) return false;
    *ghosts &= ~(UINT64_C(255) << (__builtin_ctzll(zero) & 56));
    return true;
}

void ghost_prefetch(const struct store *s, uint64_t hash)
{
    const uint64_t *ghosts = ghost_word(s, bucket_number(s, hash));
    if (ghosts) __builtin_prefetch(ghosts);
}

void ghost_split(struct store *s, uint32_t from, uint32_t to)
{
    const uint64_t *one = ghost_word(s, from);
    uint64_t *both = ghost_word(s, to);
    if (both) *both = one ? *one : 0;
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
