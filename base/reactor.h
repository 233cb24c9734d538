/*
 * The reactor: one pinned thread a core that runs a list of pollers in turn, over and over. A turn: fd events (if any
 * are registered), then each poller in the order it was added. Knows how busy it is: TSC cycles of turns that did work
 * against cycles of turns that did none. Time in the kernel's wait of a turn that slept is neither: the load of an
 * adaptive reactor is busy cycles against elapsed ones.
 *
 * Idle: with REACTOR_ADAPTIVE the thread sleeps in epoll when a turn found nothing: at once when no poller needs naps,
 * after idle_spin_us when one does, in naps of nap_us where it cannot be armed (a DPDK port that cannot interrupt). With REACTOR_BUSY it
 * never sleeps. Where a poller needs naps, fds are looked at only every fd_interval_us while the core is awake, but again at
 * once after a look that found something.
 */
#ifndef POLAR_BASE_REACTOR_H
#define POLAR_BASE_REACTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include "base/clock.h"

struct reactor;

/* Does a bounded amount of work; returns how much (0: idle). Reactor thread. */
typedef unsigned poller_fn(void *arg, const struct tick *now);

/* The latest monotonic ns at which this poller wants to run though nothing happens (a timer); UINT64_MAX: never. */
typedef uint64_t poller_deadline_fn(void *arg);

/*
 * on: the core is about to sleep, and what this poller polls is to wake it (reactor_fd_wakes); false: it cannot now. The
 * poller runs once more before the core sleeps: nothing that came meanwhile is lost. off: the core is awake again.
 */
typedef bool poller_arm_fn(void *arg, bool on);

struct poller {
    const char *name;
    poller_fn *run;
    poller_deadline_fn *deadline; /* may be NULL */
    void *arg;
    bool needs_naps; /* polls a device that cannot wake the core by itself; looked at when it is added */
    poller_arm_fn *arm; /* such a device can be told to; NULL: it cannot */
    /* Any thread may read these, relaxed (metric_get). */
    uint64_t busy_tsc; /* cycles of its runs that returned work, with the idle runs of others just before */
    uint64_t runs;     /* a turn that may sleep runs each poller twice: before the wait and after it */
    uint64_t work;
    struct poller *next;
};

enum reactor_poll { REACTOR_ADAPTIVE, REACTOR_BUSY };

struct reactor_config {
    unsigned core;          /* index of the reactor, 0.. */
    int cpu;                /* processor to pin to, or -1 */
    enum reactor_poll poll;
    uint32_t idle_spin_us;
    uint32_t nap_us;
    uint32_t fd_interval_us;
    struct clock *clock;    /* borrowed for the reactor's life */
};

/* A file descriptor watched by a reactor. Memory is the caller's, for as long as it is watched. */
struct reactor_fd {
    int fd;
    void (*ready)(struct reactor_fd *rfd, uint32_t epoll_events);
    void *arg;
};

struct reactor_stats { /* read by any thread: relaxed */
    uint64_t turns;
    uint64_t busy_tsc;
    uint64_t idle_tsc;
    uint64_t sleeps; /* waits in the kernel that were allowed to block */
};

int reactor_create(struct reactor **out, const struct reactor_config *config); /* 0 or -errno */
void reactor_destroy(struct reactor **reactor);
/* Adds a poller behind the others. Before reactor_run or on the reactor's thread. Memory is the caller's. */
void reactor_add_poller(struct reactor *reactor, struct poller *poller);
/* Before reactor_run or on the reactor's thread, from ready call-backs too. 0 or -errno. */
int reactor_fd_add(struct reactor *reactor, struct reactor_fd *rfd, uint32_t epoll_events);
int reactor_fd_modify(struct reactor *reactor, struct reactor_fd *rfd, uint32_t epoll_events);
/* An event of fd, by edges, ends a sleep, and nothing else: nobody reads it. Again for the same fd: nothing. Forgotten
 * when it is closed. 0 or -errno. Reactor thread. */
int reactor_fd_wakes(struct reactor *reactor, int fd);
/* Before the fd is closed. Events already collected are not delivered: rfd may be freed or added again at once. */
void reactor_fd_remove(struct reactor *reactor, struct reactor_fd *rfd);
/*
 * Runs until reactor_stop. Pins the calling thread when config.cpu >= 0, names it core-N, and registers it with DPDK
 * for the time of the run.
 */
void reactor_run(struct reactor *reactor);
/* One turn without sleeping: for tests. Returns the work done. */
unsigned reactor_turn(struct reactor *reactor);
/* Ends the present run, or the next one at its start when there is none. Any thread; async-signal-safe. */
void reactor_stop(struct reactor *reactor);
/*
 * Wakes the reactor if it sleeps; otherwise a fence and one load. Any thread. Ordered after the caller's ring push. A
 * reactor that was awake runs every poller once more before it sleeps, and so finds what was pushed.
 */
void reactor_wake(struct reactor *reactor);
void reactor_read_stats(const struct reactor *reactor, struct reactor_stats *out); /* any thread */
const struct tick *reactor_now(const struct reactor *reactor); /* the tick of this turn; reactor thread */
unsigned reactor_core(const struct reactor *reactor);

#endif
