#include "bench/zipf.h"

#include <math.h>
#include <stdlib.h>

/* Each cell's weight, scaled so that the mean is 1. */
static void fill_weights(double *weight, uint32_t n, double theta)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += weight[i] = pow(1.0 + i, -theta);
    for (uint32_t i = 0; i < n; i++) weight[i] *= n / sum;
}

static uint32_t keep_of(double weight)
{
    double scaled = weight * 4294967296.0 - 1;
    return scaled >= UINT32_MAX ? UINT32_MAX : scaled <= 0 ? 0 : (uint32_t)scaled;
}

/* Vose: a cell under the mean is filled up by one over it. Small ones grow from the left of `work`, large from the
 * right. */
static void fill_cells(struct zipf *z, double *weight, uint32_t *work)
{
    uint32_t small = 0, large = z->n;
    for (uint32_t i = 0; i < z->n; i++) {
        if (weight[i] < 1)
            work[small++] = i;
        else
            work[--large] = i;
    }
    while (small > 0 && large < z->n) {
        uint32_t under = work[--small], over = work[large];
        z->cells[under] = (struct zipf_cell){.keep = keep_of(weight[under]), .alias = over};
        weight[over] -= 1 - weight[under];
        if (weight[over] < 1) {
            large++;
            work[small++] = over;
        }
    }
    /* What rounding leaves over has a weight of 1. */
    while (small > 0) {
        uint32_t at = work[--small];
        z->cells[at] = (struct zipf_cell){.keep = UINT32_MAX, .alias = at};
    }
    for (; large < z->n; large++) z->cells[work[large]] = (struct zipf_cell){.keep = UINT32_MAX, .alias = work[large]};
}

struct zipf *zipf_create(uint32_t n, double theta)
{
    struct zipf *z = malloc(sizeof *z + (size_t)n * sizeof *z->cells);
    double *weight = malloc((size_t)n * sizeof *weight);
    uint32_t *work = malloc((size_t)n * sizeof *work);
    if (z && weight && work) {
        z->n = n;
        fill_weights(weight, n, theta);
        fill_cells(z, weight, work);
    } else {
        free(z);
        z = NULL;
    }
    free(weight);
    free(work);
    return z;
}

void zipf_destroy(struct zipf **zipf)
{
    free(*zipf);
    *zipf = NULL;
}
