#include "net/ksock_impl.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

const struct metric_row ksock_metric_rows[] = {
#define METRIC(name, kind, help) METRIC_ROW(struct ksock_metrics, name, kind, help)
#include "net/ksock_metrics.def"
#undef METRIC
};
const size_t ksock_metric_row_count = sizeof ksock_metric_rows / sizeof *ksock_metric_rows;

static struct ksock_stream *stream_of(const struct stream *s) { return (struct ksock_stream *)(uintptr_t)s; }

uint64_t ksock_now_ns(const struct ksock *k) { return reactor_now(k->config.reactor)->ns; }

/* The timer: a timerfd rather than a deadline of the owner's poller, so that an idle instance costs nothing. */

static void timer_set(struct ksock *k, long period_ns)
{
    struct itimerspec spec = {.it_value.tv_nsec = period_ns, .it_interval.tv_nsec = period_ns};
    timerfd_settime(k->timer.fd, 0, &spec, NULL);
    k->timer_on = period_ns != 0;
}

void ksock_timer_start(struct ksock *k)
{
    if (!k->timer_on) timer_set(k, KSOCK_TICK_NS);
}

static void linger_cut(struct ksock *k, uint64_t now_ns)
{
    struct ksock_stream *st;
    while ((st = TAILQ_FIRST(&k->lingering)) && st->linger_ns <= now_ns) {
        metric_add(&k->metrics.linger_cut, 1);
        ksock_stream_destroy(st);
    }
}

static void timer_ready(struct reactor_fd *rfd, uint32_t events)
{
    (void)events;
    struct ksock *k = rfd->arg;
    uint64_t expirations, now_ns = ksock_now_ns(k);
    if (read(rfd->fd, &expirations, sizeof expirations) < 0) return;
    linger_cut(k, now_ns);
    ksock_starved_resume(k);
    bool paused = ksock_listeners_resume(k, now_ns);
    if (!paused && TAILQ_EMPTY(&k->lingering) && TAILQ_EMPTY(&k->starved)) timer_set(k, 0);
}

/* Streams */

/*
 * What epoll should say of this stream, once each time that it becomes so: told again and again, the kernel would look
 * at every socket twice a request. Who stops while there may be more asks again with ksock_stream_rearm; a change of
 * what is asked for has the same effect. Errors and hang-ups epoll says unasked, while the stream is in it.
 */
static uint32_t watch_events(const struct ksock_stream *st)
{
    if (st->state == KSOCK_CONNECTING) return EPOLLOUT | EPOLLET;
    uint32_t events = EPOLLET | (st->tx_blocked ? EPOLLOUT : 0);
    if (!st->rx_ended && !st->rx_paused) events |= EPOLLIN | EPOLLRDHUP;
    return events;
}

static void unwatch(struct ksock_stream *st)
{
    if (!st->in_epoll) return;
    reactor_fd_remove(st->ksock->config.reactor, &st->rfd);
    st->in_epoll = false;
}

void ksock_stream_watch(struct ksock_stream *st)
{
    uint32_t events = watch_events(st);
    if (st->in_epoll && events == st->watched) return;
    struct reactor *reactor = st->ksock->config.reactor;
    int rc = st->in_epoll ? reactor_fd_modify(reactor, &st->rfd, events) : reactor_fd_add(reactor, &st->rfd, events);
    if (rc != 0) {
        ksock_stream_fail(st, -rc);
        return;
    }
    st->in_epoll = true;
    st->watched = events;
}

void ksock_stream_rearm(struct ksock_stream *st)
{
    if (!st->in_epoll) return;
    int rc = reactor_fd_modify(st->ksock->config.reactor, &st->rfd, st->watched);
    if (rc != 0) ksock_stream_fail(st, -rc);
}

/*
 * Hang-up or error while we neither read nor send: the socket leaves epoll, which has no more to say. A paused stream comes back with consumed() and then reads what is left and the error behind it.
 */
static void stream_hung_up(struct ksock_stream *st, uint32_t events)
{
    int error = 0;
    socklen_t len = sizeof error;
    if ((events & EPOLLERR) && st->rx_ended) {
        getsockopt(st->rfd.fd, SOL_SOCKET, SO_ERROR, &error, &len);
        ksock_stream_fail(st, error ? error : ECONNRESET);
        return;
    }
    unwatch(st);
}

