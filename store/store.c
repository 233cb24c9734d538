#include "store/store.h"

#include <errno.h>
#include <stdlib.h>
#include "store/index.h"
#include "store/pin.h"
#include "store/region.h"
#include "store/slab.h"
#include "store/write.h"

#define REGION_BYTES_MIN (1u << 20)
#define REGION_BYTES_MAX ((uint64_t)UNIT_BYTES << 32)
#define VALUE_BYTES_MAX (512u << 20)
#define KEY_BYTES_MAX 65535u
#define LOW_WATER_SHARE 128u /* of all pages */
#define LOW_WATER_PAGES 64u  /* and so many, of which each size may want one at a time; but no more than an eighth */
#define PAGES_MIN 8u

static size_t aligned16(size_t n)
{
    return (n + 15) & ~(size_t)15;
}

/* Puts page descriptors, directory and pins into the head of the region, which is all zero. */
static void head_init(struct store *s, uint32_t pins)
{
    size_t pages = s->page_count * sizeof(struct page);
    size_t directory = aligned16(s->page_count * sizeof(uint32_t));
    s->page = (struct page *)s->base;
    s->directory = (uint32_t *)(s->base + pages);
    pin_table_init(s, s->base + pages + directory, pins);
    s->head_pages = (uint32_t)((pages + directory + pin_table_bytes(pins) + PAGE_BYTES - 1) / PAGE_BYTES);
}

static bool config_valid(const struct store_config *c)
{
    return c->memory_limit >= REGION_BYTES_MIN && c->memory_limit <= REGION_BYTES_MAX &&
           c->max_value <= VALUE_BYTES_MAX && c->max_key >= 1 && c->max_key <= KEY_BYTES_MAX;
}

static int store_init(struct store *s, const struct store_config *c)
{
    size_t step = c->huge_pages ? region_page_bytes(true) : PAGE_BYTES;
    s->region_bytes = c->memory_limit / step * step;
    if (s->region_bytes == 0) return -EINVAL;
    int rc = region_map(&s->base, s->region_bytes, c->huge_pages);
    if (rc != 0) return rc;
    s->max_value = c->max_value;
    s->max_key = c->max_key;
    s->page_count = (uint32_t)(s->region_bytes / PAGE_BYTES);
    s->low_water_pages =
        s->page_count / LOW_WATER_SHARE + (s->page_count < 8 * LOW_WATER_PAGES ? s->page_count / 8 : LOW_WATER_PAGES);
    s->generation = 1;
    metric_set(&s->metrics.bytes_limit, s->region_bytes);
    head_init(s, pin_limit(c->pins_max, s->region_bytes));
    rc = -EINVAL;
    if (s->head_pages + PAGES_MIN > s->page_count) goto unmap;
    slab_init(s);
    s->sweep.page = s->head_pages;
    if ((rc = index_init(s)) != 0) goto unmap;
    if (!c->on_region) return 0;
    if ((rc = c->on_region(c->on_region_arg, s->base, s->region_bytes, region_page_bytes(c->huge_pages))) == 0)
        return 0;
unmap:
    region_unmap(s->base, s->region_bytes);
    return rc;
}

int store_create(struct store **out, const struct store_config *config)
{
    if (!config_valid(config)) return -EINVAL;
    struct store *s = aligned_alloc(alignof(struct store), sizeof(*s));
    if (!s) return -ENOMEM;
    memset(s, 0, sizeof(*s));
    int rc = store_init(s, config);
    if (rc != 0) {
        free(s);
        return rc;
    }
    *out = s;
    return 0;
}

void store_destroy(struct store **store)
{
    if (!*store) return;
    region_unmap((*store)->base, (*store)->region_bytes);
    free(*store);
    *store = NULL;
}

void store_prefetch_bucket(const struct store *s, uint64_t hash)
{
    __builtin_prefetch(bucket_at(s, bucket_number(s, hash)));
}

