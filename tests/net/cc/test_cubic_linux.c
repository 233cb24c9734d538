/*
 * CUBIC beside a model of Linux's (tcp_cubic.c as of 6.1), which counts in whole segments and differs from RFC 9438 in
 * places: what both do after the same losses, and what each gets of a queue that drops at its end.
 */
#include <math.h>
#include <stdlib.h>
#include "net/tcp/tcp_cc_cubic.c"
#include "tests/net/sim/cmocka_all.h"

#define MSS 1448u
#define SECOND UINT64_C(1000000000)
#define MS UINT64_C(1000000)
#define SEGMENTS(n) ((n)*MSS)

#define SLOT_NS 300000u /* a segment at 40 Mb/s */
#define QUEUE_SEGMENTS 99u
#define QUEUE_LEAST 97u /* from here on it is chance: other frames are under way too */
#define REORDERED 3u
#define FLOWS 2u

static struct net_stack stack;

/* Of Linux's variables those that matter; windows in segments, times in seconds. */
struct model {
    unsigned cwnd, cwnd_count, ack_count, reno, last_max;
    double epoch, k, origin; /* epoch 0: not yet */
};

static double seconds_now(void)
{
    return (double)stack.now / 1e9;
}

static void model_epoch(struct model *m, unsigned acked)
{
    m->epoch = seconds_now();
    m->ack_count = acked;
    m->reno = m->cwnd;
    m->k = m->last_max > m->cwnd ? cbrt((m->last_max - m->cwnd) / 0.4) : 0;
    m->origin = RTE_MAX(m->last_max, m->cwnd);
}

/* ACKs to a segment more. */
static double model_pace(struct model *m, double rtt)
{
    double from_k = seconds_now() - m->epoch + rtt - m->k, target = m->origin + 0.4 * from_k * from_k * from_k;
    double pace = target > m->cwnd ? m->cwnd / (target - m->cwnd) : 100.0 * m->cwnd;
    unsigned delta = m->cwnd * 15 / 8;
    while (m->ack_count > delta) {
        m->ack_count -= delta;
        m->reno++;
    }
    if (m->reno > m->cwnd) pace = fmin(pace, (double)m->cwnd / (m->reno - m->cwnd));
    return fmax(floor(pace), 2);
}

static void model_on_ack(struct model *m, unsigned acked, double rtt)
{
    if (m->epoch == 0)
        model_epoch(m, acked);
    else
        m->ack_count += acked;
    unsigned pace = (unsigned)model_pace(m, rtt);
    if (m->cwnd_count >= pace) { /* what was saved up at a slower pace is worth one */
        m->cwnd_count = 0;
        m->cwnd++;
    }
    m->cwnd_count += acked;
    m->cwnd += m->cwnd_count / pace;
    m->cwnd_count %= pace;
}

static void model_on_loss(struct model *m)
{
    m->epoch = 0;
    m->last_max = m->cwnd < m->last_max ? m->cwnd * 17 / 20 : m->cwnd;
    m->cwnd = RTE_MAX(m->cwnd * 7 / 10, 2u);
    m->cwnd_count = 0;
}

static void ours_init(struct tcp_conn *c, uint64_t rtt)
{
    memset(c, 0, sizeof *c);
    c->stream.ops = &stack.stream_ops;
    c->mss = MSS;
    c->srtt = (uint32_t)rtt;
    c->cc = NET_TCP_CUBIC;
    tcp_cc_init(c);
}

static void ours_on_loss(struct tcp_conn *c)
{
    tcp_cc_congestion(c, c->cwnd, TCP_CC_LOSS);
    c->cwnd = c->ssthresh;
}

/* With Reno's growth in the lead, from each loss up to the window before it: never more than two segments apart.
 * Beyond, RFC 9438 4.3 has us grow faster than Linux does. */
static void test_comes_back_as_linux_does(void **state)
{
    (void)state;
    struct tcp_conn c;
    struct model m = {.cwnd = 0};
    const uint64_t rtt = 25 * MS;
    stack.now = 1000 * SECOND;
    ours_init(&c, rtt);
    for (unsigned before = 20; before <= 80; before++) {
        m.cwnd = before;
        c.cwnd = SEGMENTS(before);
        ours_on_loss(&c);
        model_on_loss(&m);
        unsigned rounds = 0;
        for (; m.cwnd < before; rounds++) {
            unsigned window = m.cwnd;
            for (unsigned acked = 0; acked < window; acked += 2) {
                stack.now += rtt * 2 / window;
                tcp_cc_of(&c)->on_ack(&c, 2 * MSS, 0);
                model_on_ack(&m, 2, (double)rtt / 1e9);
            }
            double ours = (double)c.cwnd / MSS;
            if (fabs(ours - m.cwnd) > 2) fail_msg("of %u segments %.1f instead of %u", before, ours, m.cwnd);
        }
        assert_in_range(rounds, before / 2, before); /* 0.3 of it at 8/15 a round trip */
    }
}

