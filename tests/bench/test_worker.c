#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "bench/report.h"
#include "bench/worker.h"
#include "tests/bench/fake_server.h"
#include "tests/support/eal.h"

#define MS 1000000u
#define STEP_NS 1000u
#define TSC_HZ 1000000000u /* a tick is a nanosecond */
#define RUN_LIMIT_NS (20ull * 1000 * MS)
#define ARGS_MAX 32

struct fixture {
    struct buf_pools pools;
    struct bench_plan plan;
    struct transport transport;
    struct fake_server server;
    struct worker_gate gate;
    struct worker worker;
    struct report report;
    bool done;
};

static uint64_t virtual_tsc; /* the worker's clock has no argument */

static uint64_t read_virtual(void)
{
    return virtual_tsc;
}

static void note_done(void *arg)
{
    *(bool *)arg = true;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    test_eal_start();
    test_pools_create(&f->pools, 8192, 2048);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    buf_pools_destroy(&f->pools);
    free(f);
    return 0;
}

static void start(struct fixture *f, const char *arguments)
{
    char text[512], *argv[ARGS_MAX] = {(char *)(uintptr_t) "kvbench"};
    int argc = 1;
    snprintf(text, sizeof text, "--load no --ratio 0:1 --warmup 0 %s", arguments);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) argv[argc++] = word;
    assert_int_equal(bench_plan_parse(&f->plan, argc, argv, stderr), 0);
    fake_server_init(&f->server, &f->transport, &f->pools);
    memset(&f->gate, 0, sizeof f->gate);
    f->gate.threads = 1;
    f->done = false;
    struct worker_config config = {.plan = &f->plan,
                                   .connections = f->plan.connections,
                                   .idle = (uint32_t)f->plan.options.idle_connections,
                                   .gate = &f->gate,
                                   .pools = &f->pools,
                                   .transport = &f->transport,
                                   .tsc_hz = TSC_HZ,
                                   .read_tsc = read_virtual,
                                   .done = note_done,
                                   .done_arg = &f->done};
    assert_int_equal(worker_init(&f->worker, &config, NULL), 0);
    virtual_tsc = 1000;
}

static void step(struct fixture *f)
{
    virtual_tsc += STEP_NS;
    struct tick now = {.tsc = virtual_tsc, .ns = virtual_tsc};
    fake_server_turn(&f->server, virtual_tsc);
    worker_turn(&f->worker, &now);
}

static void run_to_end(struct fixture *f)
{
    while (!f->done && virtual_tsc < RUN_LIMIT_NS) step(f);
    assert_true(f->done);
    report_make(&f->report, &f->plan, &f->worker, 1);
}

static void finish(struct fixture *f)
{
    worker_fini(&f->worker);
    bench_plan_free(&f->plan);
    assert_int_equal(buf_pools_in_use(&f->pools), 0);
}

static uint64_t slower_than(const struct histogram *h, uint64_t ns)
{
    uint64_t n = 0;
    for (uint32_t i = histogram_bucket(ns); i < HISTOGRAM_BUCKETS; i++) n += h->buckets[i];
    return n;
}

/* One request of 50 us each connection and place in the pipeline at a time: the rate follows, each latency is that. */
static uint64_t service_50us(struct fake_server *server)
{
    (void)server;
    return 50000;
}

static void test_closed_loop_rate_and_latency(void **state)
{
    struct fixture *f = *state;
    start(f, "--connections 4 --pipeline 3 --duration 100ms");
    f->server.service_ns = service_50us;
    run_to_end(f);
    assert_true(report_is_good(&f->report));
    assert_in_range(f->report.operations, 23900, 24100); /* 12 in flight, 100 ms / 50 us */
    assert_in_range(f->report.ops_per_s, 239000, 241000);
    assert_int_equal(f->report.all_ns.max, 50000);
    assert_in_range(histogram_quantile(&f->report.all_ns, 0.5), 49500, 50000);
    assert_int_equal(f->report.misses, f->report.gets + f->worker.counts[WORKER_DRAINING].gets);
    finish(f);
}

/* Stalls once for 100 ms: the answer to what comes then. */
static uint64_t service_with_a_stall(struct fake_server *server)
{
    uint64_t stall_from = 300 * (uint64_t)MS, stall_to = 400 * (uint64_t)MS;
    if (server->now_ns >= stall_from && server->now_ns < stall_to) return stall_to - server->now_ns;
    return 1000;
}

/*
 * 1,000 operations a second on one connection; the server stalls from 300 to 400 ms. Some 100 operations were due
 * meanwhile, and half of those had to wait over 50 ms, though only one was ever with the server.
 */
