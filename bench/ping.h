/*
 * The wire's own round trip: 64-byte frames at the level of port_rx and port_tx, no stack on either side. One process
 * sends every frame back, another measures one frame at a time.
 */
#ifndef POLAR_BENCH_PING_H
#define POLAR_BENCH_PING_H

#include "bench/options.h"

/* Sends frames back until the plan's duration is over or SIGINT or SIGTERM (blocked by the caller) is pending. 0 or
 * -errno. */
int ping_serve(const struct bench_plan *plan);
/* Measures and reports, as a line or, with --json, as an object. 0 or -errno (-ENETUNREACH: no answer). */
int ping_run(const struct bench_plan *plan);

#endif
