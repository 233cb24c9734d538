#include "net/inspect.h"

#include <errno.h>
#include <string.h>
#include <rte_byteorder.h>
#include <rte_ethdev.h>
#include "net/port.h"
#include "net/tcp/tcp.h"
#include "net/tcp/tcp_cc.h"

/* By enum tcp_state. */
static const uint8_t state_numbers[] = {
    [TCPS_FREE] = NET_TCP_CLOSE,
    [TCPS_CLOSED] = NET_TCP_CLOSE,
    [TCPS_SYN_SENT] = NET_TCP_SYN_SENT,
    [TCPS_SYN_RCVD] = NET_TCP_SYN_RECV,
    [TCPS_ESTABLISHED] = NET_TCP_ESTABLISHED,
    [TCPS_FIN_WAIT_1] = NET_TCP_FIN_WAIT1,
    [TCPS_FIN_WAIT_2] = NET_TCP_FIN_WAIT2,
    [TCPS_CLOSE_WAIT] = NET_TCP_CLOSE_WAIT,
    [TCPS_CLOSING] = NET_TCP_CLOSING,
    [TCPS_LAST_ACK] = NET_TCP_LAST_ACK,
};

const char *net_tcp_state_name(uint8_t state)
{
    static const char *const names[] = {
        [NET_TCP_ESTABLISHED] = "ESTAB",    [NET_TCP_SYN_SENT] = "SYN-SENT",     [NET_TCP_SYN_RECV] = "SYN-RECV",
        [NET_TCP_FIN_WAIT1] = "FIN-WAIT-1", [NET_TCP_FIN_WAIT2] = "FIN-WAIT-2",  [NET_TCP_TIME_WAIT] = "TIME-WAIT",
        [NET_TCP_CLOSE] = "UNCONN",         [NET_TCP_CLOSE_WAIT] = "CLOSE-WAIT", [NET_TCP_LAST_ACK] = "LAST-ACK",
        [NET_TCP_LISTEN] = "LISTEN",        [NET_TCP_CLOSING] = "CLOSING",
    };
    return state < RTE_DIM(names) && names[state] ? names[state] : "UNKNOWN";
}

static void endpoints_read(const struct tcp_tuple *t, struct net_tcp_info *out)
{
    out->local = (struct net_endpoint){t->local, tcp_tuple_local_port(t->ports)};
    out->remote = (struct net_endpoint){t->remote, tcp_tuple_remote_port(t->ports)};
}

static uint64_t idle_ns(const struct net_stack *st, const struct tcp_conn *c)
{
    uint64_t heard = (uint64_t)(st->ts_now - c->heard) << TCP_TS_SHIFT;
    if (c->state <= TCPS_SYN_RCVD || c->snd_max == c->iss + 1) return UINT64_MAX;
    return heard > TCP_FINE_MAX_NS / 2 ? heard : tcp_fine_since(c->sent_at, st->now);
}

static void conn_read(const struct tcp_conn *c, struct net_tcp_info *out)
{
    const struct net_stack *st = tcp_stack_of(c);
    struct tcp_tuple t;
    *out = (struct net_tcp_info){
        .state = state_numbers[c->state],
        .options =
            (uint8_t)((c->flags & TCPF_TS ? NET_INFO_TIMESTAMPS : 0) | (c->flags & TCPF_SACK ? NET_INFO_SACK : 0) |
                      (c->flags & TCPF_SCALE ? NET_INFO_WSCALE : 0) | (c->flags & TCPF_ECN ? NET_INFO_ECN : 0)),
        .snd_scale = c->snd_scale,
        .rcv_scale = c->rcv_scale,
        .backoff = c->retries,
        .probes = c->probes,
        .congestion = tcp_cc_of(c)->name,
        .snd_mss = c->mss,
        .rcv_mss = c->rcv_mss,
        .rx_queue = c->rx_held,
        .tx_queue = c->txq.len,
        .in_flight = RTE_MIN(c->snd_max - c->snd_una, c->txq.len),
        .cwnd = c->cwnd,
        .ssthresh = c->ssthresh,
        .snd_wnd = c->snd_wnd,
        .rcv_wnd = c->rcv_adv - c->rcv_nxt,
        .retransmits = c->retransmits,
        .out_of_order = c->ooo ? c->ooo->bytes : 0,
        .srtt_ns = c->srtt,
        .rttvar_ns = c->rttvar,
        .rto_ns = tcp_fine_ns(c->rto),
        .idle_ns = idle_ns(st, c),
    };
    tcp_conn_tuple(c, &t);
    endpoints_read(&t, out);
}

