/* How sockets get their names and their connections: bind, listen, accept, connect. */
#include <assert.h>
#include <unistd.h>
#include "net/polar/polar_impl.h"

#define PORT_FIRST 49152u /* for a bind to port 0: RFC 6335's dynamic ports */
#define PORT_COUNT 16384u

/* Which of the two tables of ports a socket's name concerns. */
static bool concerns(const struct polar_sock *s, unsigned table)
{
    bool v4 = s->family == AF_INET || net_addr_is_v4(&s->bound_at.addr);
    if (net_addr_is_any(&s->bound_at.addr) && !v4) return table == 1 || !s->only_v6;
    return table == (v4 ? 0 : 1);
}

static bool port_taken(const struct polar_sock *s, uint16_t port)
{
    for (unsigned i = 0; i < 2; i++)
        if (concerns(s, i) && s->thread->ports[i][port / 64] >> (port % 64) & 1) return true;
    return false;
}

static void port_mark(const struct polar_sock *s, uint16_t port, bool taken)
{
    uint64_t bit = UINT64_C(1) << (port % 64);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t *word = &s->thread->ports[i][port / 64];
        if (concerns(s, i)) *word = taken ? *word | bit : *word & ~bit;
    }
}

void sock_port_release(struct polar_sock *s)
{
    if (s->bound) port_mark(s, s->bound_at.port, false);
    s->bound = false;
}

/* 0: all are taken. */
static uint16_t port_choose(const struct polar_sock *s)
{
    for (uint32_t i = 0; i < PORT_COUNT; i++) {
        uint16_t port = (uint16_t)(PORT_FIRST + s->thread->port_next++ % PORT_COUNT);
        if (!port_taken(s, port)) return port;
    }
    return 0;
}

static int sock_bind(struct polar_sock *s, const struct net_endpoint *name)
{
    s->local = s->bound_at = *name;
    if (name->port && port_taken(s, name->port)) return -EADDRINUSE;
    uint16_t port = name->port ? name->port : port_choose(s);
    if (port == 0) return -EADDRINUSE;
    s->local.port = s->bound_at.port = port;
    port_mark(s, port, true);
    s->bound = true;
    return 0;
}

/* All of its family, or families. */
static struct net_endpoint any_of(const struct polar_sock *s)
{
    return s->family == AF_INET ? net_endpoint_v4(INADDR_ANY, 0) : (struct net_endpoint){.port = 0};
}

static void undelegate(struct polar_sock *s)
{
    close(s->kernel_fd); /* and so it leaves the kernel's part of its sets */
    s->kernel_fd = -1;
    s->state = SOCK_NEW;
}

int polar_bind(int fd, const struct sockaddr *address, socklen_t len)
{
    struct polar_sock *s;
    struct net_endpoint name;
    int kernel = sock_resolve(fd, &s);
    if (kernel >= 0) return bind(kernel, address, len);
    if (!s) return -1;
    if (s->state == SOCK_SET) return fail_with(ENOTSOCK);
    if (s->state != SOCK_NEW || s->bound) return fail_with(EINVAL);
    int rc = name_parse(s->family, address, len, &name);
    if (rc != 0) return fail_with(-rc);
    if (net_addr_is_any(&name.addr) || stack_has(s->thread->stack, &name.addr)) return result(sock_bind(s, &name));
    if ((rc = sock_delegate(s)) != 0) return fail_with(-rc);
    if (bind(s->kernel_fd, address, len) == 0) return 0;
    int error = errno;
    undelegate(s);
    return fail_with(error);
}

