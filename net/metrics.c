#include "net/metrics.h"

const struct metric_row net_metric_rows[] = {
#define METRIC(name, kind, help) METRIC_ROW(struct net_metrics, name, kind, help)
#include "net/metrics.def"
#undef METRIC
};

const size_t net_metric_row_count = sizeof net_metric_rows / sizeof *net_metric_rows;
