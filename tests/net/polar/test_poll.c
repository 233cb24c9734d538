/* Readiness: levels, edges, one shot, several sets, kernel descriptors beside ours, and that only what is active costs. */
#include "tests/net/polar/pair.h"

#include <sys/eventfd.h>

static int set_with(int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    int set = polar_poll_create();
    assert_true(set >= POLAR_FD_BASE);
    assert_ok(polar_poll_ctl(set, EPOLL_CTL_ADD, fd, &event));
    return set;
}

/* The one event that is there. */
static uint32_t one(int set, int fd)
{
    struct epoll_event events[4];
    assert_int_equal(polar_poll_wait(set, events, 4, 10), 1);
    assert_int_equal(events[0].data.fd, fd);
    return events[0].events;
}

static void none(int set)
{
    struct epoll_event events[4];
    uint64_t start = pair.now;
    assert_int_equal(polar_poll_wait(set, events, 4, 3), 0);
    assert_in_range(pair.now - start, 3 * MS, 4 * MS); /* and it waited so long */
}

static void test_errors(void **state)
{
    (void)state;
    int fd = polar_socket(AF_INET, SOCK_STREAM, 0), set = set_with(fd, EPOLLIN);
    struct epoll_event event = {.events = EPOLLIN};
    assert_fails(polar_poll_ctl(set, EPOLL_CTL_ADD, fd, &event), EEXIST);
    assert_fails(polar_poll_ctl(set, EPOLL_CTL_ADD, fd, NULL), EFAULT);
    assert_fails(polar_poll_ctl(set, 77, fd, &event), EINVAL);
    assert_fails(polar_poll_ctl(set, EPOLL_CTL_ADD, set, &event), EINVAL);
    assert_fails(polar_poll_ctl(fd, EPOLL_CTL_ADD, fd, &event), EINVAL);
    assert_fails(polar_poll_ctl(set, EPOLL_CTL_ADD, 10000, &event), EBADF);
    assert_fails(polar_poll_ctl(set, EPOLL_CTL_ADD, fd + 33, &event), EBADF);
    assert_ok(polar_poll_ctl(set, EPOLL_CTL_DEL, fd, NULL));
    assert_fails(polar_poll_ctl(set, EPOLL_CTL_DEL, fd, NULL), ENOENT);
    assert_fails(polar_poll_ctl(set, EPOLL_CTL_MOD, fd, &event), ENOENT);
    assert_fails(polar_poll_wait(set, &event, 0, 0), EINVAL);
    assert_fails(polar_poll_wait(set, NULL, 1, 0), EFAULT);
    assert_fails(polar_poll_wait(fd, &event, 1, 0), EINVAL);
    assert_fails(polar_send(set, "x", 1, 0), ENOTSOCK);
    assert_fails(polar_recv(set, &event, 1, 0), ENOTSOCK);
    assert_fails(polar_listen(set, 1), ENOTSOCK);
}

static void test_level(void **state)
{
    (void)state;
    int fds[2], listener;
    char text[8];
    pair_connect(fds, &listener);
    on(1);
    int set = set_with(fds[1], EPOLLIN | EPOLLRDHUP), out = set_with(fds[1], EPOLLOUT);
    none(set);
    assert_int_equal(one(out, fds[1]), EPOLLOUT);
    assert_int_equal(one(out, fds[1]), EPOLLOUT);
    on(0);
    assert_int_equal(polar_send(fds[0], "ab", 2, 0), 2);
    on(1);
    assert_int_equal(one(set, fds[1]), EPOLLIN);
    assert_int_equal(polar_recv(fds[1], text, 1, 0), 1);
    assert_int_equal(one(set, fds[1]), EPOLLIN); /* a byte is left */
    assert_int_equal(polar_recv(fds[1], text, 1, 0), 1);
    none(set);
    on(0);
    assert_ok(polar_close(fds[0]));
    on(1);
    assert_int_equal(one(set, fds[1]), EPOLLIN | EPOLLRDHUP);
    assert_int_equal(polar_recv(fds[1], text, 1, 0), 0);
    assert_int_equal(one(set, fds[1]), EPOLLIN | EPOLLRDHUP);
    assert_ok(polar_close(fds[1]));
    none(set);
}

static void test_edge(void **state)
{
    (void)state;
    int fds[2], listener;
    pair_connect(fds, &listener);
    on(1);
    int set = set_with(fds[1], EPOLLIN | EPOLLET);
    on(0);
    assert_int_equal(polar_send(fds[0], "ab", 2, 0), 2);
    on(1);
    assert_int_equal(one(set, fds[1]), EPOLLIN);
    none(set); /* though nothing was read */
    on(0);
    assert_int_equal(polar_send(fds[0], "c", 1, 0), 1);
    on(1);
    assert_int_equal(one(set, fds[1]), EPOLLIN);
}

