/* Half-open connections: RFC 4987 3.4, and RFC 9293 3.10.7.4 and RFC 5961 for SYN-RECEIVED. */
#include <string.h>
#include "tests/net/sim/cmocka_all.h"
#include "tests/net/sim/script.h"

static const struct net_metrics *metrics(const struct script *s) { return net_stack_metrics(s->stack); }

static void syn(struct script *s)
{
    script_send(s, S, 0, 0, 65535, NULL, 0);
    script_expect(s, S | A, 0, 1, 0);
}

/* Many more handshakes may be under way than there are connections; they take none. */
static void one_connection(struct net_stack_config *config) { config->max_connections = 1; }

static void test_half_open_takes_no_connection(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, one_connection);
    for (s.peer_port = 1; s.peer_port <= 100; s.peer_port++) syn(&s);
    assert_int_equal(metrics(&s)->half_open, 100);
    assert_int_equal(net_stack_connections(s.stack), 0);
    s.peer_port = 50;
    script_send(&s, A, 1, 1, 65535, NULL, 0); /* s.iss is that of port 100: a wrong number is refused */
    script_expect(&s, R, 1, 0, 0);
    s.peer_port = 100;
    script_send(&s, A, 1, 1, 65535, NULL, 0);
    assert_int_equal(s.accepted, 1);
    assert_int_equal(metrics(&s)->half_open, 99);
    assert_int_equal(script_destroy(&s), 0);
}

/* No connection is free when the handshake ends: the peer's next segment finds one. */
static void test_completion_waits_for_room(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, one_connection);
    s.peer_port = 1;
    syn(&s);
    uint32_t iss = s.iss;
    s.peer_port = 2;
    syn(&s);
    script_send(&s, A, 1, 1, 65535, NULL, 0);
    assert_int_equal(s.accepted, 1);
    s.peer_port = 1;
    s.iss = iss;
    script_send(&s, A, 1, 1, 65535, NULL, 0);
    script_expect_nothing(&s);
    assert_int_equal(metrics(&s)->drop_tcp_limit, 1);
    s.stream->ops->abort(s.stream);
    script_output(&s);
    script_next(&s);
    script_send(&s, A | P, 1, 1, 65535, "get", 3);
    assert_int_equal(s.accepted, 2);
    assert_int_equal(s.stream->rx.len, 3);
    assert_int_equal(script_destroy(&s), 0);
}

