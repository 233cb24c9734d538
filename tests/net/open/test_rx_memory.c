/* Received bytes that nobody reads: the memory they hold is bounded, however they come. RFC 9293 3.8.6.2.2. */
#include <string.h>
#include "tests/net/sim/cmocka_all.h"
#include "tests/net/sim/script.h"
#include "tests/support/eal.h"

#define BUFFER 2176u /* bytes of a frame's buffer here */

static const struct net_metrics *metrics(const struct script *s) { return net_stack_metrics(s->stack); }

static uint32_t frames_held(const struct script *s) { return rte_mempool_in_use_count(s->pools.frame); }

static void window_of_8k(struct net_stack_config *config) { config->rx_window = 8192; }
static void window_of_32k(struct net_stack_config *config) { config->rx_window = 32768; }

/* The right edge that the stack has offered never comes back. */
static void edge_check(struct script *s, uint32_t *edge)
{
    while (s->head != s->tail) {
        struct script_segment t = script_next(s);
        assert_true((int32_t)(t.ack + t.wnd - *edge) >= 0);
        *edge = t.ack + t.wnd;
    }
}

static void read_all(struct script *s)
{
    uint32_t n = s->stream->rx.len;
    buf_chain_consume(&s->stream->rx, n);
    s->stream->ops->consumed(s->stream, n);
    script_output(s);
}

