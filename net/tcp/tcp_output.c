/* What a connection sends, once a turn: data, FIN, probes, and ACKs that nothing else carried. RFC 9293 3.8. */
#include "net/tcp/tcp.h"

#include <string.h>
#include "net/tcp/tcp_cc.h"
#include "net/tcp/tcp_fast_open.h"
#include "net/tcp/tcp_recovery.h"
#include "net/tcp/tcp_rx_memory.h"
#include "net/tso.h"

#define DUPACKS_MAX 8u /* sent in one turn */

uint16_t tcp_window_offer(const struct net_stack *st, struct tcp_conn *c, uint8_t scale)
{
    uint32_t room = tcp_rx_room(st, c);
    uint32_t step = RTE_MIN((uint32_t)c->mss, st->config.rx_window / 2);
    tcp_seq edge = c->rcv_nxt + room;
    /* Small steps are kept back, and what was offered is never taken away: RFC 9293 3.8.6.2.2. */
    if (seq_lt(edge, c->rcv_adv + step)) edge = c->rcv_adv;
    uint32_t window = RTE_MIN((edge - c->rcv_nxt) >> scale, (uint32_t)UINT16_MAX);
    c->rcv_adv = seq_max(c->rcv_adv, c->rcv_nxt + (window << scale));
    return (uint16_t)window;
}

/* The place n bytes after (m, off); the end of a queue is its last segment's end, so that what is appended follows. */
static void cursor_advance(struct rte_mbuf **m, uint32_t *off, uint32_t n)
{
    while (*off + n >= (*m)->data_len && (*m)->next) {
        n -= (*m)->data_len - *off;
        *m = (*m)->next;
        *off = 0;
    }
    *off += n;
}

void tcp_output_rewind(struct tcp_conn *c)
{
    c->snd_nxt = c->snd_una;
    c->tx_m = c->txq.head;
    c->txq.off = 0;
}

void tcp_output_forward(struct tcp_conn *c)
{
    uint32_t n = RTE_MIN(c->snd_max - c->snd_una, c->txq.len);
    tcp_output_rewind(c);
    c->snd_nxt = c->snd_max;
    if (n) cursor_advance(&c->tx_m, &c->txq.off, n);
}

void tcp_output_consume(struct tcp_conn *c, uint32_t n)
{
    uint32_t left = n;
    c->txq.len -= n;
    while (c->txq.head) {
        struct rte_mbuf *m = c->txq.head;
        if (left < m->data_len) {
            m->data_off = (uint16_t)(m->data_off + left);
            m->data_len = (uint16_t)(m->data_len - left);
            if (c->tx_m == m) c->txq.off = c->txq.off > left ? c->txq.off - left : 0;
            break;
        }
        left -= m->data_len;
        c->txq.head = m->next;
        if (c->tx_m == m) {
            c->tx_m = m->next;
            c->txq.off = 0;
        }
        m->next = NULL;
        m->nb_segs = 1;
        rte_pktmbuf_free_seg(m);
    }
    if (!c->txq.head) c->txq.tail = NULL;
    stream_sent(&c->stream, n);
}

static void out_of_buffers(struct net_stack *st, struct tcp_conn *c)
{
    metric_add(&st->metrics.tx_no_buffer, 1);
    c->output_at = tcp_tick_at(st->now + TCP_NO_BUFFER_NS);
    tcp_timer_by(st, c, c->output_at);
}

static void ack_sent(struct tcp_conn *c)
{
    c->flags &= ~TCPF_ACK_NOW;
    c->output_at = 0;
}

/* Data acknowledges too, but what came out of order is told by an ACK of its own: RFC 2018 4, RFC 5681 4.2. */
static void ack_carried(struct tcp_conn *c)
{
    if (likely(!c->ooo)) ack_sent(c);
}

static void syn_output(struct net_stack *st, struct tcp_conn *c)
{
    if (!(c->flags & TCPF_SYN_DUE)) return;
    int carried = tcp_frame_send_syn(st, c);
    if (carried < 0) {
        out_of_buffers(st, c);
        return;
    }
    c->flags &= ~TCPF_SYN_DUE;
    ack_sent(c);
    c->snd_nxt = c->iss + 1;
    c->snd_max = seq_max(c->snd_max, c->snd_nxt + (uint32_t)carried);
    if (c->retries == 0) {
        c->flags |= TCPF_TIMING;
        c->rtt_seq = c->snd_nxt;
        c->rtt_start = tcp_fine_at(st->now);
    }
    tcp_rexmt_start(st, c);
}

