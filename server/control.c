#include "server/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include "base/log.h"

struct control {
    struct clock_tsc clock;
    struct reactor *reactor;
    struct reactor_fd signals;
    int number; /* of the signal that came */
};

/* DPDK's TAP driver has the kernel send a signal for frames: those are for the cores, and would cut our reads and
 * writes short. Faults of our own stay what they are. */
static void signals_block(sigset_t *before)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
    sigset_t all;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_BLOCK, &all, before);
}

static void signal_ready(struct reactor_fd *fd, uint32_t epoll_events)
{
    struct control *c = fd->arg;
    struct signalfd_siginfo info;
    (void)epoll_events;
    if (read(fd->fd, &info, sizeof info) != sizeof info) return;
    c->number = (int)info.ssi_signo;
    reactor_stop(c->reactor);
}

int control_create(struct control **out, const sigset_t *signals)
{
    struct control *c = calloc(1, sizeof *c);
    if (!c) return -ENOMEM;
    clock_tsc_init(&c->clock);
    struct reactor_config config = {.cpu = -1, .poll = REACTOR_ADAPTIVE, .clock = &c->clock.clock};
    c->signals =
        (struct reactor_fd){.fd = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK), .ready = signal_ready, .arg = c};
    int rc = c->signals.fd < 0 ? -errno : reactor_create(&c->reactor, &config);
    if (rc == 0) rc = reactor_fd_add(c->reactor, &c->signals, EPOLLIN);
    if (rc != 0) {
        log_error("the control thread cannot wait: %s", strerror(-rc));
        control_destroy(&c);
        return rc;
    }
    *out = c;
    return 0;
}

void control_destroy(struct control **control)
{
    struct control *c = *control;
    if (!c) return;
    reactor_destroy(&c->reactor);
    if (c->signals.fd >= 0) close(c->signals.fd);
    free(c);
    *control = NULL;
}

struct reactor *control_reactor(struct control *c)
{
    return c->reactor;
}

int control_serve(struct control *c)
{
    sigset_t before;
    signals_block(&before);
    reactor_run(c->reactor);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return c->number;
}
