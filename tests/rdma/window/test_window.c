/* GETs by RDMA READ, end to end over the fake fabric: two shards, a client that asks for their windows, and the store's
 * own operations between the reads. */
#include <stdlib.h>
#include <string.h>
#include "base/slot.h"
#include "rdma/window.h"
#include "tests/rdma/fixture.h"
#include "tests/store/fixture.h"

#define SHARDS 2u
#define KEYS 300u
#define DEPTH 6u
#define NOW_MS 1700000000000u
#define CHANGES 200000u

/* What a key had from a time on. */
struct change {
    uint32_t key, version; /* 0: nothing */
    uint64_t at;
};

struct look {
    bool active;
    uint32_t key;
    char text[32];
    uint64_t begin;
};

static struct bench {
    struct fixture x;
    struct side *server, *client;
    struct store *store[SHARDS];
    struct slot_map owners;
    struct rdma_window *window;
    void *memory;
    bool offers, freed;
    unsigned settled;
    struct random r;
    uint64_t at; /* operations so far */
    struct change *changes;
    uint32_t change_count, versions;
    struct look look[DEPTH];
    uint64_t values, messages, refused;
} b;

static bool on_message(void *arg, struct rdma_conn *conn, const struct rdma_message *m)
{
    void *base;
    size_t bytes;
    (void)arg;
    if (b.client && conn == b.client->conn) return !b.window || rdma_window_message(b.window, m);
    if (m->opcode != RDMA_SET_FEATURES || m->select >= SHARDS) return false;
    return store_window(b.store[m->select], &base, &bytes) && rdma_window_offer(conn, m->select, base, bytes);
}

static void alter(struct end_config *config)
{
    config->features = b.offers ? RDMA_FEATURE_ONESIDED : 0;
    config->message = on_message;
}

static struct store_key key_of(char *text, uint32_t n)
{
    int len = snprintf(text, 32, "key %u of all", n);
    return fixture_key(text, (size_t)len);
}

static struct store *store_of(const struct store_key *key)
{
    return b.store[b.owners.owner[slot_of_key(key->data, key->len)]];
}

static void value_of(uint8_t *out, uint32_t version, uint32_t *len)
{
    *len = 8 + version % 3 * 700;
    fixture_fill(out, *len, version);
}

static void changed(uint32_t key, uint32_t version)
{
    assert_true(b.change_count < CHANGES);
    b.changes[b.change_count++] = (struct change){key, version, b.at};
}

static void set(uint32_t n)
{
    char text[32];
    uint8_t value[2048];
    uint32_t len, version = ++b.versions;
    struct store_key key = key_of(text, n);
    value_of(value, version, &len);
    struct store_meta meta = {.flags = version};
    assert_int_equal(store_set(store_of(&key), &key, value, len, &meta, STORE_SET, 0, NOW_MS), STORE_OK);
    changed(n, version);
}

static void operate(void)
{
    char text[32];
    uint32_t n = random_below(&b.r, random_below(&b.r, 2) ? 4 : KEYS);
    struct store_key key = key_of(text, n);
    b.at++;
    if (random_below(&b.r, 4)) {
        set(n);
    } else if (random_below(&b.r, 500)) {
        store_delete(store_of(&key), &key, NOW_MS);
        changed(n, 0);
    } else {
        for (unsigned i = 0; i < SHARDS; i++) store_flush(b.store[i]);
        for (uint32_t i = 0; i < KEYS; i++) changed(i, 0);
    }
    store_step(store_of(&key), NOW_MS);
}

/* Whether the key had this at some moment since. */
static bool had(uint32_t key, uint32_t version, uint64_t since)
{
    for (uint32_t i = b.change_count; i-- > 0;) {
        const struct change *c = &b.changes[i];
        if (c->key != key) continue;
        if (c->version == version) return true;
        if (c->at <= since) return false;
    }
    return false;
}

static void on_done(void *arg, enum window_step step, const uint8_t *value, uint32_t len, uint32_t flags)
{
    struct look *l = arg;
    uint8_t expected[2048];
    uint32_t expected_len;
    assert_true(l->active);
    l->active = false;
    if (step != WINDOW_VALUE) {
        b.messages++;
        return;
    }
    b.values++;
    value_of(expected, flags, &expected_len);
    assert_int_equal(len, expected_len);
    assert_memory_equal(value, expected, len);
    assert_true(had(l->key, flags, l->begin));
}

