/* What all congestion control algorithms have in common. RFC 5681, 3465, 6928. */
#include "net/tcp/tcp_cc.h"

#include <errno.h>
#include <string.h>
#include <rte_common.h>
#include "net/tcp/tcp_ecn.h"

#define INITIAL_WINDOW_SEGMENTS 10u
#define INITIAL_WINDOW_BYTES 14600u
#define SLOW_START_SEGMENTS 8u /* an ACK counts for so many at most, so that bursts are bounded: RFC 9406 4.2 */

const struct tcp_cc *const tcp_cc_table[] = {
    [NET_TCP_CUBIC] = &tcp_cc_cubic,
    [NET_TCP_NEWRENO] = &tcp_cc_newreno,
    [NET_TCP_DCTCP] = &tcp_cc_dctcp,
};

_Static_assert(sizeof tcp_cc_table / sizeof *tcp_cc_table == NET_TCP_CC_COUNT, "one algorithm a name");

int net_tcp_cc_find(const char *name)
{
    for (int i = 0; i < NET_TCP_CC_COUNT; i++)
        if (strcmp(tcp_cc_table[i]->name, name) == 0) return i;
    return -EINVAL;
}

uint32_t tcp_cc_initial_window(const struct tcp_conn *c)
{
    uint32_t most = RTE_MAX(2u * c->mss, INITIAL_WINDOW_BYTES);
    return RTE_MIN(INITIAL_WINDOW_SEGMENTS * c->mss, most);
}

void tcp_cc_init(struct tcp_conn *c)
{
    memset(c->cc_state, 0, sizeof c->cc_state);
    c->cwnd = tcp_cc_initial_window(c);
    c->ssthresh = TCP_CWND_MAX;
    c->cwr_seq = c->iss;
    if (tcp_cc_of(c)->init) tcp_cc_of(c)->init(c);
}

void tcp_cc_change(struct tcp_conn *c, enum net_tcp_cc cc)
{
    if (c->cc == cc) return;
    c->cc = (uint8_t)cc;
    memset(c->cc_state, 0, sizeof c->cc_state);
    if (tcp_cc_of(c)->init) tcp_cc_of(c)->init(c);
}

void tcp_cc_congestion(struct tcp_conn *c, uint32_t flight, enum tcp_cc_event event)
{
    c->ssthresh = tcp_cc_of(c)->on_congestion(c, flight, event);
    if (c->flags & TCPF_ECN) tcp_ecn_reduced(c);
}

void tcp_cc_idle(struct tcp_conn *c)
{
    c->cwnd = RTE_MIN(c->cwnd, tcp_cc_initial_window(c));
    if (tcp_cc_of(c)->on_idle) tcp_cc_of(c)->on_idle(c);
}

void tcp_cc_save(const struct tcp_conn *c, struct tcp_cc_saved *saved)
{
    saved->cwnd = c->cwnd;
    saved->ssthresh = c->ssthresh;
    memcpy(saved->state, c->cc_state, sizeof saved->state);
}

void tcp_cc_undo(struct tcp_conn *c, const struct tcp_cc_saved *saved)
{
    c->cwnd = RTE_MAX(c->cwnd, saved->cwnd);
    c->ssthresh = RTE_MAX(c->ssthresh, saved->ssthresh);
    memcpy(c->cc_state, saved->state, sizeof saved->state);
}

void tcp_cc_slow_start(struct tcp_conn *c, uint32_t acked)
{
    c->cwnd = RTE_MIN(c->cwnd + RTE_MIN(acked, SLOW_START_SEGMENTS * c->mss), RTE_MAX(c->ssthresh, c->cwnd));
}

void tcp_cc_additive(struct tcp_conn *c, uint32_t acked, uint32_t *credit)
{
    *credit += acked;
    if (*credit < c->cwnd) return;
    *credit -= c->cwnd;
    if (*credit > c->cwnd) *credit = c->cwnd; /* it has fallen since */
    c->cwnd = RTE_MIN(c->cwnd + c->mss, TCP_CWND_MAX);
}
