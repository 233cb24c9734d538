/*
 * The server's own statistics, asked over a connection of its own with memcached's `stats`, once before and once after
 * measuring. What changed between the two belongs to the run. Core of the connection only.
 */
#ifndef POLAR_BENCH_SERVER_STATS_H
#define POLAR_BENCH_SERVER_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/stream.h"
#include "bench/transport.h"

#define SERVER_STATS_TEXT 65536u
#define SERVER_STATS_ROWS 512u
#define SERVER_STATS_NAME 64u

struct server_stat {
    char name[SERVER_STATS_NAME];
    double value;
};

struct server_stats_table {
    uint32_t count;
    struct server_stat rows[SERVER_STATS_ROWS];
};

enum server_stats_when { SERVER_STATS_BEFORE, SERVER_STATS_AFTER };

struct server_stats {
    struct buf_pools *pools;
    struct stream *stream; /* NULL: not open, or lost */
    bool connected, failed;
    bool asked; /* an answer is awaited */
    enum server_stats_when when;
    bool have[2];
    struct server_stats_table tables[2];
    uint32_t len;
    char text[SERVER_STATS_TEXT];
};

int server_stats_create(struct server_stats **out, struct buf_pools *pools); /* 0 or -ENOMEM */
void server_stats_destroy(struct server_stats **stats);
/* Opens the connection; a failure is kept in `failed` and the statistics are left out of the report. */
void server_stats_connect(struct server_stats *stats, struct transport *t, uint64_t now_ns);
void server_stats_on_events(struct server_stats *stats, struct stream *s);
void server_stats_ask(struct server_stats *stats, enum server_stats_when when);
bool server_stats_quiet(const struct server_stats *stats); /* nothing is awaited */
void server_stats_close(struct server_stats *stats);

/* Takes the numeric rows of "STAT name value\r\n"... out of text. Pure. */
void server_stats_parse(struct server_stats_table *table, const char *text, size_t len);
/* after - before; false: the server has no such row, or one answer is missing. */
bool server_stats_change(const struct server_stats *stats, const char *name, double *out);
/* The value after the run; false as above. */
bool server_stats_after(const struct server_stats *stats, const char *name, double *out);

#endif
