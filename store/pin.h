/* Pins by item: a table from an item's place to its pin, looked at only when the item's page has holds. */
#ifndef POLAR_STORE_PIN_H
#define POLAR_STORE_PIN_H

#include "store/shard.h"

/* Bytes of the head that the pins take. max is rounded up to a power of two by pin_limit. */
uint32_t pin_limit(uint32_t wanted, uint64_t region_bytes);
size_t pin_table_bytes(uint32_t max);
/* Says where the table lies: at mem, aligned to 16. */
void pin_table_place(struct store *s, void *mem, uint32_t max);
/* No pins. */
void pin_table_clear(struct store *s);
/* NULL: not pinned. */
struct store_pin *pin_find(const struct store *s, uint32_t item);

#endif
