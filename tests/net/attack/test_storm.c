/*
 * Work and memory that a hostile peer can make us spend: SACK blocks at rate, tiny segments and out of order ones. The
 * scoreboard is compiled into this test, with each comparison of a sequence number, and each entry moved, counted.
 */
#include <stdint.h>
#include <string.h>
#include "net/tcp/seq.h"

static uint64_t visits;

#define seq_le(a, b) (visits++, seq_le(a, b))
#define seq_lt(a, b) (visits++, seq_lt(a, b))
#define memmove(to, from, bytes) (visits += (bytes) / 16, memmove(to, from, bytes))
#include "net/tcp/tcp_board.c"
#undef memmove
#undef seq_lt
#undef seq_le

#include "net/stack_impl.h"
#include "tests/net/loss/segments.h"
#include "tests/net/sim/cmocka_all.h"
#include "tests/net/sim/script.h"

#define STORM 20000u
/* On the average: four blocks, each with a walk to either border and one through what it covers. Now and then a block
 * covers all runs of a board that others have made ragged, and each of them is looked for. */
#define VISITS_MEAN (4u * 3u * TCP_BOARD_PAGE)
#define VISITS_MOST (TCP_BOARD_PAGE * TCP_BOARD_PAGE)

static uint32_t random_below(uint32_t n)
{
    static uint64_t state = 7;
    state = state * UINT64_C(6364136223846793005) + 1;
    return (uint32_t)(state >> 33) % n;
}

static const struct net_metrics *metrics(const struct script *s)
{
    return net_stack_metrics(s->stack);
}

static void frames_forget(struct script *s)
{
    s->head = s->tail;
}

/* A flight as wide as the peer's window lets it be. */
static void flight_open(struct script *s)
{
    loss_open(s);
    script_write(s, 40 * LOSS_MSS);
    for (uint32_t acked = 0; acked < 40; acked += 10) {
        script_wait(s, LOSS_RTT_NS);
        frames_forget(s);
        script_send(s, A, loss_at(0), loss_at(acked + 10), 65535, NULL, 0);
    }
    frames_forget(s);
    script_write(s, 60 * LOSS_MSS);
    frames_forget(s);
}

