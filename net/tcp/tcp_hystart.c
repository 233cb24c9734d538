#include "net/tcp/tcp_hystart.h"

#include <rte_common.h>
#include "net/tcp/tcp_cc.h"

#define ENOUGH_SAMPLES 8u          /* N_RTT_SAMPLE */
#define CSS_DIVISOR 4u
#define CSS_ROUNDS 5u
#define RTT_DIVISOR 8u
/*
 * RFC 9406 asks for at least 4 ms more than before. Within a data centre whole queues are shorter than that: there an
 * eighth of the round trip is enough, if it is more than a busy peer's pause between two bursts.
 */
#define THRESHOLD_LEAST_NS 65536u
#define THRESHOLD_MOST_NS 16000000u

static void round_begin(struct hystart *h, const struct tcp_conn *c)
{
    h->round_end = c->snd_nxt;
    h->last_min = h->round_min;
    h->round_min = HYSTART_RTT_NONE;
    h->last_samples = h->samples;
    h->samples = 0;
}

void hystart_init(struct hystart *h, const struct tcp_conn *c)
{
    *h = (struct hystart){.round_end = c->snd_nxt, .last_min = HYSTART_RTT_NONE, .round_min = HYSTART_RTT_NONE,
                          .baseline = HYSTART_RTT_NONE};
}

static uint32_t threshold(uint32_t rtt)
{
    return RTE_MAX(RTE_MIN(rtt / RTT_DIVISOR, THRESHOLD_MOST_NS), THRESHOLD_LEAST_NS);
}

/* RFC 9406 4.2: longer than before begins conservative slow start, shorter than then ends it. */
static void compare(struct hystart *h)
{
    if (h->round_min == HYSTART_RTT_NONE) return;
    if (h->css_rounds) {
        if (h->round_min < h->baseline) h->css_rounds = 0;
    } else if (h->last_min != HYSTART_RTT_NONE && h->round_min >= h->last_min &&
               h->round_min - h->last_min >= threshold(h->last_min)) {
        h->baseline = h->round_min;
        h->css_rounds = 1;
    }
}

/* A connection that takes one sample a round trip will not see more of this round either. */
static bool enough(const struct hystart *h)
{
    return h->samples == ENOUGH_SAMPLES || (h->last_samples && h->samples >= h->last_samples);
}

bool hystart_on_ack(struct hystart *h, struct tcp_conn *c, uint32_t acked, uint64_t rtt_ns)
{
    if (rtt_ns) {
        h->round_min = RTE_MIN(h->round_min, (uint32_t)RTE_MIN(rtt_ns, (uint64_t)HYSTART_RTT_NONE - 1));
        if (h->samples < ENOUGH_SAMPLES) h->samples++;
        if (enough(h)) compare(h);
    }
    tcp_cc_slow_start(c, h->css_rounds ? acked / CSS_DIVISOR : acked);
    if (seq_lt(c->snd_una, h->round_end)) return false;
    if (!enough(h)) compare(h); /* the minimum of what there was */
    bool over = h->css_rounds && h->css_rounds++ == CSS_ROUNDS;
    round_begin(h, c);
    return over;
}
