/* A segment for a connection: header prediction first, then the steps of RFC 9293 3.10.7 in their order. */
#include <errno.h>
#include <string.h>
#include "net/tcp/tcp.h"
#include "net/tcp/tcp_ecn.h"
#include "net/tcp/tcp_fast_open.h"

/* 24 days of our timestamp clock: when nothing was heard for longer, ts_recent says nothing: RFC 7323 5.5. */
#define TS_MAX_AGE (uint32_t)(UINT64_C(24) * 24 * 3600 * 1000000000 >> TCP_TS_SHIFT)

#define FAST_PATH_NOT (TCPF_RX_FULL | TCPF_SLOW | TCPF_PERSIST | TCPF_FIN_QUEUED | TCPF_FIN_SEEN | TCPF_ECE | TCPF_FAST_OPEN)

/* RFC 7323 4.3: the timestamp of the segment that the next ACK acknowledges first. */
static inline void ts_take(struct tcp_conn *c, const struct tcp_segment *s)
{
    if (!s->has_ts || seq_gt(s->seq, c->last_ack)) return;
    if ((int32_t)(s->ts_val - c->ts_recent) > 0) c->ts_recent = s->ts_val;
}

/* The path back leads to where the last good segment came from: neighbours move. */
static inline void peer_mac(struct tcp_conn *c, const struct tcp_segment *s)
{
    uint32_t ours, theirs;
    uint16_t ours_low, theirs_low;
    memcpy(&ours, c->mac, 4);
    memcpy(&theirs, s->frame + 6, 4);
    memcpy(&ours_low, c->mac + 4, 2);
    memcpy(&theirs_low, s->frame + 10, 2);
    if (unlikely(ours != theirs || ours_low != theirs_low)) tcp_conn_set_mac(c, s->frame + 6);
}

/*
 * The expected next segment of an established connection: in order, nothing held back, no recovery, no change of state.
 * False: not such a segment; nothing was done.
 */
static inline bool rx_fast_path(struct net_stack *st, struct tcp_conn *c, struct tcp_segment *s)
{
    if (c->state != TCPS_ESTABLISHED || (s->flags & ~TCP_PSH) != TCP_ACK) return false;
    if (s->seq != c->rcv_nxt || c->flags & FAST_PATH_NOT) return false;
    if (c->flags & TCPF_TS) {
        if (s->options_len != TCP_TS_BYTES || !s->has_ts) return false;
        if ((int32_t)(s->ts_val - c->ts_recent) < 0) return false;
    } else if (s->options_len) {
        return false;
    }
    uint32_t acked = s->ack - c->snd_una;
    if (acked > c->snd_max - c->snd_una || (acked | s->len) == 0) return false;
    if (s->len > c->rcv_adv - c->rcv_nxt || seq_lt(s->seq, c->snd_wl1)) return false; /* overtaken: its window is old */
    peer_mac(c, s);
    ts_take(c, s);
    c->snd_wl1 = s->seq;
    c->heard = st->ts_now;
    c->snd_wnd = (uint32_t)s->wnd << c->snd_scale;
    if (unlikely(c->snd_wnd > c->snd_wnd_max)) c->snd_wnd_max = c->snd_wnd;
    if (acked) {
        tcp_ack_advance(st, c, s);
        if (c->txq.len) stack_touch(st, c);
    }
    if (s->len) tcp_deliver(st, c, s);
    return true;
}

/* First: is it within the window, and not an old one of another turn of the sequence numbers? */
static bool rx_sequence(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s)
{
    bool rst = s->flags & TCP_RST;
    bool older = s->has_ts && c->flags & TCPF_TS && (int32_t)(s->ts_val - c->ts_recent) < 0 && !rst;
    if (older && st->ts_now - c->heard < TS_MAX_AGE) {
        metric_add(&st->metrics.drop_tcp_paws, 1);
        tcp_output_answer(st, c, s);
        return false;
    }
    uint32_t len = s->len + (s->flags & TCP_SYN ? 1 : 0) + (s->flags & TCP_FIN ? 1 : 0);
    uint32_t window = c->rcv_adv - c->rcv_nxt;
    bool starts_before_end = window ? seq_lt(s->seq, c->rcv_adv) : s->seq == c->rcv_nxt && len == 0;
    bool ends_after_start = len ? seq_gt(s->seq + len, c->rcv_nxt) : seq_ge(s->seq, c->rcv_nxt);
    if (starts_before_end && ends_after_start) {
        if (unlikely(older)) c->ts_recent = s->ts_val; /* the outdated one would be echoed for ever */
        return true;
    }
    if (len == 0 && s->seq == c->rcv_adv) return true; /* an ACK from the very edge */
    metric_add(&st->metrics.drop_tcp_window, 1);
    if (rst) return false;
    if (s->len) tcp_payload_old(st, c, s);
    if (len == 0 && !rate_take(&st->duplicate_rate, st->now)) return false; /* two such ACKs must not chase each other */
    tcp_output_answer(st, c, s);
    return false;
}

