#include "bench/histogram.h"

#include <math.h>
#include <string.h>

void histogram_init(struct histogram *h)
{
    memset(h, 0, sizeof *h);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    into->count += from->count;
    into->sum += from->sum;
    if (from->max > into->max) into->max = from->max;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) into->buckets[i] += from->buckets[i];
}

static uint64_t bucket_middle(uint32_t bucket)
{
    if (bucket < 2 * HISTOGRAM_SUB) return bucket;
    uint32_t shift = bucket / HISTOGRAM_SUB - 1;
    uint64_t low = (uint64_t)(bucket - shift * HISTOGRAM_SUB) << shift;
    return low + (((uint64_t)1 << shift) >> 1);
}

uint64_t histogram_quantile(const struct histogram *h, double share)
{
    if (h->count == 0) return 0;
    double wanted = ceil(share * (double)h->count * (1 - 1e-12)); /* 0.07 * 100 is over 7 by a rounding */
    uint64_t rank = wanted < 1 ? 1 : (uint64_t)wanted, seen = 0;
    if (rank >= h->count) return h->max;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen >= rank) {
            uint64_t middle = bucket_middle(i);
            return i == HISTOGRAM_BUCKETS - 1 || middle > h->max ? h->max : middle;
        }
    }
    return h->max;
}

double histogram_mean(const struct histogram *h)
{
    return h->count ? (double)h->sum / (double)h->count : 0;
}
