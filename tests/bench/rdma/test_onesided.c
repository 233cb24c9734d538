/*
 * kvbench --onesided against a server of two cores: what is read by itself, what goes by request and why, and that
 * nothing is taken for a value that is none.
 */
#include <stdlib.h>
#include <string.h>
#include "base/slot.h"
#include "tests/bench/rdma/run.h"

#define KEY_LEN 16u
#define KEYS_MAX 100u
#define VALUE_MAX 256u
#define READ_ONLY "--onesided --load no --ratio 0:1 "

static struct store *store_of(uint32_t index, uint8_t *text, struct store_key *key)
{
    key_prefix(text, KEY_LEN);
    key_digits(text + KEY_LEN - KEY_DIGITS, index);
    *key = (struct store_key){.data = text, .len = KEY_LEN, .hash = store_hash(text, KEY_LEN)};
    return x.server.cores[x.server.server.slots.owner[slot_of_key(text, KEY_LEN)]].store;
}

/* Stores under a key the value that is right for another, or for itself. */
static void put(uint32_t index, uint32_t as, uint32_t len, uint64_t expires_ms)
{
    uint8_t text[KEY_LEN], value[VALUE_MAX];
    struct store_key key;
    struct store *store = store_of(index, text, &key);
    struct value_header header = value_header_of(as, len, 7);
    struct store_meta meta = {.expires_ms = expires_ms};
    memcpy(value, &header, sizeof header);
    memcpy(value + sizeof header, x.worker.source.pattern + value_offset(as, 7), len - sizeof header);
    assert_int_equal(store_set(store, &key, value, len, &meta, STORE_SET, 0, x.server.now.unix_ms), STORE_OK);
}

static struct window_counts counts_now(void)
{
    struct window_counts n;
    onesided_set_counts(x.transport.onesided, &n);
    return n;
}

/* Each get while measuring is one of these, but for those that are on their way when it begins or ends. */
static void check_sums(uint32_t in_flight)
{
    const struct window_counts *n = &x.report.windows;
    uint64_t by_request = n->absent + n->apart + n->expiring + n->torn + n->moved + n->strange + x.report.left;
    uint64_t sum = n->values + by_request;
    assert_in_range(sum, x.report.gets - RTE_MIN(x.report.gets, in_flight), x.report.gets + in_flight);
    assert_int_equal(x.report.get_ns.count, x.report.gets);
}

static void test_both_cores_are_read(void **state)
{
    (void)state;
    unsigned owned[FIXTURE_CORES] = {0};
    run_good(1, 4096, "--onesided --connections 4 --keys 100 --ratio 0:1 --duration 5ms");
    for (uint32_t i = 0; i < 100; i++) {
        uint8_t text[KEY_LEN];
        struct store_key key;
        owned[store_of(i, text, &key) == x.server.cores[1].store]++;
    }
    assert_true(owned[0] > 20 && owned[1] > 20);
    const struct window_counts *n = &x.report.windows;
    assert_true(x.report.gets > 1000 && n->values > x.report.gets * 9 / 10);
    assert_int_equal(n->absent + n->apart + n->expiring + n->torn + n->moved + n->strange, 0);
    assert_true(x.report.left > 10);
    check_sums(4);
    /* Line, bucket and item, and now and then the directory; the server's cores had only those to answer that were left
     * to them. */
    assert_in_range(n->reads, 3 * n->values, 3 * n->values + 60);
    assert_true(end_metric(&x.far, "rx_writes") < 100 + 2 * x.report.left);
    assert_int_equal(end_metric(&x.far, "windows_given"), 4 * FIXTURE_CORES);
    run_finish();
}

