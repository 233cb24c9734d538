/* What the library needs to know of a connection beyond its stream: the one file here that looks into the TCP. */
#include <string.h>
#include "net/inspect.h"
#include "net/polar/polar_impl.h"
#include "net/tcp/tcp.h"
#include "net/tcp/tcp_cc.h"

#define TAIL_APPEND_MOST 512u /* bytes: more is better off in buffers of its own */

static const struct tcp_conn *conn_of(const struct stream *s)
{
    return (const struct tcp_conn *)(const void *)((const char *)s - offsetof(struct tcp_conn, stream));
}

void stream_names(const struct stream *s, struct net_endpoint *local, struct net_endpoint *peer)
{
    struct net_tcp_info info;
    net_stream_info(s, &info);
    *local = info.local;
    *peer = info.remote;
}

bool stack_has(const struct net_stack *st, const struct net_addr *addr) { return stack_owns(st, addr); }

uint16_t stream_mss(const struct stream *s) { return conn_of(s)->mss; }

const char *congestion_name(enum net_tcp_cc cc) { return tcp_cc_table[cc]->name; }

int stack_claim(struct net_stack *st, uint16_t port)
{
    return st->config.claim ? st->config.claim(st->config.claim_arg, port, true) : 0;
}

uint32_t stream_tail_append(struct stream *s, const void *data, uint32_t len)
{
    struct tcp_conn *c = tcp_conn_of(s);
    struct rte_mbuf *tail = c->txq.tail;
    if (!tail || !c->txq.len || len > TAIL_APPEND_MOST || c->state < TCPS_ESTABLISHED) return 0;
    if (!RTE_MBUF_DIRECT(tail) || rte_mbuf_refcnt_read(tail) != 1) return 0; /* frames in flight refer to it */
    uint32_t n = RTE_MIN(len, (uint32_t)rte_pktmbuf_tailroom(tail));
    memcpy(rte_pktmbuf_mtod_offset(tail, uint8_t *, tail->data_len), data, n);
    tail->data_len = (uint16_t)(tail->data_len + n);
    c->txq.len += n;
    s->tx_queued += n;
    return n;
}

struct stream_mark stream_mark_end(const struct stream *s)
{
    const struct tcp_conn *c = conn_of(s);
    return (struct stream_mark){.stream = s, .identity = c->iss, .end = c->snd_una + (c->state == TCPS_SYN_SENT) + c->txq.len};
}

bool stream_acked(const struct stream_mark *mark)
{
    const struct tcp_conn *c = conn_of(mark->stream);
    return c->iss == mark->identity && seq_ge(c->snd_una, mark->end);
}

int stream_mark_error(const struct stream_mark *mark)
{
    return conn_of(mark->stream)->iss == mark->identity ? mark->stream->error : 0;
}
