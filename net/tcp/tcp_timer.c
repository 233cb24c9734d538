/*
 * A connection's deadlines lie in it; the wheel is armed for the earliest of them or for less, and looks again when it
 * fires. So moving a deadline back, which each ACK does, costs a store.
 */
#include <errno.h>
#include "net/tcp/tcp.h"

#include "net/tcp/tcp_cc.h"
#include "net/tcp/tcp_fast_open.h"
#include "net/tcp/tcp_mtu.h"
#include "net/tcp/tcp_recovery.h"
#include "net/tcp/tcp_tuning.h"

#define RTT_LEAST_NS 1u
#define LINGER_LOOK (1 << 24) /* ticks of the timestamp clock: what lies beyond the wheel's reach is looked at on the way */

uint64_t tcp_rto(const struct net_stack *st, const struct tcp_conn *c)
{
    uint64_t rto = tcp_fine_ns(c->rto);
    for (unsigned i = 0; i < c->retries && rto < st->config.rto_max_ns; i++) rto *= 2;
    return RTE_MIN(rto, st->config.rto_max_ns);
}

void tcp_rexmt_start(struct net_stack *st, struct tcp_conn *c)
{
    uint64_t delay = tcp_tlp_delay(st, c);
    c->flags &= ~(TCPF_PERSIST | TCPF_PTO | TCPF_REO);
    if (delay) c->flags |= TCPF_PTO;
    else delay = tcp_rto(st, c);
    c->rexmt_at = tcp_tick_at(st->now + delay);
    tcp_timer_by(st, c, c->rexmt_at);
}

void tcp_rtt_sample(struct net_stack *st, struct tcp_conn *c, uint64_t rtt_ns)
{
    if (rtt_ns < RTT_LEAST_NS) rtt_ns = RTT_LEAST_NS;
    uint64_t srtt = c->srtt, rttvar = c->rttvar;
    if (srtt == 0) {
        srtt = rtt_ns;
        rttvar = rtt_ns / 2;
    } else {
        uint64_t error = srtt > rtt_ns ? srtt - rtt_ns : rtt_ns - srtt;
        rttvar += (error >> 2) - (rttvar >> 2);
        srtt += (rtt_ns >> 3) - (srtt >> 3);
    }
    uint64_t rto = srtt + RTE_MAX(4 * rttvar, (uint64_t)1 << WHEEL_TICK_SHIFT);
    rto = RTE_MIN(RTE_MAX(rto, st->config.rto_min_ns), st->config.rto_max_ns);
    c->rto = tcp_fine_at(RTE_MIN(rto, TCP_FINE_MAX_NS) + (1u << TCP_FINE_SHIFT) - 1);
    /* A longer round trip shows as one that varies: the timeout is right up to 21 s. */
    c->srtt = (uint32_t)RTE_MIN(srtt, (uint64_t)UINT32_MAX);
    c->rttvar = (uint32_t)RTE_MIN(rttvar, (uint64_t)UINT32_MAX);
}

void tcp_timer_rearm(struct net_stack *st, struct tcp_conn *c)
{
    tcp_tick at = tcp_conn_deadline(st, c);
    if (at) wheel_arm(&st->wheel, stack_conn_index(st, c), at, st->now);
    else wheel_disarm(&st->wheel, stack_conn_index(st, c));
}

void tcp_linger_set(struct net_stack *st, struct tcp_conn *c, uint64_t after_ns)
{
    uint32_t at = (uint32_t)((st->now + after_ns) >> TCP_TS_SHIFT) + 1 + st->ts_offset;
    c->linger_at = at ? at : 1;
    tcp_timer_by(st, c, tcp_linger_tick(st, c));
}

tcp_tick tcp_linger_tick(const struct net_stack *st, const struct tcp_conn *c)
{
    int32_t left = RTE_MIN(RTE_MAX((int32_t)(c->linger_at - st->ts_now), 0), LINGER_LOOK);
    return tcp_tick_at((((st->now >> TCP_TS_SHIFT) + (uint64_t)left) << TCP_TS_SHIFT) - 1);
}

/* Its SYN or SYN-ACK is what the timer runs for. */
static bool opening(const struct tcp_conn *c) { return c->state <= TCPS_SYN_RCVD || c->flags & TCPF_FAST_OPEN; }

