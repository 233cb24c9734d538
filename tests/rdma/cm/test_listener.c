/* What the listener makes of requests and events, in whatever order they come. */
#include "tests/rdma/cm/listening.h"

#include <errno.h>
#include <string.h>

static void accepted_served_disconnected(void **state)
{
    (void)state;
    listening_start(4);
    struct rdma_cm_id *id = listening_connect(SHARED_PORT, 0);
    assert_int_equal(listening_metric("established"), 1);
    assert_int_equal(world.accepted.retry_count, 7);
    assert_int_equal(world.accepted.rnr_retry_count, 7);
    assert_true(listening_metric("memory_bytes") > 0);
    world_event(id, RDMA_CM_EVENT_DISCONNECTED, 0);
    world_turns(50);
    assert_int_equal(world.streams_ended, 1);
    assert_int_equal(listening_metric("disconnected"), 1);
    assert_true(listening_at_rest());
    assert_false(world_alive(id));
    listening_end();
}

static void our_end_is_a_cut(void **state)
{
    (void)state;
    listening_start(4);
    struct rdma_cm_id *id = listening_connect(SHARED_PORT, 0);
    listening.streams[0]->ops->abort(listening.streams[0]);
    world_turns(50);
    assert_int_equal(listening_metric("cut"), 1);
    assert_int_equal(world.counts.disconnects, 1);
    assert_true(listening_at_rest());
    world_event(id, RDMA_CM_EVENT_DISCONNECTED, 0); /* of an id that is no more */
    world_turns(5);
    assert_int_equal(listening_metric("disconnected"), 0);
    listening_end();
}

static void to_the_core_with_the_fewest_until_all_are_full(void **state)
{
    (void)state;
    listening_start(2);
    struct rdma_cm_id *ids[4];
    for (unsigned i = 0; i < 4; i++) {
        ids[i] = listening_connect(SHARED_PORT, 0);
        assert_int_equal(rdma_core_connections(world.cores[0]), i / 2 + 1);
        assert_int_equal(rdma_core_connections(world.cores[1]), (i + 1) / 2);
    }
    struct rdma_cm_id *fifth = world_request(SHARED_PORT, 0);
    world_turns(5);
    assert_false(world_alive(fifth));
    assert_int_equal(world.counts.rejects, 1);
    assert_int_equal(listening_metric("rejected_limit"), 1);
    world_event(ids[1], RDMA_CM_EVENT_DISCONNECTED, 0);
    world_turns(50);
    listening_connect(SHARED_PORT, 0);
    assert_int_equal(rdma_core_connections(world.cores[1]), 2);
    listening_end();
}

static void a_cores_own_port_is_that_cores(void **state)
{
    (void)state;
    listening_start(2);
    listening_connect(CORE1_PORT, 0);
    listening_connect(CORE1_PORT, 0);
    assert_int_equal(rdma_core_connections(world.cores[0]), 0);
    assert_int_equal(rdma_core_connections(world.cores[1]), 2);
    world_request(CORE1_PORT, 0); /* though the other has room */
    world_turns(5);
    assert_int_equal(listening_metric("rejected_limit"), 1);
    listening_connect(SHARED_PORT, 0);
    assert_int_equal(rdma_core_connections(world.cores[0]), 1);
    listening_end();
}

static void no_memory_no_pair_no_acceptance(void **state)
{
    (void)state;
    listening_start(64);
    for (unsigned i = 0; listening_metric("rejected_memory") == 0; i++) {
        assert_true(i < 128);
        world_request(SHARED_PORT, 0);
        world_turns(3);
    }
    world_pass(8 * WORLD_SECOND); /* nobody of them is confirmed */
    assert_true(listening_at_rest());
    world.faults.create_qp = ENOMEM;
    world_request(SHARED_PORT, 0);
    world_turns(5);
    assert_int_equal(listening_metric("rejected_resources"), 1);
    assert_true(listening_at_rest());
    world.faults.accept = EINVAL;
    world_request(SHARED_PORT, 0);
    world_turns(50);
    assert_int_equal(listening_metric("accept_failed"), 1);
    assert_true(listening_at_rest());
    assert_int_equal(listening.accepted, 0);
    listening_end();
}

