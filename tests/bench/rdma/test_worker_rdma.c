/* kvbench's worker against polarkv's sessions over RDMA: whole runs in virtual time, with their data checked. */
#include "tests/bench/rdma/run.h"

#include <errno.h>
#include <string.h>

static void test_both_protocols(void **state)
{
    (void)state;
    for (unsigned resp = 0; resp < 2; resp++) {
        const char *options = resp ? "--protocol resp --connections 4 --keys 100 --duration 5ms --ratio 1:1"
                                   : "--connections 4 --keys 100 --duration 5ms --ratio 1:1";
        run_good(1 + resp, 4096, options);
        assert_true(x.report.operations > 500 && x.report.gets > 200 && x.report.sets > 200);
        run_finish();
    }
}

/*
 * Values of every length: requests and replies lie across the ends of the buffers, which a server's must be so long
 * that what its sessions want in one piece (SESSION_LINE_MAX) fits one.
 */
static void test_long_values_pipelined(void **state)
{
    (void)state;
    static const uint32_t buffers[] = {131072, 150001};
    for (unsigned i = 0; i < 2; i++) {
        run_good(3 + i, buffers[i],
                 "--connections 3 --pipeline 8 --keys 60 --value-size 1:30000 --ratio 1:2 --duration 40ms");
        assert_true(x.report.operations > 100);
        assert_true(end_metric(&x.near, "rx_bytes") > 10 * (uint64_t)buffers[i]);
        run_finish();
    }
}

static void test_open_loop(void **state)
{
    (void)state;
    run_good(7, 4096, "--connections 8 --rate 20000 --keys 100 --duration 50ms --protocol resp");
    assert_in_range(x.report.operations, 800, 1200);
    run_finish();
}

/* Connections that come and go under load, and others that say nothing. */
static void test_connections_opened_anew(void **state)
{
    (void)state;
    run_good(8, 4096, "--connections 3 --idle-connections 5 --reconnect 60 --keys 50 --duration 4ms --ratio 1:1");
    assert_true(x.report.reopened > 10);
    assert_int_equal(x.report.idle, 5);
    run_finish();
}

/* A server that goes away: those requests are lost and told, the others go on. */
static void test_lost_connection(void **state)
{
    (void)state;
    run_start(9, 4096, "--connections 3 --pipeline 2 --keys 50 --duration 5ms");
    while (x.worker.phase != WORKER_MEASURING) run_turn();
    for (int i = 0; i < 100; i++) run_turn();
    side_disconnect(&x.sides[2]);
    run_to_end();
    assert_false(report_is_good(&x.report));
    assert_int_equal(x.report.lost, 1);
    assert_in_range(x.report.errors, 1, 2);
    assert_true(x.report.operations > 200);
    run_finish();
}

/* A server that was not told to grant it. */
static void test_no_window_unless_told(void **state)
{
    (void)state;
    run_start(11, 4096, "--onesided --connections 3 --keys 50 --duration 5ms");
    run_to_end();
    assert_false(report_is_good(&x.report));
    assert_int_equal(x.report.connect_failures, 3);
    assert_string_equal(x.report.error_text, ONESIDED_REFUSED_TEXT);
    run_finish();
}

/* Our device goes: nothing of it completes any more. All is lost, which is told by its name, and the run is over. */
static void test_device_goes(void **state)
{
    (void)state;
    run_start(10, 4096, "--connections 3 --pipeline 4 --keys 50 --duration 500ms");
    run_until(WORKER_MEASURING);
    run_turns(100);
    fake_device_remove(x.near.device);
    for (unsigned i = 1; i < x.count; i += 2) {
        rdma_conn_set_end(x.sides[i].conn, ENODEV);
        side_disconnect(&x.sides[i]);
    }
    run_turns(100);
    assert_true(x.worker.phase > WORKER_MEASURING);
    fake_run(x.fake, 600ull * RUN_MS); /* nobody waits longer for what was posted */
    run_to_end();
    assert_false(report_is_good(&x.report));
    assert_int_equal(x.report.lost, 3);
    assert_string_equal(x.report.error_text, strerror(ENODEV));
    assert_false(x.report.cut);
    fake_run(x.fake, 6000ull * RUN_MS);
    run_finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_protocols),  cmocka_unit_test(test_long_values_pipelined),
        cmocka_unit_test(test_open_loop),       cmocka_unit_test(test_connections_opened_anew),
        cmocka_unit_test(test_lost_connection), cmocka_unit_test(test_no_window_unless_told),
        cmocka_unit_test(test_device_goes),
    };
    return cmocka_run_group_tests(tests, run_set_up, run_tear_down);
}
