/*
 * kvbench's worker against polarkv's sessions, over the RDMA datapath at both ends and a fabric of the test's own:
 * whole runs in virtual time, with their data checked.
 */
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
#include "server/session.h"
#include "tests/rdma/ends.h"
#include "tests/server/fixture.h"
#include "tests/support/eal.h"

#define MS 1000000u
#define TURN_NS 2000u
#define TSC_HZ 1000000000u /* a tick is a nanosecond */
#define START_NS 1000000000u
#define RUN_LIMIT_NS (3ull * 1000 * MS)
#define ARGS_MAX 32
#define SIDES 512u

/* Stands for a connection until it is established, as that of transport_rdma.c does. */
struct attempt {
    struct stream stream;
    bool taken;
};

struct run {
    struct fixture server; /* its sessions */
    struct buf_pools pools;
    struct fake *fake;
    struct end near, far;     /* client, server */
    struct side sides[SIDES]; /* 2 i: server's, 2 i + 1: client's */
    struct attempt attempts[SIDES];
    unsigned count;
    struct side_config side;
    struct bench_plan plan;
    struct transport transport;
    struct worker_gate gate;
    struct worker worker;
    struct report report;
    bool resp, done;
};

static struct run x;
static uint64_t virtual_tsc;

static uint64_t read_virtual(void)
{
    return virtual_tsc;
}

static void note_done(void *arg)
{
    *(bool *)arg = true;
}

/* ---- the transport ---- */

static int test_connect(struct transport *t, uint64_t now_ns, bool early, struct stream **out)
{
    (void)now_ns, (void)early;
    assert_true(x.count + 2 <= SIDES);
    struct attempt *a = &x.attempts[x.count];
    sides_connect(&x.sides[x.count], &x.far, &x.sides[x.count + 1], &x.near, &x.side);
    x.sides[x.count + 1].user = a;
    a->stream.loop = &t->loop;
    x.count += 2;
    *out = &a->stream;
    return 0;
}

static uint32_t test_lingering(const struct transport *t)
{
    (void)t;
    return rdma_core_connections(x.near.core);
}

/* Streams come up in their end's list: from then on they are in that of who is to have them. */
static void hand_over(struct end *e, struct stream_loop *loop, void (*take)(struct stream *s))
{
    struct stream *s;
    while ((s = stream_loop_pop(&e->loop)) != NULL) {
        if (s->loop != loop) {
            s->loop = loop;
            take(s);
        }
        stream_raise(s, 0);
    }
}

static void take_near(struct stream *s)
{
    struct side *side = s->user;
    struct attempt *a = side->user;
    assert_false(a->taken);
    a->taken = true;
    side->stream = NULL;
    s->user = a->stream.user;
    memset(&a->stream, 0xee, sizeof a->stream); /* nobody looks at it any more */
}

static void take_far(struct stream *s)
{
    struct side *side = s->user;
    side->stream = NULL;
    if (x.resp)
        session_accept_resp(&x.server.cores[0], s);
    else
        session_accept_memcache(&x.server.cores[0], s);
}

static void turn(void)
{
    struct core *core = &x.server.cores[0];
    virtual_tsc = START_NS + fake_now(x.fake);
    struct tick now = {.tsc = virtual_tsc, .ns = virtual_tsc, .unix_ms = x.server.now.unix_ms};
    struct tick fabric = end_tick(&x.near);
    x.server.now.ns = now.ns;
    rdma_core_input(x.far.core, &fabric);
    hand_over(&x.far, &core->loop, take_far);
    session_poll(core, &x.server.now);
    rdma_core_output(x.far.core, &fabric);
    rdma_core_input(x.near.core, &fabric);
    hand_over(&x.near, &x.transport.loop, take_near);
    worker_turn(&x.worker, &now);
    rdma_core_output(x.near.core, &fabric);
    sides_step(&x.far, x.sides, x.count);
    sides_step(&x.near, x.sides, x.count);
    fake_run(x.fake, TURN_NS);
}

/* ---- a run ---- */

static void ends_start(uint64_t seed)
{
    struct end_config config;
    void *base;
    size_t bytes, page;
    x.fake = fake_create(&(struct fake_config){.seed = seed, .delay_ns = 900, .late_ns = 900});
    end_config_default(&config, &x.server.cores[0].pools);
    config.max_connections = SIDES;
    config.cq_depth = 65536;
    end_create(&x.far, x.fake, &config);
    store_region(x.server.cores[0].store, &base, &bytes, &page);
    end_register(&x.far, base, bytes);
    config.pools = &x.pools;
    end_create(&x.near, x.fake, &config);
}

