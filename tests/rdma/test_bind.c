/*
 * What a peer may write into: the two receive buffers of its own connection, by the key that it was told, which is that
 * of a memory window its connection's pair has bound; and nothing else. The window is bound before the peer is told,
 * once; where that fails the connection ends.
 */
#include "tests/rdma/fixture.h"

#include <errno.h>

#define BUFFER 4096u

static const struct side_config small = {.buffer_bytes = BUFFER, .send_depth = 64, .max_sge = 4};

/* A connection whose peer posts what a test likes, and what that was told. */
static struct side *told(struct fixture *x, struct rdma_message *m)
{
    uint32_t imm;
    struct side *s = fixture_connect_raw(x, &small);
    assert_true(raw_receive(s->peer, m, &imm));
    assert_int_equal(m->opcode, RDMA_REGISTER);
    return s;
}

static enum ibv_wc_status write_of(struct fixture *x, struct side *s, uint64_t address, uint32_t len, uint32_t key)
{
    static const uint8_t vandal[8] = "vandals";
    enum ibv_wc_status status;
    raw_write(s->peer, vandal, len, address, key, len);
    fixture_turns(x, 5);
    assert_true(raw_completed(s->peer, &status));
    return status;
}

static void a_key_is_its_own_connections(void **state)
{
    (void)state;
    struct fixture x;
    struct rdma_message of_victim, of_thief;
    fixture_start(&x, NULL);
    struct side *victim = told(&x, &of_victim), *thief = told(&x, &of_thief);
    assert_int_not_equal(of_victim.key, of_thief.key);
    assert_int_equal(write_of(&x, thief, of_victim.address, 8, of_victim.key), IBV_WC_REM_ACCESS_ERR);
    for (unsigned i = 0; i < 2 * BUFFER; i++) assert_int_equal(victim->memory[i], 0);
    assert_int_equal(thief->stream->rx.len, 0);
    assert_int_equal(thief->qp->state, IBV_QPS_ERR);
    assert_int_equal(write_of(&x, victim, of_victim.address, 8, of_victim.key), IBV_WC_SUCCESS);
    assert_int_equal(victim->stream->rx.len, 8);
    assert_int_equal(victim->memory[0], 'v');
    fixture_end(&x);
}

/* To the last byte of the second buffer; not into the messages behind it, and not by the key of the memory itself. */
static void nothing_but_the_buffers(void **state)
{
    static const struct {
        uint32_t at, len;
        bool by_memory, fine;
    } cases[] = {{0, 1, false, true},
                 {2 * BUFFER - 8, 8, false, true},
                 {2 * BUFFER - 7, 8, false, false},
                 {2 * BUFFER, 1, false, false},
                 {2 * BUFFER + RDMA_MESSAGE_BYTES, 8, false, false},
                 {0, 1, true, false},
                 {2 * BUFFER, 1, true, false}};
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture x;
        struct rdma_message m;
        fixture_start(&x, NULL);
        struct side *s = told(&x, &m);
        uint32_t key = cases[i].by_memory ? s->mr.rkey : m.key;
        assert_ptr_equal(s->memory, (uint8_t *)(uintptr_t)m.address);
        enum ibv_wc_status status = write_of(&x, s, m.address + cases[i].at, cases[i].len, key);
        assert_int_equal(status, cases[i].fine ? IBV_WC_SUCCESS : IBV_WC_REM_ACCESS_ERR);
        assert_int_equal(s->memory[cases[i].at] == 'v', cases[i].fine);
        fixture_end(&x);
    }
}

static void bound_once(void **state)
{
    (void)state;
    struct fixture x;
    uint64_t address, bytes, taken = 0;
    uint32_t key;
    fixture_start(&x, NULL);
    struct side *s = fixture_connect(&x, &small);
    for (unsigned i = 0; i < 2; i++) {
        const struct side *one = i == 0 ? s : s->peer;
        assert_true(fake_window_bound(one->window, &address, &bytes, &key));
        assert_true(address == (uintptr_t)one->memory && bytes == 2 * BUFFER && key == one->key);
        assert_int_equal(key, ibv_inc_rkey(one->window->rkey));
    }
    assert_int_equal(end_metric(&x.server, "tx_posts"), 1); /* with the registration */
    side_send(s, 0, 5 * BUFFER, 1000); /* the client registers again and again: a second bind would fail */
    for (unsigned i = 0; i < 30; i++, fixture_turns(&x, 1)) taken += side_take(s->peer, taken);
    assert_int_equal(taken, 5 * BUFFER);
    assert_true(end_metric(&x.client, "tx_messages") >= 5);
    assert_int_equal(end_metric(&x.client, "completion_errors"), 0);
    fixture_end(&x);
}

/* Told to the cores, not yet turned to. */
static struct side *about_to_bind(struct fixture *x)
{
    struct side *s = &x->sides[0];
    fixture_start(x, NULL);
    sides_connect(s, &x->server, s + 1, &x->client, &small);
    x->count = 2;
    return s;
}

static void ended_untold(struct fixture *x, const struct side *s, const char *reason)
{
    fixture_turns(x, 10);
    assert_true(s->stream->events & STREAM_ERROR);
    assert_int_equal(s->stream->error, ECONNRESET);
    assert_int_equal(end_metric(&x->server, reason), 1);
    assert_int_equal(end_metric(&x->client, "rx_messages"), 0);
    fixture_end(x);
}

static void a_bind_that_fails(void **state)
{
    (void)state;
    struct fixture x;
    struct side *s = about_to_bind(&x);
    fake_qp_fail(s->qp, IBV_WC_MW_BIND_ERR);
    ended_untold(&x, s, "completion_errors");
}

/* By posting it, or the message behind it: the pair ends, whether the bind was still carried out or flushed. */
static void a_bind_that_is_refused(void **state)
{
    (void)state;
    for (uint32_t taken = 0; taken < 2; taken++) {
        uint64_t address, bytes;
        uint32_t key;
        struct fixture x;
        struct side *s = about_to_bind(&x);
        fake_qp_refuse(s->qp, taken, ENOMEM);
        fixture_turns(&x, 1);
        fake_qp_refuse(s->qp, 0, 0);
        if (taken == 0) assert_false(fake_window_bound(s->window, &address, &bytes, &key));
        ended_untold(&x, s, "posts_refused");
    }
}

static void without(struct end_config *config)
{
    config->no_windows = true;
}

/* As it was of old. */
static void a_device_without_windows(void **state)
{
    (void)state;
    struct fixture x;
    struct rdma_message m;
    fixture_start(&x, without);
    struct side *s = told(&x, &m), *other = told(&x, &m);
    assert_null(s->window);
    assert_int_equal(m.key, other->mr.rkey);
    assert_int_equal(write_of(&x, other, m.address, 8, m.key), IBV_WC_SUCCESS);
    assert_int_equal(other->stream->rx.len, 8);
    fixture_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_its_own_connections),
        cmocka_unit_test(nothing_but_the_buffers),
        cmocka_unit_test(bound_once),
        cmocka_unit_test(a_bind_that_fails),
        cmocka_unit_test(a_bind_that_is_refused),
        cmocka_unit_test(a_device_without_windows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
