/*
 * How long an operation keeps its core for others than itself: to find room for it, and as its share of the background
 * work; moves, evictions, splits. The usual path reads no clock. The most that one has done is in the metrics.
 */
#ifndef POLAR_STORE_WORK_H
#define POLAR_STORE_WORK_H

#include <rte_cycles.h>
#include "store/shard.h"

/* False: it has begun already, around this. */
static inline bool work_begin(struct store *s)
{
    if (s->work_since_tsc) return false;
    s->work_since_tsc = rte_rdtsc();
    return true;
}

/* begun: what work_begin said. */
static inline void work_end(struct store *s, bool begun)
{
    if (!begun) return;
    s->worked_tsc += rte_rdtsc() - s->work_since_tsc;
    s->work_since_tsc = 0;
    if (s->worked_tsc > metric_get(&s->metrics.cycles_work_most))
        metric_set(&s->metrics.cycles_work_most, s->worked_tsc);
}

#endif
