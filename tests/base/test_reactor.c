#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <rte_cycles.h>
#include <cmocka.h>
#include "base/metrics.h"
#include "base/reactor.h"
#include "base/ring.h"

#define MS UINT64_C(1000000)

/* A clock that moves by `step` at each look. */
struct step_clock {
    struct clock clock;
    struct tick tick;
    uint64_t step_ns;
};

static void step_clock_now(struct clock *clock, struct tick *out)
{
    struct step_clock *c = (struct step_clock *)clock;
    c->tick.ns += c->step_ns;
    *out = c->tick;
}

static struct step_clock step_clock_at(uint64_t ns, uint64_t step_ns)
{
    return (struct step_clock){.clock.now = step_clock_now, .tick.ns = ns, .step_ns = step_ns};
}

static void monotonic_now(struct clock *clock, struct tick *out)
{
    (void)clock;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    *out = (struct tick){.ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec};
}

static struct clock real_clock = {.now = monotonic_now};

static uint64_t real_ns(void)
{
    struct tick tick;
    monotonic_now(NULL, &tick);
    return tick.ns;
}

static uint64_t thread_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct reactor *reactor_of(struct clock *clock, enum reactor_poll poll)
{
    struct reactor_config config = {
        .cpu = -1, .poll = poll, .idle_spin_us = 100, .nap_us = 1000, .fd_interval_us = 100, .clock = clock};
    struct reactor *r = NULL;
    assert_int_equal(reactor_create(&r, &config), 0);
    return r;
}

static struct reactor_stats stats_of(const struct reactor *r)
{
    struct reactor_stats stats;
    reactor_read_stats(r, &stats);
    return stats;
}

/* Writes its letter, and may add another poller. */
struct letter {
    struct poller poller;
    struct reactor *reactor;
    char *text;
    char name;
    unsigned work;
    struct poller *add;
};

static unsigned letter_run(void *arg, const struct tick *now)
{
    struct letter *l = arg;
    assert_ptr_equal(now, reactor_now(l->reactor));
    *strchr(l->text, '\0') = l->name;
    if (l->add) reactor_add_poller(l->reactor, l->add);
    l->add = NULL;
    return l->work;
}

static void pollers_run_in_the_order_they_were_added(void **state)
{
    (void)state;
    struct step_clock clock = step_clock_at(1000, 1);
    struct reactor *r = reactor_of(&clock.clock, REACTOR_ADAPTIVE);
    char text[32] = "";
    struct letter letters[4];
    for (int i = 0; i < 4; i++) {
        letters[i] = (struct letter){.reactor = r, .text = text, .name = (char)('a' + i), .work = (unsigned)i};
        letters[i].poller = (struct poller){.name = "letter", .run = letter_run, .arg = &letters[i]};
        if (i < 3) reactor_add_poller(r, &letters[i].poller);
    }
    letters[1].add = &letters[3].poller;
    assert_int_equal(reactor_turn(r), 0 + 1 + 2 + 3);
    assert_int_equal(reactor_turn(r), 0 + 1 + 2 + 3);
    assert_string_equal(text, "abcdabcd");
    assert_int_equal(metric_get(&letters[2].poller.work), 4);
    assert_int_equal(metric_get(&letters[2].poller.runs), 2);
    assert_int_equal(metric_get(&letters[0].poller.runs), 2);
    assert_int_equal(metric_get(&letters[0].poller.busy_tsc), 0);
    assert_true(metric_get(&letters[2].poller.busy_tsc) > 0);
    reactor_destroy(&r);
    assert_null(r);
}

static void a_turn_with_work_is_busy_and_one_without_is_idle(void **state)
{
    (void)state;
    struct step_clock clock = step_clock_at(1000, 1);
    struct reactor *r = reactor_of(&clock.clock, REACTOR_BUSY);
    char text[32] = "";
    struct letter l = {.reactor = r, .text = text, .name = 'x'};
    l.poller = (struct poller){.run = letter_run, .arg = &l};
    reactor_add_poller(r, &l.poller);
    reactor_turn(r);
    struct reactor_stats idle = stats_of(r);
    assert_int_equal(idle.turns, 1);
    assert_int_equal(idle.busy_tsc, 0);
    assert_true(idle.idle_tsc > 0);
    l.work = 1;
    reactor_turn(r);
    struct reactor_stats busy = stats_of(r);
    assert_int_equal(busy.turns, 2);
    assert_true(busy.busy_tsc > 0);
    assert_int_equal(busy.idle_tsc, idle.idle_tsc);
    assert_int_equal(busy.sleeps, 0);
    reactor_destroy(&r);
}

