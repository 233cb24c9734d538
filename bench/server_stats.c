#include "bench/server_stats.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char request[] = "stats\r\n";
static const char last_line[] = "END\r\n";

int server_stats_create(struct server_stats **out, struct buf_pools *pools)
{
    *out = calloc(1, sizeof **out);
    if (!*out) return -ENOMEM;
    (*out)->pools = pools;
    return 0;
}

void server_stats_destroy(struct server_stats **stats)
{
    free(*stats);
    *stats = NULL;
}

void server_stats_connect(struct server_stats *stats, struct transport *t, uint64_t now_ns)
{
    if (stats->failed) return;
    if (t->connect(t, now_ns, false, &stats->stream) != 0) {
        stats->failed = true;
        return;
    }
    stats->stream->user = stats;
}

static void fail(struct server_stats *stats)
{
    stats->failed = true;
    stats->asked = false;
    if (stats->stream) stats->stream->ops->abort(stats->stream);
    stats->stream = NULL;
}

static void send_request(struct server_stats *stats)
{
    struct buf_chain chain;
    struct rte_mbuf *m = rte_pktmbuf_alloc(stats->pools->small);
    if (!m) {
        fail(stats);
        return;
    }
    memcpy(rte_pktmbuf_mtod(m, char *), request, sizeof request - 1);
    m->data_len = sizeof request - 1;
    buf_chain_init(&chain);
    buf_chain_append(&chain, m);
    stats->stream->ops->send(stats->stream, &chain);
    stats->stream->ops->flush(stats->stream);
}

void server_stats_ask(struct server_stats *stats, enum server_stats_when when)
{
    if (!stats->connected || stats->asked) return;
    stats->asked = true;
    stats->when = when;
    stats->len = 0;
    send_request(stats);
}

bool server_stats_quiet(const struct server_stats *stats)
{
    return !stats->asked;
}

void server_stats_close(struct server_stats *stats)
{
    if (stats->stream) stats->stream->ops->close(stats->stream);
    stats->stream = NULL;
    stats->connected = false;
}

static void take_answer(struct server_stats *stats)
{
    struct stream *s = stats->stream;
    uint32_t room = SERVER_STATS_TEXT - stats->len, n = s->rx.len < room ? s->rx.len : room;
    buf_chain_copy(&s->rx, 0, stats->text + stats->len, n);
    buf_chain_consume(&s->rx, n);
    s->ops->consumed(s, n);
    stats->len += n;
    size_t end = sizeof last_line - 1;
    if (stats->len >= end && memcmp(stats->text + stats->len - end, last_line, end) == 0) {
        server_stats_parse(&stats->tables[stats->when], stats->text, stats->len);
        stats->have[stats->when] = true;
        stats->asked = false;
    } else if (n == room) {
        fail(stats);
    }
}

void server_stats_on_events(struct server_stats *stats, struct stream *s)
{
    uint32_t events = s->events;
    s->events = 0;
    if (events & STREAM_CONNECTED) {
        stats->connected = true;
        stats->stream = s;
    }
    if ((events & STREAM_READABLE) && s->rx.len > 0) take_answer(stats);
    if ((events & (STREAM_ERROR | STREAM_EOF)) && stats->stream) fail(stats);
}

static void take_row(struct server_stats_table *table, const char *line, size_t len)
{
    char text[256], *end;
    struct server_stat *row = &table->rows[table->count];
    if (table->count == SERVER_STATS_ROWS || len >= sizeof text) return;
    memcpy(text, line, len);
    text[len] = '\0';
    char *name = strncmp(text, "STAT ", 5) == 0 ? text + 5 : NULL, *value = name ? strchr(name, ' ') : NULL;
    if (!value || (size_t)(value - name) >= sizeof row->name) return;
    *value++ = '\0';
    row->value = strtod(value, &end);
    if (end == value || *end != '\0' || !isfinite(row->value)) return;
    memcpy(row->name, name, (size_t)(value - name));
    table->count++;
}

void server_stats_parse(struct server_stats_table *table, const char *text, size_t len)
{
    const char *end = text + len;
    table->count = 0;
    while (text < end) {
        const char *eol = memchr(text, '\n', (size_t)(end - text));
        if (!eol) return;
        size_t line = (size_t)(eol - text);
        if (line > 0 && text[line - 1] == '\r') line--;
        take_row(table, text, line);
        text = eol + 1;
    }
}

static const struct server_stat *find(const struct server_stats_table *table, const char *name)
{
    for (uint32_t i = 0; i < table->count; i++)
        if (strcmp(table->rows[i].name, name) == 0) return &table->rows[i];
    return NULL;
}

bool server_stats_change(const struct server_stats *stats, const char *name, double *out)
{
    if (!stats || !stats->have[0] || !stats->have[1]) return false;
    const struct server_stat *before = find(&stats->tables[0], name), *after = find(&stats->tables[1], name);
    if (!after) return false;
    *out = after->value - (before ? before->value : 0);
    return true;
}

bool server_stats_after(const struct server_stats *stats, const char *name, double *out)
{
    const struct server_stat *row = stats && stats->have[1] ? find(&stats->tables[1], name) : NULL;
    if (!row) return false;
    *out = row->value;
    return true;
}
