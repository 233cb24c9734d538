#include "net/tcp/tcp_path.h"

#include "net/tcp/tcp.h"
#include "net/tcp/tcp_recovery.h"
#include "net/tcp/tcp_mtu.h"

#define FOLLOWING 1u /* full segments of data behind a probe: what is acknowledged of them shows its loss */

static struct tcp_path *path_find(struct net_stack *st, const struct tcp_conn *c)
{
    struct net_addr to = tcp_conn_remote(c);
    return tcp_known_find(st->paths.entries, sizeof *st->paths.entries, TCP_PATHS, st->key_secret, &to);
}

static uint32_t mtu_of(const struct tcp_conn *c)
{
    return c->mss + tcp_mtu_headers(c);
}

/* A new one if there is none: nothing is known but that what c sends passes. */
static struct tcp_path *path_get(struct net_stack *st, const struct tcp_conn *c)
{
    struct tcp_path *p = path_find(st, c);
    if (!p) {
        struct net_addr to = tcp_conn_remote(c);
        p = tcp_known_room(st->paths.entries, sizeof *st->paths.entries, TCP_PATHS, st->key_secret, &to);
        st->paths.used += p->known_by.used_at == 0;
        *p = (struct tcp_path){.known_by.addr = to, .mtu = (uint16_t)mtu_of(c), .most = UINT16_MAX};
    }
    p->known_by.used_at = RTE_MAX(st->now, 1u);
    return p;
}

/* A connection, and not a later one of the same ends. */
static uint64_t prober_of(const struct tcp_conn *c)
{
    return (uint64_t)c->ports << 32 | c->iss;
}

/* IP bytes that both ends take. */
static uint32_t limit_of(const struct net_stack *st, const struct tcp_conn *c)
{
    uint32_t bare = tcp_mtu_headers(c) - (c->flags & TCPF_TS ? TCP_TS_BYTES : 0);
    return RTE_MIN((uint32_t)st->config.mtu, c->peer_mss + bare);
}

static void rest_or_go_on(const struct net_stack *st, struct tcp_path *p, uint64_t wait_ns)
{
    bool over = p->most < p->mtu + TCP_PATH_STEP;
    if (over) p->known = true;
    p->next_at = st->now + (over ? TCP_PATH_RAISE_NS : wait_ns);
}

static void probe_failed(struct net_stack *st, struct tcp_path *p)
{
    metric_add(&st->metrics.mtu_probes_lost, 1);
    if (p->probe <= p->most && ++p->tries >= TCP_PATH_TRIES) {
        p->most = p->probe - 1;
        p->told = false;
        p->tries = 0;
    }
    rest_or_go_on(st, p, TCP_PATH_WAIT_NS);
}

static void probe_passed(const struct net_stack *st, struct tcp_path *p)
{
    p->mtu = RTE_MAX(p->mtu, p->probe);
    p->prober = 0;
    p->tries = 0;
    rest_or_go_on(st, p, 0);
}

void tcp_path_begin(struct net_stack *st, struct tcp_conn *c)
{
    uint32_t mtu = st->config.mtu_probing == NET_MTU_PROBE_ALWAYS ? TCP_PATH_BASE : UINT16_MAX;
    struct tcp_path *p = st->paths.used ? path_find(st, c) : NULL;
    bool old = p && st->now >= p->next_at && st->config.mtu_probing == NET_MTU_PROBE_NEVER;
    if (p && p->known && !old) mtu = p->mtu;
    if (mtu >= mtu_of(c)) return;
    c->mss = (uint16_t)(mtu - tcp_mtu_headers(c));
    if (st->config.mtu_probing != NET_MTU_PROBE_NEVER) c->flags |= TCPF_PATH;
}

void tcp_path_lowered(struct net_stack *st, struct tcp_conn *c, bool told)
{
    struct tcp_path *p = path_get(st, c);
    p->mtu = (uint16_t)mtu_of(c);
    p->most = told ? p->mtu : UINT16_MAX; /* suspected: the peer may only have been away */
    p->known = told;
    p->told = told;
    p->prober = 0;
    p->tries = 0;
    p->next_at = st->now + (told ? TCP_PATH_RAISE_NS : TCP_PATH_SUSPECT_NS);
    if (st->config.mtu_probing != NET_MTU_PROBE_NEVER) c->flags |= TCPF_PATH;
}

bool tcp_path_too_big(struct net_stack *st, struct tcp_conn *c, uint32_t mtu)
{
    struct tcp_path *p = c->flags & TCPF_PATH ? path_find(st, c) : NULL;
    if (!p || p->prober != prober_of(c) || mtu >= p->probe || mtu < mtu_of(c)) return false;
    p->most = (uint16_t)RTE_MAX(mtu, (uint32_t)p->mtu);
    p->told = true;
    p->tries = 0;
    return true;
}

