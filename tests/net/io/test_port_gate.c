/* The gate keeps cores and DPDK's interrupt call-backs apart, and those call-backs come and go as without it. */
#define ALLOW_EXPERIMENTAL_API
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>
#include <rte_interrupts.h>
#include "base/eal.h"
#include "net/port_gate.h"

#define CORES 2u
#define ROUNDS 2000u

struct side {
    _Alignas(64) struct port_gate_side side;
    uint64_t passages, torn;
};

static struct port_gate gate;
static struct side sides[CORES];
static uint64_t rings[CORES]; /* plain memory that both threads write: the gate alone keeps them apart */
static _Atomic int stop, calls, gone, seen_shut;

static void *core_main(void *arg)
{
    struct side *s = arg;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        if (!port_gate_enter(&gate, &s->side)) continue;
        uint64_t *ring = &rings[s - sides];
        s->torn += *ring & 1; /* taken away */
        *ring += 2;
        s->passages++;
        port_gate_leave(&s->side);
    }
    return NULL;
}

static void cores_and_the_control_channel_take_turns(void **state)
{
    (void)state;
    pthread_t threads[CORES];
    for (unsigned i = 0; i < CORES; i++) assert_int_equal(pthread_create(&threads[i], NULL, core_main, &sides[i]), 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t before[CORES];
        port_gate_shut_all();
        for (unsigned i = 0; i < CORES; i++) before[i] = rings[i]++;
        if (round % 16 == 0) usleep(10);
        for (unsigned i = 0; i < CORES; i++) assert_int_equal(rings[i]--, before[i] + 1);
        port_gate_open_all();
        if (round % 16 == 0) usleep(10);
    }
    atomic_store(&stop, 1);
    for (unsigned i = 0; i < CORES; i++) pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < CORES; i++) {
        assert_int_equal(rings[i], 2 * sides[i].passages);
        assert_true(sides[i].passages > 0);
        assert_int_equal(sides[i].torn, 0);
    }
}

static void shuts_for_each_of_several(void **state)
{
    (void)state;
    port_gate_shut_all();
    port_gate_shut_all();
    assert_false(port_gate_enter(&gate, &sides[0].side));
    port_gate_open_all();
    assert_false(port_gate_enter(&gate, &sides[0].side));
    port_gate_open_all();
    assert_true(port_gate_enter(&gate, &sides[0].side));
    port_gate_leave(&sides[0].side);
}

static struct rte_intr_handle *handle_make(int *fd)
{
    struct rte_intr_handle *handle = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);
    *fd = eventfd(0, EFD_NONBLOCK);
    assert_non_null(handle);
    rte_intr_fd_set(handle, *fd);
    rte_intr_type_set(handle, RTE_INTR_HANDLE_EXT);
    return handle;
}

static void fire(int fd)
{
    uint64_t one = 1;
    assert_int_equal(write(fd, &one, sizeof one), sizeof one);
}

static void wait_for(_Atomic int *value, int least)
{
    for (unsigned i = 0; i < 5000 && atomic_load(value) < least; i++) usleep(1000);
    assert_true(atomic_load(value) >= least);
}

static void on_event(void *arg)
{
    uint64_t n;
    ssize_t got = read(*(int *)arg, &n, sizeof n);
    (void)got;
    bool entered = port_gate_enter(&gate, &sides[1].side);
    if (entered) port_gate_leave(&sides[1].side);
    else atomic_fetch_add(&seen_shut, 1);
    atomic_fetch_add(&calls, 1);
}

static void call_backs_run_with_the_gate_shut(void **state)
{
    (void)state;
    int fd;
    struct rte_intr_handle *handle = handle_make(&fd);
    atomic_store(&calls, 0);
    atomic_store(&seen_shut, 0);
    assert_int_equal(rte_intr_callback_register(handle, on_event, &fd), 0);
    for (int i = 1; i <= 10; i++) {
        fire(fd);
        wait_for(&calls, i);
    }
    assert_int_equal(atomic_load(&seen_shut), atomic_load(&calls));
    assert_int_equal(rte_intr_callback_unregister_sync(handle, on_event, (void *)(uintptr_t)-1), 1);
    assert_int_equal(rte_intr_callback_unregister(handle, on_event, &fd), -ENOENT);
    assert_true(port_gate_enter(&gate, &sides[0].side));
    port_gate_leave(&sides[0].side);
    fire(fd);
    usleep(20000);
    assert_int_equal(atomic_load(&calls), 10);
    close(fd);
    rte_intr_instance_free(handle);
}

static struct rte_intr_handle *leaving;
static int rc_at_once, rc_pending, gone_fd; /* what the interrupt thread got */

static void on_gone(struct rte_intr_handle *handle, void *arg)
{
    gone_fd = arg ? rte_intr_fd_get(handle) : -1;
    atomic_fetch_add(&gone, 1);
}

/* As memif does when its peer hangs up. */
static void on_last_event(void *arg)
{
    uint64_t n;
    ssize_t got = read(*(int *)arg, &n, sizeof n);
    (void)got;
    rc_at_once = rte_intr_callback_unregister(leaving, on_last_event, arg);
    rc_pending = rte_intr_callback_unregister_pending(leaving, on_last_event, arg, on_gone);
}

static void a_call_back_may_take_itself_away(void **state)
{
    (void)state;
    int fd;
    leaving = handle_make(&fd);
    assert_int_equal(rte_intr_callback_register(leaving, on_last_event, &fd), 0);
    fire(fd);
    wait_for(&gone, 1);
    assert_int_equal(rc_at_once, -EAGAIN);
    assert_int_equal(rc_pending, 1);
    assert_int_equal(gone_fd, fd);
    assert_int_equal(rte_intr_callback_unregister(leaving, on_last_event, &fd), -ENOENT);
    close(fd);
    rte_intr_instance_free(leaving);
}

static int before_all(void **state)
{
    (void)state;
    port_gate_add(&gate, &sides[0].side, sizeof sides[0], CORES);
    return 0;
}

static int after_all(void **state)
{
    (void)state;
    port_gate_remove(&gate);
    return 0;
}

int main(void)
{
    struct eal_config eal = {.program = "test_port_gate", .memory_mib = 32};
    if (eal_start(&eal) != 0) return 3;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cores_and_the_control_channel_take_turns),
        cmocka_unit_test(shuts_for_each_of_several),
        cmocka_unit_test(call_backs_run_with_the_gate_shut),
        cmocka_unit_test(a_call_back_may_take_itself_away),
    };
    return cmocka_run_group_tests(tests, before_all, after_all);
}
