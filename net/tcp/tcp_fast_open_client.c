/* The client's side of fast open: what is known of servers, in sets of a few by their address. */
#include <errno.h>
#include <string.h>
#include "net/region.h"
#include "net/tcp/tcp.h"
#include "net/tcp/tcp_fast_open.h"
#include "net/tcp/tcp_tuning.h"

#define SERVERS 256u
#define BLOCK_NS UINT64_C(60000000000) /* after a SYN that went unanswered, twice as long after each further one */
#define BLOCK_SHIFT_MOST 6u

int tcp_fast_open_servers_init(struct tcp_fast_open *fo)
{
    fo->servers = net_region_map(SERVERS * sizeof *fo->servers);
    return fo->servers ? 0 : -ENOMEM;
}

void tcp_fast_open_servers_fini(struct tcp_fast_open *fo)
{
    net_region_unmap(fo->servers, SERVERS * sizeof *fo->servers);
}

static struct tcp_fast_open_server *cookie_find(struct tcp_fast_open *fo, const struct net_addr *addr)
{
    return tcp_known_find(fo->servers, sizeof *fo->servers, SERVERS, fo->secret, addr);
}

/* The one of its set that is longest unused makes room. */
static struct tcp_fast_open_server *cookie_make(struct net_stack *st, const struct net_addr *addr)
{
    struct tcp_fast_open *fo = &st->fast_open;
    struct tcp_fast_open_server *e = cookie_find(fo, addr);
    if (!e) {
        e = tcp_known_room(fo->servers, sizeof *fo->servers, SERVERS, fo->secret, addr);
        *e = (struct tcp_fast_open_server){.known_by.addr = *addr};
    }
    e->known_by.used_at = st->now + 1;
    return e;
}

static bool wanted(const struct net_stack *st, const struct tcp_conn *c)
{
    return tcp_tuning_of(st, c)->fast_open;
}

uint32_t tcp_fast_open_ask(struct net_stack *st, struct tcp_conn *c, struct tcp_options *o)
{
    if (!wanted(st, c) || c->retries) return 0;
    struct net_addr remote = tcp_conn_remote(c);
    const struct tcp_fast_open_server *e = cookie_find(&st->fast_open, &remote);
    if (e && e->blocked_until > st->now) return 0;
    o->has_fast_open = true;
    if (!e || !e->len) return 0;
    o->fast_open = e->cookie;
    o->fast_open_len = e->len;
    uint32_t most = RTE_MIN(tcp_mss_local(st, tcp_conn_v6(c)), e->mss) - TCP_OPTIONS_MAX;
    return RTE_MIN(most, c->txq.len);
}

/* What the server has taken leaves the queue; the rest goes out as on any connection. */
static void data_answered(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s)
{
    uint32_t taken = s->ack - c->snd_una;
    metric_add(taken ? &st->metrics.fast_open_taken : &st->metrics.fast_open_not_taken, 1);
    if (!taken) return;
    c->snd_una = c->snd_nxt = c->snd_max = s->ack;
    tcp_output_consume(c, RTE_MIN(taken, c->txq.len));
}

void tcp_fast_open_answered(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s, uint32_t sent)
{
    struct tcp_options o;
    if (!wanted(st, c)) return;
    if (sent) data_answered(st, c, s);
    if (!tcp_options_parse(s->options, s->options_len, &o)) return; /* it did before */
    struct net_addr remote = tcp_conn_remote(c);
    bool fresh = o.has_fast_open && o.fast_open_len, taken = c->snd_una != c->iss + 1;
    struct tcp_fast_open_server *e = fresh ? cookie_make(st, &remote) : cookie_find(&st->fast_open, &remote);
    if (!e) return;
    if (fresh) {
        memcpy(e->cookie, o.fast_open, o.fast_open_len);
        e->len = o.fast_open_len;
    } else if (sent && !taken && e->blocked_until <= st->now) {
        e->len = 0; /* it was heard and did not please: a new one is asked for next time */
    }
    e->mss = RTE_MAX(o.mss ? o.mss : (uint16_t)TCP_MSS_DEFAULT, (uint16_t)TCP_MSS_LEAST);
    if (fresh || taken) e->failures = 0;
}

void tcp_fast_open_unanswered(struct net_stack *st, struct tcp_conn *c)
{
    if (!wanted(st, c) || c->retries != 1) return;
    struct net_addr remote = tcp_conn_remote(c);
    struct tcp_fast_open_server *e = cookie_make(st, &remote);
    if (e->blocked_until > st->now) return; /* that SYN had nothing unusual */
    metric_add(&st->metrics.fast_open_blocked, 1);
    e->blocked_until = st->now + (BLOCK_NS << RTE_MIN(e->failures, BLOCK_SHIFT_MOST));
    if (e->failures < UINT8_MAX) e->failures++;
}

bool net_connect_hold(struct stream *s)
{
    struct tcp_conn *c = tcp_conn_of(s);
    struct net_addr remote = tcp_conn_remote(c);
    const struct tcp_fast_open_server *e = cookie_find(&tcp_stack_of(c)->fast_open, &remote);
    if (c->state != TCPS_SYN_SENT || !(c->flags & TCPF_SYN_DUE) || !wanted(tcp_stack_of(c), c)) return false;
    if (!e || !e->len || e->blocked_until > tcp_stack_of(c)->now) return false;
    c->flags &= ~TCPF_SYN_DUE;
    return true;
}

void net_connect_go(struct stream *s)
{
    struct tcp_conn *c = tcp_conn_of(s);
    if (c->state != TCPS_SYN_SENT || c->snd_max != c->iss) return;
    c->flags |= TCPF_SYN_DUE;
    stack_touch(tcp_stack_of(c), c);
}
