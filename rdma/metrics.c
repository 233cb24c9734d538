#include "rdma/core.h"

const struct metric_row rdma_metric_rows[] = {
#define METRIC(name, kind, help) METRIC_ROW(struct rdma_metrics, name, kind, help)
#include "rdma/metrics.def"
#undef METRIC
};
const size_t rdma_metric_row_count = sizeof rdma_metric_rows / sizeof *rdma_metric_rows;