int polar_listen(int fd, int backlog)
{
    struct polar_sock *s;
    int kernel = sock_resolve(fd, &s);
    if (kernel >= 0) return listen(kernel, backlog);
    if (!s) return -1;
    if (s->state == SOCK_SET) return fail_with(ENOTSOCK);
    if (s->state != SOCK_NEW && s->state != SOCK_LISTENING) return fail_with(EINVAL);
    s->backlog = backlog < 1 ? 1 : backlog > (int)POLAR_ACCEPT_MOST ? POLAR_ACCEPT_MOST : (uint32_t)backlog;
    if (s->state == SOCK_LISTENING) return 0;
    struct net_endpoint any = any_of(s);
    int rc = s->bound ? 0 : sock_bind(s, &any);
    if (rc == 0) rc = net_listen_at(s->thread->stack, &s->bound_at, sock_accepted, s);
    if (rc == 0) rc = net_fast_open(s->thread->stack, &s->bound_at, s->fast_open);
    if (rc == -ENOSPC) rc = -ENOBUFS;
    if (rc != 0) return fail_with(-rc);
    s->state = SOCK_LISTENING;
    return 0;
}

/* What a socket inherits from its listener. */
static void inherit(struct polar_sock *s, const struct polar_sock *from)
{
    s->send_buffer = from->send_buffer;
    s->receive_low = from->receive_low;
    s->receive_timeout_ns = from->receive_timeout_ns;
    s->send_timeout_ns = from->send_timeout_ns;
    s->linger = from->linger;
    s->linger_s = from->linger_s;
    s->tuning = from->tuning;
    s->tuned = from->tuned;
}

void sock_accepted(void *arg, struct stream *stream)
{
    struct polar_sock *l = arg, *s = NULL;
    struct polar_thread *t = l->thread;
    if (l->accept_count < l->backlog) s = sock_alloc(t, SOCK_CONNECTED);
    if (!s) {
        metric_add(l->accept_count < l->backlog ? &t->metrics.accept_no_socket : &t->metrics.accept_overflow, 1);
        stream->ops->abort(stream);
        return;
    }
    s->stream = stream;
    stream->user = s;
    s->family = l->family;
    inherit(s, l);
    stream->tx_low_water = s->send_buffer / 2;
    if (s->tuned) net_tcp_tune(stream, &s->tuning); /* out of places for settings it keeps the usual ones */
    stream_names(stream, &s->local, &s->peer);
    if (l->only_v6 && net_addr_is_v4(&s->peer.addr)) { /* the stack's listener on :: takes both */
        stream->ops->abort(stream);
        sock_free(s);
        return;
    }
    if (l->accept_tail) l->accept_tail->accept_next = s;
    else l->accept_head = s;
    l->accept_tail = s;
    l->accept_count++;
    if (l->watches) watch_notify(l, EPOLLIN);
}

static struct polar_sock *accept_pop(struct polar_sock *l)
{
    struct polar_sock *s = l->accept_head;
    l->accept_head = s->accept_next;
    if (!l->accept_head) l->accept_tail = NULL;
    s->accept_next = NULL;
    l->accept_count--;
    return s;
}

void sock_unlisten(struct polar_sock *l)
{
    net_unlisten(l->thread->stack, &l->bound_at);
    while (l->accept_head) {
        struct polar_sock *s = accept_pop(l);
        s->stream->ops->abort(s->stream);
        sock_free(s);
    }
}

static bool may_accept(struct polar_sock *l) { return l->accept_head != NULL; }

int polar_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    struct polar_sock *l;
    int kernel = sock_resolve(fd, &l);
    if (kernel >= 0) return accept4(kernel, address, len, flags);
    if (!l) return -1;
    if (l->state == SOCK_SET) return fail_with(ENOTSOCK);
    if (l->state != SOCK_LISTENING || flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) return fail_with(EINVAL);
    if (address && !len) return fail_with(EFAULT);
    bool there = l->nonblock ? thread_look(l->thread, l, may_accept)
                             : thread_wait(l->thread, l, may_accept, l->receive_timeout_ns);
    if (!there) return fail_with(EAGAIN);
    struct polar_sock *s = accept_pop(l);
    s->nonblock = flags & SOCK_NONBLOCK;
    metric_add(&l->thread->metrics.accepted, 1);
    name_write(s->family, &s->peer, address, len);
    return sock_fd(s);
}

int polar_accept(int fd, struct sockaddr *address, socklen_t *len) { return polar_accept4(fd, address, len, 0); }

