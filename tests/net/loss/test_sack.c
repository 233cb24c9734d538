/* SACK and D-SACK, sent and understood; PRR; hostile blocks; reneging; pools. RFC 2018, 2883, 6675, 6937. */
#include <rte_byteorder.h>
#include "net/stack_impl.h"
#include "tests/net/loss/segments.h"
#include "tests/net/sim/cmocka_all.h"

static void expect_blocks(struct script *s, uint32_t ack, unsigned n, const uint32_t *edges)
{
    uint32_t got[8];
    struct script_segment t = script_next(s);
    assert_int_equal(t.len, 0);
    assert_int_equal(t.ack, ack);
    assert_int_equal(loss_blocks(&t, got), n);
    for (unsigned i = 0; i < 2 * n; i++) assert_int_equal(got[i], edges[i]);
}

#define EXPECT_BLOCKS(s, ack, ...)                                                                                       \
    expect_blocks(s, ack, sizeof(uint32_t[]){__VA_ARGS__} / 8, (const uint32_t[]){__VA_ARGS__})

/* RFC 2018 4: the block of the newest segment first, and each ACK repeats the others. */
static void test_gaps_are_reported(void **state)
{
    (void)state;
    for (int ts = 0; ts < 2; ts++) {
        struct script s;
        script_create(&s, NULL);
        s.ts = ts;
        loss_open(&s);
        loss_data(&s, loss_at(1), LOSS_MSS);
        EXPECT_BLOCKS(&s, 1, 1001, 2001);
        loss_data(&s, loss_at(3), LOSS_MSS);
        EXPECT_BLOCKS(&s, 1, 3001, 4001, 1001, 2001);
        loss_data(&s, loss_at(5), LOSS_MSS);
        EXPECT_BLOCKS(&s, 1, 5001, 6001, 1001, 2001, 3001, 4001);
        loss_data(&s, loss_at(2), LOSS_MSS);
        EXPECT_BLOCKS(&s, 1, 1001, 4001, 5001, 6001);
        loss_data(&s, loss_at(0), LOSS_MSS);
        EXPECT_BLOCKS(&s, 4001, 5001, 6001);
        loss_data(&s, loss_at(4), LOSS_MSS);
        assert_int_equal(script_expect(&s, A, 1, 6001, 0).options_len, ts ? 12 : 0);
        assert_int_equal(script_destroy(&s), 0);
    }
}

/* RFC 2883 4.1: once, in the first block; the queue goes on after it. */
static void test_duplicate_is_reported_once(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    loss_open(&s);
    loss_data(&s, loss_at(0), LOSS_MSS);
    loss_data(&s, loss_at(1), LOSS_MSS);
    script_expect(&s, A, 1, 2001, 0);
    loss_data(&s, loss_at(0), LOSS_MSS); /* wholly old */
    EXPECT_BLOCKS(&s, 2001, 1, 1001);
    loss_data(&s, loss_at(3), LOSS_MSS);
    EXPECT_BLOCKS(&s, 2001, 3001, 4001);
    loss_data(&s, loss_at(1) + 500, LOSS_MSS); /* half old, half new */
    EXPECT_BLOCKS(&s, 2501, 1501, 2001, 3001, 4001);
    assert_int_equal(net_stack_metrics(s.stack)->dsacks_sent, 2);
    assert_int_equal(script_destroy(&s), 0);
}

/* RFC 2883 4.2: a duplicate within what is held is followed by the block that it lies in. */
static void test_duplicate_out_of_order(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    loss_open(&s);
    loss_data(&s, loss_at(2), LOSS_MSS);
    loss_data(&s, loss_at(3), LOSS_MSS);
    loss_data(&s, loss_at(6), LOSS_MSS);
    while (script_next_frame(&s)) {}
    loss_data(&s, loss_at(2), LOSS_MSS);
    EXPECT_BLOCKS(&s, 1, 2001, 3001, 2001, 4001, 6001, 7001);
    loss_data(&s, loss_at(0), LOSS_MSS);
    loss_data(&s, loss_at(1), LOSS_MSS);
    while (script_next_frame(&s)) {}
    assert_int_equal(s.stream->rx.len, 4000);
    assert_int_equal(script_destroy(&s), 0);
}

