#include "server/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "protocol/resp/reply.h"
#include "server/core_ports.h"
#include "server/exec_resp.h"
#include "server/reply.h"
#include "server/session.h"

/* What both protocols tell, summed over the cores. */
struct snapshot {
    const struct server *server;
    struct rusage usage;
    uint64_t now_ms, uptime_s;
    uint64_t items, used, limit;
    uint64_t evictions, expired;
    uint64_t busy_tsc, idle_tsc;
    uint64_t bytes_read, bytes_written;
};

static uint64_t sum(const struct snapshot *n, const char *group, const char *name)
{
    return metrics_sum(n->server->metrics, group, name);
}

static void snapshot_take(struct snapshot *n, const struct session *s)
{
    memset(n, 0, sizeof *n);
    n->server = s->core->server;
    n->now_ms = s->core->now->unix_ms;
    n->uptime_s = (n->now_ms - n->server->start_unix_ms) / 1000;
    getrusage(RUSAGE_SELF, &n->usage);
    n->items = sum(n, "store", "items");
    n->used = sum(n, "store", "bytes_used") + sum(n, "store", "bytes_index") + sum(n, "store", "bytes_eviction");
    n->evictions = sum(n, "store", "evicted_new") + sum(n, "store", "evicted_cold") +
                   sum(n, "store", "evicted_page") + sum(n, "store", "evicted_class");
    n->expired = sum(n, "store", "expired");
    n->limit = sum(n, "store", "bytes_limit");
    n->bytes_read = sum(n, "ksock", "rx_bytes") + sum(n, "net", "rx_bytes");
    n->bytes_written = sum(n, "ksock", "tx_bytes") + sum(n, "net", "tx_bytes");
    for (unsigned i = 0; i < n->server->config->core_count; i++) {
        struct reactor_stats r;
        reactor_read_stats(n->server->cores[i].reactor, &r);
        n->busy_tsc += r.busy_tsc;
        n->idle_tsc += r.idle_tsc;
    }
}

static double seconds(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec / 1e6; }

/* ---- memcached ---- */

static void stat_u64(FILE *out, const char *name, uint64_t value)
{
    fprintf(out, "STAT %s %llu\r\n", name, (unsigned long long)value);
}

/* The server's and the stack's by their own names, the others behind their group's. */
static void stat_metric(void *arg, const char *group, const struct metric_row *row, uint64_t value)
{
    if (strcmp(group, "server") == 0 || strncmp(group, "net", 3) == 0) stat_u64(arg, row->name, value);
    else fprintf(arg, "STAT %s_%s %llu\r\n", group, row->name, (unsigned long long)value);
}

static void stats_memcache_write(FILE *out, const struct snapshot *n)
{
    const struct config *config = n->server->config;
    stat_u64(out, "pid", (uint64_t)getpid());
    stat_u64(out, "uptime", n->uptime_s);
    stat_u64(out, "time", n->now_ms / 1000);
    fprintf(out, "STAT version 1.6.18\r\nSTAT polarkv_version %s\r\n", POLAR_VERSION);
    stat_u64(out, "pointer_size", 64);
    fprintf(out, "STAT rusage_user %.6f\r\nSTAT rusage_system %.6f\r\n", seconds(n->usage.ru_utime),
            seconds(n->usage.ru_stime));
    stat_u64(out, "max_connections", config->max_connections * config->core_count);
    stat_u64(out, "rejected_connections", sum(n, "ksock", "refused") + sum(n, "net", "drop_tcp_limit"));
    stat_u64(out, "bytes_read", n->bytes_read);
    stat_u64(out, "bytes_written", n->bytes_written);
    stat_u64(out, "limit_maxbytes", n->limit);
    stat_u64(out, "threads", config->core_count);
    stat_u64(out, "bytes", n->used);
    stat_u64(out, "curr_items", n->items);
    stat_u64(out, "total_items", sum(n, "store", "items_total"));
    stat_u64(out, "evictions", n->evictions);
    stat_u64(out, "evicted_unfetched", sum(n, "store", "evicted_new"));
    stat_u64(out, "expired_unfetched", sum(n, "store", "expired_unfetched"));
    stat_u64(out, "reclaimed", n->expired);
    stat_u64(out, "writes_open", sum(n, "store", "writes_open"));
    stat_u64(out, "pins", sum(n, "store", "pins"));
    stat_u64(out, "reactor_busy_tsc", n->busy_tsc);
    stat_u64(out, "reactor_idle_tsc", n->idle_tsc);
    stat_u64(out, "tsc_hz", n->server->tsc_hz);
    core_ports_stats(out, n->server);
    metrics_each(n->server->metrics, stat_metric, out);
    fputs("END\r\n", out);
}