/* RFC 6298 5: after 1, 2, 4 ... s; then it is gone and its ACK comes too late. */
static void test_syn_ack_backs_off(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    syn(&s);
    uint64_t start = s.now, after = 0;
    for (unsigned i = 0; i < 5; i++) {
        after += 1000 << i;
        script_wait(&s, start + after * SCRIPT_MS - s.now);
        struct script_segment t = script_expect(&s, S | A, 0, 1, 0);
        assert_int_equal(t.at - start, after * SCRIPT_MS);
    }
    assert_int_equal(metrics(&s)->syn_acks_again, 5);
    script_wait(&s, 32000 * SCRIPT_MS);
    script_expect_nothing(&s);
    assert_int_equal(metrics(&s)->half_open, 0);
    assert_int_equal(metrics(&s)->syn_expired, 1);
    script_send(&s, A, 1, 1, 65535, NULL, 0);
    script_expect(&s, R, 1, 0, 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* Each entry keeps its own time, whatever list it is in and however many go between. */
static void test_entries_do_not_disturb_each_other(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    uint32_t iss[9];
    for (s.peer_port = 1; s.peer_port <= 8; s.peer_port++) {
        syn(&s);
        iss[s.peer_port] = s.iss;
        script_wait(&s, 100 * SCRIPT_MS);
    }
    for (s.peer_port = 2; s.peer_port <= 8; s.peer_port += 2) { /* every second one ends */
        s.iss = iss[s.peer_port];
        script_send(&s, R, 1, 0, 0, NULL, 0);
    }
    script_expect_nothing(&s);
    assert_int_equal(metrics(&s)->half_open, 4);
    script_wait(&s, 750 * SCRIPT_MS); /* the first began 1,550 ms ago, the third 1,350, the fifth 1,150, the last 950 */
    for (unsigned port = 1; port <= 5; port += 2) script_expect(&s, S | A, 0, 1, 0);
    script_expect_nothing(&s);
    script_wait(&s, 100000 * SCRIPT_MS);
    assert_int_equal(metrics(&s)->syn_expired, 4);
    assert_int_equal(metrics(&s)->half_open, 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* RFC 5961 3: the exact number ends it, another within the window is challenged, one outside is nothing. */
static void test_reset(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    syn(&s);
    script_send(&s, R, 70000, 0, 0, NULL, 0);
    script_expect_nothing(&s);
    assert_int_equal(metrics(&s)->drop_tcp_window, 1);
    script_send(&s, R, 100, 0, 0, NULL, 0);
    script_expect(&s, S | A, 0, 1, 0);
    assert_int_equal(metrics(&s)->challenge_acks, 1);
    assert_int_equal(metrics(&s)->half_open, 1);
    script_send(&s, R, 1, 0, 0, NULL, 0);
    script_expect_nothing(&s);
    assert_int_equal(metrics(&s)->half_open, 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* RFC 9293 3.5.1, figure 9: a peer that began anew is told of the old handshake, resets it, and its SYN then succeeds. */
static void test_peer_starts_anew(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    syn(&s);
    script_send(&s, S, 5000, 0, 65535, NULL, 0);
    script_expect(&s, S | A, 0, 1, 0);
    script_send(&s, R, 1, 0, 0, NULL, 0);
    script_send(&s, S, 5000, 0, 65535, NULL, 0);
    script_expect(&s, S | A, 0, 5001, 0);
    script_send(&s, A, 5001, 1, 65535, NULL, 0);
    assert_int_equal(s.accepted, 1);
    assert_int_equal(script_destroy(&s), 0);
}

/* RFC 7323 5: a segment older than the SYN does not complete the handshake. */
static void test_old_timestamp(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    s.ts = true;
    syn(&s);
    s.ts_val = 99;
    script_send(&s, A, 1, 1, 65535, NULL, 0);
    assert_int_equal(s.accepted, 0);
    assert_int_equal(metrics(&s)->drop_tcp_paws, 1);
    s.ts_val = 100;
    script_send(&s, A, 1, 1, 65535, NULL, 0);
    assert_int_equal(s.accepted, 1);
    assert_int_equal(script_destroy(&s), 0);
}

/* Blind guesses at a half-open connection: each is refused or challenged, and neither more often than the limit. */
static void test_blind_segments(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    syn(&s);
    for (unsigned i = 0; i < 300; i++) script_send(&s, A, 70000 + i, i + 2, 65535, "x", 1);
    for (unsigned i = 0; i < 300; i++) script_send(&s, S, 100 + i, 0, 65535, NULL, 0);
    assert_in_range(metrics(&s)->challenge_acks, 90, 110);
    s.head = s.tail;
    script_send(&s, A, 1, 1, 65535, NULL, 0);
    assert_int_equal(s.accepted, 1);
    assert_int_equal(script_destroy(&s), 0);
}

/* Without cookies the oldest makes room: what has been answered most often goes first. */
static void three_entries(struct net_stack_config *config)
{
    config->max_half_open = 3;
    config->syn_cookies = NET_SYN_COOKIES_NEVER;
}

static void test_oldest_goes(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, three_entries);
    uint32_t iss[6];
    for (s.peer_port = 1; s.peer_port <= 5; s.peer_port++) {
        syn(&s);
        iss[s.peer_port] = s.iss;
        if (s.peer_port == 1) {
            script_wait(&s, 1000 * SCRIPT_MS);
            script_expect(&s, S | A, 0, 1, 0);
        }
    }
    assert_int_equal(metrics(&s)->half_open, 3);
    assert_int_equal(metrics(&s)->syn_evicted, 2);
    for (s.peer_port = 1; s.peer_port <= 5; s.peer_port++) {
        s.iss = iss[s.peer_port];
        script_send(&s, A, 1, 1, 65535, NULL, 0);
        if (s.peer_port <= 2) script_expect(&s, R, 1, 0, 0);
    }
    assert_int_equal(s.accepted, 3);
    assert_int_equal(script_destroy(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half_open_takes_no_connection),
        cmocka_unit_test(test_completion_waits_for_room),
        cmocka_unit_test(test_syn_ack_backs_off),
        cmocka_unit_test(test_entries_do_not_disturb_each_other),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_peer_starts_anew),
        cmocka_unit_test(test_old_timestamp),
        cmocka_unit_test(test_blind_segments),
        cmocka_unit_test(test_oldest_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