static uint8_t retries_max(const struct tcp_conn *c)
{
    return opening(c) ? TCP_RETRIES_SYN : TCP_RETRIES_DATA;
}

/* RFC 6298 5.4 to 5.7; RFC 5681 3.1: the first timeout of a segment halves ssthresh, later ones of the same do not. */
static void retransmit(struct net_stack *st, struct tcp_conn *c)
{
    metric_add(&st->metrics.rto_fired, 1);
    c->flags &= ~(TCPF_TIMING | TCPF_RESEND_HEAD);
    if (opening(c)) {
        c->flags |= TCPF_SYN_DUE;
        if (c->state == TCPS_SYN_SENT) tcp_fast_open_unanswered(st, c);
        return;
    }
    bool board = tcp_board_begin(st, c) != NULL;
    if (!c->board && !(c->flags & TCPF_SACK)) tcp_board_get(st, c); /* for what is to be undone; without one nothing is */
    if (c->retries == 1) {
        if (c->board && !(c->flags & TCPF_SLOW)) tcp_undo_save(st, c);
        tcp_cc_congestion(c, c->snd_max - c->snd_una, TCP_CC_TIMEOUT);
    }
    c->cwnd = c->mss;
    c->recover = c->snd_max;
    c->flags |= TCPF_SLOW;
    if (board) tcp_loss_timeout(st, c);
    else tcp_newreno_timeout(st, c);
}

/* What comes before the retransmission timeout, and is none. */
static void early_due(struct net_stack *st, struct tcp_conn *c)
{
    bool probe = c->flags & TCPF_PTO;
    c->flags &= ~(TCPF_PTO | TCPF_REO);
    if (!probe) {
        tcp_loss_reo(st, c);
    } else {
        tcp_tlp_due(st, c);
        c->rexmt_at = tcp_tick_at(st->now + tcp_rto(st, c));
    }
    stack_touch(st, c);
}

/* False: the connection is gone. */
static bool rexmt_due(struct net_stack *st, struct tcp_conn *c)
{
    bool persist = c->flags & TCPF_PERSIST;
    if (c->flags & (TCPF_PTO | TCPF_REO)) {
        early_due(st, c);
        return true;
    }
    if ((persist ? c->probes : c->retries) >= retries_max(c)) {
        if (c->state > TCPS_SYN_RCVD) tcp_conn_reset(st, c);
        tcp_conn_fail(st, c, ETIMEDOUT);
        return false;
    }
    if (c->retries < UINT8_MAX) c->retries++;
    if (persist) {
        c->probes++;
        c->flags |= TCPF_PROBE_DUE;
        c->rexmt_at = tcp_tick_at(st->now + tcp_rto(st, c));
    } else {
        c->rexmt_at = 0; /* sending starts it again, or a closed window begins to be probed */
        retransmit(st, c);
        if (c->retries > 2 && c->state >= TCPS_ESTABLISHED) neighbour_doubt(st, c);
        tcp_mtu_timeout(st, c);
    }
    stack_touch(st, c);
    return true;
}

/* What is due by the wheel's time: should nobody have turned it for hours, a deadline is still not taken for a later one. */
static void conn_fire(struct net_stack *st, struct tcp_conn *c)
{
    tcp_tick now = (tcp_tick)st->wheel.now;
    if (c->linger_at && (int32_t)(st->ts_now - c->linger_at) >= 0) {
        if (!(c->flags & TCPF_ORPHAN)) {
            if (!tcp_watch_due(st, c)) return;
        } else {
            tcp_conn_reset(st, c);
            tcp_conn_fail(st, c, ETIMEDOUT);
            return;
        }
    }
    if (tcp_tick_due(c->rexmt_at, now) && !rexmt_due(st, c)) return;
    if (tcp_tick_due(c->output_at, now)) {
        c->output_at = 0;
        if (c->rcv_nxt != c->last_ack) c->flags |= TCPF_ACK_NOW;
        stack_touch(st, c);
    }
    tcp_timer_rearm(st, c);
}

unsigned tcp_timers(struct net_stack *st)
{
    unsigned n = 0;
    uint32_t index;
    while ((index = wheel_pop(&st->wheel, st->now)) != WHEEL_NONE) {
        conn_fire(st, stack_conn(st, index));
        n++;
    }
    return n;
}
