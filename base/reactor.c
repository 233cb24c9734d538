#include "base/reactor.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
#include <rte_atomic.h>
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include "base/log.h"
#include "base/metrics.h"

#define EVENTS_MAX 256
#define NS_PER_US UINT64_C(1000)
#define NS_PER_SECOND UINT64_C(1000000000)
#define SLEEP_MAX_NS NS_PER_SECOND
#define TIMER_SLACK_NS 1000ul /* the kernel's 50 us would double a nap */

struct reactor {
    struct reactor_config config;
    struct tick now;
    struct poller *pollers;
    struct poller **pollers_end;
    bool naps; /* some poller needs them */
    int epoll_fd;
    int wake_fd;
    unsigned fd_count; /* without wake_fd */
    uint64_t last_work_ns;
    uint64_t last_collect_ns;
    bool last_turn_idle;
    bool last_collect_found;
    bool no_pwait2;  /* the kernel has no epoll_pwait2 */
    int event_count; /* of the last collection */
    int event_next;  /* the first one not yet dispatched */
    struct epoll_event events[EVENTS_MAX];

    /* Other threads'. The wakers read `sleeping` at each push: away from what every turn writes. */
    _Alignas(64) _Atomic int sleeping;
    _Atomic int stopping;
    _Alignas(64) struct reactor_stats stats;
};

int reactor_create(struct reactor **out, const struct reactor_config *config)
{
    struct reactor *r = aligned_alloc(_Alignof(struct reactor), sizeof *r);
    if (!r) return -ENOMEM;
    memset(r, 0, sizeof *r);
    r->config = *config;
    r->pollers_end = &r->pollers;
    r->last_turn_idle = true;
    int rc;
    if ((r->epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0) {
        rc = -errno;
        goto free_reactor;
    }
    if ((r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) {
        rc = -errno;
        goto close_epoll;
    }
    /* Edge-triggered: every write is an event of its own, and nobody need read the counter back. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = r};
    if (epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, r->wake_fd, &event) != 0) {
        rc = -errno;
        goto close_wake;
    }
    config->clock->now(config->clock, &r->now);
    r->last_work_ns = r->last_collect_ns = r->now.ns;
    *out = r;
    return 0;
close_wake:
    close(r->wake_fd);
close_epoll:
    close(r->epoll_fd);
free_reactor:
    free(r);
    return rc;
}

void reactor_destroy(struct reactor **reactor)
{
    struct reactor *r = *reactor;
    if (!r) return;
    close(r->wake_fd);
    close(r->epoll_fd);
    free(r);
    *reactor = NULL;
}

void reactor_add_poller(struct reactor *r, struct poller *poller)
{
    poller->next = NULL;
    *r->pollers_end = poller;
    r->pollers_end = &poller->next;
    r->naps |= poller->needs_naps;
}

static int fd_control(struct reactor *r, int operation, struct reactor_fd *rfd, uint32_t epoll_events)
{
    struct epoll_event event = {.events = epoll_events, .data.ptr = rfd};
    return epoll_ctl(r->epoll_fd, operation, rfd->fd, &event) == 0 ? 0 : -errno;
}

int reactor_fd_add(struct reactor *r, struct reactor_fd *rfd, uint32_t epoll_events)
{
    int rc = fd_control(r, EPOLL_CTL_ADD, rfd, epoll_events);
    if (rc == 0) r->fd_count++;
    return rc;
}

int reactor_fd_modify(struct reactor *r, struct reactor_fd *rfd, uint32_t epoll_events)
{
    return fd_control(r, EPOLL_CTL_MOD, rfd, epoll_events);
}

int reactor_fd_wakes(struct reactor *r, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = r};
    return epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 || errno == EEXIST ? 0 : -errno;
}

void reactor_fd_remove(struct reactor *r, struct reactor_fd *rfd)
{
    int rc = fd_control(r, EPOLL_CTL_DEL, rfd, 0);
    assert(rc == 0); /* still open, and watched here */
    (void)rc;
    r->fd_count--;
    for (int i = r->event_next; i < r->event_count; i++)
        if (r->events[i].data.ptr == rfd) r->events[i].data.ptr = NULL;
}

static void now_update(struct reactor *r)
{
    r->config.clock->now(r->config.clock, &r->now);
}

static int wait_ms(struct reactor *r, uint64_t timeout_ns)
{
    int ms = (int)((timeout_ns + 999999) / 1000000); /* up: waking before the deadline would spin to it */
    return epoll_wait(r->epoll_fd, r->events, EVENTS_MAX, ms);
}

/* Fills events[]; a timeout of 0 only looks. */
static void fds_collect(struct reactor *r, uint64_t timeout_ns)
{
    int n;
    if (timeout_ns == 0 || r->no_pwait2) {
        n = wait_ms(r, timeout_ns);
    } else {
        struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / NS_PER_SECOND),
                                   .tv_nsec = (long)(timeout_ns % NS_PER_SECOND)};
        n = epoll_pwait2(r->epoll_fd, r->events, EVENTS_MAX, &timeout, NULL);
        if (n < 0 && (errno == ENOSYS || errno == EPERM)) { /* EPERM: a container's filter that does not know it */
            r->no_pwait2 = true;
            n = wait_ms(r, timeout_ns);
        }
    }
    assert(n >= 0 || errno == EINTR);
    r->event_count = n > 0 ? n : 0;
    r->event_next = 0;
    r->last_collect_found = n > 0;
    r->last_collect_ns = r->now.ns;
}

