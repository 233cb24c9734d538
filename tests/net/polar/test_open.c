/* polar_socket, bind, listen, accept, connect, the names, and each errno of theirs. */
#include "tests/net/polar/pair.h"

#include <pthread.h>

static void test_kinds(void **state)
{
    (void)state;
    int udp = polar_socket(AF_INET, SOCK_DGRAM, 0), local = polar_socket(AF_UNIX, SOCK_STREAM, 0);
    assert_in_range(udp, 0, POLAR_FD_BASE - 1);
    assert_in_range(local, 0, POLAR_FD_BASE - 1);
    assert_fails(polar_socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
    assert_fails(polar_socket(-1, SOCK_STREAM, 0), EAFNOSUPPORT);
    int a = polar_socket(AF_INET, SOCK_STREAM, 0), b = polar_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_TCP);
    assert_true(a >= POLAR_FD_BASE && b >= POLAR_FD_BASE && a != b);
    assert_int_equal(polar_fcntl(a, F_GETFL, 0) & O_NONBLOCK, 0);
    assert_int_equal(polar_fcntl(b, F_GETFL, 0) & O_NONBLOCK, O_NONBLOCK);
    assert_ok(polar_fcntl(a, F_SETFL, O_NONBLOCK));
    assert_int_equal(polar_fcntl(a, F_GETFL, 0) & O_NONBLOCK, O_NONBLOCK);
    assert_fails(polar_fcntl(a, F_SETOWN, 0), EINVAL);
    assert_ok(polar_close(a));
    assert_fails(polar_close(a), EBADF);
    assert_fails(polar_close(-1), EBADF);
    assert_fails(polar_send(a, "x", 1, 0), EBADF);
    assert_int_equal(polar_socket(AF_INET, SOCK_STREAM, 0), a);
    assert_ok(polar_close(udp));
    assert_ok(polar_close(local));
}

static void test_too_many(void **state)
{
    (void)state;
    for (unsigned i = 0; i < polar_self->max_sockets; i++) assert_true(polar_socket(AF_INET, SOCK_STREAM, 0) > 0);
    assert_fails(polar_socket(AF_INET, SOCK_STREAM, 0), EMFILE);
    assert_fails(polar_poll_create(), EMFILE);
}

static void test_of_another_thread(void **state)
{
    (void)state;
    struct sockaddr_in a = address_of(0, 7);
    int fd = polar_socket(AF_INET, SOCK_STREAM, 0);
    on(1);
    assert_fails(polar_bind(fd, (struct sockaddr *)&a, sizeof a), EPERM);
    assert_fails(polar_listen(fd, 1), EPERM);
    assert_fails(polar_accept(fd, NULL, NULL), EPERM);
    assert_fails(polar_connect(fd, (struct sockaddr *)&a, sizeof a), EPERM);
    assert_fails(polar_send(fd, "x", 1, 0), EPERM);
    assert_fails(polar_recv(fd, &a, 1, 0), EPERM);
    assert_fails(polar_shutdown(fd, SHUT_RD), EPERM);
    assert_fails(polar_close(fd), EPERM);
    polar_self = NULL;
    assert_fails(polar_socket(AF_INET, SOCK_STREAM, 0), EPERM);
    assert_fails(polar_poll_create(), EPERM);
    assert_fails(polar_close(fd), EPERM);
    assert_fails(polar_thread_fini(), EPERM);
    assert_fails(polar_thread_init(), EPERM); /* no polar_init */
    assert_fails(polar_fini(), EPERM);
}

