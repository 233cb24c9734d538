/* Explicit congestion notification on the wire: RFC 3168 6.1, RFC 8257 3.2. */
#include <string.h>
#include <rte_byteorder.h>
#include "tests/net/sim/cmocka_all.h"
#include "tests/net/sim/script.h"

enum { ECE = 0x40, CWR = 0x80 };
enum { NOT_ECT = 0, ECT0 = 2, CE = 3 };

#define MSS 1460u

static void ask(struct net_stack_config *config)
{
    config->tcp_ecn = NET_TCP_ECN_ON;
}
static void refuse(struct net_stack_config *config)
{
    config->tcp_ecn = NET_TCP_ECN_OFF;
}
static void dctcp(struct net_stack_config *config)
{
    config->tcp_cc = NET_TCP_DCTCP;
}
static void newreno(struct net_stack_config *config)
{
    config->tcp_cc = NET_TCP_NEWRENO;
}

static unsigned codepoint(const struct script_segment *t)
{
    return t->frame->bytes[15] & 3u;
}

static struct script_segment expect(struct script *s, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len,
                                    unsigned code)
{
    struct script_segment t = script_expect(s, flags, seq, ack, len);
    assert_int_equal(codepoint(&t), code);
    return t;
}

/* A segment whose packet carries a codepoint; several of them make one burst with n above 1. */
static void send_code(struct script *s, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len, unsigned code)
{
    static const uint8_t payload[MSS];
    uint8_t frame[SCRIPT_FRAME_BYTES];
    uint32_t bytes = script_build(s, frame, flags, seq, ack, 65535, NULL, 0, payload, len);
    frame[15] = (uint8_t)code;
    script_checksum(frame, bytes);
    script_frame_in(s, frame, bytes);
}

static const uint8_t mss_option[4] = {2, 4, MSS >> 8, MSS & 255};

/* The peer opens with these flags; the answer carries those. */
static void open_coded(struct script *s, uint8_t syn, uint8_t answer, unsigned code)
{
    script_send_options(s, syn, 0, 0, 65535, mss_option, sizeof mss_option, NULL, 0);
    expect(s, answer, 0, 1, 0, code);
    script_send(s, A, 1, 1, 65535, NULL, 0);
    script_expect_nothing(s);
    assert_non_null(s->stream);
}

static void open_with(struct script *s, uint8_t syn, uint8_t answer)
{
    open_coded(s, syn, answer, NOT_ECT);
}

/* 6.1.1: by default a question is answered with consent, and new data is ECN-capable; ACKs are not (6.1.4). */
static void test_agrees_when_asked(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    open_with(&s, S | ECE | CWR, S | A | ECE);
    script_write(&s, 2 * MSS);
    expect(&s, A, 1, 1, MSS, ECT0);
    expect(&s, A, 1 + MSS, 1, MSS, ECT0);
    script_send(&s, A, 1, 1 + 2 * MSS, 65535, NULL, 0);
    send_code(&s, A, 1, 1 + 2 * MSS, 10, NOT_ECT);
    script_wait(&s, 5 * SCRIPT_MS);
    expect(&s, A, 1 + 2 * MSS, 11, 0, NOT_ECT);
    assert_int_equal(script_destroy(&s), 0);
}

/* The answer sent again says the same. */
static void test_answer_again(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_send_options(&s, S | ECE | CWR, 0, 0, 65535, mss_option, sizeof mss_option, NULL, 0);
    expect(&s, S | A | ECE, 0, 1, 0, NOT_ECT);
    script_send_options(&s, S | ECE | CWR, 0, 0, 65535, mss_option, sizeof mss_option, NULL, 0);
    expect(&s, S | A | ECE, 0, 1, 0, NOT_ECT);
    assert_int_equal(script_destroy(&s), 0);
}

/* Whoever did not ask, or asked wrongly, or is refused, gets neither marks nor echoes. */
static void test_no_agreement(void **state)
{
    (void)state;
    static const struct {
        void (*change)(struct net_stack_config *);
        uint8_t syn;
    } rows[] = {{NULL, S}, {ask, S}, {NULL, S | ECE}, {NULL, S | CWR}, {refuse, S | ECE | CWR}};
    for (unsigned i = 0; i < RTE_DIM(rows); i++) {
        struct script s;
        script_create(&s, rows[i].change);
        open_with(&s, rows[i].syn, S | A);
        script_write(&s, MSS);
        expect(&s, A, 1, 1, MSS, NOT_ECT);
        send_code(&s, A | ECE, 1, 1 + MSS, 0, NOT_ECT);
        send_code(&s, A, 1, 1 + MSS, 10, CE); /* not ours to answer */
        script_wait(&s, 5 * SCRIPT_MS);
        expect(&s, A, 1 + MSS, 11, 0, NOT_ECT);
        assert_int_equal(net_stack_metrics(s.stack)->ecn_reductions, 0);
        assert_int_equal(script_destroy(&s), 0);
    }
}

