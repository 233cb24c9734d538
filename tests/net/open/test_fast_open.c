/* Fast open where a script cannot look: many clients, many servers, cores that share an address. RFC 7413. */
#include <string.h>
#include "net/stack_impl.h"
#include "net/tcp/tcp_fast_open.h"
#include "tests/net/sim/cmocka_all.h"
#include "tests/net/sim/script.h"

static const struct net_metrics *metrics(const struct script *s)
{
    return net_stack_metrics(s->stack);
}

static void four(struct net_stack_config *config)
{
    config->fast_open = 4;
}

/* Asks for a cookie from port; leaves the handshake half-open. */
static void cookie_ask(struct script *s, uint16_t port, uint8_t cookie[8])
{
    static const uint8_t ask[4] = {34, 2, 1, 1};
    s->peer_port = port;
    script_send_options(s, S, 0, 0, 65535, ask, sizeof ask, NULL, 0);
    struct script_segment answer = script_expect(s, S | A, 0, 1, 0);
    assert_int_equal(answer.options_len, 16); /* MSS, and the cookie behind two NOPs */
    assert_memory_equal(answer.options + 4, ((uint8_t[]){1, 1, 34, 10}), 4);
    memcpy(cookie, answer.options + 8, 8);
}

static void syn_data(struct script *s, uint16_t port, const uint8_t cookie[8], const char *text)
{
    uint8_t options[12] = {1, 1, 34, 10};
    memcpy(options + 4, cookie, 8);
    s->peer_port = port;
    script_send_options(s, S, 0, 0, 65535, options, sizeof options, text, (uint32_t)strlen(text));
}

static void test_each_opened_has_its_data(void **state)
{
    (void)state;
    struct script s;
    uint8_t cookie[8], again[8];
    script_create(&s, four);
    cookie_ask(&s, 100, cookie);
    cookie_ask(&s, 101, again);
    assert_memory_equal(cookie, again, 8); /* the address's, whatever the port */
    for (unsigned i = 0; i < 4; i++) {
        syn_data(&s, (uint16_t)(200 + i), cookie, "hello");
        script_expect(&s, S | A, 0, 6, 0);
        assert_int_equal(s.accepted, i + 1);
        assert_int_equal(s.stream->rx.len, 5);
        assert_int_equal(script_events(&s), STREAM_READABLE);
        s.stream->ops->close(s.stream); /* with bytes that nobody has read */
        script_output(&s);
        while (s.head != s.tail) script_next(&s);
    }
    syn_data(&s, 300, cookie, "hello");
    script_expect(&s, S | A, 0, 1, 0);
    assert_int_equal(metrics(&s)->fast_opened, 4);
    assert_int_equal(metrics(&s)->fast_open_no_room, 1);
    assert_int_equal(script_destroy(&s), 0);
}

/* The application refuses: its place is free again, the peer is reset. */
static void test_refused_by_the_application(void **state)
{
    (void)state;
    struct script s;
    uint8_t cookie[8];
    script_create(&s, four);
    cookie_ask(&s, 100, cookie);
    s.abort_on_accept = true;
    for (unsigned i = 0; i < 10; i++) {
        syn_data(&s, (uint16_t)(200 + i), cookie, "hello");
        assert_int_equal(s.stack->fast_open.pending, 0);
        while (s.head != s.tail) script_next(&s);
    }
    assert_int_equal(metrics(&s)->fast_opened, 10);
    assert_int_equal(net_stack_connections(s.stack), 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* A key given by the configuration makes cookies that any core of the address knows; else each stack has its own. */
static void shared_key(struct net_stack_config *config)
{
    config->fast_open = 4;
    config->secret[0] = 77;
    config->fast_open_secret[0] = 5;
}

static void shared_key_of_another_core(struct net_stack_config *config)
{
    shared_key(config);
    config->secret[0] = 78;
}

static void own_key(struct net_stack_config *config)
{
    config->fast_open = 4;
    config->secret[0] = 79;
}

static void test_cores_share_a_key(void **state)
{
    (void)state;
    struct script s;
    uint8_t cookie[8];
    script_create(&s, shared_key);
    cookie_ask(&s, 100, cookie);
    assert_int_equal(script_destroy(&s), 0);
    script_create(&s, shared_key_of_another_core);
    syn_data(&s, 200, cookie, "hello");
    assert_int_equal(metrics(&s)->fast_opened, 1);
    assert_int_equal(script_destroy(&s), 0);
    script_create(&s, own_key);
    syn_data(&s, 200, cookie, "hello");
    assert_int_equal(metrics(&s)->fast_open_refused, 1);
    assert_int_equal(script_destroy(&s), 0);
}

/* Whatever a client without a cookie guesses: one bit off is off. */
static void test_each_bit_counts(void **state)
{
    (void)state;
    struct script s;
    uint8_t cookie[8];
    script_create(&s, four);
    cookie_ask(&s, 100, cookie);
    for (unsigned bit = 0; bit < 64; bit++) {
        uint8_t forged[8];
        memcpy(forged, cookie, sizeof forged);
        forged[bit / 8] ^= (uint8_t)(1u << bit % 8);
        syn_data(&s, (uint16_t)(200 + bit), forged, "hello");
        script_expect(&s, S | A, 0, 1, 0);
    }
    assert_int_equal(metrics(&s)->fast_open_refused, 64);
    assert_int_equal(s.accepted, 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* An RST flood: places come back one by one as their minute is over, and the ring of them wraps. */
static void most(struct net_stack_config *config)
{
    config->fast_open = TCP_FAST_OPEN_PENDING_MOST;
    config->max_connections = 4096;
}

static void test_resets_are_remembered(void **state)
{
    (void)state;
    struct script s;
    uint8_t cookie[8];
    script_create(&s, most);
    cookie_ask(&s, 100, cookie);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < TCP_FAST_OPEN_PENDING_MOST; i++) {
            syn_data(&s, (uint16_t)(2000 + i), cookie, "x");
            script_expect(&s, S | A, 0, 2, 0);
            script_send(&s, R, 2, 0, 0, NULL, 0);
            script_events(&s);
            s.stream->ops->close(s.stream);
            script_output(&s);
        }
        syn_data(&s, 1999, cookie, "x");
        script_expect(&s, S | A, 0, 1, 0);
        script_send(&s, R, 1, 0, 0, NULL, 0);
        assert_int_equal(metrics(&s)->fast_open_no_room, round + 1);
        script_wait(&s, 61000 * SCRIPT_MS);
        s.head = s.tail;
    }
    assert_int_equal(metrics(&s)->fast_opened, 3 * TCP_FAST_OPEN_PENDING_MOST);
    assert_int_equal(script_destroy(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_opened_has_its_data), cmocka_unit_test(test_refused_by_the_application),
        cmocka_unit_test(test_cores_share_a_key),        cmocka_unit_test(test_each_bit_counts),
        cmocka_unit_test(test_resets_are_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