static void test_bind(void **state)
{
    (void)state;
    struct sockaddr_in ours = address_of(0, 80), any = address_at("0.0.0.0", 81), free_port = address_of(0, 0), name;
    struct sockaddr_in other = address_at("192.0.2.1", 80);
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    int a = polar_socket(AF_INET, SOCK_STREAM, 0), b = polar_socket(AF_INET, SOCK_STREAM, 0);
    assert_fails(polar_bind(a, (struct sockaddr *)&ours, 4), EINVAL);
    assert_fails(polar_bind(a, (struct sockaddr *)&six, sizeof six), EAFNOSUPPORT);
    assert_fails(polar_bind(a, (struct sockaddr *)&other, sizeof other), EADDRNOTAVAIL);
    assert_ok(polar_bind(a, (struct sockaddr *)&ours, sizeof ours));
    assert_fails(polar_bind(a, (struct sockaddr *)&any, sizeof any), EINVAL);
    assert_fails(polar_bind(b, (struct sockaddr *)&ours, sizeof ours), EADDRINUSE);
    assert_ok(polar_close(a));
    assert_ok(polar_bind(b, (struct sockaddr *)&ours, sizeof ours));
    socklen_t len = sizeof name;
    assert_ok(polar_getsockname(b, (struct sockaddr *)&name, &len));
    assert_int_equal(len, sizeof name);
    assert_int_equal(name.sin_port, htons(80));
    assert_int_equal(name.sin_addr.s_addr, ours.sin_addr.s_addr);
    assert_fails(polar_getpeername(b, (struct sockaddr *)&name, &len), ENOTCONN);
    a = polar_socket(AF_INET, SOCK_STREAM, 0);
    assert_ok(polar_bind(a, (struct sockaddr *)&free_port, sizeof free_port));
    assert_ok(polar_getsockname(a, (struct sockaddr *)&name, &len));
    assert_in_range(ntohs(name.sin_port), 49152, 65535);
    assert_fails(polar_getsockname(a, NULL, &len), EFAULT);
}

static void test_listen(void **state)
{
    (void)state;
    int fds[2], listener, second;
    struct sockaddr_in at = address_of(1, 7), peer;
    socklen_t len = sizeof peer;
    pair_connect(fds, &listener);
    on(1);
    assert_fails(polar_listen(fds[1], 1), EINVAL);
    assert_fails(polar_accept(fds[1], NULL, NULL), EINVAL);
    assert_fails(polar_accept4(listener, NULL, NULL, ~0), EINVAL);
    assert_fails(polar_connect(listener, (struct sockaddr *)&at, sizeof at), EISCONN);
    assert_fails(polar_send(listener, "x", 1, 0), ENOTCONN);
    assert_fails(polar_recv(listener, &len, 1, 0), ENOTCONN);
    assert_ok(polar_listen(listener, 1)); /* again: another backlog */
    assert_ok(polar_fcntl(listener, F_SETFL, O_NONBLOCK));
    assert_fails(polar_accept(listener, NULL, NULL), EAGAIN);
    assert_ok(polar_getpeername(fds[1], (struct sockaddr *)&peer, &len));
    assert_int_equal(peer.sin_addr.s_addr, address_of(0, 0).sin_addr.s_addr);
    on(0);
    struct sockaddr_in own;
    assert_ok(polar_getsockname(fds[0], (struct sockaddr *)&own, &len));
    assert_int_equal(own.sin_port, peer.sin_port);
    assert_ok(polar_getpeername(fds[0], (struct sockaddr *)&peer, &len));
    assert_int_equal(peer.sin_port, htons(7));
    second = polar_socket(AF_INET, SOCK_STREAM, 0);
    assert_ok(polar_listen(second, 1)); /* without bind: some port */
    assert_ok(polar_getsockname(second, (struct sockaddr *)&own, &len));
    assert_in_range(ntohs(own.sin_port), 49152, 65535);
}

static void test_accept_names_and_flags(void **state)
{
    (void)state;
    int fds[2], listener;
    struct sockaddr_in to = address_of(1, 7), peer = {0};
    pair_connect(fds, &listener);
    int fd = polar_socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in from = address_of(0, 4321);
    assert_ok(polar_bind(fd, (struct sockaddr *)&from, sizeof from));
    assert_ok(polar_connect(fd, (struct sockaddr *)&to, sizeof to));
    on(1);
    socklen_t len = sizeof peer;
    int accepted = polar_accept4(listener, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK);
    assert_true(accepted > 0);
    assert_int_equal(len, sizeof peer);
    assert_int_equal(peer.sin_port, htons(4321)); /* connect keeps what bind chose */
    assert_int_equal(polar_fcntl(accepted, F_GETFL, 0) & O_NONBLOCK, O_NONBLOCK);
    struct timeval soon = {.tv_usec = 5000};
    assert_ok(polar_setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon));
    uint64_t start = pair.now;
    assert_fails(polar_accept(listener, NULL, NULL), EAGAIN);
    assert_in_range(pair.now - start, 5 * MS, 6 * MS);
}

