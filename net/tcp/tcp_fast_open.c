/* The server's side of fast open. */
#include "net/tcp/tcp_fast_open.h"

#include <errno.h>
#include <string.h>
#include "net/tcp/tcp.h"
#include "net/tcp/tcp_ecn.h"

#define EPOCH_SHIFT 42u /* of ns: 73 minutes */
#define RESET_HOLD_NS UINT64_C(60000000000)

int tcp_fast_open_init(struct net_stack *st)
{
    struct tcp_fast_open *fo = &st->fast_open;
    const uint64_t *given = st->config.fast_open_secret;
    fo->epochs[0] = fo->epochs[1] = UINT64_MAX;
    for (unsigned i = 0; i < 2; i++)
        fo->secret[i] = given[0] | given[1] ? given[i] : siphash(st->config.secret, (uint64_t[2]){0x666f, i}, 16);
    return tcp_fast_open_servers_init(fo);
}

void tcp_fast_open_fini(struct net_stack *st)
{
    tcp_fast_open_servers_fini(&st->fast_open);
}

static const uint64_t *epoch_key(struct tcp_fast_open *fo, uint64_t epoch)
{
    uint64_t *key = fo->keys[epoch & 1];
    if (fo->epochs[epoch & 1] == epoch) return key;
    for (uint64_t i = 0; i < 2; i++) key[i] = siphash(fo->secret, (uint64_t[2]){epoch, i}, 16);
    fo->epochs[epoch & 1] = epoch;
    return key;
}

static uint64_t cookie_of(struct tcp_fast_open *fo, uint64_t epoch, const struct net_addr *client)
{
    return siphash(epoch_key(fo, epoch), client->bytes, sizeof client->bytes);
}

void tcp_fast_open_cookie(struct net_stack *st, const struct net_addr *client, uint8_t cookie[TCP_FAST_OPEN_COOKIE])
{
    uint64_t value = cookie_of(&st->fast_open, st->now >> EPOCH_SHIFT, client);
    memcpy(cookie, &value, TCP_FAST_OPEN_COOKIE);
}

static bool cookie_good(struct net_stack *st, const struct tcp_options *o, const struct net_addr *client)
{
    uint64_t value, epoch = st->now >> EPOCH_SHIFT;
    if (o->fast_open_len != TCP_FAST_OPEN_COOKIE) return false;
    memcpy(&value, o->fast_open, sizeof value);
    if (value == cookie_of(&st->fast_open, epoch, client)) return true;
    return epoch > 0 && value == cookie_of(&st->fast_open, epoch - 1, client);
}

/* Places taken: RFC 7413 5.1. One that was reset gives its place back later, or resets would make room for more. */
static uint32_t places_taken(struct net_stack *st)
{
    struct tcp_fast_open *fo = &st->fast_open;
    while (fo->resets && fo->reset_until[fo->reset_first] <= st->now) {
        fo->reset_first = (fo->reset_first + 1) % TCP_FAST_OPEN_PENDING_MOST;
        fo->resets--;
    }
    return fo->pending + fo->resets;
}

/* While SYNs come in a flood none of them is believed at once. */
static bool room(struct net_stack *st, const struct tcp_listener *l)
{
    bool flood = st->syncache.count == st->syncache.max || st->config.syn_cookies == NET_SYN_COOKIES_ALWAYS;
    if (!flood && !st->shed.on && !tcp_conns_full(st) && places_taken(st) < l->fast_open) return true;
    metric_add(&st->metrics.fast_open_no_room, 1);
    return false;
}