static void a_handshake_that_never_ends_is_ended(void **state)
{
    (void)state;
    listening_start(4);
    struct rdma_cm_id *id = world_request(SHARED_PORT, 0);
    world_turns(3);
    world_pass(4 * WORLD_SECOND);
    assert_int_equal(rdma_listener_connections(listening.listener), 1);
    world_pass(4 * WORLD_SECOND);
    assert_int_equal(listening_metric("handshake_failed"), 1);
    assert_true(listening_at_rest());
    assert_false(world_alive(id));
    assert_int_equal(listening.accepted, 0);
    listening_end();
}

/* Each in place of ESTABLISHED, and ESTABLISHED behind it, in the same turn and in a later one. */
static void ends_before_established(void **state)
{
    static const struct {
        enum rdma_cm_event_type type;
        const char *metric;
    } ends[] = {{RDMA_CM_EVENT_DISCONNECTED, "disconnected"},
                {RDMA_CM_EVENT_REJECTED, "handshake_failed"},
                {RDMA_CM_EVENT_UNREACHABLE, "handshake_failed"},
                {RDMA_CM_EVENT_CONNECT_ERROR, "handshake_failed"}};
    (void)state;
    listening_start(4);
    for (unsigned i = 0; i < 2 * sizeof ends / sizeof *ends; i++) {
        uint64_t before = listening_metric(ends[i / 2].metric);
        struct rdma_cm_id *id = world_request(SHARED_PORT, 0);
        world_turns(3);
        world_event(id, ends[i / 2].type, 0);
        if (i % 2) world_turns(1);
        world_event(id, RDMA_CM_EVENT_ESTABLISHED, 0);
        world_event(id, RDMA_CM_EVENT_DISCONNECTED, 0);
        world_turns(50);
        assert_int_equal(listening_metric(ends[i / 2].metric), before + 1);
        assert_true(listening_at_rest());
    }
    assert_int_equal(listening_metric("established"), 0);
    assert_int_equal(listening.accepted, 0);
    listening_end();
}

static void what_says_nothing_changes_nothing(void **state)
{
    (void)state;
    listening_start(4);
    struct rdma_cm_id *id = listening_connect(SHARED_PORT, 0);
    world_event(id, RDMA_CM_EVENT_ESTABLISHED, 0);
    world_event(id, RDMA_CM_EVENT_TIMEWAIT_EXIT, 0);
    world_event(id, RDMA_CM_EVENT_ADDR_CHANGE, 0);
    world_event(world_listener(SHARED_PORT), RDMA_CM_EVENT_ADDR_CHANGE, 0);
    world_turns(5);
    assert_int_equal(listening_metric("established"), 1);
    assert_int_equal(rdma_listener_connections(listening.listener), 1);
    assert_int_equal(listening_metric("listeners"), 2);
    listening_end();
}

/* The request waits in the channel while the listener stops. */
static void requests_while_it_stops(void **state)
{
    (void)state;
    listening_start(4);
    listening_connect(SHARED_PORT, 0);
    struct rdma_cm_id *late = world_request(SHARED_PORT, 0);
    rdma_listener_stop(listening.listener);
    world_turns(50);
    assert_false(world_alive(late));
    assert_int_equal(world.counts.rejects, 1);
    assert_int_equal(world.streams_ended, 1);
    assert_true(listening_at_rest());
    listening_end();
}

