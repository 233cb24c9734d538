#include "net/tcp/tcp_ecn.h"

#include <errno.h>
#include <string.h>
#include <rte_byteorder.h>
#include "net/tcp/tcp_cc.h"

#define ECT0 2u

static const char *const names[] = {
    [NET_TCP_ECN_PASSIVE] = "passive", [NET_TCP_ECN_OFF] = "off", [NET_TCP_ECN_ON] = "on"};

int net_tcp_ecn_find(const char *name)
{
    for (int i = 0; i < (int)RTE_DIM(names); i++)
        if (strcmp(names[i], name) == 0) return i;
    return -EINVAL;
}

static bool asks(const struct net_stack *st, const struct tcp_conn *c)
{
    return st->config.tcp_ecn == NET_TCP_ECN_ON || tcp_cc_of(c)->exact_marks;
}

uint8_t tcp_ecn_syn_flags(const struct net_stack *st, struct tcp_conn *c)
{
    if (c->state != TCPS_SYN_SENT) return c->flags & TCPF_ECN ? TCP_ECE : 0;
    if (c->retries || !asks(st, c)) return 0;
    c->flags |= TCPF_ECN;
    return TCP_ECE | TCP_CWR;
}

bool tcp_ecn_syn_accepts(const struct net_stack *st, uint16_t flags)
{
    bool willing = st->config.tcp_ecn != NET_TCP_ECN_OFF || tcp_ecn_exact(st);
    return willing && (flags & (TCP_ECE | TCP_CWR)) == (TCP_ECE | TCP_CWR);
}

void tcp_ecn_syn_rx(const struct net_stack *st, struct tcp_conn *c, uint16_t flags)
{
    bool agreed = flags & TCP_ACK ? c->flags & TCPF_ECN && (flags & (TCP_ECE | TCP_CWR)) == TCP_ECE
                                  : tcp_ecn_syn_accepts(st, flags);
    if (agreed) c->flags |= TCPF_ECN;
    else c->flags &= ~TCPF_ECN;
}

void tcp_ecn_reduced(struct tcp_conn *c)
{
    c->flags |= TCPF_CWR;
    c->cwr_seq = c->snd_max;
}

/* RFC 3168 6.1.2: once a round trip. What was sent after the last reduction ends it. */
static void echo_rx(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s)
{
    uint32_t flight = c->snd_max - c->snd_una, acked = s->ack - c->snd_una;
    if (acked > flight) return; /* old, or not of this world: the ACK's own checks answer */
    if (tcp_cc_of(c)->on_mark) tcp_cc_of(c)->on_mark(c, acked);
    bool reacted = c->cwr_seq - s->ack <= c->snd_max - s->ack;
    if (flight == 0 || reacted || c->flags & TCPF_SLOW) return;
    metric_add(&st->metrics.ecn_reductions, 1);
    tcp_cc_congestion(c, flight, TCP_CC_MARK);
    c->cwnd = RTE_MIN(c->cwnd, c->ssthresh);
}

/* RFC 3168 6.1.3: from a mark on every ACK carries an echo, until the sender says that it has slowed down. */
static void mark_rx(struct tcp_conn *c, uint16_t flags)
{
    if (flags & TCP_CWR) c->flags &= ~TCPF_ECE;
    if (flags & TCP_CE) c->flags |= TCPF_ECE | TCPF_ACK_NOW;
}

/* RFC 8257 3.2: when marks begin or end, what came before is acknowledged first, with its own echo. */
static void mark_rx_exact(struct net_stack *st, struct tcp_conn *c, bool marked)
{
    bool before = c->flags & TCPF_ECE;
    if (marked == before) return;
    if (c->rcv_nxt != c->last_ack) tcp_frame_send(st, c, c->snd_nxt, TCP_ACK, NULL, 0, 0);
    if (marked) c->flags |= TCPF_ECE;
    else c->flags &= ~TCPF_ECE;
}

void tcp_ecn_rx(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s)
{
    if (s->flags & TCP_ECE && s->flags & TCP_ACK) echo_rx(st, c, s);
    if (s->len == 0) return;
    if (s->flags & TCP_CE) metric_add(&st->metrics.ecn_marks, 1);
    if (tcp_cc_of(c)->exact_marks) mark_rx_exact(st, c, s->flags & TCP_CE);
    else mark_rx(c, s->flags);
}

void tcp_ecn_capable(uint8_t *ip, uint64_t *ip_sum)
{
    if (ip[0] >> 4 == 6) { /* the traffic class lies across the first two bytes; there is no checksum */
        ip[1] |= ECT0 << 4;
    } else {
        ip[1] |= ECT0;
        *ip_sum += rte_cpu_to_be_16(ECT0);
    }
}

bool tcp_ecn_exact(const struct net_stack *st) { return tcp_cc_table[st->config.tcp_cc]->exact_marks; }

uint8_t tcp_ecn_tx(const struct tcp_conn *c, tcp_seq seq, uint32_t len, uint8_t *ip, uint64_t *ip_sum)
{
    uint8_t flags = c->flags & TCPF_ECE ? TCP_ECE : 0;
    if (len == 0 || seq_lt(seq, c->snd_max) || c->flags & TCPF_PERSIST) return flags;
    tcp_ecn_capable(ip, ip_sum);
    return c->flags & TCPF_CWR ? flags | TCP_CWR : flags;
}
