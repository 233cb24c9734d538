/* The ends of connections: FIN in every order, RST, TIME-WAIT, orphans. */
#include <errno.h>
#include <string.h>
#include "tests/net/sim/cmocka_all.h"
#include "tests/net/sim/script.h"

#define TIME_WAIT_MS 60000u

static void check_gone(struct script *s, uint64_t time_wait)
{
    assert_int_equal(net_stack_connections(s->stack), 0);
    assert_int_equal(net_stack_metrics(s->stack)->time_wait, time_wait);
}

static void test_peer_closes_first(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_open(&s, 65535);
    script_send(&s, F | A, 1, 1, 65535, NULL, 0);
    script_expect(&s, A, 1, 2, 0);
    assert_int_equal(script_events(&s), STREAM_EOF);
    script_write(&s, 10); /* half-closed: sending goes on */
    script_expect(&s, A, 1, 2, 10);
    s.stream->ops->close(s.stream);
    script_output(&s);
    script_expect(&s, F | A, 11, 2, 0);
    script_send(&s, A, 2, 12, 65535, NULL, 0);
    check_gone(&s, 0);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_we_close_first(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_open(&s, 65535);
    script_write(&s, 10);
    script_expect(&s, A, 1, 1, 10);
    s.stream->ops->shutdown(s.stream);
    script_output(&s);
    script_expect(&s, F | A, 11, 1, 0);
    script_send(&s, A, 1, 12, 65535, NULL, 0);
    script_send(&s, P | A, 1, 12, 65535, "late", 4); /* receiving goes on */
    assert_int_equal(s.stream->rx.len, 4);
    script_send(&s, F | A, 5, 12, 65535, NULL, 0);
    script_expect(&s, A, 12, 6, 0);
    assert_int_equal(script_events(&s), STREAM_READABLE | STREAM_EOF);
    assert_int_equal(net_stack_metrics(s.stack)->time_wait, 1);
    s.stream->ops->close(s.stream);
    check_gone(&s, 1);
    script_wait(&s, TIME_WAIT_MS * SCRIPT_MS + SCRIPT_MS);
    check_gone(&s, 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* FIN, and ACK with FIN in one segment. */
static void test_fin_answered_by_fin(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_open(&s, 65535);
    s.stream->ops->close(s.stream);
    script_output(&s);
    script_expect(&s, F | A, 1, 1, 0);
    script_send(&s, F | A, 1, 2, 65535, NULL, 0);
    script_expect(&s, A, 2, 2, 0);
    check_gone(&s, 1);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_simultaneous_close(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_open(&s, 65535);
    s.stream->ops->close(s.stream);
    script_output(&s);
    script_expect(&s, F | A, 1, 1, 0);
    script_send(&s, F | A, 1, 1, 65535, NULL, 0); /* crossed ours */
    script_expect(&s, A, 2, 2, 0);
    script_send(&s, A, 2, 2, 65535, NULL, 0);
    check_gone(&s, 1);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_fin_rides_on_data_and_is_sent_again(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_open(&s, 65535);
    struct buf_chain chain;
    buf_chain_init(&chain);
    struct rte_mbuf *m = rte_pktmbuf_alloc(s.pools.frame);
    memset(rte_pktmbuf_append(m, 300), 1, 300);
    buf_chain_append(&chain, m);
    s.stream->ops->send(s.stream, &chain);
    s.stream->ops->close(s.stream);
    script_output(&s);
    script_expect(&s, F | A, 1, 1, 300);
    script_wait(&s, 6 * SCRIPT_MS);
    script_expect(&s, F | A, 1, 1, 300);
    script_send(&s, A, 1, 302, 65535, NULL, 0);
    script_expect_nothing(&s);
    script_wait(&s, 1200 * SCRIPT_MS);
    script_expect_nothing(&s); /* the FIN is not sent again when it was acknowledged */
    assert_int_equal(script_destroy(&s), 0);
}

static void test_reset_exact(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_open(&s, 65535);
    script_write(&s, 300);
    script_expect(&s, A, 1, 1, 300);
    script_send(&s, R, 1, 0, 0, NULL, 0);
    assert_int_equal(script_events(&s), STREAM_ERROR);
    assert_int_equal(s.stream->error, ECONNRESET);
    assert_int_equal(s.stream->tx_queued, 0); /* the queue was dropped */
    script_write(&s, 300); /* sending on a failed stream frees */
    script_expect_nothing(&s);
    s.stream->ops->close(s.stream);
    check_gone(&s, 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* RFC 5961: in the window but not exact: challenged; outside: ignored. */
static void test_reset_inexact(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_open(&s, 65535);
    script_send(&s, R, 100, 0, 0, NULL, 0);
    script_expect(&s, A, 1, 1, 0);
    script_send(&s, R, 70000, 0, 0, NULL, 0);
    script_expect_nothing(&s);
    script_send(&s, S, 500, 0, 0, NULL, 0); /* a SYN within the window: challenged too */
    script_expect(&s, A, 1, 1, 0);
    assert_int_equal(net_stack_metrics(s.stack)->challenge_acks, 2);
    assert_int_equal(script_events(&s), 0);
    for (unsigned i = 0; i < 300; i++) script_send(&s, R, 100, 0, 0, NULL, 0);
    assert_int_equal(net_stack_metrics(s.stack)->challenge_acks, 10); /* RFC 5961 7 */
    assert_int_equal(net_stack_metrics(s.stack)->challenges_withheld, 292);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_ack_of_the_unsent(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_open(&s, 65535);
    script_send(&s, P | A, 1, 999, 65535, "evil", 4);
    script_expect(&s, A, 1, 1, 0);
    assert_int_equal(s.stream->rx.len, 0);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_abort(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_open(&s, 65535);
    script_write(&s, 300);
    script_expect(&s, A, 1, 1, 300);
    s.stream->ops->abort(s.stream);
    script_output(&s);
    script_expect(&s, R | A, 301, 1, 0);
    check_gone(&s, 0);
    assert_int_equal(script_destroy(&s), 0);
}

static void open_and_close(struct script *s)
{
    script_open(s, 65535);
    s->stream->ops->close(s->stream);
    script_output(s);
    script_expect(s, F | A, 1, 1, 0);
    script_send(s, F | A, 1, 2, 65535, NULL, 0);
    script_expect(s, A, 2, 2, 0);
    check_gone(s, 1);
}

static void test_time_wait(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    open_and_close(&s);
    script_wait(&s, 50000 * SCRIPT_MS);
    script_send(&s, F | A, 1, 2, 65535, NULL, 0); /* our last ACK was lost: again, and from the start */
    script_expect(&s, A, 2, 2, 0);
    script_wait(&s, 50000 * SCRIPT_MS);
    check_gone(&s, 1);
    script_send(&s, R, 2, 0, 0, NULL, 0); /* RFC 1337 */
    check_gone(&s, 1);
    script_send(&s, A, 2, 2, 65535, NULL, 0);
    script_expect_nothing(&s);
    script_send(&s, A, 500, 2, 65535, "x", 1); /* an old segment */
    script_expect(&s, A, 2, 2, 0);
    script_wait(&s, 11000 * SCRIPT_MS);
    check_gone(&s, 0);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_time_wait_reopened_by_sequence(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    open_and_close(&s);
    script_send(&s, S, 1, 0, 65535, NULL, 0); /* an old SYN: not above what was received */
    struct script_segment t = script_next(&s);
    assert_int_equal(t.flags, A);
    check_gone(&s, 1);
    script_send(&s, S, 5000, 0, 65535, NULL, 0);
    t = script_next(&s);
    assert_int_equal(t.flags, S | A);
    check_gone(&s, 0);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_time_wait_reopened_by_timestamp(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    s.ts = true;
    open_and_close(&s);
    s.ts_val = 90;
    script_send(&s, S, 5000, 0, 65535, NULL, 0); /* an older clock */
    assert_int_equal(script_next(&s).flags, A);
    s.ts_val = 101;
    script_send(&s, S, 0, 0, 65535, NULL, 0);
    assert_int_equal(script_next(&s).flags, S | A);
    assert_int_equal(script_destroy(&s), 0);
}

static void few(struct net_stack_config *config) { config->max_connections = 4; }

static void test_time_wait_is_bounded(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, few);
    for (uint16_t port = 1; port <= 20; port++) {
        s.peer_port = port;
        script_open(&s, 65535);
        s.stream->ops->close(s.stream);
        script_output(&s);
        script_expect(&s, F | A, 1, 1, 0);
        script_send(&s, F | A, 1, 2, 65535, NULL, 0);
        script_expect(&s, A, 2, 2, 0);
    }
    check_gone(&s, 4);
    assert_int_equal(script_destroy(&s), 0);
}

/* A dead peer does not keep a closed connection alive. */
static void test_orphan_is_bounded(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_open(&s, 65535);
    script_write(&s, 5000);
    s.stream->ops->close(s.stream);
    script_output(&s);
    script_wait(&s, 29000 * SCRIPT_MS);
    assert_int_equal(net_stack_connections(s.stack), 1);
    script_wait(&s, 2000 * SCRIPT_MS);
    check_gone(&s, 0);
    assert_int_equal(buf_pools_in_use(&s.pools), 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* Neither does one that never sends its FIN. */
static void test_orphan_in_fin_wait_2(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_open(&s, 65535);
    s.stream->ops->close(s.stream);
    script_output(&s);
    script_expect(&s, F | A, 1, 1, 0);
    script_send(&s, A, 1, 2, 65535, NULL, 0);
    script_wait(&s, 31000 * SCRIPT_MS);
    check_gone(&s, 0);
    script_expect(&s, R | A, 2, 1, 0);
    assert_int_equal(script_destroy(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peer_closes_first),
        cmocka_unit_test(test_we_close_first),
        cmocka_unit_test(test_fin_answered_by_fin),
        cmocka_unit_test(test_simultaneous_close),
        cmocka_unit_test(test_fin_rides_on_data_and_is_sent_again),
        cmocka_unit_test(test_reset_exact),
        cmocka_unit_test(test_reset_inexact),
        cmocka_unit_test(test_ack_of_the_unsent),
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_time_wait),
        cmocka_unit_test(test_time_wait_reopened_by_sequence),
        cmocka_unit_test(test_time_wait_reopened_by_timestamp),
        cmocka_unit_test(test_time_wait_is_bounded),
        cmocka_unit_test(test_orphan_is_bounded),
        cmocka_unit_test(test_orphan_in_fin_wait_2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