/* An unacceptable segment may still carry news: a probe of our closed window acknowledges, a kept-alive one too. */
static void rx_unacceptable_ack(struct net_stack *st, struct tcp_conn *c, struct tcp_segment *s)
{
    if ((s->flags & (TCP_ACK | TCP_RST | TCP_SYN)) != TCP_ACK) return;
    if (s->seq != c->rcv_nxt || c->rcv_adv != c->rcv_nxt) return;
    tcp_ack_rx(st, c, s);
}

/* Second: only the exact number resets; another within the window is asked to be repeated. RFC 5961 3. */
static bool rx_reset(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s)
{
    if (!(s->flags & TCP_RST)) return true;
    if (s->seq != c->rcv_nxt) {
        metric_add(&st->metrics.drop_tcp_challenged, 1);
        tcp_challenge(st, c, s);
        return false;
    }
    metric_add(&st->metrics.resets_received, 1);
    if (c->flags & TCPF_FAST_OPEN) tcp_fast_open_end(st, c, true);
    tcp_conn_fail(st, c, c->state == TCPS_SYN_RCVD && !(c->flags & TCPF_PASSIVE) ? ECONNREFUSED : ECONNRESET);
    return false;
}

/* Fourth: a SYN here is an attack, or a peer that has lost its memory and will reset us itself. RFC 5961 4. */
static bool rx_syn(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s)
{
    if (!(s->flags & TCP_SYN)) return true;
    metric_add(&st->metrics.drop_tcp_challenged, 1);
    tcp_challenge(st, c, s);
    return false;
}

/* The peer's SYN once more: our SYN-ACK was lost, or (with an ACK) both sides open and this ends the handshake. */
static bool rx_syn_again(struct net_stack *st, struct tcp_conn *c, struct tcp_segment *s)
{
    if (!(s->flags & TCP_SYN) || s->seq + 1 != c->rcv_nxt) return true;
    if (s->flags & TCP_ACK) {
        s->flags &= (uint16_t) ~(TCP_SYN | TCP_ECE | TCP_CWR);
        s->seq++;
        return true;
    }
    c->flags |= TCPF_SYN_DUE;
    stack_touch(st, c);
    return false;
}

/* Fifth: the handshake's ACK. False: answered or gone. */
static bool rx_handshake_ack(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s)
{
    if (s->ack != c->iss + 1) {
        tcp_frame_refuse(st, s);
        return false;
    }
    if (c->flags & TCPF_TIMING) {
        c->flags &= ~TCPF_TIMING;
        tcp_rtt_sample(st, c, tcp_fine_since(c->rtt_start, st->now));
    }
    c->snd_wnd = c->snd_wnd_max = (uint32_t)s->wnd << c->snd_scale;
    c->snd_wl1 = s->seq;
    return tcp_established(st, c);
}

/* Eighth. A FIN that came before what precedes it is remembered. */
static void rx_fin(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s, tcp_seq fin_seq)
{
    if (s->flags & TCP_FIN && !(c->flags & TCPF_EOF)) {
        c->flags |= TCPF_FIN_SEEN | TCPF_ACK_NOW; /* at once, also when it came before what precedes it */
        c->fin_seq = fin_seq;
        stack_touch(st, c);
    }
    if (c->flags & TCPF_FIN_SEEN && c->rcv_nxt == c->fin_seq) {
        c->flags &= ~TCPF_FIN_SEEN;
        tcp_fin_rx(st, c);
    }
}

/* A timestamp among other options. False: they are malformed. */
static bool segment_options(struct net_stack *st, struct tcp_segment *s)
{
    struct tcp_options o;
    if (s->has_ts || !s->options_len) return true;
    if (!tcp_options_parse(s->options, s->options_len, &o)) {
        metric_add(&st->metrics.drop_tcp_header, 1);
        return false;
    }
    s->has_ts = o.has_ts;
    s->ts_val = o.ts_val;
    s->ts_ecr = o.ts_ecr;
    return true;
}

/*
 * Before the seventh: new bytes for an application that has closed are lost, and the peer is told, by the number
 * that it expects. RFC 9293 3.6.1, RFC 1122 4.2.2.13. False: the connection is gone.
 */
static bool rx_unread(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s)
{
    if (s->len == 0 || !seq_gt(s->seq + s->len, c->rcv_nxt)) return true;
    metric_add(&st->metrics.drop_tcp_unread, 1);
    tcp_frame_send_alone(st, c, c->snd_una, c->rcv_nxt, TCP_RST | TCP_ACK);
    tcp_conn_fail(st, c, ECONNABORTED);
    return false;
}

