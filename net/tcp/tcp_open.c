/* How connections begin: listeners, both kinds of open, the handshake. RFC 9293 3.10.7.2, 3.10.7.3. */
#include <errno.h>
#include <string.h>
#include "net/tcp/tcp.h"
#include "net/tcp/tcp_cc.h"
#include "net/tcp/tcp_ecn.h"
#include "net/tcp/tcp_fast_open.h"
#include "net/tcp/tcp_tuning.h"

/* How well a listener's address fits one of ours: 0 not at all, 1 all addresses, 2 all of its family, 3 that one. */
static unsigned listener_fit(const struct tcp_listener *l, const struct net_addr *addr)
{
    if (net_addr_equal(&l->addr, addr)) return 3;
    if (!net_addr_is_any(&l->addr)) return 0;
    if (!net_addr_is_v4(&l->addr)) return 1;
    return net_addr_is_v4(addr) ? 2 : 0;
}

/* Ports are not 0 on the wire (segment_parse drops them), so 0 is a free place. */
struct tcp_listener *tcp_listener_find(struct net_stack *st, const struct net_addr *addr, uint16_t port)
{
    struct tcp_listener *found = NULL;
    unsigned best = 0;
    for (unsigned i = 0; i < st->listener_places; i++) {
        struct tcp_listener *l = &st->listeners[i];
        if (l->port != port) continue;
        unsigned fit = listener_fit(l, addr);
        if (fit <= best) continue;
        found = l;
        best = fit;
    }
    return found;
}

static struct tcp_listener *listener_alloc(struct net_stack *st)
{
    for (unsigned i = 0; i < STACK_LISTENERS; i++)
        if (st->listeners[i].port == 0) return &st->listeners[i];
    return NULL;
}

int net_listen_at(struct net_stack *st, const struct net_endpoint *at, stream_accept_fn *accept, void *arg)
{
    if (at->port == 0) return -EINVAL;
    if (!net_addr_is_any(&at->addr) && !stack_owns(st, &at->addr)) return -EADDRNOTAVAIL;
    struct tcp_listener *l = tcp_listener_find(st, &at->addr, at->port);
    if (l && net_addr_equal(&l->addr, &at->addr)) return -EADDRINUSE;
    if (!(l = listener_alloc(st))) return -ENOSPC;
    int rc = st->config.claim ? st->config.claim(st->config.claim_arg, at->port, true) : 0;
    if (rc != 0) return rc;
    *l = (struct tcp_listener){.addr = at->addr, .port = at->port, .accept = accept, .arg = arg};
    l->fast_open = st->config.fast_open;
    st->listener_places = RTE_MAX(st->listener_places, (unsigned)(l - st->listeners) + 1);
    return 0;
}

int net_listen(struct net_stack *st, uint16_t port, stream_accept_fn *accept, void *arg)
{
    return net_listen_at(st, &(struct net_endpoint){.port = port}, accept, arg);
}

struct tcp_listener *tcp_listener_of(struct net_stack *st, const struct tcp_segment *s)
{
    struct tcp_tuple t;
    tcp_segment_tuple(s, &t);
    return tcp_listener_find(st, &t.local, tcp_tuple_local_port(t.ports));
}

bool tcp_conns_full(const struct net_stack *st) { return st->conn_count == st->config.max_connections; }

/* What has been touched of the pools that grow with connections. */
static uint64_t memory_of(const struct net_stack *st)
{
    const struct tcp_table *t = &st->table;
    return (uint64_t)st->conn_used * TCP_CONN_BYTES + (uint64_t)st->pools.v6.used * sizeof(struct tcp_v6) +
           ((uint64_t)t->count + t->spill_used) * sizeof(struct tcp_bucket) +
           (uint64_t)st->syncache.used * sizeof(struct tcp_syn_entry) +
           (uint64_t)st->time_wait.used * sizeof(struct tcp_time_wait_record);
}

struct tcp_conn *tcp_conn_alloc(struct net_stack *st, uint64_t key, const struct tcp_tuple *t, const uint8_t *mac)
{
    if (tcp_conns_full(st)) return NULL;
    uint32_t index;
    st->conn_count++;
    if (st->conn_free) {
        index = st->conn_free - 1;
        st->conn_free = stack_conn(st, index)->next_dirty;
    } else {
        index = st->conn_used++;
        metric_set(&st->metrics.tcp_memory, memory_of(st));
    }
    struct tcp_conn *c = stack_conn(st, index);
    memset(c, 0, sizeof *c);
    tcp_conn_set_tuple(st, c, t);
    tcp_conn_set_mac(c, mac);
    c->cc = (uint8_t)st->config.tcp_cc;
    c->stream.ops = &st->stream_ops;
    c->stream.loop = st->config.loop;
    c->iss = tcp_isn(st, key);
    c->snd_una = c->snd_nxt = c->snd_max = c->iss;
    c->rto = tcp_fine_at(RTE_MIN(st->config.rto_initial_ns, TCP_FINE_MAX_NS));
    c->mss = tcp_mss_local(st, tcp_conn_v6(c));
    c->rcv_mss = TCP_MSS_DEFAULT;
    tcp_tuning_start(st, c);
    tcp_table_insert(&st->table, key, index);
    metric_add(&st->metrics.half_open, 1);
    return c;
}

