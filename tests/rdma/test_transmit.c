/* The send queue: gather lists, inline bytes, signalling, what is held until when, room, fairness, one-sided reads. */
#include "tests/rdma/fixture.h"

#include <errno.h>
#include <string.h>

static const struct side_config inlining = {.buffer_bytes = 65536, .send_depth = 64, .max_sge = 4, .max_inline = 220};
static const struct side_config large = {.buffer_bytes = 65536, .send_depth = 64, .max_sge = 4};

static void bytes_arrive_in_order(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, NULL);
    struct side *s = fixture_connect(&x, &side_default);
    uint64_t doorbells = end_metric(&x.server, "tx_posts");
    side_send(s, 0, 1000, 100);
    side_send(s->peer, 0, 10, 3);
    fixture_turns(&x, 5);
    assert_int_equal(side_take(s->peer, 0), 1000);
    assert_int_equal(side_take(s, 0), 10);
    assert_true(s->stream->events & STREAM_READABLE);
    assert_int_equal(s->stream->tx_queued, 0);
    assert_int_equal(fixture_in_use(&x), 0);
    /* One doorbell for two writes of 8 and 2 segments; one immediate for both. */
    assert_int_equal(end_metric(&x.server, "tx_posts") - doorbells, 1);
    assert_int_equal(end_metric(&x.server, "tx_writes"), 2);
    assert_int_equal(end_metric(&x.client, "rx_writes"), 1);
    fixture_end(&x);
}

static void inline_bytes_are_free_at_once(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, NULL);
    struct side *s = fixture_connect(&x, &inlining);
    fake_qp_stall(s->qp, 1000000000); /* nothing gets through */
    side_send(s, 0, 220, 55);
    assert_int_equal(s->stream->tx_queued, 220);
    fixture_turns(&x, 1);
    assert_int_equal(s->stream->tx_queued, 0);
    assert_int_equal(fixture_in_use(&x), 0);
    assert_int_equal(end_metric(&x.server, "tx_inline_bytes"), 220);
    /* A byte more is held until it has left; inline bytes behind it wait for it. */
    side_send(s, 220, 221, 221);
    fixture_turns(&x, 1);
    side_send(s, 441, 5, 5);
    fixture_turns(&x, 1);
    assert_int_equal(s->stream->tx_queued, 226);
    assert_int_equal(fixture_in_use(&x), 2);
    fake_qp_stall(s->qp, 0);
    fixture_turns(&x, 5);
    assert_int_equal(s->stream->tx_queued, 0);
    assert_int_equal(side_take(s->peer, 0), 446);
    fixture_end(&x);
}

static void too_many_segments_are_not_inlined(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, NULL);
    struct side *s = fixture_connect(&x, &inlining);
    side_send(s, 0, 5, 1);
    fixture_turns(&x, 5);
    assert_int_equal(side_take(s->peer, 0), 5);
    assert_int_equal(end_metric(&x.server, "tx_inline_bytes"), 0);
    fixture_end(&x);
}

/* Inline bytes need no completion, so few are asked for; the queue is never overrun (the fake would abort). */
static void silent_requests_are_signalled_in_time(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, NULL);
    struct side *s = fixture_connect(&x, &inlining);
    uint64_t before = end_metric(&x.server, "completions"), at = 0;
    for (unsigned i = 0; i < 1000; i++, at += 10) {
        side_send(s, at, 10, 10);
        fixture_turns(&x, 1);
        side_take(s->peer, at - s->peer->stream->rx.len);
    }
    uint64_t polled = end_metric(&x.server, "completions") - before;
    assert_true(polled >= 1000 / 32);
    assert_true(polled <= 1000 / 8 + 20);
    fixture_end(&x);
}

struct shared_item {
    struct rte_mbuf_ext_shared_info shared;
    unsigned freed;
};

static void item_freed(void *addr, void *opaque)
{
    (void)addr;
    ((struct shared_item *)opaque)->freed++;
}

static void external_buffers_are_held_until_completion(void **state)
{
    (void)state;
    static uint8_t region[100000];
    struct shared_item item = {.shared = {.free_cb = item_freed, .fcb_opaque = &item}};
    struct fixture x;
    fixture_start(&x, NULL);
    end_register(&x.server, region, sizeof region);
    struct side *s = fixture_connect(&x, &large);
    for (size_t i = 0; i < sizeof region; i++) region[i] = pattern(i);
    struct buf_chain chain;
    buf_chain_init(&chain);
    for (unsigned i = 0; i < 2; i++) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(x.pools->ref);
        rte_pktmbuf_attach_extbuf(m, region + i * 30000, 0, 30000, &item.shared);
        m->data_off = 0;
        m->data_len = 30000;
        buf_chain_append(&chain, m);
    }
    rte_mbuf_ext_refcnt_set(&item.shared, 2);
    fake_qp_stall(s->qp, 10 * FIXTURE_TURN_NS);
    s->stream->ops->send(s->stream, &chain);
    s->stream->ops->flush(s->stream);
    fixture_turns(&x, 5);
    assert_int_equal(item.freed, 0);
    assert_int_equal(s->stream->tx_queued, 60000);
    fixture_turns(&x, 10);
    assert_int_equal(item.freed, 1);
    assert_int_equal(s->stream->tx_queued, 0);
    assert_int_equal(side_take(s->peer, 0), 60000);
    fixture_end(&x);
}

