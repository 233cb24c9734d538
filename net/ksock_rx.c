#include "net/ksock_impl.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define DISCARD_BYTES (1u << 20) /* thrown away by one call */

/* Where one receive call puts its bytes: the room behind the last received bytes, then spare buffers. */
struct rx_room {
    struct rte_mbuf *tail; /* NULL: none */
    unsigned iovecs;
    size_t bytes;
    struct iovec iov[1 + KSOCK_RX_BUFFERS];
};

static void room_add(struct rx_room *room, void *base, size_t len)
{
    room->iov[room->iovecs++] = (struct iovec){.iov_base = base, .iov_len = len};
    room->bytes += len;
}

/* Nobody else looks at the buffer, so its data may grow. */
static bool can_grow(const struct rte_mbuf *m)
{
    return RTE_MBUF_DIRECT(m) && rte_mbuf_refcnt_read(m) == 1 && rte_pktmbuf_tailroom(m) > 0;
}

/*
 * Unconsumed bytes are joined by what comes behind them, so a peer that sends a byte at a time pins a buffer, not a
 * buffer a byte. The spares are taken from the end: spare[count - 1] is the first to be filled.
 */
static void room_make(struct rx_room *room, struct ksock_stream *st)
{
    struct ksock *k = st->ksock;
    struct rte_mbuf *tail = st->s.rx.tail;
    room->tail = NULL;
    room->iovecs = 0;
    room->bytes = 0;
    while (k->spare_count < st->rx_buffers) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(k->config.pools->frame);
        if (!m) break;
        k->spare[k->spare_count++] = m;
    }
    if (tail && can_grow(tail)) {
        room->tail = tail;
        room_add(room, rte_pktmbuf_mtod_offset(tail, void *, tail->data_len), rte_pktmbuf_tailroom(tail));
    }
    unsigned spares = RTE_MIN((unsigned)st->rx_buffers, k->spare_count);
    for (unsigned i = 0; i < spares; i++) {
        struct rte_mbuf *m = k->spare[k->spare_count - 1 - i];
        room_add(room, rte_pktmbuf_mtod(m, void *), rte_pktmbuf_tailroom(m));
    }
}

static ssize_t room_receive(const struct rx_room *room, struct ksock_stream *st)
{
    metric_add(&st->ksock->metrics.rx_calls, 1);
    if (room->iovecs == 1) return recv(st->rfd.fd, room->iov[0].iov_base, room->iov[0].iov_len, 0);
    return readv(st->rfd.fd, room->iov, (int)room->iovecs);
}

/*
 * A short message moves into a small buffer and the spare stays for the next call, warm in the cache: connections that
 * sent half a request pin small buffers, not frame buffers.
 */
static void spare_append(struct ksock_stream *st, uint32_t n)
{
    struct ksock *k = st->ksock;
    struct rte_mbuf *m = k->spare[k->spare_count - 1];
    struct rte_mbuf *small = n <= BUF_SMALL_ROOM ? rte_pktmbuf_alloc(k->config.pools->small) : NULL;
    if (small) {
        memcpy(rte_pktmbuf_mtod(small, void *), rte_pktmbuf_mtod(m, void *), n);
        m = small;
    } else {
        k->spare_count--;
    }
    m->data_len = (uint16_t)n;
    m->pkt_len = n;
    buf_chain_append(&st->s.rx, m);
}

static void room_commit(const struct rx_room *room, struct ksock_stream *st, uint32_t n)
{
    struct buf_chain *rx = &st->s.rx;
    unsigned at = 0;
    if (room->tail) {
        uint32_t take = RTE_MIN(n, (uint32_t)room->iov[at++].iov_len);
        room->tail->data_len += (uint16_t)take;
        rx->len += take;
        n -= take;
    }
    for (; n > 0; at++) {
        uint32_t take = RTE_MIN(n, (uint32_t)room->iov[at].iov_len);
        spare_append(st, take);
        n -= take;
    }
}

static void stream_starve(struct ksock_stream *st)
{
    struct ksock *k = st->ksock;
    metric_add(&k->metrics.rx_no_buffer, 1);
    st->rx_paused = true;
    st->waiting = true;
    TAILQ_INSERT_TAIL(&k->starved, st, wait);
    ksock_timer_start(k);
    ksock_stream_watch(st);
}

unsigned ksock_starved_resume(struct ksock *k)
{
    unsigned resumed = 0;
    struct ksock_stream *st;
    while ((st = TAILQ_FIRST(&k->starved))) {
        if (k->spare_count == 0) {
            struct rte_mbuf *m = rte_pktmbuf_alloc(k->config.pools->frame);
            if (!m) break;
            k->spare[k->spare_count++] = m;
        }
        TAILQ_REMOVE(&k->starved, st, wait);
        st->waiting = false;
        st->rx_paused = false;
        ksock_receive(st); /* may starve again, behind the others */
        if (st->state == KSOCK_OPEN) ksock_stream_watch(st);
        resumed++;
    }
    return resumed;
}

static void rx_end(struct ksock_stream *st)
{
    st->rx_ended = true;
    stream_raise(&st->s, STREAM_EOF);
    ksock_stream_watch(st);
}

void ksock_receive(struct ksock_stream *st)
{
    struct ksock *k = st->ksock;
    struct rx_room room;
    for (unsigned call = 0; call < KSOCK_RX_CALLS; call++) {
        if (st->s.rx.len >= k->config.rx_limit) {
            if (call > 0) break; /* the handler may well consume it within this turn */
            metric_add(&k->metrics.rx_paused, 1);
            st->rx_paused = true;
            ksock_stream_watch(st);
            return;
        }
        room_make(&room, st);
        if (room.iovecs == 0) {
            stream_starve(st);
            return;
        }
        ssize_t n = room_receive(&room, st);
        if (n < 0) {
            if (errno == EINTR) break;
            if (errno != EAGAIN) ksock_stream_fail(st, errno);
            return;
        }
        if (n == 0) {
            rx_end(st);
            return;
        }
        metric_add(&k->metrics.rx_bytes, (uint64_t)n);
        room_commit(&room, st, (uint32_t)n);
        stream_raise(&st->s, STREAM_READABLE);
        if ((size_t)n < room.bytes) {
            /* All there was, but for the end: epoll tells when more comes. */
            if ((size_t)n <= room.bytes / 2 && st->rx_buffers > 1) st->rx_buffers /= 2;
            if (!st->rx_hung_up) return;
            continue;
        }
        st->rx_buffers = (uint8_t)RTE_MIN(st->rx_buffers * 2u, KSOCK_RX_BUFFERS);
    }
    ksock_stream_rearm(st);
}

void ksock_discard(struct ksock_stream *st)
{
    ssize_t n = recv(st->rfd.fd, NULL, DISCARD_BYTES, MSG_TRUNC);
    if (n < 0 && errno == EAGAIN) return;
    if (n > 0 || (n < 0 && errno == EINTR)) {
        ksock_stream_rearm(st); /* there may be more, or the end */
        return;
    }
    if (n < 0 || st->tx_ended) {
        ksock_stream_destroy(st);
        return;
    }
    st->rx_ended = true; /* the rest is still to be sent */
    ksock_stream_watch(st);
}
