#include "store/pin.h"

#include "store/flush.h"
#include "store/item.h"

#define PINS_LEAST 64u
#define PINS_MOST (1u << 20)
#define PINS_DEFAULT_MOST 65536u
#define BYTES_A_PIN 8192u /* by default one pin for so much of the region, which costs it two thousandths */
#define PINS_A_CHAIN 2u

uint32_t pin_limit(uint32_t wanted, uint64_t region_bytes)
{
    uint64_t max = wanted;
    if (!max) {
        max = region_bytes / BYTES_A_PIN;
        if (max > PINS_DEFAULT_MOST) max = PINS_DEFAULT_MOST;
    }
    if (max < PINS_LEAST) max = PINS_LEAST;
    if (max > PINS_MOST) max = PINS_MOST;
    uint32_t power = PINS_LEAST;
    while (power < max) power *= 2;
    return power;
}

size_t pin_table_bytes(uint32_t max)
{
    return (max + 1) * sizeof(struct store_pin) + max / PINS_A_CHAIN * sizeof(uint32_t);
}

void pin_table_place(struct store *s, void *mem, uint32_t max)
{
    s->pin = mem;
    s->pin_head = (uint32_t *)(s->pin + max + 1);
    s->pins_max = max;
    s->pin_mask = max / PINS_A_CHAIN - 1;
}

void pin_table_clear(struct store *s)
{
    memset(s->pin, 0, pin_table_bytes(s->pins_max));
    for (uint32_t i = 1; i < s->pins_max; i++) s->pin[i].next = i + 1;
    s->pin_free = 1;
}

static inline uint32_t *pin_chain(const struct store *s, uint32_t item)
{
    return &s->pin_head[(item * 0x9e3779b1u >> 8) & s->pin_mask];
}

struct store_pin *pin_find(const struct store *s, uint32_t item)
{
    for (uint32_t i = *pin_chain(s, item); i; i = s->pin[i].next)
        if (s->pin[i].item == item) return &s->pin[i];
    return NULL;
}

static void mark_fragments(struct store *s, uint32_t item, bool held)
{
    for (uint32_t at = item_next(region_at(s, item)); at; at = item_next(region_at(s, at))) {
        uint8_t *p = region_at(s, at);
        p[0] = (uint8_t)(held ? p[0] | ITEM_HELD : p[0] & ~ITEM_HELD);
    }
}

struct store_pin *store_pin(struct store *s, uint32_t item)
{
    struct store_pin *pin = page_of(s, item)->holds ? pin_find(s, item) : NULL;
    if (pin) {
        pin->count++;
        return pin;
    }
    if (!s->pin_free) {
        metric_add(&s->metrics.pins_refused, 1);
        return NULL;
    }
    uint32_t *head = pin_chain(s, item);
    uint32_t i = s->pin_free;
    pin = &s->pin[i];
    s->pin_free = pin->next;
    *pin = (struct store_pin){.item = item, .next = *head, .count = 1};
    *head = i;
    item_hold(s, item);
    if (item_shape(region_at(s, item)) == ITEM_CHAIN) mark_fragments(s, item, true);
    metric_add(&s->metrics.pins, 1);
    return pin;
}

void store_pin_ref(struct store_pin *pin)
{
    assert(pin->count > 0);
    pin->count++;
}

static void pin_remove(struct store *s, struct store_pin *pin)
{
    uint32_t i = (uint32_t)(pin - s->pin);
    uint32_t *link = pin_chain(s, pin->item);
    while (*link != i) link = &s->pin[*link].next;
    *link = pin->next;
    pin->next = s->pin_free;
    pin->count = 0;
    s->pin_free = i;
    metric_sub(&s->metrics.pins, 1);
}

void store_unpin(struct store *s, struct store_pin *pin)
{
    assert(pin->count > 0);
    if (--pin->count > 0) return;
    uint32_t item = pin->item;
    page_settle(s, page_number(item)); /* after a flush it is known only now whether the item is doomed */
    bool doomed = pin->doomed;
    item_unhold(s, item);
    if (item_shape(region_at(s, item)) == ITEM_CHAIN) mark_fragments(s, item, false);
    pin_remove(s, pin);
    if (doomed) item_free_doomed(s, item);
}
