#include "net/tcp/tcp_gro.h"

#include <string.h>
#include <rte_ip.h>

/* Where they come from and go to, how they were treated on the way. */
static bool packets_alike(const struct tcp_segment *a, const struct tcp_segment *b)
{
    const uint8_t *p = a->frame + a->ip_at, *q = b->frame + b->ip_at;
    if (a->v6 != b->v6 || a->ports != b->ports || memcmp(a->frame, b->frame, 12) != 0) return false;
    if (a->v6) return memcmp(p, q, 4) == 0 && p[7] == q[7] && memcmp(p + 8, q + 8, 32) == 0;
    return p[1] == q[1] && p[8] == q[8] && memcmp(p + 12, q + 12, 8) == 0;
}

static bool follows(const struct tcp_segment *a, const struct tcp_segment *b)
{
    if (b->key != a->key || b->seq != a->seq + a->len || b->ack != a->ack || b->wnd != a->wnd) return false;
    if (b->len == 0 || (b->flags & ~TCP_PSH) != TCP_ACK || b->options_len != a->options_len) return false;
    if (a->has_ts && (b->ts_val != a->ts_val || b->ts_ecr != a->ts_ecr)) return false;
    return b->m->data_len > b->payload_off && packets_alike(a, b);
}

uint16_t tcp_gro_join(struct net_stack *st, struct tcp_segment *s, uint16_t left)
{
    uint32_t piece = s->len, last_len = s->len;
    uint16_t n = 1;
    struct rte_mbuf *m = s->m, *last = rte_pktmbuf_lastseg(m);
    if ((s->flags & ~TCP_PSH) != TCP_ACK || (s->options_len && !s->has_ts) || m->ol_flags & RTE_MBUF_F_RX_LRO) return 1;
    for (; n < left; n++) {
        struct tcp_segment *b = &s[n];
        if (s->flags & TCP_PSH || last_len != piece || b->len > piece || s->len + b->len > TCP_GRO_MOST) break;
        if (!follows(s, b) || b->m->ol_flags & RTE_MBUF_F_RX_LRO) break;
        struct rte_mbuf *more = b->m;
        more->data_off = (uint16_t)(more->data_off + b->payload_off);
        more->data_len = (uint16_t)(more->data_len - b->payload_off);
        last->next = more;
        last = rte_pktmbuf_lastseg(more);
        m->nb_segs = (uint16_t)(m->nb_segs + more->nb_segs);
        m->pkt_len += b->len;
        s->len += b->len;
        s->flags |= b->flags;
        last_len = b->len;
    }
    if (n == 1) return 1;
    m->ol_flags |= RTE_MBUF_F_RX_LRO;
    m->tso_segsz = (uint16_t)piece;
    metric_add(&st->metrics.gro_joined, n - 1u);
    return n;
}
