/* Slow start and congestion avoidance of RFC 5681 with byte counting (RFC 3465) and an initial window of 10 (RFC 6928). */
#include "net/tcp/tcp_cc.h"

#define INITIAL_WINDOW_SEGMENTS 10u
#define INITIAL_WINDOW_BYTES 14600u
#define CWND_MAX (1u << 30)

static uint32_t initial_window(const struct tcp_conn *c)
{
    uint32_t floor = 2u * c->mss > INITIAL_WINDOW_BYTES ? 2u * c->mss : INITIAL_WINDOW_BYTES;
    uint32_t window = INITIAL_WINDOW_SEGMENTS * c->mss;
    return window < floor ? window : floor;
}

static void newreno_init(struct tcp_conn *c)
{
    c->cwnd = initial_window(c);
    c->ssthresh = CWND_MAX;
}

static void newreno_on_ack(struct tcp_conn *c, uint32_t acked)
{
    if (c->cwnd < c->ssthresh) {
        uint32_t most = 2u * c->mss;
        c->cwnd += acked < most ? acked : most;
    } else {
        uint32_t step = (uint32_t)c->mss * c->mss / c->cwnd;
        c->cwnd += step ? step : 1;
    }
    if (c->cwnd > CWND_MAX) c->cwnd = CWND_MAX;
}

static void halve(struct tcp_conn *c, uint32_t flight)
{
    uint32_t least = 2u * c->mss;
    c->ssthresh = flight / 2 > least ? flight / 2 : least;
}

static void newreno_on_loss(struct tcp_conn *c, uint32_t flight)
{
    halve(c, flight);
    c->cwnd = c->ssthresh + 3u * c->mss;
}

static void newreno_on_timeout(struct tcp_conn *c, uint32_t flight)
{
    halve(c, flight);
    c->cwnd = c->mss;
}

static void newreno_on_idle(struct tcp_conn *c)
{
    uint32_t window = initial_window(c);
    if (c->cwnd > window) c->cwnd = window;
}

const struct tcp_cc tcp_cc_newreno = {
    .name = "newreno",
    .init = newreno_init,
    .on_ack = newreno_on_ack,
    .on_loss = newreno_on_loss,
    .on_timeout = newreno_on_timeout,
    .on_idle = newreno_on_idle,
};
