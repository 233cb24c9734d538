/*
 * Descriptors: POLAR_FD_BASE, the thread's index above 20 bits of the socket's. A closed socket's number is used again,
 * the last one closed first.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "net/polar/polar_impl.h"

#define INDEX_MASK (POLAR_SOCKETS_MOST - 1)

_Static_assert((POLAR_THREADS_MAX << POLAR_INDEX_BITS) <= POLAR_FD_BASE, "descriptors stay positive");

struct polar_sock *sock_alloc(struct polar_thread *t, enum sock_state state)
{
    struct polar_sock *s;
    if (t->socks_free) {
        s = &t->socks[t->socks_free - 1];
        t->socks_free = s->next_free;
    } else if (t->socks_used < t->max_sockets) {
        s = &t->socks[t->socks_used++];
    } else {
        errno = EMFILE;
        return NULL;
    }
    uint32_t serial = s->serial + 1;
    memset(s, 0, sizeof *s);
    s->serial = serial;
    s->thread = t;
    s->state = (uint8_t)state;
    s->send_buffer = t->send_buffer;
    s->receive_low = 1;
    s->kernel_fd = -1;
    net_stack_tuning(t->stack, &s->tuning);
    t->socks_open++;
    metric_set(&t->metrics.sockets, t->socks_open);
    return s;
}

static void starved_remove(struct polar_sock *s)
{
    struct polar_sock **at = &s->thread->starved;
    while (*at != s) at = &(*at)->next_starved;
    *at = s->next_starved;
    s->starved = false;
}

void sock_free(struct polar_sock *s)
{
    struct polar_thread *t = s->thread;
    watch_drop_all(s);
    if (s->starved) starved_remove(s);
    sock_port_release(s);
    s->state = SOCK_FREE;
    s->next_free = t->socks_free;
    t->socks_free = (uint32_t)(s - t->socks) + 1;
    t->socks_open--;
    metric_set(&t->metrics.sockets, t->socks_open);
}

int sock_fd(const struct polar_sock *s)
{
    const struct polar_thread *t = s->thread;
    return (int)((unsigned)POLAR_FD_BASE | t->index << POLAR_INDEX_BITS | (unsigned)(s - t->socks));
}

struct polar_sock *sock_at(int fd) { return &polar_self->socks[(uint32_t)(fd - POLAR_FD_BASE) & INDEX_MASK]; }

int sock_resolve(int fd, struct polar_sock **out)
{
    struct polar_thread *t = polar_self;
    *out = NULL;
    errno = EBADF;
    if (fd < POLAR_FD_BASE) return fd < 0 ? -1 : fd;
    uint32_t number = (uint32_t)(fd - POLAR_FD_BASE), index = number & INDEX_MASK;
    if (!t || number >> POLAR_INDEX_BITS != t->index) {
        errno = EPERM;
        return -1;
    }
    if (index >= t->socks_used || t->socks[index].state == SOCK_FREE) return -1;
    if (t->socks[index].state == SOCK_KERNEL) return t->socks[index].kernel_fd;
    *out = &t->socks[index];
    return -1;
}

int polar_socket(int domain, int type, int protocol)
{
    int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    bool internet = domain == AF_INET || domain == AF_INET6;
    bool ours = internet && kind == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP);
    if (!ours) return socket(domain, type, protocol);
    if (!polar_self) return fail_with(EPERM);
    struct polar_sock *s = sock_alloc(polar_self, SOCK_NEW);
    if (!s) return -1;
    s->nonblock = type & SOCK_NONBLOCK;
    s->family = (uint8_t)domain;
    return sock_fd(s);
}

int polar_fcntl(int fd, int command, int argument)
{
    struct polar_sock *s;
    int kernel = sock_resolve(fd, &s);
    if (kernel >= 0) return fcntl(kernel, command, argument);
    if (!s) return -1;
    switch (command) {
    case F_GETFL: return O_RDWR | (s->nonblock ? O_NONBLOCK : 0);
    case F_SETFL: s->nonblock = argument & O_NONBLOCK; return 0;
    default: return fail_with(EINVAL);
    }
}
