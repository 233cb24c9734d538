/* Kernel sockets: what is bounded, and what happens when something runs out. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/net/io/ksock_fixture.h"

#define SECOND UINT64_C(1000000000)

static struct fixture fix;

static const struct ksock_metrics *metrics(void) { return ksock_get_metrics(fix.ksock); }

static struct fixture_stream *next_stream(void)
{
    unsigned at = fix.accepted;
    fixture_until(&fix, fix.accepted > at);
    return &fix.streams[at];
}

/* The socket is closed or reset by the other side. */
static bool peer_gone(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, 0);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

static void refuses_over_max_connections(void **state)
{
    (void)state;
    fixture_start(&fix, &(struct fixture_config){.max_connections = 3});
    int fds[3];
    for (unsigned i = 0; i < 3; i++) fds[i] = fixture_peer(&fix);
    fixture_until(&fix, fix.accepted == 3);
    int extra = fixture_peer(&fix);
    fixture_until(&fix, peer_gone(extra));
    close(extra);
    assert_int_equal(metrics()->refused, 1);
    assert_int_equal(metrics()->connections, 3);
    struct stream *s;
    assert_int_equal(ksock_connect(fix.ksock, "127.0.0.1", fix.port, &s), -EADDRNOTAVAIL);
    fixture_abort(&fix.streams[0]);
    extra = fixture_peer(&fix);
    fixture_until(&fix, fix.accepted == 4);
    assert_int_equal(metrics()->connections, 3);
    close(extra);
    for (unsigned i = 0; i < 3; i++) close(fds[i]);
    fixture_stop(&fix);
}

static void comes_and_goes_without_a_trace(void **state)
{
    (void)state;
    fixture_start(&fix, &(struct fixture_config){0});
    fix.mode = FIXTURE_ECHO;
    for (unsigned wave = 0; wave < 20; wave++) {
        int fds[32];
        uint64_t sent[32] = {0}, got[32] = {0};
        fix.accepted = 0;
        for (unsigned i = 0; i < 32; i++) {
            fds[i] = fixture_peer(&fix);
            fixture_peer_write(&fix, fds[i], &sent[i], 1 + i * 100);
        }
        for (unsigned i = 0; i < 32; i++) {
            fixture_until(&fix, (fixture_peer_read(fds[i], &got[i]), got[i] == sent[i]));
            if (i % 3 == 0) fixture_peer_reset(fds[i]); /* an error, and the handler lets go */
            else close(fds[i]);
        }
        fixture_settle(&fix);
        for (unsigned i = 0; i < 32; i++)
            if (fix.streams[i].s) fixture_close(&fix.streams[i]);
        assert_int_equal(metrics()->connections, 0);
    }
    assert_int_equal(metrics()->accepted, 640);
    assert_int_equal(metrics()->errors, 220);
    assert_true(buf_pools_in_use(&fix.pools) <= fix.pools_at_start + 7); /* the buffers kept for receiving */
    fixture_stop(&fix);
}

static void stops_reading_at_the_limit(void **state)
{
    (void)state;
    fixture_start(&fix, &(struct fixture_config){.rx_limit = 65536});
    int fd = fixture_peer(&fix);
    struct fixture_stream *fs = next_stream();
    uint8_t bytes[4096];
    uint64_t sent = 0;
    for (unsigned full = 0; full < 100;) {
        for (unsigned i = 0; i < sizeof bytes; i++) bytes[i] = fixture_byte(sent + i);
        ssize_t n = send(fd, bytes, sizeof bytes, MSG_NOSIGNAL);
        if (n > 0) sent += (uint64_t)n;
        else full++;
        fixture_turn(&fix);
    }
    assert_true(fs->s->rx.len >= 65536);
    assert_true(fs->s->rx.len < 65536 + 7 * 2048 + 2048);
    assert_int_equal(metrics()->rx_paused, 1);
    assert_int_equal(fixture_turn(&fix), 0); /* full costs nothing */
    fix.mode = FIXTURE_COUNT;
    stream_raise(fs->s, STREAM_READABLE);
    fixture_until(&fix, fs->received == sent);
    assert_true(fs->in_order);
    close(fd);
    fixture_stop(&fix);
}

/* Data that came before a reset is still had, in order, and until then the socket does not keep the core awake. */
static void reset_of_a_paused_stream_waits(void **state)
{
    (void)state;
    fixture_start(&fix, &(struct fixture_config){.rx_limit = 1000});
    int fd = fixture_peer(&fix);
    struct fixture_stream *fs = next_stream();
    uint64_t sent = 0;
    fixture_peer_write(&fix, fd, &sent, 60000);
    fixture_settle(&fix);
    assert_int_equal(metrics()->rx_paused, 1);
    fixture_peer_reset(fd);
    fixture_settle(&fix);
    assert_int_equal(fixture_turn(&fix), 0);
    assert_false(fs->seen & STREAM_ERROR);
    fix.mode = FIXTURE_COUNT;
    stream_raise(fs->s, STREAM_READABLE);
    fixture_until(&fix, fs->seen & STREAM_ERROR);
    assert_int_equal(fs->error, ECONNRESET);
    assert_true(fs->in_order);
    fixture_stop(&fix);
}