static void test_backlog(void **state)
{
    (void)state;
    int fds[2], listener, more[3];
    struct sockaddr_in to = address_of(1, 7);
    pair_connect(fds, &listener);
    on(1);
    assert_ok(polar_listen(listener, 2));
    on(0);
    for (unsigned i = 0; i < 3; i++) {
        more[i] = polar_socket(AF_INET, SOCK_STREAM, 0);
        assert_ok(polar_connect(more[i], (struct sockaddr *)&to, sizeof to));
    }
    pair_run(MS);
    char byte;
    assert_fails(polar_recv(more[2], &byte, 1, 0), ECONNRESET);
    assert_fails(polar_recv(more[1], &byte, 1, MSG_DONTWAIT), EAGAIN);
    on(1);
    assert_int_equal(polar_self->metrics.accept_overflow, 1);
    assert_ok(polar_close(listener)); /* those two go with it */
    on(0);
    pair_run(MS);
    assert_fails(polar_recv(more[1], &byte, 1, 0), ECONNRESET);
    int late = polar_socket(AF_INET, SOCK_STREAM, 0);
    assert_fails(polar_connect(late, (struct sockaddr *)&to, sizeof to), ECONNREFUSED);
    on(1);
    listener = polar_socket(AF_INET, SOCK_STREAM, 0);
    assert_ok(polar_bind(listener, (struct sockaddr *)&to, sizeof to)); /* the port is free again */
    assert_ok(polar_listen(listener, 2));
    on(0);
    assert_ok(polar_connect(late, (struct sockaddr *)&to, sizeof to)); /* a socket may try again */
}

static void test_connect_errors(void **state)
{
    (void)state;
    struct sockaddr_in closed = address_of(1, 9), far = address_at("192.0.2.1", 9), own = address_of(0, 9);
    struct sockaddr_in many = address_at("224.0.0.1", 9), nobody = address_at("10.0.0.77", 9), zero = address_of(1, 0);
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    int fd = polar_socket(AF_INET, SOCK_STREAM, 0), error = -1;
    socklen_t len = sizeof error;
    assert_fails(polar_connect(fd, (struct sockaddr *)&closed, sizeof closed), ECONNREFUSED);
    assert_ok(polar_getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len));
    assert_int_equal(error, 0); /* it was told */
    assert_fails(polar_connect(fd, (struct sockaddr *)&far, sizeof far), ENETUNREACH);
    assert_fails(polar_connect(fd, (struct sockaddr *)&many, sizeof many), ENETUNREACH);
    assert_fails(polar_connect(fd, (struct sockaddr *)&own, sizeof own), EADDRNOTAVAIL);
    assert_fails(polar_connect(fd, (struct sockaddr *)&zero, sizeof zero), EADDRNOTAVAIL);
    assert_fails(polar_connect(fd, (struct sockaddr *)&six, sizeof six), EAFNOSUPPORT);
    assert_fails(polar_connect(fd, (struct sockaddr *)&far, 3), EINVAL);
    assert_fails(polar_connect(fd, (struct sockaddr *)&nobody, sizeof nobody), EHOSTUNREACH);
    assert_fails(polar_send(fd, "x", 1, 0), ENOTCONN);
    assert_fails(polar_recv(fd, &len, 1, 0), ENOTCONN);
    assert_fails(polar_shutdown(fd, SHUT_WR), ENOTCONN);
}