/* Items are written, and their memory used again, between a look-up's reads. */
static void test_overwritten_in_between(void **state)
{
    (void)state;
    for (unsigned resp = 0; resp < 2; resp++) {
        run_good(
            2 + resp, 65536,
            resp ? "--protocol resp --onesided --connections 6 --pipeline 4 --keys 5 --ratio 1:1 --value-size 1:3000 "
                   "--duration 20ms"
                 : "--onesided --connections 6 --pipeline 4 --keys 5 --ratio 1:1 --value-size 1:3000 "
                   "--duration 20ms");
        const struct window_counts *n = &x.report.windows;
        assert_true(n->values > 200 && n->miss_item > 20);
        assert_true(x.report.sets > 500);
        check_sums(24);
        run_finish();
    }
}

static struct {
    bool active;
    uint8_t *bytes[KEYS_MAX];
} torn;

static void tear(void)
{
    for (uint32_t i = 0; i < x.plan.keys; i++) {
        uint8_t text[KEY_LEN];
        struct store_key key;
        struct store_value v;
        struct store *store = store_of(i, text, &key);
        torn.bytes[i] = NULL;
        if (!torn.active || store_get(store, &key, x.server.now.unix_ms, &v) != STORE_OK) continue;
        torn.bytes[i] = (uint8_t *)(uintptr_t)v.data + v.len / 2;
        *torn.bytes[i] ^= 1;
    }
}

static void mend(void)
{
    for (uint32_t i = 0; i < x.plan.keys; i++)
        if (torn.bytes[i]) *torn.bytes[i] ^= 1;
}

/* Whenever it reads an item, one of its bytes is another's: the core, by request, sees the right one. */
static void test_torn_is_no_value(void **state)
{
    (void)state;
    run_start(4, 4096, "--onesided --connections 3 --keys 20 --ratio 0:1 --duration 5ms");
    run_until(WORKER_MEASURING);
    run_turns(500);
    struct window_counts before = counts_now();
    assert_true(before.values > 50);
    torn.active = true;
    x.before_fabric = tear;
    x.after_fabric = mend;
    run_turns(500);
    struct window_counts after = counts_now();
    assert_in_range(after.values, before.values, before.values + 3); /* those whose item had been read */
    uint64_t vain = after.torn - before.torn;
    assert_true(vain > 20);
    assert_in_range(after.miss_item - before.miss_item, 2 * vain, 2 * vain + 3); /* the second miss is the last */
    torn.active = false;
    run_to_end();
    assert_true(report_is_good(&x.report));
    assert_int_equal(x.report.misses, 0);
    assert_true(x.report.windows.values > after.values + 50);
    check_sums(3);
    run_finish();
}

static void test_absent(void **state)
{
    (void)state;
    run_start(5, 4096, READ_ONLY "--connections 3 --keys 50 --duration 3ms");
    run_to_end();
    assert_true(report_is_good(&x.report));
    assert_true(x.report.gets > 100);
    assert_int_equal(x.report.windows.values, 0);
    assert_in_range(x.report.misses, x.report.gets, x.report.gets + 3);
    check_sums(3);
    run_finish();
}

/* From the moment on at which a key is gone nothing of it is read any more, though all of it still lies there. */
static void test_gone(void **state)
{
    (void)state;
    enum { DELETED, FLUSHED, EXPIRED, WAYS };
    for (unsigned way = 0; way < WAYS; way++) {
        run_start(6 + way, 4096, READ_ONLY "--connections 3 --keys 8 --value-size 64 --duration 6ms");
        uint64_t expires_ms = way == EXPIRED ? x.server.now.unix_ms + 10000 : 0;
        for (uint32_t i = 0; i < 8; i++) put(i, i, 64, expires_ms);
        run_until(WORKER_MEASURING);
        run_turns(500);
        struct window_counts before = counts_now();
        assert_true(before.values > 50);
        assert_int_equal(before.absent, 0);
        if (way == EXPIRED) { /* a moment before the server has it still, and nobody reads it */
            x.server.now.unix_ms = expires_ms - WINDOW_CLOCK_MS / 2;
            run_turns(20);
            before = counts_now();
            run_turns(300);
            assert_int_equal(counts_now().values, before.values);
            assert_true(counts_now().expiring > before.expiring + 10);
            assert_int_equal(x.worker.counts[WORKER_MEASURING].misses, 0);
            x.server.now.unix_ms = expires_ms;
        }
        for (uint32_t i = 0; way == DELETED && i < 8; i++) {
            uint8_t text[KEY_LEN];
            struct store_key key;
            struct store *store = store_of(i, text, &key);
            assert_int_equal(store_delete(store, &key, x.server.now.unix_ms), STORE_OK);
        }
        for (unsigned i = 0; way == FLUSHED && i < FIXTURE_CORES; i++) store_flush(x.server.cores[i].store);
        run_turns(20); /* what had been read before comes in */
        before = counts_now();
        uint64_t hits = x.worker.counts[WORKER_MEASURING].hits;
        run_turns(500);
        assert_int_equal(counts_now().values, before.values);
        assert_int_equal(x.worker.counts[WORKER_MEASURING].hits, hits);
        run_to_end();
        assert_true(report_is_good(&x.report));
        assert_true(x.report.misses > 50);
        check_sums(3);
        run_finish();
    }
}