/* One end of a socket pair, watched. */
struct end {
    struct reactor_fd rfd;
    struct reactor *reactor;
    int peer;
    unsigned calls;
    uint32_t events;
    struct end *remove;
    bool drain;
};

static void end_ready(struct reactor_fd *rfd, uint32_t events)
{
    struct end *e = rfd->arg;
    e->calls++;
    e->events = events;
    char bytes[16];
    if (e->drain) assert_true(read(rfd->fd, bytes, sizeof bytes) > 0);
    if (e->remove) reactor_fd_remove(e->reactor, &e->remove->rfd);
}

static void end_open(struct end *e, struct reactor *r)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    *e = (struct end){.reactor = r, .peer = pair[1]};
    e->rfd = (struct reactor_fd){.fd = pair[0], .ready = end_ready, .arg = e};
    assert_int_equal(reactor_fd_add(r, &e->rfd, EPOLLIN), 0);
}

static void end_close(struct end *e)
{
    close(e->rfd.fd);
    close(e->peer);
}

static void fd_events_reach_their_owner(void **state)
{
    (void)state;
    struct step_clock clock = step_clock_at(1000, 1);
    struct reactor *r = reactor_of(&clock.clock, REACTOR_ADAPTIVE);
    struct end e;
    end_open(&e, r);
    assert_int_equal(reactor_fd_add(r, &e.rfd, EPOLLIN), -EEXIST);
    assert_int_equal(reactor_turn(r), 0);
    assert_int_equal(write(e.peer, "x", 1), 1);
    assert_int_equal(reactor_turn(r), 1);
    assert_int_equal(reactor_turn(r), 1); /* level */
    assert_int_equal(e.calls, 2);
    assert_int_equal(e.events, EPOLLIN);
    assert_int_equal(reactor_fd_modify(r, &e.rfd, EPOLLOUT), 0);
    assert_int_equal(reactor_turn(r), 1);
    assert_int_equal(e.events, EPOLLOUT);
    reactor_fd_remove(r, &e.rfd);
    assert_int_equal(reactor_turn(r), 0);
    assert_int_equal(e.calls, 3);
    end_close(&e);
    reactor_destroy(&r);
}

static void collected_events_of_a_removed_fd_are_not_delivered(void **state)
{
    (void)state;
    struct step_clock clock = step_clock_at(1000, 1);
    struct reactor *r = reactor_of(&clock.clock, REACTOR_ADAPTIVE);
    struct end a, b;
    end_open(&a, r);
    end_open(&b, r);
    a.remove = &b;
    b.remove = &a;
    assert_int_equal(write(a.peer, "x", 1), 1);
    assert_int_equal(write(b.peer, "x", 1), 1);
    assert_int_equal(reactor_turn(r), 1);
    assert_int_equal(a.calls + b.calls, 1);
    struct end *first = a.calls ? &a : &b, *second = a.calls ? &b : &a;
    second->remove = second; /* and itself */
    assert_int_equal(reactor_fd_add(r, &second->rfd, EPOLLIN), 0);
    reactor_fd_remove(r, &first->rfd);
    assert_int_equal(reactor_turn(r), 1);
    assert_int_equal(second->calls, 1);
    assert_int_equal(reactor_turn(r), 0);
    end_close(&a);
    end_close(&b);
    reactor_destroy(&r);
}

static unsigned always_busy(void *arg, const struct tick *now)
{
    (void)arg, (void)now;
    return 1;
}

