#include "net/ksock_impl.h"

#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096
#define KEEP_SECONDS_MOST UINT64_C(32767) /* Linux's */

static const int on = 1;

/* A TCP socket as all of ours are. Descriptor or -errno. */
static int socket_open(const union ksock_address *address)
{
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (fd < 0) return -errno;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* accepted sockets inherit it */
    return fd;
}

/* Descriptor or -errno. */
static int socket_bind(const union ksock_address *address, bool reuse_port)
{
    int fd = socket_open(address);
    if (fd < 0) return fd;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->any.sa_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if ((reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) ||
        bind(fd, &address->any, ksock_address_len(address)) != 0) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

int ksock_probe_address(const char *address, uint16_t port)
{
    union ksock_address a;
    if (ksock_address_parse(&a, address, port) != 0) return -EINVAL;
    int fd = socket_bind(&a, false);
    if (fd < 0) return fd;
    close(fd);
    return 0;
}

static bool out_of_resources(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

static void listener_pause(struct ksock_listener *l)
{
    struct ksock *k = l->ksock;
    metric_add(&k->metrics.accept_backoff, 1);
    l->resume_ns = ksock_now_ns(k) + KSOCK_BACKOFF_NS;
    reactor_fd_modify(k->config.reactor, &l->rfd, 0);
    ksock_timer_start(k);
}

bool ksock_listeners_resume(struct ksock *k, uint64_t now_ns)
{
    bool paused = false;
    struct ksock_listener *l;
    LIST_FOREACH(l, &k->listeners, all) {
        if (l->resume_ns == 0) continue;
        if (l->resume_ns > now_ns || reactor_fd_modify(k->config.reactor, &l->rfd, EPOLLIN) != 0) paused = true;
        else l->resume_ns = 0;
    }
    return paused;
}

/* Takes fd. */
static void accepted(struct ksock_listener *l, int fd, const union ksock_address *peer)
{
    struct ksock *k = l->ksock;
    struct ksock_stream *st = NULL;
    if (k->stream_count < k->config.max_connections) st = ksock_stream_create(k, fd, peer);
    if (!st) {
        metric_add(&k->metrics.refused, 1);
        close(fd);
        return;
    }
    metric_add(&k->metrics.accepted, 1);
    st->state = KSOCK_OPEN;
    ksock_stream_watch(st);
    l->accept(l->accept_arg, &st->s);
}

static void listener_ready(struct reactor_fd *rfd, uint32_t events)
{
    (void)events;
    struct ksock_listener *l = rfd->arg;
    for (unsigned i = 0; i < KSOCK_ACCEPT_BATCH; i++) {
        union ksock_address peer;
        socklen_t len = sizeof peer;
        int fd = accept4(rfd->fd, &peer.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            accepted(l, fd, &peer);
        } else if (out_of_resources(errno)) {
            listener_pause(l);
            return;
        } else if (errno == EAGAIN) {
            return;
        }
        /* Any other error is one of the connection that died in the queue: the next may be well. */
    }
}

void ksock_listener_destroy(struct ksock_listener *l)
{
    LIST_REMOVE(l, all);
    reactor_fd_remove(l->ksock->config.reactor, &l->rfd);
    close(l->rfd.fd);
    free(l);
}

static int seconds_up(uint64_t ns) { return (int)RTE_MIN((ns + 999999999) / 1000000000, KEEP_SECONDS_MOST); }

/* How long a silent peer is put up with; accepted sockets inherit it. */
static void patience_set(const struct ksock_config *k, int fd)
{
    int idle = seconds_up(k->keep_idle_ns), interval = seconds_up(k->keep_interval_ns), count = (int)k->keep_count;
    unsigned timeout_ms = (unsigned)RTE_MIN((k->user_timeout_ns + 999999) / 1000000, (uint64_t)INT_MAX);
    if (timeout_ms) setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
    if (!k->keep_idle_ns) return;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

int ksock_listen(struct ksock *k, const char *address, uint16_t port, stream_accept_fn *accept_fn, void *arg,
                 uint16_t *bound_port)
{
    union ksock_address a;
    socklen_t len = sizeof a;
    int rc = ksock_address_parse(&a, address, port);
    if (rc != 0) return rc;
    struct ksock_listener *l = calloc(1, sizeof *l);
    if (!l) return -ENOMEM;
    int fd = socket_bind(&a, true);
    if (fd < 0) {
        rc = fd;
        goto free_listener;
    }
    patience_set(&k->config, fd);
    if (listen(fd, BACKLOG) != 0 || getsockname(fd, &a.any, &len) != 0) {
        rc = -errno;
        goto close_socket;
    }
    *l = (struct ksock_listener){.ksock = k, .accept = accept_fn, .accept_arg = arg};
    l->rfd = (struct reactor_fd){.fd = fd, .ready = listener_ready, .arg = l};
    if ((rc = reactor_fd_add(k->config.reactor, &l->rfd, EPOLLIN)) != 0) goto close_socket;
    LIST_INSERT_HEAD(&k->listeners, l, all);
    if (bound_port) *bound_port = ksock_address_port(&a);
    return 0;
close_socket:
    close(fd);
free_listener:
    free(l);
    return rc;
}

static int connect_start(struct ksock *k, const char *address, uint16_t port, bool early, struct stream **out)
{
    union ksock_address a;
    int rc = ksock_address_parse(&a, address, port);
    if (rc != 0) return rc;
    if (k->stream_count >= k->config.max_connections) return -EADDRNOTAVAIL;
    int fd = socket_open(&a);
    if (fd < 0) return fd;
    if (early) setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on); /* an old kernel: as if not asked */
    struct ksock_stream *st = ksock_stream_create(k, fd, &a);
    if (!st) {
        close(fd);
        return -ENOMEM;
    }
    st->state = KSOCK_CONNECTING;
    *out = &st->s;
    if (connect(fd, &a.any, ksock_address_len(&a)) != 0 && errno != EINPROGRESS) ksock_stream_fail(st, errno);
    else ksock_stream_watch(st); /* connected or not: epoll says when */
    return 0;
}

int ksock_connect(struct ksock *k, const char *address, uint16_t port, struct stream **out)
{
    return connect_start(k, address, port, false, out);
}

int ksock_connect_early(struct ksock *k, const char *address, uint16_t port, struct stream **out)
{
    return connect_start(k, address, port, true, out);
}

void ksock_connect_done(struct ksock_stream *st)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(st->rfd.fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) error = errno;
    if (error != 0) {
        ksock_stream_fail(st, error);
        return;
    }
    st->state = KSOCK_OPEN;
    stream_raise(&st->s, STREAM_CONNECTED);
    if (st->flushed) ksock_stream_list_flush(st);
    ksock_stream_watch(st);
}
