#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/stream.h"

#define STREAMS 5

static struct stream_loop loop;
static struct stream streams[STREAMS];

static int begin(void **state)
{
    (void)state;
    memset(&loop, 0, sizeof loop);
    memset(streams, 0, sizeof streams);
    for (int i = 0; i < STREAMS; i++) streams[i].loop = &loop;
    return 0;
}

/* Pops everything; the digits of the result are the places in `streams`, plus one. */
static unsigned pop_all(void)
{
    unsigned order = 0;
    for (struct stream *s; (s = stream_loop_pop(&loop));) {
        assert_false(s->listed);
        assert_null(s->next_ready);
        order = order * 10 + (unsigned)(s - streams) + 1;
    }
    assert_null(loop.head);
    assert_null(loop.tail);
    return order;
}

static void ready_streams_come_in_order_and_once(void **state)
{
    (void)state;
    assert_null(stream_loop_pop(&loop));
    stream_raise(&streams[2], STREAM_READABLE);
    stream_raise(&streams[0], STREAM_CONNECTED);
    stream_raise(&streams[2], STREAM_EOF);
    stream_raise(&streams[4], STREAM_ERROR);
    assert_int_equal(streams[2].events, STREAM_READABLE | STREAM_EOF);
    assert_int_equal(pop_all(), 315);
    assert_int_equal(streams[2].events, STREAM_READABLE | STREAM_EOF); /* the handler clears them */
}

static void a_stream_may_be_raised_again_after_it_was_popped(void **state)
{
    (void)state;
    stream_raise(&streams[0], STREAM_READABLE);
    stream_raise(&streams[1], STREAM_READABLE);
    assert_ptr_equal(stream_loop_pop(&loop), &streams[0]);
    stream_raise(&streams[0], STREAM_READABLE);
    assert_int_equal(pop_all(), 21);
    stream_raise(&streams[1], STREAM_WRITABLE);
    assert_int_equal(pop_all(), 2);
}

/* Takes out the stream at each place of a list of n, and then adds one: the tail must be right. */
static void a_stream_that_dies_leaves_the_list(void **state)
{
    for (int n = 1; n < STREAMS; n++) {
        for (int dead = 0; dead < n; dead++) {
            begin(state);
            unsigned expected = 0;
            for (int i = 0; i < n; i++) stream_raise(&streams[i], STREAM_READABLE);
            for (int i = 0; i < n; i++)
                if (i != dead) expected = expected * 10 + (unsigned)i + 1;
            stream_unlist(&streams[dead]);
            assert_false(streams[dead].listed);
            assert_null(streams[dead].next_ready);
            stream_unlist(&streams[dead]);
            stream_raise(&streams[STREAMS - 1], STREAM_READABLE);
            assert_int_equal(pop_all(), expected * 10 + STREAMS);
        }
    }
}

static void writable_is_raised_once_at_the_low_water_mark(void **state)
{
    (void)state;
    struct stream *s = &streams[0];
    s->tx_queued = 1000;
    s->tx_low_water = 400;
    stream_sent(s, 100);
    assert_int_equal(s->events, 0); /* nobody wants it */
    s->want_writable = true;
    stream_sent(s, 499);
    assert_int_equal(s->tx_queued, 401);
    assert_int_equal(s->events, 0);
    stream_sent(s, 1);
    assert_int_equal(s->events, STREAM_WRITABLE);
    assert_false(s->want_writable);
    assert_ptr_equal(stream_loop_pop(&loop), s);
    s->events = 0;
    stream_sent(s, 400);
    assert_int_equal(s->tx_queued, 0);
    assert_int_equal(s->events, 0);
    assert_null(stream_loop_pop(&loop));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(ready_streams_come_in_order_and_once, begin),
        cmocka_unit_test_setup(a_stream_may_be_raised_again_after_it_was_popped, begin),
        cmocka_unit_test_setup(a_stream_that_dies_leaves_the_list, begin),
        cmocka_unit_test_setup(writable_is_raised_once_at_the_low_water_mark, begin),
    };
    return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
