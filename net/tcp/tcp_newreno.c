/* Recovery by duplicate ACKs, for peers without SACK and for when no scoreboard is to be had. RFC 5681, 6582, 5682. */
#include "net/tcp/tcp_cc.h"
#include "net/tcp/tcp_recovery.h"

#define DUPACKS 3u
#define FRTO_SEGMENTS 2u

static void enter_recovery(struct net_stack *st, struct tcp_conn *c)
{
    metric_add(&st->metrics.fast_retransmits, 1);
    c->recover = c->snd_max;
    c->flags |= TCPF_SLOW | TCPF_RESEND_HEAD;
    c->flags &= ~TCPF_TIMING;
    tcp_cc_congestion(c, c->snd_max - c->snd_una, TCP_CC_LOSS);
    c->cwnd = c->ssthresh + DUPACKS * c->mss;
}

/* RFC 5682 2.1: the copy was needed, so all of the flight is sent again as the window allows. */
static void frto_failed(struct tcp_conn *c)
{
    bool tried = c->board->frto == 2;
    c->board->frto = 0;
    if (!tried) return;
    c->cwnd = c->mss;
    tcp_output_rewind(c);
}

/* RFC 5681 3.2. After a timeout the duplicates are of our own making: not before all of it is acknowledged. */
void tcp_newreno_duplicate(struct net_stack *st, struct tcp_conn *c)
{
    if (!(c->flags & TCPF_SLOW)) {
        if (++c->dupacks == DUPACKS) enter_recovery(st, c);
        return;
    }
    if (c->board && c->board->frto) frto_failed(c);
    if (c->dupacks < DUPACKS) return;
    /* Each stands for a segment that has left, and no more can have left than were in flight. */
    uint32_t most = c->ssthresh + (c->snd_max - c->snd_una);
    c->cwnd = RTE_MIN(c->cwnd + c->mss, RTE_MAX(c->cwnd, most));
}

/* RFC 5682 2.1. True: the timeout was needless. */
static bool frto_ack(struct tcp_conn *c)
{
    struct tcp_board *b = c->board;
    if (b->frto == 2) return true; /* it acknowledges what was sent once only */
    b->frto = 0;
    if (seq_ge(c->snd_una, c->recover)) return false;
    uint32_t flight = c->snd_max - c->snd_una;
    if (c->txq.len <= flight || flight >= c->snd_wnd) return false;
    b->frto = 2;
    tcp_output_forward(c);
    c->cwnd = flight + FRTO_SEGMENTS * c->mss;
    return false;
}

static bool needless(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s)
{
    struct tcp_board *b = c->board;
    if (!b || c->dupacks >= DUPACKS) return false;
    if (tcp_undo_eifel(b, s)) {
        tcp_undo_rtt(st, c, s);
        return true;
    }
    return b->frto && frto_ack(c);
}

static void leave(struct net_stack *st, struct tcp_conn *c)
{
    c->flags &= ~TCPF_SLOW;
    c->dupacks = 0;
    tcp_board_put(st, c);
}

/* The rest of RFC 6582 3.2: a partial ACK shows the next hole, a full one ends recovery. */
void tcp_newreno_ack(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s, uint32_t acked)
{
    bool fast = c->dupacks >= DUPACKS;
    if (needless(st, c, s)) {
        tcp_undo(st, c);
        leave(st, c);
        return;
    }
    if (seq_ge(c->snd_una, c->recover)) {
        if (fast) c->cwnd = RTE_MIN(c->ssthresh, RTE_MAX(c->snd_max - c->snd_una, (uint32_t)c->mss) + c->mss);
        leave(st, c);
        return;
    }
    if (!fast) {
        if (!c->board || !c->board->frto) tcp_cc_of(c)->on_ack(c, acked, 0);
        return;
    }
    c->flags |= TCPF_RESEND_HEAD;
    c->cwnd -= RTE_MIN(acked, c->cwnd - c->mss);
    if (acked >= c->mss) c->cwnd += c->mss;
}

void tcp_newreno_timeout(struct net_stack *st, struct tcp_conn *c)
{
    if (c->board) { /* only what is to be undone */
        tcp_undo_resent(st, c->board, c->mss);
        c->board->frto = c->retries == 1 && c->board->undo_valid && !(c->flags & TCPF_TS);
    }
    c->dupacks = 0;
    tcp_output_rewind(c);
}
