/* SYN cookies: RFC 4987 3.6. What they keep, what they refuse, how long they are good. */
#include <string.h>
#include <rte_byteorder.h>
#include "tests/net/sim/cmocka_all.h"
#include "tests/net/sim/script.h"

static const struct net_metrics *metrics(const struct script *s) { return net_stack_metrics(s->stack); }

static void always(struct net_stack_config *config) { config->syn_cookies = NET_SYN_COOKIES_ALWAYS; }

/* A SYN as Linux sends it, with the scale given; remembers our timestamp. */
static struct script_segment syn_all(struct script *s, uint16_t mss, uint8_t scale, bool sack)
{
    uint8_t o[20] = {2, 4, (uint8_t)(mss >> 8), (uint8_t)mss, 4, 2, 8, 10, 0, 0, 0, 100, 0, 0, 0, 0, 1, 3, 3, scale};
    if (!sack) o[4] = o[5] = 1;
    script_send_options(s, S, 0, 0, 65535, o, sizeof o, NULL, 0);
    struct script_segment t = script_expect(s, S | A, 0, 1, 0);
    memcpy(&s->ts_ecr, t.options + 8, 4);
    s->ts_ecr = rte_be_to_cpu_32(s->ts_ecr);
    s->ts = true;
    return t;
}

static void test_keeps_scale_sack_and_mss(void **state)
{
    (void)state;
    for (uint8_t scale = 0; scale <= 14; scale++) {
        struct script s;
        script_create(&s, always);
        struct script_segment t = syn_all(&s, 1460, scale, scale & 1);
        assert_int_equal(t.options_len, 20);
        assert_int_equal(metrics(&s)->half_open, 0); /* nothing is held */
        script_send(&s, A, 1, 1, 3000, NULL, 0);
        assert_int_equal(s.accepted, 1);
        assert_int_equal(metrics(&s)->syn_cookies_accepted, 1);
        script_write(&s, 2000);
        script_expect(&s, A, 1, 1, 1448);
        script_expect(&s, A, 1449, 1, 552);
        script_send(&s, A, 1, 2001, (uint16_t)(2048 >> scale), NULL, 0);
        script_write(&s, 5000); /* as much as the window says, whatever its scale */
        uint32_t seq = 2001, sent = 0;
        while (s.head != s.tail) {
            t = script_next(&s);
            assert_int_equal(t.seq, seq + sent);
            sent += t.len;
        }
        assert_in_range(sent, scale > 11 ? 0 : 1448, 2048);
        script_send(&s, A | P, 3, 2001 + sent, 0, "c", 1); /* a gap: does the answer tell of it? */
        t = script_next(&s);
        assert_int_equal(t.options_len, scale & 1 ? 24 : 12);
        assert_int_equal(script_destroy(&s), 0);
    }
}

static void test_no_scale_offered(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, always);
    s.ts = true;
    script_send(&s, S, 0, 0, 65535, NULL, 0); /* timestamps alone */
    struct script_segment t = script_expect(&s, S | A, 0, 1, 0);
    assert_int_equal(t.options_len, 16); /* MSS and timestamps: neither scale nor SACK */
    memcpy(&s.ts_ecr, t.options + 8, 4);
    s.ts_ecr = rte_be_to_cpu_32(s.ts_ecr);
    script_send(&s, A, 1, 1, 1000, NULL, 0);
    assert_int_equal(s.accepted, 1);
    script_write(&s, 5000);
    script_expect(&s, A, 1, 1, 524);
    script_expect_nothing(&s); /* the window is 1000, not scaled */
    assert_int_equal(script_destroy(&s), 0);
}

static void test_without_timestamps(void **state)
{
    (void)state;
    static const uint8_t o[12] = {2, 4, 5, 180, 4, 2, 1, 3, 3, 7, 0, 0};
    struct script s;
    script_create(&s, always);
    script_send_options(&s, S, 0, 0, 65535, o, sizeof o, NULL, 0);
    struct script_segment t = script_expect(&s, S | A, 0, 1, 0);
    assert_int_equal(t.options_len, 4); /* what cannot be kept is not agreed on */
    script_send(&s, A | P, 1, 1, 2000, "get", 3);
    assert_int_equal(s.accepted, 1);
    assert_int_equal(s.stream->rx.len, 3);
    script_write(&s, 5000);
    script_expect(&s, A, 1, 4, 1460);
    script_expect_nothing(&s);
    assert_int_equal(script_destroy(&s), 0);
}

/* Never above what the peer said, and not far below. */
static void test_mss_steps(void **state)
{
    (void)state;
    static const struct {
        uint16_t said, used;
    } rows[] = {{64, 64}, {535, 64}, {536, 536}, {1300, 1220}, {1459, 1440}, {1460, 1460}, {8960, 1460}, {65535, 1460}};
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct script s;
        script_create(&s, always);
        uint8_t o[4] = {2, 4, (uint8_t)(rows[i].said >> 8), (uint8_t)rows[i].said};
        script_send_options(&s, S, 0, 0, 65535, o, sizeof o, NULL, 0);
        script_expect(&s, S | A, 0, 1, 0);
        script_send(&s, A, 1, 1, 65535, NULL, 0);
        script_write(&s, 1460);
        script_expect(&s, A, 1, 1, rows[i].used);
        assert_int_equal(script_destroy(&s), 0);
    }
}