/* What both SYNs have said. */
static void handshake_apply(struct net_stack *st, struct tcp_conn *c, const struct tcp_handshake *hs)
{
    uint32_t offered = c->rcv_adv - c->rcv_nxt; /* by a SYN of ours: who has its data need not wait for our next word */
    c->rcv_nxt = c->last_ack = hs->irs + 1;
    c->rcv_adv = c->rcv_nxt + offered;
    c->peer_mss = hs->mss;
    c->mss = RTE_MIN(hs->mss, tcp_mss_local(st, tcp_conn_v6(c)));
    if (hs->flags & TCP_HS_SCALE) {
        c->flags |= TCPF_SCALE;
        c->snd_scale = hs->scale;
        c->rcv_scale = st->rcv_scale;
    }
    if (hs->flags & TCP_HS_SACK) c->flags |= TCPF_SACK;
    if (hs->flags & TCP_HS_TS) {
        c->flags |= TCPF_TS;
        c->ts_recent = hs->ts_val;
        c->heard = st->ts_now;
        c->mss = (uint16_t)(c->mss - TCP_TS_BYTES);
    }
    c->snd_wnd = c->snd_wnd_max = hs->wnd;
    c->snd_wl1 = hs->irs;
    tcp_path_begin(st, c);
    tcp_cc_init(c);
}

struct tcp_conn *tcp_open_passive(struct net_stack *st, const struct tcp_segment *s, const struct tcp_handshake *hs)
{
    struct tcp_tuple t;
    tcp_segment_tuple(s, &t);
    /* Answers go where the segment came from: no neighbour look-up. */
    struct tcp_conn *c = tcp_conn_alloc(st, s->key, &t, s->frame + 6);
    c->state = TCPS_SYN_RCVD;
    c->flags |= TCPF_PASSIVE | (hs->flags & TCP_HS_ECN ? TCPF_ECN : 0);
    c->iss = c->snd_una = hs->iss;
    c->snd_nxt = c->snd_max = hs->iss + 1;
    handshake_apply(st, c, hs);
    c->rcv_adv = c->rcv_nxt + tcp_syn_window(st);
    return c;
}

/* An ACK to a listener, of no connection. */
static struct tcp_conn *cookie_rx(struct net_stack *st, struct tcp_segment *s)
{
    struct tcp_handshake hs;
    bool good = st->now < st->cookies.good_until && !(s->flags & (TCP_SYN | TCP_RST));
    if (!good || !tcp_cookie_check(st, s, &hs)) {
        if (good) metric_add(&st->metrics.syn_cookies_failed, 1);
        tcp_frame_refuse(st, s);
        return NULL;
    }
    if (tcp_conns_full(st)) {
        metric_add(&st->metrics.drop_tcp_limit, 1);
        return NULL;
    }
    metric_add(&st->metrics.syn_cookies_accepted, 1);
    return tcp_open_passive(st, s, &hs);
}

