/* A SYN is answered in its own buffer where that is possible, with the same bytes as in another. */
#include <string.h>
#include "net/tcp/tcp.h"
#include "tests/net/sim/cmocka_all.h"
#include "tests/net/sim/script.h"

#define OPTIONS 20u
#define SIP_BYTES 15u

static const uint8_t usual[OPTIONS] = {2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 9, 1, 3, 3, 7};

static void always(struct net_stack_config *config) { config->syn_cookies = NET_SYN_COOKIES_ALWAYS; }

static void full(struct net_stack_config *config) { config->max_half_open = 64; }

/* The SYN in one buffer, or in two of which the second holds its last four bytes. */
static struct rte_mbuf *syn(struct script *s, bool split)
{
    uint8_t frame[SCRIPT_FRAME_BYTES];
    uint16_t len = (uint16_t)script_build(s, frame, S, 0, 0, 65535, usual, OPTIONS, "data", 4);
    uint16_t first = split ? (uint16_t)(len - 4) : len;
    struct rte_mbuf *m = rte_pktmbuf_alloc(s->pools.frame);
    memcpy(rte_pktmbuf_append(m, first), frame, first);
    if (!split) return m;
    struct rte_mbuf *rest = rte_pktmbuf_alloc(s->pools.frame);
    memcpy(rte_pktmbuf_append(rest, 4), frame + first, 4);
    assert_int_equal(rte_pktmbuf_chain(m, rest), 0);
    return m;
}

static const struct script_frame *answer(struct script *s, struct rte_mbuf *m)
{
    net_stack_input(s->stack, &m, 1, s->now);
    script_output(s);
    const struct script_frame *f = script_next_frame(s);
    assert_non_null(f);
    assert_int_equal(f->segments, 1);
    return f;
}

/* The buffer is another's too, or in two parts: it stays as it is, and the answer is the same. */
static void test_same_answer(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, always);
    struct script_frame own = *answer(&s, syn(&s, false)), copy;
    assert_int_equal(own.len, 14 + 20 + 20 + OPTIONS);
    uint8_t mended[SCRIPT_FRAME_BYTES];
    memcpy(mended, own.bytes, own.len);
    script_checksum(mended, own.len);
    assert_memory_equal(mended, own.bytes, own.len);
    struct rte_mbuf *shared = syn(&s, false);
    uint8_t before[SCRIPT_FRAME_BYTES];
    uint32_t len = shared->data_len;
    memcpy(before, rte_pktmbuf_mtod(shared, void *), len);
    rte_mbuf_refcnt_update(shared, 1);
    copy = *answer(&s, shared);
    assert_int_equal(copy.len, own.len);
    assert_memory_equal(copy.bytes, own.bytes, own.len);
    assert_int_equal(shared->data_len, len);
    assert_memory_equal(rte_pktmbuf_mtod(shared, void *), before, len);
    rte_pktmbuf_free(shared);
    copy = *answer(&s, syn(&s, true));
    assert_int_equal(copy.len, own.len);
    assert_memory_equal(copy.bytes, own.bytes, own.len);
    assert_int_equal(script_destroy(&s), 0);
}

/* With no buffer left but the SYN's own it is answered all the same, by an entry and by a cookie. */
static void test_no_other_buffer(void **state)
{
    (void)state;
    void (*const changes[])(struct net_stack_config *) = {full, always};
    for (unsigned i = 0; i < 2; i++) {
        struct script s;
        struct rte_mbuf *taken[8192];
        unsigned n = 0;
        script_create(&s, changes[i]);
        while (n < 8192 && (taken[n] = rte_pktmbuf_alloc(s.pools.small)) != NULL) n++;
        assert_in_range(n, 1, 8191);
        const struct script_frame *f = answer(&s, syn(&s, false));
        assert_int_equal(f->bytes[47], S | A);
        assert_int_equal(net_stack_metrics(s.stack)->tx_no_buffer, 0);
        rte_pktmbuf_free_bulk(taken, n);
        assert_int_equal(script_destroy(&s), 0);
    }
}

/* What most SYNs carry is read at sight; the same behind four bytes of padding is read one by one. */
static void test_usual_options(void **state)
{
    (void)state;
    uint8_t text[4 + OPTIONS] = {1, 1, 1, 1};
    for (unsigned at = 0; at < OPTIONS; at++) {
        for (unsigned value = 0; value < 256; value++) {
            struct tcp_options a, b;
            memcpy(text + 4, usual, OPTIONS);
            text[4 + at] = (uint8_t)value;
            bool good = tcp_options_parse(text, sizeof text, &b);
            assert_int_equal(tcp_options_parse(text + 4, OPTIONS, &a), good);
            if (!good) continue;
            assert_int_equal(a.mss, b.mss);
            assert_int_equal(a.has_scale, b.has_scale);
            assert_int_equal(a.scale, b.scale);
            assert_int_equal(a.sack_permitted, b.sack_permitted);
            assert_int_equal(a.has_ts, b.has_ts);
            assert_int_equal(a.ts_val, b.ts_val);
            assert_int_equal(a.ts_ecr, b.ts_ecr);
            assert_int_equal(a.has_fast_open, b.has_fast_open);
        }
    }
}

static void test_siphash_15(void **state)
{
    (void)state;
    /* Aumasson and Bernstein, SipHash, appendix A: key and data count up from 0. */
    static const uint64_t secret[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
    uint8_t data[SIP_BYTES + 1] = {0};
    uint64_t words[2];
    for (uint8_t i = 0; i < SIP_BYTES; i++) data[i] = i;
    memcpy(words, data, sizeof words);
    assert_true(siphash_15(secret, words[0], words[1]) == UINT64_C(0xa129ca6149be45e5));
    assert_true(siphash(secret, data, SIP_BYTES) == UINT64_C(0xa129ca6149be45e5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_answer),
        cmocka_unit_test(test_no_other_buffer),
        cmocka_unit_test(test_usual_options),
        cmocka_unit_test(test_siphash_15),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
