/* Fast open by the library's calls: TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, MSG_FASTOPEN. RFC 7413. */
#include "tests/net/polar/pair.h"

#define PORT 21u

static const struct net_metrics *metrics(unsigned host)
{
    return net_stack_metrics(pair.hosts[host].stack);
}

static void set(int fd, int name, int value)
{
    assert_ok(polar_setsockopt(fd, IPPROTO_TCP, name, &value, sizeof value));
}

static int get(int fd, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    assert_ok(polar_getsockopt(fd, IPPROTO_TCP, name, &value, &len));
    return value;
}

/* Of host 1. */
static int listener_open(int pending)
{
    struct sockaddr_in at = address_of(1, PORT);
    on(1);
    int fd = polar_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    set(fd, TCP_FASTOPEN, pending);
    assert_ok(polar_bind(fd, (struct sockaddr *)&at, sizeof at));
    assert_ok(polar_listen(fd, 8));
    assert_int_equal(get(fd, TCP_FASTOPEN), pending);
    on(0);
    return fd;
}

static int client_open(int flags)
{
    on(0);
    int fd = polar_socket(AF_INET, SOCK_STREAM | flags, 0);
    set(fd, TCP_FASTOPEN_CONNECT, 1);
    assert_int_equal(get(fd, TCP_FASTOPEN_CONNECT), 1);
    return fd;
}

static int client_connect(int fd)
{
    struct sockaddr_in to = address_of(1, PORT);
    return polar_connect(fd, (struct sockaddr *)&to, sizeof to);
}

static int accept_one(int listener)
{
    on(1);
    int fd = polar_accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    return fd;
}

/* The first connection brings the cookie. */
static void cookie_get(int listener)
{
    int fd = client_open(0);
    assert_ok(client_connect(fd));
    assert_ok(polar_close(fd));
    pair_run(10 * MS);
    int accepted = accept_one(listener);
    assert_ok(polar_close(accepted));
    pair_run(10 * MS);
    on(0);
    assert_int_equal(metrics(1)->fast_opened, 0);
}

static void test_connect_then_send(void **state)
{
    (void)state;
    char text[8] = "";
    int listener = listener_open(4);
    cookie_get(listener);
    int fd = client_open(SOCK_NONBLOCK);
    uint64_t sent = metrics(0)->tx_frames;
    assert_ok(client_connect(fd)); /* at once, though it does not block: nothing has left */
    assert_int_equal(metrics(0)->tx_frames, sent);
    struct epoll_event event = {.events = EPOLLOUT};
    int set_fd = polar_poll_create();
    assert_ok(polar_poll_ctl(set_fd, EPOLL_CTL_ADD, fd, &event));
    assert_int_equal(polar_poll_wait(set_fd, &event, 1, 0), 1);
    assert_int_equal(event.events, EPOLLOUT);
    assert_int_equal(polar_send(fd, "request", 7, 0), 7);
    pair_run(10 * MS);
    assert_int_equal(metrics(1)->fast_opened, 1);
    assert_int_equal(metrics(0)->fast_open_taken, 1);
    int accepted = accept_one(listener);
    assert_int_equal(polar_recv(accepted, text, sizeof text, MSG_DONTWAIT), 7);
    assert_memory_equal(text, "request", 7);
    assert_int_equal(polar_send(accepted, "answer", 6, MSG_DONTWAIT), 6);
    on(0);
    pair_run(10 * MS);
    assert_int_equal(polar_recv(fd, text, sizeof text, 0), 6);
    assert_memory_equal(text, "answer", 6);
}

/* More than a SYN carries: the rest follows. Nothing is lost or doubled. */
static void test_large_first_write(void **state)
{
    (void)state;
    static uint8_t out[20000], in[20000];
    int listener = listener_open(4);
    cookie_get(listener);
    for (unsigned i = 0; i < sizeof out; i++) out[i] = (uint8_t)(i * 13 + (i >> 8));
    int fd = client_open(0);
    assert_ok(client_connect(fd));
    assert_int_equal(polar_send(fd, out, sizeof out, 0), sizeof out);
    pair_run(20 * MS);
    assert_int_equal(metrics(0)->fast_open_taken, 1);
    int accepted = accept_one(listener);
    assert_int_equal(polar_recv(accepted, in, sizeof in, MSG_WAITALL), sizeof in);
    assert_memory_equal(in, out, sizeof in);
}

