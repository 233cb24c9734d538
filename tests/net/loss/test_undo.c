/* Reductions that prove needless are undone. RFC 3522, 4015, 3708, 5682. */
#include "net/tcp/tcp.h"
#include "net/tcp/tcp_board.h"
#include "tests/net/loss/segments.h"
#include "tests/net/sim/cmocka_all.h"

static const struct tcp_conn *conn(const struct script *s) { return tcp_conn_of(s->stream); }

static void frames_skip(struct script *s)
{
    while (script_next_frame(s)) {}
}

static uint64_t undone(const struct script *s) { return net_stack_metrics(s->stack)->spurious_undone; }

/* Segment 0 is only late, by three segments: it is sent again, and its D-SACK gives the window back. RFC 3708. */
static void test_dsack_undoes(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    loss_open_and_send(&s, 40);
    uint32_t cwnd = conn(&s)->cwnd;
    s.now += LOSS_RTT_NS;
    LOSS_ACK(&s, 1, loss_at(1), loss_at(4));
    script_expect(&s, A, loss_at(0), 1, LOSS_MSS);
    assert_true(conn(&s)->ssthresh < cwnd);
    script_send(&s, A, 1, loss_at(4), 65535, NULL, 0);
    LOSS_ACK(&s, loss_at(4), loss_at(0), loss_at(1));
    assert_int_equal(undone(&s), 1);
    assert_true(conn(&s)->cwnd >= cwnd);
    assert_true(conn(&s)->ssthresh > cwnd);
    assert_false(conn(&s)->flags & TCPF_SLOW);
    assert_int_equal(conn(&s)->board->rack.multiplier, 2); /* and it will wait longer */
    frames_skip(&s);
    assert_int_equal(script_destroy(&s), 0);
}

/* Also when it comes after the end of recovery; not when only one of two retransmissions was needless. */
static void test_dsack_of_some_undoes_nothing(void **state)
{
    (void)state;
    for (int all = 0; all < 2; all++) {
        struct script s;
        script_create(&s, NULL);
        loss_open_and_send(&s, 10);
        uint32_t cwnd = conn(&s)->cwnd;
        s.now += LOSS_RTT_NS;
        LOSS_ACK(&s, 1, loss_at(2), loss_at(10));
        frames_skip(&s);
        script_send(&s, A, 1, loss_at(10), 65535, NULL, 0);
        assert_false(conn(&s)->flags & TCPF_SLOW);
        LOSS_ACK(&s, loss_at(10), loss_at(0), loss_at(1));
        assert_int_equal(undone(&s), 0);
        if (all) LOSS_ACK(&s, loss_at(10), loss_at(1), loss_at(2));
        assert_int_equal(undone(&s), all);
        assert_int_equal(conn(&s)->cwnd >= cwnd, all);
        assert_int_equal(script_destroy(&s), 0);
    }
}

