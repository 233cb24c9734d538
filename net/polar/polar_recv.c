/* Receiving by copy. */
#include <limits.h>
#include <string.h>
#include "net/polar/polar_impl.h"

#define RECV_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_PEEK | MSG_WAITALL | MSG_CMSG_CLOEXEC)

void sock_drop_received(struct polar_sock *s)
{
    uint32_t n = s->stream->rx.len;
    if (n == 0) return;
    buf_chain_free(&s->stream->rx);
    s->stream->ops->consumed(s->stream, n);
}

static bool at_end(const struct polar_sock *s)
{
    return s->error || s->eof || s->rx_shut || (s->state != SOCK_CONNECTED && s->state != SOCK_CONNECTING);
}

bool sock_may_receive(struct polar_sock *s)
{
    return at_end(s) || (s->state == SOCK_CONNECTED && s->stream->rx.len >= s->receive_low);
}

/* Any byte will do: what MSG_WAITALL still waits for need not come in steps of the low-water mark. */
static bool more_received(struct polar_sock *s)
{
    return at_end(s) || (s->state == SOCK_CONNECTED && s->stream->rx.len > 0);
}

static int sock_receive_check(struct polar_sock *s)
{
    if (s->state == SOCK_SET) return -ENOTSOCK;
    if (s->stream && s->stream->rx.len) return 0;
    if (s->error) return -sock_take_error(s);
    return s->state == SOCK_NEW || s->state == SOCK_LISTENING ? -ENOTCONN : 0;
}

int sock_receive_wait(struct polar_sock *s, int flags, bool (*done)(struct polar_sock *))
{
    struct polar_thread *t = s->thread;
    int rc = sock_receive_check(s);
    if (rc != 0) return rc;
    if (s->held) sock_release(s); /* who listens first has nothing to send with the SYN */
    bool there = s->nonblock || flags & MSG_DONTWAIT ? thread_look(t, s, done)
                                                     : thread_wait(t, s, done, s->receive_timeout_ns);
    if (!there && (s->state != SOCK_CONNECTED || s->stream->rx.len == 0)) return -EAGAIN;
    return sock_receive_check(s);
}

/* What is there, into the pieces from byte `at` of them on. */
static size_t copy_out(struct polar_sock *s, const struct iovec *iov, size_t count, size_t at, bool peek)
{
    struct buf_cursor cur = buf_chain_begin(&s->stream->rx);
    size_t done = 0;
    for (size_t i = 0; i < count; i++) {
        if (at >= iov[i].iov_len) {
            at -= iov[i].iov_len;
            continue;
        }
        size_t left = RTE_MIN(iov[i].iov_len - at, (size_t)(s->stream->rx.len - done));
        done += buf_cursor_read(&cur, (uint8_t *)iov[i].iov_base + at, (uint32_t)left);
        at = 0;
    }
    if (peek || done == 0) return done;
    buf_chain_consume(&s->stream->rx, (uint32_t)done);
    s->stream->ops->consumed(s->stream, (uint32_t)done);
    metric_add(&s->thread->metrics.rx_copied_bytes, done);
    return done;
}

static size_t iov_bytes(const struct iovec *iov, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) bytes += iov[i].iov_len;
    return bytes;
}

static ssize_t sock_recvv(struct polar_sock *s, const struct iovec *iov, size_t count, int flags)
{
    size_t want = iov_bytes(iov, count), done = 0;
    bool peek = flags & MSG_PEEK, all = flags & MSG_WAITALL && !peek;
    if (flags & MSG_OOB) return fail_with(EINVAL); /* there is no urgent byte: it stays in line */
    if (flags & ~RECV_FLAGS) return fail_with(EOPNOTSUPP);
    do {
        int rc = sock_receive_wait(s, flags, done ? more_received : sock_may_receive);
        if (rc != 0 && done && rc != -EAGAIN) s->error = -rc; /* for the next call */
        if (rc != 0) return done ? (ssize_t)done : fail_with(-rc);
        if (want == 0 || !s->stream || s->rx_shut) break;
        size_t n = copy_out(s, iov, count, done, peek);
        if (n == 0) break; /* the end */
        done += n;
    } while (all && done < want);
    return (ssize_t)done;
}

ssize_t polar_recv(int fd, void *data, size_t len, int flags)
{
    struct polar_sock *s;
    int kernel = sock_resolve(fd, &s);
    if (kernel >= 0) return recv(kernel, data, len, flags);
    if (!s) return -1;
    return sock_recvv(s, &(struct iovec){.iov_base = data, .iov_len = len}, 1, flags);
}

ssize_t polar_recvmsg(int fd, struct msghdr *message, int flags)
{
    struct polar_sock *s;
    int kernel = sock_resolve(fd, &s);
    if (kernel >= 0) return recvmsg(kernel, message, flags);
    if (!s) return -1;
    if (!message) return fail_with(EFAULT);
    if (message->msg_iovlen > IOV_MAX) return fail_with(EMSGSIZE);
    message->msg_namelen = 0;
    message->msg_controllen = 0;
    message->msg_flags = 0;
    return sock_recvv(s, message->msg_iov, message->msg_iovlen, flags);
}
