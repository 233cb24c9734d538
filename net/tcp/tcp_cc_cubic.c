/*
 * CUBIC (RFC 9438) with HyStart++ (RFC 9406) in the first slow start.
 *
 * Time runs in ticks of 2^20 ns: the curve's scale is seconds. Where a round trip is so short that the curve stands
 * still between losses, the Reno-friendly estimate leads (RFC 9438 4.3). Windows are computed at most CUBIC_STEPS times
 * a round trip; what was acknowledged between is credit. Integers only.
 */
#include <string.h>
#include <rte_common.h>
#include "net/tcp/tcp.h"
#include "net/tcp/tcp_cc.h"
#include "net/tcp/tcp_hystart.h"

#define TICK_SHIFT 20u
#define LAST_SHIFT 26u             /* ns to the unit of cubic.last */
#define LAST_MASK 0xfffu
#define OFFSET_MAX (1u << 17)      /* ticks: the curve is not followed further from K than 137 s */
#define K_MAX ((1u << 20) - 1)     /* ticks */
#define CUBIC_STEPS 32u

/* Beta is 0.7 and C is 0.4 segments per second^3, which is 2^-31 * 1014/1024 segments per tick^3. */
#define BETA(n) ((uint32_t)((uint64_t)(n) * 7 / 10))
#define FAST_CONVERGENCE(n) ((uint32_t)((uint64_t)(n) * 17 / 20)) /* (1 + beta) / 2 */
#define C_SHIFT 31u
#define C_NUMERATOR 1014u
#define C_DENOMINATOR 1024u
/* Reno's growth that gives the same share at this beta: 3 * (1 - beta) / (1 + beta). */
#define ALPHA_NUMERATOR 9u
#define ALPHA_DENOMINATOR 17u

struct cubic {
    uint32_t w_max;                /* bytes: where the curve is flat */
    union {
        struct hystart slow;       /* while ssthresh is infinite */
        struct {
            uint32_t epoch;        /* ticks, odd: when this congestion avoidance began; 0: not yet */
            uint32_t k : 20;       /* ticks after epoch at which the curve reaches w_max */
            uint32_t last : 12;    /* when cwnd was last computed */
            uint32_t w_est;        /* bytes: what Reno would have */
            uint32_t prior;        /* cwnd before the last reduction */
            uint32_t credit;       /* bytes acknowledged and not yet used */
        };
    };
};

_Static_assert(sizeof(struct cubic) <= sizeof(uint32_t) * TCP_CC_WORDS, "fits the connection");

static struct cubic *cubic_of(struct tcp_conn *c) { return (struct cubic *)(void *)c->cc_state; }

/* The largest r with r^3 <= n, n below 2^63. One division-free pass over 21 bits: it runs once an epoch. */
static uint32_t cube_root(uint64_t n)
{
    uint64_t r = 0;
    for (uint64_t bit = 1u << 20; bit; bit >>= 1) {
        uint64_t t = r | bit;
        if (t * t * t <= n) r = t;
    }
    return (uint32_t)r;
}

/* Bytes above (or below) w_max at so many ticks from K. */
static uint32_t curve(uint32_t offset, uint32_t mss)
{
    uint64_t d = RTE_MIN(offset, OFFSET_MAX);
    unsigned __int128 bytes = (unsigned __int128)(d * d * d) * (mss * C_NUMERATOR) >> C_SHIFT;
    return (uint32_t)RTE_MIN((uint64_t)(bytes / C_DENOMINATOR), (uint64_t)TCP_CWND_MAX);
}

/* W_cubic(t). RFC 9438 4.2. */
static uint32_t window_at(const struct cubic *q, uint32_t ticks, uint32_t mss)
{
    if (ticks >= q->k) return RTE_MIN(q->w_max + curve(ticks - q->k, mss), TCP_CWND_MAX);
    uint32_t below = curve(q->k - ticks, mss);
    return q->w_max > below ? q->w_max - below : 0;
}

static void epoch_begin(struct tcp_conn *c, struct cubic *q)
{
    q->epoch = (uint32_t)(tcp_stack_of(c)->now >> TICK_SHIFT) | 1;
    q->last = tcp_stack_of(c)->now >> LAST_SHIFT & LAST_MASK;
    q->w_est = c->cwnd;
    q->credit = 0;
    q->k = 0;
    if (c->cwnd >= q->w_max) { /* no loss to come back from, or it was a timeout: 4.8 */
        q->w_max = c->cwnd;
        return;
    }
    uint64_t cubed = ((uint64_t)(q->w_max - c->cwnd) << C_SHIFT) / c->mss * C_DENOMINATOR / C_NUMERATOR;
    q->k = RTE_MIN(cube_root(cubed), K_MAX);
}

