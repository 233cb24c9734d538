/*
 * The tail loss probe: when nothing comes back for two round trips, the last segment is sent again (or a new one), so
 * that its ACK shows what is missing long before the retransmission timeout. RFC 8985 7.
 */
#include "net/tcp/tcp_recovery.h"

/* In the order of the least work: called for each burst that begins a flight. */
uint64_t tcp_tlp_delay(const struct net_stack *st, const struct tcp_conn *c)
{
    if ((c->flags & (TCPF_SACK | TCPF_SLOW)) != TCPF_SACK || c->retries || c->srtt == 0) return 0;
    if (unlikely(c->flags & TCPF_BOARD) && (c->board->sacked || c->board->tlp_out)) return 0;
    uint64_t delay = 2 * (uint64_t)c->srtt;
    /* The peer may hold back the ACK of a single segment: RFC 8985 7.2. */
    if (c->snd_max - c->snd_una <= c->mss) delay = (uint64_t)c->srtt + c->srtt / 2 + st->config.tlp_ack_delay_ns;
    delay = RTE_MAX(delay, st->config.tlp_min_ns);
    /* Counted from when the tail was sent, not from the ACK of what went before it; yet a round trip from now. */
    uint64_t since = tcp_fine_since(c->sent_at, st->now);
    delay = delay > since + c->srtt ? delay - since : c->srtt;
    return delay < tcp_fine_ns(c->rto) ? delay : 0;
}

bool tcp_tlp_due(struct net_stack *st, struct tcp_conn *c)
{
    if (c->state <= TCPS_SYN_RCVD || c->snd_una == c->snd_max || !tcp_board_begin(st, c)) return false;
    c->flags |= TCPF_TLP_DUE;
    return true;
}

void tcp_tlp_sent(struct net_stack *st, struct tcp_conn *c, bool again)
{
    struct tcp_board *b = c->board;
    metric_add(&st->metrics.tlp_probes, 1);
    b->tlp_out = true;
    b->tlp_again = again;
    b->tlp_end = c->snd_max;
    b->calm = 0;
}

/* RFC 8985 7.4.2. */
bool tcp_tlp_ack(struct tcp_conn *c, const struct tcp_loss_event *e)
{
    struct tcp_board *b = c->board;
    if (!b->tlp_out || seq_lt(c->snd_una, b->tlp_end)) return false;
    bool duplicate = e->sack.has_dup && seq_le(e->sack.dup.end, b->tlp_end);
    bool both = e->acked == 0 && e->dupack && e->sack.count == 0;
    if (!b->tlp_again || duplicate || both) {
        b->tlp_out = false;
        return false;
    }
    if (c->snd_una == b->tlp_end) return false; /* the answer to the probe itself may still come */
    b->tlp_out = false;
    return true;
}