static void look(struct look *l, uint32_t n)
{
    l->key = n;
    struct store_key key = key_of(l->text, n);
    l->begin = b.at;
    l->active = rdma_window_get(b.window, key.data, key.len, l);
    b.refused += !l->active;
}

static void stores_create(void)
{
    slot_map_init(&b.owners, SHARDS);
    for (unsigned i = 0; i < SHARDS; i++) {
        void *base;
        size_t bytes, page_bytes;
        struct store_config config = {
            .core = i, .cores = SHARDS, .memory_limit = 2 * MIB, .max_value = 65536, .max_key = 250, .window = true};
        assert_int_equal(store_create(&b.store[i], &config), 0);
        store_window_tick(b.store[i], NOW_MS);
        store_region(b.store[i], &base, &bytes, &page_bytes);
        rdma_keys_allow(&b.x.server.keys, base, end_register(&b.x.server, base, bytes));
    }
}

static void settled(void *arg)
{
    ++*(unsigned *)arg;
}

static void start(bool offers, uint32_t reads, uint32_t ask_every)
{
    memset(&b, 0, sizeof b);
    b.offers = offers;
    b.r.state = 0x9e3779b97f4a7c15u + reads;
    b.changes = malloc(CHANGES * sizeof *b.changes);
    fixture_start(&b.x, alter);
    stores_create();
    b.server = fixture_connect(&b.x, &side_default);
    b.client = b.server->peer;
    b.memory = aligned_alloc(64, rdma_window_memory_bytes(DEPTH));
    struct rdma_window_config config = {.conn = b.client->conn,
                                        .memory = b.memory,
                                        .lkey = end_register(&b.x.client, b.memory, rdma_window_memory_bytes(DEPTH)),
                                        .depth = DEPTH,
                                        .reads = reads,
                                        .ask_every = ask_every,
                                        .done = on_done,
                                        .settled = settled,
                                        .settled_arg = &b.settled};
    assert_int_equal(rdma_window_create(&b.window, &config), 0);
}

static void on_freed(void *arg)
{
    *(bool *)arg = true;
}

static void end(void)
{
    rdma_window_destroy(&b.window, on_freed, &b.freed);
    fixture_turns(&b.x, 50);
    assert_true(b.freed);
    fixture_end(&b.x);
    for (unsigned i = 0; i < SHARDS; i++) store_destroy(&b.store[i]);
    free(b.changes);
    free(b.memory);
}

static void open_window(void)
{
    for (unsigned i = 0; i < 100 && rdma_window_state(b.window) == RDMA_WINDOW_ASKING; i++) fixture_turns(&b.x, 1);
    assert_int_equal(rdma_window_state(b.window), RDMA_WINDOW_OPEN);
    assert_int_equal(b.settled, 1);
}

static struct window_line *line_of(unsigned shard)
{
    void *base;
    size_t bytes;
    assert_true(store_window(b.store[shard], &base, &bytes));
    return base;
}

static void look_and_wait(uint32_t n)
{
    look(&b.look[0], n);
    for (unsigned i = 0; i < 200 && b.look[0].active; i++) fixture_turns(&b.x, 1);
    assert_false(b.look[0].active);
}

static void both_shards_are_read(void **state)
{
    (void)state;
    start(true, 1, 0);
    for (uint32_t i = 0; i < KEYS; i++) set(i);
    open_window();
    for (uint32_t i = 0; i < KEYS; i++) look_and_wait(i);
    assert_int_equal(b.values, KEYS);
    uint64_t reads = end_metric(&b.x.client, "tx_reads");
    look_and_wait(0);
    assert_int_equal(end_metric(&b.x.client, "tx_reads") - reads, 3); /* line, bucket, item */
    look_and_wait(KEYS + 1);                                          /* there is no such key */
    assert_int_equal(b.messages, 1);
    assert_int_equal(b.refused, 0);
    /* Beside the questions nothing was sent: the server's core had no part in it. */
    assert_int_equal(end_metric(&b.x.server, "rx_writes"), 0);
    end();
}

