/* A reduction that proves needless is undone: by timestamp, by D-SACK, by F-RTO. RFC 3522, 4015, 3708, 5682. */
#include "net/tcp/tcp_recovery.h"

#include "net/tcp/tcp_cc.h"

void tcp_undo_save(struct net_stack *st, struct tcp_conn *c)
{
    struct tcp_board *b = c->board;
    tcp_cc_save(c, &b->undo);
    b->undo_bytes = 0;
    b->undo_ts = st->ts_now;
    b->undo_from = c->snd_una;
    b->undo_valid = true;
    b->undo_sent = false;
    b->undo_by_ts = c->flags & TCPF_TS;
}

void tcp_undo_resent(struct net_stack *st, struct tcp_board *b, uint32_t bytes)
{
    if (!b->undo_valid) return;
    if (!b->undo_sent) b->undo_ts = st->ts_now;
    b->undo_sent = true;
    b->undo_bytes += bytes;
}

bool tcp_undo_eifel(struct tcp_board *b, const struct tcp_segment *s)
{
    if (!b->undo_valid || !b->undo_by_ts || !b->undo_sent) return false;
    b->undo_by_ts = false; /* only the first ACK that advances says it: RFC 3522 3.2 */
    return s->has_ts && (int32_t)(s->ts_ecr - b->undo_ts) < 0;
}

bool tcp_undo_dsack(struct tcp_board *b, const struct tcp_range *dup, tcp_seq recover)
{
    if (!b->undo_valid || !b->undo_sent) return false;
    if (seq_lt(dup->start, b->undo_from) || seq_gt(dup->end, recover)) return false;
    uint32_t bytes = dup->end - dup->start;
    if (bytes > b->undo_bytes) { /* more came twice than was sent twice: the path duplicates, and proves nothing */
        b->undo_valid = false;
        return false;
    }
    b->undo_bytes -= bytes;
    return b->undo_bytes == 0;
}

void tcp_undo(struct net_stack *st, struct tcp_conn *c)
{
    struct tcp_board *b = c->board;
    metric_add(&st->metrics.spurious_undone, 1);
    tcp_cc_undo(c, &b->undo);
    b->undo_valid = false;
    b->frto = 0;
    c->flags &= ~(TCPF_SLOW | TCPF_RESEND_HEAD);
    c->dupacks = 0;
    c->recover = c->snd_una;
    if (!(c->flags & TCPF_BOARD)) {
        tcp_output_forward(c);
        return;
    }
    b->state = TCP_BOARD_OPEN;
    tcp_board_lost_clear(b);
    /* What arrived of late may have been the needless copy: its time is no measure for what is still under way. */
    b->rack.at = b->rack.rtt = 0;
}

void tcp_undo_rtt(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s)
{
    uint32_t ticks = st->ts_now - s->ts_ecr;
    tcp_rtt_sample(st, c, RTE_MIN((uint64_t)ticks << TCP_TS_SHIFT, 2 * tcp_fine_ns(c->rto)));
}