static void writable_is_raised_at_low_water(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, NULL);
    struct side *s = fixture_connect(&x, &large);
    fake_qp_stall(s->qp, 10 * FIXTURE_TURN_NS);
    side_send(s, 0, 10000, 1000);
    s->stream->tx_low_water = 100;
    s->stream->want_writable = true;
    s->stream->events = 0;
    fixture_turns(&x, 3);
    assert_false(s->stream->events & STREAM_WRITABLE);
    fixture_turns(&x, 20);
    assert_true(s->stream->events & STREAM_WRITABLE);
    fixture_end(&x);
}

/* A full send queue waits for completions without being visited. */
static void full_queue_waits(void **state)
{
    (void)state;
    static const struct side_config shallow = {.buffer_bytes = 65536, .send_depth = 16, .max_sge = 1};
    struct fixture x;
    fixture_start(&x, NULL);
    struct side *s = fixture_connect(&x, &shallow);
    fake_qp_stall(s->qp, 100 * FIXTURE_TURN_NS);
    side_send(s, 0, 400, 10);
    fixture_turns(&x, 20);
    assert_true(fake_qp_outstanding(s->qp) <= 12); /* room for messages stays */
    assert_true(end_metric(&x.server, "tx_queue_full") == 1);
    assert_int_equal(rdma_core_deadline(x.server.core), UINT64_MAX);
    fixture_turns(&x, 150);
    assert_int_equal(side_take(s->peer, 0), 400);
    assert_int_equal(s->stream->tx_queued, 0);
    fixture_end(&x);
}

/* One that has much to say does not keep the others waiting: so many requests a turn, then it queues behind them. */
static void turns_are_shared(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, NULL);
    struct side *much = fixture_connect(&x, &large), *little = fixture_connect(&x, &large);
    side_send(much, 0, 6400, 10); /* 640 segments, 4 a request */
    fixture_turn_input(&x);
    fixture_turn_output(&x);
    assert_true(fake_qp_outstanding(much->qp) <= 16);
    assert_int_equal(rdma_core_deadline(x.server.core), 0); /* it goes on without sleeping */
    side_send(little, 0, 10, 10);
    fixture_turns(&x, 3);
    assert_int_equal(side_take(little->peer, 0), 10);
    assert_true(much->peer->stream->rx.len < 6400);
    fixture_turns(&x, 40);
    assert_int_equal(side_take(much->peer, 0), 6400);
    fixture_end(&x);
}

static void refused_posts_fail_the_stream(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, NULL);
    struct side *s = fixture_connect(&x, &large);
    side_send(s, 0, 10, 10);
    fake_qp_refuse(s->qp, 0, ENOMEM);
    fixture_turns(&x, 2);
    assert_true(s->stream->events & STREAM_ERROR);
    assert_int_equal(s->stream->error, ECONNRESET);
    assert_int_equal(end_metric(&x.server, "posts_refused"), 1);
    fake_qp_refuse(s->qp, 0, 0);
    fixture_end(&x);
}

struct reading {
    struct rdma_read read;
    struct side *side;
    unsigned done, failed, order;
};

static unsigned read_order;

static void read_done(struct rdma_read *read, bool ok)
{
    struct reading *r = (struct reading *)read;
    if (ok)
        r->done++;
    else
        r->failed++;
    r->order = ++read_order;
}

static void reads_complete_in_order(void **state)
{
    (void)state;
    static uint8_t remote[256], local[256];
    struct fixture x;
    fixture_start(&x, NULL);
    for (unsigned i = 0; i < sizeof remote; i++) remote[i] = pattern(i);
    uint32_t rkey = end_register(&x.server, remote, sizeof remote), lkey = end_register(&x.client, local, sizeof local);
    struct side *s = fixture_connect(&x, &large);
    fake_qp_allow(s->qp, IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE);
    struct rdma_conn *c = rdma_conn_of(s->peer->stream);
    struct reading r[3] = {0};
    assert_ptr_equal(c, s->peer->conn);
    for (unsigned i = 0; i < 3; i++) {
        r[i].read = (struct rdma_read){.into = local + i * 64,
                                       .bytes = 64,
                                       .lkey = lkey,
                                       .address = (uintptr_t)remote + i * 64,
                                       .rkey = rkey,
                                       .done = read_done};
        assert_true(rdma_conn_read(c, &r[i].read));
        if (i == 1) side_send(s->peer, 0, 100, 100); /* bytes between them do no harm */
    }
    fixture_turns(&x, 10);
    for (unsigned i = 0; i < 3; i++) assert_true(r[i].done == 1 && r[i].failed == 0 && r[i].order == i + 1);
    assert_memory_equal(local, remote, 192);
    assert_int_equal(side_take(s, 0), 100);
    /* A read of what may not be read ends the connection; it and what waits behind it are told so. */
    r[0].read.rkey ^= 1;
    r[0].done = r[1].done = 0;
    assert_true(rdma_conn_read(c, &r[0].read));
    assert_true(rdma_conn_read(c, &r[1].read));
    fixture_turns(&x, 10);
    assert_true(r[0].failed == 1 && r[1].failed == 1 && r[0].done == 0 && r[1].done == 0);
    assert_true(s->peer->stream->events & STREAM_ERROR);
    assert_false(rdma_conn_read(c, &r[0].read));
    fixture_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_arrive_in_order),
        cmocka_unit_test(inline_bytes_are_free_at_once),
        cmocka_unit_test(too_many_segments_are_not_inlined),
        cmocka_unit_test(silent_requests_are_signalled_in_time),
        cmocka_unit_test(external_buffers_are_held_until_completion),
        cmocka_unit_test(writable_is_raised_at_low_water),
        cmocka_unit_test(full_queue_waits),
        cmocka_unit_test(turns_are_shared),
        cmocka_unit_test(refused_posts_fail_the_stream),
        cmocka_unit_test(reads_complete_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