static void test_open_loop_counts_from_the_intended_time(void **state)
{
    struct fixture *f = *state;
    start(f, "--connections 1 --rate 1000 --duration 1s");
    f->server.service_ns = service_with_a_stall;
    run_to_end(f);
    assert_true(report_is_good(&f->report));
    assert_in_range(f->report.operations, 850, 1150);
    assert_in_range(slower_than(&f->report.all_ns, 50 * MS), 25, 80);
    assert_in_range(slower_than(&f->report.all_ns, 10 * MS), 60, 130);
    assert_in_range(f->report.all_ns.max, 90 * MS, 101 * MS);
    finish(f);
}

/* The stall lasts beyond the end: what was due before and is answered while draining counts, as late as it came. */
static uint64_t service_stalled_to_the_end(struct fake_server *server)
{
    uint64_t stall_to = 1200 * (uint64_t)MS;
    return server->now_ns >= 500 * (uint64_t)MS && server->now_ns < stall_to ? stall_to - server->now_ns : 1000;
}

static void test_open_loop_keeps_late_answers(void **state)
{
    struct fixture *f = *state;
    start(f, "--connections 8 --rate 1000 --duration 1s");
    f->server.service_ns = service_stalled_to_the_end;
    run_to_end(f);
    assert_int_equal(slower_than(&f->report.all_ns, 600 * MS), 8);
    assert_in_range(f->report.operations, 400, 600);
    finish(f);
}

static void test_open_loop_keeps_its_rate_and_poisson(void **state)
{
    struct fixture *f = *state;
    start(f, "--connections 32 --rate 50000 --duration 1s");
    run_to_end(f);
    assert_in_range(f->report.operations, 48900, 51100); /* five standard deviations */
    assert_true(f->report.lag_us < 2);
    finish(f);
}

static void test_lost_connection_is_an_error(void **state)
{
    struct fixture *f = *state;
    start(f, "--connections 4 --pipeline 2 --duration 50ms");
    f->server.service_ns = service_50us;
    while (f->worker.phase != WORKER_MEASURING) step(f);
    for (int i = 0; i < 100; i++) step(f);
    fake_server_break(&f->server, 1, ECONNRESET);
    run_to_end(f);
    assert_false(report_is_good(&f->report));
    assert_int_equal(f->report.lost, 1);
    assert_int_equal(f->report.errors, 2);
    assert_string_equal(f->report.error_text, strerror(ECONNRESET));
    assert_true(f->report.operations > 5000); /* the others went on */
    finish(f);
}

/* They come first, are asked nothing, and are gone at the end; one that the server ends meanwhile is told. */
static void test_idle_connections_stand_by(void **state)
{
    struct fixture *f = *state;
    start(f, "--connections 4 --idle-connections 40 --duration 100ms");
    f->server.service_ns = service_50us;
    while (f->worker.phase != WORKER_MEASURING && virtual_tsc < RUN_LIMIT_NS) step(f);
    assert_int_equal(f->server.count, 44);
    for (uint32_t i = 0; i < 40; i++) assert_int_equal(f->server.streams[i].last, 0);
    fake_server_break(&f->server, 7, ECONNRESET);
    run_to_end(f);
    assert_int_equal(f->report.idle, 40);
    assert_int_equal(f->report.lost, 1);
    assert_int_equal(f->report.connect_failures, 0);
    assert_in_range(f->report.operations, 7900, 8100); /* 4 in flight, 100 ms / 50 us */
    for (uint32_t i = 0; i < 44; i++) assert_false(f->server.streams[i].open);
    finish(f);
}

/*
 * A connection for each 4 requests, one at a time: their first waits for the handshake too, and each answer comes on a
 * connection that has had no more. Of 4 * 50 + 100 us a connection, 4 requests.
 */
static void test_connections_opened_anew(void **state)
{
    struct fixture *f = *state;
    start(f, "--connections 2 --reconnect 4 --duration 100ms");
    f->server.service_ns = service_50us;
    f->server.handshake_ns = 100000;
    run_to_end(f);
    assert_true(report_is_good(&f->report));
    assert_in_range(f->report.operations, 2600, 2680);
    assert_in_range(f->report.reopened, 660, 680);
    assert_in_range(f->server.connects - f->report.reopened, 2, 2);
    assert_int_equal(f->server.count, 2);
    assert_in_range(slower_than(&f->report.all_ns, 145000), 660, 680);
    assert_in_range(f->report.all_ns.max, 150000, 153000);
    assert_int_equal(f->server.goes, 0);
    finish(f);
}

