/* Devices, their ports and addresses: found, not found, gone, back. */
#include "tests/rdma/cm/listening.h"

#include <errno.h>
#include <string.h>

static const char *const one[] = {"10.0.0.1:6379"};
static const char *const anywhere[] = {"0.0.0.0:6379"};

#define NO_DEVICE 1 /* and with it -ENODEV */

static void refused(const char *const *addresses, int rc, const char *words)
{
    struct world_faults faults = world.faults;
    world_start(WORLD_CORES, 4);
    world.faults = faults;
    if (rc == NO_DEVICE) world_device_go(0, true);
    assert_int_equal(listening_create(4, addresses, 1), rc == NO_DEVICE ? -ENODEV : rc);
    if (!strstr(listening.text, words)) fail_msg("\"%s\" says nothing of \"%s\"", listening.text, words);
    assert_true(world_empty());
    listening_end();
}

static void what_is_missing_is_said(void **state)
{
    static const char *const elsewhere[] = {"10.0.9.1:6379"};
    (void)state;
    refused(one, NO_DEVICE, "this machine has no RDMA device");
    refused(elsewhere, -ENODEV, "10.0.9.1:6379 belongs to no RDMA device; fake0 port 1 has 10.0.0.1");
    world.faults.gid = ENOENT;
    refused(elsewhere, -ENODEV, "fake0 port 1 has no GID: give its network interface an address");
    world.faults.port_down = EIO;
    refused(elsewhere, -ENODEV, "fake0 port 1 (down) has 10.0.0.1");
    world.faults.get = ENOENT;
    refused(one, -ENOENT, "no library");
    world.faults.bind = EADDRINUSE;
    refused(one, -EADDRINUSE, "cannot bind 10.0.0.1:6379");
    world.faults.reg_mr = ENOMEM;
    refused(one, -EIO, "RDMA device fake0 does not take");
}

static int start_with(void (*alter)(void))
{
    world_start(WORLD_CORES, 4);
    assert_int_equal(listening_create(4, one, 1), 0);
    alter();
    return rdma_listener_start(listening.listener, listening.text, sizeof listening.text);
}

static void listen_fails(void)
{
    world.faults.listen = EADDRINUSE;
}

static void a_port_in_use_is_said(void **state)
{
    (void)state;
    assert_int_equal(start_with(listen_fails), -EADDRINUSE);
    assert_non_null(strstr(listening.text, "cannot listen on 10.0.0.1:6379"));
    listening_end();
}

/* Connections end, all is given back, and librdmacm with it; a second later than the device it listens again. */
static void the_only_device_goes_and_returns(void **state)
{
    (void)state;
    for (unsigned silent = 0; silent < 2; silent++) {
        listening_start(4);
        listening_connect(SHARED_PORT, 0);
        listening_connect(CORE1_PORT, 0);
        world_request(SHARED_PORT, 0); /* not confirmed yet */
        world_turns(3);
        world_device_go(0, silent);
        world_pass(2 * WORLD_SECOND);
        assert_int_equal(listening_metric("removed"), 3);
        assert_int_equal(listening_metric("device_removals"), 1);
        assert_int_equal(listening_metric("listeners"), 0);
        assert_int_equal(world.streams_ended, 2);
        assert_true(listening_at_rest());
        assert_true(world_empty());
        world_pass(2 * WORLD_SECOND);
        assert_true(listening_metric("listener_retries") > 0);
        world_device_come(0);
        world_pass(2 * WORLD_SECOND);
        assert_int_equal(listening_metric("listeners"), 2);
        listening_connect(SHARED_PORT, 0);
        listening_end();
    }
}

/* Nobody has an id on it, so that nobody is told. */
static void an_idle_device_of_the_wildcard_goes(void **state)
{
    (void)state;
    world_start(WORLD_CORES, 4);
    assert_int_equal(listening_create(4, anywhere, 1), 0);
    assert_int_equal(rdma_listener_start(listening.listener, listening.text, sizeof listening.text), 0);
    world_turns(2);
    assert_int_equal(listening_metric("devices"), 1);
    world_device_go(0, false);
    world_pass(2 * WORLD_SECOND);
    assert_true(world_empty());
    world_device_come(0);
    world_pass(2 * WORLD_SECOND);
    listening_connect(SHARED_PORT, 0);
    listening_end();
}

