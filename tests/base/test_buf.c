#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/buf.h"
#include "tests/support/eal.h"

#define MODEL_MAX 20000u

static struct buf_pools pools;

/* A chain beside a flat array that holds the same bytes. */
struct model {
    struct buf_chain chain;
    uint8_t bytes[MODEL_MAX];
    uint32_t len;
    uint8_t next; /* bytes count up: a byte out of place shows */
};

static uint32_t below(unsigned *seed, uint32_t n)
{
    return (uint32_t)rand_r(seed) % n;
}

/* A segment of len bytes with a headroom of its own, filled and remembered. */
static struct rte_mbuf *segment(struct model *m, unsigned *seed, uint32_t len)
{
    struct rte_mbuf *s = rte_pktmbuf_alloc(len > 300 || below(seed, 2) ? pools.frame : pools.small);
    assert_non_null(s);
    s->data_off = (uint16_t)below(seed, RTE_PKTMBUF_HEADROOM);
    uint8_t *p = (uint8_t *)rte_pktmbuf_append(s, (uint16_t)len);
    assert_non_null(p);
    for (uint32_t i = 0; i < len; i++) p[i] = m->bytes[m->len++] = m->next++;
    return s;
}

/* Appends up to four linked segments, empty ones too. */
static void model_append(struct model *m, unsigned *seed)
{
    struct rte_mbuf *head = NULL, **end = &head;
    for (uint32_t n = 1 + below(seed, 4); n > 0; n--) {
        *end = segment(m, seed, below(seed, 3) == 0 ? 0 : below(seed, 500));
        end = &(*end)->next;
    }
    buf_chain_append(&m->chain, head);
}

static void model_check(const struct model *m)
{
    uint32_t at = 0;
    assert_int_equal(m->chain.len, m->len);
    const struct rte_mbuf *last = NULL;
    for (const struct rte_mbuf *s = m->chain.head; s; last = s, s = s->next) {
        assert_memory_equal(buf_data(s), m->bytes + at, s->data_len);
        at += s->data_len;
    }
    assert_int_equal(at, m->len);
    assert_ptr_equal(last, m->chain.tail);
}

static void model_consume(struct model *m, uint32_t n)
{
    buf_chain_consume(&m->chain, n);
    m->len -= n;
    memmove(m->bytes, m->bytes + n, m->len);
}

static void model_copy(const struct model *m, unsigned *seed)
{
    static uint8_t out[MODEL_MAX];
    uint32_t off = below(seed, m->len + 1), n = below(seed, MODEL_MAX - off);
    uint32_t expected = RTE_MIN(n, m->len - off);
    assert_int_equal(buf_chain_copy(&m->chain, off, out, n), expected);
    assert_memory_equal(out, m->bytes + off, expected);
}

/* Walks the whole chain by windows, reads and advances of random lengths. */
static void model_walk(const struct model *m, unsigned *seed)
{
    static uint8_t out[MODEL_MAX];
    struct buf_cursor cur = buf_chain_begin(&m->chain);
    const uint8_t *p = NULL;
    uint32_t at = 0, window;
    while ((window = buf_cursor_window(&cur, &p)) > 0) {
        assert_memory_equal(p, m->bytes + at, window);
        uint32_t n = 1 + below(seed, 700), left = m->len - at, step = RTE_MIN(n, left);
        if (below(seed, 2))
            buf_cursor_advance(&cur, n);
        else
            assert_int_equal(buf_cursor_read(&cur, out, n), step);
        if (step == n && below(seed, 4) == 0) buf_cursor_advance(&cur, 0);
        at += step;
    }
    assert_int_equal(at, m->len);
    assert_int_equal(buf_cursor_read(&cur, out, 10), 0);
    buf_cursor_advance(&cur, 5);
    assert_int_equal(buf_cursor_window(&cur, &p), 0);
}

