/*
 * Ranks 0..n-1 drawn with probability proportional to 1 / (rank + 1)^theta, by Walker's alias method: one random number
 * and one table cell a draw, whatever n. The table is read-only once made: threads share it.
 */
#ifndef POLAR_BENCH_ZIPF_H
#define POLAR_BENCH_ZIPF_H

#include <stdint.h>
#include "bench/rng.h"

struct zipf_cell {
    uint32_t keep; /* of 2^32: the probability that the cell answers itself and not its alias */
    uint32_t alias;
};

struct zipf {
    uint32_t n;
    struct zipf_cell cells[];
};

/* NULL: no memory. n: 1.. ; theta: 0 (uniform) and above. */
struct zipf *zipf_create(uint32_t n, double theta);
void zipf_destroy(struct zipf **zipf);

static inline uint32_t zipf_draw(const struct zipf *z, uint64_t random)
{
    uint32_t at = rng_scale((uint32_t)(random >> 32), z->n);
    const struct zipf_cell *cell = &z->cells[at];
    return (uint32_t)random <= cell->keep ? at : cell->alias;
}

#endif