static void a_busy_device_lets_fds_wait_for_their_interval(void **state)
{
    (void)state;
    struct step_clock clock = step_clock_at(1000, 10000); /* 10 us a turn; the interval is 100 */
    struct reactor *r = reactor_of(&clock.clock, REACTOR_ADAPTIVE);
    struct poller device = {.run = always_busy, .needs_naps = true};
    struct end e;
    reactor_add_poller(r, &device);
    end_open(&e, r);
    e.drain = true;
    unsigned waits[3];
    for (int i = 0; i < 3; i++) {
        /* The look that follows one with an event finds nothing: the interval counts from there. */
        for (int turn = 0; turn < 2; turn++) reactor_turn(r);
        assert_int_equal(write(e.peer, "x", 1), 1);
        unsigned calls = e.calls;
        for (waits[i] = 0; e.calls == calls && waits[i] < 20; waits[i]++) reactor_turn(r);
    }
    assert_int_equal(e.calls, 3);
    assert_in_range(waits[1], 8, 10);
    assert_in_range(waits[2], 8, 10);
    end_close(&e);
    reactor_destroy(&r);
}

/* Runs a reactor on a thread of its own. */
struct runner {
    pthread_t thread;
    struct reactor *reactor;
    uint64_t cpu_ns;
    uint64_t elapsed_ns;
};

static void *runner_main(void *arg)
{
    struct runner *runner = arg;
    uint64_t start_ns = real_ns(), start_cpu_ns = thread_cpu_ns();
    reactor_run(runner->reactor);
    runner->cpu_ns = thread_cpu_ns() - start_cpu_ns;
    runner->elapsed_ns = real_ns() - start_ns;
    return NULL;
}

static void runner_start(struct runner *runner, struct reactor *r)
{
    runner->reactor = r;
    assert_int_equal(pthread_create(&runner->thread, NULL, runner_main, runner), 0);
}

static void runner_stop(struct runner *runner)
{
    reactor_stop(runner->reactor);
    assert_int_equal(pthread_join(runner->thread, NULL), 0);
}

static void run_for_ms(struct runner *runner, struct reactor *r, unsigned ms)
{
    runner_start(runner, r);
    usleep(ms * 1000);
    runner_stop(runner);
}

static void stop_ends_one_run_now_or_later(void **state)
{
    (void)state;
    struct reactor *r = reactor_of(&real_clock, REACTOR_ADAPTIVE);
    uint64_t start = real_ns();
    reactor_stop(r);
    reactor_run(r);
    struct runner runner;
    run_for_ms(&runner, r, 20);
    assert_true(real_ns() - start < 500 * MS); /* a sleep would last a second */
    assert_true(runner.elapsed_ns > 10 * MS);
    reactor_destroy(&r);
}

static struct reactor *signalled;

static void on_signal(int number)
{
    (void)number;
    reactor_stop(signalled);
}

static void stop_works_in_a_signal_handler(void **state)
{
    (void)state;
    signalled = reactor_of(&real_clock, REACTOR_ADAPTIVE);
    struct sigaction action = {.sa_handler = on_signal}, before;
    sigaction(SIGUSR1, &action, &before);
    struct runner runner;
    uint64_t start = real_ns();
    runner_start(&runner, signalled);
    usleep(20000);
    pthread_kill(runner.thread, SIGUSR1);
    pthread_join(runner.thread, NULL);
    assert_true(real_ns() - start < 500 * MS);
    sigaction(SIGUSR1, &before, NULL);
    reactor_destroy(&signalled);
}

static void an_idle_reactor_sleeps(void **state)
{
    (void)state;
    struct reactor *r = reactor_of(&real_clock, REACTOR_ADAPTIVE);
    struct runner runner;
    uint64_t start_tsc = rte_rdtsc();
    run_for_ms(&runner, r, 300);
    uint64_t elapsed_tsc = rte_rdtsc() - start_tsc;
    struct reactor_stats stats = stats_of(r);
    assert_in_range(stats.sleeps, 1, 3);
    assert_true(stats.idle_tsc < elapsed_tsc / 2); /* sleep is neither busy nor idle */
    assert_true(runner.cpu_ns < 20 * MS);
    assert_int_equal(stats.busy_tsc, 0);
    assert_true(stats.idle_tsc > 0);
    reactor_destroy(&r);
}

static unsigned never_busy(void *arg, const struct tick *now)
{
    (void)arg, (void)now;
    return 0;
}

