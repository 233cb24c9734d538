/* The result of a run: all threads' parts together, as a table for people and as one JSON object for programs. */
#ifndef POLAR_BENCH_REPORT_H
#define POLAR_BENCH_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "bench/worker.h"

struct report {
    const struct bench_plan *plan;
    double seconds;                  /* measured */
    uint64_t operations, gets, sets; /* answered while measuring */
    double ops_per_s;
    /* These four count the whole run, preload and warm-up too. */
    uint64_t misses, errors, wrong, loaded;
    uint64_t connect_failures, lost; /* idle ones too */
    uint64_t reopened;               /* connections closed for another one */
    uint64_t idle;                   /* idle connections that came */
    struct window_counts windows;    /* of one-sided GETs, while measuring */
    uint64_t left;                   /* and those that were not looked up */
    struct histogram get_ns, set_ns, all_ns;
    double busy_share; /* of the busiest thread's time; below 0: unknown */
    double lag_us;     /* open loop: mean lag of a late turn behind the intended time, of the worst thread */
    double lag_worst_us;
    bool client_limited; /* the figures are this program's limit, not the server's */
    bool cut;
    bool have_server_time;
    double server_user_s, server_system_s;
    const struct server_stats *stats; /* NULL: none */
    char error_text[REPLY_TEXT];
};

void report_make(struct report *report, const struct bench_plan *plan, const struct worker *workers, uint32_t count);
/* No wrong value, no error, every connection came and stayed, and something was answered. */
bool report_is_good(const struct report *report);
void report_print(const struct report *report, FILE *out);
void report_print_json(const struct report *report, FILE *out);

/* From the server's statistics: its cycles for each command. false: it does not say. */
bool report_server_commands(const struct report *report, double *commands);

#endif