static void test_connect_without_waiting(void **state)
{
    (void)state;
    int fds[2], listener, error = -1;
    socklen_t len = sizeof error;
    struct sockaddr_in to = address_of(1, 7), closed = address_of(1, 9);
    pair_connect(fds, &listener);
    int fd = polar_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_fails(polar_connect(fd, (struct sockaddr *)&to, sizeof to), EINPROGRESS);
    assert_fails(polar_connect(fd, (struct sockaddr *)&to, sizeof to), EALREADY);
    assert_fails(polar_send(fd, "x", 1, 0), EAGAIN);
    pair_run(MS);
    assert_fails(polar_connect(fd, (struct sockaddr *)&to, sizeof to), EISCONN);
    assert_int_equal(polar_send(fd, "x", 1, 0), 1);
    int refused = polar_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_fails(polar_connect(refused, (struct sockaddr *)&closed, sizeof closed), EINPROGRESS);
    pair_run(MS);
    assert_ok(polar_getsockopt(refused, SOL_SOCKET, SO_ERROR, &error, &len));
    assert_int_equal(error, ECONNREFUSED);
    assert_fails(polar_connect(refused, (struct sockaddr *)&closed, sizeof closed), EINPROGRESS);
    pair_run(MS);
    assert_fails(polar_connect(refused, (struct sockaddr *)&closed, sizeof closed), ECONNREFUSED);
}

static void test_connect_times_out(void **state)
{
    (void)state;
    int fds[2], listener;
    struct sockaddr_in to = address_of(1, 7);
    struct timeval soon = {.tv_usec = 10000};
    pair_connect(fds, &listener); /* so that the neighbour is known */
    pair.hosts[1].deaf = true;
    int fd = polar_socket(AF_INET, SOCK_STREAM, 0);
    assert_ok(polar_setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon));
    assert_fails(polar_connect(fd, (struct sockaddr *)&to, sizeof to), EINPROGRESS);
    assert_fails(polar_connect(fd, (struct sockaddr *)&to, sizeof to), EALREADY);
    pair_run(UINT64_C(1000) * MS);
    pair.hosts[1].deaf = false;
    pair_run(UINT64_C(8000) * MS);
    assert_fails(polar_connect(fd, (struct sockaddr *)&to, sizeof to), EISCONN); /* the SYN was sent again */
}

static void *no_core(void *arg)
{
    int fd = *(int *)arg;
    char byte;
    bool ok = polar_recv(fd, &byte, 1, 0) == -1 && errno == EPERM;
    ok = ok && polar_socket(AF_INET, SOCK_STREAM, 0) == -1 && errno == EPERM;
    return ok ? arg : NULL;
}

static void test_of_a_thread_without_core(void **state)
{
    (void)state;
    pthread_t thread;
    void *same;
    int fds[2], listener;
    pair_connect(fds, &listener);
    assert_int_equal(pthread_create(&thread, NULL, no_core, &fds[0]), 0);
    assert_int_equal(pthread_join(thread, &same), 0);
    assert_ptr_equal(same, &fds[0]);
}