static void start(uint64_t seed, uint32_t buffer_bytes, const char *arguments)
{
    char text[512], *argv[ARGS_MAX] = {(char *)(uintptr_t) "kvbench"};
    int argc = 1;
    snprintf(text, sizeof text, "--server rdma://10.0.0.1:1 --warmup 0 %s", arguments);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) argv[argc++] = word;
    assert_int_equal(bench_plan_parse(&x.plan, argc, argv, stderr), 0);
    ends_start(seed);
    memset(x.sides, 0, sizeof x.sides);
    memset(x.attempts, 0, sizeof x.attempts);
    x.count = 0;
    x.side = (struct side_config){.buffer_bytes = buffer_bytes, .send_depth = 64, .max_sge = 8};
    x.resp = x.plan.protocol == CODEC_RESP;
    x.done = false;
    x.transport = (struct transport){.connect = test_connect, .lingering = test_lingering};
    memset(&x.gate, 0, sizeof x.gate);
    x.gate.threads = 1;
    struct worker_config config = {.plan = &x.plan,
                                   .connections = x.plan.connections,
                                   .idle = (uint32_t)x.plan.options.idle_connections,
                                   .gate = &x.gate,
                                   .pools = &x.pools,
                                   .transport = &x.transport,
                                   .tsc_hz = TSC_HZ,
                                   .read_tsc = read_virtual,
                                   .done = note_done,
                                   .done_arg = &x.done};
    assert_int_equal(worker_init(&x.worker, &config, NULL), 0);
    end_register(&x.near, x.worker.source.pattern, x.worker.source.pattern_len);
}

static void run_to_end(void)
{
    while (!x.done && virtual_tsc < RUN_LIMIT_NS) turn();
    assert_true(x.done);
    report_make(&x.report, &x.plan, &x.worker, 1);
}

/* Nothing is left: connections, buffers, pins. */
static void finish(void)
{
    for (unsigned i = 0; i < 100000 && rdma_core_connections(x.far.core) + rdma_core_connections(x.near.core); i++)
        turn();
    for (unsigned i = 0; i < x.count; i++) assert_true(x.sides[i].done);
    worker_fini(&x.worker);
    bench_plan_free(&x.plan);
    end_destroy(&x.near);
    end_destroy(&x.far);
    fake_destroy(x.fake);
    assert_int_equal(buf_pools_in_use(&x.pools), 0);
    fixture_end_streams(&x.server);
    fixture_clear(&x.server);
}

static void good_run(uint64_t seed, uint32_t buffer_bytes, const char *arguments)
{
    start(seed, buffer_bytes, arguments);
    run_to_end();
    if (!report_is_good(&x.report)) report_print(&x.report, stderr);
    assert_true(report_is_good(&x.report));
    assert_int_equal(x.report.misses, 0);
    assert_int_equal(end_metric(&x.near, "errors"), 0);
}

static void test_both_protocols(void **state)
{
    (void)state;
    for (unsigned resp = 0; resp < 2; resp++) {
        const char *options = resp ? "--protocol resp --connections 4 --keys 100 --duration 5ms --ratio 1:1"
                                   : "--connections 4 --keys 100 --duration 5ms --ratio 1:1";
        good_run(1 + resp, 4096, options);
        assert_true(x.report.operations > 500 && x.report.gets > 200 && x.report.sets > 200);
        finish();
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
        good_run(3 + i, buffers[i],
                 "--connections 3 --pipeline 8 --keys 60 --value-size 1:30000 --ratio 1:2 --duration 40ms");
        assert_true(x.report.operations > 100);
        assert_true(end_metric(&x.near, "rx_bytes") > 10 * (uint64_t)buffers[i]);
        finish();
    }
}

static void test_open_loop(void **state)
{
    (void)state;
    good_run(7, 4096, "--connections 8 --rate 20000 --keys 100 --duration 50ms --protocol resp");
    assert_in_range(x.report.operations, 800, 1200);
    finish();
}

/* Connections that come and go under load, and others that say nothing. */
static void test_connections_opened_anew(void **state)
{
    (void)state;
    good_run(8, 4096, "--connections 3 --idle-connections 5 --reconnect 60 --keys 50 --duration 4ms --ratio 1:1");
    assert_true(x.report.reopened > 10);
    assert_int_equal(x.report.idle, 5);
    finish();
}

/* A server that goes away: those requests are lost and told, the others go on. */
static void test_lost_connection(void **state)
{
    (void)state;
    start(9, 4096, "--connections 3 --pipeline 2 --keys 50 --duration 5ms");
    while (x.worker.phase != WORKER_MEASURING) turn();
    for (int i = 0; i < 100; i++) turn();
    side_disconnect(&x.sides[2]);
    run_to_end();
    assert_false(report_is_good(&x.report));
    assert_int_equal(x.report.lost, 1);
    assert_in_range(x.report.errors, 1, 2);
    assert_true(x.report.operations > 200);
    finish();
}

static int set_up(void **state)
{
    (void)state;
    fixture_init(&x.server, 1, NULL, NULL);
    struct buf_pools_config pools = {
        .core = 50, .frame_count = 2048, .small_count = 4096, .ref_count = 8192, .frame_room = 2048};
    return buf_pools_create(&x.pools, &pools);
}

static int tear_down(void **state)
{
    (void)state;
    buf_pools_destroy(&x.pools);
    fixture_fini(&x.server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_protocols),  cmocka_unit_test(test_long_values_pipelined),
        cmocka_unit_test(test_open_loop),       cmocka_unit_test(test_connections_opened_anew),
        cmocka_unit_test(test_lost_connection),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