static void a_chain_does_what_a_flat_array_does(void **state)
{
    (void)state;
    static struct model m, other;
    for (unsigned round = 0; round < 200; round++) {
        unsigned seed = round;
        memset(&m, 0, sizeof m);
        for (int step = 0; step < 60; step++) {
            switch (below(&seed, 6)) {
            case 0:
            case 1:
                if (m.len < MODEL_MAX - 2000) model_append(&m, &seed);
                break;
            case 2: model_consume(&m, below(&seed, m.len + 1)); break;
            case 3: model_copy(&m, &seed); break;
            case 4: model_walk(&m, &seed); break;
            case 5:
                memset(&other, 0, sizeof other);
                other.next = m.next;
                if (m.len < MODEL_MAX - 2000 && below(&seed, 3)) model_append(&other, &seed);
                memcpy(m.bytes + m.len, other.bytes, other.len);
                m.len += other.len;
                m.next = other.next;
                buf_chain_join(&m.chain, &other.chain);
                assert_null(other.chain.head);
                assert_null(other.chain.tail);
                assert_int_equal(other.chain.len, 0);
                break;
            }
            model_check(&m);
        }
        buf_chain_free(&m.chain);
        assert_null(m.chain.head);
        assert_null(m.chain.tail);
        assert_int_equal(m.chain.len, 0);
        assert_int_equal(buf_pools_in_use(&pools), 0);
    }
}

static void an_empty_chain_is_nothing(void **state)
{
    (void)state;
    struct buf_chain c;
    const uint8_t *p;
    uint8_t byte;
    buf_chain_init(&c);
    struct buf_cursor cur = buf_chain_begin(&c);
    assert_int_equal(buf_cursor_window(&cur, &p), 0);
    buf_cursor_advance(&cur, 0);
    buf_cursor_advance(&cur, 7);
    assert_int_equal(buf_cursor_window(&cur, &p), 0);
    assert_int_equal(buf_cursor_read(&cur, &byte, 1), 0);
    assert_int_equal(buf_chain_copy(&c, 0, &byte, 1), 0);
    buf_chain_consume(&c, 0);
    buf_chain_free(&c);
}

static void a_cursor_stays_right_while_segments_are_appended(void **state)
{
    (void)state;
    static struct model m;
    unsigned seed = 7;
    memset(&m, 0, sizeof m);
    const uint8_t *p = NULL;
    buf_chain_append(&m.chain, segment(&m, &seed, 10));
    struct buf_cursor cur = buf_chain_begin(&m.chain);
    buf_cursor_advance(&cur, 10);
    assert_int_equal(buf_cursor_window(&cur, &p), 0);
    buf_chain_append(&m.chain, segment(&m, &seed, 0));
    assert_int_equal(buf_cursor_window(&cur, &p), 0);
    buf_chain_append(&m.chain, segment(&m, &seed, 5));
    assert_int_equal(buf_cursor_window(&cur, &p), 5);
    assert_memory_equal(p, m.bytes + 10, 5);
    buf_chain_free(&m.chain);
    assert_int_equal(buf_pools_in_use(&pools), 0);
}

static void consumed_segments_go_back_at_once(void **state)
{
    (void)state;
    static struct model m;
    unsigned seed = 3;
    memset(&m, 0, sizeof m);
    for (int i = 0; i < 4; i++) buf_chain_append(&m.chain, segment(&m, &seed, 100));
    assert_int_equal(buf_pools_in_use(&pools), 4);
    model_consume(&m, 99);
    assert_int_equal(buf_pools_in_use(&pools), 4);
    model_consume(&m, 1);
    assert_int_equal(buf_pools_in_use(&pools), 3);
    model_consume(&m, 250);
    model_check(&m);
    assert_int_equal(buf_pools_in_use(&pools), 1);
    model_consume(&m, 50);
    assert_int_equal(buf_pools_in_use(&pools), 0);
    assert_null(m.chain.tail);
    buf_chain_append(&m.chain, segment(&m, &seed, 1)); /* an emptied chain begins anew */
    model_check(&m);
    buf_chain_free(&m.chain);
}

