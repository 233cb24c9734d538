/* The counters of one core's stack: rows in net/metrics.def. */
#ifndef POLAR_NET_METRICS_H
#define POLAR_NET_METRICS_H

#include "base/metrics.h"

struct net_metrics {
#define METRIC(name, kind, help) uint64_t name;
#include "net/metrics.def"
#undef METRIC
};

extern const struct metric_row net_metric_rows[];
extern const size_t net_metric_row_count;

#endif