/* Sends len sequence numbers from snd_una + off on once more; m: where off lies in the queue. False: no buffer. */
static bool resend(struct net_stack *st, struct tcp_conn *c, uint32_t off, const struct rte_mbuf *m, uint32_t m_off,
                   uint32_t len)
{
    uint32_t data = RTE_MIN(len, c->txq.len > off ? c->txq.len - off : 0);
    bool fin = len > data;
    uint8_t flags = (uint8_t)(TCP_ACK | (data ? TCP_PSH : 0) | (fin ? TCP_FIN : 0));
    if (!tcp_frame_send(st, c, c->snd_una + off, flags, m, m_off, data)) return false;
    c->flags &= ~TCPF_TIMING;
    metric_add(&st->metrics.retransmits, 1);
    c->retransmits++;
    ack_carried(c);
    return true;
}

/* Sends the segment at snd_una again, whatever the window says. False: no buffer. */
static bool resend_head(struct net_stack *st, struct tcp_conn *c)
{
    uint32_t flight = c->snd_max - c->snd_una, len = RTE_MIN(c->txq.len, (uint32_t)c->mss);
    if (len == c->txq.len && c->flags & TCPF_FIN_QUEUED) len++;
    if (!resend(st, c, 0, c->txq.head, 0, RTE_MIN(len, flight))) return false;
    c->flags &= ~TCPF_RESEND_HEAD;
    tcp_rexmt_start(st, c);
    return true;
}

/* What the scoreboard takes for lost, oldest first, as the windows allow; once in any case after a timeout. */
static bool resend_lost(struct net_stack *st, struct tcp_conn *c)
{
    struct tcp_board *b = c->board;
    struct rte_mbuf *m = c->txq.head;
    uint32_t m_off = 0, at = 0; /* at: bytes of the queue before (m, m_off) */
    tcp_seq start = c->snd_una, end;
    while (tcp_loss_may_resend(c) && tcp_board_lost_next(b, start, &start, &end)) {
        bool forced = c->flags & TCPF_RESEND_HEAD;
        uint32_t off = start - c->snd_una, len = RTE_MIN(end - start, (uint32_t)c->mss);
        if (!forced && tcp_board_pipe(b) + len > c->cwnd) return true;
        if (off && off >= c->snd_wnd) return true;
        uint32_t data_off = RTE_MIN(off, c->txq.len);
        if (data_off > at) cursor_advance(&m, &m_off, data_off - at);
        at = data_off;
        if (!resend(st, c, off, m, m_off, len)) return false;
        tcp_loss_resent(st, c, start, start + len);
        if (!c->rexmt_at || forced || off == 0) tcp_rexmt_start(st, c);
        c->flags &= ~TCPF_RESEND_HEAD;
        start += len;
    }
    c->flags &= ~TCPF_RESEND_HEAD;
    return true;
}

/* A byte beyond a closed window, or what fits a very small one: its ACK tells the window. RFC 9293 3.8.6.1. */
static bool probe(struct net_stack *st, struct tcp_conn *c)
{
    uint32_t len = RTE_MIN(RTE_MIN(c->txq.len, RTE_MAX(c->snd_wnd, 1u)), (uint32_t)c->mss);
    if (!tcp_frame_send(st, c, c->snd_una, TCP_ACK | TCP_PSH, c->txq.head, 0, len)) return false;
    c->flags &= ~TCPF_PROBE_DUE;
    metric_add(&st->metrics.zero_window_probes, 1);
    c->snd_max = seq_max(c->snd_max, c->snd_una + len); /* so that its ACK is taken when the window had opened */
    if (c->flags & TCPF_BOARD) tcp_loss_sent(st, c, len);
    ack_carried(c);
    return true;
}

/*
 * RFC 9293 3.7.4, by option: a small segment waits while another is unacknowledged. Full ones in flight do not hold it
 * (Minshall's form), so that the end of a large write does not wait for the peer's delayed ACK. False: it goes, and is
 * remembered.
 */
static bool nagle_holds(struct tcp_conn *c)
{
    if (likely(!(c->flags & TCPF_NAGLE))) return false;
    if (c->flags & TCPF_SMALL) return c->snd_nxt != c->snd_una;
    c->flags |= TCPF_SMALL;
    return false;
}

/* The next segment is sent if it is full, or the last of the queue, or large for this peer. RFC 9293 3.8.6.2.1. */
static bool worth_sending(struct tcp_conn *c, uint32_t len, uint32_t unsent)
{
    return len >= c->mss || (len == unsent && !nagle_holds(c)) || len >= c->snd_wnd_max / 2;
}