/* Of a connection only its own memory: what is sent from was registered with the device, once. */
static void a_connection_is_one_memory_region(void **state)
{
    (void)state;
    listening_start(4);
    unsigned before = world.counts.mrs;
    struct rdma_cm_id *ids[3];
    for (unsigned i = 0; i < 3; i++) {
        ids[i] = listening_connect(SHARED_PORT, 0);
        assert_int_equal(world.counts.mrs, before + i + 1);
        assert_int_equal(listening_metric("memory_regions"), world.counts.mrs);
    }
    for (unsigned i = 0; i < 3; i++) world_event(ids[i], RDMA_CM_EVENT_DISCONNECTED, 0);
    world_turns(50);
    assert_int_equal(world.counts.mrs, before);
    listening_end();
}

static void give_window(unsigned stream)
{
    struct rdma_conn *conn = rdma_conn_of(listening.streams[stream]);
    assert_true(rdma_conn_send_message(conn, &(struct rdma_message){.opcode = RDMA_WINDOW, .bytes = 1}));
    world_turns(5);
}

/* A client writes into its pair, and reads through it when a core gives it a window: no sooner, and nobody else. */
static void reads_are_who_has_a_window(void **state)
{
    (void)state;
    listening_start(4);
    struct rdma_cm_id *asks = listening_connect(SHARED_PORT, 0), *silent = listening_connect(SHARED_PORT, 0);
    assert_int_equal(fake_qp_access(asks->qp), IBV_ACCESS_REMOTE_WRITE);
    give_window(0);
    give_window(0); /* another shard's */
    assert_int_equal(fake_qp_access(asks->qp), IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ);
    assert_int_equal(fake_qp_access(silent->qp), IBV_ACCESS_REMOTE_WRITE);
    assert_int_equal(rdma_core_metrics(world.cores[0])->tx_messages, 3); /* a registration, two windows */
    world.faults.modify_qp = EIO;
    give_window(1);
    world_turns(50);
    assert_int_equal(listening_metric("reads_refused"), 1);
    assert_int_equal(world.streams_ended, 1);
    assert_int_equal(rdma_core_metrics(world.cores[1])->tx_messages, 1);
    assert_true(world_alive(asks) && !world_alive(silent));
    listening_end();
}

/* The core asks for it while the connection ends by another way. */
static void reads_of_one_that_ends(void **state)
{
    (void)state;
    listening_start(4);
    struct rdma_cm_id *id = listening_connect(SHARED_PORT, 0);
    struct rdma_conn *conn = rdma_conn_of(listening.streams[0]);
    assert_true(rdma_conn_send_message(conn, &(struct rdma_message){.opcode = RDMA_WINDOW, .bytes = 1}));
    world_event(id, RDMA_CM_EVENT_DISCONNECTED, 0);
    world_turns(50);
    assert_true(listening_at_rest());
    assert_int_equal(listening_metric("reads_refused"), 0);
    listening_end();
}

static void a_pair_that_does_not_come_up(void **state)
{
    (void)state;
    listening_start(4);
    world.faults.modify_qp = EINVAL;
    world_request(SHARED_PORT, 0);
    world_turns(50);
    assert_int_equal(listening_metric("accept_failed"), 1);
    assert_int_equal(world.counts.accepts, 0);
    assert_true(listening_at_rest());
    listening_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(accepted_served_disconnected),
                                       cmocka_unit_test(our_end_is_a_cut),
                                       cmocka_unit_test(to_the_core_with_the_fewest_until_all_are_full),
                                       cmocka_unit_test(a_cores_own_port_is_that_cores),
                                       cmocka_unit_test(no_memory_no_pair_no_acceptance),
                                       cmocka_unit_test(a_handshake_that_never_ends_is_ended),
                                       cmocka_unit_test(ends_before_established),
                                       cmocka_unit_test(what_says_nothing_changes_nothing),
                                       cmocka_unit_test(requests_while_it_stops),
                                       cmocka_unit_test(a_connection_is_one_memory_region),
                                       cmocka_unit_test(reads_are_who_has_a_window),
                                       cmocka_unit_test(reads_of_one_that_ends),
                                       cmocka_unit_test(a_pair_that_does_not_come_up)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