static void stream_ready(struct reactor_fd *rfd, uint32_t events)
{
    struct ksock_stream *st = rfd->arg;
    if (st->state == KSOCK_CONNECTING) {
        ksock_connect_done(st);
        return;
    }
    bool sends = st->tx_blocked && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP));
    if (sends) {
        st->tx_blocked = false;
        ksock_stream_list_flush(st);
    }
    st->rx_hung_up |= (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    /* Also at a hang-up: the receive call tells data, end and error in their order. */
    if (!st->rx_ended && !st->rx_paused) {
        if (st->state == KSOCK_LINGERING) ksock_discard(st);
        else ksock_receive(st);
    } else if (!sends && (events & (EPOLLERR | EPOLLHUP))) {
        stream_hung_up(st, events);
    }
}

static void socket_close(struct ksock_stream *st)
{
    if (st->rfd.fd < 0) return;
    unwatch(st);
    close(st->rfd.fd);
    st->rfd.fd = -1;
}

static void stream_unwait(struct ksock_stream *st)
{
    if (!st->waiting) return;
    TAILQ_REMOVE(st->state == KSOCK_LINGERING ? &st->ksock->lingering : &st->ksock->starved, st, wait);
    st->waiting = false;
}

static void tx_drop(struct ksock_stream *st)
{
    if (st->flush_listed) TAILQ_REMOVE(&st->ksock->flush, st, flush);
    st->flush_listed = false;
    buf_chain_free(&st->tx);
    st->s.tx_queued = 0;
}

void ksock_stream_destroy(struct ksock_stream *st)
{
    struct ksock *k = st->ksock;
    stream_unlist(&st->s);
    stream_unwait(st);
    tx_drop(st);
    buf_chain_free(&st->s.rx);
    socket_close(st);
    TAILQ_REMOVE(&k->all, st, all);
    k->stream_count--;
    metric_set(&k->metrics.connections, k->stream_count);
    free(st);
}

void ksock_stream_fail(struct ksock_stream *st, int error)
{
    struct ksock *k = st->ksock;
    if (st->state == KSOCK_LINGERING) {
        ksock_stream_destroy(st);
        return;
    }
    metric_add(&k->metrics.errors, 1);
    stream_unwait(st);
    tx_drop(st);
    socket_close(st);
    st->state = KSOCK_FAILED;
    st->s.error = error;
    stream_raise(&st->s, STREAM_ERROR);
}

void ksock_stream_list_flush(struct ksock_stream *st)
{
    if (st->flush_listed) return;
    st->flush_listed = true;
    TAILQ_INSERT_TAIL(&st->ksock->flush, st, flush);
}

static void op_send(struct stream *s, struct buf_chain *chain)
{
    struct ksock_stream *st = stream_of(s);
    assert(!st->tx_ending);
    if (st->state == KSOCK_FAILED) {
        buf_chain_free(chain);
        return;
    }
    s->tx_queued += chain->len;
    buf_chain_join(&st->tx, chain);
}

static void op_flush(struct stream *s)
{
    struct ksock_stream *st = stream_of(s);
    if (st->state == KSOCK_CONNECTING) st->flushed = true;
    else if (st->state == KSOCK_OPEN && !st->tx_blocked && st->tx.len > 0) ksock_stream_list_flush(st);
}

static void op_consumed(struct stream *s, uint32_t n)
{
    (void)n;
    struct ksock_stream *st = stream_of(s);
    /* A starved stream waits for buffers, not for its handler. */
    if (!st->rx_paused || st->waiting || st->state != KSOCK_OPEN || s->rx.len >= st->ksock->config.rx_limit) return;
    st->rx_paused = false;
    ksock_stream_watch(st);
}

static void op_shutdown(struct stream *s)
{
    struct ksock_stream *st = stream_of(s);
    if (st->state == KSOCK_FAILED || st->tx_ending) return;
    st->tx_ending = true;
    if (st->state == KSOCK_CONNECTING) st->flushed = true;
    else if (!st->tx_blocked) ksock_stream_list_flush(st);
}

/*
 * After the queue and FIN the socket stays until the peer's end has come: a plain close() with bytes unread would send a
 * reset, and that destroys our last answer on its way.
 */