static void data_sent(struct net_stack *st, struct tcp_conn *c, uint32_t len, bool fin)
{
    bool again = seq_lt(c->snd_nxt, c->snd_max);
    uint32_t before = c->snd_max - c->snd_una;
    c->snd_nxt += len + fin;
    c->snd_max = seq_max(c->snd_max, c->snd_nxt);
    if (len) cursor_advance(&c->tx_m, &c->txq.off, len);
    if (unlikely(c->flags & TCPF_BOARD)) tcp_loss_sent(st, c, c->snd_max - c->snd_una - before);
    if (unlikely(again)) {
        metric_add(&st->metrics.retransmits, 1);
        c->retransmits++;
        return;
    }
    c->sent_at = tcp_fine_at(st->now);
    if (!(c->flags & (TCPF_TIMING | TCPF_BOARD))) {
        c->flags |= TCPF_TIMING;
        c->rtt_seq = c->snd_nxt;
        c->rtt_start = tcp_fine_at(st->now);
    }
}

/* The last segment once more, or the next one if there is one, whatever cwnd says. False: no buffer. RFC 8985 7.3. */
static bool tail_probe(struct net_stack *st, struct tcp_conn *c)
{
    uint32_t flight = c->snd_max - c->snd_una;
    c->flags &= ~TCPF_TLP_DUE;
    if (flight == 0 || !(c->flags & TCPF_BOARD) || c->flags & (TCPF_SLOW | TCPF_PERSIST)) return true;
    uint32_t unsent = flight < c->txq.len ? c->txq.len - flight : 0;
    uint32_t len = RTE_MIN(unsent, (uint32_t)c->mss);
    bool fresh = len && c->snd_nxt == c->snd_max && flight + len <= c->snd_wnd;
    if (fresh) {
        if (!tcp_frame_send(st, c, c->snd_nxt, TCP_ACK | TCP_PSH, c->tx_m, c->txq.off, len)) return false;
        data_sent(st, c, len, false);
        ack_carried(c);
    } else {
        uint32_t off = flight - RTE_MIN(flight, (uint32_t)c->mss), m_off = 0;
        struct rte_mbuf *m = c->txq.head;
        if (off && m) cursor_advance(&m, &m_off, RTE_MIN(off, c->txq.len));
        if (!resend(st, c, off, m, m_off, flight - off)) return false;
        tcp_loss_resent(st, c, c->snd_una + off, c->snd_max);
    }
    tcp_tlp_sent(st, c, !fresh);
    tcp_rexmt_start(st, c);
    return true;
}

/* Bytes beyond snd_una that congestion control allows to be sent. */
static uint32_t congestion_window(const struct tcp_conn *c)
{
    const struct tcp_board *b = c->board;
    if (likely(!(c->flags & TCPF_BOARD))) return c->cwnd + (c->dupacks < 3 ? c->dupacks * (uint32_t)c->mss : 0); /* RFC 3042 */
    if (b->lost && tcp_loss_may_resend(c)) return 0; /* that goes first */
    return c->cwnd + b->sacked + b->lost;
}

/* Sends as much as both windows allow. False: no buffer. */
static bool data_output(struct net_stack *st, struct tcp_conn *c)
{
    uint32_t window = RTE_MIN(c->snd_wnd, congestion_window(c));
    for (;;) {
        uint32_t flight = c->snd_nxt - c->snd_una;
        if (flight > c->txq.len) return true; /* FIN included */
        uint32_t unsent = c->txq.len - flight;
        uint32_t room = window > flight ? window - flight : 0;
        uint32_t most = likely(!tcp_conn_v6(c)) ? st->config.tso_most : 0; /* ports are asked for IPv4 alone */
        uint32_t len = tso_payload(most, c->mss, c->tx_m, c->txq.off, RTE_MIN(unsent, room));
        bool fin = c->flags & TCPF_FIN_QUEUED && len == unsent;
        if (!fin && (len == 0 || !worth_sending(c, len, unsent))) return true;
        uint8_t flags = (uint8_t)(TCP_ACK | (len == unsent && len ? TCP_PSH : 0) | (fin ? TCP_FIN : 0));
        if (!tcp_frame_send(st, c, c->snd_nxt, flags, c->tx_m, c->txq.off, len)) return false;
        data_sent(st, c, len, fin);
        ack_carried(c);
    }
}

/* Data waits for a window that nothing in flight will open: probe from time to time. */
static void persist_start(struct net_stack *st, struct tcp_conn *c)
{
    if (c->rexmt_at || c->snd_nxt != c->snd_una) return;
    if (c->txq.len == 0) return;
    c->flags = (c->flags & ~(TCPF_PTO | TCPF_REO)) | TCPF_PERSIST;
    c->rexmt_at = tcp_tick_at(st->now + tcp_rto(st, c));
    tcp_timer_by(st, c, c->rexmt_at);
}

/* A number that the peer finds within its window also while we send again from further back. */
static tcp_seq acceptable_seq(const struct tcp_conn *c)
{
    tcp_seq edge = c->snd_una + c->snd_wnd;
    return seq_lt(edge, c->snd_max) ? edge : c->snd_max;
}

