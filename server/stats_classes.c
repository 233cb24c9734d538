/*
 * memcached's statistics of size classes, for ours: they are numbered from 1 by their sizes, and each is the sum of all
 * shards. Nothing here is kept in the order of its last use, so there is no age to tell.
 */
#include <stdlib.h>
#include <string.h>
#include "server/core.h"
#include "server/reply.h"
#include "server/session.h"
#include "server/tour.h"
#include "store/classes.h"

#define SIZES_STEP 32u /* memcached counts sizes in these steps */

struct classes_tour {
    struct tour tour;
    enum stats_classes what;
    unsigned owner; /* the next to be asked */
    unsigned count; /* of classes */
    bool failed;
    struct store_class sum[STORE_CLASSES_MAX];
};

static void classes_free(struct tour *tour)
{
    free(tour);
}

static void classes_add(struct session *s, struct op *op)
{
    struct classes_tour *t = (struct classes_tour *)s->tour;
    const struct store_class *of = (const struct store_class *)op->key_heap;
    t->failed |= op->status != STORE_OK;
    t->count = (unsigned)op->number;
    for (unsigned i = 0; i < t->count; i++) {
        struct store_class *sum = &t->sum[i];
        sum->slot_bytes = of[i].slot_bytes;
        sum->slots = of[i].slots;
        sum->pages += of[i].pages;
        sum->used += of[i].used;
        sum->evicted += of[i].evicted;
        sum->refused += of[i].refused;
    }
    tour_answered(s);
}

static void row(struct session *s, const char *group, unsigned n, const char *name, uint64_t value)
{
    reply_format(s, "STAT %s%u:%s %llu\r\n", group, n, name, (unsigned long long)value);
}

static void slabs_answer(struct session *s, const struct classes_tour *t)
{
    unsigned active = 0;
    uint64_t bytes = 0;
    for (unsigned i = 0; i < t->count; i++) {
        const struct store_class *c = &t->sum[i];
        uint64_t all = c->pages * c->slots;
        if (c->pages == 0) continue;
        row(s, "", i + 1, "chunk_size", c->slot_bytes);
        row(s, "", i + 1, "chunks_per_page", c->slots);
        row(s, "", i + 1, "total_pages", c->pages);
        row(s, "", i + 1, "total_chunks", all);
        row(s, "", i + 1, "used_chunks", c->used);
        row(s, "", i + 1, "free_chunks", all - c->used);
        row(s, "", i + 1, "free_chunks_end", 0);
        active++;
        bytes += all * c->slot_bytes;
    }
    reply_format(s, "STAT active_slabs %u\r\nSTAT total_malloced %llu\r\nEND\r\n", active, (unsigned long long)bytes);
}

static void items_answer(struct session *s, const struct classes_tour *t)
{
    for (unsigned i = 0; i < t->count; i++) {
        const struct store_class *c = &t->sum[i];
        if (c->used == 0 && c->evicted == 0 && c->refused == 0) continue;
        row(s, "items:", i + 1, "number", c->used);
        row(s, "items:", i + 1, "age", 0);
        row(s, "items:", i + 1, "mem_requested", c->used * c->slot_bytes);
        row(s, "items:", i + 1, "evicted", c->evicted);
        row(s, "items:", i + 1, "evicted_time", 0);
        row(s, "items:", i + 1, "outofmemory", c->refused);
    }
    REPLY_LITERAL(s, "END\r\n");
}

static uint32_t size_step(const struct store_class *c)
{
    return (c->slot_bytes + SIZES_STEP - 1) / SIZES_STEP * SIZES_STEP;
}

static void sizes_answer(struct session *s, const struct classes_tour *t)
{
    uint64_t items = 0;
    for (unsigned i = 0; i < t->count; i++) {
        items += t->sum[i].used;
        if (i + 1 < t->count && size_step(&t->sum[i]) == size_step(&t->sum[i + 1])) continue;
        if (items) reply_format(s, "STAT %u %llu\r\n", size_step(&t->sum[i]), (unsigned long long)items);
        items = 0;
    }
    REPLY_LITERAL(s, "END\r\n");
}

static bool classes_step(struct session *s, struct tour *tour)
{
    static void (*const answers[])(struct session * s, const struct classes_tour *t) = {
        [STATS_SLABS] = slabs_answer, [STATS_ITEMS] = items_answer, [STATS_SIZES] = sizes_answer};
    struct classes_tour *t = (struct classes_tour *)tour;
    if (t->failed) {
        REPLY_LITERAL(s, "SERVER_ERROR out of memory writing stats\r\n");
        return true;
    }
    if (t->owner == s->core->config->core_count) {
        answers[t->what](s, t);
        return true;
    }
    tour_ask(s, tour_slot(s, t->owner++, OP_CLASSES, classes_add));
    return false;
}

bool tour_stats_classes(struct session *s, enum stats_classes what)
{
    struct classes_tour *t = calloc(1, sizeof *t);
    if (!t) return false;
    t->tour = (struct tour){.step = classes_step, .free = classes_free};
    t->what = what;
    tour_begin(s, &t->tour);
    return true;
}

void classes_execute(struct core *core, struct op *op)
{
    struct store_class *of = malloc(STORE_CLASSES_MAX * sizeof *of);
    op->status = of ? STORE_OK : STORE_NO_MEMORY;
    op->number = of ? store_classes(core->store, of) : 0;
    op->key_heap = (uint8_t *)of;
}
