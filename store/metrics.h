/* The counters of a shard's store: rows in store/metrics.def. */
#ifndef POLAR_STORE_METRICS_H
#define POLAR_STORE_METRICS_H

#include "base/metrics.h"

struct store_metrics {
#define METRIC(name, kind, help) uint64_t name;
#include "store/metrics.def"
#undef METRIC
};

extern const struct metric_row store_metric_rows[];
extern const size_t store_metric_row_count;

#endif