static void waits_for_buffers(void **state)
{
    (void)state;
    fixture_start(&fix, &(struct fixture_config){.buffers = 64});
    int fd = fixture_peer(&fix);
    struct fixture_stream *fs = next_stream();
    struct rte_mbuf *frames[64], *small[64];
    unsigned frame_count = 0, small_count = 0;
    while (frame_count < 64 && (frames[frame_count] = rte_pktmbuf_alloc(fix.pools.frame))) frame_count++;
    while (small_count < 64 && (small[small_count] = rte_pktmbuf_alloc(fix.pools.small))) small_count++;
    uint64_t sent = 0;
    fixture_peer_write(&fix, fd, &sent, 50000);
    fixture_until(&fix, metrics()->rx_no_buffer == 1);
    uint64_t calls = metrics()->rx_calls;
    for (unsigned i = 0; i < 1000; i++) fixture_turn(&fix);
    assert_int_equal(metrics()->rx_no_buffer, 1); /* one wait, not a spin */
    assert_int_equal(metrics()->rx_calls, calls);
    while (small_count > 0) rte_pktmbuf_free(small[--small_count]);
    while (frame_count > 4) rte_pktmbuf_free(frames[--frame_count]);
    fix.mode = FIXTURE_COUNT;
    fixture_until(&fix, fs->received == sent);
    assert_true(fs->in_order);
    while (frame_count > 0) rte_pktmbuf_free(frames[--frame_count]);
    close(fd);
    fixture_stop(&fix);
}

/* A stream that was closed while it waited for buffers is not read any more. */
static void closes_while_it_waits_for_buffers(void **state)
{
    (void)state;
    fixture_start(&fix, &(struct fixture_config){.buffers = 64});
    int fds[2] = {fixture_peer(&fix), fixture_peer(&fix)};
    fixture_until(&fix, fix.accepted == 2);
    struct rte_mbuf *frames[64];
    unsigned count = 0;
    while (count < 64 && (frames[count] = rte_pktmbuf_alloc(fix.pools.frame))) count++;
    uint64_t sent[2] = {0, 0};
    for (unsigned i = 0; i < 2; i++) fixture_peer_write(&fix, fds[i], &sent[i], 1000);
    fixture_until(&fix, metrics()->rx_no_buffer == 2);
    fixture_abort(&fix.streams[0]);
    fixture_close(&fix.streams[1]);
    while (count > 0) rte_pktmbuf_free(frames[--count]);
    for (unsigned i = 0; i < 2; i++) close(fds[i]);
    fixture_until(&fix, metrics()->connections == 0);
    fixture_stop(&fix);
}

static void backs_off_without_descriptors(void **state)
{
    (void)state;
    fixture_start(&fix, &(struct fixture_config){0});
    struct rlimit old, tight;
    int a = fixture_peer(&fix), b = dup(a);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    close(b);
    tight = old;
    tight.rlim_cur = (rlim_t)b; /* the next descriptor would be b */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    fixture_until(&fix, metrics()->accept_backoff == 1);
    fixture_settle(&fix);
    assert_int_equal(metrics()->accept_backoff, 1);
    assert_int_equal(fix.accepted, 0);
    fixture_advance(&fix, SECOND);
    fixture_until(&fix, metrics()->accept_backoff == 2); /* tried again, in vain */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    fixture_advance(&fix, SECOND);
    fixture_until(&fix, fix.accepted == 1);
    close(a);
    fixture_stop(&fix);
}

static void cuts_a_peer_that_does_not_end(void **state)
{
    (void)state;
    fixture_start(&fix, &(struct fixture_config){0});
    int idle = fixture_peer(&fix);
    struct fixture_stream *quiet = next_stream();
    int slow = fixture_peer(&fix);
    struct fixture_stream *full = next_stream();
    for (uint64_t sent = 0; full->s->tx_queued < 262144; sent += 65536) {
        fixture_send(&fix, full->s, sent, 65536);
        fixture_settle(&fix);
    }
    fixture_close(quiet);
    fixture_close(full);
    fixture_advance(&fix, 4 * SECOND);
    for (unsigned i = 0; i < 1000; i++) {
        fixture_turn(&fix);
        fixture_wait(); /* beyond a tick of the timer */
    }
    assert_int_equal(metrics()->connections, 2);
    fixture_advance(&fix, 2 * SECOND);
    fixture_until(&fix, metrics()->connections == 0);
    assert_int_equal(metrics()->linger_cut, 2);
    close(idle);
    close(slow);
    fixture_stop(&fix);
}

