#include "store/classes.h"

#include "store/shard.h"

_Static_assert(STORE_CLASSES_MAX >= CLASS_COUNT_MAX, "room for all");

/* Free slots of the page that is being emptied: it is in no list. */
static uint64_t detached_free(const struct store *s, uint32_t cls)
{
    const struct page *p = &s->page[s->evacuation.page];
    return s->evacuation.page && p->cls == cls ? s->cls[cls].slots - p->used : 0;
}

unsigned store_classes(const struct store *s, struct store_class out[static STORE_CLASSES_MAX])
{
    for (uint32_t i = 0; i < s->class_overflow; i++) {
        const struct size_class *c = &s->cls[i];
        out[i] = (struct store_class){.slot_bytes = c->units * UNIT_BYTES,
                                      .slots = c->slots,
                                      .pages = c->pages,
                                      .evicted = c->evicted,
                                      .refused = c->refused};
        out[i].used = c->pages * c->slots - c->free_slots - detached_free(s, i);
    }
    return s->class_overflow;
}
