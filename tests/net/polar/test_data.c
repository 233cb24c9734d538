/* send, recv and their messages; shutdown and close; each with its flags and errors. */
#include "tests/net/polar/pair.h"

#include <stdlib.h>

static uint8_t pattern(size_t i) { return (uint8_t)(i * 7 + (i >> 9)); }

static void fill(uint8_t *p, size_t len, size_t at)
{
    for (size_t i = 0; i < len; i++) p[i] = pattern(at + i);
}

static void check(const uint8_t *p, size_t len, size_t at)
{
    for (size_t i = 0; i < len; i++) assert_int_equal(p[i], pattern(at + i));
}

static void test_there_and_back(void **state)
{
    (void)state;
    int fds[2], listener;
    char text[16] = {0};
    pair_connect(fds, &listener);
    assert_int_equal(polar_send(fds[0], "hello", 5, 0), 5);
    on(1);
    assert_int_equal(polar_recv(fds[1], text, sizeof text, 0), 5);
    assert_string_equal(text, "hello");
    assert_int_equal(polar_send(fds[1], "there", 5, MSG_NOSIGNAL), 5);
    on(0);
    assert_int_equal(polar_recv(fds[0], text, 2, 0), 2);
    assert_int_equal(polar_recv(fds[0], text + 2, sizeof text - 2, 0), 3);
    assert_string_equal(text, "there");
    assert_fails(polar_recv(fds[0], text, 1, MSG_DONTWAIT), EAGAIN);
    assert_int_equal(polar_send(fds[0], text, 0, 0), 0);
    assert_fails(polar_send(fds[0], text, 1, MSG_OOB), EOPNOTSUPP);
    assert_fails(polar_recv(fds[0], text, 1, MSG_OOB), EINVAL);
}

static void test_peek_and_wait_for_all(void **state)
{
    (void)state;
    int fds[2], listener;
    char text[16] = {0};
    pair_connect(fds, &listener);
    assert_int_equal(polar_send(fds[0], "abc", 3, 0), 3);
    on(1);
    assert_int_equal(polar_recv(fds[1], text, 2, MSG_PEEK), 2);
    assert_memory_equal(text, "ab", 2);
    assert_int_equal(polar_recv(fds[1], text, sizeof text, MSG_PEEK), 3);
    struct timeval soon = {.tv_usec = 5000};
    assert_ok(polar_setsockopt(fds[1], SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon));
    uint64_t start = pair.now;
    assert_int_equal(polar_recv(fds[1], text, 10, MSG_WAITALL), 3); /* what there was when time was up */
    assert_in_range(pair.now - start, 5 * MS, 6 * MS);
    start = pair.now;
    assert_fails(polar_recv(fds[1], text, 10, 0), EAGAIN);
    assert_in_range(pair.now - start, 5 * MS, 6 * MS);
    on(0);
    assert_int_equal(polar_send(fds[0], "01234", 5, 0), 5);
    on(1);
    pair_run(MS);
    on(0);
    assert_int_equal(polar_send(fds[0], "56789", 5, 0), 5);
    on(1);
    assert_int_equal(polar_recv(fds[1], text, 10, MSG_WAITALL), 10);
    assert_memory_equal(text, "0123456789", 10);
}

static void test_low_water(void **state)
{
    (void)state;
    int fds[2], listener, low = 4;
    char text[16];
    struct timeval soon = {.tv_usec = 2000};
    pair_connect(fds, &listener);
    assert_int_equal(polar_send(fds[0], "abc", 3, 0), 3);
    on(1);
    assert_ok(polar_setsockopt(fds[1], SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low));
    assert_ok(polar_setsockopt(fds[1], SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon));
    uint64_t start = pair.now;
    assert_int_equal(polar_recv(fds[1], text, sizeof text, 0), 3); /* less only after the whole time */
    assert_true(pair.now - start >= 2 * MS);
    on(0);
    assert_int_equal(polar_send(fds[0], "abcd", 4, 0), 4);
    on(1);
    start = pair.now;
    assert_int_equal(polar_recv(fds[1], text, sizeof text, 0), 4);
    assert_true(pair.now - start < 2 * MS);
}

