#include "store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <rte_prefetch.h>
#include "store/evict.h"
#include "store/ghost.h"
#include "store/index.h"
#include "store/pin.h"
#include "store/region.h"
#include "store/slab.h"
#include "store/warm.h"
#include "store/window.h"
#include "store/write.h"

#define REGION_BYTES_MIN (1u << 20)
#define REGION_BYTES_MAX ((uint64_t)UNIT_BYTES << 32)
#define VALUE_BYTES_MAX (512u << 20)
#define KEY_BYTES_MAX 65535u
#define LEAST_PAGES 8u /* beside the head */
#define ITEM_AHEAD_BYTES 88u /* of an item asked for: header, short key, value of 64 bytes */

static size_t aligned16(size_t n)
{
    return (n + 15) & ~(size_t)15;
}

/* Where line, page descriptors, directories and pins lie: in the head of the region, from its byte `at` on. */
static void head_place(struct store *s, size_t at, bool window, uint32_t pins)
{
    s->window = window ? (struct window_line *)(s->base + at) : NULL;
    if (window) at += WINDOW_HEAD_BYTES;
    size_t pages = s->page_count * sizeof(struct page);
    size_t directory = aligned16(s->page_count * sizeof(uint32_t));
    size_t ghosts = aligned16((s->page_count / GHOST_SHARE + 1) * sizeof(uint32_t));
    uint8_t *from = s->base + at;
    s->page = (struct page *)from;
    s->directory = (uint32_t *)(from + pages);
    s->ghost = (uint32_t *)(from + pages + directory);
    pin_table_place(s, from + pages + directory + ghosts, pins);
    s->head_pages = (uint32_t)((at + pages + directory + ghosts + pin_table_bytes(pins) + PAGE_BYTES - 1) / PAGE_BYTES);
}

static bool config_valid(const struct store_config *c)
{
    return c->memory_limit >= REGION_BYTES_MIN && c->memory_limit <= REGION_BYTES_MAX &&
           c->max_value <= VALUE_BYTES_MAX && c->max_key >= 1 && c->max_key <= KEY_BYTES_MAX &&
           c->eviction <= STORE_EVICT_HYBRID;
}

static void geometry_init(struct store *s, const struct store_config *c, const struct region *r)
{
    s->base = r->base;
    s->region_bytes = r->bytes;
    s->region_page_bytes = r->page_bytes;
    s->region_fd = r->fd;
    s->max_value = c->max_value;
    s->max_key = c->max_key;
    s->page_count = (uint32_t)(s->region_bytes / PAGE_BYTES);
    head_place(s, c->region_path ? WARM_BYTES : 0, c->window, pin_limit(c->pins_max, s->region_bytes));
    evict_configure(s, c->eviction);
}

/* A store in a region that is all zero. */
static int contents_init(struct store *s, const struct store_config *c)
{
    s->generation = 1;
    metric_set(&s->metrics.bytes_limit, s->region_bytes);
    metric_set(&s->metrics.bytes_head, (uint64_t)s->head_pages * PAGE_BYTES);
    if (s->head_pages + LEAST_PAGES > s->page_count) return -EINVAL;
    pin_table_clear(s);
    slab_init(s);
    evict_init(s);
    s->sweep.page = s->head_pages;
    int rc = index_init(s);
    return rc == 0 ? window_begin(s, c) : rc;
}

/* In a file: what was left there, or a new one. */
static int store_open(struct store *s, const struct store_config *c)
{
    struct region r;
    bool there;
    int rc = region_open(&r, c->region_path, c->memory_limit, &there);
    if (rc != 0) return rc;
    geometry_init(s, c, &r);
    s->cold = there ? warm_check(s, c) : "there was none";
    if (!s->cold) {
        warm_take(s);
        geometry_init(s, c, &r);
        warm_in_use(s);
        rc = window_begin(s, c);
    } else {
        rc = region_renew(&r, c->touched);
        if (rc == 0) rc = contents_init(s, c);
        if (rc == 0) warm_begin(s, c);
    }
    if (rc != 0) region_unmap(&r);
    return rc;
}

static int store_init(struct store *s, const struct store_config *c)
{
    struct region r;
    if (c->region_path) return store_open(s, c);
    int rc = region_map(&r, c->memory_limit / PAGE_BYTES * PAGE_BYTES, c->huge_pages, c->touched);
    if (rc != 0) return rc;
    geometry_init(s, c, &r);
    if ((rc = contents_init(s, c)) != 0) region_unmap(&r);
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
    struct store *s = *store;
    if (!s) return;
    struct region r = {.base = s->base, .bytes = s->region_bytes, .fd = s->region_fd};
    region_unmap(&r);
    free(s);
    *store = NULL;
}

