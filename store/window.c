#include "store/window.h"

#include <errno.h>
#include <sys/random.h>
#include <rte_atomic.h>
#include "store/index.h"
#include "store/move.h"

_Static_assert(WINDOW_UNIT_BYTES == UNIT_BYTES && WINDOW_PAGE_BYTES == PAGE_BYTES, "places");
_Static_assert(WINDOW_PAGE_BUCKETS == BUCKETS_A_PAGE, "the directory");
_Static_assert(WINDOW_ITEM_BYTES_MAX == SLOT_BYTES_MAX, "an item in one piece");
_Static_assert(WINDOW_BUCKET_SLOTS == BUCKET_SLOTS &&
                   offsetof(struct window_bucket, tag) == offsetof(struct bucket, tag) &&
                   offsetof(struct window_bucket, link) == offsetof(struct bucket, link) &&
                   offsetof(struct window_bucket, item) == offsetof(struct bucket, item),
               "a bucket");
_Static_assert((int)WINDOW_ITEM_STATE == ITEM_STATE && (int)WINDOW_ITEM_LIVE == ITEM_LIVE &&
                   (int)WINDOW_ITEM_SHAPE == ITEM_SHAPE && (int)WINDOW_ITEM_PLAIN == ITEM_PLAIN &&
                   (int)WINDOW_ITEM_WIDE == ITEM_WIDE && (int)WINDOW_ITEM_EXPIRES == ITEM_EXPIRES &&
                   (int)WINDOW_ITEM_EXPIRES_S == ITEM_EXPIRES_S && (int)WINDOW_ITEM_EXPIRES_MS == ITEM_EXPIRES_MS &&
                   (int)WINDOW_ITEM_TRACKED == ITEM_TRACKED && (int)WINDOW_ITEM_FLAGS == ITEM_FLAGS &&
                   (int)WINDOW_ITEM_CAS == ITEM_CAS,
               "the first byte of an item");

/* Readers look at any time: one store, after all before it. */
#define LINE_SET(field, value)                                                                                         \
    do {                                                                                                               \
        rte_io_wmb();                                                                                                  \
        __atomic_store_n(&(field), (value), __ATOMIC_RELAXED);                                                         \
    } while (0)

/* Generations do not come again, nor do seeds: one is made of the other by steps that can be undone. */
static uint64_t seed_of(const struct store *s)
{
    uint64_t x = s->window_secret + s->generation;
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

static uint32_t place_of(const struct store *s, const void *p)
{
    return (uint32_t)((size_t)((const uint8_t *)p - s->base) / UNIT_BYTES);
}

int window_begin(struct store *s, const struct store_config *config)
{
    if (!s->window) return 0;
    if (!s->window_secret && getrandom(&s->window_secret, sizeof s->window_secret, 0) != sizeof s->window_secret)
        return -EIO;
    *s->window = (struct window_line){.format = WINDOW_FORMAT,
                                      .seed = seed_of(s),
                                      .now_ms = s->now_ms,
                                      .place = place_of(s, s->window),
                                      .directory = place_of(s, s->directory),
                                      .shard = (uint16_t)config->core,
                                      .shards = (uint16_t)(config->cores ? config->cores : 1),
                                      .buckets = s->index.buckets,
                                      .epoch = s->window->epoch + 1};
    return 0;
}

/* Where its sum lies. */
static uint32_t sum_at(const uint8_t *p)
{
    return (uint32_t)window_sum_at(item_body_at(p[0]) + item_piece_len(p));
}

static uint64_t sum_of(const struct store *s, const uint8_t *p)
{
    return window_sum(s->window->seed, p, item_body_at(p[0]) + item_piece_len(p));
}

static void sum_set(uint8_t *p, uint64_t sum)
{
    __atomic_store_n((uint64_t *)(void *)(p + sum_at(p)), sum, __ATOMIC_RELAXED);
}

void window_publish_item(struct store *s, uint32_t item)
{
    uint8_t *p = region_at(s, item);
    if (!window_has_sum(p[0])) return;
    uint64_t sum = sum_of(s, p);
    rte_io_wmb();
    sum_set(p, sum);
}

void window_retract_item(struct store *s, uint32_t item)
{
    uint8_t *p = region_at(s, item);
    if (!window_has_sum(p[0])) return;
    sum_set(p, 0);
    rte_io_wmb();
    move_restart(s, item); /* what was copied of it may be the sum */
}

bool window_is_published(const struct store *s, uint32_t item)
{
    const uint8_t *p = region_at(s, item);
    return window_has_sum(p[0]) && load64(p + sum_at(p)) == sum_of(s, p);
}

void window_resize(struct store *s, bool shrunk)
{
    if (!s->window) return;
    if (shrunk) LINE_SET(s->window->epoch, s->window->epoch + 1);
    LINE_SET(s->window->buckets, s->index.buckets);
}

void window_flush(struct store *s)
{
    if (s->window) LINE_SET(s->window->seed, seed_of(s));
}

void store_window_tick(struct store *s, uint64_t now_ms)
{
    if (s->window) LINE_SET(s->window->now_ms, now_ms);
}

bool store_window(const struct store *s, void **base, size_t *bytes)
{
    if (!s->window) return false;
    *base = s->window;
    *bytes = s->region_bytes - (size_t)((const uint8_t *)s->window - s->base);
    return true;
}