/* A path that duplicates reports more than was sent twice, and proves nothing: RFC 3708 3. */
static void test_duplicating_path(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    loss_open_and_send(&s, 10);
    s.now += LOSS_RTT_NS;
    LOSS_ACK(&s, 1, loss_at(1), loss_at(4));
    script_expect(&s, A, loss_at(0), 1, LOSS_MSS);
    LOSS_ACK(&s, loss_at(4), loss_at(0), loss_at(3));
    LOSS_ACK(&s, loss_at(4), loss_at(0), loss_at(1));
    assert_int_equal(undone(&s), 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* In recovery the ACK of the first copy tells by its timestamp. RFC 3522 3.2. */
static void test_timestamp_undoes_recovery(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    s.ts = true;
    loss_open_and_send(&s, 10);
    uint32_t cwnd = conn(&s)->cwnd, echo = s.ts_ecr;
    s.now += 3 * SCRIPT_MS; /* ticks of a millisecond */
    LOSS_ACK(&s, 1, loss_at(1), loss_at(4));
    script_expect(&s, A, loss_at(0), 1, LOSS_MSS);
    assert_true(s.ts_ecr != echo);
    s.ts_ecr = echo;
    script_send(&s, A, 1, loss_at(4), 65535, NULL, 0);
    assert_int_equal(undone(&s), 1);
    assert_true(conn(&s)->cwnd >= cwnd);
    assert_int_equal(script_destroy(&s), 0);
}

/* Without timestamps: the timeout's copy is followed by new data, and then come the ACKs of what was sent once. */
static void test_frto_undoes(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    loss_open_and_send(&s, 40);
    uint32_t cwnd = conn(&s)->cwnd;
    script_wait(&s, 7 * SCRIPT_MS);
    script_expect(&s, A, loss_at(10), 1, LOSS_MSS); /* the tail loss probe */
    script_expect(&s, A, loss_at(0), 1, LOSS_MSS);
    script_expect_nothing(&s);
    script_send(&s, A, 1, loss_at(1), 65535, NULL, 0);
    script_expect(&s, A, loss_at(11), 1, LOSS_MSS);
    script_expect(&s, A, loss_at(12), 1, LOSS_MSS);
    script_expect_nothing(&s);
    script_send(&s, A, 1, loss_at(2), 65535, NULL, 0);
    assert_int_equal(undone(&s), 1);
    assert_true(conn(&s)->cwnd >= cwnd);
    script_send(&s, A, 1, loss_at(11), 65535, NULL, 0);
    while (s.head != s.tail) assert_true(script_next(&s).seq >= loss_at(13));
    assert_int_equal(net_stack_metrics(s.stack)->retransmits, 1);
    assert_int_equal(script_destroy(&s), 0);
}

/* The new data is reported, the rest is not: the timeout was right, and all of it goes again. RFC 5682 2.1 step 3a. */
static void test_frto_confirms(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    loss_open_and_send(&s, 40);
    script_wait(&s, 7 * SCRIPT_MS);
    frames_skip(&s);
    script_send(&s, A, 1, loss_at(1), 65535, NULL, 0);
    frames_skip(&s);
    s.now += LOSS_RTT_NS;
    LOSS_ACK(&s, loss_at(1), loss_at(11), loss_at(12));
    script_expect(&s, A, loss_at(1), 1, LOSS_MSS);
    for (uint32_t una = 2; una < 11; una++) {
        s.now += LOSS_RTT_NS;
        LOSS_ACK(&s, loss_at(una), loss_at(11), loss_at(13));
    }
    script_send(&s, A, 1, loss_at(13), 65535, NULL, 0);
    assert_int_equal(undone(&s), 0);
    assert_int_equal(net_stack_metrics(s.stack)->rto_fired, 1);
    assert_in_range(net_stack_metrics(s.stack)->retransmits, 11, 12);
    frames_skip(&s);
    assert_int_equal(script_destroy(&s), 0);
}

/* The same for a peer without SACK. */
static void test_frto_without_sack(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_open(&s, 65535);
    script_write(&s, 40 * 1460);
    frames_skip(&s);
    uint32_t cwnd = conn(&s)->cwnd;
    script_wait(&s, 6 * SCRIPT_MS);
    script_expect(&s, A, 1, 1, 1460);
    script_send(&s, A, 1, 1461, 65535, NULL, 0);
    script_expect(&s, A, 14601, 1, 1460);
    script_expect(&s, A, 16061, 1, 1460);
    script_send(&s, A, 1, 2921, 65535, NULL, 0);
    assert_int_equal(undone(&s), 1);
    assert_true(conn(&s)->cwnd >= cwnd);
    assert_null(conn(&s)->board);
    while (s.head != s.tail) assert_true(script_next(&s).seq >= 17521);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_frto_without_sack_confirms(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_open(&s, 65535);
    script_write(&s, 40 * 1460);
    frames_skip(&s);
    script_wait(&s, 6 * SCRIPT_MS);
    script_send(&s, A, 1, 1461, 65535, NULL, 0);
    frames_skip(&s);
    script_send(&s, A, 1, 1461, 65535, NULL, 0); /* a duplicate */
    script_expect(&s, A, 1461, 1, 1460);
    assert_int_equal(undone(&s), 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* However many duplicates a peer sends, the window grows by no more than was in flight. */
static void test_inflation_is_bounded(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_open(&s, 65535);
    script_write(&s, 20 * 1460);
    uint32_t flight = conn(&s)->snd_max - conn(&s)->snd_una;
    for (unsigned i = 0; i < 1000; i++) {
        script_send(&s, A, 1, 1, 65535, NULL, 0);
        frames_skip(&s);
    }
    assert_int_equal(flight, 14600);
    assert_true(conn(&s)->cwnd <= conn(&s)->ssthresh + conn(&s)->snd_max - conn(&s)->snd_una + 3 * 1460);
    assert_int_equal(script_destroy(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dsack_undoes),
        cmocka_unit_test(test_dsack_of_some_undoes_nothing),
        cmocka_unit_test(test_duplicating_path),
        cmocka_unit_test(test_timestamp_undoes_recovery),
        cmocka_unit_test(test_frto_undoes),
        cmocka_unit_test(test_frto_confirms),
        cmocka_unit_test(test_frto_without_sack),
        cmocka_unit_test(test_frto_without_sack_confirms),
        cmocka_unit_test(test_inflation_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
