#include "net/tcp/tcp_recovery.h"

#include "net/tcp/tcp_cc.h"
#include "net/tcp/tcp_rack.h"

#define CALM_TIMES 64u /* flights in a row without trouble, after which the board goes back */
#define FRTO_SEGMENTS 2u

/* The latest time that `at` can stand for. */
static uint64_t fine_latest(const struct net_stack *st, tcp_fine at)
{
    uint64_t since = tcp_fine_since(at, st->now);
    return RTE_MIN(st->now - since + (1u << TCP_FINE_SHIFT) - 1, st->now);
}

struct tcp_board *tcp_board_begin(struct net_stack *st, struct tcp_conn *c)
{
    if (c->flags & TCPF_BOARD) return c->board;
    if (!(c->flags & TCPF_SACK)) return NULL;
    struct tcp_board *b = c->board ? c->board : tcp_board_get(st, c);
    if (!b) return NULL;
    tcp_board_reset(b, c->snd_una);
    /* Of what is in flight two times are known: of the segment being timed, and of the last one. */
    if (c->flags & TCPF_TIMING && seq_gt(c->rtt_seq, c->snd_una))
        tcp_board_sent(b, c->rtt_seq, fine_latest(st, c->rtt_start), TCP_SENT_GUESSED);
    if (seq_gt(c->snd_max, tcp_board_end(b))) tcp_board_sent(b, c->snd_max, fine_latest(st, c->sent_at), TCP_SENT_GUESSED);
    b->state = TCP_BOARD_OPEN;
    b->rack.fack = b->rack.sample_seq = c->snd_una;
    b->rack.multiplier = 1;
    b->rack.min_rtt = c->srtt;
    c->flags |= TCPF_BOARD;
    c->flags &= ~TCPF_TIMING; /* the board knows better */
    c->dupacks = 0;
    return b;
}

void tcp_sack_rx(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s)
{
    const uint32_t not = TCPF_BOARD | TCPF_SLOW | TCPF_PERSIST;
    if ((c->flags & (TCPF_SACK | not)) != TCPF_SACK || c->snd_una == c->snd_max || seq_lt(s->ack, c->snd_una)) return;
    if (tcp_sack_tells(c, s)) tcp_board_begin(st, c);
}

void tcp_loss_sent(struct net_stack *st, struct tcp_conn *c, uint32_t len)
{
    struct tcp_board *b = c->board;
    tcp_board_wake(st, b);
    tcp_board_room(st, b);
    tcp_board_sent(b, c->snd_max, st->now, 0);
    if (b->state == TCP_BOARD_RECOVERY) b->prr_out += len;
}

void tcp_loss_resent(struct net_stack *st, struct tcp_conn *c, tcp_seq start, tcp_seq end)
{
    struct tcp_board *b = c->board;
    tcp_board_room(st, b);
    tcp_board_resent(b, start, end, st->now);
    if (b->state == TCP_BOARD_OPEN) return; /* a tail loss probe */
    tcp_undo_resent(st, b, end - start);
    b->prr_out += end - start;
}

bool tcp_loss_may_resend(const struct tcp_conn *c) { return c->board->lost && c->board->frto < 2; }

static uint64_t window_now(const struct tcp_conn *c) { return tcp_rack_window(c->board, c->srtt, c->mss); }

/* Finds what is lost, and when to look again. */
static void detect(struct net_stack *st, struct tcp_conn *c)
{
    struct tcp_board *b = c->board;
    uint32_t before = b->lost;
    if (b->frto) return; /* the timeout may have been needless: its copies prove nothing yet */
    uint64_t wait = tcp_rack_detect(b, st->now, window_now(c));
    if (b->lost > before) metric_add(&st->metrics.rack_losses, (b->lost - before + c->mss - 1) / c->mss);
    if (c->flags & TCPF_PTO && (b->sacked || b->state != TCP_BOARD_OPEN)) tcp_rexmt_start(st, c);
    if (wait == 0) {
        if (c->flags & TCPF_REO) tcp_rexmt_start(st, c);
        return;
    }
    tcp_tick at = tcp_tick_at(st->now + wait);
    if (!(c->flags & TCPF_REO) && c->rexmt_at && !tcp_tick_before(at, c->rexmt_at)) return;
    c->flags &= ~TCPF_PTO;
    c->flags |= TCPF_REO;
    c->rexmt_at = at;
    tcp_timer_by(st, c, c->rexmt_at);
}