/* A sender as simple as may be: packet numbers never come twice, what is three behind has been lost. */
struct flow {
    struct tcp_conn *ours; /* or the model's */
    struct model model;
    unsigned next, in_flight, held, recover; /* held: arrived, the ACK delayed */
    unsigned lost[64], lost_count;
    unsigned delivered, events;
};

struct bottleneck {
    struct flow flows[FLOWS];
    struct {
        unsigned flow, number;
    } queue[QUEUE_SEGMENTS];
    unsigned first, len;
};

static unsigned flow_window(const struct flow *f)
{
    return f->ours ? f->ours->cwnd / MSS : f->model.cwnd;
}

static void flow_send(struct bottleneck *b, unsigned i)
{
    struct flow *f = &b->flows[i];
    for (; f->in_flight < flow_window(f); f->in_flight++, f->next++) {
        unsigned room = QUEUE_LEAST + (unsigned)random() % (QUEUE_SEGMENTS - QUEUE_LEAST + 1);
        if (b->len >= room) {
            assert_true(f->lost_count < RTE_DIM(f->lost));
            f->lost[f->lost_count++] = f->next;
            continue;
        }
        unsigned at = (b->first + b->len++) % QUEUE_SEGMENTS;
        b->queue[at].flow = i;
        b->queue[at].number = f->next;
    }
}

static void flow_lost(struct flow *f, unsigned number)
{
    f->in_flight--;
    if ((int)(number - f->recover) < 0) return;
    f->recover = f->next;
    f->events++;
    if (f->ours)
        ours_on_loss(f->ours);
    else
        model_on_loss(&f->model);
}

static void flow_acked(struct flow *f, unsigned number, unsigned rtt_slots)
{
    unsigned acked = f->held, kept = 0;
    f->in_flight -= acked;
    f->held = 0;
    for (unsigned i = 0; i < f->lost_count; i++) {
        if (number - f->lost[i] < UINT32_MAX / 2 && number - f->lost[i] >= REORDERED)
            flow_lost(f, f->lost[i]);
        else
            f->lost[kept++] = f->lost[i];
    }
    f->lost_count = kept;
    if ((int)(number - f->recover) < 0) return;
    if (f->ours) {
        f->ours->srtt = rtt_slots * SLOT_NS;
        tcp_cc_of(f->ours)->on_ack(f->ours, acked * MSS, 0);
    } else {
        model_on_ack(&f->model, acked, 0.0002);
    }
}

/* A segment leaves the queue, and arrives; every other one is acknowledged, or each while something is missing. */
static void bottleneck_slot(struct bottleneck *b)
{
    stack.now += SLOT_NS;
    if (b->len == 0) return;
    unsigned i = b->queue[b->first].flow, number = b->queue[b->first].number;
    struct flow *f = &b->flows[i];
    b->first = (b->first + 1) % QUEUE_SEGMENTS;
    b->len--;
    f->delivered++;
    if (++f->held < 2 && f->lost_count == 0) return;
    flow_acked(f, number, b->len + 1);
    flow_send(b, i);
}

/* The first flow's share in percent, over a minute. */
static double contest(bool first_ours, bool second_ours, unsigned seed)
{
    static struct tcp_conn conns[FLOWS];
    struct bottleneck b = {
        .flows = {{.ours = first_ours ? &conns[0] : NULL}, {.ours = second_ours ? &conns[1] : NULL}}};
    stack.now = 1000 * SECOND;
    srandom(seed);
    for (unsigned i = 0; i < FLOWS; i++) {
        ours_init(&conns[i], 30 * MS);
        conns[i].ssthresh = conns[i].cwnd = SEGMENTS(45);
        b.flows[i].model.cwnd = 45;
        flow_send(&b, i);
    }
    for (unsigned n = 0; n < 60 * SECOND / SLOT_NS; n++) bottleneck_slot(&b);
    if (getenv("BENCH_VERBOSE"))
        print_message("%s beside %s: %u and %u segments, %u and %u losses\n", first_ours ? "ours" : "Linux's",
                      second_ours ? "ours" : "Linux's", b.flows[0].delivered, b.flows[1].delivered, b.flows[0].events,
                      b.flows[1].events);
    return 100.0 * b.flows[0].delivered / (b.flows[0].delivered + b.flows[1].delivered);
}

static double mean_share(bool first_ours, bool second_ours)
{
    double sum = 0;
    for (unsigned seed = 1; seed <= 8; seed++) sum += contest(first_ours, second_ours, seed);
    return sum / 8;
}

static void test_shares_with_linux(void **state)
{
    (void)state;
    double same = mean_share(false, false), ours = mean_share(true, false), theirs = 100 - mean_share(false, true);
    if (getenv("BENCH_VERBOSE")) print_message("%.1f%%, ours %.1f%% and %.1f%%\n", same, ours, theirs);
    assert_true(same > 46 && same < 54); /* or the contest itself is not fair */
    assert_true(ours > 45 && ours < 55);
    assert_true(theirs > 45 && theirs < 55);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comes_back_as_linux_does),
        cmocka_unit_test(test_shares_with_linux),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