/* Who reads first, or shuts the socket, is not kept waiting for bytes that never come. */
static void test_receive_first(void **state)
{
    (void)state;
    char byte;
    int listener = listener_open(4);
    cookie_get(listener);
    int fd = client_open(SOCK_NONBLOCK);
    assert_ok(client_connect(fd));
    assert_fails(polar_recv(fd, &byte, 1, 0), EAGAIN);
    pair_run(10 * MS);
    int accepted = accept_one(listener);
    assert_int_equal(polar_send(accepted, "x", 1, MSG_DONTWAIT), 1);
    on(0);
    pair_run(10 * MS);
    assert_int_equal(polar_recv(fd, &byte, 1, 0), 1);
    assert_int_equal(metrics(1)->fast_opened, 0);
    int unused = client_open(SOCK_NONBLOCK);
    assert_ok(client_connect(unused));
    assert_ok(polar_close(unused)); /* its SYN never went */
}

static ssize_t send_fast(int fd, const char *text)
{
    struct sockaddr_in to = address_of(1, PORT);
    struct iovec piece = {(void *)(uintptr_t)text, strlen(text)};
    struct msghdr message = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &piece, .msg_iovlen = 1};
    return polar_sendmsg(fd, &message, MSG_FASTOPEN);
}

static void test_sendmsg(void **state)
{
    (void)state;
    char text[8] = "";
    int listener = listener_open(4);
    int first = polar_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_fails(send_fast(first, "one"), EINPROGRESS); /* no cookie yet: it only connects */
    pair_run(10 * MS);
    assert_fails(send_fast(first, "one"), EISCONN);
    int accepted = accept_one(listener);
    assert_fails(polar_recv(accepted, text, sizeof text, MSG_DONTWAIT), EAGAIN);
    on(0);
    int second = polar_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(send_fast(second, "two"), 3);
    pair_run(10 * MS);
    assert_int_equal(metrics(1)->fast_opened, 1);
    accepted = accept_one(listener);
    assert_int_equal(polar_recv(accepted, text, sizeof text, MSG_DONTWAIT), 3);
    assert_memory_equal(text, "two", 3);
    on(0);
    int third = polar_socket(AF_INET, SOCK_STREAM, 0); /* one that blocks, to a server that has stopped taking it */
    on(1);
    set(listener, TCP_FASTOPEN, 0);
    on(0);
    assert_int_equal(send_fast(third, "three"), 5);
    pair_run(10 * MS);
    assert_int_equal(metrics(1)->fast_opened, 1);
    assert_int_equal(metrics(0)->fast_open_not_taken, 1);
    accepted = accept_one(listener);
    assert_int_equal(polar_recv(accepted, text, sizeof text, MSG_DONTWAIT), 5);
    assert_memory_equal(text, "three", 5);
}

static void test_refusals(void **state)
{
    (void)state;
    int fds[2], listener, bad = -1, one = 1, two = 2;
    pair_connect(fds, &listener);
    assert_fails(polar_setsockopt(fds[0], IPPROTO_TCP, TCP_FASTOPEN, &one, sizeof one), EINVAL);
    assert_fails(polar_setsockopt(fds[0], IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof one), EINVAL);
    int fd = polar_socket(AF_INET, SOCK_STREAM, 0);
    assert_fails(polar_setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &bad, sizeof bad), EINVAL);
    assert_fails(polar_setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &two, sizeof two), EINVAL);
    assert_int_equal(get(fd, TCP_FASTOPEN), 0);
    assert_int_equal(get(fd, TCP_FASTOPEN_CONNECT), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, pair_set_up, pair_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_connect_then_send), TEST(test_large_first_write), TEST(test_receive_first),
        TEST(test_sendmsg),           TEST(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