static void test_wrong_cookie(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, always);
    script_send(&s, S, 0, 0, 65535, NULL, 0);
    script_expect(&s, S | A, 0, 1, 0);
    script_send(&s, A, 1, 17, 65535, NULL, 0); /* another number */
    script_expect(&s, R, 17, 0, 0);
    script_send(&s, A, 2, 1, 65535, NULL, 0); /* another SYN */
    script_expect(&s, R, 1, 0, 0);
    s.peer_port++;
    script_send(&s, A, 1, 1, 65535, NULL, 0); /* another peer */
    script_expect(&s, R, 1, 0, 0);
    assert_int_equal(metrics(&s)->syn_cookies_failed, 3);
    s.peer_port--;
    uint64_t rng = 1;
    for (unsigned i = 0; i < 100000; i++) { /* one in 2^28 */
        rng = rng * UINT64_C(6364136223846793005) + 1442695040888963407u;
        script_send(&s, A, 1, (uint32_t)(rng >> 32), 65535, NULL, 0);
        s.head = s.tail;
    }
    assert_int_equal(s.accepted, 0);
    script_send(&s, A, 1, 1, 65535, NULL, 0);
    assert_int_equal(s.accepted, 1);
    assert_int_equal(script_destroy(&s), 0);
}

/* A cookie is good for 69 s at least and twice that at most. */
static void test_grows_stale(void **state)
{
    (void)state;
    for (unsigned late = 0; late < 2; late++) {
        struct script s;
        script_create(&s, always);
        script_send(&s, S, 0, 0, 65535, NULL, 0);
        script_expect(&s, S | A, 0, 1, 0);
        script_wait(&s, (late ? 138000 : 68000) * SCRIPT_MS);
        if (late) {
            s.peer_port++;
            script_send(&s, S, 0, 0, 65535, NULL, 0); /* cookies are good, but not that one */
            s.peer_port--;
            s.head = s.tail;
        }
        script_send(&s, A, 1, 1, 65535, NULL, 0);
        assert_int_equal(s.accepted, !late);
        assert_int_equal(metrics(&s)->syn_cookies_failed, late);
        assert_int_equal(script_destroy(&s), 0);
    }
}

/* While none has been sent lately, no ACK is looked at. */
static void test_none_sent_none_good(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_send(&s, A, 1, 1, 65535, NULL, 0);
    script_expect(&s, R, 1, 0, 0);
    assert_int_equal(metrics(&s)->syn_cookies_failed, 0);
    assert_int_equal(script_destroy(&s), 0);
}

/* The same SYN twice gets the same cookie within an epoch, another key another. RFC 6528: not to be foretold. */
static void test_repeats_and_differs(void **state)
{
    (void)state;
    struct script s;
    uint32_t seen[200];
    script_create(&s, always);
    for (unsigned i = 0; i < 200; i++) {
        s.peer_port = (uint16_t)(i + 1);
        for (unsigned again = 0; again < 2; again++) {
            uint32_t before = s.iss;
            script_send(&s, S, 0, 0, 65535, NULL, 0);
            script_next(&s);
            if (again) assert_int_equal(s.iss, before);
        }
        seen[i] = s.iss;
        for (unsigned j = 0; j < i; j++) assert_true(seen[j] != seen[i]);
    }
    assert_int_equal(script_destroy(&s), 0);
}

/* The timestamp that carries options is never ahead of the clock, nor far behind: the peer's PAWS stays content. */
static void test_timestamp_is_near(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, always);
    for (unsigned i = 0; i < 300; i++) {
        s.peer_port = (uint16_t)(i + 1);
        syn_all(&s, 1460, (uint8_t)(i % 15), i & 1);
        uint32_t cookie_ts = s.ts_ecr;
        script_send(&s, A, 1, 1, 65535, NULL, 0);
        script_write(&s, 10);
        script_next(&s);
        assert_in_range(s.ts_ecr - cookie_ts, 0, 64);
        script_wait(&s, 3 * SCRIPT_MS);
        s.stream->ops->abort(s.stream);
        script_output(&s);
        s.head = s.tail;
    }
    assert_int_equal(script_destroy(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeps_scale_sack_and_mss),
        cmocka_unit_test(test_no_scale_offered),
        cmocka_unit_test(test_without_timestamps),
        cmocka_unit_test(test_mss_steps),
        cmocka_unit_test(test_wrong_cookie),
        cmocka_unit_test(test_grows_stale),
        cmocka_unit_test(test_none_sent_none_good),
        cmocka_unit_test(test_repeats_and_differs),
        cmocka_unit_test(test_timestamp_is_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