static void op_close(struct stream *s)
{
    struct ksock_stream *st = stream_of(s);
    struct ksock *k = st->ksock;
    if (st->state != KSOCK_OPEN) {
        ksock_stream_destroy(st);
        return;
    }
    stream_unlist(s);
    stream_unwait(st);
    buf_chain_free(&s->rx);
    if (st->rx_ended && st->tx.len == 0) {
        ksock_stream_destroy(st);
        return;
    }
    s->want_writable = false;
    st->state = KSOCK_LINGERING;
    st->linger_ns = ksock_now_ns(k) + KSOCK_LINGER_NS;
    st->waiting = true;
    st->tx_ending = true;
    st->rx_paused = false;
    TAILQ_INSERT_TAIL(&k->lingering, st, wait);
    ksock_timer_start(k);
    if (!st->tx_blocked) ksock_stream_list_flush(st);
    ksock_stream_watch(st);
}

static void op_abort(struct stream *s)
{
    struct ksock_stream *st = stream_of(s);
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    if (st->rfd.fd >= 0) setsockopt(st->rfd.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    ksock_stream_destroy(st);
}

static void op_peer(const struct stream *s, char *text, size_t cap)
{
    ksock_address_format(&stream_of(s)->peer, text, cap);
}

static const struct stream_ops ksock_ops = {.send = op_send,
                                            .flush = op_flush,
                                            .consumed = op_consumed,
                                            .shutdown = op_shutdown,
                                            .close = op_close,
                                            .abort = op_abort,
                                            .peer = op_peer,
                                            .name = "kernel"};

struct ksock_stream *ksock_stream_create(struct ksock *k, int fd, const union ksock_address *peer)
{
    struct ksock_stream *st = calloc(1, sizeof *st);
    if (!st) return NULL;
    st->s.ops = &ksock_ops;
    st->s.loop = k->config.loop;
    st->rfd = (struct reactor_fd){.fd = fd, .ready = stream_ready, .arg = st};
    st->ksock = k;
    st->rx_buffers = 1;
    st->peer = *peer;
    TAILQ_INSERT_TAIL(&k->all, st, all);
    k->stream_count++;
    metric_set(&k->metrics.connections, k->stream_count);
    return st;
}

/* Instances */

int ksock_create(struct ksock **out, const struct ksock_config *config)
{
    int rc;
    struct ksock *k = calloc(1, sizeof *k);
    if (!k) return -ENOMEM;
    k->config = *config;
    TAILQ_INIT(&k->all);
    TAILQ_INIT(&k->flush);
    TAILQ_INIT(&k->starved);
    TAILQ_INIT(&k->lingering);
    LIST_INIT(&k->listeners);
    k->timer = (struct reactor_fd){.ready = timer_ready, .arg = k};
    k->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (k->timer.fd < 0) {
        rc = -errno;
        goto free_ksock;
    }
    if ((rc = reactor_fd_add(config->reactor, &k->timer, EPOLLIN)) != 0) goto close_timer;
    *out = k;
    return 0;
close_timer:
    close(k->timer.fd);
free_ksock:
    free(k);
    return rc;
}

void ksock_destroy(struct ksock **ksock)
{
    struct ksock *k = *ksock;
    *ksock = NULL;
    if (!k) return;
    struct ksock_listener *l;
    struct ksock_stream *st;
    while ((l = LIST_FIRST(&k->listeners))) ksock_listener_destroy(l);
    while ((st = TAILQ_FIRST(&k->all))) ksock_stream_destroy(st);
    while (k->spare_count > 0) rte_pktmbuf_free_seg(k->spare[--k->spare_count]);
    reactor_fd_remove(k->config.reactor, &k->timer);
    close(k->timer.fd);
    free(k);
}

unsigned ksock_output(struct ksock *k)
{
    unsigned sent = 0;
    struct ksock_stream *st, *last = TAILQ_LAST(&k->flush, ksock_stream_list);
    /* Those that have more to say go behind the last of this turn. */
    for (bool end = !last; !end; sent++) {
        st = TAILQ_FIRST(&k->flush);
        end = st == last;
        TAILQ_REMOVE(&k->flush, st, flush);
        st->flush_listed = false;
        if (ksock_transmit(st)) ksock_stream_list_flush(st);
    }
    return TAILQ_EMPTY(&k->starved) ? sent : sent + ksock_starved_resume(k);
}

const struct ksock_metrics *ksock_get_metrics(const struct ksock *k) { return &k->metrics; }

uint32_t ksock_spare_buffers(const struct ksock *k) { return k->spare_count; }