/* Blocks travel in an ACK of their own when data goes out in the same turn. */
static void test_blocks_beside_data(void **state)
{
    (void)state;
    struct script s;
    char bytes[LOSS_MSS] = {0};
    script_create(&s, NULL);
    loss_open_and_send(&s, 20);
    script_send(&s, A, loss_at(1), loss_at(2), 65535, bytes, sizeof bytes);
    for (unsigned i = 10; i < 14; i++) script_expect(&s, A, loss_at(i), 1, LOSS_MSS);
    EXPECT_BLOCKS(&s, 1, 1001, 2001);
    script_expect_nothing(&s);
    assert_int_equal(script_destroy(&s), 0);
}

static void newreno(struct net_stack_config *config) { config->tcp_cc = NET_TCP_NEWRENO; }

/* Segment 0 of twelve is lost: it alone is sent again, and half as many segments leave as arrive. RFC 6675, 6937. */
static void test_only_the_hole_is_sent_again(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, newreno);
    loss_open_and_send(&s, 40);
    s.now += LOSS_RTT_NS;
    LOSS_ACK(&s, 1, loss_at(1), loss_at(2));
    script_expect(&s, A, loss_at(10), 1, LOSS_MSS); /* what has arrived makes room: RFC 3042 */
    LOSS_ACK(&s, 1, loss_at(1), loss_at(3));
    script_expect(&s, A, loss_at(11), 1, LOSS_MSS);
    LOSS_ACK(&s, 1, loss_at(1), loss_at(4));
    script_expect(&s, A, loss_at(0), 1, LOSS_MSS);
    script_expect_nothing(&s);
    unsigned sent = 0;
    for (unsigned i = 5; i <= 12; i++) {
        LOSS_ACK(&s, 1, loss_at(1), loss_at(i));
        for (; s.head != s.tail; sent++) assert_int_equal(script_next(&s).seq, loss_at(12 + sent));
    }
    assert_in_range(sent, 3, 5); /* eight arrived */
    script_send(&s, A, 1, loss_at(12), 65535, NULL, 0); /* recovery ends with half of the window */
    for (; s.head != s.tail; sent++) assert_int_equal(script_next(&s).seq, loss_at(12 + sent));
    assert_int_equal(sent, 6);
    const struct net_metrics *m = net_stack_metrics(s.stack);
    assert_int_equal(m->sack_recoveries, 1);
    assert_int_equal(m->rack_losses, 1);
    assert_int_equal(m->retransmits, 1);
    assert_int_equal(m->rto_fired, 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* Two holes, oldest first, before anything new; and what is sent again lies in the queue where it should. */
static void test_holes_in_order(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, newreno);
    loss_open_and_send(&s, 10);
    s.now += LOSS_RTT_NS;
    LOSS_ACK(&s, 1, loss_at(6), loss_at(10), loss_at(2), loss_at(4));
    struct script_segment t = script_expect(&s, A, loss_at(0), 1, LOSS_MSS);
    for (uint32_t i = 0; i < LOSS_MSS; i++) assert_int_equal(t.payload[i], (uint8_t)(i * 7 + (i >> 8)));
    script_expect(&s, A, loss_at(1), 1, LOSS_MSS);
    t = script_expect(&s, A, loss_at(4), 1, LOSS_MSS);
    for (uint32_t i = 0; i < LOSS_MSS; i++) assert_int_equal(t.payload[i], (uint8_t)((4000 + i) * 7 + ((4000 + i) >> 8)));
    while (script_next_frame(&s)) {}
    script_send(&s, A, 1, loss_at(10), 65535, NULL, 0);
    script_expect_nothing(&s);
    assert_int_equal(script_destroy(&s), 0);
}