/* By fast open the first does not wait. */
static void test_connections_opened_early(void **state)
{
    struct fixture *f = *state;
    start(f, "--connections 2 --reconnect 2 --fast-open --pipeline 2 --duration 100ms");
    f->server.service_ns = service_50us;
    f->server.handshake_ns = 20000;
    f->server.takes_early = true;
    run_to_end(f);
    assert_true(report_is_good(&f->report));
    assert_in_range(f->report.operations, 7700, 8100);
    assert_in_range(f->report.reopened, 3850, 4050);
    assert_int_equal(f->server.goes, f->report.reopened - 2 + f->worker.counts[WORKER_DRAINING].gets / 2);
    assert_in_range(f->report.all_ns.max, 50000, 53000);
    finish(f);
}

/* In an open loop too, at its rate; a server that refuses them later on is told. */
static void test_connections_opened_anew_at_a_rate(void **state)
{
    struct fixture *f = *state;
    start(f, "--connections 8 --reconnect 1 --rate 20000 --duration 500ms");
    f->server.handshake_ns = 50000;
    while (f->worker.phase != WORKER_MEASURING && virtual_tsc < RUN_LIMIT_NS) step(f);
    for (int i = 0; i < 250000; i++) step(f);
    f->server.refuse = ECONNREFUSED;
    run_to_end(f);
    assert_false(report_is_good(&f->report));
    assert_in_range(f->report.operations, 4600, 5400);
    assert_true(f->report.reopened >= f->report.operations);
    assert_int_equal(f->report.connect_failures, 8);
    assert_string_equal(f->report.error_text, strerror(ECONNREFUSED));
    finish(f);
}

static void test_refused_connections_end_the_run(void **state)
{
    struct fixture *f = *state;
    start(f, "--connections 3 --duration 50ms");
    f->server.refuse = ECONNREFUSED;
    run_to_end(f);
    assert_false(report_is_good(&f->report));
    assert_int_equal(f->report.connect_failures, 3);
    assert_string_equal(f->report.error_text, strerror(ECONNREFUSED));
    finish(f);
}

static void test_wrong_values_and_errors_are_counted(void **state)
{
    struct fixture *f = *state;
    start(f, "--connections 2 --duration 10ms --value-size 4");
    f->server.answer = "VALUE kvbench:kvbench 0 4\r\nabcd\r\nEND\r\n";
    run_to_end(f);
    assert_false(report_is_good(&f->report));
    assert_true(f->report.operations > 0);
    assert_true(f->report.wrong >= f->report.operations);
    finish(f);

    start(f, "--connections 2 --duration 10ms");
    f->server.answer = "SERVER_ERROR busy\r\n";
    run_to_end(f);
    assert_false(report_is_good(&f->report));
    assert_true(f->report.errors >= f->report.operations && f->report.operations > 0);
    assert_string_equal(f->report.error_text, "SERVER_ERROR busy");
    finish(f);
}

static void test_answers_that_are_not_the_protocol(void **state)
{
    struct fixture *f = *state;
    start(f, "--connections 2 --duration 10ms");
    f->server.answer = "what?\r\n";
    run_to_end(f);
    assert_false(report_is_good(&f->report));
    assert_int_equal(f->report.lost, 2);
    assert_int_equal(f->report.operations, 0);
    finish(f);
}

static uint64_t service_never(struct fake_server *server)
{
    (void)server;
    return UINT64_MAX / 2;
}

static void test_silent_server_ends_in_time(void **state)
{
    struct fixture *f = *state;
    start(f, "--connections 2 --duration 10ms");
    f->server.service_ns = service_never;
    run_to_end(f);
    assert_false(report_is_good(&f->report));
    assert_int_equal(f->report.errors, 2);
    assert_string_equal(f->report.error_text, "requests without an answer");
    assert_true(virtual_tsc < 5000ull * MS);
    finish(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_closed_loop_rate_and_latency),
        cmocka_unit_test(test_open_loop_counts_from_the_intended_time),
        cmocka_unit_test(test_open_loop_keeps_late_answers),
        cmocka_unit_test(test_open_loop_keeps_its_rate_and_poisson),
        cmocka_unit_test(test_lost_connection_is_an_error),
        cmocka_unit_test(test_idle_connections_stand_by),
        cmocka_unit_test(test_connections_opened_anew),
        cmocka_unit_test(test_connections_opened_early),
        cmocka_unit_test(test_connections_opened_anew_at_a_rate),
        cmocka_unit_test(test_refused_connections_end_the_run),
        cmocka_unit_test(test_wrong_values_and_errors_are_counted),
        cmocka_unit_test(test_answers_that_are_not_the_protocol),
        cmocka_unit_test(test_silent_server_ends_in_time),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
