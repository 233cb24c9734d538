/*
 * Sets of descriptors to wait for. Something that happens to a socket puts its watches on their sets' ready lists; a wait
 * looks at those alone, and keeps there what is still ready (level) or takes it off (edge, one shot). Kernel descriptors
 * are in an epoll of the set's own, looked at when nothing else is ready and now and then.
 */
#include <stdlib.h>
#include <unistd.h>
#include "net/polar/polar_impl.h"

#define KERNEL_EVERY 16u       /* waits, or turns of a wait, between two looks at the kernel's descriptors */
#define ALWAYS (EPOLLERR | EPOLLHUP)
#define MODES (EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE)

struct polar_set {
    struct polar_thread *thread;
    struct polar_watch *watches;
    struct polar_watch *ready_head, *ready_tail;
    int epoll;                 /* of kernel descriptors; -1: none yet */
    uint32_t since_kernel;
};

static void ready_add(struct polar_watch *w)
{
    struct polar_set *set = w->set;
    if (w->ready) return;
    w->ready = true;
    w->next_ready = NULL;
    w->prev_ready = set->ready_tail;
    if (set->ready_tail) set->ready_tail->next_ready = w;
    else set->ready_head = w;
    set->ready_tail = w;
}

static void ready_remove(struct polar_watch *w)
{
    struct polar_set *set = w->set;
    if (!w->ready) return;
    w->ready = false;
    if (w->prev_ready) w->prev_ready->next_ready = w->next_ready;
    else set->ready_head = w->next_ready;
    if (w->next_ready) w->next_ready->prev_ready = w->prev_ready;
    else set->ready_tail = w->prev_ready;
}

void watch_notify(struct polar_sock *s, uint32_t events)
{
    for (struct polar_watch *w = s->watches; w; w = w->next_of_sock)
        if (!w->off && events & (w->events | ALWAYS)) ready_add(w);
}

static void watch_free(struct polar_watch *w)
{
    if (w == &w->sock->first_watch) w->set = NULL;
    else free(w);
}

static void watch_drop(struct polar_watch *w)
{
    struct polar_set *set = w->set;
    struct polar_watch **at = &w->sock->watches;
    while (*at != w) at = &(*at)->next_of_sock;
    *at = w->next_of_sock;
    ready_remove(w);
    if (w->prev_of_set) w->prev_of_set->next_of_set = w->next_of_set;
    else set->watches = w->next_of_set;
    if (w->next_of_set) w->next_of_set->prev_of_set = w->prev_of_set;
    watch_free(w);
}

void watch_drop_all(struct polar_sock *s)
{
    while (s->watches) watch_drop(s->watches);
}

static struct polar_watch *watch_find(struct polar_set *set, struct polar_sock *s)
{
    struct polar_watch *w = s->watches;
    while (w && w->set != set) w = w->next_of_sock;
    return w;
}

static int kernel_ctl(struct polar_set *set, int operation, int fd, struct epoll_event *event)
{
    if (set->epoll < 0) set->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (set->epoll < 0) return -errno;
    return epoll_ctl(set->epoll, operation, fd, event) == 0 ? 0 : -errno;
}

int watch_delegate(struct polar_sock *s)
{
    int rc = 0;
    for (struct polar_watch *w = s->watches; w && rc == 0; w = w->next_of_sock) {
        struct epoll_event event = {.events = w->events, .data = w->data};
        rc = kernel_ctl(w->set, EPOLL_CTL_ADD, s->kernel_fd, &event);
    }
    for (struct polar_watch *w = s->watches; w && rc == 0; w = w->next_of_sock) ready_remove(w);
    return rc;
}

static int watch_add(struct polar_set *set, struct polar_sock *s, const struct epoll_event *event)
{
    struct polar_watch *w = &s->first_watch;
    if (w->set && !(w = malloc(sizeof *w))) return -ENOMEM;
    *w = (struct polar_watch){.sock = s, .set = set, .events = event->events, .data = event->data};
    w->next_of_sock = s->watches;
    s->watches = w;
    w->next_of_set = set->watches;
    if (set->watches) set->watches->prev_of_set = w;
    set->watches = w;
    if (s->state == SOCK_KERNEL) {
        struct epoll_event copy = *event;
        int rc = kernel_ctl(set, EPOLL_CTL_ADD, s->kernel_fd, &copy);
        if (rc != 0) watch_drop(w);
        return rc;
    }
    if (sock_readiness(s) & (w->events | ALWAYS)) ready_add(w);
    return 0;
}

