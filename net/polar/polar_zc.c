/*
 * Sending from the application's memory and receiving where the bytes lie. A send is one count over its external buffers;
 * when the last reference on them is gone (acknowledged, and out of the driver) it is put on a list, and the application
 * hears of it outside of the stack. The sends outlive their thread when a driver still holds frames.
 */
#include <assert.h>
#include <stdlib.h>
#include "net/polar/polar_impl.h"

#define SENDS 4096u       /* under way, a thread */
#define PIECE_BYTES 61440u

struct polar_send {
    struct rte_mbuf_ext_shared_info shared;
    struct polar_sends *owner;
    struct polar_region *region;
    struct stream_mark mark;
    polar_zc_done *done;
    void *arg;
    const void *data;
    size_t len;
    bool acked;
    struct polar_send *next; /* free, or done */
};

struct polar_sends {
    bool orphan;             /* the thread is gone */
    uint32_t open;
    struct polar_send *free;
    struct polar_send *done_head, **done_tail;
    struct polar_send items[SENDS];
};

int thread_sends_init(struct polar_thread *t)
{
    struct polar_sends *sends = calloc(1, sizeof *sends);
    if (!sends) return -ENOMEM;
    sends->done_tail = &sends->done_head;
    for (uint32_t i = 0; i < SENDS; i++) {
        sends->items[i].owner = sends;
        sends->items[i].next = i + 1 < SENDS ? &sends->items[i + 1] : NULL;
    }
    sends->free = sends->items;
    t->sends = sends;
    return 0;
}

/* stack: it is still there to be asked. */
static void send_report(struct polar_send *send, bool stack)
{
    struct polar_sends *sends = send->owner;
    int error = send->acked ? 0 : stack ? stream_mark_error(&send->mark) : 0;
    if (!send->acked && error == 0) error = ECONNABORTED;
    region_put(send->region);
    send->done(send->arg, send->data, send->len, error);
    send->next = sends->free;
    sends->free = send;
    sends->open--;
}

void thread_completions(struct polar_thread *t)
{
    struct polar_sends *sends = t->sends;
    struct polar_send *send;
    while ((send = sends->done_head) != NULL) {
        sends->done_head = send->next;
        if (!sends->done_head) sends->done_tail = &sends->done_head;
        t->calling_back = true;
        send_report(send, t->stack != NULL);
        t->calling_back = false;
    }
}

void thread_sends_fini(struct polar_thread *t)
{
    t->stack = NULL; /* it is gone */
    thread_completions(t);
    t->sends->orphan = true;
    if (t->sends->open == 0) free(t->sends);
    t->sends = NULL;
}

/* rte_mbuf_extbuf_free_callback_t. Within the stack, or a driver. */
static void send_released(void *addr, void *opaque)
{
    struct polar_send *send = opaque;
    struct polar_sends *sends = send->owner;
    (void)addr;
    if (sends->orphan) {
        send_report(send, false);
        if (sends->open == 0) free(sends);
        return;
    }
    send->acked = stream_acked(&send->mark);
    send->next = NULL;
    *sends->done_tail = send;
    sends->done_tail = &send->next;
}

/* External buffers over len bytes; as far as there are buffers. Returns the bytes, and in *pieces how many. */
static uint32_t pieces_make(struct polar_send *send, struct rte_mempool *pool, const uint8_t *data, uint32_t len,
                            struct buf_chain *chain, uint16_t *pieces)
{
    for (*pieces = 0; chain->len < len; ++*pieces) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
        if (!m) break;
        uint16_t n = (uint16_t)RTE_MIN(len - chain->len, PIECE_BYTES);
        const uint8_t *at = data + chain->len;
        rte_pktmbuf_attach_extbuf(m, (void *)(uintptr_t)at, (rte_iova_t)(uintptr_t)at, n, &send->shared);
        m->data_off = 0;
        m->data_len = n;
        m->pkt_len = n;
        buf_chain_append(chain, m);
    }
    return chain->len;
}

/* Returns the bytes queued; 0: no buffer. */
static uint32_t send_start(struct polar_sock *s, struct polar_send *send, const uint8_t *data, uint32_t len)
{
    struct buf_chain chain;
    uint16_t pieces;
    buf_chain_init(&chain);
    send->shared.free_cb = send_released;
    send->shared.fcb_opaque = send;
    uint32_t n = pieces_make(send, s->thread->pools->ref, data, len, &chain, &pieces);
    if (n == 0) return 0;
    rte_mbuf_ext_refcnt_set(&send->shared, pieces);
    send->len = n;
    s->stream->ops->send(s->stream, &chain);
    send->mark = stream_mark_end(s->stream);
    return n;
}