/* What is queued reaches a reader who takes his time, though the handler has long let go. */
static void closed_stream_sends_the_rest(void **state)
{
    (void)state;
    fixture_start(&fix, &(struct fixture_config){.buffers = 8192});
    int fd = fixture_peer(&fix);
    struct fixture_stream *fs = next_stream();
    const uint64_t total = 8 * 1024 * 1024;
    for (uint64_t sent = 0; sent < total; sent += 65536) fixture_send(&fix, fs->s, sent, 65536);
    fixture_close(fs);
    uint64_t got = 0;
    while (fixture_peer_read(fd, &got) != 0) fixture_turn(&fix);
    assert_int_equal(got, total);
    close(fd);
    fixture_until(&fix, metrics()->connections == 0);
    fixture_stop(&fix);
}

/* A listener of somebody else, with or without SO_REUSEPORT. Descriptor. */
static int stranger(bool reuse_port, uint16_t *port)
{
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    if (reuse_port) assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static void knows_a_port_in_use(void **state)
{
    (void)state;
    fixture_start(&fix, &(struct fixture_config){0});
    for (unsigned reuse = 0; reuse < 2; reuse++) {
        uint16_t port;
        int fd = stranger(reuse, &port);
        assert_int_equal(ksock_probe_address("127.0.0.1", port), -EADDRINUSE);
        assert_int_equal(ksock_probe_address("0.0.0.0", port), -EADDRINUSE);
        if (!reuse) assert_int_equal(ksock_listen(fix.ksock, "127.0.0.1", port, NULL, NULL, NULL), -EADDRINUSE);
        close(fd);
        assert_int_equal(ksock_probe_address("127.0.0.1", port), 0);
    }
    assert_int_equal(ksock_probe_address("127.0.0.1", fix.port), -EADDRINUSE); /* ours, once it listens */
    assert_int_equal(ksock_probe_address("127.0.0.1", 0), 0);
    assert_int_equal(ksock_probe_address("localhost", 1), -EINVAL);
    assert_int_equal(ksock_listen(fix.ksock, "127.0.0.300", 0, NULL, NULL, NULL), -EINVAL);
    fixture_stop(&fix);
}

/* A restart finds its port free although connections of the last run are in TIME-WAIT. */
static void rebinds_over_time_wait(void **state)
{
    (void)state;
    fixture_start(&fix, &(struct fixture_config){0});
    int fd = fixture_peer(&fix);
    uint16_t port = fix.port;
    fixture_close(next_stream());
    fixture_settle(&fix); /* we end first: TIME-WAIT is ours */
    close(fd);
    fixture_until(&fix, metrics()->connections == 0);
    fixture_stop(&fix);
    assert_int_equal(ksock_probe_address("127.0.0.1", port), 0);
}

static void ignore_stream(void *arg, struct stream *s)
{
    ++*(unsigned *)arg;
    s->ops->abort(s);
}

static void cores_share_a_port(void **state)
{
    (void)state;
    fixture_start(&fix, &(struct fixture_config){0});
    struct ksock_config config = {
        .reactor = fix.reactor, .loop = &fix.loop, .pools = &fix.pools, .max_connections = 100, .rx_limit = 65536};
    struct ksock *second;
    unsigned seconds = 0;
    assert_int_equal(ksock_create(&second, &config), 0);
    assert_int_equal(ksock_listen(second, "127.0.0.1", fix.port, ignore_stream, &seconds, NULL), 0);
    int fds[64];
    for (unsigned i = 0; i < 64; i++) fds[i] = fixture_peer(&fix);
    fixture_until(&fix, fix.accepted + seconds == 64);
    assert_true(fix.accepted > 0 && seconds > 0);
    for (unsigned i = 0; i < 64; i++) close(fds[i]);
    ksock_destroy(&second);
    fixture_stop(&fix);
}

/* The instance goes while streams are open, lingering, and half of a transfer is queued. */
static void destroys_what_is_open(void **state)
{
    (void)state;
    fixture_start(&fix, &(struct fixture_config){0});
    int fds[3];
    for (unsigned i = 0; i < 3; i++) fds[i] = fixture_peer(&fix);
    fixture_until(&fix, fix.accepted == 3);
    uint64_t sent = 0;
    fixture_peer_write(&fix, fds[0], &sent, 10000);
    fixture_settle(&fix);
    fixture_send(&fix, fix.streams[1].s, 0, 65536);
    fixture_close(&fix.streams[2]);
    fixture_stop(&fix);
    for (unsigned i = 0; i < 3; i++) close(fds[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_over_max_connections),
        cmocka_unit_test(comes_and_goes_without_a_trace),
        cmocka_unit_test(stops_reading_at_the_limit),
        cmocka_unit_test(reset_of_a_paused_stream_waits),
        cmocka_unit_test(waits_for_buffers),
        cmocka_unit_test(closes_while_it_waits_for_buffers),
        cmocka_unit_test(backs_off_without_descriptors),
        cmocka_unit_test(cuts_a_peer_that_does_not_end),
        cmocka_unit_test(closed_stream_sends_the_rest),
        cmocka_unit_test(knows_a_port_in_use),
        cmocka_unit_test(rebinds_over_time_wait),
        cmocka_unit_test(cores_share_a_port),
        cmocka_unit_test(destroys_what_is_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
