/* Receiving: bytes in place, the two linear buffers in turn, who waits when they are held, buffer headers running out.
 */
#include "tests/rdma/fixture.h"

#include <string.h>

static const struct side_config tiny = {.buffer_bytes = 64, .send_depth = 64, .max_sge = 4, .max_inline = 64};

static void bytes_are_not_copied(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, NULL);
    struct side *s = fixture_connect(&x, &side_default);
    side_send(s->peer, 0, 100, 100);
    fixture_turns(&x, 5);
    struct rte_mbuf *m = s->stream->rx.head;
    assert_ptr_equal(buf_data(m), s->memory);
    assert_int_equal(m->data_len, 100);
    assert_null(m->next);
    /* What comes behind it joins it, in place. */
    side_send(s->peer, 100, 50, 50);
    fixture_turns(&x, 5);
    assert_int_equal(m->data_len, 150);
    assert_ptr_equal(s->stream->rx.head, m);
    assert_null(m->next);
    assert_int_equal(fixture_in_use(&x), 1);
    /* Unless somebody else holds it. */
    rte_mbuf_refcnt_update(m, 1);
    side_send(s->peer, 150, 10, 10);
    fixture_turns(&x, 5);
    assert_int_equal(m->data_len, 150);
    assert_int_equal(fixture_in_use(&x), 2);
    assert_int_equal(side_take(s, 0), 160);
    rte_pktmbuf_free(m);
    fixture_end(&x);
}

/* Messages that cross the end of every buffer, many times over. */
static void buffers_take_turns(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, NULL);
    struct side *s = fixture_connect(&x, &tiny);
    uint64_t sent = 0, taken = 0;
    for (unsigned i = 0; i < 300; i++) {
        uint32_t n = 1 + (i * 37) % 190;
        side_send(s, sent, n, 50);
        sent += n;
        for (unsigned turn = 0; turn < 100 && taken < sent; turn++) {
            fixture_turns(&x, 1);
            taken += side_take(s->peer, taken);
        }
        assert_int_equal(taken, sent);
    }
    assert_int_equal(end_metric(&x.server, "tx_messages"), 1);
    uint64_t registrations = end_metric(&x.client, "tx_messages");
    assert_int_equal(registrations, 1 + sent / 64);
    fixture_end(&x);
}

/* While one buffer is read the peer fills the other: it waits only when both are held. */
static void held_buffers_stop_the_peer(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, NULL);
    struct side *s = fixture_connect(&x, &tiny);
    side_send(s, 0, 500, 500);
    fixture_turns(&x, 30);
    assert_int_equal(s->peer->stream->rx.len, 128);
    assert_int_equal(end_metric(&x.client, "rx_buffer_held"), 1);
    assert_true(end_metric(&x.server, "tx_peer_full") >= 1);
    assert_int_equal(rdma_core_deadline(x.server.core), UINT64_MAX); /* nobody spins */
    assert_int_equal(rdma_core_deadline(x.client.core), UINT64_MAX);
    /* The last byte of the first buffer is what matters. */
    buf_chain_consume(&s->peer->stream->rx, 63);
    fixture_turns(&x, 10);
    assert_int_equal(s->peer->stream->rx.len, 65);
    buf_chain_consume(&s->peer->stream->rx, 1);
    fixture_turns(&x, 10);
    assert_int_equal(s->peer->stream->rx.len, 128);
    uint64_t taken = 64;
    for (unsigned i = 0; i < 50 && taken < 500; i++) {
        taken += side_take(s->peer, taken);
        fixture_turns(&x, 3);
    }
    assert_int_equal(taken, 500);
    fixture_end(&x);
}

/* A handler that keeps the second buffer and frees the first, and the other way about. */
static void either_buffer_will_do(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, NULL);
    struct side *s = fixture_connect(&x, &tiny);
    side_send(s, 0, 64 * 6, 64 * 6);
    fixture_turns(&x, 30);
    struct stream *t = s->peer->stream;
    struct rte_mbuf *first = t->rx.head, *second = first->next;
    assert_ptr_equal(t->rx.tail, second);
    buf_chain_init(&t->rx);
    first->next = NULL;
    rte_pktmbuf_free_seg(second); /* the later one goes first: its buffer is registered again */
    fixture_turns(&x, 10);
    assert_int_equal(t->rx.len, 64);
    assert_int_equal(side_take(s->peer, 128), 64);
    fixture_turns(&x, 10);
    assert_int_equal(side_take(s->peer, 192), 64);
    rte_pktmbuf_free_seg(first);
    fixture_turns(&x, 10);
    assert_int_equal(side_take(s->peer, 256), 128); /* both again */
    fixture_end(&x);
}

