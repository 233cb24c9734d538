/*
 * SYNs while the core cannot keep up (net/tcp/tcp_shed.h): who is connected loses nothing, surplus SYNs are dropped and
 * counted, whoever comes again gets in; and nothing of it while the core keeps up. Whether it does is said by hand.
 */
#include <string.h>
#include <rte_byteorder.h>
#include <rte_ip.h>
#include "tests/net/sim/cmocka_all.h"
#include "tests/net/sim/script.h"

#define BURST 50u
#define RATE 20u    /* SYNs a millisecond that are answered at least */
#define FLOOD 1000u /* SYNs a millisecond */
#define IP_AT 14u
#define TCP_AT 34u
#define STRANGERS 0x0b000000u /* their addresses */

static net_tx_fn *script_tx;
static bool unseen; /* answers to strangers */
static uint64_t answers;

static void tx(void *arg, struct rte_mbuf **frames, uint16_t n)
{
    if (!unseen) {
        script_tx(arg, frames, n);
        return;
    }
    answers += n;
    rte_pktmbuf_free_bulk(frames, n);
}

static void config_set(struct net_stack_config *config)
{
    script_tx = config->tx;
    config->tx = tx;
    config->rx_checksum = true;
    config->max_half_open = 64;
    config->syn_rate_full = RATE * 1000;
}

static void config_off(struct net_stack_config *config)
{
    config_set(config);
    config->syn_rate_full = 0;
}

static const struct net_metrics *metrics(const struct script *s)
{
    return net_stack_metrics(s->stack);
}

static struct rte_mbuf *frame_make(struct script *s, const uint8_t *bytes, uint32_t len)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(s->pools.frame);
    assert_non_null(m);
    m->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    memcpy(rte_pktmbuf_append(m, (uint16_t)len), bytes, len);
    return m;
}

static struct rte_mbuf *syn_of(struct script *s, uint32_t stranger)
{
    uint8_t bytes[SCRIPT_FRAME_BYTES];
    uint32_t ip_be = rte_cpu_to_be_32(STRANGERS + stranger);
    uint32_t len = script_build(s, bytes, S, 0, 0, 65535, (const uint8_t[4]){2, 4, 5, 180}, 4, NULL, 0);
    memcpy(bytes + IP_AT + 12, &ip_be, 4);
    script_checksum(bytes, len);
    return frame_make(s, bytes, len);
}

/* What netcore_rx does with a burst. */
static void burst_in(struct script *s, struct rte_mbuf **frames, uint16_t n, uint16_t kept)
{
    uint16_t left = net_stack_shed(s->stack, frames, n);
    if (kept != UINT16_MAX) assert_int_equal(left, kept);
    net_stack_input(s->stack, frames, left, s->now);
    net_stack_timers(s->stack, s->now);
    net_stack_output(s->stack, s->now);
}

/* count SYNs of strangers from..; then a millisecond is over. Returns how many were answered. */
static uint64_t millisecond(struct script *s, uint32_t from, uint32_t count, bool full)
{
    struct rte_mbuf *frames[BURST];
    uint64_t before = answers;
    unseen = true;
    for (uint32_t done = 0; done < count; done += BURST) {
        uint16_t n = (uint16_t)RTE_MIN(count - done, BURST);
        for (uint32_t i = 0; i < n; i++) frames[i] = syn_of(s, from + done + i);
        burst_in(s, frames, n, UINT16_MAX);
    }
    unseen = false;
    s->now += SCRIPT_MS;
    net_stack_load(s->stack, full);
    return answers - before;
}

/* Until the allowance is at its least. Returns the next stranger. */
static uint32_t flood_settle(struct script *s)
{
    uint32_t from = 0;
    for (unsigned i = 0; i < 12; i++, from += FLOOD) millisecond(s, from, FLOOD, true);
    return from;
}