static void one_of_two_goes(void **state)
{
    (void)state;
    world_start(WORLD_CORES, 4);
    assert_int_equal(listening_create(4, anywhere, 1), 0);
    world_device_come(1);
    assert_int_equal(rdma_listener_start(listening.listener, listening.text, sizeof listening.text), 0);
    world_turns(2);
    struct rdma_cm_id *stays = listening_connect(SHARED_PORT, 0);
    listening_connect(SHARED_PORT, 1);
    assert_int_equal(listening_metric("devices"), 2);
    world_device_go(1, false);
    world_pass(2 * WORLD_SECOND);
    assert_int_equal(listening_metric("removed"), 1);
    assert_int_equal(listening_metric("devices"), 1);
    assert_int_equal(world.counts.contexts, 1);
    assert_int_equal(world.counts.users, 1);
    assert_true(world_alive(stays));
    assert_int_equal(rdma_listener_connections(listening.listener), 1);
    world_device_come(1);
    world_pass(WORLD_SECOND);
    listening_connect(SHARED_PORT, 1);
    listening_end();
}

/* A device that we have open and do not use must be able to go too. */
static void an_unused_device_goes(void **state)
{
    (void)state;
    listening_start(4);
    struct rdma_cm_id *stays = listening_connect(SHARED_PORT, 0);
    world_device_come(1);
    rdma_cm_look();
    assert_int_equal(world.counts.contexts, 2);
    world_device_go(1, false);
    world_pass(2 * WORLD_SECOND);
    assert_int_equal(world.counts.contexts, 1);
    assert_true(world_alive(stays));
    listening_end();
}

/* The device is back, its address is not yet. */
static void the_address_comes_later(void **state)
{
    (void)state;
    listening_start(4);
    world_device_go(0, false);
    world_pass(2 * WORLD_SECOND);
    world_device_come(0);
    world.faults.bind = EADDRNOTAVAIL;
    while (listening_metric("listeners") == 0) world_pass(WORLD_SECOND / 10);
    assert_int_equal(listening_metric("listeners"), 1); /* the second one's bind went well */
    world_pass(2 * WORLD_SECOND);
    assert_int_equal(listening_metric("listeners"), 2);
    listening_connect(SHARED_PORT, 0);
    listening_end();
}

static void it_goes_while_the_listener_stops(void **state)
{
    (void)state;
    listening_start(4);
    listening_connect(SHARED_PORT, 0);
    rdma_listener_stop(listening.listener);
    world_device_go(0, false);
    world_turns(50);
    assert_true(listening_at_rest());
    listening_end();
}

static void what_a_device_says_of_itself(void **state)
{
    (void)state;
    listening_start(4);
    struct rdma_cm_id *early = world_request(SHARED_PORT, 0), *broken = listening_connect(SHARED_PORT, 0);
    world_device_event(0, IBV_EVENT_COMM_EST, early);
    world_device_event(0, IBV_EVENT_QP_FATAL, broken);
    world_device_event(0, IBV_EVENT_PORT_ERR, NULL);
    world_turns(50);
    world_device_event(0, IBV_EVENT_PORT_ACTIVE, NULL);
    world_device_event(0, IBV_EVENT_GID_CHANGE, NULL);
    world_turns(5);
    assert_int_equal(world.counts.notifies, 1);
    assert_int_equal(listening_metric("pair_errors"), 1);
    assert_int_equal(listening_metric("port_downs"), 1);
    assert_int_equal(listening_metric("port_ups"), 1);
    assert_int_equal(rdma_listener_connections(listening.listener), 1);
    listening_end();
}

/* It is still listed: it is closed and taken anew. */
static void a_device_breaks(void **state)
{
    (void)state;
    listening_start(4);
    listening_connect(SHARED_PORT, 0);
    world_device_event(0, IBV_EVENT_DEVICE_FATAL, NULL);
    world_turns(50);
    assert_int_equal(listening_metric("device_errors"), 1);
    assert_int_equal(listening_metric("removed"), 1);
    assert_true(listening_at_rest());
    world_pass(2 * WORLD_SECOND);
    assert_int_equal(listening_metric("listeners"), 2);
    listening_connect(SHARED_PORT, 0);
    listening_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_missing_is_said),
                                       cmocka_unit_test(a_port_in_use_is_said),
                                       cmocka_unit_test(the_only_device_goes_and_returns),
                                       cmocka_unit_test(an_idle_device_of_the_wildcard_goes),
                                       cmocka_unit_test(one_of_two_goes),
                                       cmocka_unit_test(an_unused_device_goes),
                                       cmocka_unit_test(the_address_comes_later),
                                       cmocka_unit_test(it_goes_while_the_listener_stops),
                                       cmocka_unit_test(what_a_device_says_of_itself),
                                       cmocka_unit_test(a_device_breaks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
