/* Sending by copy, and what any sender must know first. */
#include <limits.h>
#include <string.h>
#include "net/polar/polar_impl.h"

#define SEND_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE | MSG_EOR)

int sock_send_check(struct polar_sock *s)
{
    if (s->error) return -sock_take_error(s);
    if (s->tx_shut || s->state == SOCK_FAILED) return -EPIPE;
    if (s->state == SOCK_CONNECTED || s->held) return 0;
    return s->state == SOCK_CONNECTING ? -EAGAIN : s->state == SOCK_SET ? -ENOTSOCK : -ENOTCONN;
}

bool sock_may_send(struct polar_sock *s)
{
    if (s->error || s->tx_shut) return true;
    if (s->state != SOCK_CONNECTED && !s->held) return s->state != SOCK_CONNECTING;
    return s->stream->tx_queued < s->send_buffer && !s->starved;
}

static void sock_tx_full(struct polar_sock *s)
{
    s->tx_full = true;
    s->stream->want_writable = true;
}

void sock_tx_exhausted(struct polar_sock *s)
{
    metric_add(&s->thread->metrics.tx_no_buffer, 1);
    if (s->starved) return;
    s->starved = true;
    s->next_starved = s->thread->starved;
    s->thread->starved = s;
}

void thread_starved_wake(struct polar_thread *t)
{
    struct polar_sock *s = t->starved;
    t->starved = NULL;
    while (s) {
        struct polar_sock *next = s->next_starved;
        s->starved = false;
        s->next_starved = NULL;
        if (s->watches) watch_notify(s, EPOLLOUT);
        s = next;
    }
}

int sock_send_wait(struct polar_sock *s, int flags)
{
    struct polar_thread *t = s->thread;
    for (;;) {
        bool may = s->nonblock || flags & MSG_DONTWAIT ? thread_look(t, s, sock_may_send)
                                                       : thread_wait(t, s, sock_may_send, s->send_timeout_ns);
        if (!may) return -EAGAIN;
        int rc = sock_send_check(s);
        if (rc != 0) return rc;
        if (!thread_short_of_buffers(t)) return 0;
        sock_tx_exhausted(s);
    }
}

void sock_sent(struct polar_sock *s, int flags)
{
    if (s->held) sock_release(s);
    if (s->stream->tx_queued >= s->send_buffer) sock_tx_full(s);
    s->stream->ops->flush(s->stream);
    if (!s->nonblock && !(flags & MSG_MORE)) thread_push(s->thread);
}

/* Up to len bytes into buffers of the thread's; returns the bytes taken. */
static uint32_t copy_in(struct polar_sock *s, const uint8_t *data, uint32_t len)
{
    struct buf_pools *pools = s->thread->pools;
    struct buf_chain chain;
    buf_chain_init(&chain);
    uint32_t done = stream_tail_append(s->stream, data, len);
    while (done < len) {
        uint32_t left = len - done;
        struct rte_mbuf *m = rte_pktmbuf_alloc(left <= BUF_SMALL_ROOM ? pools->small : pools->frame);
        if (!m) break;
        uint16_t n = (uint16_t)RTE_MIN(left, (uint32_t)rte_pktmbuf_tailroom(m));
        memcpy(rte_pktmbuf_append(m, n), data + done, n);
        buf_chain_append(&chain, m);
        done += n;
    }
    if (chain.len) s->stream->ops->send(s->stream, &chain);
    metric_add(&s->thread->metrics.tx_copied_bytes, done);
    return done;
}

/* As much of one piece as there is room for; returns the bytes taken, or -errno for none. */
static ssize_t piece_send(struct polar_sock *s, const uint8_t *data, size_t len, int flags)
{
    size_t done = 0;
    int rc = 0;
    while (done < len) {
        if ((rc = sock_send_wait(s, flags)) != 0) break;
        uint32_t room = s->send_buffer - s->stream->tx_queued;
        uint32_t want = (uint32_t)RTE_MIN(len - done, (size_t)room), n = copy_in(s, data + done, want);
        if (n < want) sock_tx_exhausted(s);
        done += n;
        if (n) sock_sent(s, flags);
    }
    return done ? (ssize_t)done : rc;
}

static ssize_t sock_sendv(struct polar_sock *s, const struct iovec *iov, size_t count, int flags)
{
    size_t done = 0;
    if (flags & MSG_OOB || flags & ~SEND_FLAGS) return fail_with(EOPNOTSUPP);
    int rc = sock_send_check(s);
    if (rc != 0 && rc != -EAGAIN) return fail_with(-rc);
    for (size_t i = 0; i < count; i++) {
        ssize_t n = piece_send(s, iov[i].iov_base, iov[i].iov_len, flags);
        if (n < 0 && done == 0) return fail_with((int)-n);
        if (n < 0) {
            if (n != -EAGAIN && !s->error && s->state == SOCK_FAILED) s->error = (int)-n; /* for the next call */
            break;
        }
        done += (size_t)n;
        if ((size_t)n < iov[i].iov_len) break;
    }
    return (ssize_t)done;
}

ssize_t polar_send(int fd, const void *data, size_t len, int flags)
{
    struct polar_sock *s;
    int kernel = sock_resolve(fd, &s);
    if (kernel >= 0) return send(kernel, data, len, flags | MSG_NOSIGNAL);
    if (!s) return -1;
    return sock_sendv(s, &(struct iovec){.iov_base = (void *)(uintptr_t)data, .iov_len = len}, 1, flags);
}

ssize_t polar_sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct polar_sock *s;
    int kernel = sock_resolve(fd, &s);
    if (kernel >= 0) return sendmsg(kernel, message, flags | MSG_NOSIGNAL);
    if (!s) return -1;
    if (!message) return fail_with(EFAULT);
    if (message->msg_iovlen > IOV_MAX) return fail_with(EMSGSIZE);
    if (message->msg_controllen) return fail_with(EINVAL);
    if (flags & MSG_FASTOPEN) {
        int rc = sock_fast_open(s, message->msg_name, message->msg_namelen, flags);
        if (rc < 0) return fail_with(-rc);
        if (rc > 0) return sendmsg(rc, message, flags | MSG_NOSIGNAL);
        flags &= ~MSG_FASTOPEN;
    }
    return sock_sendv(s, message->msg_iov, message->msg_iovlen, flags);
}
