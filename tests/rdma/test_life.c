/* A connection's life between set-up and core: DONE once and at the right time, whatever ended it. */
#include "tests/rdma/fixture.h"

#include <errno.h>
#include <string.h>

static const struct side_config inlining = {.buffer_bytes = 4096, .send_depth = 64, .max_sge = 4, .max_inline = 220};

static void established_is_handed_over(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, NULL);
    struct side *s = &x.sides[0];
    char peer[64];
    sides_create(s, &x.server, s + 1, &x.client, &side_default);
    x.count = 2;
    fixture_turns(&x, 3);
    assert_null(s->stream);
    assert_int_equal(rdma_core_connections(x.server.core), 1);
    rdma_core_tell(x.server.core, RDMA_TELL_ESTABLISHED, s->conn);
    fixture_turns(&x, 3);
    assert_non_null(s->stream);
    assert_false(s->stream->events & STREAM_CONNECTED);
    assert_string_equal(s->stream->ops->name, "rdma");
    s->stream->ops->peer(s->stream, peer, sizeof peer);
    assert_string_equal(peer, "10.0.0.2:40312");
    /* The server's registration came before the client was told. */
    rdma_core_tell(x.client.core, RDMA_TELL_ESTABLISHED, s->peer->conn);
    fixture_turns(&x, 1);
    assert_true(s->peer->stream->events & STREAM_CONNECTED);
    side_send(s->peer, 0, 10, 10);
    fixture_turns(&x, 5);
    assert_int_equal(side_take(s, 0), 10);
    fixture_end(&x);
}

static void never_established_is_done(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, NULL);
    struct side *s = &x.sides[0];
    sides_create(s, &x.server, s + 1, &x.client, &side_default);
    x.count = 2;
    fixture_turns(&x, 3);
    side_disconnect(s);
    fixture_turns(&x, 20);
    assert_true(s->done && s->peer->done);
    assert_null(s->stream);
    assert_int_equal(end_metric(&x.server, "errors"), 0);
    fixture_end(&x);
}

/* What is queued is sent although the handler has gone; then the pair is cut. */
static void close_sends_the_rest(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, NULL);
    struct side *s = fixture_connect(&x, &side_default);
    uint64_t taken = 0;
    side_send(s, 0, 20000, 1000); /* five of the peer's buffers */
    side_close(s);
    for (unsigned i = 0; i < 100 && !(s->peer->stream->events & STREAM_ERROR); i++) {
        taken += side_take(s->peer, taken);
        fixture_turns(&x, 1);
    }
    taken += side_take(s->peer, taken);
    assert_int_equal(taken, 20000);
    fixture_turns(&x, 20);
    assert_true(s->done);
    assert_false(s->peer->done); /* its handler has not let go */
    side_abort(s->peer);
    fixture_turns(&x, 2);
    assert_true(s->peer->done);
    assert_int_equal(end_metric(&x.server, "linger_cut"), 0);
    fixture_end(&x);
}

/* Bytes taken inline are nobody's any more, but the pair is not cut before the peer has them. */
static void close_waits_for_inline_bytes(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, NULL);
    struct side *s = fixture_connect(&x, &inlining);
    fake_qp_stall(s->qp, 10 * FIXTURE_TURN_NS);
    side_send(s, 0, 100, 100);
    side_close(s);
    fixture_turns(&x, 40);
    assert_int_equal(side_take(s->peer, 0), 100);
    assert_true(s->done);
    fixture_end(&x);
}

static void close_of_an_idle_one_is_done(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, NULL);
    struct side *s = fixture_connect(&x, &side_default);
    side_close(s);
    fixture_turns(&x, 20);
    assert_true(s->done);
    assert_int_equal(s->peer->stream->error, ECONNRESET);
    fixture_end(&x);
}

static void lingering_is_bounded(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, NULL);
    struct side *s = fixture_connect(&x, &side_default);
    side_send(s, 0, 20000, 1000);
    side_close(s);
    fixture_turns(&x, 50); /* the peer reads nothing */
    assert_false(s->done);
    uint64_t deadline = rdma_core_deadline(x.server.core);
    assert_true(deadline > fake_now(x.fake) && deadline <= fake_now(x.fake) + 5000000000);
    fake_run(x.fake, deadline - fake_now(x.fake));
    fixture_turns(&x, 20);
    assert_true(s->done);
    assert_int_equal(end_metric(&x.server, "linger_cut"), 1);
    fixture_end(&x);
}

