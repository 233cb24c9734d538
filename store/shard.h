/*
 * The inside of one shard's store. The region is cut into pages of 64 KiB:
 *
 *     page 0..h-1   the head: page descriptors, the directories of index and ghosts, the pins
 *     the others    free (in the pool), a page of index buckets, of the ring, of ghosts or ages, or cut into equal slots of one
 *                   size class
 *
 * A place in the region is a 32-bit offset in units of 8 bytes. 0 is nowhere, for the head lies there.
 */
#ifndef POLAR_STORE_SHARD_H
#define POLAR_STORE_SHARD_H

#include <assert.h>
#include <stdalign.h>
#include "base/window.h"
#include "store/store.h"

#define UNIT_BYTES 8u
#define PAGE_BYTES 65536u
#define PAGE_UNITS (PAGE_BYTES / UNIT_BYTES)
#define PAGE_SHIFT_UNITS 13u /* offset >> this: the page's number */

#define GRAIN_UNITS_MAX 64u              /* up to here a class every 8 bytes */
#define SLOT_UNITS_MAX (PAGE_UNITS / 7u) /* the largest slot that shares a page: 9360 bytes */
#define SLOT_BYTES_MAX (SLOT_UNITS_MAX * UNIT_BYTES)
#define CLASS_COUNT_MAX 144u
#define CLASS_WORDS ((CLASS_COUNT_MAX + 63u) / 64u)
#define GROUP_COUNT 8u /* pages of a class by how full they are, in eighths */

/* page.cls beyond the size classes */
#define CLASS_FREE 255u
#define CLASS_INDEX 254u
#define CLASS_HEAD 253u
#define CLASS_EVICTION 252u /* a page of the ring, of ghosts or ages */

/* page.group beyond the lists */
#define GROUP_FULL 8u
#define GROUP_DETACHED 9u /* being evacuated: no slot of it may be taken */

#define NO_UNIT 0xffffu
#define EXPIRES_NEVER UINT32_MAX

/* An operation moves so many bytes of other items. */
#define MOVE_BYTES_MAX 4096u
/* Other work, in bytes looked at, before a write is refused: so much and what it stores, of which the second counts. */
#define EFFORT_BYTES_MIN 65536u
#define EFFORT_BYTES_MAX (4u << 20)
/* Items that one operation evicts, and what it looks at for them. */
#define EVICTIONS_MAX 32u
#define LOOKS_MAX 256u

/* The last pages are the index's alone: it must grow for an item to be found. */
#define INDEX_RESERVE_PAGES 2u

struct page {
    uint32_t next; /* page numbers; 0 ends a list */
    uint32_t prev;
    uint32_t generation; /* another than the store's: flushed, to be reclaimed */
    uint32_t expires_s;  /* no item expires before; EXPIRES_NEVER */
    uint16_t free_unit;  /* first of the freed slots, NO_UNIT */
    uint16_t bump_unit;  /* slots from here on were never taken */
    uint16_t used;       /* slots taken */
    uint16_t holds;      /* pieces pinned or open: neither moved nor reclaimed */
    uint8_t cls;
    uint8_t group;
    uint8_t unused[6];
};
_Static_assert(sizeof(struct page) == 32, "two descriptors a cache line");

struct size_class {
    uint32_t units;    /* of a slot */
    uint32_t slots;    /* a page */
    uint32_t scale;    /* used * scale >> 20: the group */
    uint32_t nonempty; /* bit g: list g has pages */
    uint32_t list[GROUP_COUNT];
    uint64_t free_slots; /* in the pages of the lists */
    uint16_t ahead;      /* bytes of the next slot that are asked for when one is taken */
    uint16_t close;      /* the last class whose slots are at most a quarter larger */
    uint16_t lent;       /* slots lent by others, or that its own items had to leave, since it last had a free one */
    uint16_t growing;    /* its last page has not been full yet */
};
_Static_assert(sizeof(struct size_class) == 64, "one cache line");

/* Of a class, for statistics: seldom touched. */
struct class_count {
    uint64_t pages;   /* of this generation */
    uint64_t evicted; /* items, ever */
    uint64_t refused; /* slots that were not to be had, ever */
};

struct index {
    uint32_t buckets;   /* without overflow */
    uint32_t mask;      /* 2^L - 1, where 2^L <= buckets < 2^(L+1) */
    uint32_t mask_wide; /* 2^(L+1) - 1 */
    uint64_t items;
};

struct evacuation {
    uint32_t page;      /* detached, being emptied; 0: none */
    uint32_t unit;      /* next slot to look at */
    uint32_t backoff;   /* calls until it is worth looking for a page again */
    uint32_t pool_seen; /* pages that the pool had at that time */
    bool urgent;        /* an operation waits for the page */
    bool evicts;        /* what is not in use, or finds no room elsewhere, is evicted from the page */
};

/* An item larger than one operation may move, on its way. */
struct move {
    uint32_t from;
    uint32_t to;     /* 0: none */
    uint32_t copied; /* bytes */
};

/* A queue of 32-bit hashes in pages of its own, chained by page.next. */
struct ring {
    uint32_t head_page; /* 0: no page */
    uint32_t tail_page;
    uint32_t head; /* next entry to leave, in head_page */
    uint32_t tail; /* next free place, in tail_page */
    uint64_t count;
};