static void test_one_shot(void **state)
{
    (void)state;
    int fds[2], listener;
    pair_connect(fds, &listener);
    assert_int_equal(polar_send(fds[0], "ab", 2, 0), 2);
    on(1);
    int set = set_with(fds[1], EPOLLIN | EPOLLONESHOT);
    struct epoll_event again = {.events = EPOLLIN | EPOLLONESHOT, .data.fd = fds[1]};
    assert_int_equal(one(set, fds[1]), EPOLLIN);
    none(set);
    on(0);
    assert_int_equal(polar_send(fds[0], "c", 1, 0), 1);
    on(1);
    none(set);
    assert_ok(polar_poll_ctl(set, EPOLL_CTL_MOD, fds[1], &again));
    assert_int_equal(one(set, fds[1]), EPOLLIN);
}

static void test_listener_and_connect(void **state)
{
    (void)state;
    int fds[2], listener;
    struct sockaddr_in to = address_of(1, 7), closed = address_of(1, 9);
    pair_connect(fds, &listener);
    on(1);
    int accepts = set_with(listener, EPOLLIN);
    none(accepts);
    on(0);
    int fd = polar_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_fails(polar_connect(fd, (struct sockaddr *)&to, sizeof to), EINPROGRESS);
    int set = set_with(fd, EPOLLIN | EPOLLOUT);
    assert_int_equal(one(set, fd), EPOLLOUT);
    on(1);
    assert_int_equal(one(accepts, listener), EPOLLIN);
    assert_true(polar_accept(listener, NULL, NULL) > 0);
    none(accepts);
    on(0);
    int refused = polar_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), error = 0;
    socklen_t len = sizeof error;
    assert_fails(polar_connect(refused, (struct sockaddr *)&closed, sizeof closed), EINPROGRESS);
    set = set_with(refused, EPOLLOUT);
    assert_int_equal(one(set, refused), EPOLLOUT | EPOLLERR | EPOLLHUP);
    assert_ok(polar_getsockopt(refused, SOL_SOCKET, SO_ERROR, &error, &len));
    assert_int_equal(error, ECONNREFUSED);
}

static void test_reset_is_told_unasked(void **state)
{
    (void)state;
    int fds[2], listener;
    struct linger now = {.l_onoff = 1};
    char byte;
    pair_connect(fds, &listener);
    int set = set_with(fds[0], 0);
    on(1);
    assert_ok(polar_setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &now, sizeof now));
    assert_ok(polar_close(fds[1]));
    on(0);
    assert_int_equal(one(set, fds[0]), EPOLLERR | EPOLLHUP);
    assert_fails(polar_recv(fds[0], &byte, 1, 0), ECONNRESET);
    assert_int_equal(one(set, fds[0]), EPOLLHUP); /* the error has been taken */
}

/* Full, then written again only when half of the buffer is free. */
static void test_writable_again(void **state)
{
    (void)state;
    static uint8_t data[1 << 20];
    int fds[2], listener;
    pair_connect(fds, &listener);
    assert_ok(polar_fcntl(fds[0], F_SETFL, O_NONBLOCK));
    int set = set_with(fds[0], EPOLLOUT | EPOLLET);
    assert_int_equal(one(set, fds[0]), EPOLLOUT);
    size_t sent = 0;
    for (ssize_t n; (n = polar_send(fds[0], data, sizeof data, 0)) > 0 || pair.now < 1100 * MS; pair_run(MS))
        sent += n > 0 ? (size_t)n : 0;
    assert_in_range(sent, 128 << 10, 256 << 10); /* the peer's window and our buffer are full */
    none(set);
    on(1);
    for (size_t got = 0; got < sent;) got += (size_t)polar_recv(fds[1], data, sizeof data, 0);
    on(0);
    assert_int_equal(one(set, fds[0]), EPOLLOUT);
    assert_true(sock_at(fds[0])->stream->tx_queued <= sock_at(fds[0])->send_buffer / 2);
}

