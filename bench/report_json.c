#include <string.h>
#include "bench/report.h"

/* Texts come from the command line and from the server: anything may be in them. */
static void put_text(FILE *out, const char *name, const char *text)
{
    fprintf(out, "  \"%s\": \"", name);
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p == '"' || *p == '\\')
            fprintf(out, "\\%c", *p);
        else if (*p < 0x20 || *p >= 0x7f)
            fprintf(out, "\\u%04x", *p);
        else
            fputc(*p, out);
    }
    fputs("\",\n", out);
}

static void put_count(FILE *out, const char *name, uint64_t n)
{
    fprintf(out, "  \"%s\": %llu,\n", name, (unsigned long long)n);
}

static void put_real(FILE *out, const char *name, double x)
{
    fprintf(out, "  \"%s\": %.3f,\n", name, x);
}

static void put_bool(FILE *out, const char *name, bool b)
{
    fprintf(out, "  \"%s\": %s,\n", name, b ? "true" : "false");
}

static void put_latency(FILE *out, const char *prefix, const struct histogram *h)
{
    static const struct {
        const char *name;
        double share;
    } points[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        fprintf(out, "  \"%s%s_us\": %.3f,\n", prefix, points[i].name,
                (double)histogram_quantile(h, points[i].share) / 1e3);
    fprintf(out, "  \"%smax_us\": %.3f,\n  \"%smean_us\": %.3f,\n", prefix, (double)h->max / 1e3, prefix,
            histogram_mean(h) / 1e3);
}

static void put_plan(FILE *out, const struct bench_plan *p)
{
    put_text(out, "server", p->options.server);
    put_text(out, "protocol", p->options.protocol);
    put_text(out, "transport", bench_transport_names[p->transport]);
    put_bool(out, "onesided", p->options.onesided);
    put_count(out, "threads", p->threads);
    put_count(out, "connections", p->connections);
    put_count(out, "reconnect", p->options.reconnect);
    put_bool(out, "fast_open", p->options.fast_open);
    put_count(out, "pipeline", p->pipeline);
    put_count(out, "keys", p->keys);
    put_count(out, "key_bytes", p->key_len);
    put_count(out, "value_bytes_min", p->value_min);
    put_count(out, "value_bytes_max", p->value_max);
    put_count(out, "ratio_sets", p->sets);
    put_count(out, "ratio_gets", p->gets);
    put_text(out, "distribution", p->options.distribution);
    put_real(out, "rate", p->options.rate);
    put_text(out, "verify", p->options.verify);
    put_count(out, "seed", p->options.seed);
}

/* Of the GETs while measuring: how many were answered by one-sided reads, and why others were not. */
static void put_windows(FILE *out, const struct report *r)
{
    if (!r->plan->options.onesided) return;
#define METRIC(name, kind, help) put_count(out, "onesided_" #name, r->windows.name);
#include "rdma/window.def"
#undef METRIC
    put_count(out, "onesided_left", r->left);
}

static void put_faults(FILE *out, const struct report *r)
{
    put_count(out, "misses", r->misses);
    put_count(out, "errors", r->errors);
    put_count(out, "wrong_values", r->wrong);
    put_count(out, "idle_connections", r->idle);
    put_count(out, "reconnections", r->reopened);
    put_count(out, "connection_failures", r->connect_failures);
    put_count(out, "connections_lost", r->lost);
    put_text(out, "first_error", r->error_text);
}

static void put_server_time(FILE *out, const struct report *r)
{
    double cpu_s = r->server_user_s + r->server_system_s;
    if (!r->have_server_time) return;
    put_real(out, "server_user_s", r->server_user_s);
    put_real(out, "server_system_s", r->server_system_s);
    if (r->operations) put_real(out, "server_cpu_us_per_op", cpu_s * 1e6 / (double)r->operations);
    if (r->seconds > 0) put_real(out, "server_cpu_share", cpu_s / r->seconds);
}

/* What a polling server says of its own busy time: its processor time is all of the core. */
static void put_server_busy(FILE *out, const struct report *r, double commands)
{
    double busy, idle, hz;
    if (!server_stats_change(r->stats, "reactor_busy_tsc", &busy) ||
        !server_stats_change(r->stats, "reactor_idle_tsc", &idle))
        return;
    put_real(out, "server_cycles_per_op", busy / commands);
    if (busy + idle > 0) put_real(out, "server_busy_share", busy / (busy + idle));
    if (server_stats_after(r->stats, "tsc_hz", &hz) && hz > 0)
        put_real(out, "server_busy_us_per_op", busy / commands / hz * 1e6);
}

static bool is_plain(const char *name)
{
    for (const char *p = name; *p; p++)
        if (*p <= ' ' || *p >= 0x7f || *p == '"' || *p == '\\') return false;
    return true;
}

static void put_server(FILE *out, const struct report *r)
{
    double commands, change;
    put_server_time(out, r);
    if (!report_server_commands(r, &commands)) return;
    put_server_busy(out, r, commands);
    fputs("  \"server_stats\": {", out);
    for (uint32_t i = 0, put = 0; i < r->stats->tables[1].count; i++) {
        const char *name = r->stats->tables[1].rows[i].name;
        if (!is_plain(name) || !server_stats_change(r->stats, name, &change)) continue;
        fprintf(out, "%s\n    \"%s\": %.15g", put++ ? "," : "", name, change);
    }
    fputs("\n  },\n", out);
}

void report_print_json(const struct report *r, FILE *out)
{
    fputs("{\n", out);
    put_text(out, "kvbench", POLAR_VERSION);
    put_plan(out, r->plan);
    put_real(out, "seconds", r->seconds);
    put_count(out, "operations", r->operations);
    put_count(out, "gets", r->gets);
    put_count(out, "sets", r->sets);
    put_count(out, "loaded", r->loaded);
    put_real(out, "ops_per_s", r->ops_per_s);
    put_latency(out, "", &r->all_ns);
    if (r->get_ns.count) put_latency(out, "get_", &r->get_ns);
    if (r->set_ns.count) put_latency(out, "set_", &r->set_ns);
    put_windows(out, r);
    put_faults(out, r);
    put_server(out, r);
    put_real(out, "client_busy_share", r->busy_share);
    put_bool(out, "client_limited", r->client_limited);
    put_real(out, "client_lag_us", r->lag_us);
    put_real(out, "client_lag_worst_us", r->lag_worst_us);
    put_bool(out, "cut", r->cut);
    fprintf(out, "  \"good\": %s\n}\n", report_is_good(r) ? "true" : "false");
}
