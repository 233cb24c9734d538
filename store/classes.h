/* What the size classes hold, for statistics. Owner's core. */
#ifndef POLAR_STORE_CLASSES_H
#define POLAR_STORE_CLASSES_H

#include "store/store.h"

#define STORE_CLASSES_MAX 144u

struct store_class {
    uint32_t slot_bytes;
    uint32_t slots; /* of a page */
    uint64_t pages;
    uint64_t used;             /* slots: an item each; one over a page takes several */
    uint64_t evicted, refused; /* items, slots: ever */
};

/* Fills in all classes, with pages or not, by their sizes. Returns how many. */
unsigned store_classes(const struct store *store, struct store_class out[static STORE_CLASSES_MAX]);

#endif