static void rx_steps(struct net_stack *st, struct tcp_conn *c, struct tcp_segment *s)
{
    if (!segment_options(st, s)) return;
    if (c->state == TCPS_SYN_SENT) {
        tcp_syn_sent_rx(st, c, s);
        return;
    }
    if (c->state == TCPS_SYN_RCVD && !rx_syn_again(st, c, s)) return;
    if (unlikely(c->flags & TCPF_FAST_OPEN) && !tcp_fast_open_again(st, c, s)) return;
    if (!rx_sequence(st, c, s)) {
        rx_unacceptable_ack(st, c, s);
        return;
    }
    if (!rx_reset(st, c, s)) return;
    if (!rx_syn(st, c, s)) return;
    if (!(s->flags & TCP_ACK)) {
        metric_add(&st->metrics.drop_tcp_flags, 1);
        return;
    }
    if (c->state == TCPS_SYN_RCVD && !rx_handshake_ack(st, c, s)) return;
    if (unlikely(c->flags & TCPF_FAST_OPEN) && !tcp_fast_open_ack(st, c, s)) return;
    c->heard = st->ts_now;
    peer_mac(c, s);
    ts_take(c, s);
    if (c->flags & TCPF_ECN) tcp_ecn_rx(st, c, s);
    if (!tcp_ack_rx(st, c, s)) return;
    tcp_seq fin_seq = s->seq + s->len;
    if (unlikely((c->flags & (TCPF_ORPHAN | TCPF_EOF)) == TCPF_ORPHAN) && !rx_unread(st, c, s)) return;
    if (!(c->flags & TCPF_EOF)) tcp_payload_rx(st, c, s);
    else if (s->len) metric_add(&st->metrics.drop_tcp_unread, 1);
    rx_fin(st, c, s, fin_seq);
}

/* What the table's tag says at once, if it is right. */
static inline struct tcp_conn *conn_guessed(struct net_stack *st, const struct tcp_segment *s)
{
    if (unlikely(s->guess >= TCP_REF_SYN)) return NULL;
    struct tcp_conn *c = stack_conn(st, s->guess);
    return likely(c->state > TCPS_CLOSED && tcp_conn_matches(c, s)) ? c : NULL;
}

/* What nobody has a use for: a RST for no connection, no flag at all for a listener. RFC 9293 3.10.7.1, 3.10.7.2. */
static bool rx_useless(struct net_stack *st, const struct tcp_segment *s)
{
    if (s->flags & TCP_RST) return true;
    return !(s->flags & (TCP_SYN | TCP_ACK)) && tcp_listener_of(st, s);
}

/* A segment of no connection. Not NULL: it has completed a handshake, and the connection goes on with it. */
static struct tcp_conn *rx_stranger(struct net_stack *st, struct tcp_segment *s, uint32_t ref)
{
    bool nobodys = ref == TCP_TABLE_NONE;
    if (nobodys && (s->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN) return tcp_listen_rx(st, s); /* reads them itself */
    if (!segment_options(st, s)) return NULL;
    if (nobodys && unlikely(rx_useless(st, s))) {
        metric_add(&st->metrics.drop_tcp_flags, 1);
        return NULL;
    }
    if (nobodys) return tcp_listen_rx(st, s);
    if (ref & TCP_REF_SYN) return tcp_syncache_rx(st, ref, s);
    tcp_time_wait_rx(st, ref, s);
    return NULL;
}

struct tcp_conn *tcp_conn_find(struct net_stack *st, const struct tcp_tuple *t)
{
    uint32_t ref = tcp_table_find(&st->table, tcp_tuple_key(st->key_secret, t));
    if (ref >= TCP_REF_SYN) return NULL;
    struct tcp_tuple own;
    tcp_conn_tuple(stack_conn(st, ref), &own);
    return tcp_tuple_equal(t, &own) ? stack_conn(st, ref) : NULL;
}

/* Whose it is; NULL: nobody's, and what it asked for is done. */
static struct tcp_conn *conn_sought(struct net_stack *st, struct tcp_segment *s)
{
    uint32_t ref = tcp_table_find(&st->table, s->key);
    if (ref >= TCP_REF_SYN) return rx_stranger(st, s, ref);
    if (tcp_conn_matches(stack_conn(st, ref), s)) return stack_conn(st, ref);
    metric_add(&st->metrics.drop_tcp_collision, 1);
    return NULL;
}

void tcp_input(struct net_stack *st, struct tcp_segment *s)
{
    struct tcp_conn *c = conn_guessed(st, s);
    if (unlikely(!c)) c = conn_sought(st, s);
    if (likely(c != NULL) && !rx_fast_path(st, c, s)) rx_steps(st, c, s);
    if (s->m) rte_pktmbuf_free(s->m);
}
