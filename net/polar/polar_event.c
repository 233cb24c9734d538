/* What happened to a stream becomes a socket's state, its pending error, and readiness. */
#include "net/polar/polar_impl.h"

static void failed(struct polar_sock *s)
{
    s->error = s->stream->error;
    if (s->state != SOCK_CONNECTING) {
        s->state = SOCK_FAILED;
        return;
    }
    s->stream->ops->abort(s->stream);
    s->stream = NULL;
    s->state = SOCK_NEW;
}

static void sock_event(struct polar_sock *s, uint32_t events)
{
    uint32_t ready = 0;
    if (events & STREAM_CONNECTED) {
        s->state = SOCK_CONNECTED;
        ready |= EPOLLOUT;
    }
    if (events & STREAM_READABLE) {
        if (s->rx_shut) sock_drop_received(s);
        else ready |= EPOLLIN;
    }
    if (events & STREAM_EOF) {
        s->eof = true;
        ready |= EPOLLIN | EPOLLRDHUP | (s->tx_shut ? EPOLLHUP : 0);
    }
    if (events & STREAM_WRITABLE) {
        s->tx_full = false;
        ready |= EPOLLOUT;
    }
    if (events & STREAM_ERROR) {
        failed(s);
        ready |= EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLERR | EPOLLHUP;
    }
    if (ready && s->watches) watch_notify(s, ready);
}

void thread_events(struct polar_thread *t)
{
    struct stream *stream;
    while ((stream = stream_loop_pop(t->loop)) != NULL) {
        uint32_t events = stream->events;
        stream->events = 0;
        sock_event(stream->user, events);
    }
}

static uint32_t connected_readiness(const struct polar_sock *s)
{
    uint32_t ready = 0;
    if (s->stream->rx.len >= s->receive_low || s->eof || s->rx_shut) ready |= EPOLLIN;
    if (s->eof || s->rx_shut) ready |= EPOLLRDHUP | (s->tx_shut ? EPOLLHUP : 0);
    if ((!s->tx_full && !s->starved) || s->tx_shut) ready |= EPOLLOUT;
    return ready;
}

uint32_t sock_readiness(const struct polar_sock *s)
{
    uint32_t error = s->error ? EPOLLERR : 0;
    switch (s->state) {
    case SOCK_NEW: return EPOLLOUT | EPOLLHUP | error;
    case SOCK_LISTENING: return s->accept_head ? EPOLLIN : 0;
    case SOCK_CONNECTING: return s->held ? EPOLLOUT : 0;
    case SOCK_CONNECTED: return connected_readiness(s) | error;
    case SOCK_FAILED: return EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP | error;
    default: return 0;
    }
}

int sock_take_error(struct polar_sock *s)
{
    int error = s->error;
    s->error = 0;
    return error;
}
