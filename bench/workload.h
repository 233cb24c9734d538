/* What to ask next: which key, get or set, of what size. Planned 64 at a time, so that the table's cache misses
 * overlap. */
#ifndef POLAR_BENCH_WORKLOAD_H
#define POLAR_BENCH_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>
#include "bench/rng.h"
#include "bench/zipf.h"

#define WORKLOAD_BATCH 64u

struct workload_config {
    uint32_t keys;
    const struct zipf *zipf; /* NULL: uniform; borrowed */
    uint32_t sets, gets;     /* their ratio; not both 0 */
    uint32_t value_min, value_max;
    uint64_t seed;
};

struct planned_op {
    uint32_t index;
    uint32_t value_len; /* of a set */
    uint32_t version;   /* of a set */
    bool is_get;
};

struct workload {
    struct workload_config config;
    struct rng rng;
    uint32_t set_share; /* of 2^32 */
    uint32_t at;
    struct planned_op batch[WORKLOAD_BATCH];
};

void workload_init(struct workload *w, const struct workload_config *config);
void workload_plan_batch(struct workload *w);

static inline const struct planned_op *workload_next(struct workload *w)
{
    if (w->at == WORKLOAD_BATCH) workload_plan_batch(w);
    return &w->batch[w->at++];
}

/* The set that stores key `index` for the first time. */
struct planned_op workload_load_op(struct workload *w, uint32_t index);

#endif