static void test_messages(void **state)
{
    (void)state;
    int fds[2], listener;
    char a[3], b[1], c[8] = {0};
    struct iovec out[] = {{"ab", 2}, {NULL, 0}, {"cdef", 4}}, in[] = {{a, sizeof a}, {b, sizeof b}, {c, sizeof c}};
    struct msghdr message = {.msg_iov = out, .msg_iovlen = 3};
    pair_connect(fds, &listener);
    assert_int_equal(polar_sendmsg(fds[0], &message, 0), 6);
    message.msg_iovlen = 5000;
    assert_fails(polar_sendmsg(fds[0], &message, 0), EMSGSIZE);
    on(1);
    message = (struct msghdr){.msg_iov = in, .msg_iovlen = 3, .msg_flags = -1};
    assert_int_equal(polar_recvmsg(fds[1], &message, MSG_PEEK), 6);
    assert_int_equal(polar_recvmsg(fds[1], &message, 0), 6);
    assert_memory_equal(a, "abc", 3);
    assert_memory_equal(b, "d", 1);
    assert_memory_equal(c, "ef", 3);
    assert_int_equal(message.msg_flags, 0);
    assert_int_equal(message.msg_controllen, 0);
    assert_fails(polar_recvmsg(fds[1], NULL, 0), EFAULT);
    assert_fails(polar_sendmsg(fds[1], NULL, 0), EFAULT);
}

/* A megabyte through a small send buffer to a reader that falls behind: nothing lost, and never more than the buffer. */
static void test_backpressure(void **state)
{
    (void)state;
    enum { ALL = 1 << 20, CHUNK = 50000 };
    int fds[2], listener, room = 20000, got_room;
    socklen_t len = sizeof got_room;
    uint8_t *data = malloc(CHUNK);
    size_t sent = 0, received = 0, turns = 0;
    pair_connect(fds, &listener);
    assert_ok(polar_setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room));
    assert_ok(polar_getsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &got_room, &len));
    assert_int_equal(got_room, room);
    while (received < ALL) {
        assert_true(++turns < 100000);
        on(0);
        fill(data, CHUNK, sent);
        ssize_t n = sent < ALL ? polar_send(fds[0], data, RTE_MIN((size_t)CHUNK, ALL - sent), MSG_DONTWAIT) : 0;
        if (n < 0) assert_int_equal(errno, EAGAIN);
        else sent += (size_t)n;
        assert_true(n <= room);
        assert_true(sock_at(fds[0])->stream->tx_queued <= (uint32_t)room);
        pair_run(PAIR_TURN_NS);
        on(1);
        n = turns % 3 ? 0 : polar_recv(fds[1], data, CHUNK, MSG_DONTWAIT);
        if (n > 0) {
            check(data, (size_t)n, received);
            received += (size_t)n;
        }
    }
    assert_int_equal(sent, received);
    on(0);
    pair_run(MS);
    assert_int_equal(sock_at(fds[0])->stream->tx_queued, 0);
    free(data);
}

/* A blocking send of more than both buffers hold, to a reader that comes later: it waits until its time is up. */
static void test_send_blocks(void **state)
{
    (void)state;
    enum { ALL = 1 << 20 };
    int fds[2], listener;
    struct timeval soon = {.tv_usec = 20000};
    uint8_t *data = malloc(ALL);
    pair_connect(fds, &listener);
    assert_ok(polar_setsockopt(fds[0], SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon));
    fill(data, ALL, 0);
    uint64_t start = pair.now;
    ssize_t n = polar_send(fds[0], data, ALL, 0);
    assert_in_range(n, 128 << 10, ALL - 1); /* the peer's window and our buffer */
    assert_in_range(pair.now - start, 20 * MS, 200 * MS);
    assert_fails(polar_send(fds[0], data, 1, 0), EAGAIN);
    on(1);
    memset(data, 0, ALL);
    assert_int_equal(polar_recv(fds[1], data, (size_t)n, MSG_WAITALL), n);
    check(data, (size_t)n, 0);
    free(data);
}

/* Many sends of a byte share buffers. */
static void test_small_sends_share_buffers(void **state)
{
    (void)state;
    int fds[2], listener;
    uint8_t byte, got[3000];
    pair_connect(fds, &listener);
    assert_ok(polar_fcntl(fds[0], F_SETFL, O_NONBLOCK));
    uint32_t before = rte_mempool_in_use_count(pair.hosts[0].pools.small);
    for (size_t i = 0; i < sizeof got; i++) {
        byte = pattern(i);
        assert_int_equal(polar_send(fds[0], &byte, 1, 0), 1);
    }
    assert_true(rte_mempool_in_use_count(pair.hosts[0].pools.small) - before <= 10);
    on(1);
    assert_int_equal(polar_recv(fds[1], got, sizeof got, MSG_WAITALL), sizeof got);
    check(got, sizeof got, 0);
}

