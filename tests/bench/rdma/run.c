#include "tests/bench/rdma/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "server/rdma_window.h"
#include "server/session.h"

#define TSC_HZ 1000000000u /* a tick is a nanosecond */
#define START_NS 1000000000u
#define RUN_LIMIT_NS (3ull * 1000 * RUN_MS)
#define ARGS_MAX 32

struct run x;
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
    assert_true(x.count + 2 <= RUN_SIDES);
    struct run_attempt *a = &x.attempts[x.count];
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
    struct run_attempt *a = side->user;
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

static void server_turn(void)
{
    const struct config *config = &x.server.config;
    for (unsigned i = 0; i < config->core_count; i++) {
        store_window_tick(x.server.cores[i].store, x.server.now.unix_ms);
        fixture_turn_core(&x.server, i);
    }
}

void run_turn(void)
{
    virtual_tsc = START_NS + fake_now(x.fake);
    struct tick now = {.tsc = virtual_tsc, .ns = virtual_tsc, .unix_ms = x.server.now.unix_ms};
    struct tick fabric = end_tick(&x.near);
    x.server.now.ns = now.ns;
    rdma_core_input(x.far.core, &fabric);
    hand_over(&x.far, &x.server.cores[0].loop, take_far);
    server_turn();
    rdma_core_output(x.far.core, &fabric);
    rdma_core_input(x.near.core, &fabric);
    hand_over(&x.near, &x.transport.loop, take_near);
    worker_turn(&x.worker, &now);
    rdma_core_output(x.near.core, &fabric);
    sides_step(&x.far, x.sides, x.count);
    sides_step(&x.near, x.sides, x.count);
    if (x.before_fabric) x.before_fabric();
    fake_run(x.fake, RUN_TURN_NS);
    if (x.after_fabric) x.after_fabric();
}

void run_turns(unsigned n)
{
    while (n-- > 0) run_turn();
}

/* ---- a run ---- */

static void far_start(struct end_config *config)
{
    struct core *core = &x.server.cores[0];
    struct rdma_core_config offer = {0};
    void *base;
    size_t bytes, page;
    config->pools = &core->pools;
    server_window_offer(core, &offer);
    config->features = offer.features;
    config->message = offer.message;
    config->message_arg = offer.message_arg;
    if (x.alter) x.alter(config);
    end_create(&x.far, x.fake, config);
    for (unsigned i = 0; i < x.server.config.core_count; i++) {
        store_region(x.server.cores[i].store, &base, &bytes, &page);
        x.region_keys[i] = end_register(&x.far, base, bytes);
        if (server_window_access(&x.server.config)) rdma_keys_allow(&x.far.keys, base, x.region_keys[i]);
    }
}

static void ends_start(uint64_t seed)
{
    struct end_config config;
    x.fake = fake_create(&(struct fake_config){.seed = seed, .delay_ns = 900, .late_ns = 900});
    end_config_default(&config, NULL);
    config.max_connections = RUN_SIDES;
    config.cq_depth = 65536;
    struct end_config far = config;
    far_start(&far);
    config.pools = &x.pools;
    if (x.transport.onesided) {
        config.message = onesided_message;
        config.message_arg = x.transport.onesided;
    }
    end_create(&x.near, x.fake, &config);
}

void run_start(uint64_t seed, uint32_t buffer_bytes, const char *arguments)
{
    char text[512], *argv[ARGS_MAX] = {(char *)(uintptr_t) "kvbench"};
    int argc = 1;
    snprintf(text, sizeof text, "--server rdma://10.0.0.1:1 --warmup 0 %s", arguments);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) argv[argc++] = word;
    assert_int_equal(bench_plan_parse(&x.plan, argc, argv, stderr), 0);
    uint32_t looks = x.plan.options.onesided ? x.plan.pipeline : 0;
    x.transport = (struct transport){.connect = test_connect, .lingering = test_lingering};
    if (looks) x.transport.onesided = onesided_set_create(looks);
    ends_start(seed);
    memset(x.sides, 0, sizeof x.sides);
    memset(x.attempts, 0, sizeof x.attempts);
    x.count = 0;
    x.side = (struct side_config){.buffer_bytes = buffer_bytes,
                                  .send_depth = 64,
                                  .max_sge = 8,
                                  .read_bytes = onesided_memory_bytes(looks),
                                  .reads = 4};
    virtual_tsc = START_NS;
    x.resp = x.plan.protocol == CODEC_RESP;
    x.done = false;
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

void run_until(enum worker_phase phase)
{
    while (x.worker.phase < phase && virtual_tsc < RUN_LIMIT_NS) run_turn();
    assert_int_equal(x.worker.phase, phase);
}

void run_to_end(void)
{
    while (!x.done && virtual_tsc < RUN_LIMIT_NS) run_turn();
    assert_true(x.done);
    report_make(&x.report, &x.plan, &x.worker, 1);
}

void run_finish(void)
{
    for (unsigned i = 0; i < 100000 && rdma_core_connections(x.far.core) + rdma_core_connections(x.near.core); i++)
        run_turn();
    for (unsigned i = 0; i < x.count; i++) assert_true(x.sides[i].done);
    worker_fini(&x.worker);
    bench_plan_free(&x.plan);
    onesided_set_destroy(&x.transport.onesided);
    end_destroy(&x.near);
    end_destroy(&x.far);
    fake_destroy(x.fake);
    x.alter = NULL;
    x.before_fabric = x.after_fabric = NULL;
    assert_int_equal(buf_pools_in_use(&x.pools), 0);
    fixture_end_streams(&x.server);
    fixture_clear(&x.server);
}

void run_good(uint64_t seed, uint32_t buffer_bytes, const char *arguments)
{
    run_start(seed, buffer_bytes, arguments);
    run_to_end();
    if (!report_is_good(&x.report)) report_print(&x.report, stderr);
    assert_true(report_is_good(&x.report));
    assert_int_equal(x.report.misses, 0);
    assert_int_equal(end_metric(&x.near, "errors"), 0);
}

/* ---- the server ---- */

/* More options than a fixture takes. The stores have windows where the server listens by RDMA and says so. */
static void config_write(char *path, const char *text)
{
    int fd = mkstemp(path);
    FILE *out = fdopen(fd, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

/* config NULL: none. */
static int server_start(unsigned cores, const char *config)
{
    char path[] = "/tmp/polarkv-onesided-XXXXXX";
    struct buf_pools_config pools = {
        .core = 50, .frame_count = 2048, .small_count = 4096, .ref_count = 8192, .frame_room = 2048};
    if (config) config_write(path, config);
    fixture_init(&x.server, cores, config ? "--config" : NULL, path);
    if (config) unlink(path);
    assert_int_equal(buf_pools_create(&x.pools, &pools), 0);
    return 0;
}

#define ONESIDED "rdma = 127.0.0.1:6379\nrdma-onesided = yes\n"

int run_set_up(void **state)
{
    (void)state;
    return server_start(1, NULL);
}

int run_set_up_onesided(void **state)
{
    (void)state;
    return server_start(FIXTURE_CORES, ONESIDED);
}

int run_set_up_password(void **state)
{
    (void)state;
    return server_start(FIXTURE_CORES, ONESIDED "password = " RUN_PASSWORD "\n");
}

int run_tear_down(void **state)
{
    (void)state;
    buf_pools_destroy(&x.pools);
    for (unsigned i = 0; i < x.server.config.core_count; i++)
        if (x.server.cores[i].rdma) rdma_core_destroy(&x.server.cores[i].rdma); /* the fabric's end stood for it */
    fixture_fini(&x.server);
    return 0;
}