/* A byte a segment: they share buffers. */
static void test_tiny_segments(void **state)
{
    (void)state;
    struct script s;
    uint32_t edge = 1;
    script_create(&s, window_of_8k);
    script_open(&s, 65535);
    for (uint32_t i = 0; i < 8192; i++) {
        script_send(&s, P | A, 1 + i, 1, 65535, "x", 1);
        edge_check(&s, &edge);
        assert_in_range(frames_held(&s), 1, 5);
    }
    assert_int_equal(s.stream->rx.len, 8192);
    assert_int_equal(edge, 8193);
    read_all(&s);
    edge_check(&s, &edge);
    assert_int_equal(edge, 16385);
    assert_int_equal(frames_held(&s), 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* Segments just too large to be copied together: three quarters of each buffer are waste. */
static void test_wasteful_segments(void **state)
{
    (void)state;
    enum { LEN = 560, MOST = 2 * 32768 / BUFFER + 1 };
    struct script s;
    static uint8_t payload[LEN];
    uint32_t edge = 1, seq = 1;
    script_create(&s, window_of_32k);
    script_open(&s, 65535);
    while (metrics(&s)->drop_tcp_rx_memory == 0) { /* it fills the whole of what was offered */
        script_send(&s, P | A, seq, 1, 65535, payload, LEN);
        edge_check(&s, &edge);
        seq += LEN;
        assert_in_range(frames_held(&s), 1, MOST);
        assert_in_range(seq, 1, 32768);
    }
    seq -= LEN;
    assert_int_equal(s.stream->rx.len, seq - 1);
    for (unsigned i = 0; i < 100; i++) { /* in order, out of order, old: nothing more is held */
        script_send(&s, P | A, seq, 1, 65535, payload, LEN);
        script_send(&s, P | A, seq + 1000, 1, 65535, payload, LEN);
        script_send(&s, F | P | A, seq, 1, 65535, payload, LEN);
        edge_check(&s, &edge);
        assert_in_range(frames_held(&s), 1, MOST);
    }
    assert_int_equal(script_events(&s), STREAM_READABLE); /* no FIN before its bytes */
    read_all(&s);
    assert_int_equal(frames_held(&s), 0);
    script_send(&s, P | A, seq, 1, 65535, payload, LEN); /* sent again, it is taken */
    assert_int_equal(s.stream->rx.len, LEN);
    edge_check(&s, &edge);
    assert_true(edge - seq > 32768 - 3 * LEN);
    assert_int_equal(script_destroy(&s), 0);
}

/* What is left after a part was read counts for as much of the memory as it is of the bytes. */
static void test_partly_read(void **state)
{
    (void)state;
    struct script s;
    static uint8_t payload[560];
    uint32_t edge = 1, seq = 1;
    script_create(&s, window_of_32k);
    script_open(&s, 65535);
    for (unsigned round = 0; round < 200; round++) {
        for (unsigned i = 0; i < 10; i++, seq += 560) {
            script_send(&s, P | A, seq, 1, 65535, payload, 560);
            edge_check(&s, &edge);
        }
        for (unsigned i = 0; i < 7; i++) {
            uint32_t n = i < 6 ? 800 : 5600 - 6 * 800;
            buf_chain_consume(&s.stream->rx, n);
            s.stream->ops->consumed(s.stream, n);
            script_output(&s);
            edge_check(&s, &edge);
        }
    }
    assert_int_equal(metrics(&s)->drop_tcp_rx_memory, 0);
    assert_int_equal(frames_held(&s), 0);
    assert_int_equal(script_destroy(&s), 0);
}

#define READERS 1000u
#define STACK_MEMORY (2u << 20)

static void thousand(struct net_stack_config *config)
{
    config->rx_window = 16384;
    config->rx_memory = STACK_MEMORY;
    config->max_connections = READERS + 8;
}

/* A thousand connections that nobody reads, filled to the brim: bounded together, and one that is read goes on. */
static void slow_readers(uint32_t len)
{
    struct script s;
    static uint8_t payload[1460];
    static uint32_t iss[READERS];
    script_create(&s, thousand);
    buf_pools_destroy(&s.pools);
    test_pools_create(&s.pools, 8191, 2048);
    for (uint32_t i = 0; i < READERS; i++) {
        s.peer_port = (uint16_t)(10000 + i);
        script_open(&s, 65535);
        iss[i] = s.iss;
    }
    s.peer_port = 9999;
    script_open(&s, 65535);
    uint32_t active_iss = s.iss, turn = 0;
    struct stream *active = s.stream;
    for (uint32_t round = 0; round < 16; round++) {
        for (uint32_t i = 0; i < READERS; i++) {
            s.peer_port = (uint16_t)(10000 + i);
            s.iss = iss[i];
            script_send(&s, P | A, 1 + round * len, 1, 65535, payload, len);
            s.head = s.tail;
            assert_in_range(frames_held(&s), 1, STACK_MEMORY / BUFFER + READERS);
        }
        s.peer_port = 9999;
        s.iss = active_iss;
        script_send(&s, P | A, 1 + turn * 3, 1, 65535, "get", 3);
        turn++;
        s.stream = active;
        assert_int_equal(active->rx.len, 3);
        read_all(&s);
        s.head = s.tail;
    }
    if (len > 1000) assert_true(metrics(&s)->drop_tcp_rx_memory > 0);
    else assert_in_range(frames_held(&s), 1, STACK_MEMORY / BUFFER);
    assert_int_equal(net_stack_connections(s.stack), READERS + 1);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_slow_readers(void **state)
{
    (void)state;
    slow_readers(1400);
    slow_readers(1);
}

#define SCARCE_OFFER 4096u

static void six_buffers(struct net_stack_config *config)
{
    config->rx_window = 8192;
    config->rx_memory = 6 * BUFFER;
}

/* While one that is not read holds most of the memory, another is offered little: 4 KiB once it has read all, nothing
 * before; and as much as ever when the memory is free again. */
static void test_scarce_offer(void **state)
{
    (void)state;
    struct script s;
    static uint8_t payload[1400];
    uint32_t edge = 1, seq = 1;
    script_create(&s, six_buffers);
    s.peer_port = 4001;
    script_open(&s, 65535);
    struct stream *unread = s.stream;
    for (uint32_t i = 0; i < 4; i++) script_send(&s, P | A, 1 + i * 1400, 1, 65535, payload, 1400);
    assert_int_equal(unread->rx.len, 5600);
    s.head = s.tail;
    s.peer_port = 4002;
    script_open(&s, 65535);
    s.head = s.tail;
    for (unsigned i = 0; i < 24; i++, seq += 500) { /* the edge that the SYN-ACK has offered is passed */
        script_send(&s, P | A, seq, 1, 65535, payload, 500);
        read_all(&s);
        script_wait(&s, 10 * SCRIPT_MS);
        edge_check(&s, &edge);
    }
    assert_in_range(edge, seq + 1, seq + SCARCE_OFFER);
    script_send(&s, P | A, seq, 1, 65535, payload, 500);
    script_wait(&s, 10 * SCRIPT_MS);
    uint32_t held = edge;
    edge_check(&s, &held);
    assert_int_equal(held, edge); /* unread: no more than was offered */
    seq += 500;
    read_all(&s);
    struct stream *other = s.stream;
    s.stream = unread;
    read_all(&s);
    s.stream = other;
    s.head = s.tail;
    script_send(&s, P | A, seq, 1, 65535, payload, 500);
    read_all(&s);
    script_wait(&s, 10 * SCRIPT_MS);
    seq += 500;
    edge_check(&s, &edge);
    assert_in_range(edge, seq + SCARCE_OFFER + 1, seq + 8192);
    assert_int_equal(script_destroy(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiny_segments),
        cmocka_unit_test(test_wasteful_segments),
        cmocka_unit_test(test_partly_read),
        cmocka_unit_test(test_slow_readers),
        cmocka_unit_test(test_scarce_offer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
