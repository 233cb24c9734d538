/* Handshakes, their options and limits. */
#include <errno.h>
#include <string.h>
#include <rte_ip.h>
#include "tests/net/sim/cmocka_all.h"
#include "tests/net/sim/script.h"

static const uint8_t options_all[20] = {2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 100, 0, 0, 0, 0, 1, 3, 3, 7};

static void test_passive_options(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_send_options(&s, S, 0, 0, 65535, options_all, sizeof options_all, NULL, 0);
    struct script_segment t = script_expect(&s, S | A, 0, 1, 0);
    static const uint8_t want[4] = {2, 4, 5, 180};
    assert_int_equal(t.options_len, 20);
    assert_memory_equal(t.options, want, 4);                                /* MSS 1460 */
    assert_memory_equal(t.options + 4, ((const uint8_t[]){4, 2, 8, 10}), 4); /* SACK permitted, timestamps */
    assert_memory_equal(t.options + 12, ((const uint8_t[]){0, 0, 0, 100}), 4); /* echoed */
    assert_memory_equal(t.options + 16, ((const uint8_t[]){1, 3, 3, 3}), 4); /* 256 KiB of window */
    assert_int_equal(t.wnd, 65535);
    assert_int_equal(s.accepted, 0);
    s.ts = true;
    script_send(&s, A, 1, 1, 512, NULL, 0);
    assert_int_equal(s.accepted, 1);
    assert_int_equal(net_stack_connections(s.stack), 1);
    char peer[32];
    s.stream->ops->peer(s.stream, peer, sizeof peer);
    assert_string_equal(peer, "10.0.0.2:4000");
    script_write(&s, 10000); /* the window of 512 is scaled by 2^7, the segments leave room for timestamps */
    for (unsigned i = 0; i < 6; i++) script_expect(&s, A, 1 + 1448 * i, 1, 1448);
    t = script_expect(&s, A, 8689, 1, 1312);
    assert_int_equal(t.wnd, 32768);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_passive_without_options(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_send(&s, S, 0, 0, 65535, NULL, 0);
    struct script_segment t = script_expect(&s, S | A, 0, 1, 0);
    assert_int_equal(t.options_len, 4);
    script_send(&s, A, 1, 1, 65535, NULL, 0);
    script_write(&s, 1000);
    script_expect(&s, A, 1, 1, 536); /* RFC 9293 3.7.1 */
    script_expect(&s, A, 537, 1, 464);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_ack_with_data_accepts(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_send(&s, S, 0, 0, 65535, NULL, 0);
    script_expect(&s, S | A, 0, 1, 0);
    script_send(&s, A | P, 1, 1, 65535, "get", 3); /* the bare ACK was lost */
    assert_int_equal(s.accepted, 1);
    assert_int_equal(s.stream->rx.len, 3);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_abort_within_accept(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    s.abort_on_accept = true;
    script_send(&s, S, 0, 0, 65535, NULL, 0);
    script_expect(&s, S | A, 0, 1, 0);
    script_send(&s, A | P, 1, 1, 65535, "get", 3);
    script_expect(&s, R | A, 1, 1, 0);
    assert_int_equal(net_stack_connections(s.stack), 0);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_syn_ack_is_sent_again(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_send(&s, S, 0, 0, 65535, NULL, 0);
    script_expect(&s, S | A, 0, 1, 0);
    script_send(&s, S, 0, 0, 65535, NULL, 0); /* the peer asks again */
    script_expect(&s, S | A, 0, 1, 0);
    script_wait(&s, 1100 * SCRIPT_MS);
    script_expect(&s, S | A, 0, 1, 0);
    script_wait(&s, 300000 * SCRIPT_MS); /* nobody there: the half-open connection goes */
    assert_int_equal(net_stack_metrics(s.stack)->half_open, 0);
    assert_int_equal(s.accepted, 0);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_bad_handshake_ack(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_send(&s, S, 0, 0, 65535, NULL, 0);
    script_expect(&s, S | A, 0, 1, 0);
    script_send(&s, A, 1, 77, 65535, NULL, 0);
    script_expect(&s, R, 77, 0, 0);
    assert_int_equal(s.accepted, 0);
    script_send(&s, A, 1, 1, 65535, NULL, 0);
    assert_int_equal(s.accepted, 1);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_closed_port_resets(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    s.local_port = 8;
    script_send(&s, S, 0, 0, 65535, NULL, 0);
    struct script_segment t = script_next(&s);
    assert_int_equal(t.flags, R | A);
    assert_int_equal(t.ack, 1);
    script_send(&s, A, 5, 9, 65535, "abc", 3);
    t = script_next(&s);
    assert_int_equal(t.flags, R);
    assert_int_equal(t.seq, 9);
    script_send(&s, R, 5, 0, 0, NULL, 0); /* never a reset for a reset */
    script_expect_nothing(&s);
    assert_int_equal(net_stack_metrics(s.stack)->resets_sent, 2);
    assert_int_equal(script_destroy(&s), 0);
}

static void limits(struct net_stack_config *config)
{
    config->max_connections = 3;
}

static void open_from(struct script *s, uint16_t port)
{
    s->peer_port = port;
    script_send(s, S, 0, 0, 65535, NULL, 0);
    script_expect(s, S | A, 0, 1, 0);
}

static void test_limits(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, limits);
    for (uint16_t port = 1; port <= 3; port++) {
        open_from(&s, port);
        script_send(&s, A, 1, 1, 65535, NULL, 0);
    }
    s.peer_port = 4;
    script_send(&s, S, 0, 0, 65535, NULL, 0); /* three in all */
    script_expect_nothing(&s);
    assert_int_equal(net_stack_metrics(s.stack)->drop_tcp_limit, 1);
    s.stream->ops->abort(s.stream);
    script_output(&s);
    script_next(&s);
    open_from(&s, 4); /* room again */
    assert_int_equal(script_destroy(&s), 0);
}

static void test_active_open(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_connect(&s, 8000);
    assert_int_equal(script_events(&s), STREAM_CONNECTED);
    assert_in_range(s.local_port, 32768, 60999);
    assert_int_equal(net_stack_metrics(s.stack)->connected, 1);
    script_write(&s, 5);
    script_expect(&s, A, 1, 1, 5);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_write_before_connected(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_connect(&s, 0);
    script_write(&s, 5);
    script_expect_nothing(&s);
    script_send(&s, S | A, 0, 1, 8000, NULL, 0);
    script_expect(&s, A, 1, 1, 5);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_simultaneous_open(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_connect(&s, 0);
    script_send(&s, S, 0, 0, 8000, NULL, 0);
    script_expect(&s, S | A, 0, 1, 0);
    script_send(&s, S | A, 0, 1, 8000, NULL, 0); /* the peer's SYN again, now with an ACK */
    assert_int_equal(script_events(&s), STREAM_CONNECTED);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_refused(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_connect(&s, 0);
    script_send(&s, R, 0, 0, 0, NULL, 0); /* without an ACK it may be anybody's */
    assert_int_equal(script_events(&s), 0);
    script_send(&s, R | A, 0, 1, 0, NULL, 0);
    assert_int_equal(script_events(&s), STREAM_ERROR);
    assert_int_equal(s.stream->error, ECONNREFUSED);
    s.stream->ops->close(s.stream);
    assert_int_equal(net_stack_connections(s.stack), 0);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_silent_peer_times_out(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_connect(&s, 0);
    uint64_t last = s.now, gap = 500 * SCRIPT_MS;
    for (unsigned i = 0; i < 6; i++) { /* 1, 2, 4 ... 32 s */
        while (s.head == s.tail) script_wait(&s, SCRIPT_MS);
        struct script_segment t = script_next(&s);
        assert_int_equal(t.flags, S);
        assert_in_range(t.at - last, 2 * gap - SCRIPT_MS, 2 * gap + SCRIPT_MS);
        gap = t.at - last;
        last = t.at;
    }
    script_wait(&s, 130000 * SCRIPT_MS); /* one more after 60 s, and as long again */
    assert_int_equal(script_events(&s), STREAM_ERROR);
    assert_int_equal(s.stream->error, EHOSTUNREACH); /* ARP has found that out by now */
    s.stream->ops->close(s.stream);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_unreachable(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    assert_int_equal(net_connect(s.stack, net_endpoint_v4(RTE_IPV4(10, 0, 0, 9), 7), s.now, &s.stream), 0);
    script_wait(&s, 3100 * SCRIPT_MS); /* three requests, a second apart */
    for (unsigned i = 0; i < 3; i++) assert_non_null(script_next_frame(&s));
    script_expect_nothing(&s);
    assert_int_equal(script_events(&s), STREAM_ERROR);
    assert_int_equal(s.stream->error, EHOSTUNREACH);
    s.stream->ops->close(s.stream);
    assert_int_equal(script_destroy(&s), 0);
}

static void one_port(struct net_stack_config *config) { config->port_first = config->port_last = 5000; }

static void test_ports_run_out(void **state)
{
    (void)state;
    struct script s;
    struct stream *a, *b;
    script_create(&s, one_port);
    assert_int_equal(net_connect(s.stack, net_endpoint_v4(RTE_IPV4(10, 0, 0, 2), 80), s.now, &a), 0);
    assert_int_equal(net_connect(s.stack, net_endpoint_v4(RTE_IPV4(10, 0, 0, 2), 80), s.now, &b), -EADDRNOTAVAIL);
    assert_int_equal(net_connect(s.stack, net_endpoint_v4(RTE_IPV4(10, 0, 0, 2), 81), s.now, &b), 0); /* another peer */
    a->ops->close(a); /* not yet open: gone at once */
    assert_int_equal(net_connect(s.stack, net_endpoint_v4(RTE_IPV4(10, 0, 0, 2), 80), s.now, &a), 0);
    assert_int_equal(net_listen(s.stack, SCRIPT_PORT, NULL, NULL), -EADDRINUSE);
    assert_int_equal(script_destroy(&s), 0);
}

/* RFC 6528: the numbers of one address pair advance with the clock, those of others tell nothing. */
static void test_initial_sequence_numbers(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    open_from(&s, 1);
    uint32_t first = s.iss;
    s.now += 40960;
    open_from(&s, 2);
    assert_true(s.iss - first > 1000 && first - s.iss > 1000);
    s.peer_port = 1;
    script_send(&s, R, 1, 0, 0, NULL, 0);
    open_from(&s, 1);
    assert_int_equal(s.iss - first, 10); /* 4.096 us each */
    assert_int_equal(script_destroy(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passive_options),
        cmocka_unit_test(test_passive_without_options),
        cmocka_unit_test(test_ack_with_data_accepts),
        cmocka_unit_test(test_abort_within_accept),
        cmocka_unit_test(test_syn_ack_is_sent_again),
        cmocka_unit_test(test_bad_handshake_ack),
        cmocka_unit_test(test_closed_port_resets),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_active_open),
        cmocka_unit_test(test_write_before_connected),
        cmocka_unit_test(test_simultaneous_open),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_silent_peer_times_out),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_ports_run_out),
        cmocka_unit_test(test_initial_sequence_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
