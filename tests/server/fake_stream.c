#include "tests/server/fake_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rte_mbuf.h>
#include "tests/server/check.h"

static struct fake_stream *fake_of(struct stream *s)
{
    return (struct fake_stream *)s;
}

static bool gone(const struct fake_stream *f)
{
    return f->closed || f->aborted;
}

static void fake_send(struct stream *s, struct buf_chain *chain)
{
    struct fake_stream *f = fake_of(s);
    CHECK(!gone(f));
    uint32_t n = 0;
    for (const struct rte_mbuf *m = chain->head; m; m = m->next) n += m->data_len;
    CHECK(n == chain->len);
    s->tx_queued += chain->len;
    if (s->tx_queued > f->most_queued) f->most_queued = s->tx_queued;
    buf_chain_join(&f->tx, chain);
}

static void fake_flush(struct stream *s)
{
    CHECK(!gone(fake_of(s)));
}

static void fake_consumed(struct stream *s, uint32_t n)
{
    struct fake_stream *f = fake_of(s);
    CHECK(!gone(f));
    f->consumed += n;
    CHECK(f->consumed + s->rx.len == f->fed);
}

static void fake_shutdown(struct stream *s)
{
    CHECK(!gone(fake_of(s)));
}

static void fake_end(struct fake_stream *f)
{
    stream_unlist(&f->stream);
    buf_chain_free(&f->stream.rx);
    f->stream.user = NULL;
}

static void fake_close(struct stream *s)
{
    struct fake_stream *f = fake_of(s);
    CHECK(!gone(f));
    fake_end(f);
    f->closed = true;
}

static void fake_abort(struct stream *s)
{
    struct fake_stream *f = fake_of(s);
    CHECK(!gone(f));
    fake_end(f);
    buf_chain_free(&f->tx);
    s->tx_queued = 0;
    f->aborted = true;
}

static void fake_peer(const struct stream *s, char *text, size_t cap)
{
    (void)s;
    snprintf(text, cap, "127.0.0.1:1");
}

static const struct stream_ops fake_ops = {.send = fake_send,
                                           .flush = fake_flush,
                                           .consumed = fake_consumed,
                                           .shutdown = fake_shutdown,
                                           .close = fake_close,
                                           .abort = fake_abort,
                                           .peer = fake_peer,
                                           .name = "fake"};

void fake_stream_init(struct fake_stream *f, struct stream_loop *loop, struct rte_mempool *pool)
{
    memset(f, 0, sizeof *f);
    f->stream.ops = &fake_ops;
    f->stream.loop = loop;
    f->pool = pool;
}

void fake_stream_feed(struct fake_stream *f, const void *data, size_t n, uint32_t room)
{
    struct buf_chain *rx = &f->stream.rx;
    const uint8_t *p = data;
    if (gone(f)) return;
    f->fed += n;
    while (n) {
        struct rte_mbuf *m = rx->tail;
        uint32_t used = m ? m->data_off - (uint32_t)RTE_PKTMBUF_HEADROOM + m->data_len : room;
        if (used >= room) {
            m = rte_pktmbuf_alloc(f->pool);
            CHECK(m && room <= rte_pktmbuf_tailroom(m));
            buf_chain_append(rx, m);
            used = 0;
        }
        uint32_t take = (uint32_t)RTE_MIN((size_t)(room - used), n);
        memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, m->data_len), p, take);
        m->data_len += (uint16_t)take;
        rx->len += take;
        p += take;
        n -= take;
    }
    stream_raise(&f->stream, STREAM_READABLE);
}

void fake_stream_eof(struct fake_stream *f)
{
    if (!gone(f)) stream_raise(&f->stream, STREAM_EOF);
}

void fake_stream_error(struct fake_stream *f, int error)
{
    if (gone(f)) return;
    f->stream.error = error;
    stream_raise(&f->stream, STREAM_ERROR);
}

uint32_t fake_stream_deliver(struct fake_stream *f, uint32_t n)
{
    if (n > f->tx.len) n = f->tx.len;
    if (n == 0) return 0;
    if (f->sent_len + n > f->sent_cap) {
        f->sent_cap = (f->sent_len + n) * 2;
        f->sent = realloc(f->sent, f->sent_cap);
        CHECK(f->sent);
    }
    buf_chain_copy(&f->tx, 0, f->sent + f->sent_len, n);
    f->sent_len += n;
    buf_chain_consume(&f->tx, n);
    if (gone(f))
        f->stream.tx_queued -= n;
    else
        stream_sent(&f->stream, n);
    return n;
}

void fake_stream_fini(struct fake_stream *f)
{
    CHECK(gone(f));
    buf_chain_free(&f->tx);
    free(f->sent);
    f->sent = NULL;
}