/* Time in which the window was not the limit does not count: RFC 9438 4.2. A pause shows as a gap between ACKs. */
static void skip_pause(struct tcp_conn *c, struct cubic *q)
{
    uint32_t unit = tcp_stack_of(c)->now >> LAST_SHIFT & LAST_MASK, gap = (unit - q->last) & LAST_MASK;
    q->last = unit;
    if (gap > 2 + (c->srtt >> (LAST_SHIFT - 1))) q->epoch += (gap - 1) << (LAST_SHIFT - TICK_SHIFT);
}

static void friendly_step(const struct tcp_conn *c, struct cubic *q, uint32_t acked)
{
    uint64_t step = (uint64_t)c->mss * acked;
    uint64_t unit = c->cwnd;
    if (q->w_est < q->prior) {
        step *= ALPHA_NUMERATOR;
        unit *= ALPHA_DENOMINATOR;
    }
    q->w_est = (uint32_t)RTE_MIN(q->w_est + (step + unit / 2) / unit, (uint64_t)TCP_CWND_MAX);
}

static void avoid_congestion(struct tcp_conn *c, struct cubic *q, uint32_t acked)
{
    if (!q->epoch) epoch_begin(c, q);
    q->credit += acked;
    if (q->credit < c->cwnd / CUBIC_STEPS) return;
    uint32_t used = RTE_MIN(q->credit, c->cwnd);
    q->credit = 0;
    skip_pause(c, q);
    friendly_step(c, q, used);
    uint32_t ticks = (uint32_t)(tcp_stack_of(c)->now >> TICK_SHIFT) - q->epoch;
    if ((int32_t)ticks < 0) ticks = 0; /* the epoch's lowest bit is always set */
    if (window_at(q, ticks, c->mss) < q->w_est) {
        c->cwnd = RTE_MAX(c->cwnd, q->w_est);
        return;
    }
    uint32_t target = window_at(q, ticks + (uint32_t)(c->srtt >> TICK_SHIFT), c->mss);
    target = RTE_MIN(target, c->cwnd + c->cwnd / 2);
    if (target > c->cwnd) c->cwnd += (uint32_t)((uint64_t)(target - c->cwnd) * used / c->cwnd);
}

static void cubic_init(struct tcp_conn *c) { hystart_init(&cubic_of(c)->slow, c); }

static void cubic_on_ack(struct tcp_conn *c, uint32_t acked, uint64_t rtt_ns)
{
    struct cubic *q = cubic_of(c);
    if (c->ssthresh == TCP_CWND_MAX) {
        if (!hystart_on_ack(&q->slow, c, acked, rtt_ns)) return;
        c->ssthresh = c->cwnd;
        memset(q, 0, sizeof *q);
    } else if (c->cwnd < c->ssthresh) {
        tcp_cc_slow_start(c, acked);
    } else {
        avoid_congestion(c, q, acked);
    }
}

/* RFC 9438 4.6 to 4.8. */
static uint32_t cubic_on_congestion(struct tcp_conn *c, uint32_t flight, enum tcp_cc_event event)
{
    struct cubic *q = cubic_of(c);
    uint32_t last_max = q->w_max;
    memset(q, 0, sizeof *q);
    q->prior = c->cwnd;
    if (event == TCP_CC_TIMEOUT) q->w_max = 0;
    else q->w_max = c->cwnd < last_max ? FAST_CONVERGENCE(c->cwnd) : c->cwnd; /* others want a share: 4.7 */
    return RTE_MAX(BETA(RTE_MIN(flight, c->cwnd)), 2u * c->mss);
}

static void cubic_on_idle(struct tcp_conn *c)
{
    if (c->ssthresh != TCP_CWND_MAX) cubic_of(c)->epoch = 0;
}

const struct tcp_cc tcp_cc_cubic = {
    .name = "cubic",
    .init = cubic_init,
    .on_ack = cubic_on_ack,
    .on_congestion = cubic_on_congestion,
    .on_idle = cubic_on_idle,
};