void store_park(struct store **store)
{
    if (*store && (*store)->region_fd >= 0) warm_park(*store);
    store_destroy(store);
}

bool store_is_warm(const struct store *s, const char **why)
{
    *why = s->cold;
    return s->region_fd >= 0 && !s->cold;
}

bool store_map_ahead(const struct store *s, size_t *at)
{
    struct region r = {.base = s->base, .bytes = s->region_bytes};
    *at += region_map_ahead(&r, *at);
    return *at < s->region_bytes;
}

void store_region(const struct store *s, void **base, size_t *bytes, size_t *page_bytes)
{
    *base = s->base;
    *bytes = s->region_bytes;
    *page_bytes = s->region_page_bytes;
}

void store_prefetch_bucket(const struct store *s, uint64_t hash)
{
    rte_prefetch0(bucket_at(s, bucket_number(s, hash)));
}

/* The first lines of each item whose tag matches: two, of one in four three. Not by __builtin_prefetch, whose callers gcc
 * takes for functions without effect and leaves out where it does not inline them. */
static inline void prefetch_items(const struct store *s, const struct bucket *b, unsigned bits)
{
    for (; bits; bits &= bits - 1) {
        const uint8_t *p = region_at(s, b->item[__builtin_ctz(bits)]);
        rte_prefetch0(p);
        rte_prefetch0(p + 64);
        rte_prefetch0(p + ITEM_AHEAD_BYTES - 1);
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
    rte_prefetch0(region_at(s, b->link));
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

/* A hit, for the eviction and for who asks when the last one was. */
static inline void item_read(struct store *s, uint32_t item)
{
    uint8_t *p = region_at(s, item);
    item_hit(p);
    if (item_is_tracked(p[0])) item_set_access(p, s->now_ms, true);
}

/* A view of what most items are: one slot, neither expiry nor flags. False: it is another one. */
static inline bool view_bare(const struct store *s, uint32_t item, struct store_value *out)
{
    const uint8_t *p = region_at(s, item);
    uint32_t header = load32(p);
    if (header & (ITEM_SHAPE | ITEM_EXPIRES | ITEM_FLAGS)) return false;
    uint32_t len = header >> 16 & 0x3fffu;
    const uint8_t *data = p + item_body_at(header) + (header >> 8 & 255u);
    *out = (struct store_value){.item = item, .len = len, .data = data, .data_len = len};
    return true;
}

enum store_status store_get(struct store *s, const struct store_key *key, uint64_t now_ms, struct store_value *out)
{
    uint32_t item = write_look(s, key, now_ms);
    if (!item) return STORE_NOT_FOUND;
    uint8_t *p = region_at(s, item);
    if (view_bare(s, item, out)) {
        item_hit(p);
        return STORE_OK;
    }
    if (item_expired(p, now_ms)) {
        write_expire(s, key->hash, item);
        return STORE_NOT_FOUND;
    }
    item_view(s, item, out);
    item_read(s, item);
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
        write_supersede(s, key->hash, item, copy);
        item = copy;
    }
    item_read(s, item);
    item_view(s, item, out);
    out->cas = item_cas(region_at(s, item));
    return STORE_OK;
}

enum store_status store_get_access(struct store *s, const struct store_key *key, uint64_t now_ms,
                                   struct store_value *out, struct store_access *access)
{
    write_begin(s);
    uint32_t item = write_find(s, key, now_ms);
    if (!item) return STORE_NOT_FOUND;
    uint8_t *p = region_at(s, item);
    *access = (struct store_access){.read_before = item_hits(p) > 0};
    if (item_is_tracked(p[0])) {
        uint32_t word = load32(item_access_at(p));
        *access = (struct store_access){.read_before = word & ACCESS_READ,
                                        .known = true,
                                        .idle_s = ((uint32_t)(now_ms / 1000) - word) & ~ACCESS_READ};
    } else {
        uint32_t copy = write_copy(s, item, (p[0] & (ITEM_FLAGS | ITEM_CAS)) | ITEM_TRACKED);
        if (!copy) return STORE_NO_MEMORY;
        write_supersede(s, key->hash, item, copy);
        item = copy;
    }
    item_read(s, item);
    item_view(s, item, out);
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
        item_set_expires(q, expires_ms);
        write_supersede(s, key->hash, item, copy);
        return STORE_OK;
    }
    item_read(s, item);
    window_retract(s, item);
    item_set_expires(p, expires_ms);
    window_publish(s, item);
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
