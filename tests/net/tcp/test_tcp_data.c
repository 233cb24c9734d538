/* Data both ways: order, windows, acknowledgements. */
#include <string.h>
#include <rte_byteorder.h>
#include "tests/net/sim/cmocka_all.h"
#include "tests/net/sim/script.h"

static void small_window(struct net_stack_config *config) { config->rx_window = 4096; }

static void consume_all(struct script *s)
{
    uint32_t n = s->stream->rx.len;
    buf_chain_consume(&s->stream->rx, n);
    s->stream->ops->consumed(s->stream, n);
    script_output(s);
}

static void assert_rx(struct script *s, const char *want)
{
    char got[64] = {0};
    uint32_t n = buf_chain_copy(&s->stream->rx, 0, got, sizeof got - 1);
    assert_int_equal(n, strlen(want));
    assert_string_equal(got, want);
}

static void test_reply_carries_the_ack(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_open(&s, 65535);
    script_send(&s, P | A, 1, 1, 65535, "hello", 5);
    assert_int_equal(script_events(&s), STREAM_READABLE);
    assert_rx(&s, "hello");
    script_expect_nothing(&s); /* the ACK waits for data */
    script_write(&s, 100);
    struct script_segment t = script_expect(&s, A, 1, 6, 100);
    assert_int_equal(t.frame->segments, 1); /* a small reply is one linear buffer */
    script_expect_nothing(&s);
    assert_int_equal(s.stream->tx_queued, 100);
    script_send(&s, A, 6, 101, 65535, NULL, 0);
    assert_int_equal(s.stream->tx_queued, 0);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_delayed_ack(void **state)
{
    (void)state;
    struct script s;
    uint8_t full[1460] = {0};
    script_create(&s, NULL);
    script_open(&s, 65535);
    uint64_t start = s.now;
    script_send(&s, P | A, 1, 1, 65535, "x", 1);
    script_expect_nothing(&s);
    script_wait(&s, 10 * SCRIPT_MS);
    struct script_segment t = script_expect(&s, A, 1, 2, 0);
    assert_in_range(t.at - start, SCRIPT_MS, SCRIPT_MS + 50000);
    script_expect_nothing(&s);
    script_send(&s, A, 2, 1, 65535, full, sizeof full); /* every second full segment at once */
    script_expect_nothing(&s);
    script_send(&s, A, 1462, 1, 65535, full, sizeof full);
    script_expect(&s, A, 1, 2922, 0);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_out_of_order(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    s.ts = true;
    script_open(&s, 65535);
    script_send(&s, A, 7, 1, 65535, "ghi", 3); /* a gap: ACK at once, with the block that is there */
    struct script_segment t = script_expect(&s, A, 1, 1, 0);
    uint32_t block[2];
    assert_int_equal(t.options_len, 24);
    memcpy(block, t.options + 16, sizeof block);
    assert_int_equal(rte_be_to_cpu_32(block[0]) - SCRIPT_PEER_ISS, 7);
    assert_int_equal(rte_be_to_cpu_32(block[1]) - SCRIPT_PEER_ISS, 10);
    script_send(&s, A, 11, 1, 65535, "kl", 2);
    t = script_expect(&s, A, 1, 1, 0);
    assert_int_equal(t.options_len, 32);
    memcpy(block, t.options + 16, sizeof block);
    assert_int_equal(rte_be_to_cpu_32(block[0]) - SCRIPT_PEER_ISS, 11); /* the newest first */
    script_send(&s, A, 5, 1, 65535, "efgX", 4); /* overlaps: what came first is kept */
    script_expect(&s, A, 1, 1, 0);
    assert_int_equal(script_events(&s), 0);
    script_send(&s, A, 1, 1, 65535, "abcd", 4);
    script_expect(&s, A, 1, 10, 0);
    assert_rx(&s, "abcdefghi");
    script_send(&s, A, 8, 1, 65535, "hij", 3); /* half old */
    script_expect(&s, A, 1, 13, 0);
    assert_rx(&s, "abcdefghijkl");
    assert_int_equal(net_stack_metrics(s.stack)->out_of_order, 3);
    assert_int_equal(script_destroy(&s), 0);
}

/* A resent segment, longer than the first time, covers what waits out of order, and more. */
static void test_out_of_order_covered(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_open(&s, 65535);
    script_send(&s, A, 3, 1, 65535, "cd", 2);
    script_expect(&s, A, 1, 1, 0);
    script_send(&s, A, 6, 1, 65535, "f", 1);
    script_expect(&s, A, 1, 1, 0);
    script_send(&s, A, 1, 1, 65535, "abcdefgh", 8);
    script_expect(&s, A, 1, 9, 0);
    assert_rx(&s, "abcdefgh");
    assert_int_equal(script_destroy(&s), 0);
}

static void test_out_of_order_fin(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_open(&s, 65535);
    script_send(&s, A | F, 3, 1, 65535, "cd", 2);
    script_expect(&s, A, 1, 1, 0);
    script_send(&s, A, 1, 1, 65535, "ab", 2);
    script_expect(&s, A, 1, 6, 0);
    assert_rx(&s, "abcd");
    assert_int_equal(script_events(&s), STREAM_READABLE | STREAM_EOF);
    assert_int_equal(script_destroy(&s), 0);
}

/* A peer that trickles bytes must not pin a frame buffer with each of them. */
static void test_small_slices_are_gathered(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_open(&s, 65535);
    for (uint32_t i = 0; i < 1000; i++) {
        script_send(&s, A, 1 + i, 1, 65535, "x", 1);
        s.head = s.tail;
    }
    assert_int_equal(s.stream->rx.len, 1000);
    assert_true(buf_pools_in_use(&s.pools) <= 2);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_window_closes_and_opens(void **state)
{
    (void)state;
    struct script s;
    uint8_t data[1024] = {0};
    script_create(&s, small_window);
    script_open(&s, 65535);
    for (uint32_t i = 0; i < 4; i++) script_send(&s, A, 1 + i * 1024, 1, 65535, data, 1024);
    script_wait(&s, 2 * SCRIPT_MS);
    struct script_segment t = {0};
    while (s.head != s.tail) t = script_next(&s);
    assert_int_equal(t.ack, 4097);
    assert_int_equal(t.wnd, 0);
    script_send(&s, A, 4097, 1, 65535, "y", 1); /* a probe of the closed window: answered, not taken */
    t = script_expect(&s, A, 1, 4097, 0);
    assert_int_equal(t.wnd, 0);
    assert_int_equal(s.stream->rx.len, 4096);
    buf_chain_consume(&s.stream->rx, 100); /* too little to speak of */
    s.stream->ops->consumed(s.stream, 100);
    script_output(&s);
    script_expect_nothing(&s);
    consume_all(&s);
    t = script_expect(&s, A, 1, 4097, 0);
    assert_int_equal(t.wnd, 4096);
    script_send(&s, A, 4097, 1, 65535, "y", 1);
    assert_rx(&s, "y");
    assert_int_equal(script_destroy(&s), 0);
}

static void test_data_beyond_the_window_is_cut(void **state)
{
    (void)state;
    struct script s;
    uint8_t data[1400] = {0};
    script_create(&s, small_window);
    script_open(&s, 65535);
    for (uint32_t i = 0; i < 3; i++) script_send(&s, A, 1 + i * 1400, 1, 65535, data, 1400);
    assert_int_equal(s.stream->rx.len, 4096);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_zero_window_is_probed(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_open(&s, 1000);
    script_write(&s, 3000);
    script_expect(&s, A, 1, 1, 1000);
    script_send(&s, A, 1, 1001, 0, NULL, 0);
    script_expect_nothing(&s);
    uint64_t last = s.now, gap = 0;
    for (unsigned i = 0; i < 5; i++) {
        while (s.head == s.tail) script_wait(&s, SCRIPT_MS);
        struct script_segment t = script_expect(&s, A, 1001, 1, 1);
        if (i > 1) assert_in_range(t.at - last, gap * 19 / 10, gap * 21 / 10); /* backs off */
        gap = t.at - last;
        last = t.at;
        script_send(&s, A, 1, 1001, 0, NULL, 0); /* not taken */
    }
    assert_int_equal(net_stack_metrics(s.stack)->zero_window_probes, 5);
    script_send(&s, A, 1, 1001, 1460, NULL, 0); /* the window opens */
    script_expect(&s, A, 1001, 1, 1460);
    script_send(&s, A, 1, 2461, 1460, NULL, 0);
    script_expect(&s, A, 2461, 1, 540);
    script_send(&s, A, 1, 3001, 1460, NULL, 0);
    assert_int_equal(s.stream->tx_queued, 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* The peer's small window steps do not make us send small segments. */
static void test_sender_avoids_silly_windows(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_open(&s, 8000);
    script_write(&s, 20000);
    for (unsigned i = 0; i < 5; i++) script_expect(&s, A, 1 + i * 1460, 1, 1460);
    script_expect_nothing(&s); /* 700 bytes of window are left, but more than that is queued */
    script_send(&s, A, 1, 1461, 6600, NULL, 0);
    script_expect_nothing(&s);
    script_send(&s, A, 1, 7301, 8000, NULL, 0);
    script_expect(&s, A, 7301, 1, 1460);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_large_payload_is_referenced(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_open(&s, 65535);
    script_write(&s, 1460);
    struct script_segment t = script_expect(&s, A, 1, 1, 1460);
    assert_int_equal(t.frame->segments, 3); /* header, and a reference for each of two buffers */
    for (uint32_t i = 0; i < t.len; i++) assert_int_equal(t.payload[i], (uint8_t)(i * 7 + (i >> 8)));
    assert_int_equal(net_stack_metrics(s.stack)->tx_copied, 0);
    assert_int_equal(buf_pools_in_use(&s.pools), 2); /* held until acknowledged */
    script_send(&s, A, 1, 1461, 65535, NULL, 0);
    assert_int_equal(buf_pools_in_use(&s.pools), 0);
    assert_int_equal(script_destroy(&s), 0);
}

static uint8_t reply_byte(uint32_t i)
{
    return (uint8_t)(i * 11 + (i >> 8));
}

/* Queues a reply whose head, a piece of its own, has so many bytes. */
static void write_reply(struct script *s, const uint16_t *lengths, unsigned count)
{
    struct buf_chain chain;
    buf_chain_init(&chain);
    for (uint32_t i = 0, at = 0; i < count; i++) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(s->pools.frame);
        assert_non_null(m);
        uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, lengths[i]);
        for (uint32_t k = 0; k < lengths[i]; k++) p[k] = reply_byte(at++);
        buf_chain_append(&chain, m);
    }
    s->stream->ops->send(s->stream, &chain);
    s->stream->ops->flush(s->stream);
    script_output(s);
}

/* A frame of so many pieces has the reply's bytes from at on. script_next has looked at its checksums. */
static void expect_reply(struct script *s, uint32_t at, uint32_t len, uint16_t pieces)
{
    struct script_segment t = script_expect(s, A, 1 + at, 1, len);
    assert_int_equal(t.frame->segments, pieces);
    for (uint32_t i = 0; i < len; i++) assert_int_equal(t.payload[i], reply_byte(at + i));
}

/* The head of a reply whose value is referenced lies behind the headers, each time that it is sent. */
static void test_short_head_is_copied(void **state)
{
    (void)state;
    static const struct {
        uint16_t lengths[3], pieces, copied;
    } rows[] = {
        {{25, 600, 7}, 3, 25}, {{26, 601, 300}, 3, 26}, {{128, 600, 7}, 3, 128},
        {{129, 600, 7}, 4, 0}, {{1, 1, 600}, 3, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct script s;
        uint32_t len = (uint32_t)rows[i].lengths[0] + rows[i].lengths[1] + rows[i].lengths[2];
        script_create(&s, NULL);
        script_open(&s, 65535);
        write_reply(&s, rows[i].lengths, 3);
        expect_reply(&s, 0, len, rows[i].pieces);
        assert_int_equal(net_stack_metrics(s.stack)->tx_copied, rows[i].copied);
        script_wait(&s, 2000 * SCRIPT_MS);
        expect_reply(&s, 0, len, rows[i].pieces);
        const struct net_metrics *m = net_stack_metrics(s.stack);
        assert_true(m->retransmits > 0);
        assert_int_equal(m->tx_copied, rows[i].copied * (1 + m->retransmits));
        assert_int_equal(script_destroy(&s), 0);
    }
}

/* What is left of a head of which a part is acknowledged; and the next reply's, queued behind it. */
static void test_rest_of_head_is_copied(void **state)
{
    (void)state;
    static const uint16_t lengths[] = {101, 900, 7, 30, 1200};
    struct script s;
    script_create(&s, NULL);
    script_open(&s, 65535);
    write_reply(&s, lengths, 5);
    expect_reply(&s, 0, 1460, 5); /* with the head behind the headers: four references */
    expect_reply(&s, 1460, 778, 2);
    script_send(&s, A, 1, 11, 65535, NULL, 0);
    script_wait(&s, 2000 * SCRIPT_MS);
    expect_reply(&s, 10, 1460, 5);
    const struct net_metrics *m = net_stack_metrics(s.stack);
    assert_true(m->retransmits > 0);
    assert_int_equal(m->tx_copied, 101 + 91 * m->retransmits);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_writable_event(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_open(&s, 65535);
    s.stream->tx_low_water = 500;
    s.stream->want_writable = true;
    script_write(&s, 2000);
    script_send(&s, A, 1, 1461, 65535, NULL, 0);
    assert_int_equal(script_events(&s), 0);
    script_send(&s, A, 1, 2001, 65535, NULL, 0);
    assert_int_equal(script_events(&s), STREAM_WRITABLE);
    assert_false(s.stream->want_writable);
    assert_int_equal(script_destroy(&s), 0);
}

static void offload(struct net_stack_config *config) { config->tx_ip_checksum = config->tx_tcp_checksum = true; }

/* What the device would complete is what software writes. */
static void test_checksum_offload_equals_software(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {10, 99, 256, 257, 1460};
    static struct script soft, hard;
    script_create(&soft, NULL);
    script_create(&hard, offload);
    script_open(&soft, 65535);
    script_open(&hard, 65535);
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        script_write(&soft, sizes[i]);
        script_write(&hard, sizes[i]);
        struct script_segment a = script_next(&soft), b = script_next(&hard);
        assert_int_equal(b.frame->l2_len, 14);
        assert_int_equal(b.frame->l3_len, 20);
        assert_true(b.frame->ol_flags & RTE_MBUF_F_TX_TCP_CKSUM && b.frame->ol_flags & RTE_MBUF_F_TX_IP_CKSUM);
        uint8_t mended[SCRIPT_FRAME_BYTES];
        memcpy(mended, b.frame->bytes, b.frame->len);
        script_checksum(mended, b.frame->len);
        assert_int_equal(a.frame->len, b.frame->len);
        assert_memory_equal(a.frame->bytes, mended, a.frame->len);
    }
    assert_int_equal(script_destroy(&soft), 0);
    assert_int_equal(script_destroy(&hard), 0);
}

/* Odd borders between referenced buffers: the frame's checksum is verified by script_next. */
static void test_odd_fragments_checksum(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_open(&s, 65535);
    struct buf_chain chain;
    buf_chain_init(&chain);
    for (uint32_t n = 1; n < 500; n += 58) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(s.pools.frame);
        memset(rte_pktmbuf_append(m, (uint16_t)n), (int)n, n);
        buf_chain_append(&chain, m);
    }
    s.stream->ops->send(s.stream, &chain);
    s.stream->ops->flush(s.stream);
    script_output(&s);
    script_expect(&s, A, 1, 1, 1460);
    script_next(&s);
    assert_int_equal(script_destroy(&s), 0);
}

/* Buffers run out in the middle: the stack stops, and goes on when they come back. */
static void test_pool_exhaustion(void **state)
{
    (void)state;
    static struct script s;
    struct rte_mbuf *taken[256]; /* the pool, and the refusal */
    script_create(&s, NULL);
    script_open(&s, 65535);
    unsigned n = 0;
    while ((taken[n] = rte_pktmbuf_alloc(s.pools.small)) != NULL) n++;
    script_send(&s, P | A, 1, 1, 65535, "hello", 5);
    assert_rx(&s, "hello");
    script_write(&s, 5000);
    script_expect_nothing(&s);
    assert_true(net_stack_metrics(s.stack)->tx_no_buffer > 0);
    script_wait(&s, 3 * SCRIPT_MS);
    script_expect_nothing(&s);
    rte_pktmbuf_free_bulk(taken, n);
    script_wait(&s, SCRIPT_MS); /* nothing comes in: a timer notices */
    for (unsigned i = 0; i < 3; i++) script_expect(&s, A, 1 + 1460 * i, 6, 1460);
    script_expect(&s, A, 4381, 6, 620);
    for (n = 0; (taken[n] = rte_pktmbuf_alloc(s.pools.ref)) != NULL; n++) {}
    script_write(&s, 1000); /* header buffers are there, references are not */
    script_expect_nothing(&s);
    rte_pktmbuf_free_bulk(taken, n);
    script_wait(&s, SCRIPT_MS);
    script_expect(&s, A, 5001, 6, 1000);
    assert_int_equal(script_destroy(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reply_carries_the_ack),
        cmocka_unit_test(test_delayed_ack),
        cmocka_unit_test(test_out_of_order),
        cmocka_unit_test(test_out_of_order_covered),
        cmocka_unit_test(test_out_of_order_fin),
        cmocka_unit_test(test_small_slices_are_gathered),
        cmocka_unit_test(test_window_closes_and_opens),
        cmocka_unit_test(test_data_beyond_the_window_is_cut),
        cmocka_unit_test(test_zero_window_is_probed),
        cmocka_unit_test(test_sender_avoids_silly_windows),
        cmocka_unit_test(test_large_payload_is_referenced),
        cmocka_unit_test(test_short_head_is_copied),
        cmocka_unit_test(test_rest_of_head_is_copied),
        cmocka_unit_test(test_writable_event),
        cmocka_unit_test(test_checksum_offload_equals_software),
        cmocka_unit_test(test_odd_fragments_checksum),
        cmocka_unit_test(test_pool_exhaustion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