/* Without buffer headers bytes wait; none is lost, and order is kept over both buffers. */
static void headers_run_out(void **state)
{
    (void)state;
    static struct rte_mbuf *taken[4096];
    struct fixture x;
    fixture_start(&x, NULL);
    struct side *s = fixture_connect(&x, &tiny);
    unsigned n = 0;
    while (n < 4096 && (taken[n] = rte_pktmbuf_alloc(x.pools->ref)) != NULL) n++;
    side_send(s, 0, 200, 200);
    fixture_turns(&x, 20);
    assert_int_equal(s->peer->stream->rx.len, 0);
    assert_true(end_metric(&x.client, "rx_no_buffer") >= 1);
    assert_true(rdma_core_deadline(x.client.core) <= fake_now(x.fake) + 1000000); /* it looks again */
    rte_pktmbuf_free(taken[--n]);
    fixture_turns(&x, 5);
    assert_int_equal(side_take(s->peer, 0), 64);
    fixture_turns(&x, 5);
    while (n > 0) rte_pktmbuf_free(taken[--n]);
    uint64_t at = 64;
    for (unsigned i = 0; i < 20; i++) {
        fixture_turns(&x, 3);
        at += side_take(s->peer, at);
    }
    assert_int_equal(at, 200);
    fixture_end(&x);
}

/* The bytes and the end may come in one turn, and the end by a faster way. */
static void bytes_before_the_end_count(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, NULL);
    struct side *s = fixture_connect(&x, &side_default);
    side_send(s->peer, 0, 300, 100);
    fixture_turn_input(&x);
    fixture_turn_output(&x);
    rdma_core_tell(x.server.core, RDMA_TELL_GONE, s->conn);
    s->told_gone = true;
    s->gone_ns = 1;
    fake_qp_error(s->qp);
    fixture_turns(&x, 3);
    assert_true(s->stream->events & STREAM_READABLE);
    assert_true(s->stream->events & STREAM_ERROR);
    assert_int_equal(side_take(s, 0), 300);
    fixture_end(&x);
}

/* More of them than the count of references can hold: a 1-byte write each, every one held apart. */
static void references_are_bounded(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, NULL);
    struct side *s = fixture_connect(&x, &side_default);
    side_send(s->peer, 0, 1, 1);
    fixture_turns(&x, 5);
    struct rte_mbuf *m = s->stream->rx.head;
    rte_mbuf_refcnt_update(m, 1); /* it will not grow */
    rte_mbuf_ext_refcnt_set(m->shinfo, 60000);
    side_send(s->peer, 1, 1, 1);
    fixture_turns(&x, 5);
    assert_int_equal(s->stream->rx.len, 1);
    rte_mbuf_ext_refcnt_set(m->shinfo, 1);
    fixture_turns(&x, 5);
    assert_int_equal(side_take(s, 0), 2);
    rte_pktmbuf_free(m);
    fixture_end(&x);
}

static void shallow(struct end_config *config)
{
    config->srq_depth = 4;
}

/* Receives come back to the queue, whatever they were used for. */
static void receives_are_posted_again(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, shallow);
    struct side *s = fixture_connect(&x, &tiny);
    for (unsigned i = 0; i < 500; i++) {
        side_send(s, i, 1, 1);
        fixture_turns(&x, 2);
        side_take(s->peer, i + 1 - s->peer->stream->rx.len);
    }
    fixture_turns(&x, 20);
    side_take(s->peer, 500 - s->peer->stream->rx.len);
    assert_int_equal(end_metric(&x.client, "rx_bytes"), 500);
    assert_int_equal(fake_srq_posted(x.client.srq), 4);
    fixture_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_not_copied),
        cmocka_unit_test(buffers_take_turns),
        cmocka_unit_test(held_buffers_stop_the_peer),
        cmocka_unit_test(either_buffer_will_do),
        cmocka_unit_test(headers_run_out),
        cmocka_unit_test(bytes_before_the_end_count),
        cmocka_unit_test(references_are_bounded),
        cmocka_unit_test(receives_are_posted_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