/* A look costs a system call: a busy device's frames are not to pay it every turn. */
static bool fds_due(const struct reactor *r)
{
    if (r->fd_count == 0) return false;
    if (!r->naps || r->last_collect_found) return true;
    return r->now.ns - r->last_collect_ns >= r->config.fd_interval_us * NS_PER_US;
}

static unsigned fds_dispatch(struct reactor *r)
{
    unsigned work = 0;
    while (r->event_next < r->event_count) {
        const struct epoll_event *event = &r->events[r->event_next++];
        struct reactor_fd *rfd = event->data.ptr;
        if (!rfd || event->data.ptr == r) continue; /* removed meanwhile; or a wake, which only ends a sleep */
        rfd->ready(rfd, event->events);
        work++;
    }
    return work;
}

static unsigned pollers_run(struct reactor *r)
{
    unsigned total = 0;
    uint64_t before = rte_rdtsc();
    for (struct poller *p = r->pollers; p; p = p->next) {
        unsigned work = p->run(p->arg, &r->now);
        metric_add(&p->runs, 1);
        if (work == 0) continue; /* its few cycles fall to the next that works: cheaper than reading the TSC */
        uint64_t after = rte_rdtsc();
        metric_add(&p->busy_tsc, after - before);
        metric_add(&p->work, work);
        before = after;
        total += work;
    }
    return total;
}

static void turn_account(struct reactor *r, unsigned work, uint64_t cycles)
{
    r->last_turn_idle = work == 0;
    if (work) r->last_work_ns = r->now.ns;
    metric_add(&r->stats.turns, 1);
    metric_add(work ? &r->stats.busy_tsc : &r->stats.idle_tsc, cycles);
}

unsigned reactor_turn(struct reactor *r)
{
    uint64_t start = rte_rdtsc();
    now_update(r);
    unsigned work = 0;
    if (fds_due(r)) {
        fds_collect(r, 0);
        work += fds_dispatch(r);
    }
    work += pollers_run(r);
    turn_account(r, work, rte_rdtsc() - start);
    return work;
}

/* True: all that is polled will wake the core. */
static bool pollers_arm(const struct reactor *r)
{
    bool all = true;
    for (const struct poller *p = r->pollers; p; p = p->next)
        if (p->needs_naps) all = p->arm && p->arm(p->arg, true) && all;
    return all;
}

static void pollers_disarm(const struct reactor *r)
{
    for (const struct poller *p = r->pollers; p; p = p->next)
        if (p->needs_naps && p->arm) p->arm(p->arg, false);
}

/* Until the first deadline, the nap's end, or a second. */
static uint64_t sleep_ns(const struct reactor *r, bool nap)
{
    uint64_t least = nap ? r->config.nap_us * NS_PER_US : SLEEP_MAX_NS;
    for (const struct poller *p = r->pollers; p; p = p->next) {
        if (!p->deadline) continue;
        uint64_t deadline = p->deadline(p->arg);
        if (deadline <= r->now.ns) return 0;
        if (deadline - r->now.ns < least) least = deadline - r->now.ns;
    }
    return least;
}

static bool may_sleep(const struct reactor *r)
{
    if (r->config.poll != REACTOR_ADAPTIVE) return false;
    return !r->naps || r->now.ns - r->last_work_ns >= r->config.idle_spin_us * NS_PER_US;
}