/* What is read is checked as replies are: whose it is, how long, each byte. */
static void test_wrong_values_are_told(void **state)
{
    (void)state;
    for (unsigned way = 0; way < 3; way++) {
        run_start(9 + way, 4096, READ_ONLY "--connections 2 --keys 2 --value-size 64 --duration 2ms");
        put(0, way == 0 ? 1 : 0, way == 1 ? 63 : 64, 0);
        put(1, 1, 64, 0);
        if (way == 2) { /* a byte of it, before its sum is made */
            uint8_t *pattern = x.worker.source.pattern + value_offset(0, 7);
            pattern[40] ^= 1;
            put(0, 0, 64, 0);
            pattern[40] ^= 1;
        }
        run_to_end();
        assert_false(report_is_good(&x.report));
        assert_in_range(x.report.wrong, x.report.gets / 4, x.report.gets * 3 / 4);
        assert_true(x.report.windows.values > x.report.gets / 2);
        run_finish();
    }
}

/* The key to the memory is taken back in the midst of it: those connections end, which is told. */
static void test_window_taken_back(void **state)
{
    (void)state;
    run_start(12, 4096, "--onesided --connections 3 --pipeline 4 --keys 50 --ratio 1:5 --duration 5ms");
    run_until(WORKER_MEASURING);
    run_turns(300);
    for (unsigned i = 0; i < FIXTURE_CORES; i++) fake_mr_remove(x.far.device, x.region_keys[i]);
    run_to_end();
    assert_false(report_is_good(&x.report));
    assert_int_equal(x.report.lost, 3);
    assert_in_range(x.report.errors, 3, 12);
    assert_int_equal(x.report.wrong + x.report.misses, 0);
    assert_int_equal(x.worker.in_flight, 0);
    run_finish();
}

static void no_feature(struct end_config *server)
{
    server->features = 0;
    server->message = NULL;
}

static bool cut(void *arg, struct rdma_conn *conn, const struct rdma_message *m)
{
    (void)arg, (void)conn, (void)m;
    return false;
}

static void cuts(struct end_config *server)
{
    server->message = cut;
}

/* A server that does not grant it: the run says so and is none. */
static void test_refused(void **state)
{
    (void)state;
    for (unsigned way = 0; way < 2; way++) {
        x.alter = way ? cuts : no_feature;
        run_start(13 + way, 4096, "--onesided --connections 3 --keys 50 --duration 5ms");
        run_to_end();
        assert_false(report_is_good(&x.report));
        assert_int_equal(x.report.connect_failures, 3);
        assert_int_equal(x.report.operations + x.report.loaded, 0);
        assert_string_equal(x.report.error_text,
                            way ? "the connection ended when it asked for one-sided reads" : ONESIDED_REFUSED_TEXT);
        run_finish();
    }
}

static bool silent(void *arg, struct rdma_conn *conn, const struct rdma_message *m)
{
    (void)arg, (void)conn, (void)m;
    return true;
}

