/* One load run: its threads from start to report. */
#ifndef POLAR_BENCH_RUN_H
#define POLAR_BENCH_RUN_H

#include "bench/options.h"

/* After eal_start, with SIGINT and SIGTERM blocked (either ends the run early). Prints the report.
 * 0: good; -EBADMSG: wrong values, errors or nothing answered; else -errno, with a log line. */
int run_load(const struct bench_plan *plan);

#endif