static void shutdown_ends_with_eof(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, NULL);
    struct side *s = fixture_connect(&x, &inlining);
    side_send(s, 0, 3000, 1000);
    s->stream->ops->shutdown(s->stream);
    fixture_turns(&x, 20);
    assert_int_equal(side_take(s->peer, 0), 3000);
    assert_true(s->stream->events & STREAM_EOF);
    assert_false(s->stream->events & STREAM_ERROR);
    side_close(s);
    fixture_turns(&x, 20);
    assert_true(s->done);
    fixture_end(&x);
}

static void abort_drops_what_is_queued(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, NULL);
    struct side *s = fixture_connect(&x, &side_default);
    fake_qp_stall(s->qp, 3 * FIXTURE_TURN_NS);
    side_send(s, 0, 2000, 1000);
    fixture_turns(&x, 1);
    assert_int_equal(fixture_in_use(&x), 2);
    side_abort(s);
    fixture_turns(&x, 20);
    assert_true(s->done);
    assert_int_equal(fixture_in_use(&x), 0);
    fixture_end(&x);
}

/* The peer's memory is still read by our handler: DONE waits for that. */
static void done_waits_for_references(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, NULL);
    struct side *s = fixture_connect(&x, &side_default);
    side_send(s->peer, 0, 100, 100);
    fixture_turns(&x, 5);
    struct rte_mbuf *m = s->stream->rx.head;
    buf_chain_init(&s->stream->rx);
    side_disconnect(s->peer);
    fixture_turns(&x, 30);
    side_abort(s);
    fixture_turns(&x, 30);
    assert_false(s->done);
    assert_int_equal(buf_data(m)[99], pattern(99)); /* the memory is there */
    rte_pktmbuf_free_seg(m);
    fixture_turns(&x, 2);
    assert_true(s->done);
    fixture_end(&x);
}

static void failed_completions_fail_the_stream(void **state)
{
    (void)state;
    static const struct {
        enum ibv_wc_status status;
        int error;
    } cases[] = {{IBV_WC_RETRY_EXC_ERR, ETIMEDOUT},   {IBV_WC_RNR_RETRY_EXC_ERR, ETIMEDOUT},
                 {IBV_WC_REM_ACCESS_ERR, ECONNRESET}, {IBV_WC_REM_OP_ERR, ECONNRESET},
                 {IBV_WC_LOC_QP_OP_ERR, ECONNRESET},  {IBV_WC_FATAL_ERR, ECONNRESET}};
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture x;
        fixture_start(&x, NULL);
        struct side *s = fixture_connect(&x, &side_default);
        fake_qp_fail(s->qp, cases[i].status);
        side_send(s, 0, 5000, 1000);
        s->stream->ops->flush(s->stream);
        fixture_turns(&x, 5);
        assert_true(s->stream->events & STREAM_ERROR);
        assert_int_equal(s->stream->error, cases[i].error);
        assert_int_equal(end_metric(&x.server, "completion_errors"), 1);
        assert_int_equal(end_metric(&x.server, "errors"), 1);
        side_send(s, 0, 10, 10); /* taken and freed */
        fixture_end(&x);
    }
}

/* The device does nothing any more: no completion comes, and after a while none is waited for. */
static void removed_device_is_given_up(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, NULL);
    struct side *s = fixture_connect(&x, &side_default), *idle = fixture_connect(&x, &side_default);
    fake_qp_stall(s->qp, FIXTURE_TURN_NS);
    side_send(s, 0, 2000, 1000);
    fixture_turn_input(&x);
    fake_device_remove(x.server.device);
    fixture_turn_output(&x);
    side_disconnect(s);
    side_disconnect(idle);
    fixture_turns(&x, 20);
    assert_true(s->stream->events & STREAM_ERROR);
    side_abort(s);
    side_abort(idle);
    fixture_turns(&x, 20);
    assert_true(rdma_core_deadline(x.server.core) <= fake_now(x.fake) + 5000000000);
    fake_run(x.fake, 5000000000);
    fixture_turns(&x, 20);
    assert_true(s->done && idle->done);
    assert_int_equal(fixture_in_use(&x), 0);
    fixture_end(&x);
}

static void keepalives(struct end_config *config)
{
    config->keepalive_ns = 3000000000;
}

