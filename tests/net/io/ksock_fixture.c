#include "tests/net/io/ksock_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/support/eal.h"

#define FRAME_ROOM 2048u

uint8_t fixture_byte(uint64_t i) { return (uint8_t)((i * 2654435761u) >> 16); }

static void clock_now(struct clock *clock, struct tick *out)
{
    struct fixture *f = (struct fixture *)clock;
    f->tick.ns += 1000;
    *out = f->tick;
}

void fixture_advance(struct fixture *f, uint64_t ns) { f->tick.ns += ns; }

void fixture_wait(void)
{
    struct timespec t = {.tv_nsec = 10000};
    nanosleep(&t, NULL);
}

void fixture_adopt(struct fixture *f, struct fixture_stream *fs, struct stream *s)
{
    *fs = (struct fixture_stream){.f = f, .s = s, .in_order = true};
    s->user = fs;
}

static void on_accept(void *arg, struct stream *s)
{
    struct fixture *f = arg;
    assert_true(f->accepted < FIXTURE_STREAMS);
    fixture_adopt(f, &f->streams[f->accepted++], s);
}

static void check_order(struct fixture_stream *fs)
{
    struct buf_cursor at = buf_chain_begin(&fs->s->rx);
    const uint8_t *p;
    uint32_t window;
    uint64_t offset = fs->received;
    while ((window = buf_cursor_window(&at, &p)) > 0) {
        for (uint32_t i = 0; i < window; i++) fs->in_order &= p[i] == fixture_byte(offset + i);
        offset += window;
        buf_cursor_advance(&at, window);
    }
}

static void consume(struct fixture_stream *fs)
{
    struct stream *s = fs->s;
    uint32_t n = s->rx.len;
    if (n == 0) return;
    check_order(fs);
    fs->received += n;
    if (fs->f->mode == FIXTURE_ECHO) {
        struct buf_chain out;
        buf_chain_init(&out);
        buf_chain_join(&out, &s->rx);
        s->ops->send(s, &out);
        s->ops->flush(s);
    } else {
        buf_chain_consume(&s->rx, n);
    }
    s->ops->consumed(s, n);
}

static void handle(struct fixture_stream *fs)
{
    struct stream *s = fs->s;
    uint32_t events = s->events;
    s->events = 0;
    fs->seen |= events;
    if (events & STREAM_ERROR) fs->error = s->error;
    if ((events & STREAM_READABLE) && fs->f->mode != FIXTURE_KEEP) consume(fs);
    if ((events & STREAM_EOF) && fs->f->mode == FIXTURE_ECHO) fixture_close(fs);
}

unsigned fixture_turn(struct fixture *f)
{
    unsigned work = reactor_turn(f->reactor);
    struct stream *s;
    while ((s = stream_loop_pop(&f->loop))) handle(s->user);
    return work + ksock_output(f->ksock);
}

void fixture_settle(struct fixture *f)
{
    for (unsigned idle = 0; idle < 50; idle++) { /* shorter than a tick of the instance's timer */
        if (fixture_turn(f) > 0) idle = 0;
        fixture_wait();
    }
}

void fixture_start(struct fixture *f, const struct fixture_config *config)
{
    test_eal_start();
    memset(f, 0, sizeof *f);
    f->clock.now = clock_now;
    f->tick.ns = 1;
    test_pools_create(&f->pools, config->buffers ? config->buffers : 2048, FRAME_ROOM);
    f->pools_at_start = buf_pools_in_use(&f->pools);
    struct reactor_config rc = {.cpu = -1, .poll = REACTOR_BUSY, .clock = &f->clock};
    assert_int_equal(reactor_create(&f->reactor, &rc), 0);
    struct ksock_config kc = {.reactor = f->reactor,
                              .loop = &f->loop,
                              .pools = &f->pools,
                              .max_connections = config->max_connections ? config->max_connections : FIXTURE_STREAMS,
                              .rx_limit = config->rx_limit ? config->rx_limit : 262144};
    assert_int_equal(ksock_create(&f->ksock, &kc), 0);
    assert_int_equal(ksock_listen(f->ksock, "127.0.0.1", 0, on_accept, f, &f->port), 0);
    assert_int_not_equal(f->port, 0);
}

void fixture_stop(struct fixture *f)
{
    ksock_destroy(&f->ksock);
    reactor_destroy(&f->reactor);
    assert_int_equal(buf_pools_in_use(&f->pools), f->pools_at_start);
    buf_pools_destroy(&f->pools);
}

void fixture_send(struct fixture *f, struct stream *s, uint64_t offset, uint32_t n)
{
    struct buf_chain out;
    buf_chain_init(&out);
    while (n > 0) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(f->pools.frame);
        assert_non_null(m);
        uint32_t take = RTE_MIN(n, FRAME_ROOM);
        uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)take);
        for (uint32_t i = 0; i < take; i++) p[i] = fixture_byte(offset + i);
        buf_chain_append(&out, m);
        offset += take;
        n -= take;
    }
    s->ops->send(s, &out);
    s->ops->flush(s);
}

void fixture_close(struct fixture_stream *fs)
{
    fs->s->ops->close(fs->s);
    fs->s = NULL;
}

void fixture_abort(struct fixture_stream *fs)
{
    fs->s->ops->abort(fs->s);
    fs->s = NULL;
}

int fixture_peer(struct fixture *f)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(f->port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

long fixture_peer_read(int fd, uint64_t *offset)
{
    static uint8_t bytes[65536];
    ssize_t n = recv(fd, bytes, sizeof bytes, 0);
    if (n < 0 && errno == ECONNRESET) return -2;
    if (n < 0) assert_int_equal(errno, EAGAIN);
    for (ssize_t i = 0; i < n; i++)
        if (bytes[i] != fixture_byte(*offset + (uint64_t)i)) fail_msg("byte %lu is wrong", *offset + (uint64_t)i);
    if (n > 0) *offset += (uint64_t)n;
    return n;
}

void fixture_peer_write(struct fixture *f, int fd, uint64_t *offset, uint32_t n)
{
    uint8_t bytes[4096];
    while (n > 0) {
        uint32_t take = RTE_MIN(n, (uint32_t)sizeof bytes);
        for (uint32_t i = 0; i < take; i++) bytes[i] = fixture_byte(*offset + i);
        ssize_t sent = send(fd, bytes, take, MSG_NOSIGNAL);
        if (sent > 0) {
            *offset += (uint64_t)sent;
            n -= (uint32_t)sent;
        } else {
            assert_int_equal(errno, EAGAIN);
        }
        fixture_turn(f);
    }
}

void fixture_peer_reset(int fd)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    close(fd);
}
