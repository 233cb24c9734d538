/* The one contiguous mapping that holds a shard's items, index and bookkeeping. Control thread. */
#ifndef POLAR_STORE_REGION_H
#define POLAR_STORE_REGION_H

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

/* Maps bytes (a multiple of the page size) aligned to 2 MiB and touches every page. 0 or -ENOMEM. */
int region_map(uint8_t **base, size_t bytes, bool huge_pages);
void region_unmap(uint8_t *base, size_t bytes);
size_t region_page_bytes(bool huge_pages);

#endif