/* A retransmission that is lost too is seen from what was sent after it: RFC 8985 3.1. */
static void test_lost_retransmission(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, newreno);
    loss_open_and_send(&s, 40);
    s.now += LOSS_RTT_NS;
    LOSS_ACK(&s, 1, loss_at(1), loss_at(4));
    script_expect(&s, A, loss_at(0), 1, LOSS_MSS);
    s.now += LOSS_RTT_NS / 2;
    LOSS_ACK(&s, 1, loss_at(1), loss_at(10));
    struct script_segment t = script_next(&s);
    assert_int_equal(t.seq, loss_at(10));
    while (script_next_frame(&s)) {}
    s.now += LOSS_RTT_NS;
    LOSS_ACK(&s, 1, loss_at(1), loss_at(11));
    script_expect(&s, A, loss_at(0), 1, LOSS_MSS);
    assert_int_equal(net_stack_metrics(s.stack)->rto_fired, 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* FIN in flight is sent again with the last bytes. */
static void test_lost_fin(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    loss_open_and_send(&s, 4);
    s.stream->ops->close(s.stream);
    script_output(&s);
    script_expect(&s, F | A, loss_at(4), 1, 0);
    s.now += LOSS_RTT_NS;
    script_send(&s, A, 1, loss_at(3), 65535, NULL, 0);
    script_wait(&s, 3 * SCRIPT_MS); /* a tail loss probe */
    struct script_segment t = script_next(&s);
    assert_int_equal(t.seq + t.len, loss_at(4));
    assert_true(t.flags & F);
    script_send(&s, A, 1, loss_at(4) + 1, 65535, NULL, 0);
    script_expect_nothing(&s);
    assert_int_equal(script_destroy(&s), 0);
}

/* What a peer cannot have received, or says the wrong way round, is counted and otherwise ignored. */
static void test_hostile_blocks(void **state)
{
    (void)state;
    static const uint32_t bad[][2] = {{3001, 2001}, {2001, 2001}, {5001, 20001}, {20001, 30001}, {0, 2001},
                                      {1, 4001}, {0x80000000u, 4001}, {4001, 0x70000000u}};
    struct script s;
    script_create(&s, NULL);
    loss_open_and_send(&s, 10);
    LOSS_ACK(&s, 1, loss_at(9), loss_at(10)); /* so that there is a board */
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        LOSS_ACK(&s, 1, loss_at(9), loss_at(10), bad[i][0], bad[i][1]);
        script_expect_nothing(&s);
        assert_int_equal(net_stack_metrics(s.stack)->sack_invalid, i + 1);
    }
    LOSS_ACK(&s, 1, 0x90000000u, 0x90000100u); /* a duplicate of what was never sent */
    assert_int_equal(net_stack_metrics(s.stack)->dsacks_received, 0);
    assert_int_equal(net_stack_metrics(s.stack)->retransmits, 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* Blocks at random: whatever they say, the bytes stay until they are acknowledged, and are sent again whole. */
static void test_storm_of_blocks(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    loss_open_and_send(&s, 10);
    uint32_t x = 12345;
    for (unsigned i = 0; i < 5000; i++) {
        uint32_t edges[8];
        for (unsigned k = 0; k < 8; k++) edges[k] = (x = x * 1664525 + 1013904223) >> 18; /* up to 16,383 */
        loss_ack(&s, 1, 1 + i % 4, edges);
        s.now += 100;
        while (script_next_frame(&s)) {}
    }
    script_wait(&s, 400 * SCRIPT_MS);
    uint8_t seen[10 * LOSS_MSS] = {0};
    for (unsigned round = 0; round < 100 && s.head == s.tail; round++) script_wait(&s, 400 * SCRIPT_MS);
    for (uint32_t una = 0; una < 10 * LOSS_MSS;) { /* now it answers well: each byte must come again */
        if (s.head == s.tail) script_wait(&s, 61000 * SCRIPT_MS);
        struct script_segment t = script_next(&s);
        for (uint32_t i = 0; i < t.len; i++) {
            assert_int_equal(t.payload[i], (uint8_t)((t.seq - 1 + i) * 7 + ((t.seq - 1 + i) >> 8)));
            seen[t.seq - 1 + i] = 1;
        }
        uint32_t before = una;
        while (una < 10 * LOSS_MSS && seen[una]) una++;
        if (una != before) script_send(&s, A, 1, 1 + una, 65535, NULL, 0);
    }
    assert_int_equal(script_destroy(&s), 0);
}

/* RFC 2018 8: a peer that takes back what it reported is served by the timeout. */
static void test_reneging(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    loss_open_and_send(&s, 10);
    s.now += LOSS_RTT_NS;
    LOSS_ACK(&s, 1, loss_at(1), loss_at(10));
    script_expect(&s, A, loss_at(0), 1, LOSS_MSS);
    script_send(&s, A, 1, loss_at(1), 65535, NULL, 0); /* and nothing of what follows */
    script_expect_nothing(&s);
    for (uint32_t i = 1; i < 10; i++) {
        while (s.head == s.tail) script_wait(&s, SCRIPT_MS);
        script_expect(&s, A, loss_at(i), 1, LOSS_MSS);
        if (s.head == s.tail) script_send(&s, A, 1, loss_at(i + 1), 65535, NULL, 0);
    }
    assert_int_equal(net_stack_metrics(s.stack)->sack_reneged, 1);
    assert_int_equal(net_stack_metrics(s.stack)->rto_fired, 1);
    assert_int_equal(script_destroy(&s), 0);
}

static void one_board(struct net_stack_config *config) { config->max_boards = 1; }

/* Without a board there is still NewReno; with the first connection at rest its board goes to the second. */
static void test_pool_empty(void **state)
{
    (void)state;
    for (int rest = 0; rest < 2; rest++) {
        struct script s;
        script_create(&s, one_board);
        loss_open_and_send(&s, 10);
        LOSS_ACK(&s, 1, loss_at(1), loss_at(2));
        if (rest) script_send(&s, A, 1, loss_at(10), 65535, NULL, 0);
        assert_int_equal(s.stack->pools.boards.out, 1);
        s.peer_port++;
        loss_open_and_send(&s, 20);
        s.now += LOSS_RTT_NS;
        for (unsigned i = 2; i < 5; i++) LOSS_ACK(&s, 1, loss_at(1), loss_at(i));
        script_expect(&s, A, loss_at(10), 1, LOSS_MSS);
        script_expect(&s, A, loss_at(11), 1, LOSS_MSS);
        script_expect(&s, A, loss_at(0), 1, LOSS_MSS);
        assert_int_equal(net_stack_metrics(s.stack)->fast_retransmits, !rest);
        assert_int_equal(net_stack_metrics(s.stack)->sack_recoveries, rest);
        assert_int_equal(net_stack_metrics(s.stack)->board_pool_empty != 0, !rest);
        assert_int_equal(s.stack->pools.boards.out, 1);
        assert_int_equal(script_destroy(&s), 0);
    }
}

/* Answers in flight, several segments in several turns, need no board; nor does a peer that never says anything amiss. */
static void test_undisturbed_needs_no_board(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    for (unsigned i = 0; i < 60; i++) {
        loss_open(&s);
        for (unsigned k = 0; k < 3; k++) script_write(&s, 600);
        while (script_next_frame(&s)) {}
        s.peer_port++;
    }
    assert_int_equal(s.stack->pools.boards.used, 0);
    assert_int_equal(s.stack->pools.ooos.used, 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* A board goes back to the pool when the connection has been calm, or closes. */
static void test_board_goes_back(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    loss_open_and_send(&s, 3);
    LOSS_ACK(&s, 1, loss_at(1), loss_at(2));
    assert_int_equal(s.stack->pools.boards.out, 1);
    uint32_t at = loss_at(3);
    script_send(&s, A, 1, at, 65535, NULL, 0);
    for (unsigned i = 0; i < 100; i++) {
        script_write(&s, 100);
        at += 100;
        s.now += 1000;
        script_send(&s, A, 1, at, 65535, NULL, 0);
        while (script_next_frame(&s)) {}
    }
    assert_int_equal(s.stack->pools.boards.out, 0);
    script_write(&s, 2000);
    LOSS_ACK(&s, at, at + 1000, at + 2000);
    assert_int_equal(s.stack->pools.boards.out, 1);
    s.stream->ops->abort(s.stream);
    assert_int_equal(s.stack->pools.boards.out, 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* All connections together hold no more than a quarter of the buffers out of order. */
static void test_out_of_order_is_bounded(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    for (unsigned i = 0; i < 20; i++) {
        loss_open(&s);
        for (uint32_t k = 1; k < 11; k++) loss_data(&s, loss_at(2 * k), LOSS_MSS);
        while (script_next_frame(&s)) {}
        s.peer_port++;
    }
    assert_int_equal(s.stack->pools.ooo_buffers, s.stack->pools.ooo_buffers_max);
    assert_in_range(s.stack->pools.ooo_buffers_max, 32, 80);
    assert_int_equal(net_stack_metrics(s.stack)->drop_tcp_no_memory, 200 - s.stack->pools.ooo_buffers_max);
    s.peer_port = SCRIPT_PEER_PORT;
    assert_int_equal(script_destroy(&s), 0);
}

/* Segments of 48 tiny pieces leave as frames of few, whole and in order. */
static void test_many_pieces(void **state)
{
    (void)state;
    struct script s;
    struct buf_chain chain;
    script_create(&s, NULL);
    loss_open(&s);
    buf_chain_init(&chain);
    for (uint32_t at = 0; at < 2 * LOSS_MSS; at++) {
        struct rte_mbuf *m = chain.tail;
        if (at % 21 == 0) {
            m = rte_pktmbuf_alloc(s.pools.small);
            assert_non_null(m);
            buf_chain_append(&chain, m);
        }
        *rte_pktmbuf_append(m, 1) = (char)(at * 7 + (at >> 8));
        m->pkt_len = m->data_len;
    }
    chain.len = 2 * LOSS_MSS;
    s.stream->ops->send(s.stream, &chain);
    s.stream->ops->flush(s.stream);
    script_output(&s);
    for (uint32_t i = 0; i < 2; i++) {
        struct script_segment t = script_expect(&s, A, loss_at(i), 1, LOSS_MSS);
        assert_in_range(t.frame->segments, 2, 10);
        for (uint32_t k = 0; k < LOSS_MSS; k++)
            assert_int_equal(t.payload[k], (uint8_t)((i * LOSS_MSS + k) * 7 + ((i * LOSS_MSS + k) >> 8)));
    }
    script_expect_nothing(&s);
    assert_int_equal(net_stack_metrics(s.stack)->tx_gathered, 2);
    assert_int_equal(script_destroy(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gaps_are_reported),
        cmocka_unit_test(test_duplicate_is_reported_once),
        cmocka_unit_test(test_duplicate_out_of_order),
        cmocka_unit_test(test_blocks_beside_data),
        cmocka_unit_test(test_only_the_hole_is_sent_again),
        cmocka_unit_test(test_holes_in_order),
        cmocka_unit_test(test_lost_retransmission),
        cmocka_unit_test(test_lost_fin),
        cmocka_unit_test(test_hostile_blocks),
        cmocka_unit_test(test_storm_of_blocks),
        cmocka_unit_test(test_reneging),
        cmocka_unit_test(test_pool_empty),
        cmocka_unit_test(test_undisturbed_needs_no_board),
        cmocka_unit_test(test_board_goes_back),
        cmocka_unit_test(test_out_of_order_is_bounded),
        cmocka_unit_test(test_many_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
