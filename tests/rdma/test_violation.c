/* Peers that break the protocol: each reason is counted once, the peer is cut off, and nobody else notices. */
#include "tests/rdma/fixture.h"

#include <errno.h>
#include <string.h>

static const struct side_config small = {.buffer_bytes = 4096, .send_depth = 64, .max_sge = 4};

struct hostile {
    struct fixture x;
    struct side *victim, *raw, *other;
    struct rdma_message ours; /* the server's registration */
};

static uint64_t given_features;
static unsigned given_count;
static bool message_accepted;

static bool message_given(void *arg, struct rdma_conn *conn, const struct rdma_message *m)
{
    (void)arg;
    (void)conn;
    given_features = m->features;
    given_count++;
    return message_accepted;
}

static void onesided(struct end_config *config)
{
    config->features = RDMA_FEATURE_ONESIDED;
    config->message = message_given;
}

static void hostile_start(struct hostile *h, void (*alter)(struct end_config *))
{
    uint32_t imm;
    given_count = 0;
    message_accepted = true;
    fixture_start(&h->x, alter);
    h->other = fixture_connect(&h->x, &small);
    h->victim = fixture_connect_raw(&h->x, &small);
    h->raw = h->victim->peer;
    assert_true(raw_receive(h->raw, &h->ours, &imm));
    assert_int_equal(h->ours.opcode, RDMA_REGISTER);
    assert_int_equal(h->ours.length, 4096);
}

/* reason: the metric that must count it; NULL: the peer did nothing wrong. */
static void hostile_end(struct hostile *h, const char *reason)
{
    fixture_turns(&h->x, 5);
    for (size_t i = 0; i < rdma_metric_row_count; i++) {
        const char *name = rdma_metric_rows[i].name;
        if (strncmp(rdma_metric_rows[i].help, "Peers cut off", 13) != 0) continue;
        assert_int_equal(end_metric(&h->x.server, name), reason && strcmp(name, reason) == 0);
    }
    assert_int_equal((h->victim->stream->events & STREAM_ERROR) != 0, reason != NULL);
    if (reason) assert_int_equal(h->victim->stream->error, ECONNRESET);
    if (reason) assert_true(h->victim->told_gone);
    side_send(h->other, 0, 9000, 1000);
    uint64_t taken = 0;
    for (unsigned i = 0; i < 20; i++) {
        fixture_turns(&h->x, 1);
        taken += side_take(h->other->peer, taken);
    }
    assert_int_equal(taken, 9000);
    fixture_end(&h->x);
}

static void raw_bytes(struct hostile *h, uint32_t len, uint32_t imm)
{
    uint8_t bytes[4096];
    for (uint32_t i = 0; i < len; i++) bytes[i] = pattern(i);
    raw_write(h->raw, bytes, len, h->ours.address, h->ours.key, imm);
}

static void lengths(void **state)
{
    (void)state;
    static const uint32_t wrong[] = {0, 1, 2, 31};
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct hostile h;
        uint8_t bytes[64] = {0, RDMA_KEEPALIVE};
        hostile_start(&h, NULL);
        raw_message(h.raw, bytes, wrong[i]);
        hostile_end(&h, "bad_length");
    }
    struct hostile h;
    uint8_t bytes[64] = {0, RDMA_KEEPALIVE};
    hostile_start(&h, NULL);
    raw_message(h.raw, bytes, 33); /* the device says so: it does not fit the receive */
    hostile_end(&h, "bad_length");
}

static void opcodes(void **state)
{
    (void)state;
    static const uint16_t wrong[] = {4, 5, 0x7000, 0x7002, 0xffff, 0x0300};
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct hostile h;
        hostile_start(&h, NULL);
        raw_send(h.raw, &(struct rdma_message){.opcode = wrong[i]});
        hostile_end(&h, "bad_opcode");
    }
}

static void registrations(void **state)
{
    (void)state;
    struct hostile h;
    struct rdma_message m = {.opcode = RDMA_REGISTER, .address = 4096, .length = 0};
    hostile_start(&h, NULL);
    raw_send(h.raw, &m);
    hostile_end(&h, "bad_register");
    m.address = UINT64_MAX - 10;
    m.length = 12;
    hostile_start(&h, NULL);
    raw_send(h.raw, &m);
    hostile_end(&h, "bad_register");
    m.address = 1 << 20;
    hostile_start(&h, NULL);
    raw_send(h.raw, &m);
    fixture_turns(&h.x, 3);
    raw_send(h.raw, &m); /* nothing was written into the first */
    hostile_end(&h, "register_early");
}

