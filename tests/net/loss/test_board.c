/* The scoreboard against a model that keeps each byte by itself, around the wrap of the sequence numbers. */
#include <stdlib.h>
#include <string.h>
#include "net/tcp/tcp_board.h"
#include "tests/net/sim/cmocka_all.h"

#define BYTES 4096u
#define STEPS 20000u

struct model {
    uint8_t flags[BYTES]; /* by sequence number modulo BYTES */
    uint64_t at[BYTES];
    tcp_seq una, nxt;
};

static uint64_t rng;

static uint32_t pick(uint32_t n)
{
    rng = rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(rng >> 33) % n;
}

/* exact: there was room for everything, so the board says what the model says; else it may know less, never more. */
static void check(const struct tcp_board *b, const struct model *m, bool exact)
{
    uint32_t sacked = 0, lost = 0;
    tcp_seq at = b->start;
    assert_int_equal(b->start, m->una);
    assert_int_equal(tcp_board_end(b), m->nxt);
    assert_true(b->first + b->count <= b->cap);
    for (uint32_t i = 0; i < b->count; i++) {
        const struct tcp_sent *run = &b->sent[b->first + i];
        assert_true(seq_gt(run->end, at));
        if (run->flags & TCP_SENT_SACKED) sacked += run->end - at;
        if (run->flags & TCP_SENT_LOST) lost += run->end - at;
        for (; at != run->end; at++) {
            uint8_t flags = m->flags[at % BYTES];
            const uint32_t shown = TCP_SENT_SACKED | TCP_SENT_LOST | TCP_SENT_AGAIN;
            if (run->flags & TCP_SENT_SACKED) {
                assert_true(flags & TCP_SENT_SACKED);
                continue;
            }
            assert_true(run->at >= m->at[at % BYTES] || flags & TCP_SENT_SACKED);
            if (exact) assert_int_equal(run->flags & shown, flags);
            if (run->flags & TCP_SENT_LOST) assert_true(flags & (TCP_SENT_LOST | TCP_SENT_SACKED));
        }
    }
    assert_int_equal(sacked, b->sacked);
    assert_int_equal(lost, b->lost);
    assert_int_equal(tcp_board_pipe(b), m->nxt - m->una - sacked - lost);
}

static void sack(struct tcp_board *b, struct model *m, tcp_seq start, tcp_seq end)
{
    struct tcp_news news = {.now = 1000000};
    uint32_t fresh = 0;
    if (!tcp_board_sack(b, start, end, &news)) return;
    for (tcp_seq at = start; at != end; at++) {
        fresh += !(m->flags[at % BYTES] & TCP_SENT_SACKED);
        m->flags[at % BYTES] = TCP_SENT_SACKED;
    }
    if (b->cap == TCP_BOARD_PAGE) assert_int_equal(news.delivered, fresh);
}

static void ack(struct tcp_board *b, struct model *m, tcp_seq to)
{
    struct tcp_news news = {.now = 1000000};
    tcp_board_ack(b, to, &news);
    m->una = to;
}

/* As the stack does it: part of the first lost run. */
static void resend(struct tcp_board *b, struct model *m, uint64_t now)
{
    tcp_seq start, end;
    if (!tcp_board_lost_next(b, m->una, &start, &end)) return;
    assert_true(m->flags[start % BYTES] & TCP_SENT_LOST);
    end = start + 1 + pick(end - start);
    tcp_board_resent(b, start, end, now);
    for (tcp_seq at = start; at != end; at++) {
        m->flags[at % BYTES] = TCP_SENT_AGAIN;
        m->at[at % BYTES] = now;
    }
}

static void lose(struct tcp_board *b, struct model *m)
{
    if (b->count == 0) return;
    uint32_t i = pick(b->count);
    const struct tcp_sent *run = &b->sent[b->first + i];
    tcp_seq at = i ? run[-1].end : b->start;
    if (run->flags & TCP_SENT_SACKED) return;
    tcp_board_lose(b, i);
    for (; at != run->end; at++)
        if (!(m->flags[at % BYTES] & TCP_SENT_SACKED)) m->flags[at % BYTES] |= TCP_SENT_LOST;
}

static void step(struct tcp_board *b, struct model *m, uint64_t now)
{
    uint32_t flight = m->nxt - m->una;
    switch (pick(8)) {
    case 0:
    case 1:
    case 2: {
        uint32_t n = 1 + pick(60);
        if (flight + n > 2000) break;
        for (uint32_t i = 0; i < n; i++, m->nxt++) {
            m->flags[m->nxt % BYTES] = 0;
            m->at[m->nxt % BYTES] = now;
        }
        tcp_board_sent(b, m->nxt, now, 0);
        break;
    }
    case 3: ack(b, m, m->una + pick(pick(4) ? 40 : flight + 1) % (flight + 1)); break;
    case 4:
    case 5:
        if (flight > 1) {
            tcp_seq start = m->una + pick(flight);
            sack(b, m, start, start + 1 + pick(RTE_MIN(m->nxt - start, 100u)));
        }
        break;
    case 6: lose(b, m); break;
    default: resend(b, m, now); break;
    }
}

static void run(uint32_t cap, uint64_t seed, bool exact)
{
    struct tcp_board *b = calloc(1, sizeof *b);
    struct tcp_sent *sent = calloc(cap, sizeof *sent);
    struct model *m = calloc(1, sizeof *m);
    rng = seed;
    b->sent = sent;
    b->cap = (uint16_t)cap;
    m->una = m->nxt = UINT32_MAX - 9000;
    tcp_board_reset(b, m->una);
    for (uint64_t i = 1; i <= STEPS; i++) {
        step(b, m, i / 3); /* several in a turn */
        check(b, m, exact);
    }
    free(m);
    free(sent);
    free(b);
}

static void test_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) run(4096, seed, true);
}

/* With too little room it forgets, but never says that something has arrived that has not. */
static void test_model_short_of_room(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        run(TCP_BOARD_FEW, seed, false);
        run(6, seed, false);
    }
}

/* The worst: every second byte has arrived, and more is sent than there is room for. */
static void test_alternating(void **state)
{
    (void)state;
    struct tcp_board *b = calloc(1, sizeof *b);
    struct tcp_news news = {.now = 100};
    b->sent = b->few;
    b->cap = TCP_BOARD_FEW;
    tcp_board_reset(b, 0);
    tcp_board_sent(b, 1000, 1, 0);
    uint32_t taken = 0;
    for (uint32_t i = 0; i < 500; i++) taken += tcp_board_sack(b, 2 * i + 1, 2 * i + 2, &news);
    assert_in_range(taken, TCP_BOARD_FEW / 2 - 2, TCP_BOARD_FEW / 2);
    assert_int_equal(b->sacked, taken);
    for (uint32_t i = 0; i < 100; i++) tcp_board_sent(b, 1001 + i, 2 + i, 0);
    assert_int_equal(tcp_board_end(b), 1100);
    assert_int_equal(tcp_board_pipe(b), 1100 - taken);
    tcp_board_ack(b, 1100, &news);
    assert_int_equal(b->count, 0);
    assert_int_equal(b->sacked, 0);
    assert_int_equal(news.delivered, 1100);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_model_short_of_room),
        cmocka_unit_test(test_alternating),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