/* What receiving needs is not used up by sending: a sender that finds buffers short waits, and goes on later. */
static void test_buffers_run_short(void **state)
{
    (void)state;
    enum { CONNECTIONS = 20, EACH = 64 << 10 };
    int fds[2], listener, more[CONNECTIONS], accepted[CONNECTIONS];
    struct sockaddr_in to = address_of(1, 7);
    uint8_t *data = malloc(EACH);
    size_t sent[CONNECTIONS] = {0}, all = 0, got = 0;
    struct epoll_event event = {.events = EPOLLOUT}, events[CONNECTIONS];
    pair_connect(fds, &listener);
    int set = polar_poll_create();
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        on(0);
        more[i] = polar_socket(AF_INET, SOCK_STREAM, 0);
        assert_ok(polar_connect(more[i], (struct sockaddr *)&to, sizeof to));
        assert_ok(polar_fcntl(more[i], F_SETFL, O_NONBLOCK));
        assert_ok(polar_poll_ctl(set, EPOLL_CTL_ADD, more[i], &event));
        on(1);
        accepted[i] = polar_accept(listener, NULL, NULL);
        assert_true(accepted[i] > 0);
    }
    on(0);
    pair.hosts[1].deaf = true;
    fill(data, EACH, 0);
    bool stopped = false;
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        ssize_t n = polar_send(more[i], data, EACH, 0);
        if (n < 0) {
            assert_int_equal(errno, EAGAIN);
            stopped = true;
        } else {
            sent[i] = (size_t)n;
            all += (size_t)n;
        }
    }
    assert_true(stopped);
    assert_true(polar_self->metrics.tx_no_buffer > 0);
    assert_true(rte_mempool_avail_count(pair.hosts[0].pools.frame) >= PAIR_BUFFERS / 4 - 32);
    assert_int_equal(polar_poll_wait(set, events, CONNECTIONS, 0), 0); /* nobody can write */
    pair.hosts[1].deaf = false;
    on(1);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        while (got < all && sent[i]) {
            ssize_t n = polar_recv(accepted[i], data, RTE_MIN(sent[i], (size_t)EACH), 0);
            assert_true(n > 0);
            sent[i] -= (size_t)n;
            got += (size_t)n;
        }
    }
    assert_int_equal(got, all);
    on(0);
    pair_run(MS);
    assert_int_equal(polar_poll_wait(set, events, CONNECTIONS, 0), CONNECTIONS); /* woken */
    free(data);
}

static void test_half_close(void **state)
{
    (void)state;
    int fds[2], listener;
    char text[8];
    pair_connect(fds, &listener);
    assert_int_equal(polar_send(fds[0], "last", 4, 0), 4);
    assert_fails(polar_shutdown(fds[0], 7), EINVAL);
    assert_ok(polar_shutdown(fds[0], SHUT_WR));
    assert_fails(polar_send(fds[0], "x", 1, 0), EPIPE);
    on(1);
    assert_int_equal(polar_recv(fds[1], text, sizeof text, MSG_WAITALL), 4);
    assert_int_equal(polar_recv(fds[1], text, sizeof text, 0), 0);
    assert_int_equal(polar_recv(fds[1], text, sizeof text, 0), 0); /* and again */
    assert_int_equal(polar_send(fds[1], "answer", 6, 0), 6);
    assert_ok(polar_close(fds[1]));
    on(0);
    assert_int_equal(polar_recv(fds[0], text, sizeof text, MSG_WAITALL), 6);
    assert_int_equal(polar_recv(fds[0], text, sizeof text, 0), 0);
    assert_ok(polar_close(fds[0]));
}

static void test_shut_for_reading(void **state)
{
    (void)state;
    int fds[2], listener;
    char text[8];
    pair_connect(fds, &listener);
    assert_int_equal(polar_send(fds[0], "gone", 4, 0), 4);
    on(1);
    pair_run(MS);
    assert_ok(polar_shutdown(fds[1], SHUT_RD));
    assert_int_equal(polar_recv(fds[1], text, sizeof text, 0), 0);
    on(0);
    for (unsigned i = 0; i < 100; i++) { /* more than the window: it is thrown away */
        char junk[4000] = {0};
        assert_int_equal(polar_send(fds[0], junk, sizeof junk, 0), sizeof junk);
    }
    on(1);
    assert_int_equal(polar_recv(fds[1], text, sizeof text, 0), 0);
    assert_int_equal(polar_send(fds[1], "still", 5, 0), 5);
    on(0);
    assert_int_equal(polar_recv(fds[0], text, sizeof text, MSG_WAITALL | MSG_DONTWAIT), 5);
}

static void test_reset(void **state)
{
    (void)state;
    int fds[2], listener, error = -1;
    socklen_t len = sizeof error;
    char text[8];
    struct linger now = {.l_onoff = 1};
    pair_connect(fds, &listener);
    on(1);
    assert_int_equal(polar_send(fds[1], "data", 4, 0), 4);
    pair_run(MS);
    assert_ok(polar_setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &now, sizeof now));
    assert_ok(polar_close(fds[1]));
    on(0);
    pair_run(MS);
    assert_int_equal(polar_recv(fds[0], text, sizeof text, 0), 4); /* it had come before */
    assert_fails(polar_recv(fds[0], text, sizeof text, 0), ECONNRESET);
    assert_int_equal(polar_recv(fds[0], text, sizeof text, 0), 0); /* told once */
    assert_fails(polar_send(fds[0], text, 1, 0), EPIPE);
    assert_fails(polar_getpeername(fds[0], (struct sockaddr *)text, &len), ENOTCONN);
    assert_ok(polar_getsockopt(fds[0], SOL_SOCKET, SO_ERROR, &error, &len));
    assert_int_equal(error, 0);
    assert_ok(polar_close(fds[0]));
}

