#include "store/warm.h"

#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>
#include "store/evacuate.h"
#include "store/index.h"
#include "store/item.h"
#include "store/pin.h"
#include "store/slab.h"

#define VERSION 1u /* of what the files behind store_layout_id do not say */
#define IMAGE_AT 256u
#define STATE_CLEAN 0x6e61656c63u
#define STATE_IN_USE 0x65737565u

static const uint8_t magic[8] = "POLARREG";

/* The first bytes of the region. */
struct warm_header {
    uint8_t magic[8];
    uint64_t layout_id;
    uint32_t version;
    uint32_t image_bytes;
    uint64_t region_bytes;
    uint32_t core, cores;
    uint32_t pins_max;
    uint32_t head_pages;
    uint64_t state;
    uint64_t image_sum; /* of struct store */
    uint64_t head_sum;  /* of descriptors and directories */
    uint64_t index_sum; /* of all pages of buckets, ghosts and rings */
    uint64_t header_sum;
};
_Static_assert(sizeof(struct warm_header) <= IMAGE_AT, "the image stands behind it");
_Static_assert(IMAGE_AT + sizeof(struct store) <= WARM_BYTES, "one page holds both");

static struct warm_header *header_of(const struct store *s)
{
    return (struct warm_header *)(void *)s->base;
}

static struct store *image_of(const struct store *s)
{
    return (struct store *)(void *)(s->base + IMAGE_AT);
}

static uint64_t header_sum(const struct warm_header *h)
{
    return XXH3_64bits(h, offsetof(struct warm_header, header_sum));
}

static void header_write(struct store *s, uint64_t state)
{
    struct warm_header *h = header_of(s);
    h->state = state;
    h->header_sum = header_sum(h);
}

/* Between the first page and the pins. */
static uint64_t head_sum(const struct store *s)
{
    const uint8_t *from = s->base + WARM_BYTES;
    return XXH3_64bits(from, (size_t)((const uint8_t *)s->pin - from));
}

static uint64_t index_sum(const struct store *s, uint32_t class_overflow)
{
    XXH3_state_t *state = XXH3_createState();
    if (!state) abort();
    XXH3_64bits_reset(state);
    for (uint32_t n = s->head_pages; n < s->page_count; n++) {
        uint32_t cls = s->page[n].cls;
        if (cls == CLASS_INDEX || cls == CLASS_EVICTION || cls == class_overflow)
            XXH3_64bits_update(state, region_at(s, page_offset(n, 0)), PAGE_BYTES);
    }
    uint64_t sum = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    return sum;
}

const char *warm_check(const struct store *s, const struct store_config *config)
{
    const struct warm_header *h = header_of(s);
    if (memcmp(h->magic, magic, sizeof(magic)) != 0) return "it is no region";
    if (h->header_sum != header_sum(h)) return "its header is damaged";
    if (h->state != STATE_CLEAN) return "the server that had it did not end cleanly";
    if (h->layout_id != store_layout_id || h->version != VERSION || h->image_bytes != sizeof(struct store))
        return "it is of another build's layout";
    if (h->region_bytes != s->region_bytes || h->core != config->core || h->cores != config->cores)
        return "memory-limit or cores were others";
    if (h->pins_max != s->pins_max || h->head_pages != s->head_pages) return "its head is divided otherwise";
    if (h->image_sum != XXH3_64bits(image_of(s), sizeof(struct store))) return "its bookkeeping is damaged";
    if ((image_of(s)->window != NULL) != config->window) return "rdma-onesided was another";
    if (h->head_sum != head_sum(s)) return "its descriptors are damaged";
    return h->index_sum == index_sum(s, image_of(s)->class_overflow) ? NULL : "its index is damaged";
}

/* Gauges go on, counters and maxima are of this process. */
static void metrics_take(struct store_metrics *m)
{
    for (size_t i = 0; i < store_metric_row_count; i++)
        if (store_metric_rows[i].kind != METRIC_GAUGE)
            metric_set((uint64_t *)(void *)((uint8_t *)m + store_metric_rows[i].offset), 0);
}

void warm_take(struct store *s)
{
    memcpy(s, image_of(s), sizeof(*s));
    s->cold = NULL;
    s->look_again = (struct look_again){0};
    metrics_take(&s->metrics);
    metric_set(&s->metrics.pins, 0);
}

void warm_in_use(struct store *s)
{
    pin_table_clear(s);
    header_write(s, STATE_IN_USE);
}

void warm_begin(struct store *s, const struct store_config *config)
{
    *header_of(s) = (struct warm_header){.layout_id = store_layout_id,
                                         .version = VERSION,
                                         .image_bytes = sizeof(struct store),
                                         .region_bytes = s->region_bytes,
                                         .core = config->core,
                                         .cores = config->cores,
                                         .pins_max = s->pins_max,
                                         .head_pages = s->head_pages};
    memcpy(header_of(s)->magic, magic, sizeof(magic));
    header_write(s, STATE_IN_USE);
}

static void pins_drop(struct store *s)
{
    for (uint32_t h = 0; h <= s->pin_mask; h++)
        while (s->pin_head[h]) {
            struct store_pin *pin = &s->pin[s->pin_head[h]];
            pin->count = 1;
            store_unpin(s, pin);
        }
}

/* Without pins a page is held by open writes alone. */
static void open_writes_drop(struct store *s, uint32_t number)
{
    struct page *p = &s->page[number];
    uint32_t units = s->cls[p->cls].units; /* the page goes with its last item */
    for (uint32_t unit = 0; p->holds > 0 && unit < p->bump_unit; unit += units) {
        uint32_t item = page_offset(number, unit);
        const uint8_t *slot = region_at(s, item);
        if (item_state(slot) != ITEM_OPEN || item_shape(slot) == ITEM_FRAGMENT) continue;
        item_unhold(s, item);
        item_free(s, item);
    }
}

void warm_park(struct store *s)
{
    struct warm_header *h = header_of(s);
    evacuate_stop(s);
    pins_drop(s);
    for (uint32_t n = s->head_pages; n < s->page_count; n++)
        if (page_is_slab(s, &s->page[n])) open_writes_drop(s, n);
    metric_set(&s->metrics.writes_open, 0);
    memcpy(image_of(s), s, sizeof(*s));
    h->image_sum = XXH3_64bits(image_of(s), sizeof(*s));
    h->head_sum = head_sum(s);
    h->index_sum = index_sum(s, s->class_overflow);
    header_write(s, STATE_CLEAN);
}
