/* Kernel sockets: bytes and events, as streams and their peers see them. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/net/io/ksock_fixture.h"

#define MIB (1024u * 1024u)

static struct fixture fix;

static int start(void **state)
{
    (void)state;
    fixture_start(&fix, &(struct fixture_config){0});
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fixture_stop(&fix);
    return 0;
}

static struct fixture_stream *first_stream(void)
{
    fixture_until(&fix, fix.accepted >= 1);
    return &fix.streams[0];
}

static void echoes_large_transfers(void **state)
{
    (void)state;
    fix.mode = FIXTURE_ECHO;
    const uint64_t total = 16 * MIB;
    struct stream *s;
    struct fixture_stream client;
    assert_int_equal(ksock_connect(fix.ksock, "127.0.0.1", fix.port, &s), 0);
    struct fixture fix_client_view = {.mode = FIXTURE_COUNT};
    fixture_adopt(&fix_client_view, &client, s);
    for (uint64_t sent = 0; client.received < total;) {
        if (sent < total && s->tx_queued < 262144 && (client.seen & STREAM_CONNECTED)) {
            fixture_send(&fix, s, sent, 65536);
            sent += 65536;
        }
        fixture_turn(&fix);
        assert_int_equal(client.error, 0);
    }
    assert_true(client.in_order);
    assert_true(fix.streams[0].in_order);
    assert_int_equal(fix.streams[0].received, total);
    const struct ksock_metrics *m = ksock_get_metrics(fix.ksock);
    assert_int_equal(m->rx_bytes, 2 * total);
    assert_int_equal(m->tx_bytes, 2 * total);
    assert_true(m->tx_calls < 2 * total / 8192); /* gathered, not a call a buffer */
    assert_true(m->rx_calls < 2 * total / 4096);
    fixture_close(&client);
    fixture_until(&fix, m->connections == 0);
    assert_int_equal(m->errors, 0);
    assert_int_equal(m->linger_cut, 0);
}

/* The budget of a request that is not pipelined: one receive call, one send call. */
static void costs_two_calls_a_request(void **state)
{
    (void)state;
    fix.mode = FIXTURE_ECHO;
    int fd = fixture_peer(&fix);
    uint64_t sent = 0, got = 0;
    for (unsigned i = 0; i < 100; i++) {
        fixture_peer_write(&fix, fd, &sent, 40);
        while (got < sent) {
            fixture_turn(&fix);
            fixture_peer_read(fd, &got);
        }
    }
    assert_int_equal(ksock_get_metrics(fix.ksock)->rx_calls, 100);
    assert_int_equal(ksock_get_metrics(fix.ksock)->tx_calls, 100);
    close(fd);
}

static void peer_of_single_bytes_pins_one_buffer(void **state)
{
    (void)state;
    int fd = fixture_peer(&fix);
    struct fixture_stream *fs = first_stream();
    uint64_t sent = 0;
    while (sent < 300) {
        fixture_peer_write(&fix, fd, &sent, 1);
        fixture_until(&fix, fs->s->rx.len == sent);
    }
    assert_ptr_equal(fs->s->rx.head, fs->s->rx.tail);
    fix.mode = FIXTURE_COUNT;
    fixture_peer_write(&fix, fd, &sent, 1);
    fixture_until(&fix, fs->received == 301);
    assert_true(fs->in_order);
    close(fd);
}

/* Another holder of the last buffer must not see it grow. */
static void leaves_shared_buffers_alone(void **state)
{
    (void)state;
    int fd = fixture_peer(&fix);
    struct fixture_stream *fs = first_stream();
    uint64_t sent = 0;
    fixture_peer_write(&fix, fd, &sent, 10);
    fixture_until(&fix, fs->s->rx.len == 10);
    struct rte_mbuf *shared = fs->s->rx.head;
    rte_mbuf_refcnt_update(shared, 1);
    fixture_peer_write(&fix, fd, &sent, 10);
    fixture_until(&fix, fs->s->rx.len == 20);
    assert_int_equal(shared->data_len, 10);
    assert_ptr_not_equal(fs->s->rx.tail, shared);
    rte_pktmbuf_free_seg(shared);
    close(fd);
}

static void waits_for_a_slow_reader(void **state)
{
    (void)state;
    const uint64_t total = 32 * MIB;
    int fd = fixture_peer(&fix);
    struct fixture_stream *fs = first_stream();
    uint64_t sent = 0, got = 0;
    fs->s->tx_low_water = 65536;
    while (fs->s->tx_queued < 262144) {
        fixture_send(&fix, fs->s, sent, 65536);
        sent += 65536;
        fixture_settle(&fix);
        assert_true(sent < total); /* the kernel does not take everything */
    }
    fs->s->want_writable = true;
    fixture_settle(&fix);
    assert_false(fs->seen & STREAM_WRITABLE);
    assert_int_equal(fixture_turn(&fix), 0); /* waiting costs nothing */
    while (got < total) {
        fixture_peer_read(fd, &got);
        fixture_turn(&fix);
        if (!(fs->seen & STREAM_WRITABLE)) continue;
        assert_true(fs->s->tx_queued <= 65536);
        for (; sent < total && fs->s->tx_queued < 262144; sent += 65536) fixture_send(&fix, fs->s, sent, 65536);
        fs->seen &= ~(uint32_t)STREAM_WRITABLE;
        fs->s->want_writable = true;
    }
    assert_int_equal(fs->s->tx_queued, 0);
    close(fd);
}

