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
    bool empty = c->txq.head == NULL;
    s->tx_queued += chain->len;
    buf_chain_join(&c->txq, chain);
    if (!empty) return;
    c->tx_m = c->txq.head;
    c->tx_off = 0;
}

static void tcp_stream_flush(struct stream *s)
{
    struct tcp_conn *c = tcp_conn_of(s);
    if (c->state != TCPS_CLOSED) stack_touch(c->stack, c);
}

static void tcp_stream_consumed(struct stream *s, uint32_t n)
{
    struct tcp_conn *c = tcp_conn_of(s);
    struct net_stack *st = c->stack;
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
    tcp_close_send(c->stack, c);
}

static void tcp_stream_close(struct stream *s)
{
    struct tcp_conn *c = tcp_conn_of(s);
    struct net_stack *st = c->stack;
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
    c->linger_at = st->now + TCP_LINGER_NS;
    tcp_timer_by(st, c, c->linger_at);
}

static void tcp_stream_abort(struct stream *s)
{
    struct tcp_conn *c = tcp_conn_of(s);
    if (c->state > TCPS_SYN_SENT) tcp_conn_reset(c->stack, c);
    tcp_conn_free(c->stack, c);
}

/* The peer's name outlives the connection's place in the table: it is read from the header template. */
static void tcp_stream_peer(const struct stream *s, char *text, size_t cap)
{
    const struct tcp_conn *c = (const struct tcp_conn *)(const void *)((const char *)s - offsetof(struct tcp_conn, stream));
    struct tcp_tuple t;
    char peer[NET_ENDPOINT_TEXT];
    tcp_header_tuple(&c->header, &t);
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
