#include "bench/report.h"

#include <string.h>

#define BUSY_LIMIT 0.95
#define LAG_LIMIT_US 20.0 /* an open loop that lags less than this in the mean has kept its times */

static double busy_share_of(const struct worker *w)
{
    uint64_t busy = w->reactor_after.busy_tsc - w->reactor_before.busy_tsc;
    uint64_t idle = w->reactor_after.idle_tsc - w->reactor_before.idle_tsc;
    return busy + idle ? (double)busy / (double)(busy + idle) : -1;
}

static void add_counts(struct report *r, const struct worker *w)
{
    for (int phase = 0; phase < WORKER_PHASES; phase++) {
        const struct worker_counts *n = &w->counts[phase];
        r->misses += n->misses;
        r->errors += n->errors;
        r->wrong += n->wrong;
    }
    r->gets += w->counts[WORKER_MEASURING].gets;
    r->sets += w->counts[WORKER_MEASURING].sets;
    r->loaded += w->counts[WORKER_LOADING].sets;
    r->connect_failures += w->connect_failures + w->idle.failed;
    r->lost += w->lost + w->idle.lost;
    r->reopened += w->reopened;
    r->idle += w->idle.connected;
}

static void add_windows(struct report *r, const struct worker *w)
{
#define METRIC(name, kind, help) r->windows.name += w->windows_after.name - w->windows_before.name;
#include "rdma/window.def"
#undef METRIC
    r->left += w->counts[WORKER_MEASURING].left;
}

static void add_worker(struct report *r, const struct worker *w)
{
    add_counts(r, w);
    if (r->plan->options.onesided) add_windows(r, w);
    histogram_merge(&r->get_ns, &w->get_ns);
    histogram_merge(&r->set_ns, &w->set_ns);
    double seconds = 0, us_per_tsc = 1e6 / (double)w->config.tsc_hz;
    if (w->measure_start_tsc) seconds = (double)(w->measure_end_tsc - w->measure_start_tsc) / (double)w->config.tsc_hz;
    const struct worker_counts *n = &w->counts[WORKER_MEASURING];
    if (seconds > 0) r->ops_per_s += (double)(n->gets + n->sets) / seconds;
    if (seconds > r->seconds) r->seconds = seconds;
    double busy = busy_share_of(w), lag = w->lag_count ? (double)w->lag_tsc * us_per_tsc / (double)w->lag_count : 0;
    if (busy > r->busy_share) r->busy_share = busy;
    if (lag > r->lag_us) r->lag_us = lag;
    if ((double)w->lag_worst_tsc * us_per_tsc > r->lag_worst_us)
        r->lag_worst_us = (double)w->lag_worst_tsc * us_per_tsc;
    r->cut |= w->cut;
    if (!*r->error_text) snprintf(r->error_text, sizeof r->error_text, "%s", w->error_text);
}

void report_make(struct report *report, const struct bench_plan *plan, const struct worker *workers, uint32_t count)
{
    memset(report, 0, sizeof *report);
    report->plan = plan;
    report->busy_share = -1;
    for (uint32_t i = 0; i < count; i++) add_worker(report, &workers[i]);
    report->operations = report->gets + report->sets;
    histogram_merge(&report->all_ns, &report->get_ns);
    histogram_merge(&report->all_ns, &report->set_ns);
    bool open = plan->options.rate > 0;
    report->client_limited = report->busy_share > BUSY_LIMIT && (!open || report->lag_us > LAG_LIMIT_US);

    const struct worker *first = &workers[0];
    report->server_user_s = first->server_after.user_s - first->server_before.user_s;
    report->server_system_s = first->server_after.system_s - first->server_before.system_s;
    report->have_server_time =
        plan->options.server_pid != 0 && first->server_after.user_s + first->server_after.system_s > 0;
    report->stats = first->stats;
}

bool report_is_good(const struct report *r)
{
    uint64_t done = r->plan->duration_ns == 0 ? r->loaded : r->operations;
    return r->wrong == 0 && r->errors == 0 && r->connect_failures == 0 && r->lost == 0 && !r->cut && done > 0;
}

bool report_server_commands(const struct report *r, double *commands)
{
    double gets, sets;
    if (!r->stats || !server_stats_change(r->stats, "cmd_get", &gets) ||
        !server_stats_change(r->stats, "cmd_set", &sets))
        return false;
    *commands = gets + sets;
    return *commands > 0;
}
