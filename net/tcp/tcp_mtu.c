#include "net/tcp/tcp_mtu.h"

#include <errno.h>
#include <string.h>
#include "net/tcp/tcp.h"
#include "net/tcp/tcp_recovery.h"

static const uint16_t usual[] = {32000, 17914, 9000, 8166, 4352, 2002, 1500, 1492, 1420, 1280, 1006, TCP_MTU_LEAST_V4};

uint32_t tcp_mtu_below(uint32_t mtu)
{
    for (unsigned i = 0; i < RTE_DIM(usual); i++)
        if (usual[i] < mtu) return usual[i];
    return TCP_MTU_LEAST_V4;
}

uint32_t tcp_mtu_headers(const struct tcp_conn *c)
{
    return (tcp_conn_v6(c) ? TCP_IPV6_BYTES : TCP_IPV4_BYTES) + TCP_HEADER_BYTES +
           (c->flags & TCPF_TS ? TCP_TS_BYTES : 0);
}

/* False: they are that short already. */
static bool mss_lower(struct net_stack *st, struct tcp_conn *c, uint32_t mtu)
{
    mtu = RTE_MAX(mtu, tcp_conn_v6(c) ? TCP_MTU_LEAST_V6 : TCP_MTU_LEAST_V4);
    if (mtu - tcp_mtu_headers(c) >= c->mss) return false;
    c->mss = (uint16_t)(mtu - tcp_mtu_headers(c));
    metric_add(&st->metrics.mtu_lowered, 1);
    return true;
}

/* As after a timeout, but nothing says that the path is congested: the window stays. */
static void resend(struct net_stack *st, struct tcp_conn *c)
{
    if (c->flags & TCPF_PERSIST || c->snd_una == c->snd_max) return;
    c->flags &= ~(TCPF_TIMING | TCPF_RESEND_HEAD);
    c->recover = c->snd_max;
    c->flags |= TCPF_SLOW;
    if (tcp_board_begin(st, c))
        tcp_loss_timeout(st, c);
    else
        tcp_newreno_timeout(st, c);
}

void tcp_mtu_lower(struct net_stack *st, struct tcp_conn *c, uint32_t mtu)
{
    if (c->state < TCPS_ESTABLISHED || tcp_path_too_big(st, c, mtu) || !mss_lower(st, c, mtu)) return;
    tcp_path_lowered(st, c, true);
    resend(st, c);
    stack_touch(st, c);
}

void tcp_mtu_timeout(struct net_stack *st, struct tcp_conn *c)
{
    tcp_path_timeout(st, c);
    if (c->retries < TCP_MTU_BLACK_HOLE_RETRIES || c->state < TCPS_ESTABLISHED) return;
    uint32_t flight = RTE_MIN(c->snd_max - c->snd_una, c->txq.len);
    if (flight < c->mss) return; /* nothing so long was in flight */
    uint32_t mtu = RTE_MAX(tcp_mtu_below(c->mss + tcp_mtu_headers(c)), TCP_MTU_BLACK_HOLE_LEAST);
    if (!mss_lower(st, c, mtu)) return;
    tcp_path_lowered(st, c, false);
    metric_add(&st->metrics.mtu_black_holes, 1);
}

int net_mtu_probing_find(const char *name)
{
    static const char *const names[] = {"lowered", "never", "always"};
    for (unsigned i = 0; i < RTE_DIM(names); i++)
        if (strcmp(names[i], name) == 0) return (int)i;
    return -EINVAL;
}
