/*
 * A server with a password, whose stores may be read: by those who have given it, and by nobody else. kvbench gives it
 * (--password); who does not is refused requests, windows, and reads by a key that he knows.
 */
#include <string.h>
#include "tests/bench/rdma/run.h"

#define PASSWORD "--password " RUN_PASSWORD " "

static void test_let_in(void **state)
{
    (void)state;
    static const char *const who[] = {PASSWORD, PASSWORD "--user default "};
    for (unsigned i = 0; i < 2; i++) {
        char arguments[300];
        snprintf(arguments, sizeof arguments, "%s--protocol resp --connections 4 --keys 100 --duration 5ms --ratio 1:1",
                 who[i]);
        run_good(30 + i, 4096, arguments);
        assert_true(x.report.operations > 500);
        assert_int_equal(end_metric(&x.far, "windows_given"), 0);
        run_finish();
    }
}

static void test_each_new_connection_gives_it(void **state)
{
    (void)state;
    run_good(32, 4096,
             PASSWORD
             "--protocol resp --connections 3 --pipeline 2 --reconnect 60 --keys 50 --duration 4ms --ratio 1:5");
    assert_true(x.report.reopened > 10);
    run_finish();
}

static void test_let_in_it_reads(void **state)
{
    (void)state;
    run_good(33, 4096,
             PASSWORD "--onesided --protocol resp --connections 3 --pipeline 4 --keys 50 --ratio 1:5 --duration 5ms");
    assert_true(x.report.windows.values > x.report.gets / 2);
    assert_int_equal(end_metric(&x.far, "windows_given"), 3 * FIXTURE_CORES);
    run_finish();
}

static void refused(uint64_t seed, const char *arguments, const char *why)
{
    run_start(seed, 4096, arguments);
    run_to_end();
    assert_false(report_is_good(&x.report));
    assert_int_equal(x.report.connect_failures, 3);
    assert_int_equal(x.report.operations + x.report.loaded, 0);
    assert_string_equal(x.report.error_text, why);
    assert_int_equal(end_metric(&x.far, "windows_given"), 0);
    run_finish();
}

static void test_not_let_in(void **state)
{
    (void)state;
    refused(34, "--protocol resp --connections 3 --keys 50 --duration 5ms --password Secret",
            "WRONGPASS invalid username-password pair or user is disabled.");
    refused(35, "--protocol resp --connections 3 --keys 50 --duration 5ms --user me " PASSWORD,
            "WRONGPASS invalid username-password pair or user is disabled.");
    /* Who says nothing of a password is connected, and refused each request. */
    run_start(36, 4096, "--protocol resp --connections 3 --keys 50 --duration 5ms");
    run_to_end();
    assert_false(report_is_good(&x.report));
    assert_true(x.report.errors > 50);
    assert_int_equal(x.report.connect_failures + x.report.wrong, 0);
    assert_string_equal(x.report.error_text, "NOAUTH Authentication required.");
    run_finish();
}

static void test_no_window_without(void **state)
{
    (void)state;
    static const char *const protocols[] = {"resp", "memcache"}; /* memcached's knows none: nobody is let in by it */
    for (unsigned i = 0; i < 2; i++) {
        char arguments[200];
        snprintf(arguments, sizeof arguments, "--onesided --protocol %s --connections 3 --keys 50 --duration 5ms",
                 protocols[i]);
        refused(37 + i, arguments, "the connection ended when it asked for one-sided reads");
    }
}

/* One that was let in and reads, and beside it one that has asked for nothing: that cannot, though the key is right. */
static void test_the_right_is_one_connections(void **state)
{
    (void)state;
    enum ibv_wc_status status;
    uint8_t untouched[64];
    void *base;
    size_t bytes;
    run_start(39, 4096, PASSWORD "--onesided --protocol resp --connections 2 --keys 50 --ratio 1:5 --duration 5ms");
    run_until(WORKER_MEASURING);
    struct fake_device *device = fake_device_create(x.fake);
    struct side *victim = &x.sides[x.count], *raw = victim + 1;
    sides_connect_raw(victim, &x.far, raw, device, &x.side);
    x.count += 2;
    run_turns(20);
    assert_true(store_window(x.server.cores[0].store, &base, &bytes));
    memset(untouched, 0xee, sizeof untouched);
    memcpy(raw->memory, untouched, sizeof untouched);
    raw_read(raw, sizeof untouched, (uintptr_t)base, x.region_keys[0]);
    run_turns(20);
    assert_true(raw_completed(raw, &status));
    assert_int_equal(status, IBV_WC_REM_INV_REQ_ERR);
    assert_memory_equal(raw->memory, untouched, sizeof untouched);
    side_disconnect(victim);
    run_to_end();
    assert_true(report_is_good(&x.report));
    assert_true(x.report.windows.values > x.report.gets / 2);
    run_turns(100);
    raw->done = true;
    side_raw_destroy(raw);
    run_finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_let_in),
        cmocka_unit_test(test_each_new_connection_gives_it),
        cmocka_unit_test(test_let_in_it_reads),
        cmocka_unit_test(test_not_let_in),
        cmocka_unit_test(test_no_window_without),
        cmocka_unit_test(test_the_right_is_one_connections),
    };
    return cmocka_run_group_tests(tests, run_set_up_password, run_tear_down);
}
