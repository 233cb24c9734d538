/* Numbers and ports that are used again: TIME-WAIT (RFC 6191, RFC 1337), ISNs (RFC 6528), source ports (RFC 6056). */
#include <string.h>
#include <rte_byteorder.h>
#include <rte_ip.h>
#include "tests/net/sim/cmocka_all.h"
#include "tests/net/sim/script.h"

static const struct net_metrics *metrics(const struct script *s) { return net_stack_metrics(s->stack); }

/* The peer closes after us: the connection is in TIME-WAIT. base: the peer's first byte. */
static void close_both(struct script *s, uint32_t base, uint32_t sent)
{
    s->stream->ops->close(s->stream);
    script_output(s);
    script_expect(s, F | A, 1 + sent, base, 0);
    script_send(s, F | A, base, 2 + sent, 65535, NULL, 0);
    script_expect(s, A, 2 + sent, base + 1, 0);
    assert_int_equal(metrics(s)->time_wait, 1);
}

/* RFC 6191 2: one port opened and closed 2,000 times within a second, by timestamp and by sequence number. */
static void storm(bool ts)
{
    struct script s;
    script_create(&s, NULL);
    s.ts = ts;
    uint32_t base = 0;
    for (unsigned i = 0; i < 2000; i++) {
        uint32_t end = s.iss + 2 + 100;
        script_send(&s, S, base, 0, 65535, NULL, 0);
        struct script_segment t = script_next(&s);
        assert_int_equal(t.flags, S | A);
        assert_int_equal(t.ack, base + 1);
        if (i > 0) assert_true((int32_t)(s.iss - end) > 0); /* above all of the old one's */
        script_send(&s, A, base + 1, 1, 65535, NULL, 0);
        assert_int_equal(s.accepted, i + 1);
        script_write(&s, 100);
        script_expect(&s, A, 1, base + 1, 100);
        script_send(&s, A, base + 1, 101, 65535, NULL, 0);
        close_both(&s, base + 1, 100);
        base += ts ? 0 : 3; /* with timestamps the numbers may even be the same */
        s.ts_val++;
        s.now += 500000;
    }
    assert_int_equal(metrics(&s)->time_wait_reused, 1999);
    assert_int_equal(net_stack_connections(s.stack), 0);
    assert_int_equal(script_destroy(&s), 0);
}

static void test_storm_by_timestamp(void **state)
{
    (void)state;
    storm(true);
}

static void test_storm_by_sequence(void **state)
{
    (void)state;
    storm(false);
}

/* A fast sender's numbers outrun the clock of RFC 6528; the next connection begins above them all the same. */
static void test_isn_above_the_old(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_open(&s, 65535);
    uint32_t first = s.iss, sent = 0;
    for (unsigned i = 0; i < 200; i++) {
        script_write(&s, 1460);
        script_expect(&s, A, 1 + sent, 1, 1460);
        sent += 1460;
        script_send(&s, A, 1, 1 + sent, 65535, NULL, 0);
    }
    close_both(&s, 1, sent);
    script_send(&s, S, 5000, 0, 65535, NULL, 0);
    assert_int_equal(script_next(&s).flags, S | A);
    assert_in_range(s.iss - first, sent + 65535, sent + 70000);
    assert_int_equal(script_destroy(&s), 0);
}

/* No listener there (any more): a SYN does not end TIME-WAIT. */
static void test_active_side_keeps_time_wait(void **state)
{
    (void)state;
    struct script s;
    script_create(&s, NULL);
    script_connect(&s, 65535);
    close_both(&s, 1, 0);
    script_send(&s, S, 5000, 0, 65535, NULL, 0);
    script_expect(&s, A, 2, 2, 0);
    assert_int_equal(metrics(&s)->time_wait, 1);
    assert_int_equal(script_destroy(&s), 0);
}

/* RFC 6528 3: one pair's numbers follow the clock; over many pairs each bit is set half of the time. */
static void test_isn_statistics(void **state)
{
    (void)state;
    enum { PAIRS = 4096 };
    struct script s;
    unsigned set[32] = {0}, flips[32] = {0};
    uint32_t before = 0;
    script_create(&s, NULL);
    for (unsigned i = 0; i < PAIRS; i++) {
        s.peer_port = (uint16_t)(1000 + i);
        script_send(&s, S, 0, 0, 65535, NULL, 0);
        assert_int_equal(script_next(&s).flags, S | A);
        for (unsigned bit = 0; bit < 32; bit++) {
            set[bit] += s.iss >> bit & 1;
            flips[bit] += (s.iss ^ before) >> bit & 1;
        }
        before = s.iss;
    }
    for (unsigned bit = 0; bit < 32; bit++) { /* six standard deviations of 32 */
        assert_in_range(set[bit], PAIRS / 2 - 192, PAIRS / 2 + 192);
        assert_in_range(flips[bit], PAIRS / 2 - 192, PAIRS / 2 + 192);
    }
    assert_int_equal(script_destroy(&s), 0);
}

static void many(struct net_stack_config *config) { config->max_connections = 8192; }

/* RFC 6056 3.3.1: the ports of one peer are spread evenly, and the last tells nothing of the next. */
static void test_port_statistics(void **state)
{
    (void)state;
    enum { OPENS = 4096, BINS = 16, FIRST = 32768, COUNT = 28232 };
    struct script s;
    unsigned bins[BINS] = {0}, near = 0;
    uint16_t before = 0;
    script_create(&s, many);
    for (unsigned i = 0; i < OPENS; i++) {
        struct stream *t;
        char name[32];
        assert_int_equal(net_connect(s.stack, net_endpoint_v4(RTE_IPV4(10, 0, 0, 2), 80), s.now, &t), 0);
        script_output(&s);
        const struct script_frame *f = script_next_frame(&s);
        if (i == 0) { /* the peer's address is not known yet: asked for, then told */
            uint8_t reply[42];
            memcpy(reply, f->bytes, 42);
            memcpy(reply, f->bytes + 6, 6);
            memcpy(reply + 6, (uint8_t[]){2, 0, 0, 0, 0, 2}, 6);
            reply[21] = 2;
            memcpy(reply + 22, (uint8_t[]){2, 0, 0, 0, 0, 2, 10, 0, 0, 2}, 10);
            memcpy(reply + 32, f->bytes + 22, 10);
            script_frame_in(&s, reply, 42);
            f = script_next_frame(&s);
        }
        assert_non_null(f);
        uint16_t port = (uint16_t)(f->bytes[34] << 8 | f->bytes[35]);
        assert_in_range(port, FIRST, FIRST + COUNT - 1);
        bins[(port - FIRST) * BINS / COUNT]++;
        if ((uint16_t)(port - before + 8) < 16) near++;
        before = port;
        t->ops->peer(t, name, sizeof name);
        assert_string_equal(name, "10.0.0.2:80");
        s.head = s.tail;
    }
    for (unsigned i = 0; i < BINS; i++) assert_in_range(bins[i], OPENS / BINS - 96, OPENS / BINS + 96);
    assert_in_range(near, 0, 16);
    assert_int_equal(script_destroy(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_storm_by_timestamp),
        cmocka_unit_test(test_storm_by_sequence),
        cmocka_unit_test(test_isn_above_the_old),
        cmocka_unit_test(test_active_side_keeps_time_wait),
        cmocka_unit_test(test_isn_statistics),
        cmocka_unit_test(test_port_statistics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
