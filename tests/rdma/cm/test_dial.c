/* The client's side of connecting: an attempt's every end, and devices that go. */
#include <errno.h>
#include <string.h>
#include "rdma/address.h"
#include "rdma/dial.h"
#include "tests/rdma/cm/world.h"

static struct rdma_dialer *dialer;
static struct poller poller;
static struct stream *dialed;
static int dialed_error;
static unsigned dialed_calls;

static void done(void *arg, struct stream *stream, int error)
{
    assert_ptr_equal(arg, &dialed_calls);
    dialed = stream;
    dialed_error = error;
    dialed_calls++;
}

static int dial(const char *address, struct rdma_dial **out)
{
    struct sockaddr_storage to;
    assert_int_equal(rdma_address_parse(address, &to), 0);
    dialed = NULL;
    dialed_calls = 0;
    dialed_error = 0;
    return rdma_dial(dialer, &to, done, &dialed_calls, out);
}

static void start(void)
{
    char text[512];
    world_start(1, 4);
    const struct rdma_dialer_config config = {.reactor = world.reactor,
                                              .core = world.cores[0],
                                              .pools = world.pools,
                                              .buffer_bytes = 4096,
                                              .timeout_ns = 3 * WORLD_SECOND,
                                              .reads = 9};
    assert_int_equal(rdma_dialer_create(&dialer, &config, text, sizeof text), 0);
    poller =
        (struct poller){.name = "dialer", .run = rdma_dialer_turn, .deadline = rdma_dialer_deadline, .arg = dialer};
    reactor_add_poller(world.reactor, &poller);
}

static void end(void)
{
    world_turns(50);
    assert_int_equal(rdma_dialer_count(dialer), 0);
    assert_true(rdma_dialer_destroy(&dialer, 0));
    world_end();
}

static struct rdma_cm_id *connected(void)
{
    struct rdma_dial *attempt;
    assert_int_equal(dial("10.0.0.1:6379", &attempt), 0);
    world_turns(5);
    assert_int_equal(dialed_calls, 0);
    struct rdma_cm_id *id = world_last_id();
    world_event(id, RDMA_CM_EVENT_ESTABLISHED, 0);
    world_turns(5);
    assert_int_equal(dialed_calls, 1);
    assert_non_null(dialed);
    return id;
}

static void connects_and_is_disconnected(void **state)
{
    (void)state;
    start();
    struct rdma_cm_id *id = connected();
    assert_int_equal(world.connected.retry_count, 7);
    assert_int_equal(world.connected.initiator_depth, 4); /* what the device can */
    world_event(id, RDMA_CM_EVENT_DISCONNECTED, 0);
    world_turns(50);
    assert_int_equal(dialed_calls, 1);
    assert_int_equal(world.streams_ended, 1);
    assert_int_equal(world.stream_error, ECONNRESET);
    assert_false(world_alive(id));
    end();
}

static void ends_of_attempts(void **state)
{
    static const struct {
        enum rdma_cm_event_type type;
        int status, error;
    } ends[] = {{RDMA_CM_EVENT_REJECTED, 28, ECONNREFUSED},
                {RDMA_CM_EVENT_UNREACHABLE, -ETIMEDOUT, ETIMEDOUT},
                {RDMA_CM_EVENT_UNREACHABLE, 3, EHOSTUNREACH},
                {RDMA_CM_EVENT_CONNECT_ERROR, 0, ECONNABORTED},
                {RDMA_CM_EVENT_DISCONNECTED, 0, ECONNRESET}};
    (void)state;
    start();
    for (unsigned i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct rdma_dial *attempt;
        assert_int_equal(dial("10.0.0.1:6379", &attempt), 0);
        world_turns(5);
        world_event(world_last_id(), ends[i].type, ends[i].status);
        world_event(world_last_id(), RDMA_CM_EVENT_ESTABLISHED, 0); /* too late */
        world_turns(50);
        assert_int_equal(dialed_calls, 1);
        assert_null(dialed);
        assert_int_equal(dialed_error, ends[i].error);
        assert_int_equal(rdma_dialer_count(dialer), 0);
        assert_int_equal(world.counts.qps, 0);
    }
    end();
}

static void attempts_that_do_not_begin(void **state)
{
    struct rdma_dial *attempt;
    (void)state;
    start();
    world.faults.resolve = EINVAL;
    assert_int_equal(dial("10.0.0.1:6379", &attempt), -EINVAL);
    assert_int_equal(dial("10.0.9.1:6379", &attempt), 0);
    world_turns(5);
    assert_int_equal(dialed_error, ENODEV);
    assert_int_equal(dial("10.0.0.1:6379", &attempt), 0);
    world.faults.connect = ENOMEM;
    world_turns(50);
    assert_int_equal(dialed_error, ENOMEM);
    end();
}

static void too_late(void **state)
{
    struct rdma_dial *attempt;
    (void)state;
    start();
    assert_int_equal(dial("10.0.0.1:6379", &attempt), 0);
    world_pass(4 * WORLD_SECOND);
    assert_int_equal(dialed_error, ETIMEDOUT);
    end();
}

static void cancelled(void **state)
{
    struct rdma_dial *attempt;
    (void)state;
    start();
    for (unsigned turns = 0; turns < 4; turns++) {
        assert_int_equal(dial("10.0.0.1:6379", &attempt), 0);
        world_turns(turns);
        rdma_dial_cancel(attempt);
        world_turns(50);
        assert_int_equal(dialed_calls, 0);
        assert_int_equal(rdma_dialer_count(dialer), 0);
    }
    end();
}

/* The connection ends, librdmacm is given back; the next attempt says so, until the device has returned. */
static void the_device_goes_and_returns(void **state)
{
    struct rdma_dial *attempt;
    (void)state;
    for (unsigned silent = 0; silent < 2; silent++) {
        start();
        connected();
        assert_int_equal(dial("10.0.0.1:6379", &attempt), 0); /* and one on its way */
        world_turns(5);
        world_device_go(0, silent);
        if (silent) world_pass(WORLD_SECOND + WORLD_SECOND / 2); /* the attempt would have as long again */
        world_turns(1);
        assert_int_equal(dialed_error, ENODEV);
        world_turns(50);
        assert_int_equal(world.streams_ended, 1);
        assert_int_equal(world.stream_error, ENODEV);
        assert_true(world_empty());
        assert_int_equal(dial("10.0.0.1:6379", &attempt), -ENODEV);
        world_device_come(0);
        connected();
        dialed->ops->abort(dialed);
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(connects_and_is_disconnected),
                                       cmocka_unit_test(ends_of_attempts),
                                       cmocka_unit_test(attempts_that_do_not_begin),
                                       cmocka_unit_test(too_late),
                                       cmocka_unit_test(cancelled),
                                       cmocka_unit_test(the_device_goes_and_returns)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