static void server_keeps_alive(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, keepalives);
    struct side *s = fixture_connect(&x, &side_default);
    uint64_t deadline = rdma_core_deadline(x.server.core);
    assert_true(deadline > fake_now(x.fake) && deadline <= fake_now(x.fake) + 3000000000);
    assert_int_equal(rdma_core_deadline(x.client.core), UINT64_MAX);
    for (unsigned i = 1; i <= 4; i++) {
        fake_run(x.fake, 3000000000);
        fixture_turns(&x, 3);
        assert_int_equal(end_metric(&x.server, "keepalives_sent"), i);
        assert_int_equal(end_metric(&x.client, "rx_messages"), 1 + i);
    }
    /* Not another one before the last has been taken. */
    fake_qp_stall(s->qp, 20000000000);
    fake_run(x.fake, 3000000000);
    fixture_turns(&x, 3);
    fake_run(x.fake, 3000000000);
    fixture_turns(&x, 3);
    assert_int_equal(end_metric(&x.server, "keepalives_sent"), 5);
    assert_int_equal(s->stream->events & STREAM_ERROR, 0);
    fake_run(x.fake, 20000000000);
    fixture_end(&x);
}

/* Hardware that sends again for ever never says that the peer is gone. */
static void silent_peer_is_given_up(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, keepalives);
    struct side *s = fixture_connect(&x, &side_default);
    fake_qp_stall(s->qp, 300000000000);
    for (unsigned i = 0; i < 10; i++) { /* one that is posted, and nine that are not */
        fake_run(x.fake, 3000000000);
        fixture_turns(&x, 3);
        assert_int_equal(end_metric(&x.server, "keepalive_cut"), 0);
    }
    assert_int_equal(end_metric(&x.server, "keepalives_sent"), 1);
    assert_int_equal(s->stream->events & STREAM_ERROR, 0);
    fake_run(x.fake, 3000000000);
    fixture_turns(&x, 3);
    assert_int_equal(end_metric(&x.server, "keepalive_cut"), 1);
    assert_int_equal(s->stream->events & STREAM_ERROR, STREAM_ERROR);
    assert_int_equal(s->stream->error, ETIMEDOUT);
    fake_run(x.fake, 300000000000);
    fixture_end(&x);
}

static void two(struct end_config *config)
{
    config->max_connections = 2;
}

static void connections_are_limited(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, two);
    for (unsigned round = 0; round < 50; round++) { /* indexes and table entries come back */
        x.count = 0;
        struct side *a = fixture_connect(&x, &side_default);
        fixture_connect(&x, &side_default);
        assert_false(rdma_core_tell(x.server.core, RDMA_TELL_NEW, a->conn));
        for (unsigned i = 0; i < x.count; i++) side_abort(&x.sides[i]);
        fixture_turns(&x, 20);
        for (unsigned i = 0; i < x.count; i++) assert_true(x.sides[i].done);
    }
    fixture_end(&x);
}

static void arming_asks_every_queue(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, NULL);
    struct side *s = fixture_connect(&x, &side_default);
    assert_false(fake_cq_armed(x.server.cq));
    rdma_core_arm(x.server.core);
    assert_true(fake_cq_armed(x.server.cq));
    side_send(s->peer, 0, 10, 10);
    fixture_turn_output(&x);
    assert_false(fake_cq_armed(x.server.cq)); /* an event would have come */
    assert_true(x.server.wakes + x.client.wakes == 0);
    side_abort(s);
    fixture_turns(&x, 1);
    assert_true(x.server.wakes > 0);
    fixture_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(established_is_handed_over),   cmocka_unit_test(never_established_is_done),
        cmocka_unit_test(close_sends_the_rest),         cmocka_unit_test(close_waits_for_inline_bytes),
        cmocka_unit_test(close_of_an_idle_one_is_done), cmocka_unit_test(lingering_is_bounded),
        cmocka_unit_test(shutdown_ends_with_eof),       cmocka_unit_test(abort_drops_what_is_queued),
        cmocka_unit_test(done_waits_for_references),    cmocka_unit_test(failed_completions_fail_the_stream),
        cmocka_unit_test(removed_device_is_given_up),   cmocka_unit_test(server_keeps_alive),
        cmocka_unit_test(silent_peer_is_given_up),
        cmocka_unit_test(connections_are_limited),      cmocka_unit_test(arming_asks_every_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
