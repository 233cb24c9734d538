/* The stream interface (base/stream.h) of a connection. */
#include <stdio.h>
#include "net/tcp/tcp.h"
#include "net/tcp/tcp_rx_memory.h"

static void tcp_stream_send(struct stream *s, struct buf_chain *chain)
{
    struct tcp_conn *c = tcp_conn_of(s);
    if (c->state == TCPS_CLOSED || c->flags & TCPF_FIN_QUEUED || !chain->len) {
        buf_chain_free(chain);
        return;
    }
    struct tcp_queue *q = &c->txq;
    s->tx_queued += chain->len;
    q->len += chain->len;
    if (q->head) {
        q->tail->next = chain->head;
    } else {
        q->head = c->tx_m = chain->head;
        q->off = 0;
    }
    q->tail = chain->tail;
    buf_chain_init(chain);
}

static void tcp_stream_flush(struct stream *s)
{
    struct tcp_conn *c = tcp_conn_of(s);
    if (c->state != TCPS_CLOSED) stack_touch(tcp_stack_of(c), c);
}

static void tcp_stream_consumed(struct stream *s, uint32_t n)
{
    struct tcp_conn *c = tcp_conn_of(s);
    struct net_stack *st = tcp_stack_of(c);
    uint32_t before = c->rx_held;
    c->rx_held -= n;
    tcp_rx_memory_consumed(st, c, before);
    if (c->state == TCPS_CLOSED || c->flags & TCPF_EOF) return;
    uint32_t room = tcp_rx_room(st, c);
    room = RTE_MIN(room, (uint32_t)UINT16_MAX << c->rcv_scale); /* more cannot be offered: no news for the peer */
    uint32_t step = RTE_MIN(2u * c->mss, st->config.rx_window / 2);
    if (seq_lt(c->rcv_nxt + room, c->rcv_adv + step)) return;
    c->flags |= TCPF_ACK_NOW; /* window update: RFC 9293 3.8.6.2.2 */
    stack_touch(st, c);
}

static void tcp_stream_shutdown(struct stream *s)
{
    struct tcp_conn *c = tcp_conn_of(s);
    tcp_close_send(tcp_stack_of(c), c);
}

static void tcp_stream_close(struct stream *s)
{
    struct tcp_conn *c = tcp_conn_of(s);
    struct net_stack *st = tcp_stack_of(c);
    if (c->state <= TCPS_SYN_RCVD) {
        if (c->state == TCPS_SYN_RCVD) tcp_conn_reset(st, c);
        tcp_conn_free(st, c);
        return;
    }
    c->flags |= TCPF_ORPHAN;
    stream_unlist(s);
    s->want_writable = false;
    buf_chain_free(&s->rx);
    c->rx_held = 0;
    tcp_rx_memory_consumed(st, c, 0);
    tcp_close_send(st, c);
    tcp_linger_set(st, c, TCP_LINGER_NS);
}

static void tcp_stream_abort(struct stream *s)
{
    struct tcp_conn *c = tcp_conn_of(s);
    if (c->state > TCPS_SYN_SENT) tcp_conn_reset(tcp_stack_of(c), c);
    tcp_conn_free(tcp_stack_of(c), c);
}

/* The peer's name outlives the connection's place in the table. */
static void tcp_stream_peer(const struct stream *s, char *text, size_t cap)
{
    const struct tcp_conn *c = (const struct tcp_conn *)(const void *)((const char *)s - offsetof(struct tcp_conn, stream));
    struct tcp_tuple t;
    char peer[NET_ENDPOINT_TEXT];
    tcp_conn_tuple(c, &t);
    snprintf(text, cap, "%s",
             net_endpoint_format(&(struct net_endpoint){t.remote, tcp_tuple_remote_port(t.ports)}, peer));
}

const struct stream_ops tcp_stream_ops = {
    .send = tcp_stream_send,
    .flush = tcp_stream_flush,
    .consumed = tcp_stream_consumed,
    .shutdown = tcp_stream_shutdown,
    .close = tcp_stream_close,
    .abort = tcp_stream_abort,
    .peer = tcp_stream_peer,
    .name = "tcp",
};
