/* The end of sockets: shutdown and close. */
#include <unistd.h>
#include "net/polar/polar_impl.h"

int polar_shutdown(int fd, int how)
{
    struct polar_sock *s;
    int kernel = sock_resolve(fd, &s);
    if (kernel >= 0) return shutdown(kernel, how);
    if (!s) return -1;
    if (s->state == SOCK_SET) return fail_with(ENOTSOCK);
    if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) return fail_with(EINVAL);
    if (s->state != SOCK_CONNECTED) return fail_with(ENOTCONN);
    if (how != SHUT_WR) {
        s->rx_shut = true;
        sock_drop_received(s);
    }
    if (how != SHUT_RD && !s->tx_shut) {
        s->tx_shut = true;
        s->stream->ops->shutdown(s->stream);
        if (!s->nonblock) thread_push(s->thread);
    }
    if (s->watches) watch_notify(s, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP);
    return 0;
}

static bool all_arrived(struct polar_sock *s) { return s->stream->tx_queued == 0 || s->state == SOCK_FAILED; }

/* SO_LINGER: with a time, wait for what was sent; without one, or with bytes that nobody has read, reset. RFC 1122
 * 4.2.2.13: the peer must learn that data was lost. */
static void stream_end(struct polar_sock *s)
{
    struct stream *stream = s->stream;
    bool reset = s->state != SOCK_CONNECTED || (s->linger && s->linger_s == 0) || (stream->rx.len && !s->rx_shut);
    if (!reset && s->linger && !s->nonblock) {
        stream->ops->shutdown(stream);
        thread_wait(s->thread, s, all_arrived, s->linger_s * UINT64_C(1000000000));
        reset = s->state == SOCK_FAILED;
    }
    if (reset) stream->ops->abort(stream);
    else stream->ops->close(stream);
    s->stream = NULL;
    if (!s->nonblock) thread_push(s->thread);
}

static void sock_close(struct polar_sock *s)
{
    if (s->state == SOCK_SET) set_destroy(s->set);
    else if (s->state == SOCK_LISTENING) sock_unlisten(s);
    else if (s->stream) stream_end(s);
    sock_free(s);
}

int polar_close(int fd)
{
    struct polar_sock *s;
    int kernel = sock_resolve(fd, &s);
    if (s) {
        sock_close(s);
        return 0;
    }
    if (kernel < 0) return -1;
    if (fd >= POLAR_FD_BASE) sock_free(sock_at(fd));
    return close(kernel);
}

/* Listeners first: what waits to be accepted goes with them. */
void thread_close_all(struct polar_thread *t)
{
    for (int listeners = 1; listeners >= 0; listeners--) {
        for (uint32_t i = 0; i < t->socks_used; i++) {
            struct polar_sock *s = &t->socks[i];
            if (s->state == SOCK_FREE || (s->state == SOCK_LISTENING) != listeners) continue;
            s->nonblock = true;
            polar_close(sock_fd(s));
        }
    }
}