static void enter_recovery(struct net_stack *st, struct tcp_conn *c, uint32_t flight)
{
    struct tcp_board *b = c->board;
    metric_add(&st->metrics.sack_recoveries, 1);
    tcp_undo_save(st, c);
    tcp_cc_congestion(c, flight, TCP_CC_LOSS);
    tcp_prr_begin(c, flight);
    b->state = TCP_BOARD_RECOVERY;
    b->calm = 0;
    b->tlp_out = false;
    c->recover = c->snd_max;
    c->flags |= TCPF_SLOW;
    if (!(c->flags & TCPF_REO)) tcp_rexmt_start(st, c);
}

static void leave(struct net_stack *st, struct tcp_conn *c)
{
    struct tcp_board *b = c->board;
    if (b->state == TCP_BOARD_RECOVERY) {
        c->cwnd = RTE_MAX(c->ssthresh, (uint32_t)c->mss);
        tcp_rack_recovered(b);
    }
    b->state = TCP_BOARD_OPEN;
    b->frto = 0;
    c->flags &= ~TCPF_SLOW;
    if (c->snd_una != c->snd_max) tcp_rexmt_start(st, c); /* tail loss probes are allowed again */
}

/* RFC 5682 2.1, steps 2 and 3. True: the timeout was needless. */
static bool frto_ack(struct tcp_conn *c, const struct tcp_loss_event *e)
{
    struct tcp_board *b = c->board;
    if (b->frto == 0) return false;
    if (e->acked == 0) {
        if (e->dupack || e->sack.count) b->frto = 0; /* the first copy was needed */
        return false;
    }
    if (b->frto == 2) {
        b->frto = 0;
        if (e->news.original) return true;
        c->cwnd = tcp_board_pipe(b) + FRTO_SEGMENTS * c->mss;
        return false;
    }
    uint32_t flight = c->snd_nxt - c->snd_una;
    bool fresh = c->txq.len > flight && flight < c->snd_wnd;
    b->frto = fresh ? 2 : 0;
    if (fresh) c->cwnd = tcp_board_pipe(b) + FRTO_SEGMENTS * c->mss;
    return false;
}

/* Was the reduction needless? */
static bool needless(struct net_stack *st, struct tcp_conn *c, const struct tcp_loss_event *e)
{
    struct tcp_board *b = c->board;
    if (e->sack.has_dup && tcp_undo_dsack(b, &e->sack.dup, c->recover)) return true;
    if (b->state == TCP_BOARD_OPEN) return false;
    if (e->acked && tcp_undo_eifel(b, e->s)) {
        /* With a D-SACK it was the ACK that was lost: the time since then is not the path's. */
        if (b->state == TCP_BOARD_LOSS && !e->sack.has_dup) tcp_undo_rtt(st, c, e->s);
        return true;
    }
    return b->state == TCP_BOARD_LOSS && frto_ack(c, e);
}

static void open_ack(struct net_stack *st, struct tcp_conn *c, const struct tcp_loss_event *e, uint64_t rtt)
{
    struct tcp_board *b = c->board;
    if (tcp_tlp_ack(c, e)) {
        tcp_cc_congestion(c, e->flight, TCP_CC_LOSS);
        c->cwnd = RTE_MIN(c->cwnd, c->ssthresh);
        b->calm = 0;
    } else if (e->acked && e->flight >= c->cwnd / 2) {
        tcp_cc_of(c)->on_ack(c, e->acked, rtt);
    }
    if (b->sacked) detect(st, c);
    if (b->lost == 0 || tcp_path_probe_lost(st, c)) return;
    enter_recovery(st, c, e->flight);
    tcp_prr_ack(c, e->news.delivered, false);
}