static void test_sack_blocks_at_rate(void **state)
{
    (void)state;
    static struct script s;
    uint64_t most = 0, all = 0;
    script_create(&s, NULL);
    flight_open(&s);
    struct net_stack *st = s.stack;
    const struct tcp_conn *c = tcp_conn_of(s.stream);
    uint32_t una = c->snd_una - c->iss, flight = c->snd_max - c->snd_una;
    assert_true(flight >= 20 * LOSS_MSS);
    for (uint32_t i = 0; i < STORM; i++) {
        uint32_t edges[8];
        for (unsigned b = 0; b < 4; b++) {
            edges[2 * b] = una + 1 + random_below(flight - 1);
            edges[2 * b + 1] = edges[2 * b] + (i % 1000 ? 1 : random_below(una + flight - edges[2 * b] + 1));
        }
        visits = 0;
        loss_ack(&s, una, 4, edges);
        all += visits;
        most = RTE_MAX(most, visits);
        if (i % 100 == 0) script_wait(&s, 10000);
        frames_forget(&s);
        assert_in_range(st->pools.boards.out, 0, 1);
        assert_in_range(st->pools.pages.out, 0, 1);
        if (c->board) assert_in_range(c->board->count, 0, TCP_BOARD_PAGE);
    }
    print_message("%u ACKs of four blocks: %lu entries visited at most, %lu on the average\n", STORM,
                  (unsigned long)most, (unsigned long)(all / STORM));
    assert_in_range(most, 1, VISITS_MOST);
    assert_in_range(all / STORM, 1, VISITS_MEAN);
    script_send(&s, A, 1, una + flight, 65535, NULL, 0); /* all of it came after all: the connection goes on */
    frames_forget(&s);
    script_write(&s, 10);
    script_wait(&s, UINT64_C(1000000000));
    assert_int_equal(s.stream->error, 0);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_lies_about_what_was_never_sent(void **state)
{
    (void)state;
    static struct script s;
    script_create(&s, NULL);
    flight_open(&s);
    const struct tcp_conn *c = tcp_conn_of(s.stream);
    uint32_t una = c->snd_una - c->iss, beyond = c->snd_max - c->iss;
    LOSS_ACK(&s, una, una + 2 * LOSS_MSS, una + 3 * LOSS_MSS); /* something is amiss: the peer's blocks matter */
    uint64_t before = metrics(&s)->sack_invalid;
    for (uint32_t i = 0; i < STORM; i++) {
        uint32_t at = beyond + random_below(1u << 30);
        visits = 0;
        LOSS_ACK(&s, una, at, at + 1000, una + 2000, una + 1000, at + 7, at + 7, una - 5000, beyond + 1);
        frames_forget(&s);
        assert_in_range(visits, 0, 2 * TCP_BOARD_PAGE);
    }
    assert_in_range(metrics(&s)->sack_invalid - before, STORM, 4 * STORM);
    assert_int_equal(script_destroy(&s), 0);
}

/* ---- out of order ---- */

#define PEERS 24u

static void window_of_32k(struct net_stack_config *config)
{
    config->rx_window = 32768;
}

/* Each of many connections sends single bytes with gaps between them, while one among them behaves. */
static void test_out_of_order_flood(void **state)
{
    (void)state;
    static struct script s;
    uint32_t iss[PEERS];
    struct stream *good = NULL;
    uint32_t good_next = 1;
    script_create(&s, window_of_32k);
    for (uint16_t i = 0; i < PEERS; i++) {
        s.peer_port = (uint16_t)(SCRIPT_PEER_PORT + i);
        script_open(&s, 65535);
        iss[i] = s.iss;
        if (i == 0) good = s.stream;
    }
    const struct net_stack *st = s.stack;
    const uint32_t ooo_most = st->pools.ooo_buffers_max;
    for (uint32_t k = 0; k < STORM; k++) {
        unsigned i = 1 + random_below(PEERS - 1);
        s.peer_port = (uint16_t)(SCRIPT_PEER_PORT + i);
        s.iss = iss[i];
        script_send(&s, P | A, 3 + 2 * random_below(15000), 1, 65535, "x", 1);
        assert_in_range(st->pools.ooo_buffers, 0, ooo_most);
        assert_in_range(st->rx_memory, 0, st->config.rx_memory);
        frames_forget(&s);
        if (k % 20) continue;
        s.peer_port = SCRIPT_PEER_PORT;
        s.iss = iss[0];
        script_send(&s, P | A, good_next, 1, 65535, "good", 4);
        frames_forget(&s);
        good_next += 4;
        assert_int_equal(good->rx.len, 4);
        buf_chain_consume(&good->rx, 4);
        good->ops->consumed(good, 4);
    }
    assert_true(metrics(&s)->drop_tcp_no_memory > STORM / 2); /* what had no room was counted */
    assert_in_range(rte_mempool_in_use_count(s.pools.frame) + rte_mempool_in_use_count(s.pools.small), 0, ooo_most + 2);
    assert_int_equal(script_destroy(&s), 0);
}

/* Single bytes in order, that nobody reads, on many connections. */
static void test_tiny_segments_flood(void **state)
{
    (void)state;
    static struct script s;
    uint32_t iss[PEERS], next[PEERS];
    script_create(&s, window_of_32k);
    for (uint16_t i = 0; i < PEERS; i++) {
        s.peer_port = (uint16_t)(SCRIPT_PEER_PORT + i);
        script_open(&s, 65535);
        iss[i] = s.iss;
        next[i] = 1;
    }
    const struct net_stack *st = s.stack;
    for (uint32_t k = 0; k < STORM; k++) {
        unsigned i = random_below(PEERS);
        s.peer_port = (uint16_t)(SCRIPT_PEER_PORT + i);
        s.iss = iss[i];
        script_send(&s, P | A, next[i]++, 1, 65535, "x", 1);
        frames_forget(&s);
        assert_in_range(st->rx_memory, 0, st->config.rx_memory);
        assert_in_range(rte_mempool_in_use_count(s.pools.frame), 1, 2 * PEERS);
    }
    assert_int_equal(metrics(&s)->drop_tcp_rx_memory, 0);
    assert_int_equal(script_destroy(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sack_blocks_at_rate),
        cmocka_unit_test(test_lies_about_what_was_never_sent),
        cmocka_unit_test(test_out_of_order_flood),
        cmocka_unit_test(test_tiny_segments_flood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
