/* What the library needs to know of a connection beyond its stream: the one file here that looks into the TCP. */
#include <string.h>
#include "net/polar/polar_impl.h"
#include "net/tcp/tcp.h"
#include "net/tcp/tcp_cc.h"

#define TAIL_APPEND_MOST 512u /* bytes: more is better off in buffers of its own */
#define IP_SOURCE 26u
#define IP_DESTINATION 30u

static const struct tcp_conn *conn_of(const struct stream *s)
{
    return (const struct tcp_conn *)(const void *)((const char *)s - offsetof(struct tcp_conn, stream));
}

static uint32_t load32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint16_t load16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }

/* From the header template: it outlives the connection's place in the table. */
void stream_names(const struct stream *s, struct polar_name *local, struct polar_name *peer)
{
    const uint8_t *h = conn_of(s)->header;
    *local = (struct polar_name){.ip = load32(h + IP_SOURCE), .port = load16(h + TCP_OFFSET)};
    *peer = (struct polar_name){.ip = load32(h + IP_DESTINATION), .port = load16(h + TCP_OFFSET + 2)};
}

uint16_t stream_mss(const struct stream *s) { return conn_of(s)->mss; }

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
    return (struct stream_mark){.stream = s, .identity = c->iss, .end = c->snd_una + c->txq.len};
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

void stream_facts(const struct stream *s, struct stream_facts *out)
{
    const struct tcp_conn *c = conn_of(s);
    *out = (struct stream_facts){
        .state = c->state,
        .timestamps = c->flags & TCPF_TS,
        .sack = c->flags & TCPF_SACK,
        .scale = c->flags & TCPF_SCALE,
        .snd_scale = c->snd_scale,
        .rcv_scale = c->rcv_scale,
        .retries = c->retries,
        .probes = c->probes,
        .mss = c->mss ? c->mss : 1,
        .rcv_mss = c->rcv_mss,
        .peer_mss = c->peer_mss,
        .mtu = c->stack->config.mtu,
        .cwnd = c->cwnd,
        .ssthresh = c->ssthresh,
        .flight = c->snd_max - c->snd_una,
        .rcv_window = c->rcv_adv - c->rcv_nxt,
        .rto_ns = c->rto,
        .srtt_ns = c->srtt,
        .rttvar_ns = c->rttvar,
    };
}
