#include "tests/server/fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "server/lease.h"
#include "server/session.h"
#include "tests/server/check.h"
#include "tests/support/eal.h"

#define TURNS_MAX 20000u
#define TURN_NS 1000u
#define RX_BUFFERS 16384u
#define RX_ROOM 2048u

static void load_config(struct config *config, unsigned cores, const char *option, const char *value)
{
    char count[8];
    snprintf(count, sizeof count, "%u", cores);
    const char *args[] = {"test", "--cores",     count,  "--memory-limit", "32m", "--buffer-memory",
                          "32m",  "--max-value-size", "256k", option,           value};
    CHECK(config_load(config, option ? 11 : 9, (char **)(uintptr_t)args) == CONFIG_RUN);
}

void fixture_init(struct fixture *x, unsigned cores, const char *option, const char *value)
{
    test_eal_start();
    memset(x, 0, sizeof *x);
    load_config(&x->config, cores, option, value);
    x->now = (struct tick){.ns = 1000000000, .unix_ms = 1700000000000};
    struct buf_pools_config rx = {
        .core = 99, .frame_count = RX_BUFFERS, .small_count = 16, .ref_count = 16, .frame_room = RX_ROOM};
    CHECK(buf_pools_create(&x->rx, &rx) == 0);
    x->server = (struct server){.config = &x->config, .metrics = metrics_create()};
    slot_map_init(&x->server.slots, cores);
    x->cores = aligned_alloc(64, (sizeof *x->cores * cores + 63) & ~(size_t)63);
    CHECK(x->cores);
    memset(x->cores, 0, sizeof *x->cores * cores);
    x->server.cores = x->cores;
    for (unsigned i = 0; i < cores; i++) {
        CHECK(core_create(&x->cores[i], &x->server, i) == 0);
        CHECK(core_create_store(&x->cores[i], NULL) == 0);
        x->cores[i].now = &x->now;
        x->idle_buffers[i] = buf_pools_in_use(&x->cores[i].pools);
    }
}

void fixture_fini(struct fixture *x)
{
    for (unsigned i = 0; i < x->config.core_count; i++) core_close(&x->cores[i]);
    for (unsigned i = 0; i < x->config.core_count; i++) core_destroy(&x->cores[i]);
    free(x->cores);
    metrics_destroy(&x->server.metrics);
    buf_pools_destroy(&x->rx);
    config_free(&x->config);
}

unsigned fixture_connect(struct fixture *x, unsigned core, enum fixture_protocol protocol)
{
    CHECK(x->stream_count < FIXTURE_STREAMS);
    unsigned i = x->stream_count++;
    x->stuck[i] = false;
    fake_stream_init(&x->streams[i], &x->cores[core].loop, x->rx.frame);
    if (protocol == FIXTURE_RESP)
        session_accept_resp(&x->cores[core], &x->streams[i].stream);
    else
        session_accept_memcache(&x->cores[core], &x->streams[i].stream);
    return i;
}

unsigned fixture_turn_core(struct fixture *x, unsigned core)
{
    struct core *c = &x->cores[core];
    unsigned work = x->config.core_count > 1 ? mailbox_poll(c, &x->now) : 0;
    work += session_poll(c, &x->now);
    if (x->config.core_count > 1) work += mailbox_flush(c, &x->now);
    x->now.ns += TURN_NS;
    return work;
}

unsigned fixture_turn(struct fixture *x)
{
    unsigned work = 0;
    for (unsigned i = 0; i < x->config.core_count; i++) work += fixture_turn_core(x, i);
    for (unsigned i = 0; i < x->stream_count; i++)
        if (!x->stuck[i]) work += fake_stream_deliver(&x->streams[i], UINT32_MAX);
    return work;
}

void fixture_settle(struct fixture *x)
{
    unsigned turns = 0, idle = 0;
    while (idle < 2) { /* what one core did in its turn, another sees in the next */
        CHECK(turns++ < TURNS_MAX);
        idle = fixture_turn(x) ? 0 : idle + 1;
    }
}

/* Whole chunks are on the free lists: nobody holds one of their objects. */
static void check_free_lists(struct core *core)
{
    unsigned ops = 0, leases = 0, sessions = 0;
    for (const struct op *op = core->free_ops; op; op = op->next) ops++;
    for (const struct lease *lease = core->free_leases; lease; lease = lease->next) leases++;
    for (const struct session *s = core->free_sessions; s; s = s->next) sessions++;
    CHECK(ops % 64 == 0);
    CHECK(leases % 256 == 0);
    CHECK(sessions % 64 == 0);
}

void fixture_end_streams(struct fixture *x)
{
    for (unsigned i = 0; i < x->stream_count; i++) {
        x->stuck[i] = false;
        fake_stream_error(&x->streams[i], ECONNRESET);
    }
    fixture_settle(x);
    for (unsigned i = 0; i < x->stream_count; i++) fake_stream_fini(&x->streams[i]);
    x->stream_count = 0;
    fixture_settle(x); /* pins that go home */
    CHECK(buf_pools_in_use(&x->rx) == 0);
    for (unsigned i = 0; i < x->config.core_count; i++) {
        struct core *core = &x->cores[i];
        CHECK(!core->sessions && !core->touched && !core->loop.head && core->batch.count == 0);
        CHECK(buf_pools_in_use(&core->pools) == x->idle_buffers[i]);
        CHECK(store_metrics(core->store)->pins == 0);
        CHECK(store_metrics(core->store)->writes_open == 0);
        check_free_lists(core);
        store_check(core->store);
    }
}

void fixture_clear(struct fixture *x)
{
    for (unsigned i = 0; i < x->config.core_count; i++) store_flush(x->cores[i].store);
    for (unsigned i = 0; i < x->config.core_count; i++)
        for (unsigned step = 0; step < TURNS_MAX && store_step(x->cores[i].store, x->now.unix_ms); step++) continue;
    x->server.next_client_id = 0;
}