/* Why nothing can be sent there; 0: it can, as far as is known here. */
static int unreachable(const struct polar_sock *s, const struct net_endpoint *to)
{
    bool v4 = net_addr_is_v4(&to->addr);
    if (to->port == 0 || stack_has(s->thread->stack, &to->addr)) return EADDRNOTAVAIL;
    if (s->only_v6 && v4) return ENETUNREACH;
    if (net_addr_is_multicast(&to->addr) || (v4 && to->addr.be32[3] == INADDR_BROADCAST)) return ENETUNREACH;
    return 0;
}

static bool open_over(struct polar_sock *s) { return s->state != SOCK_CONNECTING; }

static int open_wait(struct polar_sock *s)
{
    if (s->nonblock || !thread_wait(s->thread, s, open_over, s->send_timeout_ns)) return fail_with(EINPROGRESS);
    int error = sock_take_error(s);
    return error ? fail_with(error) : 0;
}

/* 0 or -errno. */
static int connect_begin(struct polar_sock *s, const struct net_endpoint *to)
{
    struct polar_thread *t = s->thread;
    struct tick now;
    struct net_endpoint from = s->bound ? s->bound_at : (struct net_endpoint){.port = 0};
    int rc = unreachable(s, to);
    if (rc != 0) return -rc;
    t->clock->now(t->clock, &now);
    if (s->bound && (rc = stack_claim(t->stack, from.port)) != 0) return rc;
    rc = net_connect_from(t->stack, from, *to, now.ns, &s->stream);
    if (rc == -ENOMEM) rc = -ENOBUFS;
    if (rc != 0) {
        s->stream = NULL;
        return rc;
    }
    s->stream->user = s;
    s->stream->tx_low_water = s->send_buffer / 2;
    if (s->tuned) net_tcp_tune(s->stream, &s->tuning);
    s->state = SOCK_CONNECTING;
    stream_names(s->stream, &s->local, &s->peer);
    s->held = net_connect_hold(s->stream);
    if (s->held && s->watches) watch_notify(s, EPOLLOUT);
    return 0;
}

static int sock_connect(struct polar_sock *s, const struct net_endpoint *to)
{
    int rc = connect_begin(s, to);
    if (rc != 0) return fail_with(-rc);
    return s->held ? 0 : open_wait(s);
}

void sock_release(struct polar_sock *s)
{
    s->held = false;
    net_connect_go(s->stream);
}

int sock_fast_open(struct polar_sock *s, const struct sockaddr *address, socklen_t len, int flags)
{
    struct net_endpoint name;
    if (s->state == SOCK_SET) return -ENOTSOCK;
    if (s->state == SOCK_CONNECTING && !s->held) return -EALREADY;
    if (s->state != SOCK_NEW) return -EISCONN;
    if (s->error) return -sock_take_error(s);
    int rc = name_parse(s->family, address, len, &name);
    if (rc != 0) return rc;
    if (addr_is_loopback(&name.addr) || net_addr_is_any(&name.addr))
        return (rc = sock_delegate(s)) != 0 ? rc : s->kernel_fd;
    s->tuning.fast_open = s->tuned = true;
    if ((rc = connect_begin(s, &name)) != 0 || s->held) return rc;
    if (flags & MSG_DONTWAIT) return -EINPROGRESS;
    return open_wait(s) == 0 ? 0 : -errno;
}

int polar_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    struct polar_sock *s;
    struct net_endpoint name;
    int kernel = sock_resolve(fd, &s);
    if (kernel >= 0) return connect(kernel, address, len);
    if (!s) return -1;
    if (s->state == SOCK_SET) return fail_with(ENOTSOCK);
    if (s->state == SOCK_CONNECTING) return fail_with(EALREADY);
    if (s->state != SOCK_NEW) return fail_with(EISCONN);
    if (s->error) return fail_with(sock_take_error(s)); /* of an open that nobody waited for */
    int rc = name_parse(s->family, address, len, &name);
    if (rc != 0) return fail_with(-rc);
    if (!addr_is_loopback(&name.addr) && !net_addr_is_any(&name.addr)) return sock_connect(s, &name);
    if ((rc = sock_delegate(s)) != 0) return fail_with(-rc);
    return connect(s->kernel_fd, address, len);
}
