/*
 * A log-linear histogram of latencies in ns: exact below 128 ns, then 64 buckets for each power of two, so a quantile
 * is within 1/128 of the truth. Fixed memory, no allocation; recording is a shift and an increment. One thread.
 */
#ifndef POLAR_BENCH_HISTOGRAM_H
#define POLAR_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 6u
#define HISTOGRAM_SUB (1u << HISTOGRAM_SUB_BITS)
#define HISTOGRAM_BITS 42u /* over 2^42 ns (73 minutes) a value is counted in the last bucket */
#define HISTOGRAM_BUCKETS (HISTOGRAM_SUB * (HISTOGRAM_BITS - HISTOGRAM_SUB_BITS + 1))

struct histogram {
    uint64_t count;
    uint64_t sum;
    uint64_t max; /* exact */
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_init(struct histogram *h);

static inline uint32_t histogram_bucket(uint64_t value)
{
    if (value < 2 * HISTOGRAM_SUB) return (uint32_t)value;
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
    uint32_t bucket = shift * HISTOGRAM_SUB + (uint32_t)(value >> shift);
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

static inline void histogram_record(struct histogram *h, uint64_t value)
{
    h->count++;
    h->sum += value;
    if (value > h->max) h->max = value;
    h->buckets[histogram_bucket(value)]++;
}

void histogram_merge(struct histogram *into, const struct histogram *from);
/* The value below or at which `share` (0..1) of the recorded values lie: the middle of its bucket, never over max. 0
 * when nothing was recorded. */
uint64_t histogram_quantile(const struct histogram *h, double share);
double histogram_mean(const struct histogram *h);

#endif