static void registration_in_mid_buffer(void **state)
{
    (void)state;
    struct hostile h;
    hostile_start(&h, NULL);
    struct rdma_message m = {
        .opcode = RDMA_REGISTER, .address = (uintptr_t)h.raw->memory, .length = 100, .key = h.raw->key};
    raw_send(h.raw, &m);
    side_send(h.victim, 0, 100, 100);
    fixture_turns(&h.x, 5);
    raw_send(h.raw, &m); /* full: fine */
    side_send(h.victim, 100, 99, 99);
    fixture_turns(&h.x, 5);
    assert_false(h.victim->stream->events & STREAM_ERROR);
    assert_int_equal(h.raw->memory[98], pattern(198));
    raw_send(h.raw, &m); /* a byte is left */
    hostile_end(&h, "register_early");
}

/* A key that is not the peer's, or memory that it has given back: its own completion error, nobody else's. */
static void registration_of_what_is_not_there(void **state)
{
    (void)state;
    struct hostile h;
    hostile_start(&h, NULL);
    raw_send(h.raw, &(struct rdma_message){.opcode = RDMA_REGISTER,
                                           .address = (uintptr_t)h.victim->memory, /* ours */
                                           .length = 4096,
                                           .key = h.victim->key});
    side_send(h.victim, 0, 100, 100);
    fixture_turns(&h.x, 10);
    assert_true(h.victim->stream->events & STREAM_ERROR);
    assert_int_equal(end_metric(&h.x.server, "completion_errors"), 1);
    fixture_end(&h.x);
}

static void immediates(void **state)
{
    (void)state;
    static const struct {
        uint32_t first, imm;
        const char *reason;
    } cases[] = {{0, 0, "bad_immediate"},    {0, 4097, "past_end"},      {0, UINT32_MAX, "past_end"},
                 {1, 4096, "past_end"},      {4000, 97, "past_end"},     {1, 4095, NULL},
                 {4000, 0, "bad_immediate"}, {1, UINT32_MAX, "past_end"}};
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hostile h;
        hostile_start(&h, NULL);
        if (cases[i].first > 0) raw_bytes(&h, cases[i].first, cases[i].first);
        fixture_turns(&h.x, 3);
        raw_bytes(&h, 1, cases[i].imm); /* it lies about how many */
        hostile_end(&h, cases[i].reason);
    }
}

/* The buffer is full and held by the handler: the peer has none to write into. */
static void write_without_registration(void **state)
{
    (void)state;
    struct hostile h;
    hostile_start(&h, NULL);
    raw_bytes(&h, 4096, 4096);
    fixture_turns(&h.x, 5); /* the second one is registered */
    raw_bytes(&h, 4096, 4096);
    fixture_turns(&h.x, 5); /* none is */
    raw_bytes(&h, 1, 1);
    hostile_end(&h, "past_end");
}

static void features(void **state)
{
    (void)state;
    struct hostile h;
    struct rdma_message m;
    uint32_t imm;
    hostile_start(&h, NULL);
    raw_send(h.raw, &(struct rdma_message){.opcode = RDMA_GET_FEATURES, .select = 77});
    raw_send(h.raw, &(struct rdma_message){.opcode = RDMA_SET_FEATURES});
    raw_send(h.raw, &(struct rdma_message){.opcode = RDMA_KEEPALIVE});
    fixture_turns(&h.x, 5);
    assert_true(raw_receive(h.raw, &m, &imm));
    assert_int_equal(m.opcode, RDMA_GET_FEATURES);
    assert_true(m.select == 77 && m.features == 0);
    assert_false(raw_receive(h.raw, &m, &imm));
    hostile_end(&h, NULL);
    hostile_start(&h, NULL);
    raw_send(h.raw, &(struct rdma_message){.opcode = RDMA_SET_FEATURES, .features = 1});
    hostile_end(&h, "feature_refused");
    hostile_start(&h, NULL);
    raw_send(h.raw, &(struct rdma_message){.opcode = RDMA_WINDOW, .bytes = 1});
    hostile_end(&h, "unsolicited");
}