static void tells_a_reset_in_mid_transfer(void **state)
{
    (void)state;
    int fd = fixture_peer(&fix);
    struct fixture_stream *fs = first_stream();
    for (uint64_t sent = 0; fs->s->tx_queued < 262144; sent += 65536) {
        fixture_send(&fix, fs->s, sent, 65536);
        fixture_settle(&fix);
    }
    fixture_peer_reset(fd);
    fixture_until(&fix, fs->seen & STREAM_ERROR);
    assert_int_equal(fs->error, ECONNRESET);
    assert_int_equal(fs->s->tx_queued, 0);
    assert_int_equal(ksock_get_metrics(fix.ksock)->errors, 1);
    fixture_send(&fix, fs->s, 0, 100); /* a failed stream takes and frees */
    fixture_settle(&fix);
    fixture_close(fs);
    assert_int_equal(ksock_get_metrics(fix.ksock)->connections, 0);
}

static void goes_on_after_a_half_close(void **state)
{
    (void)state;
    fix.mode = FIXTURE_COUNT;
    int fd = fixture_peer(&fix);
    struct fixture_stream *fs = first_stream();
    uint64_t sent = 0, got = 0;
    fixture_peer_write(&fix, fd, &sent, 5000);
    shutdown(fd, SHUT_WR);
    fixture_until(&fix, fs->seen & STREAM_EOF);
    assert_int_equal(fs->received, 5000);
    fixture_settle(&fix);
    assert_int_equal(fixture_turn(&fix), 0); /* the end is told once */
    fixture_send(&fix, fs->s, 0, 100000);
    fs->s->ops->shutdown(fs->s);
    long n;
    while ((n = fixture_peer_read(fd, &got)) != 0) fixture_turn(&fix);
    assert_int_equal(got, 100000);
    fixture_settle(&fix);
    assert_int_equal(fixture_turn(&fix), 0); /* hung up on both sides: quiet */
    assert_false(fs->seen & STREAM_ERROR);
    fixture_close(fs);
    assert_int_equal(ksock_get_metrics(fix.ksock)->connections, 0);
    close(fd);
}

