/* The counters of one core's sessions: rows in server/metrics.def. */
#ifndef POLAR_SERVER_METRICS_H
#define POLAR_SERVER_METRICS_H

#include "base/metrics.h"

struct server_metrics {
#define METRIC(name, kind, help) uint64_t name;
#include "server/metrics.def"
#undef METRIC
};

extern const struct metric_row server_metric_rows[];
extern const size_t server_metric_row_count;

#endif