/* Opens towards the peer up to the SYN, which must carry these flags. */
static void connect_syn(struct script *s, uint8_t flags, unsigned code)
{
    uint8_t arp[42] = {2, 0, 0, 0, 0, 1, 2, 0,  0, 0, 0, 2, 8, 6, 0, 1, 8, 0,  6, 4, 0,
                       2, 2, 0, 0, 0, 0, 2, 10, 0, 0, 2, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1};
    assert_int_equal(net_connect(s->stack, net_endpoint_v4(0x0a000002, SCRIPT_PEER_PORT), s->now, &s->stream), 0);
    script_output(s);
    script_next_frame(s); /* who has 10.0.0.2? */
    script_frame_in(s, arp, sizeof arp);
    struct script_segment syn = script_next(s);
    assert_int_equal(syn.flags, flags);
    assert_int_equal(codepoint(&syn), code);
    s->local_port = (uint16_t)(syn.frame->bytes[34] << 8 | syn.frame->bytes[35]);
}

static void answer(struct script *s, uint8_t flags)
{
    script_send_options(s, flags, 0, 1, 65535, mss_option, sizeof mss_option, NULL, 0);
    expect(s, A, 1, 1, 0, NOT_ECT);
}

static void test_asks(void **state)
{
    (void)state;
    static const struct {
        uint8_t answer;
        unsigned code;
    } rows[] = {{S | A | ECE, ECT0}, {S | A, NOT_ECT}, {S | A | ECE | CWR, NOT_ECT} /* a mirror: 6.1.1.1 */};
    for (unsigned i = 0; i < RTE_DIM(rows); i++) {
        struct script s;
        script_create(&s, ask);
        connect_syn(&s, S | ECE | CWR, NOT_ECT);
        answer(&s, rows[i].answer);
        script_write(&s, MSS);
        expect(&s, A, 1, 1, MSS, rows[i].code);
        assert_int_equal(script_destroy(&s), 0);
    }
}

/* Passive is the default, and DCTCP asks of itself. */
static void test_who_asks(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    connect_syn(&s, S, NOT_ECT);
    answer(&s, S | A | ECE); /* consent to nothing */
    script_write(&s, MSS);
    expect(&s, A, 1, 1, MSS, NOT_ECT);
    assert_int_equal(script_destroy(&s), 0);
    script_create(&s, dctcp);
    connect_syn(&s, S | ECE | CWR, ECT0);
    answer(&s, S | A | ECE);
    script_write(&s, MSS);
    expect(&s, A, 1, 1, MSS, ECT0);
    assert_int_equal(script_destroy(&s), 0);
}

/* 6.1.1.1: a SYN that found no answer is sent again without the question. */
static void test_black_hole_falls_back(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, ask);
    connect_syn(&s, S | ECE | CWR, NOT_ECT);
    script_wait(&s, 1100 * SCRIPT_MS);
    expect(&s, S, 0, 0, 0, NOT_ECT);
    answer(&s, S | A);
    script_write(&s, MSS);
    expect(&s, A, 1, 1, MSS, NOT_ECT);
    assert_int_equal(script_destroy(&s), 0);
}

/* 6.1.3: from a mark on each ACK echoes, until the sender says that it has slowed down. */
static void test_echoes_until_reduced(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    open_with(&s, S | ECE | CWR, S | A | ECE);
    send_code(&s, A, 1, 1, 100, CE);
    expect(&s, A | ECE, 1, 101, 0, NOT_ECT); /* at once */
    send_code(&s, A, 101, 1, 100, ECT0);
    script_wait(&s, 2 * SCRIPT_MS);
    expect(&s, A | ECE, 1, 201, 0, NOT_ECT);
    script_write(&s, 10);
    expect(&s, A | ECE, 1, 201, 10, ECT0); /* data too */
    send_code(&s, A | CWR, 201, 11, 100, ECT0);
    script_wait(&s, 2 * SCRIPT_MS);
    expect(&s, A, 11, 301, 0, NOT_ECT);
    send_code(&s, A | CWR, 301, 11, 100, CE); /* marked itself: another episode */
    expect(&s, A | ECE, 11, 401, 0, NOT_ECT);
    assert_int_equal(net_stack_metrics(s.stack)->ecn_marks, 2);
    assert_int_equal(script_destroy(&s), 0);
}