static void an_idle_device_makes_it_nap(void **state)
{
    (void)state;
    struct reactor *r = reactor_of(&real_clock, REACTOR_ADAPTIVE);
    struct poller device = {.run = never_busy, .needs_naps = true};
    reactor_add_poller(r, &device);
    struct runner runner;
    run_for_ms(&runner, r, 300);
    assert_in_range(stats_of(r).sleeps, 30, 300); /* naps of 1 ms */
    assert_true(runner.cpu_ns < runner.elapsed_ns / 2);
    reactor_destroy(&r);
}

static void a_busy_reactor_never_sleeps(void **state)
{
    (void)state;
    struct reactor *r = reactor_of(&real_clock, REACTOR_BUSY);
    struct poller device = {.run = never_busy};
    struct end e;
    end_open(&e, r);
    reactor_add_poller(r, &device);
    struct runner runner;
    run_for_ms(&runner, r, 100);
    struct reactor_stats stats = stats_of(r);
    assert_int_equal(stats.sleeps, 0);
    assert_true(stats.turns > 1000);
    end_close(&e);
    reactor_destroy(&r);
}

/* Works for its first ten runs, then idles until the reactor has slept once. */
struct fading {
    struct reactor *reactor;
    unsigned runs;
    uint64_t last_work_ns;
    uint64_t asleep_after_ns;
};

static unsigned fading_run(void *arg, const struct tick *now)
{
    struct fading *f = arg;
    if (++f->runs <= 10) {
        f->last_work_ns = now->ns;
        return 1;
    }
    if (stats_of(f->reactor).sleeps > 0)
        reactor_stop(f->reactor);
    else
        f->asleep_after_ns = now->ns - f->last_work_ns;
    return 0;
}

static void it_spins_before_it_naps(void **state)
{
    (void)state;
    struct step_clock clock = step_clock_at(1000, 1000);
    struct reactor *r = reactor_of(&clock.clock, REACTOR_ADAPTIVE);
    struct fading f = {.reactor = r};
    struct poller device = {.run = fading_run, .arg = &f, .needs_naps = true};
    reactor_add_poller(r, &device);
    reactor_run(r);
    assert_in_range(f.asleep_after_ns, 100000, 102000); /* idle_spin_us is 100 */
    reactor_destroy(&r);
}

/* A timer: wants to run at due_ns, and stops the reactor when it does. */
struct alarm {
    struct reactor *reactor;
    uint64_t due_ns;
    uint64_t rang_ns;
};

static unsigned alarm_run(void *arg, const struct tick *now)
{
    struct alarm *a = arg;
    if (now->ns < a->due_ns) return 0;
    a->rang_ns = now->ns;
    reactor_stop(a->reactor);
    return 1;
}

static uint64_t alarm_deadline(void *arg)
{
    struct alarm *a = arg;
    return a->due_ns;
}

static uint64_t never_deadline(void *arg)
{
    (void)arg;
    return UINT64_MAX;
}

static void a_deadline_ends_the_sleep(void **state)
{
    (void)state;
    struct reactor *r = reactor_of(&real_clock, REACTOR_ADAPTIVE);
    struct alarm a = {.reactor = r, .due_ns = real_ns() + 50 * MS};
    struct poller timer = {.run = alarm_run, .deadline = alarm_deadline, .arg = &a};
    struct poller other = {.run = never_busy, .deadline = never_deadline};
    reactor_add_poller(r, &other);
    reactor_add_poller(r, &timer);
    struct runner runner;
    runner_start(&runner, r);
    pthread_join(runner.thread, NULL);
    assert_true(a.rang_ns >= a.due_ns);
    assert_true(a.rang_ns < a.due_ns + 200 * MS);
    assert_true(stats_of(r).sleeps <= 3);
    assert_true(runner.cpu_ns < 20 * MS);
    reactor_destroy(&r);
}

#define WAKES 100000u

/* Takes from a ring and counts. */
struct taker {
    struct spsc_ring *ring;
    _Atomic uint32_t taken;
};

static unsigned taker_run(void *arg, const struct tick *now)
{
    struct taker *t = arg;
    (void)now;
    unsigned work = 0;
    while (spsc_ring_pop(t->ring)) work++;
    if (work) atomic_fetch_add_explicit(&t->taken, work, memory_order_release);
    return work;
}