static int watch_modify(struct polar_watch *w, const struct epoll_event *event)
{
    struct epoll_event copy = *event;
    w->events = event->events;
    w->data = event->data;
    w->off = false;
    if (w->sock->state == SOCK_KERNEL) return kernel_ctl(w->set, EPOLL_CTL_MOD, w->sock->kernel_fd, &copy);
    ready_remove(w);
    if (sock_readiness(w->sock) & (w->events | ALWAYS)) ready_add(w);
    return 0;
}

static int sock_ctl(struct polar_set *set, int operation, struct polar_sock *s, const struct epoll_event *event)
{
    struct polar_watch *w = watch_find(set, s);
    switch (operation) {
    case EPOLL_CTL_ADD: return w ? -EEXIST : watch_add(set, s, event);
    case EPOLL_CTL_MOD: return w ? watch_modify(w, event) : -ENOENT;
    case EPOLL_CTL_DEL:
        if (!w) return -ENOENT;
        if (s->state == SOCK_KERNEL) kernel_ctl(set, EPOLL_CTL_DEL, s->kernel_fd, NULL);
        watch_drop(w);
        return 0;
    default: return -EINVAL;
    }
}

int polar_poll_create(void)
{
    if (!polar_self) return fail_with(EPERM);
    struct polar_set *set = malloc(sizeof *set);
    if (!set) return fail_with(ENOMEM);
    struct polar_sock *s = sock_alloc(polar_self, SOCK_SET);
    if (!s) {
        free(set);
        return -1;
    }
    *set = (struct polar_set){.thread = polar_self, .epoll = -1};
    s->set = set;
    return sock_fd(s);
}

void set_destroy(struct polar_set *set)
{
    while (set->watches) watch_drop(set->watches);
    if (set->epoll >= 0) close(set->epoll);
    free(set);
}

/* The set behind a descriptor; NULL with errno. */
static struct polar_set *set_of(int fd)
{
    struct polar_sock *s;
    int kernel = sock_resolve(fd, &s);
    if (s && s->state == SOCK_SET) return s->set;
    if (s || kernel >= 0) errno = EINVAL;
    return NULL;
}

int polar_poll_ctl(int set_fd, int operation, int fd, struct epoll_event *event)
{
    struct polar_sock *s;
    struct polar_set *set = set_of(set_fd);
    if (!set) return -1;
    int kernel = sock_resolve(fd, &s);
    if (kernel < 0 && !s) return -1;
    if (!event && operation != EPOLL_CTL_DEL) return fail_with(EFAULT);
    if (kernel >= 0 && fd < POLAR_FD_BASE) return result(kernel_ctl(set, operation, kernel, event));
    s = sock_at(fd);
    if (s->state == SOCK_SET) return fail_with(EINVAL); /* no sets of sets */
    return result(sock_ctl(set, operation, s, event));
}

/* What one ready watch has to say now; it leaves the list unless it will have to be looked at again. */
static uint32_t watch_report(struct polar_watch *w)
{
    uint32_t events = sock_readiness(w->sock) & ((w->events & ~(uint32_t)MODES) | ALWAYS);
    ready_remove(w);
    if (!events) return 0;
    if (w->events & EPOLLONESHOT) w->off = true;
    else if (!(w->events & EPOLLET)) ready_add(w); /* behind the others */
    return events;
}

static int collect(struct polar_set *set, struct epoll_event *events, int max)
{
    struct polar_watch *last = set->ready_tail;
    int n = 0;
    for (struct polar_watch *w = set->ready_head; w && n < max; w = set->ready_head) {
        bool end = w == last;
        uint32_t ready = watch_report(w);
        if (ready) events[n++] = (struct epoll_event){.events = ready, .data = w->data};
        if (end) break;
    }
    return n;
}

static int collect_kernel(struct polar_set *set, struct epoll_event *events, int max, int have)
{
    if (set->epoll < 0 || have == max) return 0;
    if (have && ++set->since_kernel < KERNEL_EVERY) return 0;
    set->since_kernel = 0;
    int n = epoll_wait(set->epoll, events + have, max - have, 0);
    return n > 0 ? n : 0;
}

int polar_poll_wait(int set_fd, struct epoll_event *events, int max, int timeout_ms)
{
    struct polar_set *set = set_of(set_fd);
    if (!set) return -1;
    if (max <= 0) return fail_with(EINVAL);
    if (!events) return fail_with(EFAULT);
    struct polar_thread *t = set->thread;
    uint64_t deadline = 0;
    for (unsigned turn = 0;; turn++) {
        thread_turn(t);
        if (turn == 0) deadline = timeout_ms < 0 ? UINT64_MAX : t->now + (uint64_t)timeout_ms * 1000000;
        int n = collect(set, events, max);
        if (n || turn % KERNEL_EVERY == 0 || t->idle_turns == 0) n += collect_kernel(set, events, max, n);
        if (n || t->now >= deadline || t->calling_back) return n;
        thread_idle(t, deadline);
    }
}