/* The middle one of the usual sizes between what passes and most; between those that are left, the half. */
static uint32_t size_between(const struct tcp_path *p, uint32_t most)
{
    uint32_t sizes = 0, size = most;
    for (uint32_t at = most; (at = tcp_mtu_below(at)) > p->mtu && at >= TCP_PATH_BASE; sizes++) {
    }
    if (sizes == 0) return (p->mtu + most + 1) / 2;
    for (uint32_t i = 0; i <= sizes / 2; i++) size = tcp_mtu_below(size);
    return size;
}

/* IP bytes; at most what passes: there is nothing to try. */
static uint32_t size_next(const struct tcp_path *p, uint32_t limit)
{
    uint32_t most = RTE_MIN((uint32_t)p->most, limit);
    if (p->tries && p->probe <= most) return p->probe;
    if (limit <= p->most || p->told || most <= p->mtu) return most;
    return size_between(p, most);
}

/* Nothing is amiss, and there is data for a probe of len bytes and behind it, and room for both. RFC 4821 7.4. */
static bool probe_fits(const struct tcp_conn *c, uint32_t len)
{
    uint32_t flight = c->snd_max - c->snd_una, need = flight + len + FOLLOWING * c->mss;
    if (c->flags & (TCPF_SLOW | TCPF_PERSIST) || !(c->flags & TCPF_SACK) || c->snd_nxt != c->snd_max) return false;
    if (c->flags & TCPF_BOARD && (c->board->lost || c->board->sacked || c->board->tlp_out)) return false;
    return c->retries == 0 && c->txq.len >= need && c->snd_wnd >= need && c->cwnd >= need;
}

/* How the probe of c that was out has fared. */
static void probe_look(const struct net_stack *st, const struct tcp_conn *c, struct tcp_path *p)
{
    if (p->prober != prober_of(c)) {
        if (p->prober && st->now - p->sent_at > TCP_PATH_STALE_NS) p->prober = 0;
    } else if (p->lost) {
        if (!(c->flags & TCPF_BOARD) || c->board->lost == 0) p->prober = 0;
    } else if (seq_ge(c->snd_una, p->end)) {
        probe_passed(st, p);
    }
}

uint32_t tcp_path_probe(struct net_stack *st, struct tcp_conn *c)
{
    struct tcp_path *p = path_get(st, c);
    probe_look(st, c, p);
    uint32_t headers = tcp_mtu_headers(c), limit = limit_of(st, c), mtu = RTE_MIN((uint32_t)p->mtu, limit);
    if (mtu > mtu_of(c)) {
        c->mss = (uint16_t)(mtu - headers);
        metric_add(&st->metrics.mtu_raised, 1);
    }
    if (mtu_of(c) >= limit) c->flags &= ~TCPF_PATH;
    if (mtu_of(c) >= limit || p->prober || st->now < p->next_at || c->state < TCPS_ESTABLISHED) return 0;
    if (p->most < p->mtu + TCP_PATH_STEP) { /* the rest is over */
        p->most = UINT16_MAX;
        p->told = false;
    }
    uint32_t size = size_next(p, limit);
    return size > mtu_of(c) && probe_fits(c, size - headers) && tcp_board_begin(st, c) ? size - headers : 0;
}

void tcp_path_probe_sent(struct net_stack *st, struct tcp_conn *c, uint32_t len)
{
    struct tcp_path *p = path_get(st, c);
    uint16_t size = (uint16_t)(len + tcp_mtu_headers(c));
    if (size != p->probe) p->tries = 0;
    p->probe = size;
    p->prober = prober_of(c);
    p->lost = false;
    p->start = c->snd_nxt - len;
    p->end = c->snd_nxt;
    p->sent_at = st->now;
    metric_add(&st->metrics.mtu_probes, 1);
}

bool tcp_path_probe_lost(struct net_stack *st, struct tcp_conn *c)
{
    struct tcp_path *p = c->flags & TCPF_PATH ? path_find(st, c) : NULL;
    if (!p || p->prober != prober_of(c)) return false;
    bool alone = true;
    tcp_seq start, end = c->snd_una;
    while (alone && tcp_board_lost_next(c->board, end, &start, &end))
        alone = seq_ge(start, p->start) && seq_le(end, p->end);
    if (!alone) { /* the path is congested: that says nothing of the probe */
        p->prober = 0;
        p->next_at = st->now + TCP_PATH_WAIT_NS;
    } else if (!p->lost) {
        p->lost = true;
        probe_failed(st, p);
    }
    return alone;
}

void tcp_path_timeout(struct net_stack *st, struct tcp_conn *c)
{
    struct tcp_path *p = c->flags & TCPF_PATH ? path_find(st, c) : NULL;
    if (!p || p->prober != prober_of(c)) return;
    p->prober = 0;
    if (!p->lost) probe_failed(st, p);
}
