/* What net/inspect.h tells of connections and neighbours. */
#include <errno.h>
#include <string.h>
#include "net/inspect.h"
#include "tests/net/sim/cmocka_all.h"
#include "tests/net/sim/script.h"

/* All of a stack's connections, read in steps of `step` places. */
static unsigned read_all(const struct net_stack *stack, unsigned step, struct net_tcp_info *out, unsigned cap)
{
    struct net_tcp_info part[64];
    unsigned count = 0;
    for (uint32_t at = 0; at != NET_READ_END;) {
        unsigned n = net_stack_read_connections(stack, &at, part, step);
        assert_true(n <= step);
        assert_true(count + n <= cap);
        memcpy(out + count, part, n * sizeof *part);
        count += n;
    }
    return count;
}

static void test_an_established_connection(void **state)
{
    (void)state;
    struct script s;
    struct net_tcp_info info;
    char text[NET_ENDPOINT_TEXT];
    script_create(&s, NULL);
    s.ts = true;
    script_open(&s, 20000);
    assert_int_equal(net_stream_info(s.stream, &info), 0);
    assert_string_equal(net_tcp_state_name(info.state), "ESTAB");
    net_endpoint_format(&info.local, text);
    assert_string_equal(text, "10.0.0.1:7");
    net_endpoint_format(&info.remote, text);
    assert_string_equal(text, "10.0.0.2:4000");
    assert_true(info.options & NET_INFO_TIMESTAMPS);
    assert_false(info.options & NET_INFO_ECN);
    assert_int_equal(info.snd_wnd, 20000);
    assert_int_equal(info.snd_mss, 1448);
    assert_true(info.rcv_wnd > 0 && info.cwnd >= info.snd_mss);
    assert_true(strlen(info.congestion) > 0);
    assert_int_equal(info.tx_queue + info.rx_queue + info.in_flight + info.retransmits, 0);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_queues_and_flight(void **state)
{
    (void)state;
    struct script s;
    struct net_tcp_info info;
    script_create(&s, NULL);
    script_open(&s, 1000); /* one segment's worth of window */
    script_write(&s, 5000);
    script_send(&s, A | P, 1, 1, 1000, "twelve bytes", 12);
    assert_int_equal(net_stream_info(s.stream, &info), 0);
    assert_int_equal(info.tx_queue, 5000);
    assert_int_equal(info.in_flight, 1000);
    assert_int_equal(info.rx_queue, 12);
    assert_int_equal(info.idle_ns, 0);
    script_wait(&s, 3 * SCRIPT_MS); /* below the shortest timeout */
    assert_int_equal(net_stream_info(s.stream, &info), 0);
    assert_int_equal(info.retransmits, 0);
    script_wait(&s, 3000 * SCRIPT_MS);
    assert_int_equal(net_stream_info(s.stream, &info), 0);
    assert_true(info.retransmits > 0);
    assert_int_equal(info.retransmits, net_stack_metrics(s.stack)->retransmits);
    assert_true(info.backoff > 0);
    assert_true(info.rto_ns > 0);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_a_stream_of_another_kind(void **state)
{
    (void)state;
    static const struct stream_ops other = {.name = "other"};
    struct stream stream = {.ops = &other};
    struct net_tcp_info info;
    assert_int_equal(net_stream_info(&stream, &info), -EOPNOTSUPP);
}

/* The peer opens from so many ports in turn. */
static void open_many(struct script *s, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        s->peer_port = (uint16_t)(5000 + i);
        script_open(s, 65535);
    }
}

static void test_reading_in_steps_sees_each_once(void **state)
{
    (void)state;
    struct script s;
    struct net_tcp_info all[64];
    script_create(&s, NULL);
    open_many(&s, 20);
    for (unsigned step = 1; step <= 33; step += 8) {
        bool seen[20] = {false};
        assert_int_equal(read_all(s.stack, step, all, 64), 20);
        for (unsigned i = 0; i < 20; i++) {
            unsigned port = all[i].remote.port - 5000u;
            assert_true(port < 20 && !seen[port]);
            seen[port] = true;
            assert_int_equal(all[i].state, NET_TCP_ESTABLISHED);
        }
    }
    s.stream->ops->abort(s.stream);
    assert_int_equal(read_all(s.stack, 7, all, 64), 19);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_time_wait_is_listed(void **state)
{
    (void)state;
    struct script s;
    struct net_tcp_info all[4];
    script_create(&s, NULL);
    script_open(&s, 65535);
    s.stream->ops->close(s.stream);
    script_output(&s);
    assert_int_equal(read_all(s.stack, 4, all, 4), 1);
    assert_int_equal(all[0].state, NET_TCP_FIN_WAIT1);
    script_send(&s, F | A, 1, 2, 65535, NULL, 0);
    assert_int_equal(read_all(s.stack, 4, all, 4), 1);
    assert_int_equal(all[0].state, NET_TCP_TIME_WAIT);
    assert_int_equal(all[0].remote.port, SCRIPT_PEER_PORT);
    assert_int_equal(all[0].local.port, SCRIPT_PORT);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_half_open_is_listed(void **state)
{
    (void)state;
    struct script s;
    struct net_tcp_info all[4];
    script_create(&s, NULL);
    script_send(&s, S, 0, 0, 65535, NULL, 0);
    assert_int_equal(read_all(s.stack, 4, all, 4), 1);
    assert_int_equal(all[0].state, NET_TCP_SYN_RECV);
    assert_int_equal(all[0].remote.port, SCRIPT_PEER_PORT);
    script_expect(&s, S | A, 0, 1, 0);
    script_send(&s, A, 1, 1, 65535, NULL, 0);
    assert_int_equal(read_all(s.stack, 4, all, 4), 1);
    assert_int_equal(all[0].state, NET_TCP_ESTABLISHED);
    assert_int_equal(script_destroy(&s), 0);
}

static unsigned neighbours(const struct net_stack *stack, struct net_neighbour_info *out, unsigned cap)
{
    unsigned count = 0;
    for (uint32_t at = 0; at != NET_READ_END;) count += net_stack_read_neighbours(stack, &at, out + count, cap - count);
    return count;
}

static void test_neighbours(void **state)
{
    (void)state;
    struct script s;
    struct net_neighbour_info info[4];
    struct stream *stream;
    script_create(&s, NULL);
    assert_int_equal(neighbours(s.stack, info, 4), 0);
    assert_int_equal(net_connect(s.stack, net_endpoint_v4(0x0a000002, 80), s.now, &stream), 0);
    script_output(&s);
    assert_int_equal(neighbours(s.stack, info, 4), 1);
    assert_string_equal(info[0].state, "incomplete");
    struct net_addr peer = net_addr_v4(0x0a000002);
    assert_true(net_addr_equal(&info[0].addr, &peer));
    assert_true(info[0].tries > 0);
    assert_int_equal(script_destroy(&s), 0);
    script_create(&s, NULL);
    script_connect(&s, 65535); /* its ARP request is answered */
    assert_int_equal(neighbours(s.stack, info, 4), 1);
    assert_string_equal(info[0].state, "reachable");
    assert_memory_equal(info[0].mac, ((const uint8_t[]){2, 0, 0, 0, 0, 2}), 6);
    assert_int_equal(script_destroy(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_established_connection),
        cmocka_unit_test(test_queues_and_flight),
        cmocka_unit_test(test_a_stream_of_another_kind),
        cmocka_unit_test(test_reading_in_steps_sees_each_once),
        cmocka_unit_test(test_time_wait_is_listed),
        cmocka_unit_test(test_half_open_is_listed),
        cmocka_unit_test(test_neighbours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
