/* How connections end: FIN in both directions, RST, failure, and the pool. RFC 9293 3.6. */
#include <string.h>
#include "net/tcp/tcp.h"
#include "net/tcp/tcp_fast_open.h"
#include "net/tcp/tcp_rx_memory.h"
#include "net/tcp/tcp_tuning.h"

static void queues_free(struct tcp_conn *c)
{
    if (c->txq.head) {
        uint32_t queued = c->txq.len;
        buf_chain_free(&(struct buf_chain){c->txq.head, c->txq.tail, queued});
        c->txq = (struct tcp_queue){0};
        if (!(c->flags & TCPF_ORPHAN)) stream_sent(&c->stream, queued);
    }
    c->tx_m = NULL;
    tcp_ooo_free(c);
    tcp_board_put(tcp_stack_of(c), c);
}

/* Off the wire: no table entry, no timer, no queues. */
static void detach(struct net_stack *st, struct tcp_conn *c)
{
    if (c->state <= TCPS_SYN_RCVD) {
        metric_sub(&st->metrics.half_open, 1);
        metric_add(&st->metrics.connections, 1);
    }
    if (c->flags & TCPF_FAST_OPEN) tcp_fast_open_end(st, c, false);
    wheel_disarm(&st->wheel, stack_conn_index(st, c));
    c->rexmt_at = c->output_at = c->linger_at = 0;
    queues_free(c);
    c->state = TCPS_CLOSED;
}

/* The list for output is left alone: net_stack_output puts a free connection that it finds there back into the pool. */
static void pool_put(struct net_stack *st, struct tcp_conn *c)
{
    c->state = TCPS_FREE;
    if (c->flags & TCPF_DIRTY) return;
    c->next_dirty = st->conn_free;
    st->conn_free = stack_conn_index(st, c) + 1;
    st->conn_count--;
}

void tcp_conn_free(struct net_stack *st, struct tcp_conn *c)
{
    if (c->state != TCPS_CLOSED) {
        tcp_table_remove(&st->table, tcp_conn_key(st, c));
        detach(st, c);
    }
    tcp_conn_drop_tuple(st, c);
    tcp_tuning_put(st, c);
    stream_unlist(&c->stream);
    buf_chain_free(&c->stream.rx);
    c->rx_held = 0;
    tcp_rx_memory_consumed(st, c, 0);
    metric_sub(&st->metrics.connections, 1);
    pool_put(st, c);
}

void tcp_conn_done(struct net_stack *st, struct tcp_conn *c)
{
    if (c->flags & TCPF_ORPHAN) {
        tcp_conn_free(st, c);
        return;
    }
    tcp_table_remove(&st->table, tcp_conn_key(st, c));
    detach(st, c);
}

void tcp_conn_fail(struct net_stack *st, struct tcp_conn *c, int err)
{
    bool known = !(c->state == TCPS_SYN_RCVD && c->flags & TCPF_PASSIVE); /* else no handler has heard of it */
    if (!known || c->flags & TCPF_ORPHAN) {
        tcp_conn_free(st, c);
        return;
    }
    tcp_conn_done(st, c);
    c->stream.error = err;
    tcp_raise(c, STREAM_ERROR);
}

void tcp_conn_reset(struct net_stack *st, struct tcp_conn *c)
{
    tcp_frame_send_alone(st, c, c->snd_nxt, c->rcv_nxt, TCP_RST | TCP_ACK);
}

/*
 * By connection: of a limit that all share, whoever has a connection of his own could see whether the segments that he
 * forges for another have spent some of it, and so whether he has guessed that one's numbers (CVE-2016-5696).
 */
static bool challenge_take(const struct net_stack *st, struct tcp_conn *c)
{
    uint8_t span = (uint8_t)(st->ts_now >> TCP_CHALLENGE_SHIFT);
    if (c->challenge_span != span) c->challenges = 0;
    c->challenge_span = span;
    if (c->challenges == TCP_CHALLENGES) return false;
    c->challenges++;
    return true;
}

void tcp_challenge(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s)
{
    if (!challenge_take(st, c)) {
        metric_add(&st->metrics.challenges_withheld, 1);
        return;
    }
    metric_add(&st->metrics.challenge_acks, 1);
    tcp_output_answer(st, c, s);
}

void tcp_close_send(struct net_stack *st, struct tcp_conn *c)
{
    switch (c->state) {
    case TCPS_SYN_SENT:
    case TCPS_SYN_RCVD: break; /* tcp_established goes on from here */
    case TCPS_ESTABLISHED: c->state = TCPS_FIN_WAIT_1; break;
    case TCPS_CLOSE_WAIT: c->state = TCPS_LAST_ACK; break;
    default: return;
    }
    c->flags |= TCPF_FIN_QUEUED;
    stack_touch(st, c);
}

/* Both FINs are through: a record waits in the connection's place. */
static void time_wait(struct net_stack *st, struct tcp_conn *c)
{
    tcp_time_wait_enter(st, c);
    detach(st, c);
    if (c->flags & TCPF_ORPHAN) tcp_conn_free(st, c);
}

void tcp_fin_rx(struct net_stack *st, struct tcp_conn *c)
{
    c->rcv_nxt++;
    c->flags |= TCPF_EOF | TCPF_ACK_NOW;
    tcp_raise(c, STREAM_EOF);
    stack_touch(st, c);
    switch (c->state) {
    case TCPS_ESTABLISHED: c->state = TCPS_CLOSE_WAIT; break;
    case TCPS_FIN_WAIT_1: c->state = TCPS_CLOSING; break;
    case TCPS_FIN_WAIT_2: time_wait(st, c); break;
    default: break;
    }
}

bool tcp_fin_acked(struct net_stack *st, struct tcp_conn *c)
{
    c->flags &= ~TCPF_FIN_QUEUED;
    switch (c->state) {
    case TCPS_FIN_WAIT_1: c->state = TCPS_FIN_WAIT_2; return true;
    case TCPS_CLOSING: time_wait(st, c); return false;
    case TCPS_LAST_ACK: tcp_conn_done(st, c); return false;
    default: return true;
    }
}