static void test_two_sets_and_fairness(void **state)
{
    (void)state;
    int fds[2], listener, fd[3];
    struct sockaddr_in to = address_of(1, 7);
    struct epoll_event event = {.events = EPOLLIN}, events[2];
    pair_connect(fds, &listener);
    on(1);
    int all = polar_poll_create(), first = -1;
    unsigned seen[3] = {0};
    for (int i = 0; i < 3; i++) {
        on(0);
        int from = polar_socket(AF_INET, SOCK_STREAM, 0);
        assert_ok(polar_connect(from, (struct sockaddr *)&to, sizeof to));
        assert_int_equal(polar_send(from, "x", 1, 0), 1);
        on(1);
        fd[i] = polar_accept(listener, NULL, NULL);
        event.data.u32 = (uint32_t)i;
        assert_ok(polar_poll_ctl(all, EPOLL_CTL_ADD, fd[i], &event));
        if (i == 0) first = set_with(fd[i], EPOLLIN);
    }
    pair_run(MS);
    for (unsigned round = 0; round < 3; round++) { /* two places for three that stay ready: each gets its turn */
        assert_int_equal(polar_poll_wait(all, events, 2, 10), 2);
        for (unsigned i = 0; i < 2; i++) seen[events[i].data.u32]++;
    }
    for (unsigned i = 0; i < 3; i++) assert_int_equal(seen[i], 2);
    assert_int_equal(one(first, fd[0]), EPOLLIN);
    assert_ok(polar_close(all)); /* the other set is untouched by its end */
    assert_int_equal(one(first, fd[0]), EPOLLIN);
    assert_ok(polar_close(fd[0]));
    none(first);
}

static void test_kernel_beside_ours(void **state)
{
    (void)state;
    int fds[2], listener, kernel = eventfd(0, EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = kernel}, events[4];
    uint64_t number = 1;
    pair_connect(fds, &listener);
    on(1);
    int set = set_with(fds[1], EPOLLIN);
    assert_ok(polar_poll_ctl(set, EPOLL_CTL_ADD, kernel, &event));
    none(set);
    assert_int_equal(write(kernel, &number, sizeof number), sizeof number);
    assert_int_equal(one(set, kernel), EPOLLIN);
    on(0);
    assert_int_equal(polar_send(fds[0], "x", 1, 0), 1);
    on(1);
    bool ours = false, theirs = false;
    for (unsigned i = 0; i < 100 && !(ours && theirs); i++) { /* neither starves the other */
        int n = polar_poll_wait(set, events, 4, 10);
        for (int k = 0; k < n; k++) {
            ours |= events[k].data.fd == fds[1];
            theirs |= events[k].data.fd == kernel;
        }
    }
    assert_true(ours && theirs);
    assert_ok(polar_poll_ctl(set, EPOLL_CTL_DEL, kernel, NULL));
    assert_int_equal(one(set, fds[1]), EPOLLIN);
    assert_ok(polar_close(kernel));
}

/* TCP on loopback is the kernel's, under the same numbers and in the same sets. */
static void test_loopback(void **state)
{
    (void)state;
    struct sockaddr_in at = address_at("127.0.0.1", 0), name;
    socklen_t len = sizeof name;
    int listener = polar_socket(AF_INET, SOCK_STREAM, 0), client = polar_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    char text[8] = {0};
    int accepts = set_with(listener, EPOLLIN), opens = set_with(client, EPOLLOUT);
    assert_ok(polar_bind(listener, (struct sockaddr *)&at, sizeof at));
    assert_ok(polar_listen(listener, 4));
    assert_ok(polar_getsockname(listener, (struct sockaddr *)&name, &len));
    assert_true(name.sin_port != 0);
    int rc = polar_connect(client, (struct sockaddr *)&name, sizeof name);
    assert_true(rc == 0 || errno == EINPROGRESS);
    assert_int_equal(one(opens, client), EPOLLOUT);
    assert_int_equal(one(accepts, listener), EPOLLIN);
    int accepted = polar_accept(listener, NULL, NULL);
    assert_in_range(accepted, 0, POLAR_FD_BASE - 1);
    assert_int_equal(polar_send(client, "hello", 5, 0), 5);
    assert_int_equal(polar_recv(accepted, text, sizeof text, 0), 5);
    assert_string_equal(text, "hello");
    int one_more = 1;
    assert_ok(polar_setsockopt(client, SOL_SOCKET, SO_KEEPALIVE, &one_more, sizeof one_more));
    assert_ok(polar_poll_ctl(opens, EPOLL_CTL_DEL, client, NULL));
    none(opens);
    assert_ok(polar_shutdown(client, SHUT_WR));
    assert_int_equal(polar_recv(accepted, text, sizeof text, 0), 0);
    assert_fails(polar_send_zc(client, text, 1, 0, (polar_zc_done *)(uintptr_t)1, NULL), EOPNOTSUPP);
    assert_ok(polar_close(accepted));
    assert_ok(polar_close(client));
    assert_fails(polar_recv(client, text, 1, 0), EBADF);
    assert_int_equal(polar_self->metrics.delegated, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, pair_set_up, pair_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_errors),
        TEST(test_level),
        TEST(test_edge),
        TEST(test_one_shot),
        TEST(test_listener_and_connect),
        TEST(test_reset_is_told_unasked),
        TEST(test_writable_again),
        TEST(test_two_sets_and_fairness),
        TEST(test_kernel_beside_ours),
        TEST(test_loopback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
