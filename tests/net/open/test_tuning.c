/* What is set for one connection: keepalive (RFC 1122 4.2.3.6), user timeout (RFC 5482), Nagle (RFC 9293 3.7.4). */
#include <errno.h>
#include <string.h>
#include "tests/net/sim/cmocka_all.h"
#include "tests/net/sim/script.h"

#define SECOND UINT64_C(1000000000)

static const struct net_metrics *metrics(const struct script *s) { return net_stack_metrics(s->stack); }

static void tune(struct script *s, const struct net_tcp_tuning *t) { assert_int_equal(net_tcp_tune(s->stream, t), 0); }

/* 10 s, then 3 probes 2 s apart. */
static struct net_tcp_tuning keepalive(void)
{
    struct net_tcp_tuning t;
    net_tcp_tuning_default(&t);
    t.keepalive = true;
    t.keep_idle_ns = 10 * SECOND;
    t.keep_interval_ns = 2 * SECOND;
    t.keep_count = 3;
    return t;
}

static void check_given_up(struct script *s)
{
    assert_int_equal(script_events(s), STREAM_ERROR);
    assert_int_equal(s->stream->error, ETIMEDOUT);
    assert_int_equal(metrics(s)->peers_given_up, 1);
    s->stream->ops->close(s->stream);
    assert_int_equal(net_stack_connections(s->stack), 0);
}

static void test_off_by_default(void **state)
{
    (void)state;
    struct script s;
    struct net_tcp_tuning t;
    script_create(&s, NULL);
    script_open(&s, 65535);
    net_tcp_tuning_of(s.stream, &t);
    assert_false(t.keepalive || t.nagle || t.user_timeout_ns);
    assert_int_equal(net_stack_deadline(s.stack), UINT64_MAX); /* an idle connection has no timer */
    script_wait(&s, 100000 * SECOND);
    script_expect_nothing(&s);
    assert_int_equal(script_destroy(&s), 0);
}