int net_stream_info(const struct stream *s, struct net_tcp_info *out)
{
    if (s->ops->send != tcp_stream_ops.send) return -EOPNOTSUPP;
    conn_read((const struct tcp_conn *)(const void *)((const char *)s - offsetof(struct tcp_conn, stream)), out);
    return 0;
}

/* Of a connection that is not one: half-open, or in TIME-WAIT. */
static unsigned record_read(const struct tcp_tuple *t, uint8_t state, struct net_tcp_info *out)
{
    *out = (struct net_tcp_info){.state = state, .congestion = ""};
    endpoints_read(t, out);
    return 1;
}

/* Places in order: the pool's slots, half-open entries, the records of TIME-WAIT. */
unsigned net_stack_read_connections(const struct net_stack *st, uint32_t *at, struct net_tcp_info *out, unsigned max)
{
    uint32_t half_open = st->conn_used, time_wait = half_open + st->syncache.used, end = time_wait + st->time_wait.used;
    unsigned n = 0;
    for (; max > 0 && *at < end; max--, (*at)++) {
        if (*at < half_open) {
            const struct tcp_conn *c = stack_conn(st, *at);
            if (c->state != TCPS_FREE) conn_read(c, &out[n++]);
        } else if (*at < time_wait) {
            const struct tcp_syn_entry *e = &st->syncache.entries[*at - half_open];
            struct tcp_tuple t;
            if (!e->sent) continue;
            tcp_syn_entry_tuple(e, &t);
            n += record_read(&t, NET_TCP_SYN_RECV, &out[n]);
        } else {
            const struct tcp_time_wait_record *r = &st->time_wait.records[*at - time_wait];
            if (r->key) n += record_read(&r->tuple, NET_TCP_TIME_WAIT, &out[n]);
        }
    }
    if (*at >= end) *at = NET_READ_END;
    return n;
}

unsigned net_stack_read_neighbours(const struct net_stack *st, uint32_t *at, struct net_neighbour_info *out,
                                   unsigned max)
{
    unsigned n = 0;
    for (; max > 0 && *at < st->neighbours.used; max--, (*at)++) {
        const struct neighbour *e = &st->neighbours.entries[*at];
        if (e->state == NEIGHBOUR_FREE) continue;
        struct net_neighbour_info *info = &out[n++];
        *info = (struct net_neighbour_info){
            .addr = e->addr, .tries = e->tries, .used_ns = st->now - e->used_at};
        memcpy(info->mac, e->mac, sizeof e->mac);
        if (e->state == NEIGHBOUR_INCOMPLETE)
            info->state = "incomplete";
        else if (e->state == NEIGHBOUR_FAILED)
            info->state = "failed";
        else
            info->state = e->tries ? "probe" : e->at > st->now ? "reachable" : "stale";
    }
    if (*at >= st->neighbours.used) *at = NET_READ_END;
    return n;
}

int net_port_read_drops(const struct port *port, struct net_port_drops *out)
{
    struct rte_eth_stats stats;
    int rc = rte_eth_stats_get(port_number(port), &stats);
    if (rc != 0) return rc;
    *out = (struct net_port_drops){
        .rx_missed = stats.imissed, .rx_errors = stats.ierrors, .rx_no_buffer = stats.rx_nombuf};
    return 0;
}