static void a_shared_buffer_lives_until_its_last_reference(void **state)
{
    (void)state;
    static struct model m;
    unsigned seed = 5;
    memset(&m, 0, sizeof m);
    struct rte_mbuf *s = segment(&m, &seed, 64);
    rte_pktmbuf_refcnt_update(s, 1);
    buf_chain_append(&m.chain, s);
    buf_chain_free(&m.chain);
    assert_int_equal(buf_pools_in_use(&pools), 1);
    assert_memory_equal(buf_data(s), m.bytes, 64);
    rte_pktmbuf_free(s);
    assert_int_equal(buf_pools_in_use(&pools), 0);
}

static void pools_hold_what_was_asked_for(void **state)
{
    (void)state;
    struct buf_pools p;
    struct buf_pools_config config = {
        .core = 1, .frame_count = 64, .small_count = 32, .ref_count = 16, .frame_room = 2048};
    assert_int_equal(buf_pools_create(&p, &config), 0);
    struct rte_mbuf *frames[65];
    unsigned n = 0;
    while (n < 65 && (frames[n] = rte_pktmbuf_alloc(p.frame))) n++;
    assert_int_equal(n, 64);
    assert_int_equal(buf_pools_in_use(&p), 64);
    assert_true(rte_pktmbuf_tailroom(frames[0]) >= 2048);
    struct rte_mbuf *small = rte_pktmbuf_alloc(p.small);
    assert_true(rte_pktmbuf_tailroom(small) >= BUF_SMALL_ROOM);
    struct rte_mbuf *ref = rte_pktmbuf_alloc(p.ref);
    rte_pktmbuf_attach(ref, frames[0]);
    rte_pktmbuf_free(frames[0]);
    assert_int_equal(buf_pools_in_use(&p), 66); /* the frame is held by its reference */
    rte_pktmbuf_free(ref);
    assert_int_equal(buf_pools_in_use(&p), 64);
    rte_pktmbuf_free(small);
    while (n > 1) rte_pktmbuf_free(frames[--n]);
    assert_int_equal(buf_pools_in_use(&p), 0);
    buf_pools_destroy(&p);
    config.frame_room = UINT16_MAX;
    assert_int_equal(buf_pools_create(&p, &config), -EINVAL);
}

static void pools_that_do_not_fit_are_refused_and_given_back(void **state)
{
    (void)state;
    struct buf_pools p;
    struct buf_pools_config config = {.frame_count = 1u << 22, .small_count = 64, .ref_count = 64, .frame_room = 9000};
    assert_int_equal(buf_pools_create(&p, &config), -ENOMEM); /* 36 GB */
    assert_null(p.frame);
    config.frame_count = 64;
    config.ref_count = 1u << 27;
    assert_int_equal(buf_pools_create(&p, &config), -ENOMEM);
    assert_null(p.frame);
    assert_null(p.small);
    config.ref_count = 64;
    assert_int_equal(buf_pools_create(&p, &config), 0); /* what was made before the failure was given back */
    buf_pools_destroy(&p);
}

static int start(void **state)
{
    (void)state;
    test_eal_start();
    test_pools_create(&pools, 1024, 2048);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    buf_pools_destroy(&pools);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_does_what_a_flat_array_does),
        cmocka_unit_test(an_empty_chain_is_nothing),
        cmocka_unit_test(a_cursor_stays_right_while_segments_are_appended),
        cmocka_unit_test(consumed_segments_go_back_at_once),
        cmocka_unit_test(a_shared_buffer_lives_until_its_last_reference),
        cmocka_unit_test(pools_hold_what_was_asked_for),
        cmocka_unit_test(pools_that_do_not_fit_are_refused_and_given_back),
    };
    return cmocka_run_group_tests_name("buf", tests, start, stop);
}