static void changes_come_in_between(void **state)
{
    (void)state;
    for (uint32_t reads = 1; reads <= 16; reads *= 4) {
        start(true, reads, 32);
        for (uint32_t i = 0; i < KEYS; i++) set(i);
        open_window();
        for (unsigned turn = 0; turn < 6000; turn++) {
            struct look *l = &b.look[random_below(&b.r, DEPTH)];
            if (!l->active) look(l, random_below(&b.r, random_below(&b.r, 2) ? 4 : KEYS));
            for (uint32_t i = random_below(&b.r, 4); i > 0; i--) operate();
            fixture_turns(&b.x, 1);
        }
        struct window_counts counts;
        rdma_window_counts(b.window, &counts);
        assert_true(b.values > 500 && b.messages > 50 && b.refused > 10);
        assert_int_equal(counts.values, b.values);
        assert_true(counts.miss_item > 5);
        end();
    }
}

/*
 * A server that gives out windows in another order than its shards': what a key has in another shard, left from when it
 * was that one's, is no answer.
 */
static void another_shard_is_not_believed(void **state)
{
    (void)state;
    for (unsigned wrong = 0; wrong < 2; wrong++) {
        start(true, 4, 0);
        for (uint32_t i = 0; i < KEYS; i++) set(i);
        struct window_line *line = line_of(1);
        if (wrong)
            line->shards = 3;
        else
            line->shard = 0;
        open_window();
        for (uint32_t i = 0; i < KEYS; i++) look_and_wait(i);
        struct window_counts counts;
        rdma_window_counts(b.window, &counts);
        assert_true(b.values > KEYS / 4 && b.messages > KEYS / 4);
        assert_int_equal(b.values + b.messages, KEYS);
        assert_int_equal(counts.strange, b.messages);
        line->shard = 1;
        line->shards = SHARDS;
        end();
    }
}

static void no_offer_no_window(void **state)
{
    (void)state;
    start(false, 1, 0);
    for (unsigned i = 0; i < 20; i++) fixture_turns(&b.x, 1);
    assert_int_equal(rdma_window_state(b.window), RDMA_WINDOW_NONE);
    assert_int_equal(b.settled, 1);
    look(&b.look[0], 1);
    assert_int_equal(b.refused, 1);
    end();
}

static void an_end_in_between(void **state)
{
    (void)state;
    for (unsigned when = 0; when < 12; when++) {
        start(true, 4, 0);
        for (uint32_t i = 0; i < KEYS; i++) set(i);
        if (when > 3) open_window();
        fixture_turns(&b.x, when);
        for (unsigned i = 0; i < DEPTH; i++) look(&b.look[i], i);
        fixture_turns(&b.x, when % 4);
        if (when % 2) {
            side_disconnect(b.client);
            fixture_turns(&b.x, 100);
            for (unsigned i = 0; i < DEPTH; i++) assert_false(b.look[i].active);
        }
        end(); /* what is under way ends with it */
        for (unsigned i = 0; i < DEPTH; i++) assert_false(b.look[i].active);
    }
}

/* What the server's memory says is not believed. */
static void garbage_is_harmless(void **state)
{
    (void)state;
    start(true, 4, 0);
    for (uint32_t i = 0; i < KEYS; i++) set(i);
    open_window();
    void *base;
    size_t bytes, page_bytes;
    store_region(b.store[0], &base, &bytes, &page_bytes);
    uint8_t *copy = malloc(bytes);
    memcpy(copy, base, bytes);
    for (unsigned round = 0; round < 200; round++) {
        for (unsigned i = 0; i < 2000; i++)
            ((uint8_t *)base)[random_below(&b.r, i % 2 ? 64 : (uint32_t)bytes)] ^=
                (uint8_t)(1u << random_below(&b.r, 8));
        if (round % 3) memcpy(base, copy, 64);
        for (unsigned i = 0; i < DEPTH; i++) look(&b.look[i], random_below(&b.r, KEYS));
        fixture_turns(&b.x, 60);
        for (unsigned i = 0; i < DEPTH; i++) assert_false(b.look[i].active);
    }
    memcpy(base, copy, bytes);
    free(copy);
    assert_true(b.messages > 100);
    end();
}

