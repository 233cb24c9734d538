/* How much goes into one frame that the device cuts: whole segments, within what the port takes and a ring's slots. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "net/tso.h"

#define MSS 1448u
#define MOST 65000u

static struct rte_mbuf pieces[40];

/* A queue of n pieces of len bytes. */
static const struct rte_mbuf *queue_of(unsigned n, uint16_t len)
{
    memset(pieces, 0, sizeof pieces);
    for (unsigned i = 0; i < n; i++) {
        pieces[i].data_len = len;
        pieces[i].next = i + 1 < n ? &pieces[i + 1] : NULL;
    }
    return pieces;
}

static void a_segment_at_a_time_without_it(void **state)
{
    (void)state;
    const struct rte_mbuf *m = queue_of(4, 50000);
    assert_int_equal(tso_payload(0, MSS, m, 0, 200000), MSS);
    assert_int_equal(tso_payload(0, MSS, m, 0, MSS), MSS);
    assert_int_equal(tso_payload(0, MSS, m, 0, 100), 100);
    assert_int_equal(tso_payload(2 * MSS - 1, MSS, m, 0, 200000), MSS);
}

static void whole_segments_with_it(void **state)
{
    (void)state;
    const struct rte_mbuf *m = queue_of(4, 50000);
    assert_int_equal(tso_payload(MOST, MSS, m, 0, 200000), MOST / MSS * MSS);
    assert_int_equal(tso_payload(MOST, MSS, m, 0, 10 * MSS + 7), 10 * MSS);
    assert_int_equal(tso_payload(MOST, MSS, m, 0, 10 * MSS), 10 * MSS);
    assert_int_equal(tso_payload(MOST, MSS, m, 0, MSS + 1), MSS);
    assert_int_equal(tso_payload(MOST, MSS, m, 0, MSS), MSS);
    assert_int_equal(tso_payload(MOST, MSS, m, 0, 99), 99);
    assert_int_equal(tso_payload(MOST, MSS, m, 0, 0), 0);
}

static void few_pieces(void **state)
{
    (void)state;
    const struct rte_mbuf *m = queue_of(40, 500);
    assert_int_equal(tso_payload(MOST, MSS, m, 0, 20000), TSO_PIECES * 500 / MSS * MSS);
    assert_int_equal(tso_payload(MOST, MSS, m, 499, 20000 - 499), (1 + (TSO_PIECES - 1) * 500) / MSS * MSS);
    m = queue_of(40, 10); /* not even a segment lies in so few: one segment in many, as ever */
    assert_int_equal(tso_payload(MOST, MSS, m, 0, 400), 400);
    assert_int_equal(tso_payload(MOST, 300, m, 0, 400), 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_segment_at_a_time_without_it),
        cmocka_unit_test(whole_segments_with_it),
        cmocka_unit_test(few_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
