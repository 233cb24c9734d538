/*
 * A look at a connection from time to time: is an idle peer still there (RFC 1122 4.2.3.6), and does what was sent get
 * acknowledged within the user timeout (RFC 9293 3.10.8, RFC 5482 2)? Neither costs an ordinary segment anything:
 * `heard` is stored in place of what it made superfluous, and the timeout compares what it saw some looks ago.
 */
#include <errno.h>
#include "net/tcp/tcp_tuning.h"

#define NEVER UINT64_MAX
#define WATCH_LOOKS 8u /* within a user timeout: it comes at most an eighth late */

/* What is still to be done for the user timeout; NEVER: nothing, 0: the time is over. */
static uint64_t user_timeout(struct net_stack *st, struct tcp_conn *c, const struct net_tcp_tuning *t)
{
    if (t->user_timeout_ns == 0) return NEVER;
    bool waiting = c->txq.len > 0 || c->snd_una != c->snd_max;
    if (!waiting || c->watch_una != c->snd_una) {
        c->watch_una = c->snd_una;
        c->stalls = 0;
    } else if (++c->stalls > WATCH_LOOKS) {
        return 0;
    }
    return st->now + t->user_timeout_ns / WATCH_LOOKS;
}

static uint64_t keepalive(struct net_stack *st, struct tcp_conn *c, const struct net_tcp_tuning *t)
{
    if (!t->keepalive) return NEVER;
    if (c->txq.len > 0 || c->snd_una != c->snd_max) return st->now + t->keep_idle_ns; /* that has timers of its own */
    uint64_t idle = (uint64_t)(st->ts_now - c->heard) << TCP_TS_SHIFT;
    if (idle < t->keep_idle_ns) c->probes = 0;
    uint64_t due = t->keep_idle_ns + c->probes * t->keep_interval_ns;
    if (idle < due) return st->now + (due - idle);
    bool over = t->user_timeout_ns && c->probes > 0 && idle >= t->user_timeout_ns;
    if (c->probes >= t->keep_count || over) return 0;
    c->probes++;
    metric_add(&st->metrics.keepalive_probes, 1);
    if (!tcp_frame_send(st, c, c->snd_una - 1, TCP_ACK, NULL, 0, 0)) metric_add(&st->metrics.tx_no_buffer, 1);
    return st->now + t->keep_interval_ns;
}

bool tcp_watch_due(struct net_stack *st, struct tcp_conn *c)
{
    const struct net_tcp_tuning *t = tcp_tuning_of(st, c);
    uint64_t progress = user_timeout(st, c, t), alive = keepalive(st, c, t);
    uint64_t at = RTE_MIN(progress, alive);
    if (at == NEVER) c->linger_at = 0;
    else if (at) tcp_linger_set(st, c, at - st->now);
    if (at) return true;
    metric_add(&st->metrics.peers_given_up, 1);
    tcp_conn_reset(st, c);
    tcp_conn_fail(st, c, ETIMEDOUT);
    return false;
}

void tcp_watch_start(struct net_stack *st, struct tcp_conn *c)
{
    const struct net_tcp_tuning *t = tcp_tuning_of(st, c);
    if (c->flags & TCPF_ORPHAN) return;
    c->watch_una = c->snd_una;
    c->stalls = 0;
    uint64_t after = t->keepalive ? t->keep_idle_ns : NEVER;
    if (t->user_timeout_ns) after = RTE_MIN(after, t->user_timeout_ns / WATCH_LOOKS);
    if (after == NEVER) c->linger_at = 0;
    else tcp_linger_set(st, c, after);
}
