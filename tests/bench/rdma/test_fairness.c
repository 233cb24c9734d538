/*
 * One greedy pair beside a modest one. The greedy client writes each of the server's buffers full of requests at once,
 * thousands of them, and always has the next one ready; the modest one, kvbench's, asks for one key at a time. Time in
 * the fabric does not tell how much a core does in a turn, so that is what is counted.
 */
#include <string.h>
#include "tests/bench/rdma/run.h"

#define BUFFER 131072u
#define REQUEST "get greedy:0123456789:abcdefgh\r\n"
#define REQUEST_BYTES (sizeof REQUEST - 1)
#define MODEST "--connections 1 --keys 20 --ratio 1:9 --duration 4ms"
#define TURN_REQUESTS 256u /* of one connection (server/session.h), */
#define TURN_WRITES 16u    /* and writes to it (rdma/core_impl.h), in one turn of the core */

_Static_assert(BUFFER % REQUEST_BYTES == 0, "buffers are filled by whole requests");

static struct {
    struct side *victim, *raw;
    struct rdma_message window; /* the server's buffer, to be filled */
    bool registered;
    uint32_t received;
    uint8_t requests[BUFFER];
    uint64_t gets, writes; /* the server's, a turn ago */
    uint64_t most_gets, most_writes, total;
} g;

static void greedy_registers(void)
{
    raw_send(g.raw, &(struct rdma_message){.opcode = RDMA_REGISTER,
                                           .address = (uintptr_t)g.raw->memory,
                                           .length = g.raw->buffer_bytes,
                                           .key = g.raw->key});
    g.received = 0;
}

static void greedy_takes(void)
{
    struct rdma_message m;
    uint32_t bytes;
    while (raw_receive(g.raw, &m, &bytes)) {
        g.received += bytes;
        if (bytes > 0 || m.opcode != RDMA_REGISTER) continue;
        g.window = m;
        g.registered = true;
    }
    if (g.received == g.raw->buffer_bytes) greedy_registers();
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void turn_counted(void)
{
    uint64_t gets = metric_get(&x.server.cores[0].metrics.cmd_get), writes = end_metric(&x.far, "tx_writes");
    g.most_gets = most(g.most_gets, gets - g.gets);
    g.most_writes = most(g.most_writes, writes - g.writes);
    g.total += gets - g.gets;
    g.gets = gets;
    g.writes = writes;
}

static void greedy_turn(void)
{
    turn_counted();
    greedy_takes();
    if (!g.registered) return;
    g.registered = false;
    raw_write(g.raw, g.requests, g.window.length, g.window.address, g.window.key, g.window.length);
}

static void greedy_start(void)
{
    memset(&g, 0, sizeof g);
    for (uint32_t at = 0; at < BUFFER; at += REQUEST_BYTES) memcpy(g.requests + at, REQUEST, REQUEST_BYTES);
    g.victim = &x.sides[x.count];
    g.raw = g.victim + 1;
    sides_connect_raw(g.victim, &x.far, g.raw, fake_device_create(x.fake), &x.side);
    x.count += 2;
    greedy_registers();
    g.gets = metric_get(&x.server.cores[0].metrics.cmd_get);
    x.before_fabric = greedy_turn;
}

static void greedy_end(void)
{
    x.before_fabric = NULL;
    side_disconnect(g.victim);
    run_turns(200);
    g.raw->done = true;
    side_raw_destroy(g.raw);
}

static void one_greedy_does_not_hold_up_the_others(void **state)
{
    (void)state;
    run_good(50, BUFFER, MODEST);
    uint64_t alone = x.report.operations;
    assert_true(alone > 300);
    run_finish();

    run_start(50, BUFFER, MODEST);
    run_until(WORKER_MEASURING);
    greedy_start();
    run_to_end();
    assert_true(report_is_good(&x.report));
    /* It is greedy: at all times there is more of it than a turn takes. */
    assert_true(g.total > 100 * TURN_REQUESTS);
    assert_in_range(g.most_gets, TURN_REQUESTS, TURN_REQUESTS + 1);
    assert_in_range(g.most_writes, 1, TURN_WRITES + 1);
    /* And the other one is served in each turn, as it is alone. */
    assert_in_range(x.report.operations, alone * 9 / 10, alone * 11 / 10);
    greedy_end();
    run_finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_greedy_does_not_hold_up_the_others)};
    return cmocka_run_group_tests(tests, run_set_up, run_tear_down);
}