/* Counts what is sent at once, and takes it off. */
static uint32_t burst(struct script *s, uint32_t from)
{
    uint32_t n = 0;
    while (s->head != s->tail) {
        struct script_segment t = script_next(s);
        assert_int_equal(t.seq, from + n);
        n += t.len;
    }
    return n;
}

/* 6.1.2: one reduction a round trip, announced on the next new segment; what was in flight then changes nothing more.
 */
static void test_echo_reduces_once(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, newreno);
    open_with(&s, S | ECE | CWR, S | A | ECE);
    script_write(&s, 200000);
    assert_int_equal(burst(&s, 1), 10 * MSS);
    send_code(&s, A | ECE, 1, 1 + 2 * MSS, 0, NOT_ECT); /* 10 in flight: 5 now */
    for (uint32_t acked = 4; acked <= 6; acked += 2) {
        send_code(&s, A | ECE, 1, 1 + acked * MSS, 0, NOT_ECT);
        assert_true(acked == 6 || s.head == s.tail);
    }
    assert_int_equal(net_stack_metrics(s.stack)->ecn_reductions, 1);
    expect(&s, A | CWR, 1 + 10 * MSS, 1, MSS, ECT0);
    send_code(&s, A, 1, 1 + 10 * MSS, 0, NOT_ECT);
    struct script_segment t = expect(&s, A, 1 + 11 * MSS, 1, MSS, ECT0); /* no second announcement */
    while (s.head != s.tail) t = script_next(&s);
    send_code(&s, A | ECE, 1, t.seq + MSS, 0, NOT_ECT); /* of the next window */
    assert_int_equal(net_stack_metrics(s.stack)->ecn_reductions, 2);
    assert_int_equal(script_next(&s).flags & CWR, CWR);
    assert_int_equal(script_destroy(&s), 0);
}

/* 6.1.5: what is sent again is not ECN-capable; the loss's own reduction is announced on new data. */
static void test_retransmission_is_not_capable(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, newreno);
    open_with(&s, S | ECE | CWR, S | A | ECE);
    script_write(&s, 3 * MSS);
    assert_int_equal(burst(&s, 1), 3 * MSS);
    script_wait(&s, 20 * SCRIPT_MS); /* less than it takes to suspect the path's MTU */
    struct script_segment t = script_next(&s);
    assert_int_equal(t.seq, 1);
    assert_int_equal(codepoint(&t), NOT_ECT);
    while (s.head != s.tail) script_next(&s);
    script_send(&s, A, 1, 1 + 3 * MSS, 65535, NULL, 0);
    script_write(&s, MSS);
    expect(&s, A | CWR, 1 + 3 * MSS, 1, MSS, ECT0);
    assert_int_equal(script_destroy(&s), 0);
}

/* RFC 8257 3.2: when marks begin and end, what came before is acknowledged by itself; a bare ACK each second segment.
 */
static void test_dctcp_exact_echo(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, dctcp);
    open_coded(&s, S | ECE | CWR, S | A | ECE, ECT0);
    send_code(&s, A, 1, 1, MSS, ECT0); /* its ACK is delayed */
    script_expect_nothing(&s);
    send_code(&s, A, 1 + MSS, 1, MSS, CE); /* so it comes now, without an echo */
    expect(&s, A, 1, 1 + MSS, 0, NOT_ECT);
    send_code(&s, A, 1 + 2 * MSS, 1, MSS, CE);
    expect(&s, A | ECE, 1, 1 + 3 * MSS, 0, NOT_ECT);
    send_code(&s, A, 1 + 3 * MSS, 1, MSS, CE);
    script_expect_nothing(&s);
    send_code(&s, A, 1 + 4 * MSS, 1, MSS, ECT0);
    expect(&s, A | ECE, 1, 1 + 4 * MSS, 0, NOT_ECT);
    script_wait(&s, 2 * SCRIPT_MS);
    expect(&s, A, 1, 1 + 5 * MSS, 0, NOT_ECT);
    send_code(&s, A | CWR, 1 + 5 * MSS, 1, MSS, CE); /* CWR ends nothing here */
    send_code(&s, A | CWR, 1 + 6 * MSS, 1, MSS, CE);
    expect(&s, A | ECE, 1, 1 + 7 * MSS, 0, NOT_ECT);
    assert_int_equal(script_destroy(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agrees_when_asked),
        cmocka_unit_test(test_answer_again),
        cmocka_unit_test(test_no_agreement),
        cmocka_unit_test(test_asks),
        cmocka_unit_test(test_who_asks),
        cmocka_unit_test(test_black_hole_falls_back),
        cmocka_unit_test(test_echoes_until_reduced),
        cmocka_unit_test(test_echo_reduces_once),
        cmocka_unit_test(test_retransmission_is_not_capable),
        cmocka_unit_test(test_dctcp_exact_echo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