static void tells_a_refused_connect(void **state)
{
    (void)state;
    struct stream *s;
    struct fixture_stream client;
    int holder = socket(AF_INET, SOCK_STREAM, 0); /* bound, never listening: its port refuses */
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    assert_int_equal(bind(holder, (struct sockaddr *)&at, len), 0);
    assert_int_equal(getsockname(holder, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(ksock_connect(fix.ksock, "127.0.0.1", ntohs(at.sin_port), &s), 0);
    fixture_adopt(&fix, &client, s);
    fixture_send(&fix, s, 0, 100);
    fixture_until(&fix, client.seen);
    assert_int_equal(client.seen, STREAM_ERROR);
    assert_int_equal(client.error, ECONNREFUSED);
    fixture_close(&client);
    close(holder);
    assert_int_equal(ksock_connect(fix.ksock, "not-an-address", 80, &s), -EINVAL);
}

static void sends_what_was_flushed_before_the_connect(void **state)
{
    (void)state;
    fix.mode = FIXTURE_COUNT;
    struct stream *s;
    struct fixture_stream client;
    assert_int_equal(ksock_connect(fix.ksock, "127.0.0.1", fix.port, &s), 0);
    fixture_adopt(&fix, &client, s);
    fixture_send(&fix, s, 0, 3000);
    s->ops->shutdown(s);
    struct fixture_stream *fs = first_stream();
    fixture_until(&fix, fs->seen & STREAM_EOF);
    assert_int_equal(fs->received, 3000);
    assert_true(fs->in_order);
    assert_true(client.seen & STREAM_CONNECTED);
}

/* A plain close() with bytes unread is a reset, which takes the answer with it. */
static void last_answer_survives_unread_bytes(void **state)
{
    (void)state;
    int fd = fixture_peer(&fix);
    struct fixture_stream *fs = first_stream();
    uint64_t sent = 0, got = 0;
    fixture_peer_write(&fix, fd, &sent, 200000);
    fixture_send(&fix, fs->s, 0, 1000);
    fixture_close(fs);
    fixture_peer_write(&fix, fd, &sent, 200000);
    fixture_settle(&fix);
    assert_int_equal(fixture_peer_read(fd, &got), 1000);
    assert_int_equal(fixture_peer_read(fd, &got), 0);
    assert_int_equal(ksock_get_metrics(fix.ksock)->connections, 1); /* waits for the peer's end */
    close(fd);
    fixture_until(&fix, ksock_get_metrics(fix.ksock)->connections == 0);
    assert_int_equal(ksock_get_metrics(fix.ksock)->linger_cut, 0);
}

static void abort_is_a_reset(void **state)
{
    (void)state;
    int fd = fixture_peer(&fix);
    struct fixture_stream *fs = first_stream();
    uint64_t got = 0;
    fixture_abort(fs);
    assert_int_equal(fixture_peer_read(fd, &got), -2);
    assert_int_equal(ksock_get_metrics(fix.ksock)->connections, 0);
    close(fd);
}

static void external_freed(void *addr, void *opaque)
{
    (void)addr;
    ++*(unsigned *)opaque;
}

/* Thousands of tiny segments, among them external ones and empty ones. */
static void gathers_segments(void **state)
{
    (void)state;
    static uint8_t value[4000];
    static struct rte_mbuf_ext_shared_info shared;
    unsigned freed = 0;
    int fd = fixture_peer(&fix);
    struct fixture_stream *fs = first_stream();
    struct buf_chain out;
    buf_chain_init(&out);
    for (unsigned i = 0; i < sizeof value; i++) value[i] = fixture_byte(1000 + i);
    for (unsigned i = 0; i < 1000; i++) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(fix.pools.small);
        *rte_pktmbuf_append(m, 1) = (char)fixture_byte(i);
        buf_chain_append(&out, m);
        if (i % 10 == 0) buf_chain_append(&out, rte_pktmbuf_alloc(fix.pools.small));
    }
    struct rte_mbuf *ext = rte_pktmbuf_alloc(fix.pools.ref);
    shared.free_cb = external_freed;
    shared.fcb_opaque = &freed;
    rte_mbuf_ext_refcnt_set(&shared, 1);
    rte_pktmbuf_attach_extbuf(ext, value, 0, sizeof value, &shared);
    rte_pktmbuf_append(ext, sizeof value);
    buf_chain_append(&out, ext);
    fs->s->ops->send(fs->s, &out);
    fixture_settle(&fix);
    assert_int_equal(ksock_get_metrics(fix.ksock)->tx_calls, 0); /* nothing before flush */
    fs->s->ops->flush(fs->s);
    uint64_t got = 0;
    while (got < 1000 + sizeof value) {
        fixture_turn(&fix);
        fixture_peer_read(fd, &got);
    }
    assert_int_equal(freed, 1); /* the kernel has it, and the peer need not have acknowledged */
    assert_int_equal(fs->s->tx_queued, 0);
    assert_true(ksock_get_metrics(fix.ksock)->tx_calls <= 16);
    close(fd);
}

static void names_its_peer(void **state)
{
    (void)state;
    int fd = fixture_peer(&fix);
    struct sockaddr_in at;
    socklen_t len = sizeof at;
    char text[64], want[64];
    getsockname(fd, (struct sockaddr *)&at, &len);
    snprintf(want, sizeof want, "127.0.0.1:%u", ntohs(at.sin_port));
    struct fixture_stream *fs = first_stream();
    fs->s->ops->peer(fs->s, text, sizeof text);
    assert_string_equal(text, want);
    assert_string_equal(fs->s->ops->name, "kernel");
    close(fd);
}

static void on_v6_accept(void *arg, struct stream *s)
{
    char text[64];
    s->ops->peer(s, text, sizeof text);
    *(bool *)arg = strncmp(text, "[::1]:", 6) == 0;
    s->ops->abort(s); /* at once: allowed to the callee */
}

static void speaks_ipv6(void **state)
{
    (void)state;
    uint16_t port;
    bool named = false;
    struct stream *s;
    struct fixture_stream client;
    int rc = ksock_listen(fix.ksock, "::1", 0, on_v6_accept, &named, &port);
    if (rc == -EADDRNOTAVAIL || rc == -EAFNOSUPPORT) skip();
    assert_int_equal(rc, 0);
    assert_int_equal(ksock_connect(fix.ksock, "::1", port, &s), 0);
    fixture_adopt(&fix, &client, s);
    fixture_until(&fix, client.seen & STREAM_ERROR);
    assert_int_equal(client.error, ECONNRESET);
    assert_true(named);
    fixture_close(&client);
}

int main(void)
{
#define KSOCK_TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)
    const struct CMUnitTest tests[] = {
        KSOCK_TEST(echoes_large_transfers),
        KSOCK_TEST(costs_two_calls_a_request),
        KSOCK_TEST(peer_of_single_bytes_pins_one_buffer),
        KSOCK_TEST(leaves_shared_buffers_alone),
        KSOCK_TEST(waits_for_a_slow_reader),
        KSOCK_TEST(tells_a_reset_in_mid_transfer),
        KSOCK_TEST(goes_on_after_a_half_close),
        KSOCK_TEST(tells_a_refused_connect),
        KSOCK_TEST(sends_what_was_flushed_before_the_connect),
        KSOCK_TEST(last_answer_survives_unread_bytes),
        KSOCK_TEST(abort_is_a_reset),
        KSOCK_TEST(gathers_segments),
        KSOCK_TEST(names_its_peer),
        KSOCK_TEST(speaks_ipv6),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