/* The probe is one number below what the peer expects next; no answer to any: the peer is gone. */
static void test_peer_that_vanished(void **state)
{
    (void)state;
    struct script s;
    struct net_tcp_tuning t = keepalive();
    script_create(&s, NULL);
    script_open(&s, 65535);
    tune(&s, &t);
    script_write(&s, 100);
    script_expect(&s, A, 1, 1, 100);
    script_wait(&s, SECOND);
    s.head = s.tail; /* sent again meanwhile */
    script_send(&s, A, 1, 101, 65535, NULL, 0);
    uint64_t heard = s.now;
    for (unsigned i = 0; i < 3; i++) {
        script_wait(&s, heard + (10 + 2 * i) * SECOND - s.now - 20 * SCRIPT_MS);
        script_expect_nothing(&s);
        script_wait(&s, 40 * SCRIPT_MS);
        script_expect(&s, A, 100, 1, 0);
    }
    assert_int_equal(script_events(&s), 0);
    script_wait(&s, 2 * SECOND);
    script_expect(&s, R | A, 101, 1, 0);
    assert_int_equal(metrics(&s)->keepalive_probes, 3);
    check_given_up(&s);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_peer_that_answers(void **state)
{
    (void)state;
    struct script s;
    struct net_tcp_tuning t = keepalive();
    script_create(&s, NULL);
    script_open(&s, 65535);
    tune(&s, &t);
    for (unsigned i = 0; i < 20; i++) { /* it answers the second probe each time */
        script_wait(&s, 10 * SECOND + 20 * SCRIPT_MS);
        script_expect(&s, A, 0, 1, 0);
        script_wait(&s, 2 * SECOND);
        script_expect(&s, A, 0, 1, 0);
        script_send(&s, A, 1, 1, 65535, NULL, 0);
        script_expect_nothing(&s);
    }
    assert_int_equal(script_events(&s), 0);
    t.keepalive = false;
    tune(&s, &t);
    script_wait(&s, 1000 * SECOND);
    script_expect_nothing(&s);
    assert_int_equal(script_destroy(&s), 0);
}

/* A peer that has lost its memory resets. */
static void test_peer_that_rebooted(void **state)
{
    (void)state;
    struct script s;
    struct net_tcp_tuning t = keepalive();
    script_create(&s, NULL);
    script_open(&s, 65535);
    tune(&s, &t);
    script_wait(&s, 10 * SECOND + 20 * SCRIPT_MS);
    script_expect(&s, A, 0, 1, 0);
    script_send(&s, R, 1, 0, 0, NULL, 0);
    assert_int_equal(script_events(&s), STREAM_ERROR);
    assert_int_equal(s.stream->error, ECONNRESET);
    s.stream->ops->close(s.stream);
    assert_int_equal(script_destroy(&s), 0);
}

/* The peer's own probes are answered: RFC 9293 3.8.4. */
static void test_probed_by_peer(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_open(&s, 65535);
    script_send(&s, A, 0, 1, 65535, NULL, 0);
    script_expect(&s, A, 1, 1, 0);
    script_send(&s, A, 0, 1, 65535, "x", 1); /* with a byte of garbage, as some send it */
    script_expect(&s, A, 1, 1, 0);
    assert_int_equal(s.stream->rx.len, 0);
    assert_int_equal(script_destroy(&s), 0);
}

static void user_timeout_default(struct net_stack_config *config) { config->tuning.user_timeout_ns = 8 * SECOND; }

/* RFC 5482 2: sent and not acknowledged. By the stack's default: all connections have it. */
static void test_user_timeout(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, user_timeout_default);
    script_open(&s, 65535);
    script_wait(&s, 1000 * SECOND); /* nothing waits: nothing is over */
    script_write(&s, 100);
    script_wait(&s, 8 * SECOND - 10 * SCRIPT_MS);
    assert_int_equal(script_events(&s), 0);
    s.head = s.tail;
    script_wait(&s, SECOND + 200 * SCRIPT_MS);
    check_given_up(&s);
    assert_int_equal(buf_pools_in_use(&s.pools), 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* However slowly: who takes some of it lives on. */
static void test_user_timeout_needs_a_stall(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, user_timeout_default);
    script_open(&s, 65535);
    script_write(&s, 100);
    for (uint32_t i = 1; i < 10; i++) {
        script_wait(&s, 7 * SECOND);
        script_send(&s, A, 1, 1 + i, 65535, NULL, 0);
        s.head = s.tail;
    }
    assert_int_equal(script_events(&s), 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* A peer that answers every window probe and never reads: without the timeout for ever (RFC 9293 3.8.6.1), with it not. */
static void closed_window(bool bounded)
{
    struct script s;
    script_create(&s, bounded ? user_timeout_default : NULL);
    script_open(&s, 65535);
    script_send(&s, A, 1, 1, 0, NULL, 0);
    script_write(&s, 100);
    uint64_t start = s.now;
    while (s.now - start < (bounded ? 10 : 2000) * SECOND && s.stream->error == 0) {
        script_wait(&s, 100 * SCRIPT_MS);
        bool probed = s.head != s.tail;
        s.head = s.tail;
        if (probed && s.stream->error == 0) script_send(&s, A, 1, 1, 0, NULL, 0);
    }
    if (bounded) check_given_up(&s);
    else assert_int_equal(script_events(&s), 0);
    assert_in_range(metrics(&s)->zero_window_probes, 5, 60);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_closed_window(void **state)
{
    (void)state;
    closed_window(false);
    closed_window(true);
}

static void test_nagle(void **state)
{
    (void)state;
    struct script s;
    struct net_tcp_tuning t;
    script_create(&s, NULL);
    script_open(&s, 65535);
    script_write(&s, 10);
    script_write(&s, 10);
    script_expect(&s, A, 1, 1, 10);
    script_expect(&s, A, 11, 1, 10); /* off: both at once */
    script_send(&s, A, 1, 21, 65535, NULL, 0);
    net_tcp_tuning_default(&t);
    t.nagle = true;
    tune(&s, &t);
    script_write(&s, 10);
    script_expect(&s, A, 21, 1, 10); /* nothing in flight */
    script_write(&s, 10);
    script_write(&s, 10);
    script_expect_nothing(&s);
    script_write(&s, 1460);
    script_expect(&s, A, 31, 1, 1460); /* a full one goes, the rest waits */
    script_expect_nothing(&s);
    script_send(&s, A, 1, 31, 65535, NULL, 0);
    script_expect_nothing(&s);
    script_send(&s, A, 1, 1491, 65535, NULL, 0);
    script_expect(&s, A, 1491, 1, 20);
    script_write(&s, 10);
    script_expect_nothing(&s);
    t.nagle = false;
    tune(&s, &t); /* what was held back goes */
    script_output(&s);
    script_expect(&s, A, 1511, 1, 10);
    assert_int_equal(script_destroy(&s), 0);
}

/* As many different settings as the table holds; equal ones share, and those that end make room. */
static void test_settings_are_bounded(void **state)
{
    (void)state;
    struct script s;
    struct stream *streams[60];
    struct net_tcp_tuning t, back;
    script_create(&s, NULL);
    unsigned count = 0;
    for (s.peer_port = 1; s.peer_port <= 60; s.peer_port++) {
        script_open(&s, 65535);
        streams[count++] = s.stream;
    }
    for (unsigned i = 0; i < 1000; i++) { /* each anew: only 60 at a time */
        t = keepalive();
        t.keep_idle_ns += i;
        assert_int_equal(net_tcp_tune(streams[i % 60], &t), 0);
        net_tcp_tuning_of(streams[i % 60], &back);
        assert_int_equal(back.keep_idle_ns, t.keep_idle_ns);
    }
    t.keep_count = 0;
    assert_int_equal(net_tcp_tune(streams[0], &t), -EINVAL);
    assert_int_equal(script_destroy(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_off_by_default),
        cmocka_unit_test(test_peer_that_vanished),
        cmocka_unit_test(test_peer_that_answers),
        cmocka_unit_test(test_peer_that_rebooted),
        cmocka_unit_test(test_probed_by_peer),
        cmocka_unit_test(test_user_timeout),
        cmocka_unit_test(test_user_timeout_needs_a_stall),
        cmocka_unit_test(test_closed_window),
        cmocka_unit_test(test_nagle),
        cmocka_unit_test(test_settings_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