/* Of a fifo: see age.h. */
struct ages {
    uint32_t now;     /* the label that is given */
    uint32_t oldest;  /* of what goes first */
    uint64_t written; /* bytes since the last one was begun */
};

struct eviction {
    uint32_t policy;      /* enum store_eviction */
    uint32_t hand;        /* bucket that the clock, or the fifo, looks at */
    uint32_t hand_entry;  /* entry of its chain */
    uint32_t page_hand;   /* page that is looked at next for one to empty */
    uint32_t class_hand;  /* and for one of a certain class */
    bool page_wanted;     /* a class goes on and on without a page to grow into */
    uint32_t large_pages; /* of the largest item of more than a page lately */
    uint64_t large_ms;    /* when there was one of at least half of them */
    uint32_t wanted_pages; /* of one that found no room; 0: nobody waits */
    uint64_t wanted_ms;    /* when it was last looked for */
    uint64_t free_bytes;  /* that are kept free, in pool and slots */
    struct ring ring;     /* of the hybrid */
    struct ages ages;
};

struct sweep {
    uint32_t page; /* next to look at, or the one being walked */
    uint32_t unit; /* next slot in it */
    bool walking;
    uint32_t expires_s; /* earliest seen so far in this page */
    uint64_t next_ms;   /* no new round before */
};

/*
 * Keys of a batch whose bucket is full and has no such tag: their item, if any, is one bucket further, which has only
 * been asked for. Each of the look-ups that follow asks for the item of one of them.
 */
#define LOOK_AGAIN_MAX 16u
struct look_again {
    uint32_t count;
    uint32_t done;
    uint32_t link[LOOK_AGAIN_MAX];
    uint8_t tag[LOOK_AGAIN_MAX];
};

struct store_pin {
    uint32_t item;
    uint32_t next; /* index in the pin array, 0 ends */
    uint32_t count : 31;
    uint32_t doomed : 1; /* the key has gone: the last unpin frees the item */
};

struct store {
    /* Geometry: never written after create, so store_write_fill may read it on another core. */
    uint8_t *base;
    struct page *page;
    uint32_t *directory;   /* page number of each 1024 buckets */
    uint32_t *ghost;       /* page number of the ghosts of each 8192 buckets; 0: none yet */
    struct store_pin *pin; /* [0] unused */
    uint32_t *pin_head;
    struct window_line *window; /* what peers read of it, and each item has its sum: window.h; NULL: none */
    uint64_t window_secret;
    uint32_t page_count;
    uint32_t head_pages;
    uint32_t max_value;
    uint32_t max_key;
    uint32_t pins_max;
    uint32_t pin_mask;
    uint32_t class_count; /* size classes shared by items */
    uint32_t class_page;  /* the class of one slot a page */
    uint32_t class_overflow;
    uint32_t low_water_pages; /* below: evacuate thin pages */
    size_t region_bytes;
    size_t region_page_bytes;             /* of what it is mapped with */
    int region_fd;                        /* the file that it lies in; -1: none */
    const char *cold;                     /* why the file's region was not taken up; NULL: it was */
    uint8_t class_of[SLOT_UNITS_MAX + 1]; /* units -> class */

    alignas(64) struct index index;
    uint32_t generation;
    uint32_t pool; /* first free page */
    uint32_t pool_count;
    uint32_t reclaim_page; /* after a flush: next page to look at; 0: done */
    uint32_t effort;       /* bytes of work that this operation may still do before it is refused */
    uint32_t allowance;    /* bytes that this operation may still move */
    uint32_t moved;        /* bytes that it has moved */
    uint32_t evictions;    /* items that it may still evict */
    uint32_t looks;        /* entries of ring and buckets, page descriptors, that it may still look at to evict */
    uint32_t pin_free;     /* first free pin */
    uint64_t now_ms;       /* the last time that was handed in */
    uint64_t worked_tsc;     /* of this operation: see work.h */
    uint64_t work_since_tsc; /* 0: not now */
    uint64_t cas;          /* last one given */
    uint64_t slot_bytes;   /* of all pages of items: what their slots hold when full */
    uint64_t fresh_bytes;  /* of these, slots that were never taken */
    struct look_again look_again;
    struct evacuation evacuation;
    struct move move;
    struct eviction eviction;
    struct sweep sweep;
    uint64_t open[CLASS_WORDS]; /* a bit for each class that has free slots */
    alignas(64) struct size_class cls[CLASS_COUNT_MAX];
    struct class_count class_counts[CLASS_COUNT_MAX];

    alignas(64) struct store_metrics metrics;
};

static inline uint8_t *region_at(const struct store *s, uint32_t offset)
{
    return s->base + (size_t)offset * UNIT_BYTES;
}

static inline uint32_t page_number(uint32_t offset)
{
    return offset >> PAGE_SHIFT_UNITS;
}
static inline struct page *page_of(const struct store *s, uint32_t offset)
{
    return &s->page[page_number(offset)];
}
static inline uint32_t page_offset(uint32_t number, uint32_t unit)
{
    return (number << PAGE_SHIFT_UNITS) + unit;
}

#endif