static void says_nothing(struct end_config *server)
{
    server->message = silent;
}

/* A server that grants it and gives no key: nobody waits for ever. */
static void test_no_answer(void **state)
{
    (void)state;
    x.alter = says_nothing;
    run_start(19, 4096, "--onesided --connections 3 --keys 50 --duration 5ms");
    run_turns(200);
    assert_int_equal(x.worker.alive, 3);
    fake_run(x.fake, 11000ull * RUN_MS);
    run_turns(200);
    fake_run(x.fake, 1000ull * RUN_MS);
    run_turns(200);
    assert_true(x.done);
    report_make(&x.report, &x.plan, &x.worker, 1);
    assert_false(report_is_good(&x.report));
    assert_int_equal(x.report.connect_failures, 3);
    assert_string_equal(x.report.error_text, "the server does not answer when it is asked for one-sided reads");
    run_finish();
}

static void test_connections_opened_anew(void **state)
{
    (void)state;
    run_good(15, 4096, "--onesided --connections 3 --pipeline 2 --reconnect 60 --keys 50 --duration 4ms --ratio 1:5");
    assert_true(x.report.reopened > 10);
    assert_true(x.report.windows.values > x.report.gets / 2); /* of connections that are no more, too */
    check_sums(6);
    run_finish();
}

static void test_open_loop(void **state)
{
    (void)state;
    run_good(16, 4096, "--onesided --connections 8 --rate 20000 --keys 100 --duration 50ms --protocol resp");
    assert_in_range(x.report.operations, 800, 1200);
    assert_true(x.report.windows.values > x.report.gets * 9 / 10);
    run_finish();
}

/* Longer than an item in one piece: all by request, and said so. */
static void test_long_values(void **state)
{
    (void)state;
    char *text;
    size_t len;
    run_good(17, 65536, "--onesided --connections 3 --keys 20 --value-size 10000 --ratio 0:1 --duration 5ms");
    assert_int_equal(x.report.windows.values, 0);
    assert_true(x.report.windows.apart > 20);
    check_sums(3);
    FILE *out = open_memstream(&text, &len);
    report_print(&x.report, out);
    fclose(out);
    assert_non_null(strstr(text, "WARNING: most gets went by request"));
    free(text);
    run_finish();
}

/* A look-up in vain, and no buffer to ask with: it waits for one. */
static void test_no_buffer_to_ask(void **state)
{
    (void)state;
    static struct rte_mbuf *held[8192];
    unsigned count = 0;
    run_start(18, 4096, READ_ONLY "--connections 3 --keys 8 --value-size 64 --duration 5ms");
    for (uint32_t i = 0; i < 8; i++) put(i, i, 64, 0);
    run_until(WORKER_MEASURING);
    run_turns(100);
    while (count < RTE_DIM(held) && (held[count] = rte_pktmbuf_alloc(x.pools.small)) != NULL) count++;
    for (unsigned i = 0; i < FIXTURE_CORES; i++) store_flush(x.server.cores[i].store);
    run_turns(200);
    assert_true(x.worker.looks_starved && x.worker.starved > 10);
    assert_int_equal(x.worker.in_flight, 3);
    while (count > 0) rte_pktmbuf_free(held[--count]);
    run_to_end();
    assert_true(report_is_good(&x.report));
    assert_true(x.report.misses > 50);
    run_finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_cores_are_read),
        cmocka_unit_test(test_overwritten_in_between),
        cmocka_unit_test(test_torn_is_no_value),
        cmocka_unit_test(test_absent),
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_wrong_values_are_told),
        cmocka_unit_test(test_window_taken_back),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_answer),
        cmocka_unit_test(test_connections_opened_anew),
        cmocka_unit_test(test_open_loop),
        cmocka_unit_test(test_long_values),
        cmocka_unit_test(test_no_buffer_to_ask),
    };
    return cmocka_run_group_tests(tests, run_set_up_onesided, run_tear_down);
}
