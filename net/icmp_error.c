#include "net/icmp_error.h"

#include <errno.h>
#include "net/stack_impl.h"
#include "net/tcp/tcp.h"
#include "net/tcp/tcp_mtu.h"

/* The connection that has the quoted segment in flight; else it is counted, NULL. */
static struct tcp_conn *conn_of(struct net_stack *st, const uint8_t *quoted, uint32_t len)
{
    struct tcp_tuple t;
    struct tcp_conn *c = NULL;
    uint32_t header = len && quoted[0] >> 4 == 6 ? TCP_IPV6_BYTES : TCP_IPV4_BYTES;
    if (len >= header + 8 && tcp_tuple_of_sent(quoted, len, &t)) c = tcp_conn_find(st, &t);
    if (c) {
        uint32_t seq;
        memcpy(&seq, quoted + header + 4, sizeof seq);
        seq = rte_be_to_cpu_32(seq);
        bool in_flight = seq_ge(seq, c->snd_una) && seq_lt(seq, c->snd_max);
        if (c->state > TCPS_CLOSED && in_flight) return c;
    }
    metric_add(&st->metrics.icmp_errors_ignored, 1);
    return NULL;
}

void icmp_error_unreachable(struct net_stack *st, const uint8_t *quoted, uint32_t len, bool refused)
{
    struct tcp_conn *c = conn_of(st, quoted, len);
    if (!c) return;
    metric_add(&st->metrics.icmp_errors, 1);
    if (c->state == TCPS_SYN_SENT) tcp_conn_fail(st, c, refused ? ECONNREFUSED : EHOSTUNREACH);
}

void icmp_error_too_big(struct net_stack *st, const uint8_t *quoted, uint32_t len, uint32_t mtu)
{
    struct tcp_conn *c = conn_of(st, quoted, len);
    if (!c) return;
    metric_add(&st->metrics.icmp_errors, 1);
    bool v6 = quoted[0] >> 4 == 6;
    uint32_t sent = (uint32_t)(v6 ? quoted[4] << 8 | quoted[5] : quoted[2] << 8 | quoted[3]) + (v6 ? TCP_IPV6_BYTES : 0);
    if (mtu == 0 && !v6) mtu = tcp_mtu_below(sent);
    bool possible = !v6 || mtu >= TCP_MTU_LEAST_V6; /* no link of IPv6 takes less: RFC 8201 4 */
    if (mtu < sent && possible) tcp_mtu_lower(st, c, mtu);
    else metric_add(&st->metrics.icmp_errors_ignored, 1);
}