static void test_reset_while_sending(void **state)
{
    (void)state;
    int fds[2], listener, error = -1;
    socklen_t len = sizeof error;
    pair_connect(fds, &listener);
    assert_int_equal(polar_send(fds[0], "unread", 6, 0), 6);
    on(1);
    pair_run(MS);
    assert_ok(polar_close(fds[1])); /* with bytes that nobody read: RFC 2525 2.17 */
    on(0);
    pair_run(MS);
    assert_ok(polar_getsockopt(fds[0], SOL_SOCKET, SO_ERROR, &error, &len));
    assert_int_equal(error, ECONNRESET);
    assert_fails(polar_send(fds[0], "x", 1, 0), EPIPE);
}

static void test_peer_vanishes(void **state)
{
    (void)state;
    int fds[2], listener;
    struct timeval long_time = {.tv_sec = 3000};
    char byte;
    pair_connect(fds, &listener);
    pair.hosts[1].deaf = true;
    assert_ok(polar_setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &long_time, sizeof long_time));
    assert_int_equal(polar_send(fds[0], "x", 1, 0), 1);
    sock_at(fds[0])->stream->error = 0;
    for (unsigned i = 0; i < 40 && sock_at(fds[0])->state == SOCK_CONNECTED; i++) {
        pair.now += UINT64_C(60000) * MS; /* from timer to timer */
        pair_run(PAIR_TURN_NS);
    }
    assert_fails(polar_recv(fds[0], &byte, 1, 0), ETIMEDOUT);
    assert_int_equal(polar_recv(fds[0], &byte, 1, 0), 0);
}

static void test_linger(void **state)
{
    (void)state;
    enum { ALL = 60000 };
    int fds[2], listener;
    struct linger wait = {.l_onoff = 1, .l_linger = 2}, got;
    socklen_t len = sizeof got;
    uint8_t data[ALL];
    pair_connect(fds, &listener);
    assert_ok(polar_setsockopt(fds[0], SOL_SOCKET, SO_LINGER, &wait, sizeof wait));
    assert_ok(polar_getsockopt(fds[0], SOL_SOCKET, SO_LINGER, &got, &len));
    assert_memory_equal(&got, &wait, sizeof got);
    fill(data, ALL, 0);
    assert_int_equal(polar_send(fds[0], data, ALL, 0), ALL);
    uint64_t start = pair.now;
    assert_ok(polar_close(fds[0])); /* back when all of it has arrived */
    assert_true(pair.now - start < 1000 * MS);
    assert_int_equal(sock_at(fds[1])->state, SOCK_FREE); /* of host 0: the descriptor's place */
    on(1);
    assert_true(sock_at(fds[1])->stream->rx.len == ALL);
    on(0);
    int again[2], second;
    on(1);
    assert_ok(polar_close(listener));
    pair_connect(again, &second);
    assert_ok(polar_setsockopt(again[0], SOL_SOCKET, SO_LINGER, &wait, sizeof wait));
    pair.hosts[1].deaf = true;
    assert_int_equal(polar_send(again[0], data, ALL, 0), ALL);
    start = pair.now;
    assert_ok(polar_close(again[0]));
    assert_in_range(pair.now - start, 2000 * MS, 2100 * MS);
}

static void test_close_sends_what_is_queued(void **state)
{
    (void)state;
    enum { ALL = 60000 };
    int fds[2], listener;
    uint8_t data[ALL];
    pair_connect(fds, &listener);
    fill(data, ALL, 0);
    assert_int_equal(polar_send(fds[0], data, ALL, MSG_DONTWAIT), ALL);
    assert_ok(polar_close(fds[0]));
    on(1);
    memset(data, 0, ALL);
    assert_int_equal(polar_recv(fds[1], data, ALL, MSG_WAITALL), ALL);
    check(data, ALL, 0);
    assert_int_equal(polar_recv(fds[1], data, ALL, 0), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, pair_set_up, pair_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_there_and_back),
        TEST(test_peek_and_wait_for_all),
        TEST(test_low_water),
        TEST(test_messages),
        TEST(test_backpressure),
        TEST(test_send_blocks),
        TEST(test_small_sends_share_buffers),
        TEST(test_buffers_run_short),
        TEST(test_half_close),
        TEST(test_shut_for_reading),
        TEST(test_reset),
        TEST(test_reset_while_sending),
        TEST(test_peer_vanishes),
        TEST(test_linger),
        TEST(test_close_sends_what_is_queued),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