static void recovery_ack(struct net_stack *st, struct tcp_conn *c, const struct tcp_loss_event *e, uint64_t rtt)
{
    struct tcp_board *b = c->board;
    uint32_t lost = b->lost;
    if (seq_ge(c->snd_una, c->recover)) {
        leave(st, c);
        return;
    }
    detect(st, c);
    if (b->state == TCP_BOARD_RECOVERY) {
        if (e->news.delivered) tcp_prr_ack(c, e->news.delivered, e->acked && b->lost <= lost);
    } else if (e->acked && b->frto == 0) {
        tcp_cc_of(c)->on_ack(c, e->acked, rtt);
    }
}

/*
 * Once a window: more samples would let the variance decay too fast. None after a timeout: what is acknowledged then may
 * have arrived long ago, and only its ACK been lost.
 */
static uint64_t sample(struct net_stack *st, struct tcp_conn *c, const struct tcp_news *news)
{
    struct tcp_rack *r = &c->board->rack;
    if (news->rtt == 0 || seq_lt(c->snd_una, r->sample_seq) || c->board->state == TCP_BOARD_LOSS) return 0;
    tcp_rtt_sample(st, c, news->rtt);
    r->sample_seq = c->snd_max;
    return news->rtt;
}

static void board_take_news(struct net_stack *st, struct tcp_conn *c, struct tcp_loss_event *e)
{
    struct tcp_board *b = c->board;
    tcp_board_room(st, b);
    tcp_rack_heard(b, st->now, c->srtt);
    if (e->acked) tcp_board_ack(b, c->snd_una, &e->news);
    tcp_sack_parse(st, c, e->s, &e->sack);
    for (unsigned i = 0; i < e->sack.count; i++) {
        tcp_seq start = seq_max(e->sack.block[i].start, c->snd_una);
        if (seq_lt(start, e->sack.block[i].end)) tcp_board_sack(b, start, e->sack.block[i].end, &e->news);
    }
    if (e->sack.count) b->calm = 0;
    if (e->sack.has_dup && !b->tlp_out) tcp_rack_dsack(b, c->snd_una, c->snd_max);
}

/* All has arrived. */
static void rest(struct net_stack *st, struct tcp_conn *c)
{
    if (++c->board->calm >= CALM_TIMES) tcp_board_put(st, c);
    else tcp_board_rest(st, c->board);
}

void tcp_loss_ack(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s, uint32_t acked, uint32_t flight,
                  bool dupack)
{
    struct tcp_loss_event e = {
        .s = s, .acked = acked, .flight = flight, .dupack = dupack,
        .news = {.now = st->now, .limit = c->recover, .has_echo = s->has_ts, .echo = s->ts_ecr,
                 .clock_offset = st->ts_offset}};
    board_take_news(st, c, &e);
    uint64_t rtt = sample(st, c, &e.news);
    if (needless(st, c, &e)) {
        tcp_undo(st, c);
        if (c->snd_una != c->snd_max) tcp_rexmt_start(st, c);
    } else if (c->board->state == TCP_BOARD_OPEN) {
        open_ack(st, c, &e, rtt);
    } else {
        recovery_ack(st, c, &e, rtt);
    }
    if (c->snd_una == c->snd_max) rest(st, c);
}

void tcp_loss_reo(struct net_stack *st, struct tcp_conn *c)
{
    struct tcp_board *b = c->board;
    tcp_rexmt_start(st, c);
    detect(st, c);
    if (b->lost == 0 || b->state != TCP_BOARD_OPEN || tcp_path_probe_lost(st, c)) return;
    enter_recovery(st, c, c->snd_max - c->snd_una);
    tcp_prr_ack(c, 0, false);
}

/* RFC 6298 5.4 to 5.6, RFC 8985 6.3. */
void tcp_loss_timeout(struct net_stack *st, struct tcp_conn *c)
{
    struct tcp_board *b = c->board;
    tcp_output_forward(c); /* the scoreboard says what is to be sent again */
    if (tcp_board_head_sacked(b)) { /* it was reported, yet never acknowledged: RFC 2018 8 */
        metric_add(&st->metrics.sack_reneged, 1);
        tcp_board_renege(b);
    }
    tcp_rack_timeout(b, st->now, window_now(c));
    b->frto = b->state == TCP_BOARD_OPEN && b->undo_valid && !(c->flags & TCPF_TS);
    b->state = TCP_BOARD_LOSS;
    b->tlp_out = false;
    b->calm = 0;
    c->flags |= TCPF_RESEND_HEAD;
}
