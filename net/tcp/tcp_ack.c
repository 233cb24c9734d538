/* Acknowledgements: what they free, measure and grow; recovery is told of them. RFC 9293 3.10.7.4, 5681, 6298. */
#include "net/tcp/tcp.h"

#include "net/tcp/tcp_cc.h"
#include "net/tcp/tcp_recovery.h"

static void window_update(struct tcp_conn *c, const struct tcp_segment *s)
{
    if (seq_lt(s->seq, c->snd_wl1)) return;
    c->snd_wnd = (uint32_t)s->wnd << c->snd_scale;
    c->snd_wl1 = s->seq;
    if (c->snd_wnd > c->snd_wnd_max) c->snd_wnd_max = c->snd_wnd;
    if (c->snd_wnd && c->flags & TCPF_PERSIST) {
        c->flags &= ~(TCPF_PERSIST | TCPF_PROBE_DUE);
        c->rexmt_at = 0;
        c->retries = 0;
        tcp_output_rewind(c); /* a probe's byte was not taken */
    }
}

/* RFC 3168 6.1.2: the window does not grow by an ACK with an echo; who counts marks (RFC 8257 3.3) grows all the same. */
static inline bool echo_holds(const struct tcp_conn *c, const struct tcp_segment *s)
{
    return s->flags & TCP_ECE && c->flags & TCPF_ECN && !tcp_cc_of(c)->exact_marks;
}

void tcp_ack_advance(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s)
{
    uint32_t acked = s->ack - c->snd_una;
    uint32_t flight = c->snd_max - c->snd_una;
    c->snd_una = s->ack;
    if (seq_lt(c->snd_nxt, c->snd_una)) c->snd_nxt = c->snd_una;
    tcp_output_consume(c, RTE_MIN(acked, c->txq.len));
    uint64_t rtt = 0;
    if (c->flags & TCPF_TIMING && seq_ge(s->ack, c->rtt_seq)) {
        c->flags &= ~TCPF_TIMING;
        rtt = tcp_fine_since(c->rtt_start, st->now);
        tcp_rtt_sample(st, c, rtt);
    }
    c->retries = 0;
    if (c->snd_una == c->snd_max) {
        c->rexmt_at = 0;
        c->flags &= ~(TCPF_PERSIST | TCPF_PROBE_DUE | TCPF_PTO | TCPF_REO | TCPF_SMALL);
    } else {
        tcp_rexmt_start(st, c);
    }
    if (unlikely(c->flags & (TCPF_SLOW | TCPF_BOARD))) {
        if (c->flags & TCPF_BOARD) tcp_loss_ack(st, c, s, acked, flight, false);
        else tcp_newreno_ack(st, c, s, acked);
    } else {
        c->dupacks = 0;
        if (flight >= c->cwnd / 2 && likely(!echo_holds(c, s))) tcp_cc_of(c)->on_ack(c, acked, rtt); /* who sends little proves nothing */
    }
    if (unlikely(c->flags & TCPF_ORPHAN && c->state != TCPS_FIN_WAIT_2)) tcp_linger_set(st, c, TCP_LINGER_NS);
}

/*
 * Of a peer that takes SACK blocks a duplicate counts only if it brings some: without, it answers what others sent in our
 * name, or is a challenge, and a flood of such must not look like loss. RFC 6675 2, RFC 5961 7.
 */
static bool duplicate_counts(const struct tcp_conn *c, const struct tcp_segment *s)
{
    return !(c->flags & TCPF_SACK) || tcp_sack_tells(c, s);
}

/* An ACK that does not advance: does it tell of a loss? RFC 5681 2, RFC 6675 2. */
static void ack_again(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s)
{
    uint32_t window = (uint32_t)s->wnd << c->snd_scale;
    if (c->flags & TCPF_PERSIST || (c->snd_max == c->snd_una && !(c->flags & TCPF_BOARD))) return;
    bool dupack = s->len == 0 && !(s->flags & TCP_FIN) && window == c->snd_wnd;
    if (c->flags & TCPF_BOARD) tcp_loss_ack(st, c, s, 0, c->snd_max - c->snd_una, dupack);
    else if (dupack && duplicate_counts(c, s)) tcp_newreno_duplicate(st, c);
}

bool tcp_ack_rx(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s)
{
    if (seq_gt(s->ack, c->snd_max) || seq_lt(s->ack, c->snd_una - c->snd_wnd_max)) {
        metric_add(&st->metrics.drop_tcp_window, 1);
        tcp_challenge(st, c, s); /* RFC 5961 5 */
        return false;
    }
    if (s->options_len > (s->has_ts ? TCP_TS_BYTES : 0)) tcp_sack_rx(st, c, s);
    if (s->ack == c->snd_una) ack_again(st, c, s);
    if (seq_ge(s->ack, c->snd_una)) c->probes = 0; /* the peer is alive */
    bool fin_acked = false;
    if (seq_gt(s->ack, c->snd_una)) {
        fin_acked = c->flags & TCPF_FIN_QUEUED && s->ack - c->snd_una > c->txq.len;
        tcp_ack_advance(st, c, s);
    }
    if (seq_ge(s->ack, c->snd_una)) window_update(c, s);
    stack_touch(st, c);
    return !fin_acked || tcp_fin_acked(st, c);
}