/* A socket of IPv6 serves both families, IPv4 by mapped addresses; one of IPv6 only leaves IPv4's ports alone. */
static void test_both_families(void **state)
{
    (void)state;
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(7)}, peer = {0};
    struct sockaddr_in to = address_of(1, 7), any4 = address_at("0.0.0.0", 7);
    socklen_t len = sizeof peer;
    int on_only = 1, off = -1;
    on(1);
    int listener = polar_socket(AF_INET6, SOCK_STREAM, 0), other = polar_socket(AF_INET, SOCK_STREAM, 0);
    assert_fails(polar_bind(listener, (struct sockaddr *)&to, sizeof to), EAFNOSUPPORT);
    assert_fails(polar_bind(listener, (struct sockaddr *)&any, sizeof to), EINVAL);
    assert_fails(polar_setsockopt(other, IPPROTO_IPV6, IPV6_V6ONLY, &on_only, sizeof on_only), ENOPROTOOPT);
    assert_ok(polar_bind(listener, (struct sockaddr *)&any, sizeof any));
    assert_fails(polar_bind(other, (struct sockaddr *)&any4, sizeof any4), EADDRINUSE);
    assert_fails(polar_setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &on_only, sizeof on_only), EINVAL);
    assert_ok(polar_listen(listener, 4));
    on(0);
    int fd = polar_socket(AF_INET, SOCK_STREAM, 0);
    assert_ok(polar_connect(fd, (struct sockaddr *)&to, sizeof to));
    on(1);
    int accepted = polar_accept(listener, (struct sockaddr *)&peer, &len);
    assert_true(accepted > 0);
    assert_int_equal(len, sizeof peer);
    assert_int_equal(peer.sin6_family, AF_INET6);
    assert_memory_equal(peer.sin6_addr.s6_addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\1", 16);
    len = sizeof off;
    assert_ok(polar_getsockopt(accepted, SOL_SOCKET, SO_DOMAIN, &off, &len));
    assert_int_equal(off, AF_INET6);
    assert_ok(polar_close(listener));
    listener = polar_socket(AF_INET6, SOCK_STREAM, 0);
    assert_ok(polar_setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &on_only, sizeof on_only));
    assert_ok(polar_bind(listener, (struct sockaddr *)&any, sizeof any));
    assert_ok(polar_bind(other, (struct sockaddr *)&any4, sizeof any4));
    any4.sin_port = htons(8);
    on(0);
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
    memcpy(mapped.sin6_addr.s6_addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\2", 16);
    int six = polar_socket(AF_INET6, SOCK_STREAM, 0);
    assert_fails(polar_connect(six, (struct sockaddr *)&mapped, sizeof mapped), ECONNREFUSED);
}

static void test_over_ipv6(void **state)
{
    (void)state;
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(7), .sin6_addr.s6_addr = {0xfd, [15] = 2}};
    struct sockaddr_in6 far = {.sin6_family = AF_INET6, .sin6_port = htons(7), .sin6_addr.s6_addr = {0x20, [15] = 2}};
    struct sockaddr_in6 name = {0};
    socklen_t len = sizeof name;
    char text[8];
    pair_run(UINT64_C(3000) * MS); /* nobody else has our addresses: RFC 4862 5.4 */
    on(1);
    int listener = polar_socket(AF_INET6, SOCK_STREAM, 0);
    assert_ok(polar_bind(listener, (struct sockaddr *)&to, sizeof to));
    assert_ok(polar_listen(listener, 4));
    on(0);
    int fd = polar_socket(AF_INET6, SOCK_STREAM, 0);
    assert_fails(polar_connect(fd, (struct sockaddr *)&far, sizeof far), ENETUNREACH);
    assert_ok(polar_connect(fd, (struct sockaddr *)&to, sizeof to));
    assert_int_equal(polar_send(fd, "six", 3, 0), 3);
    assert_ok(polar_getpeername(fd, (struct sockaddr *)&name, &len));
    assert_memory_equal(&name.sin6_addr, &to.sin6_addr, 16);
    on(1);
    int accepted = polar_accept(listener, (struct sockaddr *)&name, &len);
    assert_true(accepted > 0);
    assert_int_equal(name.sin6_addr.s6_addr[15], 1);
    assert_int_equal(polar_recv(accepted, text, sizeof text, MSG_WAITALL | MSG_DONTWAIT), 3);
    assert_memory_equal(text, "six", 3);
    struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_port = htons(1), .sin6_addr = in6addr_loopback};
    int kernel = polar_socket(AF_INET6, SOCK_STREAM, 0);
    assert_fails(polar_connect(kernel, (struct sockaddr *)&loopback, sizeof loopback), ECONNREFUSED);
    assert_int_equal(polar_self->metrics.delegated, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, pair_set_up, pair_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_kinds),
        TEST(test_too_many),
        TEST(test_of_another_thread),
        TEST(test_bind),
        TEST(test_listen),
        TEST(test_both_families),
        TEST(test_over_ipv6),
        TEST(test_accept_names_and_flags),
        TEST(test_backlog),
        TEST(test_connect_errors),
        TEST(test_connect_without_waiting),
        TEST(test_connect_times_out),
        TEST(test_of_a_thread_without_core),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