static ssize_t sock_send_zc(struct polar_sock *s, const void *data, size_t len, int flags, struct polar_send *send)
{
    struct polar_sends *sends = s->thread->sends;
    for (;;) {
        int rc = sock_send_wait(s, flags);
        if (rc != 0) return rc;
        uint32_t room = s->send_buffer - s->stream->tx_queued;
        uint32_t n = send_start(s, send, data, (uint32_t)RTE_MIN(len, (size_t)room));
        if (n) {
            sends->free = send->next;
            sends->open++;
            metric_add(&s->thread->metrics.tx_zero_copy_bytes, n);
            sock_sent(s, flags);
            return n;
        }
        sock_tx_exhausted(s);
    }
}

ssize_t polar_send_zc(int fd, const void *data, size_t len, int flags, polar_zc_done *done, void *arg)
{
    struct polar_sock *s;
    int kernel = sock_resolve(fd, &s);
    if (kernel >= 0) return fail_with(EOPNOTSUPP);
    if (!s) return -1;
    if (!done || len == 0) return fail_with(EINVAL);
    if (flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE)) return fail_with(EOPNOTSUPP);
    int rc = sock_send_check(s);
    if (rc != 0 && rc != -EAGAIN) return fail_with(-rc);
    struct polar_send *send = s->thread->sends->free;
    if (!send) return fail_with(ENOBUFS);
    struct polar_region *region = region_find(data, len);
    if (!region) return fail_with(EFAULT);
    send->region = region;
    send->done = done;
    send->arg = arg;
    send->data = data;
    send->acked = false;
    ssize_t n = sock_send_zc(s, data, len, flags, send);
    if (n > 0) return n;
    region_put(region);
    return fail_with((int)-n);
}

/* Moves whole buffers from the head of rx, as many as there are places for. */
static void pieces_take(struct polar_sock *s, struct polar_zc *zc)
{
    struct buf_chain *rx = &s->stream->rx;
    struct rte_mbuf *last = NULL;
    zc->buffers = rx->head;
    for (struct rte_mbuf *m = rx->head; m && zc->count < POLAR_ZC_PIECES; m = m->next) {
        zc->pieces[zc->count++] = (struct iovec){.iov_base = rte_pktmbuf_mtod(m, void *), .iov_len = m->data_len};
        zc->len += m->data_len;
        last = m;
    }
    rx->head = last->next;
    rx->len -= zc->len;
    if (!rx->head) rx->tail = NULL;
    last->next = NULL;
}

ssize_t polar_recv_zc(int fd, struct polar_zc *zc, int flags)
{
    struct polar_sock *s;
    int kernel = sock_resolve(fd, &s);
    if (kernel >= 0) return fail_with(EOPNOTSUPP);
    if (!s) return -1;
    if (!zc) return fail_with(EFAULT);
    if (flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL)) return fail_with(EOPNOTSUPP);
    int rc = sock_receive_wait(s, flags, sock_may_receive);
    if (rc != 0) return fail_with(-rc);
    *zc = (struct polar_zc){.fd = fd, .serial = s->serial};
    if (!s->stream || s->rx_shut || s->stream->rx.len == 0) return 0;
    pieces_take(s, zc);
    metric_add(&s->thread->metrics.rx_zero_copy_bytes, zc->len);
    return (ssize_t)zc->len;
}

int polar_recv_zc_release(struct polar_zc *zc)
{
    struct polar_thread *t = polar_self;
    if (!t || (uint32_t)(zc->fd - POLAR_FD_BASE) >> POLAR_INDEX_BITS != t->index) return fail_with(EPERM);
    for (struct rte_mbuf *m = zc->buffers, *next; m; m = next) {
        next = m->next;
        m->next = NULL;
        m->nb_segs = 1;
        rte_pktmbuf_free_seg(m);
    }
    const struct polar_sock *s = sock_at(zc->fd);
    bool same = s->serial == zc->serial && s->state != SOCK_FREE && s->stream;
    if (same && zc->len) s->stream->ops->consumed(s->stream, zc->len);
    zc->buffers = NULL;
    zc->len = 0;
    zc->count = 0;
    return 0;
}