void stats_memcache(struct session *s)
{
    struct snapshot n;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out) {
        REPLY_LITERAL(s, "SERVER_ERROR out of memory writing stats\r\n");
        return;
    }
    snapshot_take(&n, s);
    stats_memcache_write(out, &n);
    fclose(out);
    reply_bytes(s, text, (uint32_t)len);
    free(text);
}

void stats_memcache_settings(struct session *s)
{
    const struct config *config = s->core->config;
    char value[512];
    reply_format(s, "STAT maxbytes %llu\r\n", (unsigned long long)config->memory_limit);
    reply_format(s, "STAT maxconns %llu\r\n", (unsigned long long)config->max_connections * config->core_count);
    reply_format(s, "STAT tcpport %llu\r\n", (unsigned long long)config->memcache_port);
    reply_format(s, "STAT evictions %s\r\nSTAT num_threads %u\r\n",
                 strcmp(config->eviction, "none") == 0 ? "off" : "on", config->core_count);
    reply_format(s, "STAT item_size_max %llu\r\n", (unsigned long long)config->max_value_size);
    for (size_t i = 0; i < config_row_count; i++) {
        if (strcmp(config_rows[i].name, "password") == 0) continue;
        if (options_get_text(config_rows, config_row_count, config, config_rows[i].name, value, sizeof value))
            reply_format(s, "STAT %s %s\r\n", config_rows[i].name, value);
    }
    REPLY_LITERAL(s, "END\r\n");
}

/* ---- redis ---- */

static void info_server(FILE *out, const struct snapshot *n)
{
    fprintf(out,
            "redis_version:7.0.15\r\nredis_mode:standalone\r\npolarkv_version:%s\r\nos:Linux\r\narch_bits:64\r\n"
            "process_id:%d\r\ntcp_port:%llu\r\nuptime_in_seconds:%llu\r\nuptime_in_days:%llu\r\nio_threads_active:%u\r\n",
            POLAR_VERSION, (int)getpid(), (unsigned long long)n->server->config->resp_port,
            (unsigned long long)n->uptime_s, (unsigned long long)n->uptime_s / 86400, n->server->config->core_count);
}

static void info_clients(FILE *out, const struct snapshot *n)
{
    fprintf(out, "connected_clients:%llu\r\nmaxclients:%llu\r\nblocked_clients:0\r\n",
            (unsigned long long)sum(n, "server", "curr_connections"),
            (unsigned long long)n->server->config->max_connections * n->server->config->core_count);
}

const char *stats_eviction_policy(const struct config *config)
{
    return strcmp(config->eviction, "none") == 0 ? "noeviction" : config->eviction;
}

static void info_memory(FILE *out, const struct snapshot *n)
{
    fprintf(out,
            "used_memory:%llu\r\nused_memory_peak:%llu\r\nused_memory_rss:%llu\r\nmaxmemory:%llu\r\n"
            "maxmemory_policy:%s\r\n",
            (unsigned long long)n->used, (unsigned long long)n->used, (unsigned long long)n->usage.ru_maxrss * 1024,
            (unsigned long long)n->limit, stats_eviction_policy(n->server->config));
}

static unsigned long long snapshot_sum(const struct snapshot *n, const char *name)
{
    return sum(n, "snapshot", name);
}

static void info_persistence(FILE *out, const struct snapshot *n)
{
    bool running = snapshot_sum(n, "running");
    uint64_t begun = snapshot_sum(n, "last_begin_s"), last = snapshot_sum(n, "last_unix_s");
    fprintf(out,
            "loading:0\r\nrdb_changes_since_last_save:%llu\r\nrdb_bgsave_in_progress:%d\r\nrdb_last_save_time:%llu\r\n"
            "rdb_last_bgsave_status:%s\r\nrdb_last_bgsave_time_sec:%lld\r\nrdb_current_bgsave_time_sec:%lld\r\n"
            "rdb_saves:%llu\r\nrdb_last_load_keys_loaded:%llu\r\naof_enabled:0\r\n",
            (unsigned long long)sum(n, "store", "items_total") - snapshot_sum(n, "items_total_then"), running,
            (unsigned long long)(last ? last : n->server->start_unix_ms / 1000),
            snapshot_sum(n, "last_failed") ? "err" : "ok",
            begun ? (long long)snapshot_sum(n, "last_duration_ms") / 1000 : -1,
            running ? (long long)(n->now_ms / 1000 - begun) : -1, snapshot_sum(n, "completed"),
            snapshot_sum(n, "loaded_items"));
}

