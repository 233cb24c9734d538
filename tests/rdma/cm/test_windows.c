/*
 * What set-up opens to peers of a pair's memory: its receive buffers, to its own peer; and what becomes of connections
 * where a device has no memory windows, or gives none.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "rdma/address.h"
#include "rdma/dial.h"
#include "tests/rdma/cm/listening.h"

#define BUFFER 4096u

static char text[4096];

/* What is logged until log_end has it in text. */
static int log_begin(void)
{
    FILE *file = tmpfile();
    int before = dup(STDERR_FILENO);
    assert_non_null(file);
    dup2(fileno(file), STDERR_FILENO);
    fclose(file);
    return before;
}

static void log_end(int before)
{
    ssize_t n = pread(STDERR_FILENO, text, sizeof text - 1, 0);
    dup2(before, STDERR_FILENO);
    close(before);
    assert_true(n >= 0);
    text[n] = '\0';
}

static unsigned lines(const char *with)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, with)) != NULL; at += strlen(with)) count++;
    return count;
}

struct told {
    struct rdma_cm_id *id;
    struct rdma_message m; /* its registration */
};

static struct told client(void)
{
    struct told t = {.id = listening_connect(SHARED_PORT, 0)};
    world_peer_message(&t.m);
    assert_int_equal(t.m.opcode, RDMA_REGISTER);
    assert_int_equal(t.m.length, BUFFER);
    return t;
}

static void a_client_writes_into_its_own_buffers(void **state)
{
    (void)state;
    listening_start(4);
    struct told victim = client(), thief = client();
    assert_int_equal(listening_metric("memory_windows"), 2);
    assert_int_equal(world_peer_write(thief.id, victim.m.address, victim.m.key), IBV_WC_REM_ACCESS_ERR);
    world_device_event(0, IBV_EVENT_QP_ACCESS_ERR, thief.id);
    world_turns(50);
    assert_int_equal(listening_metric("pair_errors"), 1);
    assert_int_equal(listening_metric("memory_windows"), 1);
    assert_false(world_alive(thief.id));
    assert_int_equal(world_peer_write(victim.id, victim.m.address, victim.m.key), IBV_WC_SUCCESS);
    assert_int_equal(world_peer_write(victim.id, victim.m.address + 2 * BUFFER - 1, victim.m.key), IBV_WC_SUCCESS);
    assert_int_equal(world_peer_write(victim.id, victim.m.address + 2 * BUFFER, victim.m.key), IBV_WC_REM_ACCESS_ERR);
    listening_end();
}

/* ---- the client's side ---- */

static struct stream *dialed;

static void done(void *arg, struct stream *stream, int error)
{
    (void)arg;
    assert_int_equal(error, 0);
    dialed = stream;
}

/* Which of its memory a server may write into: not what the client reads into, nor its messages. */
static void server_writes(uint32_t past_buffers, bool into_reads, enum ibv_wc_status status)
{
    char error[512];
    struct sockaddr_storage to;
    struct rdma_dialer *dialer;
    struct rdma_dial *dial;
    struct rdma_message m;
    uint32_t lkey;
    world_start(1, 4);
    const struct rdma_dialer_config config = {.reactor = world.reactor,
                                              .core = world.cores[0],
                                              .pools = world.pools,
                                              .buffer_bytes = BUFFER,
                                              .read_bytes = BUFFER,
                                              .timeout_ns = 3 * WORLD_SECOND,
                                              .reads = 1};
    assert_int_equal(rdma_dialer_create(&dialer, &config, error, sizeof error), 0);
    struct poller poller = {.run = rdma_dialer_turn, .deadline = rdma_dialer_deadline, .arg = dialer};
    reactor_add_poller(world.reactor, &poller);
    assert_int_equal(rdma_address_parse("10.0.0.1:6379", &to), 0);
    assert_int_equal(rdma_dial(dialer, &to, done, NULL, &dial), 0);
    world_turns(5);
    struct rdma_cm_id *id = world_last_id();
    world_event(id, RDMA_CM_EVENT_ESTABLISHED, 0);
    world_turns(5);
    world_peer_message(&m);
    uint8_t *reads = rdma_conn_read_memory(rdma_conn_of(dialed), &lkey);
    uint64_t at = into_reads ? (uintptr_t)reads : m.address + 2 * BUFFER - 1 + past_buffers;
    assert_int_equal(world_peer_write(id, at, m.key), status);
    dialed->ops->abort(dialed);
    world_turns(50);
    assert_int_equal(rdma_dialer_count(dialer), 0);
    assert_true(rdma_dialer_destroy(&dialer, 0));
    world_end();
}

static void a_server_writes_into_the_buffers(void **state)
{
    (void)state;
    server_writes(0, false, IBV_WC_SUCCESS);
    server_writes(1, false, IBV_WC_REM_ACCESS_ERR);
    server_writes(0, true, IBV_WC_REM_ACCESS_ERR);
}

/* ---- devices ---- */

static void start_logged(uint32_t max_connections)
{
    static const char *const addresses[] = {"10.0.0.1:6379", "10.0.0.1:6381"};
    int before = log_begin();
    int rc = listening_create(max_connections, addresses, 2);
    log_end(before);
    assert_int_equal(rc, 0);
    assert_int_equal(rdma_listener_start(listening.listener, listening.text, sizeof listening.text), 0);
    world_turns(2);
}

/* It serves, and says what that means. */
static void a_device_without_windows(void **state)
{
    (void)state;
    for (int without = 0; without < 2; without++) {
        world_start(WORLD_CORES, 4);
        world.no_windows = without;
        start_logged(4);
        assert_int_equal(lines("RDMA device fake0 has no memory windows of type 2"), without);
        struct told victim = client(), thief = client();
        assert_int_equal(listening_metric("memory_windows"), without ? 0 : 2);
        assert_int_equal(world_peer_write(thief.id, victim.m.address, victim.m.key),
                         without ? IBV_WC_SUCCESS : IBV_WC_REM_ACCESS_ERR);
        listening_end();
    }
}

/* Refused, and everything is back. Of what is no shortage there is one line, until a window was to be had again. */
static void no_window_no_acceptance(void **state)
{
    static const struct {
        int error;
        unsigned said;
    } cases[] = {{ENOMEM, 0}, {ENOSPC, 0}, {EINVAL, 1}, {EINVAL, 0}, {0, 0}, {EOPNOTSUPP, 1}};
    uint64_t refused = 0;
    (void)state;
    listening_start(4);
    unsigned regions = world.counts.mrs;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        world.faults.alloc_mw = cases[i].error;
        int before = log_begin();
        struct rdma_cm_id *id = world_request(SHARED_PORT, 0);
        world_turns(5);
        log_end(before);
        assert_int_equal(lines("RDMA device fake0 gives no memory window"), cases[i].said);
        refused += cases[i].error != 0;
        assert_int_equal(listening_metric("rejected_resources"), refused);
        assert_int_equal(world.counts.rejects, refused);
        assert_int_equal(world_alive(id), cases[i].error == 0);
        if (cases[i].error == 0) world_event(id, RDMA_CM_EVENT_REJECTED, 0);
        world_turns(50);
        assert_true(listening_at_rest());
        assert_int_equal(world.counts.mrs, regions);
        assert_int_equal(fake_windows(world.fake), 0);
    }
    assert_int_equal(listening_metric("rejected_queue"), 0);
    listening_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_writes_into_its_own_buffers), cmocka_unit_test(a_server_writes_into_the_buffers),
        cmocka_unit_test(a_device_without_windows), cmocka_unit_test(no_window_no_acceptance)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