static uint32_t window_key(unsigned shard)
{
    uint32_t hint = 0;
    void *base;
    size_t bytes;
    assert_true(store_window(b.store[shard], &base, &bytes));
    const struct rdma_key_range *range = rdma_keys_find(&b.x.server.keys, base, bytes, &hint);
    assert_true(range && range->rkey);
    return range->rkey;
}

/* Whoever knows where the window lies and what its key is, and was not given it: reads nothing, and ends alone. */
static void a_key_alone_opens_nothing(void **state)
{
    (void)state;
    uint8_t untouched[sizeof(struct window_line)];
    enum ibv_wc_status status;
    start(true, 4, 0);
    for (uint32_t i = 0; i < KEYS; i++) set(i);
    open_window();
    struct side *raw = fixture_connect_raw(&b.x, &side_default)->peer;
    memset(untouched, 0xee, sizeof untouched);
    memcpy(raw->memory, untouched, sizeof untouched);
    raw_read(raw, sizeof untouched, (uintptr_t)line_of(0), window_key(0));
    fixture_turns(&b.x, 5);
    assert_true(raw_completed(raw, &status));
    assert_int_equal(status, IBV_WC_REM_INV_REQ_ERR);
    assert_memory_equal(raw->memory, untouched, sizeof untouched);
    for (uint32_t i = 0; i < KEYS; i++) look_and_wait(i);
    assert_int_equal(b.values, KEYS);
    assert_int_equal((b.server->stream->events | b.client->stream->events) & STREAM_ERROR, 0);
    end();
}

/* Set-up lets the pair be read by before its client has the key: what is to be sent meanwhile stays, and nobody spins.
 */
static void a_window_waits_until_it_can_be_read(void **state)
{
    (void)state;
    struct rdma_message m;
    uint32_t imm;
    enum ibv_wc_status status;
    start(true, 4, 0);
    open_window();
    struct side *victim = fixture_connect_raw(&b.x, &side_default), *raw = victim->peer;
    assert_true(raw_receive(raw, &m, &imm) && m.opcode == RDMA_REGISTER);
    raw_send(raw, &(struct rdma_message){.opcode = RDMA_SET_FEATURES, .features = RDMA_FEATURE_ONESIDED});
    raw_send(raw, &(struct rdma_message){.opcode = RDMA_GET_FEATURES});
    for (unsigned i = 0; i < 5; i++) { /* without a set-up */
        fake_run(b.x.fake, FIXTURE_TURN_NS);
        struct tick now = end_tick(&b.x.server);
        rdma_core_input(b.x.server.core, &now);
        rdma_core_output(b.x.server.core, &now);
    }
    assert_false(raw_receive(raw, &m, &imm));
    assert_int_equal(rdma_core_deadline(b.x.server.core), UINT64_MAX);
    assert_false(fake_qp_access(victim->qp) & IBV_ACCESS_REMOTE_READ);
    fixture_turns(&b.x, 5);
    assert_true(raw_receive(raw, &m, &imm) && m.opcode == RDMA_WINDOW);
    struct rdma_message window = m;
    assert_true(raw_receive(raw, &m, &imm) && m.opcode == RDMA_GET_FEATURES);
    raw_read(raw, sizeof(struct window_line), window.address, window.key);
    fixture_turns(&b.x, 5);
    assert_true(raw_completed(raw, &status));
    assert_int_equal(status, IBV_WC_SUCCESS);
    assert_memory_equal(raw->memory, line_of(0), sizeof(struct window_line));
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_shards_are_read),
        cmocka_unit_test(changes_come_in_between),
        cmocka_unit_test(another_shard_is_not_believed),
        cmocka_unit_test(no_offer_no_window),
        cmocka_unit_test(an_end_in_between),
        cmocka_unit_test(garbage_is_harmless),
        cmocka_unit_test(a_key_alone_opens_nothing),
        cmocka_unit_test(a_window_waits_until_it_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
