/*
 * DCTCP (RFC 8257), the sender: cwnd falls by half the share of bytes that met a congestion mark. The receiver's exact
 * echo is in tcp_ecn.c. Without ECN on a connection it is NewReno.
 */
#include <rte_common.h>
#include "net/tcp/tcp_cc.h"

#define ALPHA_SHIFT 20u
#define ALPHA_ONE (1u << ALPHA_SHIFT)
#define GAIN_SHIFT 4u /* g = 1/16: RFC 8257 4.2 */

struct dctcp {
    uint32_t alpha;      /* share of marked bytes, averaged over windows, in ALPHA_ONE */
    tcp_seq start, end;  /* the window that is being observed */
    uint32_t marked;     /* bytes of it that met a mark */
    uint32_t credit;
};

_Static_assert(sizeof(struct dctcp) <= sizeof(uint32_t) * TCP_CC_WORDS, "fits the connection");

static struct dctcp *dctcp_of(struct tcp_conn *c) { return (struct dctcp *)(void *)c->cc_state; }

static void window_begin(struct dctcp *d, const struct tcp_conn *c)
{
    d->start = c->snd_una;
    d->end = c->snd_nxt;
    d->marked = 0;
}

/* RFC 8257 3.3, steps 3 to 7, when a window of data has been acknowledged. */
static void window_observe(struct dctcp *d, const struct tcp_conn *c)
{
    if (seq_le(c->snd_una, d->end) && c->snd_una - d->start <= d->end - d->start) return;
    uint32_t acked = c->snd_una - d->start, marked = RTE_MIN(d->marked, acked);
    uint32_t share = (uint32_t)(((uint64_t)marked << ALPHA_SHIFT) / acked);
    d->alpha += (share >> GAIN_SHIFT) - (d->alpha >> GAIN_SHIFT);
    d->alpha = RTE_MIN(d->alpha, ALPHA_ONE);
    window_begin(d, c);
}

static void dctcp_init(struct tcp_conn *c)
{
    struct dctcp *d = dctcp_of(c);
    d->alpha = ALPHA_ONE; /* cautious until something is known: 3.3 */
    window_begin(d, c);
}

static void dctcp_on_ack(struct tcp_conn *c, uint32_t acked, uint64_t rtt_ns)
{
    struct dctcp *d = dctcp_of(c);
    (void)rtt_ns;
    window_observe(d, c);
    if (c->cwnd < c->ssthresh) tcp_cc_slow_start(c, acked);
    else tcp_cc_additive(c, acked, &d->credit);
}

static void dctcp_on_mark(struct tcp_conn *c, uint32_t acked)
{
    struct dctcp *d = dctcp_of(c);
    window_observe(d, c);
    d->marked += acked;
}

static uint32_t dctcp_on_congestion(struct tcp_conn *c, uint32_t flight, enum tcp_cc_event event)
{
    struct dctcp *d = dctcp_of(c);
    uint32_t window = flight / 2; /* loss: as ever, 3.4 */
    d->credit = 0;
    if (event == TCP_CC_MARK) window = c->cwnd - (uint32_t)((uint64_t)c->cwnd * d->alpha >> (ALPHA_SHIFT + 1));
    return RTE_MAX(window, 2u * c->mss);
}

const struct tcp_cc tcp_cc_dctcp = {
    .name = "dctcp",
    .exact_marks = true,
    .init = dctcp_init,
    .on_ack = dctcp_on_ack,
    .on_mark = dctcp_on_mark,
    .on_congestion = dctcp_on_congestion,
};
