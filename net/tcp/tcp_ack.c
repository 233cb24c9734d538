/* Acknowledgements: what they free, measure and grow; duplicates and recovery. RFC 9293 3.10.7.4, 5681, 6582, 6298. */
#include "net/tcp/tcp.h"

#include "net/tcp/tcp_cc.h"

#define DUPACKS 3u

static void window_update(struct tcp_conn *c, const struct tcp_segment *s)
{
    if (seq_lt(s->seq, c->snd_wl1) || (s->seq == c->snd_wl1 && seq_lt(s->ack, c->snd_wl2))) return;
    c->snd_wnd = (uint32_t)s->wnd << c->snd_scale;
    c->snd_wl1 = s->seq;
    c->snd_wl2 = s->ack;
    if (c->snd_wnd > c->snd_wnd_max) c->snd_wnd_max = c->snd_wnd;
    if (c->snd_wnd && c->flags & TCPF_PERSIST) {
        c->flags &= ~(TCPF_PERSIST | TCPF_PROBE_DUE);
        c->rexmt_at = TCP_NEVER;
        c->retries = 0;
        tcp_output_rewind(c); /* a probe's byte was not taken */
    }
}

/* An ACK of what was sent before the timeout: nothing was lost. Eifel, RFC 3522 and 4015. */
static void undo_timeout(struct tcp_conn *c, const struct tcp_segment *s)
{
    c->flags &= ~TCPF_RTO_UNDO;
    if (!s->has_ts || (int32_t)(s->ts_ecr - c->undo_ts) >= 0) return;
    c->cwnd = c->undo_cwnd;
    c->ssthresh = c->undo_ssthresh;
    c->recover = c->snd_una;
    tcp_output_forward(c);
}

/* The rest of RFC 6582 3.2: a partial ACK shows the next hole, a full one ends recovery. */
static void recovery_ack(struct tcp_conn *c, uint32_t acked)
{
    bool fast = c->dupacks >= DUPACKS;
    if (seq_ge(c->snd_una, c->recover)) {
        if (fast) c->cwnd = RTE_MIN(c->ssthresh, RTE_MAX(c->snd_max - c->snd_una, (uint32_t)c->mss) + c->mss);
        c->flags &= ~TCPF_SLOW;
        c->dupacks = 0;
        return;
    }
    if (!fast) {
        tcp_cc_of(c)->on_ack(c, acked, 0);
        return;
    }
    c->flags |= TCPF_RESEND_HEAD;
    c->cwnd -= RTE_MIN(acked, c->cwnd - c->mss);
    if (acked >= c->mss) c->cwnd += c->mss;
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
        rtt = st->now - c->rtt_start;
        tcp_rtt_sample(st, c, rtt);
    }
    c->retries = 0;
    if (unlikely(c->flags & (TCPF_SLOW | TCPF_RTO_UNDO))) {
        if (c->flags & TCPF_RTO_UNDO) undo_timeout(c, s);
        if (c->flags & TCPF_SLOW) recovery_ack(c, acked);
    } else {
        c->dupacks = 0;
        if (flight >= c->cwnd / 2) tcp_cc_of(c)->on_ack(c, acked, rtt); /* who sends little proves nothing */
    }
    if (c->snd_una == c->snd_max) {
        c->rexmt_at = TCP_NEVER;
        c->flags &= ~(TCPF_PERSIST | TCPF_PROBE_DUE);
    } else {
        c->rexmt_at = st->now + c->rto;
        tcp_timer_by(st, c, c->rexmt_at);
    }
    if (unlikely(c->flags & TCPF_ORPHAN && c->state != TCPS_FIN_WAIT_2)) c->linger_at = st->now + TCP_LINGER_NS;
}

static void enter_recovery(struct net_stack *st, struct tcp_conn *c)
{
    metric_add(&st->metrics.fast_retransmits, 1);
    c->recover = c->snd_max;
    c->flags |= TCPF_SLOW | TCPF_RESEND_HEAD;
    c->flags &= ~TCPF_TIMING;
    tcp_cc_congestion(c, c->snd_max - c->snd_una, TCP_CC_LOSS);
    c->cwnd = c->ssthresh + DUPACKS * c->mss;
}

/* RFC 5681 3.2. After a timeout the duplicates are of our own making: not before all of it is acknowledged. */
static void duplicate(struct net_stack *st, struct tcp_conn *c)
{
    if (c->flags & TCPF_SLOW) {
        if (c->dupacks >= DUPACKS) c->cwnd += c->mss;
        return;
    }
    if (++c->dupacks == DUPACKS) enter_recovery(st, c);
}

bool tcp_ack_rx(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s)
{
    if (seq_gt(s->ack, c->snd_max) || seq_lt(s->ack, c->snd_una - c->snd_wnd_max)) {
        metric_add(&st->metrics.drop_tcp_window, 1);
        tcp_challenge(st, c); /* RFC 5961 5 */
        return false;
    }
    if (s->ack == c->snd_una) {
        uint32_t window = (uint32_t)s->wnd << c->snd_scale;
        bool flight = c->snd_max != c->snd_una && !(c->flags & TCPF_PERSIST);
        if (flight && s->len == 0 && !(s->flags & TCP_FIN) && window == c->snd_wnd) duplicate(st, c);
    }
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