static void no_wake_up_is_lost(void **state)
{
    (void)state;
    struct reactor *r = reactor_of(&real_clock, REACTOR_ADAPTIVE);
    struct taker t = {.ring = spsc_ring_create(64)};
    struct poller poller = {.run = taker_run, .arg = &t};
    reactor_add_poller(r, &poller);
    struct runner runner;
    runner_start(&runner, r);
    uint64_t longest_ns = 0, random = 1;
    for (uint32_t i = 1; i <= WAKES; i++) {
        assert_true(spsc_ring_push(t.ring, &t));
        reactor_wake(r);
        uint64_t start = real_ns();
        while (atomic_load_explicit(&t.taken, memory_order_acquire) != i) {
            if (real_ns() - start > 900 * MS) break; /* it slept the whole second: the wake-up was lost */
            if ((i & 1) == 0) sched_yield();
        }
        uint64_t took_ns = real_ns() - start;
        if (took_ns > longest_ns) longest_ns = took_ns;
        if (longest_ns > 900 * MS) break;
        /* Meet the reactor at every point of its way to sleep. */
        random = random * 6364136223846793005u + 1442695040888963407u;
        for (uint64_t spin = random >> 54; spin > 0; spin--) __builtin_ia32_pause();
    }
    runner_stop(&runner);
    assert_int_equal(t.taken, WAKES);
    assert_true(longest_ns < 900 * MS);
    assert_true(stats_of(r).sleeps > WAKES / 100);
    free(t.ring);
    reactor_destroy(&r);
}

#define ECHOES 2000u

static void end_echo(struct reactor_fd *rfd, uint32_t events)
{
    struct end *e = rfd->arg;
    char byte;
    assert_int_equal(events, EPOLLIN);
    assert_int_equal(read(rfd->fd, &byte, 1), 1);
    assert_int_equal(write(rfd->fd, &byte, 1), 1);
    e->calls++;
}

static unsigned follow_calls(void *arg, const struct tick *now)
{
    struct end *e = arg;
    (void)now;
    bool new_call = (e->events != e->calls);
    e->events = e->calls;
    return new_call;
}

/* The wait is the collection: one turn, and so one system call of epoll, a request. */
static void a_request_on_a_socket_takes_one_turn(void **state)
{
    (void)state;
    struct reactor *r = reactor_of(&real_clock, REACTOR_ADAPTIVE);
    struct end e;
    end_open(&e, r);
    e.rfd.ready = end_echo;
    struct poller session = {.run = follow_calls, .arg = &e}; /* has work only in turns with events */
    reactor_add_poller(r, &session);
    struct runner runner;
    runner_start(&runner, r);
    for (unsigned i = 0; i < ECHOES; i++) {
        char byte = (char)i, back;
        assert_int_equal(write(e.peer, &byte, 1), 1);
        assert_int_equal(read(e.peer, &back, 1), 1);
        assert_int_equal(byte, back);
    }
    runner_stop(&runner);
    struct reactor_stats stats = stats_of(r);
    assert_in_range(stats.turns, ECHOES, ECHOES + 5);
    assert_in_range(stats.sleeps, ECHOES, stats.turns);
    assert_true(stats.busy_tsc > 0);
    end_close(&e);
    reactor_destroy(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pollers_run_in_the_order_they_were_added),
        cmocka_unit_test(a_turn_with_work_is_busy_and_one_without_is_idle),
        cmocka_unit_test(fd_events_reach_their_owner),
        cmocka_unit_test(collected_events_of_a_removed_fd_are_not_delivered),
        cmocka_unit_test(a_busy_device_lets_fds_wait_for_their_interval),
        cmocka_unit_test(stop_ends_one_run_now_or_later),
        cmocka_unit_test(stop_works_in_a_signal_handler),
        cmocka_unit_test(an_idle_reactor_sleeps),
        cmocka_unit_test(an_idle_device_makes_it_nap),
        cmocka_unit_test(a_busy_reactor_never_sleeps),
        cmocka_unit_test(it_spins_before_it_naps),
        cmocka_unit_test(a_deadline_ends_the_sleep),
        cmocka_unit_test(no_wake_up_is_lost),
        cmocka_unit_test(a_request_on_a_socket_takes_one_turn),
    };
    return cmocka_run_group_tests_name("reactor", tests, NULL, NULL);
}
