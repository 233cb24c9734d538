#include "tests/bench/fake_server.h"

#include <stdlib.h>
#include <string.h>

static void fake_send(struct stream *s, struct buf_chain *chain)
{
    struct fake_stream *f = (struct fake_stream *)s;
    uint32_t requests = chain->len / f->server->request_len;
    if (chain->len % f->server->request_len != 0 || f->last - f->first + requests > FAKE_QUEUE) abort();
    for (uint32_t i = 0; i < requests; i++)
        f->due_ns[f->last++ % FAKE_QUEUE] = f->server->now_ns + f->server->service_ns(f->server);
    buf_chain_free(chain);
}

static void fake_flush(struct stream *s)
{
    (void)s;
}

static void fake_consumed(struct stream *s, uint32_t n)
{
    (void)s;
    (void)n;
}

static void fake_end(struct stream *s)
{
    struct fake_stream *f = (struct fake_stream *)s;
    f->open = false;
    buf_chain_free(&s->rx);
    if (s->listed) stream_unlist(s);
}

static const struct stream_ops fake_ops = {.send = fake_send,
                                           .flush = fake_flush,
                                           .consumed = fake_consumed,
                                           .close = fake_end,
                                           .abort = fake_end,
                                           .name = "fake"};

static struct fake_stream *free_stream(struct fake_server *server)
{
    for (uint32_t i = 0; i < server->count; i++)
        if (!server->streams[i].open) return &server->streams[i];
    if (server->count == FAKE_STREAMS) abort();
    return &server->streams[server->count++];
}

static int fake_connect(struct transport *t, uint64_t now_ns, bool early, struct stream **out)
{
    struct fake_server *server = t->impl;
    struct fake_stream *f = free_stream(server);
    server->connects++;
    *f = (struct fake_stream){.server = server, .open = true, .waits = early && server->takes_early};
    f->stream = (struct stream){.ops = &fake_ops, .loop = &t->loop, .error = server->refuse};
    *out = &f->stream;
    if (server->handshake_ns) f->connected_ns = now_ns + server->handshake_ns;
    if (server->refuse)
        stream_raise(&f->stream, STREAM_ERROR);
    else if (!f->connected_ns || f->waits)
        stream_raise(&f->stream, STREAM_CONNECTED);
    return 0;
}

static void fake_go(struct stream *s)
{
    struct fake_stream *f = (struct fake_stream *)s;
    if (f->waits) f->server->goes += f->last > f->first;
    f->waits = false;
}

static uint32_t fake_lingering(const struct transport *t)
{
    (void)t;
    return 0;
}

static uint64_t fake_service_ns(struct fake_server *server)
{
    (void)server;
    return 1000;
}

void fake_server_init(struct fake_server *server, struct transport *transport, struct buf_pools *pools)
{
    memset(server, 0, sizeof *server);
    server->transport = transport;
    server->pools = pools;
    server->service_ns = fake_service_ns;
    server->answer = "END\r\n";
    server->request_len = sizeof "get kvbench:00000000\r\n" - 1;
    *transport =
        (struct transport){.impl = server, .connect = fake_connect, .go = fake_go, .lingering = fake_lingering};
}

static void answer(struct fake_stream *f)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(f->server->pools->frame);
    if (!m) abort();
    m->data_len = (uint16_t)strlen(f->server->answer);
    memcpy(rte_pktmbuf_mtod(m, void *), f->server->answer, m->data_len);
    buf_chain_append(&f->stream.rx, m);
    stream_raise(&f->stream, STREAM_READABLE);
}

void fake_server_turn(struct fake_server *server, uint64_t now_ns)
{
    server->now_ns = now_ns;
    for (uint32_t i = 0; i < server->count; i++) {
        struct fake_stream *f = &server->streams[i];
        if (f->open && f->connected_ns && f->connected_ns <= now_ns) {
            f->connected_ns = 0;
            stream_raise(&f->stream, STREAM_CONNECTED);
        }
        while (f->open && !f->waits && f->first != f->last && f->due_ns[f->first % FAKE_QUEUE] <= now_ns) {
            f->first++;
            answer(f);
        }
    }
}

void fake_server_break(struct fake_server *server, uint32_t stream, int error)
{
    struct fake_stream *f = &server->streams[stream];
    f->stream.error = error;
    stream_raise(&f->stream, STREAM_ERROR);
}
