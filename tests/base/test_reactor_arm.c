/* Devices that an idle core arms before it sleeps: nothing that comes meanwhile is lost, and no naps are needed. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/metrics.h"
#include "base/reactor.h"

#define PUSHES 20u
#define NAPS 10u

/* A device with an interrupt: frames are counted, not held. */
struct device {
    struct reactor *reactor;
    struct poller poller;
    int fd;
    bool refuses;  /* to be armed */
    unsigned late; /* frames that come while it is being armed, without an interrupt */
    unsigned want; /* frames after which the reactor stops */
    unsigned served;
    uint64_t sleeps_served; /* the reactor's sleeps when the last frame was served */
    _Atomic unsigned waiting;
    _Atomic bool armed;
    _Atomic unsigned arms;
};

static uint64_t sleeps(const struct reactor *r)
{
    struct reactor_stats stats;
    reactor_read_stats(r, &stats);
    return stats.sleeps;
}

static unsigned device_run(void *arg, const struct tick *now)
{
    struct device *d = arg;
    (void)now;
    unsigned n = atomic_exchange(&d->waiting, 0);
    d->served += n;
    if (n) d->sleeps_served = sleeps(d->reactor);
    if (d->served >= d->want) reactor_stop(d->reactor);
    return n;
}

static bool device_arm(void *arg, bool on)
{
    struct device *d = arg;
    atomic_store(&d->armed, on && !d->refuses);
    if (!on) return true;
    unsigned arms = atomic_fetch_add(&d->arms, 1) + 1;
    if (d->refuses) {
        if (arms == NAPS) reactor_stop(d->reactor);
        return false;
    }
    atomic_fetch_add(&d->waiting, d->late);
    d->late = 0;
    return reactor_fd_wakes(d->reactor, d->fd) == 0;
}

/* From elsewhere: a frame, and the interrupt if it is wanted. */
static void device_push(struct device *d)
{
    uint64_t one = 1;
    atomic_fetch_add(&d->waiting, 1);
    if (atomic_load(&d->armed)) assert_int_equal(write(d->fd, &one, sizeof one), sizeof one);
}

static void device_open(struct device *d, enum reactor_poll poll)
{
    static struct clock_tsc clock;
    clock_tsc_init(&clock);
    struct reactor_config config = {
        .cpu = -1, .poll = poll, .idle_spin_us = 100, .nap_us = 1000, .fd_interval_us = 100, .clock = &clock.clock};
    assert_int_equal(reactor_create(&d->reactor, &config), 0);
    d->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_true(d->fd >= 0);
    d->poller = (struct poller){.run = device_run, .arm = device_arm, .arg = d, .needs_naps = true};
    reactor_add_poller(d->reactor, &d->poller);
}

static void device_close(struct device *d)
{
    reactor_destroy(&d->reactor);
    close(d->fd);
}

static void *run(void *arg)
{
    reactor_run(arg);
    return NULL;
}

/* Each frame finds the core asleep, and is served; between them it does not wake once, though they are naps apart. */
static void an_interrupt_ends_the_sleep(void **state)
{
    (void)state;
    struct device d = {.want = PUSHES};
    pthread_t thread;
    device_open(&d, REACTOR_ADAPTIVE);
    assert_int_equal(pthread_create(&thread, NULL, run, d.reactor), 0);
    for (unsigned i = 0; i < PUSHES; i++) {
        unsigned arms = i;
        while (atomic_load(&d.arms) <= arms || !atomic_load(&d.armed)) usleep(100);
        usleep(5000);
        device_push(&d);
        while (atomic_load(&d.waiting)) usleep(100);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(d.served, PUSHES);
    assert_in_range(sleeps(d.reactor), PUSHES, 2 * PUSHES); /* naps of 1 ms would be 100 */
    device_close(&d);
}

/* What came just before the device was armed interrupts nobody: the core looks once more, and does not sleep. */
static void what_came_while_arming_is_served(void **state)
{
    (void)state;
    struct device d = {.want = 3, .late = 3};
    device_open(&d, REACTOR_ADAPTIVE);
    reactor_run(d.reactor);
    assert_int_equal(d.served, 3);
    assert_int_equal(d.sleeps_served, 0);
    assert_false(atomic_load(&d.armed)); /* awake, it is not interrupted */
    device_close(&d);
}

static void one_that_cannot_be_armed_makes_it_nap(void **state)
{
    (void)state;
    struct device d = {.want = 1, .refuses = true};
    device_open(&d, REACTOR_ADAPTIVE);
    reactor_run(d.reactor);
    assert_true(sleeps(d.reactor) >= NAPS - 1);
    device_close(&d);
}

static void a_busy_reactor_arms_nothing(void **state)
{
    (void)state;
    struct device d = {.want = 1};
    device_open(&d, REACTOR_BUSY);
    for (unsigned i = 0; i < 10000; i++) reactor_turn(d.reactor);
    d.late = 0;
    device_push(&d);
    reactor_run(d.reactor);
    assert_int_equal(d.served, 1);
    assert_int_equal(atomic_load(&d.arms), 0);
    assert_int_equal(sleeps(d.reactor), 0);
    device_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_interrupt_ends_the_sleep),
        cmocka_unit_test(what_came_while_arming_is_served),
        cmocka_unit_test(one_that_cannot_be_armed_makes_it_nap),
        cmocka_unit_test(a_busy_reactor_arms_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
