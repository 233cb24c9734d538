/* Slow start and congestion avoidance of RFC 5681 with byte counting (RFC 3465). */
#include <rte_common.h>
#include "net/tcp/tcp_cc.h"

struct newreno {
    uint32_t credit; /* bytes acknowledged since cwnd last grew in congestion avoidance */
};

_Static_assert(sizeof(struct newreno) <= sizeof(uint32_t) * TCP_CC_WORDS, "fits the connection");

static struct newreno *newreno_of(struct tcp_conn *c) { return (struct newreno *)(void *)c->cc_state; }

static void newreno_on_ack(struct tcp_conn *c, uint32_t acked, uint64_t rtt_ns)
{
    (void)rtt_ns;
    if (c->cwnd < c->ssthresh) tcp_cc_slow_start(c, acked);
    else tcp_cc_additive(c, acked, &newreno_of(c)->credit);
}

static uint32_t newreno_on_congestion(struct tcp_conn *c, uint32_t flight, enum tcp_cc_event event)
{
    (void)event;
    newreno_of(c)->credit = 0;
    return RTE_MAX(flight / 2, 2u * c->mss);
}

const struct tcp_cc tcp_cc_newreno = {
    .name = "newreno",
    .on_ack = newreno_on_ack,
    .on_congestion = newreno_on_congestion,
};