/* s, with a good cookie, opens a connection; its payload follows the SYN. */
static void opened(struct net_stack *st, struct tcp_segment *s, struct tcp_handshake *hs)
{
    hs->iss = tcp_isn(st, s->key);
    if (tcp_ecn_syn_accepts(st, s->flags)) hs->flags |= TCP_HS_ECN;
    struct tcp_conn *c = tcp_open_passive(st, s, hs);
    st->fast_open.pending++;
    metric_add(&st->metrics.fast_opened, 1);
    c->flags |= TCPF_FAST_OPEN | TCPF_TIMING;
    c->rtt_seq = hs->iss + 1;
    c->rtt_start = tcp_fine_at(st->now);
    if (!tcp_established(st, c)) return;
    c->flags |= TCPF_SYN_DUE;
    s->seq++;
    s->flags &= (uint16_t)(TCP_PSH | TCP_ACK);
    tcp_payload_rx(st, c, s);
}

bool tcp_fast_open_rx(struct net_stack *st, const struct tcp_listener *l, struct tcp_segment *s)
{
    struct tcp_options o;
    struct tcp_handshake hs;
    struct tcp_tuple t;
    if (!tcp_options_parse(s->options, s->options_len, &o) || !o.has_fast_open) return false;
    tcp_segment_tuple(s, &t);
    bool good = cookie_good(st, &o, &t.remote);
    if (!good) s->flags |= TCP_FAST_OPEN_ASKED;
    if (!good && o.fast_open_len) metric_add(&st->metrics.fast_open_refused, 1);
    if (!good || s->len == 0 || s->len > tcp_syn_window(st) || !room(st, l)) return false;
    if (!tcp_handshake_take(&hs, s)) return false;
    opened(st, s, &hs);
    return true;
}

/* No window update has been taken yet, so snd_wl1 is still the SYN's number. */
bool tcp_fast_open_again(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s)
{
    if ((s->flags & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_SYN || s->seq != c->snd_wl1) return true;
    c->flags &= ~TCPF_TIMING; /* Karn */
    c->flags |= TCPF_SYN_DUE;
    tcp_conn_set_mac(c, s->frame + 6);
    stack_touch(st, c);
    return false;
}

bool tcp_fast_open_ack(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s)
{
    if (seq_lt(s->ack, c->iss + 1) || seq_gt(s->ack, c->snd_max)) {
        tcp_frame_refuse(st, s);
        return false;
    }
    st->fast_open.pending--;
    c->flags &= ~(TCPF_FAST_OPEN | TCPF_SYN_DUE);
    if (c->flags & TCPF_TIMING && c->rtt_seq == c->iss + 1) {
        c->flags &= ~TCPF_TIMING;
        tcp_rtt_sample(st, c, tcp_fine_since(c->rtt_start, st->now));
    }
    c->retries = 0;
    if (c->snd_una == c->snd_max)
        c->rexmt_at = 0;
    else
        tcp_rexmt_start(st, c);
    return true;
}

bool tcp_fast_open_answer(struct net_stack *st, struct tcp_conn *c)
{
    if (tcp_frame_send_syn(st, c) < 0) return false;
    c->flags &= ~(TCPF_SYN_DUE | TCPF_ACK_NOW);
    tcp_rexmt_start(st, c);
    return true;
}

void tcp_fast_open_end(struct net_stack *st, struct tcp_conn *c, bool reset)
{
    struct tcp_fast_open *fo = &st->fast_open;
    c->flags &= ~TCPF_FAST_OPEN;
    fo->pending--;
    if (!reset || fo->resets == TCP_FAST_OPEN_PENDING_MOST) return;
    fo->reset_until[(fo->reset_first + fo->resets++) % TCP_FAST_OPEN_PENDING_MOST] = st->now + RESET_HOLD_NS;
}

int net_fast_open(struct net_stack *st, const struct net_endpoint *at, uint32_t pending)
{
    struct tcp_listener *l = at->port ? tcp_listener_find(st, &at->addr, at->port) : NULL;
    if (!l || !net_addr_equal(&l->addr, &at->addr)) return -ENOENT;
    l->fast_open = RTE_MIN(pending, TCP_FAST_OPEN_PENDING_MOST);
    return 0;
}
