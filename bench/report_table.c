#include <string.h>
#include "bench/report.h"

static void print_latency(FILE *out, const char *what, const struct histogram *h)
{
    if (h->count == 0) return;
    fprintf(out, "%-10s %12llu %9.1f %9.1f %9.1f %9.1f %9.1f\n", what, (unsigned long long)h->count,
            histogram_mean(h) / 1e3, (double)histogram_quantile(h, 0.5) / 1e3,
            (double)histogram_quantile(h, 0.99) / 1e3, (double)histogram_quantile(h, 0.999) / 1e3,
            (double)h->max / 1e3);
}

static void print_head(const struct report *r, FILE *out)
{
    const struct bench_plan *p = r->plan;
    char value[32], transport[32];
    snprintf(transport, sizeof transport, "%s%s", bench_transport_names[p->transport],
             p->options.onesided ? ", one-sided," : "");
    snprintf(value, sizeof value, p->value_min == p->value_max ? "%u" : "%u-%u", p->value_min, p->value_max);
    fprintf(
        out,
        "%s over %s to %s: %u connections, depth %u, %u keys of %u bytes, values of %s bytes, sets:gets %u:%u, %s\n",
        p->options.protocol, transport, p->options.server, p->connections, p->pipeline, p->keys, p->key_len, value,
        p->sets, p->gets, p->options.distribution);
}

static void print_windows(const struct report *r, FILE *out)
{
    const struct window_counts *n = &r->windows;
    double looks = n->gets ? (double)n->gets : 1;
    if (!r->plan->options.onesided) return;
    fprintf(out, "one-sided: %llu of %llu gets, %.1f reads and %.0f bytes each\n", (unsigned long long)n->values,
            (unsigned long long)r->gets, (double)n->reads / looks, (double)n->read_bytes / looks);
    fprintf(out,
            "by request: absent %llu, torn %llu, moved %llu, in pieces %llu, expiring %llu, strange %llu, left to the "
            "server %llu\n",
            (unsigned long long)n->absent, (unsigned long long)n->torn, (unsigned long long)n->moved,
            (unsigned long long)n->apart, (unsigned long long)n->expiring, (unsigned long long)n->strange,
            (unsigned long long)r->left);
}

static void print_faults(const struct report *r, FILE *out)
{
    fprintf(out, "misses %llu, errors %llu, wrong values %llu, connections refused %llu, lost %llu\n",
            (unsigned long long)r->misses, (unsigned long long)r->errors, (unsigned long long)r->wrong,
            (unsigned long long)r->connect_failures, (unsigned long long)r->lost);
    if (*r->error_text) fprintf(out, "first error: %s\n", r->error_text);
}

static void print_server(const struct report *r, FILE *out)
{
    double cpu_s = r->server_user_s + r->server_system_s;
    if (r->have_server_time && r->operations > 0)
        fprintf(out, "server: %.2f us of processor time an operation (%.0f%% of a core)\n",
                cpu_s * 1e6 / (double)r->operations, 100 * cpu_s / r->seconds);
    double commands, busy, change;
    if (!report_server_commands(r, &commands)) return;
    if (server_stats_change(r->stats, "reactor_busy_tsc", &busy))
        fprintf(out, "server: %.0f cycles a command\n", busy / commands);
    for (uint32_t i = 0; i < r->stats->tables[1].count; i++) {
        const char *name = r->stats->tables[1].rows[i].name;
        if (strncmp(name, "cycles_", 7) == 0 && server_stats_change(r->stats, name, &change))
            fprintf(out, "  %-18s %8.0f\n", name + 7, change / commands);
    }
}

static void print_warnings(const struct report *r, FILE *out)
{
    if (r->cut) fprintf(out, "WARNING: the hard stop ended the run\n");
    if (r->plan->options.onesided && r->plan->duration_ns != 0 && r->windows.values < r->gets / 2)
        fprintf(out, "WARNING: most gets went by request, not by one-sided reads\n");
    if (r->client_limited)
        fprintf(out, "WARNING: this load generator was the limit (busy %.0f%%), not the server\n", 100 * r->busy_share);
    if (r->plan->options.rate > 0 && r->ops_per_s < 0.98 * r->plan->options.rate)
        fprintf(out, "WARNING: of %.0f operations/s asked only %.0f were answered\n", r->plan->options.rate,
                r->ops_per_s);
}

void report_print(const struct report *r, FILE *out)
{
    print_head(r, out);
    if (r->idle) fprintf(out, "%llu idle connections beside\n", (unsigned long long)r->idle);
    if (r->plan->options.reconnect)
        fprintf(out, "%llu connections opened anew, each for %llu requests%s\n", (unsigned long long)r->reopened,
                (unsigned long long)r->plan->options.reconnect, r->plan->options.fast_open ? ", by TCP fast open" : "");
    if (r->loaded) fprintf(out, "loaded %llu keys\n", (unsigned long long)r->loaded);
    if (r->plan->duration_ns != 0) {
        fprintf(out, "%.0f operations/s over %.2f s; this client was busy %.0f%%", r->ops_per_s, r->seconds,
                r->busy_share < 0 ? 0 : 100 * r->busy_share);
        if (r->plan->options.rate > 0) fprintf(out, ", behind by %.1f us (worst %.0f)", r->lag_us, r->lag_worst_us);
        fprintf(out, "\n%-10s %12s %9s %9s %9s %9s %9s   us\n", "", "count", "mean", "p50", "p99", "p99.9", "max");
        print_latency(out, "get", &r->get_ns);
        print_latency(out, "set", &r->set_ns);
        print_latency(out, "all", &r->all_ns);
        print_windows(r, out);
    }
    print_faults(r, out);
    print_server(r, out);
    print_warnings(r, out);
}