static void test_all_are_answered_while_the_core_keeps_up(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, config_set);
    for (uint32_t i = 0; i < 20; i++) assert_int_equal(millisecond(&s, i * FLOOD, FLOOD, false), FLOOD);
    assert_int_equal(metrics(&s)->drop_tcp_syn_full, 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* A full core that few SYNs reach answers them all, and so does one that is told to. */
static void test_few_are_answered_on_a_full_core(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, config_set);
    for (uint32_t i = 0; i < 20; i++) assert_int_equal(millisecond(&s, i * RATE, RATE, true), RATE);
    assert_int_equal(metrics(&s)->drop_tcp_syn_full, 0);
    assert_int_equal(script_destroy(&s), 0);
    script_create(&s, config_off);
    for (uint32_t i = 0; i < 20; i++) assert_int_equal(millisecond(&s, i * FLOOD, FLOOD, true), FLOOD);
    assert_int_equal(metrics(&s)->drop_tcp_syn_full, 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* Half with each full millisecond, down to the least; each dropped SYN is counted, and none leaves anything behind. */
static void test_surplus_is_dropped_on_a_full_core(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, config_set);
    assert_int_equal(millisecond(&s, 0, FLOOD, true), FLOOD);
    assert_in_range(millisecond(&s, FLOOD, FLOOD, true), FLOOD / 2 - 80, FLOOD / 2 + 80);
    assert_in_range(millisecond(&s, 2 * FLOOD, FLOOD, true), FLOOD / 4 - 70, FLOOD / 4 + 70);
    for (uint32_t i = 3; i < 10; i++) millisecond(&s, i * FLOOD, FLOOD, true);
    uint64_t dropped = metrics(&s)->drop_tcp_syn_full, answered = 0;
    for (uint32_t i = 10; i < 60; i++) answered += millisecond(&s, i * FLOOD, FLOOD, true);
    assert_in_range(answered, 50 * RATE * 8 / 10, 50 * RATE * 12 / 10);
    assert_int_equal(metrics(&s)->drop_tcp_syn_full - dropped, 50 * FLOOD - answered);
    assert_in_range(metrics(&s)->half_open, 1, 64);
    assert_int_equal(buf_pools_in_use(&s.pools), 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* The choice is not for those who come first in a millisecond, nor for the same ones. */
static void test_the_choice_is_fair(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, config_set);
    uint32_t from = flood_settle(&s);
    uint64_t parts[4] = {0};
    for (uint32_t round = 0; round < 100; round++) {
        for (uint32_t part = 0; part < 4; part++, from += FLOOD / 4) {
            struct rte_mbuf *frames[BURST];
            uint64_t before = answers;
            unseen = true;
            for (uint32_t done = 0; done < FLOOD / 4; done += BURST) {
                for (uint32_t i = 0; i < BURST; i++) frames[i] = syn_of(&s, from + done + i);
                burst_in(&s, frames, BURST, UINT16_MAX);
            }
            unseen = false;
            parts[part] += answers - before;
        }
        s.now += SCRIPT_MS;
        net_stack_load(s.stack, true);
    }
    for (unsigned part = 0; part < 4; part++) assert_in_range(parts[part], 25 * RATE * 7 / 10, 25 * RATE * 13 / 10);
    assert_int_equal(script_destroy(&s), 0);
}

/* Connected in the midst of the flood: the first SYN is dropped, the second, a second later, is let in. */
static void test_who_comes_again_gets_in(void **state)
{
    (void)state;
    struct script s;
    uint8_t bytes[SCRIPT_FRAME_BYTES];
    script_create(&s, config_set);
    uint32_t from = flood_settle(&s);
    for (unsigned i = 0; i < 20; i++) { /* newcomers */
        s.peer_port = (uint16_t)(5000 + i);
        uint32_t len = script_build(&s, bytes, S, 0, 0, 65535, (const uint8_t[4]){2, 4, 5, 180}, 4, NULL, 0);
        struct rte_mbuf *m = frame_make(&s, bytes, len);
        burst_in(&s, &m, 1, UINT16_MAX);
    }
    uint64_t at_once = s.tail - s.head;
    assert_in_range(at_once, 0, 5);
    s.head = s.tail;
    s.peer_port = SCRIPT_PEER_PORT;
    for (unsigned i = 0; i < 100; i++, from += FLOOD) millisecond(&s, from, FLOOD, true);
    uint64_t again = metrics(&s)->syn_again;
    unseen = true; /* half-open strangers hear again of us */
    script_wait(&s, 1400 * SCRIPT_MS);
    unseen = false;
    for (unsigned i = 0; i < 20; i++) {
        s.peer_port = (uint16_t)(5000 + i);
        uint32_t len = script_build(&s, bytes, S, 0, 0, 65535, (const uint8_t[4]){2, 4, 5, 180}, 4, NULL, 0);
        struct rte_mbuf *m = frame_make(&s, bytes, len);
        burst_in(&s, &m, 1, UINT16_MAX);
        if (s.head == s.tail) continue; /* one of those who had got in at once and has not been dropped */
        script_expect(&s, S | A, 0, 1, 0);
        script_send(&s, A, 1, 1, 65535, NULL, 0);
        script_expect_nothing(&s);
    }
    net_stack_load(s.stack, true);
    assert_true(s.accepted >= 20 - at_once);
    assert_in_range(metrics(&s)->syn_again - again, 20 - at_once, 20 + 2);
    assert_true(metrics(&s)->syn_cookies_accepted > 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* SYNs that all come again and again get no more than the allowance. */
static void test_a_flood_that_repeats_itself(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, config_set);
    uint64_t answered = 0;
    for (uint32_t i = 0; i < 60; i++) {
        uint64_t n = millisecond(&s, 0, FLOOD, true);
        if (i >= 10) answered += n;
    }
    assert_in_range(answered, 50 * RATE * 8 / 10, 50 * RATE * 15 / 10);
    assert_int_equal(script_destroy(&s), 0);
}

/* Established segments of the same bursts: all of them, in their order. */
static void test_who_is_connected_loses_nothing(void **state)
{
    (void)state;
    struct script s;
    uint8_t bytes[SCRIPT_FRAME_BYTES];
    script_create(&s, config_set);
    script_open(&s, 65535);
    uint32_t from = flood_settle(&s), iss = s.iss;
    for (uint32_t turn = 0; turn < 100; turn++) {
        struct rte_mbuf *frames[BURST];
        for (uint32_t i = 0; i < BURST; i++) {
            if (i % 10 != 3) {
                frames[i] = syn_of(&s, from++);
                continue;
            }
            uint32_t seq = 1 + 5 * turn + i / 10;
            uint8_t byte = (uint8_t)seq;
            s.iss = iss;
            frames[i] = frame_make(&s, bytes, script_build(&s, bytes, P | A, seq, 1, 65535, NULL, 0, &byte, 1));
        }
        unseen = true;
        burst_in(&s, frames, BURST, UINT16_MAX);
        unseen = false;
        assert_int_equal(s.stream->rx.len, 5);
        for (uint32_t i = 0; i < 5; i++) {
            assert_int_equal(*rte_pktmbuf_mtod(s.stream->rx.head, uint8_t *), (uint8_t)(1 + 5 * turn + i));
            buf_chain_consume(&s.stream->rx, 1);
        }
        s.stream->ops->consumed(s.stream, 5);
        if (turn % 20 == 19) net_stack_load(s.stack, true);
    }
    assert_int_equal(metrics(&s)->out_of_order, 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* As soon as the core keeps up, the allowance rises to what comes; and with the flood's end all is as before. */
static void test_it_ends(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, config_set);
    uint32_t from = flood_settle(&s);
    unsigned milliseconds = 0;
    while (millisecond(&s, from, FLOOD, false) < FLOOD) {
        from += FLOOD;
        assert_in_range(++milliseconds, 1, 25); /* 1.25^18 > FLOOD / RATE */
    }
    assert_true(milliseconds > 10);
    from = flood_settle(&s) + 500 * FLOOD;
    millisecond(&s, from, 0, true); /* full still, but of requests */
    assert_int_equal(millisecond(&s, from, RATE, true), RATE);
    unseen = true;
    script_wait(&s, 64000 * SCRIPT_MS);
    unseen = false;
    assert_int_equal(metrics(&s)->half_open, 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* One that connects, if its SYN is answered; it is reset as soon as it is accepted. */
static void newcomer(struct script *s, uint16_t port)
{
    uint8_t bytes[SCRIPT_FRAME_BYTES];
    s->peer_port = port;
    uint32_t len = script_build(s, bytes, S, 0, 0, 65535, (const uint8_t[4]){2, 4, 5, 180}, 4, NULL, 0);
    struct rte_mbuf *m = frame_make(s, bytes, len);
    s->head = s->tail;
    burst_in(s, &m, 1, UINT16_MAX);
    if (s->head == s->tail) return;
    script_expect(s, S | A, 0, 1, 0);
    script_send(s, A, 1, 1, 65535, NULL, 0);
    s->head = s->tail;
}

/* A core that is full of newcomers who answer: far more of them than it grants to a flood. */
static void test_a_storm_that_answers_is_let_in(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, config_set);
    s.abort_on_accept = true;
    for (uint32_t i = 0; i < 50; i++) {
        for (uint32_t n = 0; n < 5 * RATE; n++) newcomer(&s, (uint16_t)(5000 + i * 5 * RATE + n));
        s.now += SCRIPT_MS;
        net_stack_load(s.stack, true);
    }
    assert_int_equal(s.accepted, 50 * 5 * RATE);
    assert_int_equal(metrics(&s)->drop_tcp_syn_full, 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* count strangers and many who connect in each of some milliseconds: how many of these got in. */
static uint64_t storm(struct script *s, uint32_t milliseconds, uint32_t *from, uint32_t count)
{
    uint64_t accepted = s->accepted;
    for (uint32_t i = 0; i < milliseconds; i++, *from += FLOOD) {
        for (uint32_t n = 0; n < 20 * RATE; n++) newcomer(s, (uint16_t)(*from + n));
        millisecond(s, *from, count, true);
    }
    return s->accepted - accepted;
}

/* Where most answer, the allowance rises from its least until all are let in; where few do, it stays near it; and it is
 * back when they are in. */
static void test_who_answers_raises_the_allowance(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, config_set);
    s.abort_on_accept = true;
    uint32_t from = flood_settle(&s);
    assert_true(storm(&s, 50, &from, FLOOD) < 50 * 3 * RATE);
    storm(&s, 50, &from, 5 * RATE);
    assert_in_range(storm(&s, 50, &from, 5 * RATE), 50 * 20 * RATE * 99 / 100, 50 * 20 * RATE);
    for (uint32_t i = 0; i < 100; i++, from += FLOOD) millisecond(&s, from, FLOOD, true);
    uint64_t late = 0;
    for (uint32_t i = 0; i < 50; i++, from += FLOOD) late += millisecond(&s, from, FLOOD, true);
    assert_in_range(late, 50 * RATE * 8 / 10, 50 * RATE * 13 / 10);
    assert_int_equal(script_destroy(&s), 0);
}

static uint32_t syn_v6(const struct script *s, uint8_t *bytes, uint32_t stranger, uint32_t extension)
{
    (void)s;
    uint32_t tcp = IP_AT + 40 + extension, len = tcp + 20, stranger_be = rte_cpu_to_be_32(stranger);
    static const uint8_t ours[16] = {0xfd, [15] = 1}, theirs[12] = {0xfd};
    memset(bytes, 0, len);
    memcpy(bytes, (uint8_t[]){2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd, 0x60}, 15);
    bytes[IP_AT + 5] = (uint8_t)(20 + extension);
    bytes[IP_AT + 6] = extension ? 60 : IPPROTO_TCP; /* destination options */
    bytes[IP_AT + 7] = 64;
    memcpy(bytes + IP_AT + 8, theirs, 12);
    memcpy(bytes + IP_AT + 20, &stranger_be, 4);
    memcpy(bytes + IP_AT + 24, ours, 16);
    if (extension) memcpy(bytes + IP_AT + 40, (uint8_t[]){IPPROTO_TCP, 0, 1, 4, 0, 0, 0, 0}, 8);
    memcpy(bytes + tcp, (uint8_t[]){0x0f, 0xa0, 0, SCRIPT_PORT}, 4);
    bytes[tcp + 12] = 5 << 4;
    bytes[tcp + 13] = S;
    return len;
}

static void config_v6(struct net_stack_config *config)
{
    static const uint8_t ours[16] = {0xfd, [15] = 1};
    config_set(config);
    net_stack_config_address(config, net_addr_v6(ours), 64);
}

/* IPv6, also behind extension headers, which nobody looks through at sight: those have a bound of their own. */
static void test_ipv6(void **state)
{
    (void)state;
    struct script s;
    uint8_t bytes[SCRIPT_FRAME_BYTES];
    script_create(&s, config_v6);
    for (uint32_t extension = 0; extension <= 8; extension += 8) {
        uint64_t answered = 0, dropped = metrics(&s)->drop_tcp_syn_full, sent = 0;
        for (uint32_t i = 0; i < 40; i++) {
            uint64_t before = answers;
            unseen = true;
            for (uint32_t n = 0; n < FLOOD; n++) {
                struct rte_mbuf *m = frame_make(&s, bytes, syn_v6(&s, bytes, i * FLOOD + n, extension));
                burst_in(&s, &m, 1, UINT16_MAX);
            }
            unseen = false;
            s.now += SCRIPT_MS;
            net_stack_load(s.stack, true);
            sent += FLOOD;
            if (i >= 20) answered += answers - before;
        }
        assert_in_range(answered, 20 * RATE * 7 / 10, 20 * RATE * 21 / 10);
        assert_true(metrics(&s)->drop_tcp_syn_full - dropped > sent / 10 * 8);
        net_stack_load(s.stack, true);
    }
    assert_int_equal(script_destroy(&s), 0);
}

/* What is not a SYN to us passes whole, however short or odd. */
static void test_all_else_passes(void **state)
{
    (void)state;
    struct script s;
    uint8_t bytes[SCRIPT_FRAME_BYTES];
    static const uint8_t flags[] = {A, P | A, S | A, R, R | A, F | A, S | R, 0};
    script_create(&s, config_set);
    flood_settle(&s);
    uint64_t dropped = metrics(&s)->drop_tcp_syn_full;
    for (unsigned i = 0; i < sizeof flags; i++) {
        struct rte_mbuf *m = frame_make(&s, bytes, script_build(&s, bytes, flags[i], 1, 1, 65535, NULL, 0, NULL, 0));
        burst_in(&s, &m, 1, 1);
    }
    uint32_t len = script_build(&s, bytes, S, 0, 0, 65535, NULL, 0, NULL, 0);
    for (uint32_t cut = 0; cut < len; cut++) {
        struct rte_mbuf *m = frame_make(&s, bytes, cut);
        burst_in(&s, &m, 1, 1);
    }
    bytes[IP_AT + 9] = IPPROTO_UDP;
    struct rte_mbuf *m = frame_make(&s, bytes, len);
    burst_in(&s, &m, 1, 1);
    bytes[IP_AT + 9] = IPPROTO_TCP;
    bytes[IP_AT] = 0x4f; /* options that are not there */
    m = frame_make(&s, bytes, len);
    burst_in(&s, &m, 1, 1);
    bytes[IP_AT] = 0x45;
    bytes[5] ^= 1; /* another's */
    m = frame_make(&s, bytes, len);
    burst_in(&s, &m, 1, 1);
    assert_int_equal(metrics(&s)->drop_tcp_syn_full, dropped);
    s.head = s.tail;
    assert_int_equal(script_destroy(&s), 0);
}

/* A SYN behind options of IPv4 is one, too. */
static void test_ip_options(void **state)
{
    (void)state;
    struct script s;
    uint8_t bytes[SCRIPT_FRAME_BYTES];
    script_create(&s, config_set);
    flood_settle(&s);
    uint64_t dropped = metrics(&s)->drop_tcp_syn_full;
    uint32_t len = script_build(&s, bytes, S, 0, 0, 65535, NULL, 0, NULL, 0);
    memmove(bytes + TCP_AT + 4, bytes + TCP_AT, len - TCP_AT);
    memcpy(bytes + TCP_AT, (uint8_t[4]){1, 1, 1, 0}, 4);
    bytes[IP_AT] = 0x46;
    bytes[IP_AT + 3] = (uint8_t)(bytes[IP_AT + 3] + 4);
    for (uint16_t port = 1; port <= 50; port++) {
        bytes[TCP_AT + 5] = (uint8_t)port;
        struct rte_mbuf *m = frame_make(&s, bytes, len + 4);
        burst_in(&s, &m, 1, UINT16_MAX);
    }
    assert_true(metrics(&s)->drop_tcp_syn_full - dropped >= 40);
    s.head = s.tail;
    assert_int_equal(script_destroy(&s), 0);
}

/* More than a burst of the stack at once: what is left closes up. */
static void test_long_bursts(void **state)
{
    (void)state;
    struct script s;
    uint8_t bytes[SCRIPT_FRAME_BYTES];
    struct rte_mbuf *frames[150];
    script_create(&s, config_set);
    uint32_t from = flood_settle(&s);
    for (uint32_t i = 0; i < 150; i++) {
        if (i % 2)
            frames[i] = syn_of(&s, from++);
        else
            frames[i] = frame_make(&s, bytes, script_build(&s, bytes, A, i, 1, 65535, NULL, 0, NULL, 0));
    }
    uint16_t left = net_stack_shed(s.stack, frames, 150);
    assert_in_range(left, 75, 75 + 15);
    uint32_t acks = 0;
    for (uint16_t i = 0; i < left; i++) {
        const uint8_t *p = rte_pktmbuf_mtod(frames[i], const uint8_t *);
        if (p[TCP_AT + 13] != A) continue;
        uint32_t seq;
        memcpy(&seq, p + TCP_AT + 4, 4);
        assert_int_equal(rte_be_to_cpu_32(seq) - SCRIPT_PEER_ISS, 2 * acks);
        acks++;
    }
    assert_int_equal(acks, 75);
    rte_pktmbuf_free_bulk(frames, left);
    assert_int_equal(script_destroy(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_are_answered_while_the_core_keeps_up),
        cmocka_unit_test(test_few_are_answered_on_a_full_core),
        cmocka_unit_test(test_surplus_is_dropped_on_a_full_core),
        cmocka_unit_test(test_the_choice_is_fair),
        cmocka_unit_test(test_who_comes_again_gets_in),
        cmocka_unit_test(test_a_flood_that_repeats_itself),
        cmocka_unit_test(test_who_is_connected_loses_nothing),
        cmocka_unit_test(test_it_ends),
        cmocka_unit_test(test_a_storm_that_answers_is_let_in),
        cmocka_unit_test(test_who_answers_raises_the_allowance),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_all_else_passes),
        cmocka_unit_test(test_ip_options),
        cmocka_unit_test(test_long_bursts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