static void info_stats(FILE *out, const struct snapshot *n)
{
    fprintf(out,
            "total_connections_received:%llu\r\ntotal_commands_processed:%llu\r\ntotal_net_input_bytes:%llu\r\n"
            "total_net_output_bytes:%llu\r\nrejected_connections:%llu\r\nexpired_keys:%llu\r\nevicted_keys:%llu\r\n"
            "keyspace_hits:%llu\r\nkeyspace_misses:%llu\r\n",
            (unsigned long long)sum(n, "server", "total_connections"), (unsigned long long)sum(n, "server", "requests"),
            (unsigned long long)n->bytes_read, (unsigned long long)n->bytes_written,
            (unsigned long long)sum(n, "ksock", "refused"), (unsigned long long)n->expired, (unsigned long long)n->evictions,
            (unsigned long long)sum(n, "server", "get_hits"), (unsigned long long)sum(n, "server", "get_misses"));
}

static void info_replication(FILE *out, const struct snapshot *n)
{
    (void)n;
    fputs("role:master\r\nconnected_slaves:0\r\n", out);
}

static void info_cpu(FILE *out, const struct snapshot *n)
{
    fprintf(out, "used_cpu_sys:%.6f\r\nused_cpu_user:%.6f\r\n", seconds(n->usage.ru_stime), seconds(n->usage.ru_utime));
}

static void info_cluster(FILE *out, const struct snapshot *n)
{
    (void)n;
    fputs("cluster_enabled:0\r\n", out);
}

static void info_keyspace(FILE *out, const struct snapshot *n)
{
    if (n->items) fprintf(out, "db0:keys=%llu,expires=0,avg_ttl=0\r\n", (unsigned long long)n->items);
}

static void info_metric(void *arg, const char *group, const struct metric_row *row, uint64_t value)
{
    fprintf(arg, "%s_%s:%llu\r\n", group, row->name, (unsigned long long)value);
}

static void info_polarkv(FILE *out, const struct snapshot *n)
{
    fprintf(out, "tsc_hz:%llu\r\nreactor_busy_tsc:%llu\r\nreactor_idle_tsc:%llu\r\n",
            (unsigned long long)n->server->tsc_hz, (unsigned long long)n->busy_tsc, (unsigned long long)n->idle_tsc);
    core_ports_info(out, n->server);
    metrics_each(n->server->metrics, info_metric, out);
}

static const struct {
    const char *name, *title;
    void (*write)(FILE *out, const struct snapshot *n);
} info_sections[] = {{"server", "Server", info_server},
                     {"clients", "Clients", info_clients},
                     {"memory", "Memory", info_memory},
                     {"persistence", "Persistence", info_persistence},
                     {"stats", "Stats", info_stats},
                     {"replication", "Replication", info_replication},
                     {"cpu", "CPU", info_cpu},
                     {"cluster", "Cluster", info_cluster},
                     {"keyspace", "Keyspace", info_keyspace},
                     {"polarkv", "Polarkv", info_polarkv}};

static bool info_wants(const struct slice *names, int count, const char *section)
{
    for (int i = 0; i < count; i++)
        if (resp_word(names[i], section) || resp_word(names[i], "all") || resp_word(names[i], "default") ||
            resp_word(names[i], "everything"))
            return true;
    return count == 0;
}

void stats_info(struct session *s, const struct slice *names, int count)
{
    struct snapshot n;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out) {
        resp_error(s, SLICE_LITERAL("ERR out of memory"));
        return;
    }
    snapshot_take(&n, s);
    for (size_t i = 0, written = 0; i < sizeof info_sections / sizeof *info_sections; i++) {
        if (!info_wants(names, count, info_sections[i].name)) continue;
        fprintf(out, "%s# %s\r\n", written++ ? "\r\n" : "", info_sections[i].title);
        info_sections[i].write(out, &n);
    }
    fclose(out);
    if (s->resp.resp3) reply_format(s, "=%zu\r\ntxt:", len + 4);
    else reply_format(s, "$%zu\r\n", len);
    reply_bytes(s, text, (uint32_t)len);
    REPLY_LITERAL(s, "\r\n");
    free(text);
}