/* Two lines of each item whose tag matches. */
static inline void prefetch_items(const struct store *s, const struct bucket *b, unsigned bits)
{
    for (; bits; bits &= bits - 1) {
        const uint8_t *p = region_at(s, b->item[__builtin_ctz(bits)]);
        __builtin_prefetch(p);
        __builtin_prefetch(p + 64);
    }
}

void store_prefetch_item(struct store *s, uint64_t hash)
{
    const struct bucket *b = bucket_at(s, bucket_number(s, hash));
    uint8_t tag = bucket_tag(hash);
    unsigned bits = bucket_match(b, tag);
    prefetch_items(s, b, bits);
    if (bits || !b->link) return;
    struct look_again *l = &s->look_again;
    if (l->count == LOOK_AGAIN_MAX) return;
    __builtin_prefetch(region_at(s, b->link));
    l->link[l->count] = b->link;
    l->tag[l->count++] = tag;
}

void prefetch_look_again(struct store *s)
{
    struct look_again *l = &s->look_again;
    const struct bucket *b = (const struct bucket *)region_at(s, l->link[l->done]);
    prefetch_items(s, b, bucket_match(b, l->tag[l->done]));
    if (++l->done == l->count) l->done = l->count = 0;
}

enum store_status store_get(struct store *s, const struct store_key *key, uint64_t now_ms, struct store_value *out)
{
    uint32_t item = write_find(s, key, now_ms);
    if (!item) return STORE_NOT_FOUND;
    item_view(s, item, out);
    return STORE_OK;
}

enum store_status store_gets(struct store *s, const struct store_key *key, uint64_t now_ms, struct store_value *out)
{
    write_begin(s);
    uint32_t item = write_find(s, key, now_ms);
    if (!item) return STORE_NOT_FOUND;
    uint32_t bits = *region_at(s, item);
    if (!(bits & ITEM_CAS)) {
        uint32_t copy = write_copy(s, item, (bits & (ITEM_EXPIRES | ITEM_FLAGS)) | ITEM_CAS);
        if (!copy) return STORE_NO_MEMORY;
        write_give_cas(s, copy);
        write_supersede(s, key->hash, item, copy);
        item = copy;
    }
    item_view(s, item, out);
    out->cas = item_cas(region_at(s, item));
    return STORE_OK;
}

enum store_status store_delete(struct store *s, const struct store_key *key, uint64_t now_ms)
{
    write_begin(s);
    uint32_t item = write_find(s, key, now_ms);
    if (!item) return STORE_NOT_FOUND;
    write_remove(s, key->hash, item);
    write_background(s);
    return STORE_OK;
}

enum store_status store_touch(struct store *s, const struct store_key *key, uint64_t expires_ms, uint64_t now_ms)
{
    write_begin(s);
    uint32_t item = write_find(s, key, now_ms);
    if (!item) return STORE_NOT_FOUND;
    if (expires_ms && expires_ms <= now_ms) {
        write_remove(s, key->hash, item);
        return STORE_OK;
    }
    uint8_t *p = region_at(s, item);
    uint32_t bits = p[0];
    if (!item_expiry_fits(bits, expires_ms)) {
        struct store_meta meta = {.flags = 0, .expires_ms = expires_ms};
        uint32_t copy = write_copy(s, item, item_fields_for(&meta, false) | (bits & (ITEM_FLAGS | ITEM_CAS)));
        if (!copy) return STORE_NO_MEMORY;
        uint8_t *q = region_at(s, copy);
        if (bits & ITEM_CAS) save64(item_cas_at(q), item_cas(p));
        item_set_expires(q, expires_ms);
        write_supersede(s, key->hash, item, copy);
        return STORE_OK;
    }
    item_set_expires(p, expires_ms);
    item_note_expiry(s, item, expires_ms);
    return STORE_OK;
}

uint64_t store_count(const struct store *s)
{
    return metric_get(&s->metrics.items);
}
const struct store_metrics *store_metrics(const struct store *s)
{
    return &s->metrics;
}