static void offered_features(void **state)
{
    (void)state;
    struct hostile h;
    struct rdma_message m;
    uint32_t imm;
    hostile_start(&h, onesided);
    raw_send(h.raw, &(struct rdma_message){.opcode = RDMA_GET_FEATURES});
    raw_send(h.raw, &(struct rdma_message){.opcode = RDMA_SET_FEATURES, .features = RDMA_FEATURE_ONESIDED});
    fixture_turns(&h.x, 5);
    assert_true(raw_receive(h.raw, &m, &imm));
    assert_true(m.features == RDMA_FEATURE_ONESIDED);
    assert_true(given_count == 1 && given_features == RDMA_FEATURE_ONESIDED);
    assert_true(rdma_conn_send_message(h.victim->conn, &(struct rdma_message){.opcode = RDMA_WINDOW, .bytes = 5}));
    fixture_turns(&h.x, 3);
    assert_true(raw_receive(h.raw, &m, &imm));
    assert_true(m.opcode == RDMA_WINDOW && m.bytes == 5);
    hostile_end(&h, NULL);
    hostile_start(&h, onesided);
    raw_send(h.raw, &(struct rdma_message){.opcode = RDMA_SET_FEATURES, .features = RDMA_FEATURE_ONESIDED | 1});
    hostile_end(&h, "feature_refused");
    hostile_start(&h, onesided);
    message_accepted = false;
    raw_send(h.raw, &(struct rdma_message){.opcode = RDMA_SET_FEATURES, .features = RDMA_FEATURE_ONESIDED});
    hostile_end(&h, "unsolicited");
}

static void questions_are_bounded(void **state)
{
    (void)state;
    struct hostile h;
    hostile_start(&h, NULL);
    for (unsigned i = 0; i < 60; i++) raw_send(h.raw, &(struct rdma_message){.opcode = RDMA_GET_FEATURES});
    fake_run(h.x.fake, 1000000);
    hostile_end(&h, "message_flood");
}

/* Before the connection is handed over: refused just as well, and the handler never sees it. */
static void before_established(void **state)
{
    (void)state;
    struct fixture x;
    fixture_start(&x, NULL);
    struct side *s = &x.sides[0];
    sides_create(s, &x.server, s + 1, &x.client, &small);
    x.count = 2;
    fixture_turns(&x, 1);
    struct ibv_send_wr wr = {.opcode = IBV_WR_RDMA_WRITE_WITH_IMM}, *bad;
    struct rdma_conn *c = s->conn;
    ibv_post_send(s->peer->qp, &wr, &bad);
    fake_run(x.fake, 100000);
    fixture_turn_input(&x);
    rdma_core_tell(x.server.core, RDMA_TELL_ESTABLISHED, c); /* crosses the CUT */
    fixture_turn_output(&x);
    fixture_turns(&x, 20);
    assert_null(s->stream);
    assert_true(s->done);
    assert_int_equal(end_metric(&x.server, "bad_immediate"), 1);
    fixture_end(&x);
}

/* A client is as strict: features unasked, a window without having set the feature. */
static void hostile_server(void **state)
{
    (void)state;
    static const struct rdma_message wrong[] = {
        {.opcode = RDMA_GET_FEATURES}, {.opcode = RDMA_SET_FEATURES}, {.opcode = RDMA_WINDOW, .bytes = 1}};
    for (unsigned i = 0; i < 3; i++) {
        struct fixture x;
        fixture_start(&x, onesided);
        struct side *s = fixture_connect(&x, &small);
        assert_true(rdma_conn_send_message(s->conn, &wrong[i]));
        fixture_turns(&x, 5);
        assert_true(s->peer->stream->events & STREAM_ERROR);
        assert_int_equal(end_metric(&x.client, "unsolicited"), 1);
        fixture_end(&x);
    }
}

static void client_asks(void **state)
{
    (void)state;
    struct fixture x;
    given_count = 0;
    message_accepted = true;
    fixture_start(&x, onesided);
    struct side *s = fixture_connect(&x, &small);
    rdma_conn_send_message(s->peer->conn, &(struct rdma_message){.opcode = RDMA_GET_FEATURES});
    fixture_turns(&x, 5);
    assert_true(given_count == 1 && given_features == RDMA_FEATURE_ONESIDED);
    rdma_conn_send_message(s->peer->conn,
                           &(struct rdma_message){.opcode = RDMA_SET_FEATURES, .features = RDMA_FEATURE_ONESIDED});
    fixture_turns(&x, 5);
    assert_int_equal(given_count, 2); /* the server's */
    rdma_conn_send_message(s->conn, &(struct rdma_message){.opcode = RDMA_WINDOW, .bytes = 9});
    fixture_turns(&x, 5);
    assert_int_equal(given_count, 3);
    assert_int_equal((s->stream->events | s->peer->stream->events) & STREAM_ERROR, 0);
    fixture_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths),
        cmocka_unit_test(opcodes),
        cmocka_unit_test(registrations),
        cmocka_unit_test(registration_in_mid_buffer),
        cmocka_unit_test(registration_of_what_is_not_there),
        cmocka_unit_test(immediates),
        cmocka_unit_test(write_without_registration),
        cmocka_unit_test(features),
        cmocka_unit_test(offered_features),
        cmocka_unit_test(questions_are_bounded),
        cmocka_unit_test(before_established),
        cmocka_unit_test(hostile_server),
        cmocka_unit_test(client_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