struct tcp_conn *tcp_listen_rx(struct net_stack *st, struct tcp_segment *s)
{
    if ((s->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN && !tcp_shed_opens(&st->shed)) {
        metric_add(&st->metrics.drop_tcp_syn_full, 1);
        return NULL;
    }
    const struct tcp_listener *l = tcp_listener_of(st, s);
    if (!l) tcp_frame_refuse(st, s);
    else if (s->flags & TCP_ACK) return cookie_rx(st, s);
    else if ((s->flags & (TCP_SYN | TCP_RST)) != TCP_SYN) return NULL;
    else if (!l->fast_open || !tcp_fast_open_rx(st, l, s)) tcp_syncache_open(st, s, NULL);
    return NULL;
}

/* RFC 9293 3.10.7.3. */
void tcp_syn_sent_rx(struct net_stack *st, struct tcp_conn *c, struct tcp_segment *s)
{
    bool ack = s->flags & TCP_ACK;
    uint32_t carried = c->snd_max == c->iss ? 0 : c->snd_max - (c->iss + 1); /* by our SYN */
    if (ack && s->ack - (c->iss + 1) > carried) {
        tcp_frame_refuse(st, s);
        return;
    }
    if (s->flags & TCP_RST && ack) {
        metric_add(&st->metrics.resets_received, 1);
        tcp_conn_fail(st, c, ECONNREFUSED);
        return;
    }
    if (s->flags & TCP_RST || !(s->flags & TCP_SYN)) {
        metric_add(&st->metrics.drop_tcp_flags, 1);
        return;
    }
    struct tcp_handshake hs;
    if (!tcp_handshake_take(&hs, s)) {
        metric_add(&st->metrics.drop_tcp_header, 1);
        return;
    }
    tcp_ecn_syn_rx(st, c, s->flags);
    handshake_apply(st, c, &hs);
    tcp_conn_set_mac(c, s->frame + 6);
    if (!ack) { /* simultaneous open */
        c->state = TCPS_SYN_RCVD;
        c->flags |= TCPF_SYN_DUE;
        stack_touch(st, c);
        return;
    }
    if (c->flags & TCPF_TIMING) {
        c->flags &= ~TCPF_TIMING;
        tcp_rtt_sample(st, c, tcp_fine_since(c->rtt_start, st->now));
    }
    c->flags |= TCPF_ACK_NOW;
    tcp_established(st, c);
    tcp_fast_open_answered(st, c, s, carried);
}

bool tcp_established(struct net_stack *st, struct tcp_conn *c)
{
    c->state = TCPS_ESTABLISHED;
    c->heard = st->ts_now;
    c->snd_una = c->iss + 1;
    c->snd_nxt = c->snd_max = c->snd_una;
    c->tx_m = c->txq.head;
    c->flags &= ~TCPF_SYN_DUE;
    c->retries = 0;
    c->rexmt_at = 0;
    metric_sub(&st->metrics.half_open, 1);
    metric_add(&st->metrics.connections, 1);
    tcp_watch_start(st, c);
    stack_touch(st, c);
    if (!(c->flags & TCPF_PASSIVE)) {
        metric_add(&st->metrics.connected, 1);
        if (c->flags & TCPF_FIN_QUEUED) c->state = TCPS_FIN_WAIT_1;
        tcp_raise(c, STREAM_CONNECTED);
        return true;
    }
    struct tcp_tuple t;
    tcp_conn_tuple(c, &t);
    struct tcp_listener *l = tcp_listener_find(st, &t.local, tcp_tuple_local_port(t.ports));
    if (!l) {
        tcp_conn_reset(st, c);
        tcp_conn_free(st, c);
        return false;
    }
    metric_add(&st->metrics.accepted, 1);
    l->accept(l->arg, &c->stream);
    return c->state != TCPS_FREE;
}

static bool tuple_free(struct net_stack *st, struct tcp_tuple *t, uint64_t *key)
{
    *key = tcp_tuple_key(st->key_secret, t);
    return tcp_table_find(&st->table, *key) == TCP_TABLE_NONE;
}

/* A random start, then the next port that is free. RFC 6056 3.3.1. False: none. */
static bool port_pick(struct net_stack *st, struct tcp_tuple *t, uint64_t *key)
{
    uint32_t first = st->config.port_first, count = (uint32_t)st->config.port_last - first + 1;
    uint32_t start = (uint32_t)(stack_random(st) % count);
    uint16_t remote = tcp_tuple_remote_port(t->ports);
    for (uint32_t i = 0; i < count; i++) {
        uint16_t local = (uint16_t)(first + (start + i) % count);
        if (tcp_listener_find(st, &t->local, local)) continue;
        if (st->config.port_fits && net_addr_is_v4(&t->remote) &&
            !st->config.port_fits(st->config.port_fits_arg, t->remote.be32[3], t->local.be32[3], rte_cpu_to_be_16(remote),
                                  rte_cpu_to_be_16(local)))
            continue;
        t->ports = tcp_tuple_ports(remote, local);
        if (tuple_free(st, t, key)) return true;
    }
    return false;
}

int net_connect_from(struct net_stack *st, struct net_endpoint from, struct net_endpoint to, uint64_t now_ns,
                     struct stream **out)
{
    static const uint8_t mac_unknown[6];
    struct tcp_tuple t = {.local = from.addr, .remote = to.addr, .ports = tcp_tuple_ports(to.port, from.port)};
    uint64_t key;
    stack_set_now(st, now_ns);
    if (to.port == 0 || net_addr_is_any(&to.addr) || net_addr_is_multicast(&to.addr)) return -EINVAL;
    if (net_addr_is_any(&t.local) && !route_source(st, &to.addr, &t.local)) return -ENETUNREACH;
    if (!stack_owns(st, &t.local) || net_addr_is_v4(&t.local) != net_addr_is_v4(&t.remote)) return -EADDRNOTAVAIL;
    if (from.port ? !tuple_free(st, &t, &key) : !port_pick(st, &t, &key)) return -EADDRNOTAVAIL;
    struct tcp_conn *c = tcp_conn_alloc(st, key, &t, mac_unknown);
    if (!c) return -ENOMEM;
    c->state = TCPS_SYN_SENT;
    c->flags |= TCPF_SYN_DUE;
    stack_touch(st, c);
    *out = &c->stream;
    return 0;
}

int net_connect(struct net_stack *st, struct net_endpoint to, uint64_t now_ns, struct stream **out)
{
    return net_connect_from(st, (struct net_endpoint){.port = 0}, to, now_ns, out);
}
