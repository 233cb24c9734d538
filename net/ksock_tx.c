#include "net/ksock_impl.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* The first segments with bytes in them. */
static unsigned gather(const struct buf_chain *tx, struct iovec *iov, size_t *bytes)
{
    unsigned n = 0;
    *bytes = 0;
    for (struct rte_mbuf *m = tx->head; m && n < KSOCK_TX_IOVECS; m = m->next) {
        if (m->data_len == 0) continue;
        iov[n++] = (struct iovec){.iov_base = rte_pktmbuf_mtod(m, void *), .iov_len = m->data_len};
        *bytes += m->data_len;
    }
    return n;
}

static ssize_t send_once(struct ksock_stream *st, size_t *asked)
{
    struct iovec iov[KSOCK_TX_IOVECS];
    struct msghdr msg = {.msg_iov = iov};
    msg.msg_iovlen = gather(&st->tx, iov, asked);
    int flags = MSG_NOSIGNAL | (*asked < st->tx.len ? MSG_MORE : 0);
    metric_add(&st->ksock->metrics.tx_calls, 1);
    if (msg.msg_iovlen == 1) return send(st->rfd.fd, iov[0].iov_base, iov[0].iov_len, flags);
    return sendmsg(st->rfd.fd, &msg, flags);
}

/* The queue is empty: FIN, when it is due. A closed stream whose peer has ended too is done. */
static void drained(struct ksock_stream *st)
{
    if (st->state == KSOCK_LINGERING && st->rx_ended) {
        ksock_stream_destroy(st);
        return;
    }
    if (st->tx_ending && !st->tx_ended) {
        st->tx_ended = true;
        shutdown(st->rfd.fd, SHUT_WR); /* fails only when the peer has reset: reading tells */
    }
    ksock_stream_watch(st);
}

bool ksock_transmit(struct ksock_stream *st)
{
    for (unsigned call = 0; st->tx.len > 0; call++) {
        if (call == KSOCK_TX_CALLS) return true;
        size_t asked;
        ssize_t n = send_once(st, &asked);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            ksock_stream_fail(st, errno == EPIPE ? ECONNRESET : errno);
            return false;
        }
        if (n < 0) {
            if (errno == EINTR) continue;
            st->tx_blocked = true;
            ksock_stream_watch(st);
            return false;
        }
        metric_add(&st->ksock->metrics.tx_bytes, (uint64_t)n);
        buf_chain_consume(&st->tx, (uint32_t)n);
        stream_sent(&st->s, (uint32_t)n);
    }
    drained(st);
    return false;
}
