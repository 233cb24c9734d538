#include "net/tcp/tcp_tuning.h"

#include <errno.h>
#include "net/tcp/tcp_cc.h"

#define TUNING_NS_MAX (UINT64_C(1) << 50) /* 13 days: within the reach of the timestamp clock */

static bool tuning_valid(const struct net_tcp_tuning *t)
{
    return t->keep_idle_ns > 0 && t->keep_idle_ns <= TUNING_NS_MAX && t->keep_interval_ns > 0 &&
           t->keep_interval_ns <= TUNING_NS_MAX && t->keep_count > 0 && t->keep_count <= UINT8_MAX &&
           t->user_timeout_ns <= TUNING_NS_MAX && t->tcp_cc < NET_TCP_CC_COUNT;
}

static bool tuning_same(const struct net_tcp_tuning *a, const struct net_tcp_tuning *b)
{
    return a->keepalive == b->keepalive && a->nagle == b->nagle && a->quick_ack == b->quick_ack &&
           a->fast_open == b->fast_open &&
           a->tcp_cc == b->tcp_cc && a->keep_idle_ns == b->keep_idle_ns &&
           a->keep_interval_ns == b->keep_interval_ns && a->keep_count == b->keep_count &&
           a->user_timeout_ns == b->user_timeout_ns;
}

void tcp_tunings_init(struct net_stack *st)
{
    st->tunings[0] = (struct tcp_tuning_entry){.values = st->config.tuning, .users = 1};
    if (!tuning_valid(&st->config.tuning)) net_tcp_tuning_default(&st->tunings[0].values);
    st->tunings[0].values.tcp_cc = st->config.tcp_cc;
}

void net_tcp_tuning_default(struct net_tcp_tuning *t)
{
    *t = (struct net_tcp_tuning){
        .keep_idle_ns = UINT64_C(7200000000000), /* RFC 1122 4.2.3.6: not less than two hours by default */
        .keep_interval_ns = UINT64_C(75000000000),
        .keep_count = 9,
    };
}

void tcp_tuning_put(struct net_stack *st, struct tcp_conn *c)
{
    if (c->tuning == 0) return;
    st->tunings[c->tuning].users--;
    c->tuning = 0;
}

static int entry_find(const struct net_stack *st, const struct net_tcp_tuning *t)
{
    int unused = -ENOSPC;
    for (int i = TCP_TUNINGS - 1; i >= 0; i--) {
        const struct tcp_tuning_entry *e = &st->tunings[i];
        if (e->users && tuning_same(&e->values, t)) return i;
        if (!e->users) unused = i;
    }
    return unused;
}

/* What of it is kept where it is looked at for each segment. */
static void flags_take(struct tcp_conn *c, const struct net_tcp_tuning *t)
{
    bool quick = (c->flags & TCPF_QUICK) == TCP_QUICK_ALWAYS * TCP_QUICK_ONE;
    if (t->nagle) c->flags |= TCPF_NAGLE;
    else c->flags &= ~TCPF_NAGLE;
    if (t->quick_ack) c->flags |= TCPF_QUICK;
    else if (quick) c->flags &= ~TCPF_QUICK;
}

void tcp_tuning_start(struct net_stack *st, struct tcp_conn *c)
{
    c->flags |= st->config.quick_acks * TCP_QUICK_ONE;
    flags_take(c, tcp_tuning_of(st, c));
}

int net_tcp_tune(struct stream *s, const struct net_tcp_tuning *t)
{
    struct tcp_conn *c = tcp_conn_of(s);
    struct net_stack *st = tcp_stack_of(c);
    if (!tuning_valid(t)) return -EINVAL;
    int index = entry_find(st, t);
    if (index < 0) return index;
    struct tcp_tuning_entry *e = &st->tunings[index];
    if (!e->users) e->values = *t;
    if (index > 0) e->users++;
    tcp_tuning_put(st, c);
    c->tuning = (uint8_t)index;
    flags_take(c, t);
    tcp_cc_change(c, t->tcp_cc);
    if (c->state > TCPS_SYN_RCVD) tcp_watch_start(st, c);
    stack_touch(st, c); /* what Nagle held back */
    return 0;
}

void net_tcp_tuning_of(const struct stream *s, struct net_tcp_tuning *t)
{
    const struct tcp_conn *c = tcp_conn_of((struct stream *)(uintptr_t)s);
    *t = *tcp_tuning_of(tcp_stack_of(c), c);
}

void net_stack_tuning(const struct net_stack *st, struct net_tcp_tuning *t) { *t = st->tunings[0].values; }
