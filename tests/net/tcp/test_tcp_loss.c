/* Loss: timeouts, duplicate ACKs, recovery, old timestamps. */
#include <errno.h>
#include <string.h>
#include "tests/net/sim/cmocka_all.h"
#include "tests/net/sim/script.h"

#define RTO_MIN_MS 5u

/* Opens with a round trip of 100 us, so that the timeout is the least. */
static void open_near(struct script *s)
{
    script_send(s, S, 0, 0, 65535, (uint8_t[]){0}, 0);
    script_expect(s, S | A, 0, 1, 0);
    s->now += 100000;
    script_send(s, A, 1, 1, 65535, NULL, 0);
    assert_non_null(s->stream);
}

static void test_timeout_backs_off(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    open_near(&s);
    script_write(&s, 100);
    uint64_t last = script_expect(&s, A, 1, 1, 100).at, want = RTO_MIN_MS * SCRIPT_MS;
    for (unsigned i = 0; i < 15; i++) { /* doubles up to a minute */
        while (s.head == s.tail) script_wait(&s, SCRIPT_MS / 10);
        uint64_t at = script_expect(&s, A, 1, 1, 100).at;
        assert_in_range(at - last, want, want + 40000);
        last = at;
        want = 2 * want < 60000 * SCRIPT_MS ? 2 * want : 60000 * SCRIPT_MS;
    }
    script_wait(&s, 61000 * SCRIPT_MS);
    script_expect(&s, R | A, 101, 1, 0);
    assert_int_equal(script_events(&s), STREAM_ERROR);
    assert_int_equal(s.stream->error, ETIMEDOUT);
    assert_int_equal(net_stack_metrics(s.stack)->rto_fired, 15);
    s.stream->ops->close(s.stream);
    assert_int_equal(script_destroy(&s), 0);
}

/* Karn: the ACK of what was sent twice measures nothing, so the timeout stays what it was. */
static void test_retransmission_is_not_timed(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    open_near(&s);
    script_write(&s, 100);
    script_expect(&s, A, 1, 1, 100);
    script_wait(&s, 6 * SCRIPT_MS);
    script_expect(&s, A, 1, 1, 100);
    s.now += 4 * SCRIPT_MS; /* would be a sample of 10 ms, or of 4 */
    script_send(&s, A, 1, 101, 65535, NULL, 0);
    script_write(&s, 100);
    uint64_t sent = script_expect(&s, A, 101, 1, 100).at;
    script_wait(&s, 6 * SCRIPT_MS);
    uint64_t again = script_expect(&s, A, 101, 1, 100).at;
    assert_in_range(again - sent, RTO_MIN_MS * SCRIPT_MS, RTO_MIN_MS * SCRIPT_MS + 40000);
    assert_int_equal(script_destroy(&s), 0);
}