/*
 * A turn that may sleep: the wait is also its collection of events, so a busy reactor of sockets alone makes one system
 * call a turn. No wake-up is lost: `sleeping` is up before the pollers look once more, and a waker looks at `sleeping`
 * after its push; with both fenced, one of the two sees the other.
 */
static void turn_sleeping(struct reactor *r)
{
    uint64_t start = rte_rdtsc(), slept = 0;
    now_update(r);
    atomic_store_explicit(&r->sleeping, 1, memory_order_relaxed);
    rte_smp_mb(); /* not C11's fence, which gcc refuses to compile for the thread sanitizer */
    bool nap = r->naps && !pollers_arm(r);
    unsigned work = pollers_run(r);
    uint64_t timeout_ns = work ? 0 : sleep_ns(r, nap);
    if (timeout_ns == 0) {
        atomic_store_explicit(&r->sleeping, 0, memory_order_relaxed);
        fds_collect(r, 0);
    } else {
        uint64_t before = rte_rdtsc();
        fds_collect(r, timeout_ns);
        atomic_store_explicit(&r->sleeping, 0, memory_order_relaxed);
        slept = rte_rdtsc() - before;
        metric_add(&r->stats.sleeps, 1);
        now_update(r);
    }
    if (r->naps) pollers_disarm(r);
    work += fds_dispatch(r);
    work += pollers_run(r);
    turn_account(r, work, rte_rdtsc() - start - slept);
}

static void thread_pin(const struct reactor *r)
{
    if (r->config.cpu < 0) return;
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    if (r->config.cpu < CPU_SETSIZE) CPU_SET(r->config.cpu, &cpus);
    int rc = pthread_setaffinity_np(pthread_self(), sizeof cpus, &cpus);
    if (rc != 0) log_warn("core %u is not pinned to processor %d: %s", r->config.core, r->config.cpu, strerror(rc));
}

static void thread_name(const struct reactor *r)
{
    if (gettid() == getpid()) return; /* the first thread's name is the process's */
    char name[16];
    snprintf(name, sizeof name, "core-%u", r->config.core);
    pthread_setname_np(pthread_self(), name);
}

/* Gives the thread a DPDK number, and so mempool caches. true: to be given back. */
static bool thread_register(const struct reactor *r)
{
    if (rte_lcore_id() != LCORE_ID_ANY) return false;
    if (rte_thread_register() == 0) return true;
    if (rte_errno != EINVAL) /* EINVAL: DPDK is not started, and nobody here has buffers */
        log_warn("core %u runs without buffer caches: %s", r->config.core, rte_strerror(rte_errno));
    return false;
}

void reactor_run(struct reactor *r)
{
    thread_pin(r);
    thread_name(r);
    bool registered = thread_register(r);
    int slack = prctl(PR_GET_TIMERSLACK);
    prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS);
    now_update(r);
    r->last_work_ns = r->now.ns;
    while (!atomic_load_explicit(&r->stopping, memory_order_acquire)) {
        if (may_sleep(r))
            turn_sleeping(r);
        else
            reactor_turn(r);
    }
    atomic_store_explicit(&r->stopping, 0, memory_order_relaxed);
    if (slack > 0) prctl(PR_SET_TIMERSLACK, (unsigned long)slack);
    if (registered) rte_thread_unregister();
}

static void wake_write(const struct reactor *r)
{
    int saved = errno; /* of the code that a signal handler interrupts */
    uint64_t one = 1;
    ssize_t n = write(r->wake_fd, &one, sizeof one);
    (void)n; /* fails only when 2^64 wakes were written */
    errno = saved;
}

void reactor_stop(struct reactor *r)
{
    atomic_store_explicit(&r->stopping, 1, memory_order_release);
    wake_write(r);
}

void reactor_wake(struct reactor *r)
{
    rte_smp_mb();
    if (!atomic_load_explicit(&r->sleeping, memory_order_relaxed)) return;
    if (atomic_exchange_explicit(&r->sleeping, 0, memory_order_relaxed)) wake_write(r);
}

void reactor_read_stats(const struct reactor *r, struct reactor_stats *out)
{
    out->turns = metric_get(&r->stats.turns);
    out->busy_tsc = metric_get(&r->stats.busy_tsc);
    out->idle_tsc = metric_get(&r->stats.idle_tsc);
    out->sleeps = metric_get(&r->stats.sleeps);
}

const struct tick *reactor_now(const struct reactor *r)
{
    return &r->now;
}

unsigned reactor_core(const struct reactor *r)
{
    return r->config.core;
}
