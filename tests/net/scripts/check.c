/* What a script may know of the stack's inside: states, windows, times, metrics. */
#include <inttypes.h>
#include <string.h>
#include "net/inspect.h"
#include "net/tcp/tcp.h"
#include "tests/net/scripts/run.h"

#define READ_AT_ONCE 16u

static const char *const state_names[] = {
    [NET_TCP_ESTABLISHED] = "ESTABLISHED",
    [NET_TCP_SYN_SENT] = "SYN-SENT",
    [NET_TCP_SYN_RECV] = "SYN-RECEIVED",
    [NET_TCP_FIN_WAIT1] = "FIN-WAIT-1",
    [NET_TCP_FIN_WAIT2] = "FIN-WAIT-2",
    [NET_TCP_TIME_WAIT] = "TIME-WAIT",
    [NET_TCP_CLOSE] = "CLOSED",
    [NET_TCP_CLOSE_WAIT] = "CLOSE-WAIT",
    [NET_TCP_LAST_ACK] = "LAST-ACK",
    [NET_TCP_CLOSING] = "CLOSING",
};

static const struct tcp_conn *conn_of(struct run *r)
{
    if (!r->peer->stream) run_fail(r, "the application has no connection with %s", r->peer->name);
    return tcp_conn_of(r->peer->stream);
}

/* As the stack lists it: also half-open, given back by the application, or in TIME-WAIT. */
static const char *state_of(struct run *r)
{
    struct net_tcp_info info[READ_AT_ONCE];
    for (uint32_t at = 0; at != NET_READ_END;) {
        unsigned n = net_stack_read_connections(r->stack, &at, info, READ_AT_ONCE);
        for (unsigned i = 0; i < n; i++)
            if (info[i].local.port == r->peer->stack_port && info[i].remote.port == r->peer->port &&
                info[i].state != NET_TCP_CLOSE)
                return state_names[info[i].state];
    }
    return r->peer->stream ? "CLOSED" : "none"; /* off the wire; the application still has it, or nobody */
}

static void check_state(struct run *r, char **words, unsigned n)
{
    if (n != 2) run_fail(r, "state NAME");
    const char *state = state_of(r);
    if (strcmp(state, words[1]) != 0) run_fail(r, "the state is %s, not %s", state, words[1]);
}

static int64_t value_of(struct run *r, const char *name)
{
    const struct tcp_conn *c = conn_of(r);
    if (strcmp(name, "cwnd") == 0) return c->cwnd;
    if (strcmp(name, "ssthresh") == 0) return c->ssthresh;
    if (strcmp(name, "srtt") == 0) return (int64_t)c->srtt;
    if (strcmp(name, "rttvar") == 0) return (int64_t)c->rttvar;
    if (strcmp(name, "rto") == 0) return (int64_t)tcp_fine_ns(c->rto);
    if (strcmp(name, "mss") == 0) return c->mss;
    if (strcmp(name, "snd-wnd") == 0) return c->snd_wnd;
    if (strcmp(name, "flight") == 0) return c->snd_max - c->snd_una;
    if (strcmp(name, "queued") == 0) return c->txq.len;
    run_fail(r, "check: unknown: %s", name);
}

/* check NAME VALUE|LOW..HIGH */
static void check_value(struct run *r, char **words, unsigned n)
{
    if (n != 3) run_fail(r, "check NAME VALUE");
    int64_t value = value_of(r, words[1]);
    struct packet_range want = run_range(r, words[2]);
    if (value < want.lo || value > want.hi) run_fail(r, "%s is %" PRId64 ", not %s", words[1], value, words[2]);
}

/* metric NAME +N: it has grown by N since its last such line; metric NAME N: a gauge stands there. */
static void check_metric(struct run *r, char **words, unsigned n)
{
    if (n != 3) run_fail(r, "metric NAME +GROWTH|VALUE");
    const struct net_metrics *now = net_stack_metrics(r->stack);
    for (size_t i = 0; i < net_metric_row_count; i++) {
        const struct metric_row *row = &net_metric_rows[i];
        if (strcmp(row->name, words[1]) != 0) continue;
        uint64_t value = *(const uint64_t *)((const char *)now + row->offset);
        uint64_t *seen = (uint64_t *)(void *)((char *)&r->metrics_seen + row->offset);
        bool growth = words[2][0] == '+';
        int64_t came = (int64_t)(growth ? value - *seen : value);
        struct packet_range want = run_range(r, words[2] + (growth ? 1 : 0));
        *seen = value;
        if (came < want.lo || came > want.hi)
            run_fail(r, "%s: %s%" PRId64 ", not %s", words[1], growth ? "+" : "", came, words[2]);
        return;
    }
    run_fail(r, "no metric: %s", words[1]);
}

const struct run_command run_check_commands[] = {
    {"state", check_state, "of the connection"},
    {"check", check_value, "cwnd, ssthresh, srtt, rttvar, rto, mss, snd-wnd, flight, queued"},
    {"metric", check_metric, "growth of a counter, value of a gauge"},
    {NULL, NULL, NULL},
};