/* RFC 6298 2.2, 2.3: a round trip of 40 ms gives a timeout of 40 + 4 * 20, then less with each like it. */
static void test_timeout_follows_round_trip(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_send(&s, S, 0, 0, 65535, NULL, 0);
    script_expect(&s, S | A, 0, 1, 0);
    s.now += 40 * SCRIPT_MS;
    script_send(&s, A, 1, 1, 65535, NULL, 0);
    script_write(&s, 100);
    uint64_t sent = script_expect(&s, A, 1, 1, 100).at;
    while (s.head == s.tail) script_wait(&s, SCRIPT_MS / 10);
    assert_in_range(script_expect(&s, A, 1, 1, 100).at - sent, 120 * SCRIPT_MS, 120 * SCRIPT_MS + 40000);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_initial_window_and_slow_start(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_open(&s, 65535);
    script_write(&s, 60000);
    for (unsigned i = 0; i < 10; i++) script_expect(&s, A, 1 + 1460 * i, 1, 1460); /* RFC 6928 */
    script_expect_nothing(&s);
    script_send(&s, A, 1, 2921, 65535, NULL, 0); /* two arrived: four may follow */
    for (unsigned i = 10; i < 14; i++) script_expect(&s, A, 1 + 1460 * i, 1, 1460);
    script_expect_nothing(&s);
    assert_int_equal(script_destroy(&s), 0);
}

static void send_ten(struct script *s)
{
    script_open(s, 65535);
    script_write(s, 29200);
    for (unsigned i = 0; i < 10; i++) script_expect(s, A, 1 + 1460 * i, 1, 1460);
}

static void test_third_duplicate_resends(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    send_ten(&s);
    script_send(&s, A, 1, 1461, 65535, NULL, 0); /* the second is lost */
    script_expect(&s, A, 14601, 1, 1460);
    script_expect(&s, A, 16061, 1, 1460);
    script_send(&s, A, 1, 1461, 65535, NULL, 0);
    script_expect(&s, A, 17521, 1, 1460); /* limited transmit: RFC 3042 */
    script_send(&s, A, 1, 1461, 65535, NULL, 0);
    script_expect(&s, A, 18981, 1, 1460);
    assert_int_equal(net_stack_metrics(s.stack)->retransmits, 0);
    script_send(&s, A, 1, 1461, 65535, NULL, 0);
    script_expect(&s, A, 1461, 1, 1460);
    script_expect_nothing(&s);
    assert_int_equal(net_stack_metrics(s.stack)->fast_retransmits, 1);
    script_send(&s, A, 1, 4381, 65535, NULL, 0); /* partial: the fourth is lost too; RFC 6582 */
    script_expect(&s, A, 4381, 1, 1460);
    while (s.head != s.tail) script_next(&s);
    script_send(&s, A, 1, 20441, 65535, NULL, 0); /* all of it: recovery ends */
    assert_int_equal(net_stack_metrics(s.stack)->retransmits, 2);
    assert_int_equal(net_stack_metrics(s.stack)->rto_fired, 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* Neither data nor a changed window makes a duplicate. RFC 5681 2. */
static void test_what_is_no_duplicate(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    send_ten(&s);
    for (uint32_t i = 0; i < 4; i++) script_send(&s, A, 1 + i, 1, 65535, "x", 1);
    for (uint16_t i = 0; i < 4; i++) script_send(&s, A, 5, 1, (uint16_t)(60000 + i), NULL, 0);
    assert_int_equal(net_stack_metrics(s.stack)->fast_retransmits, 0);
    assert_int_equal(net_stack_metrics(s.stack)->retransmits, 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* After a timeout everything in flight goes again, slowly at first, once two new segments brought no answer: RFC 5682. */
static void test_timeout_goes_back(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    send_ten(&s);
    script_wait(&s, 6 * SCRIPT_MS);
    script_expect(&s, A, 1, 1, 1460);
    script_expect_nothing(&s);
    script_send(&s, A, 1, 1461, 65535, NULL, 0);
    script_expect(&s, A, 14601, 1, 1460);
    script_expect(&s, A, 16061, 1, 1460);
    script_expect_nothing(&s);
    script_send(&s, A, 1, 1461, 65535, NULL, 0);
    script_expect(&s, A, 1461, 1, 1460);
    script_expect_nothing(&s);
    script_send(&s, A, 1, 2921, 65535, NULL, 0);
    script_expect(&s, A, 2921, 1, 1460);
    script_expect(&s, A, 4381, 1, 1460);
    script_expect_nothing(&s);
    script_send(&s, A, 1, 17521, 65535, NULL, 0); /* the rest had arrived */
    assert_int_equal(script_next(&s).seq, 17521);
    assert_int_equal(net_stack_metrics(s.stack)->spurious_undone, 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* Eifel: an ACK that echoes a time before the timeout shows that nothing was lost. */
static void test_needless_timeout_is_undone(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    s.ts = true;
    script_open(&s, 65535);
    script_write(&s, 28960);
    for (unsigned i = 0; i < 10; i++) script_expect(&s, A, 1 + 1448 * i, 1, 1448);
    uint32_t echo = s.ts_ecr;
    script_wait(&s, 6 * SCRIPT_MS);
    script_expect(&s, A, 14481, 1, 1448); /* the tail loss probe */
    script_expect(&s, A, 1, 1, 1448);
    s.ts_ecr = echo;
    script_send(&s, A, 1, 2897, 65535, NULL, 0);
    struct script_segment t = script_next(&s); /* new data, with the old window */
    assert_int_equal(t.seq, 15929);
    assert_int_equal(net_stack_metrics(s.stack)->spurious_undone, 1);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_old_timestamp_is_dropped(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    s.ts = true;
    script_open(&s, 65535);
    s.ts_val = 99;
    script_send(&s, P | A, 1, 1, 65535, "old", 3);
    script_expect(&s, A, 1, 1, 0);
    assert_int_equal(s.stream->rx.len, 0);
    assert_int_equal(net_stack_metrics(s.stack)->drop_tcp_paws, 1);
    s.ts_val = 101;
    script_send(&s, P | A, 1, 1, 65535, "new", 3);
    assert_int_equal(s.stream->rx.len, 3);
    uint64_t days = UINT64_C(26) * 24 * 3600 * 1000 * SCRIPT_MS;
    script_wait(&s, days); /* so long that the clock may have gone half round: RFC 7323 5.5 */
    s.head = s.tail;
    s.ts_val = 50;
    script_send(&s, P | A, 4, 1, 65535, "now", 3);
    assert_int_equal(s.stream->rx.len, 6);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_peer_moves(void **state)
{
    (void)state;
    struct script s;
    uint8_t frame[SCRIPT_FRAME_BYTES];
    script_create(&s, NULL);
    script_open(&s, 65535);
    uint32_t len = script_build(&s, frame, P | A, 1, 1, 65535, NULL, 0, "x", 1);
    frame[11] = 99;
    script_frame_in(&s, frame, len);
    script_write(&s, 10);
    assert_int_equal(script_expect(&s, A, 1, 2, 10).frame->bytes[5], 99);
    assert_int_equal(script_destroy(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timeout_backs_off),
        cmocka_unit_test(test_retransmission_is_not_timed),
        cmocka_unit_test(test_timeout_follows_round_trip),
        cmocka_unit_test(test_initial_window_and_slow_start),
        cmocka_unit_test(test_third_duplicate_resends),
        cmocka_unit_test(test_what_is_no_duplicate),
        cmocka_unit_test(test_timeout_goes_back),
        cmocka_unit_test(test_needless_timeout_is_undone),
        cmocka_unit_test(test_old_timestamp_is_dropped),
        cmocka_unit_test(test_peer_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