void tcp_output_answer(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s)
{
    uint8_t mac[6];
    memcpy(mac, c->mac, sizeof mac);
    if (likely(memcmp(mac, s->frame + 6, sizeof mac) == 0)) {
        c->flags |= TCPF_ACK_NOW;
        stack_touch(st, c);
        return;
    }
    tcp_conn_set_mac(c, s->frame + 6);
    if (!tcp_frame_send(st, c, acceptable_seq(c), TCP_ACK, NULL, 0, 0)) metric_add(&st->metrics.tx_no_buffer, 1);
    tcp_conn_set_mac(c, mac);
}

/* At the start, or by option, no ACK is delayed. */
static bool ack_quick(struct net_stack *st, struct tcp_conn *c)
{
    if (!tcp_frame_send(st, c, acceptable_seq(c), TCP_ACK, NULL, 0, 0)) return false;
    if ((c->flags & TCPF_QUICK) != TCP_QUICK_ALWAYS * TCP_QUICK_ONE) c->flags -= TCP_QUICK_ONE;
    return true;
}

/* An ACK that no data carried: at once when owed, else a little later in the hope of data. RFC 9293 3.8.6.3. */
static bool ack_output(struct net_stack *st, struct tcp_conn *c)
{
    if (c->flags & TCPF_ACK_NOW) {
        unsigned count = 1;
        if (unlikely(c->ooo != NULL)) { /* one for each segment, to a peer that counts them */
            count = RTE_MAX(1u, RTE_MIN(c->ooo->dupacks, DUPACKS_MAX));
            c->ooo->dupacks = 0;
        }
        while (count--)
            if (!tcp_frame_send(st, c, acceptable_seq(c), TCP_ACK, NULL, 0, 0)) return false;
        ack_sent(c);
    } else if (c->rcv_nxt != c->last_ack && !c->output_at) {
        if (unlikely(c->flags & TCPF_QUICK)) return ack_quick(st, c);
        c->output_at = tcp_tick_at(st->now + st->config.delayed_ack_ns);
        tcp_timer_by(st, c, c->output_at);
    }
    return true;
}

/* A segment longer than the path is known to take. False: no buffer. */
static bool path_probe(struct net_stack *st, struct tcp_conn *c)
{
    uint32_t len = tcp_path_probe(st, c);
    if (len == 0) return true;
    uint16_t mss = c->mss;
    c->mss = (uint16_t)len; /* the device is not to cut it */
    bool sent = tcp_frame_send(st, c, c->snd_nxt, TCP_ACK, c->tx_m, c->txq.off, len);
    c->mss = mss;
    if (!sent) return false;
    data_sent(st, c, len, false);
    ack_carried(c);
    tcp_path_probe_sent(st, c, len);
    return true;
}

/* What goes before new data. False: no buffer. */
static bool repair_output(struct net_stack *st, struct tcp_conn *c)
{
    bool ok = true;
    if (c->flags & TCPF_SYN_DUE && !tcp_fast_open_answer(st, c)) return false;
    if (c->flags & TCPF_BOARD && c->board->lost) ok = resend_lost(st, c);
    else if (c->flags & TCPF_RESEND_HEAD) ok = resend_head(st, c);
    if (ok && c->flags & TCPF_PROBE_DUE) ok = probe(st, c);
    if (ok && c->flags & TCPF_TLP_DUE) ok = tail_probe(st, c);
    if (ok && c->flags & TCPF_PATH) ok = path_probe(st, c);
    return ok;
}

void tcp_output(struct net_stack *st, struct tcp_conn *c)
{
    if (c->state <= TCPS_CLOSED) return;
    if (c->state <= TCPS_SYN_RCVD) {
        syn_output(st, c);
        return;
    }
    if (c->txq.len && c->snd_nxt == c->snd_una && tcp_fine_at(st->now) - c->sent_at > c->rto) tcp_cc_idle(c);
    bool ok = true;
    const uint32_t first = TCPF_RESEND_HEAD | TCPF_PROBE_DUE | TCPF_BOARD | TCPF_TLP_DUE | TCPF_SYN_DUE |
                           TCPF_PATH;
    if (unlikely(c->flags & first)) ok = repair_output(st, c);
    if (c->txq.len || c->flags & TCPF_FIN_QUEUED) {
        ok = ok && data_output(st, c);
        if (c->snd_nxt != c->snd_una && (!c->rexmt_at || c->flags & TCPF_PERSIST)) tcp_rexmt_start(st, c);
        persist_start(st, c);
    }
    ok = ok && ack_output(st, c);
    if (unlikely(!ok)) out_of_buffers(st, c);
}
