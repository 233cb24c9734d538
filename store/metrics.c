#include "store/metrics.h"

const struct metric_row store_metric_rows[] = {
#define METRIC(name, kind, help) METRIC_ROW(struct store_metrics, name, kind, help)
#include "store/metrics.def"
#undef METRIC
};

const size_t store_metric_row_count = sizeof(store_metric_rows) / sizeof(store_metric_rows[0]);
