/* The path's MTU: by messages (RFC 1191, 8201), which must quote what is in flight (RFC 5927 4), and without (2923). */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include "tests/net/ip/packets.h"

#define QUOTED 28u /* an IP header and eight bytes: all that RFC 792 promises */

/* Ten segments are in flight; returns the first. */
static const struct script_frame *flight(struct script *s)
{
    script_open(s, 65535);
    script_write(s, 8000);
    const struct script_frame *first = script_next(s).frame;
    while (script_next_frame(s)) {}
    return first;
}

static void test_too_big(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    const struct script_frame *f = flight(&s);
    packets_icmp_in(&s, 3, 4, 1300, f->bytes, QUOTED);
    assert_int_equal(net_stack_metrics(s.stack)->mtu_lowered, 1);
    struct script_segment t = script_expect(&s, A, 1, 1, 1260); /* at once, and shorter */
    assert_int_equal(t.frame->bytes[20] & 0x40, 0x40);          /* DF: RFC 1191 */
    packets_icmp_in(&s, 3, 4, 1400, f->bytes, QUOTED);          /* an MTU never grows by a message */
    assert_int_equal(net_stack_metrics(s.stack)->mtu_lowered, 1);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_forged(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    uint8_t forged[SCRIPT_FRAME_BYTES];
    memcpy(forged, flight(&s)->bytes, 64);
    forged[38] ^= 0x40; /* a sequence number far away */
    packets_icmp_in(&s, 3, 4, 600, forged, QUOTED);
    forged[38] ^= 0x40;
    forged[36] ^= 1; /* another port */
    packets_icmp_in(&s, 3, 4, 600, forged, QUOTED);
    forged[36] ^= 1;
    packets_icmp_in(&s, 3, 4, 600, forged, QUOTED - 1); /* cut off */
    forged[14] = 0x46;                                  /* IP options: we send none */
    packets_icmp_in(&s, 3, 4, 600, forged, QUOTED);
    assert_int_equal(net_stack_metrics(s.stack)->icmp_errors, 0);
    assert_int_equal(net_stack_metrics(s.stack)->icmp_errors_ignored, 4);
    assert_int_equal(net_stack_metrics(s.stack)->mtu_lowered, 0);
    script_expect_nothing(&s);
    assert_int_equal(script_destroy(&s), 0);
}

/* A message that asks for tiny segments gets small ones; one of an old router the next usual size. */
static void test_extremes(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    packets_icmp_in(&s, 3, 4, 68, flight(&s)->bytes, QUOTED);
    script_expect(&s, A, 1, 1, 512);
    assert_int_equal(script_destroy(&s), 0);
    script_create(&s, NULL);
    packets_icmp_in(&s, 3, 4, 0, flight(&s)->bytes, QUOTED);
    script_expect(&s, A, 1, 1, 1452); /* 1492 is next below 1500 */
    assert_int_equal(script_destroy(&s), 0);
}

/* Nobody says anything: after three timeouts of a full segment they get shorter. */
static void test_black_hole(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    flight(&s);
    script_wait(&s, 1000 * SCRIPT_MS);
    assert_in_range(net_stack_metrics(s.stack)->mtu_black_holes, 1, 12);
    uint32_t len = 1460;
    const struct script_frame *f;
    while ((f = script_next_frame(&s)) != NULL) len = f->len - 54;
    assert_int_equal(len, 1240); /* and no shorter: 1280 fits wherever anything does */
    assert_int_equal(script_destroy(&s), 0);
}

static void test_too_big_v6(void **state)
{
    (void)state;
    struct script s;
    uint8_t f[SCRIPT_FRAME_BYTES], message[8 + 60] = {2, 0, 0, 0, 0, 0, 5, 0}; /* 1280 */
    script_create(&s, packets_dual);
    script_frame_in(&s, f, packets_tcp6(&s, f, S, 0, 0, NULL, 0));
    const struct script_frame *r = script_next_frame(&s);
    memcpy(&s.iss, r->bytes + 58, 4);
    s.iss = rte_be_to_cpu_32(s.iss);
    script_frame_in(&s, f, packets_tcp6(&s, f, A, 1, 1, NULL, 0));
    script_write(&s, 5000);
    r = script_next_frame(&s);
    uint32_t full = r->len;
    assert_true(full <= 1514 && full > 500);
    memcpy(message + 8, r->bytes + 14, 60);
    while (script_next_frame(&s)) {}
    packets_icmp6_in(&s, &peer6, &us6, 64, message, sizeof message);
    assert_int_equal(net_stack_metrics(s.stack)->icmp_errors, 1);
    assert_int_equal(script_destroy(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_too_big),    cmocka_unit_test(test_forged),     cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_black_hole), cmocka_unit_test(test_too_big_v6),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
