/* Socket options and the configuration. */
#include "net/inspect.h"
#include "tests/net/polar/pair.h"

static int get(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    assert_ok(polar_getsockopt(fd, level, name, &value, &len));
    assert_int_equal(len, sizeof value);
    return value;
}

static void set(int fd, int level, int name, int value) { assert_ok(polar_setsockopt(fd, level, name, &value, sizeof value)); }

static void test_what_there_is_to_read(void **state)
{
    (void)state;
    int fds[2], listener;
    pair_connect(fds, &listener);
    assert_int_equal(get(fds[0], SOL_SOCKET, SO_TYPE), SOCK_STREAM);
    assert_int_equal(get(fds[0], SOL_SOCKET, SO_DOMAIN), AF_INET);
    assert_int_equal(get(fds[0], SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
    assert_int_equal(get(fds[0], SOL_SOCKET, SO_ERROR), 0);
    assert_int_equal(get(fds[0], SOL_SOCKET, SO_RCVBUF), 128 << 10);
    assert_int_equal(get(fds[0], IPPROTO_TCP, TCP_MAXSEG), 1448); /* 1500 less IP, TCP, timestamps */
    assert_int_equal(get(fds[0], SOL_SOCKET, SO_ACCEPTCONN), 0);
    on(1);
    assert_int_equal(get(listener, SOL_SOCKET, SO_ACCEPTCONN), 1);
}

static void test_what_is_set_is_read(void **state)
{
    (void)state;
    int fd = polar_socket(AF_INET, SOCK_STREAM, 0);
    struct timeval time = {.tv_sec = 3, .tv_usec = 250000}, got, bad = {.tv_usec = 1000000};
    socklen_t len = sizeof got;
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    assert_int_equal(get(fd, SOL_SOCKET, SO_REUSEADDR), 1);
    set(fd, SOL_SOCKET, SO_REUSEPORT, 7);
    assert_int_equal(get(fd, SOL_SOCKET, SO_REUSEPORT), 1);
    set(fd, SOL_SOCKET, SO_SNDBUF, 100000);
    assert_int_equal(get(fd, SOL_SOCKET, SO_SNDBUF), 100000);
    set(fd, SOL_SOCKET, SO_SNDBUF, 1); /* too small to be any use */
    assert_int_equal(get(fd, SOL_SOCKET, SO_SNDBUF), 2048);
    set(fd, SOL_SOCKET, SO_RCVLOWAT, 0);
    assert_int_equal(get(fd, SOL_SOCKET, SO_RCVLOWAT), 1);
    set(fd, SOL_SOCKET, SO_RCVLOWAT, 100);
    assert_int_equal(get(fd, SOL_SOCKET, SO_RCVLOWAT), 100);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_NODELAY), 1); /* unless told otherwise */
    set(fd, IPPROTO_TCP, TCP_NODELAY, 0);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_NODELAY), 0);
    assert_int_equal(get(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_KEEPIDLE), 7200);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_KEEPINTVL), 75);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_KEEPCNT), 9);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
    set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 1500);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 1500);
    assert_ok(polar_setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time));
    assert_ok(polar_getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &got, &len));
    assert_memory_equal(&got, &time, sizeof got);
    assert_fails(polar_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bad, sizeof bad), EDOM);
}

static void test_refusals(void **state)
{
    (void)state;
    int fd = polar_socket(AF_INET, SOCK_STREAM, 0), value = 1;
    socklen_t len = sizeof value;
    assert_fails(polar_setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "x", 1), ENOPROTOOPT);
    assert_fails(polar_setsockopt(fd, SOL_SOCKET, SO_ERROR, &value, len), ENOPROTOOPT);
    assert_fails(polar_setsockopt(fd, IPPROTO_TCP, TCP_INFO, &value, len), ENOPROTOOPT);
    assert_fails(polar_getsockopt(fd, IPPROTO_IP, TCP_INFO, &value, &len), ENOPROTOOPT);
    assert_fails(polar_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, NULL, len), EFAULT);
    assert_fails(polar_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, 2), EINVAL);
    assert_fails(polar_getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, NULL, &len), EFAULT);
    assert_fails(polar_getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, NULL), EFAULT);
    assert_fails(polar_setsockopt(12345678, SOL_SOCKET, SO_REUSEADDR, &value, len), EBADF);
}

/* Settings made before a connection and on it are in force there. */
static void test_keepalive(void **state)
{
    (void)state;
    struct sockaddr_in to = address_of(1, 7);
    int fds[2], listener, bad = 0;
    char byte;
    pair_connect(fds, &listener);
    int fd = polar_socket(AF_INET, SOCK_STREAM, 0);
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 2);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1);
    assert_ok(polar_connect(fd, (struct sockaddr *)&to, sizeof to));
    set(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
    assert_fails(polar_setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &bad, sizeof bad), EINVAL);
    assert_fails(polar_setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &bad, sizeof bad), EINVAL);
    pair_run(4000 * MS);
    assert_fails(polar_recv(fd, &byte, 1, MSG_DONTWAIT), EAGAIN); /* the peer answers */
    pair.hosts[1].deaf = true;
    uint64_t start = pair.now;
    assert_fails(polar_recv(fd, &byte, 1, 0), ETIMEDOUT);
    assert_in_range(pair.now - start, 3000 * MS, 7000 * MS);
    assert_fails(polar_recv(fds[0], &byte, 1, MSG_DONTWAIT), EAGAIN); /* the other never asked */
}

static void test_user_timeout(void **state)
{
    (void)state;
    int fds[2], listener;
    char byte;
    pair_connect(fds, &listener);
    set(fds[0], IPPROTO_TCP, TCP_USER_TIMEOUT, 800);
    pair.hosts[1].deaf = true;
    uint64_t start = pair.now;
    assert_int_equal(polar_send(fds[0], "x", 1, 0), 1);
    assert_fails(polar_recv(fds[0], &byte, 1, 0), ETIMEDOUT);
    assert_in_range(pair.now - start, 800 * MS, 2000 * MS);
}

static void test_congestion(void **state)
{
    (void)state;
    int fds[2], listener;
    char name[16];
    socklen_t len = sizeof name;
    pair_connect(fds, &listener);
    assert_ok(polar_getsockopt(fds[0], IPPROTO_TCP, TCP_CONGESTION, name, &len));
    assert_string_equal(name, "cubic");
    assert_int_equal(len, sizeof "cubic");
    int fd = polar_socket(AF_INET, SOCK_STREAM, 0);
    assert_ok(polar_getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len));
    assert_string_equal(name, "cubic");
}

static void name_set(int fd, const char *name) { assert_ok(polar_setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name))); }

static void name_check(int fd, const char *wanted)
{
    char name[16];
    socklen_t len = sizeof name;
    assert_ok(polar_getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len));
    assert_string_equal(name, wanted);
}

static enum net_tcp_cc congestion_in_force(int fd)
{
    struct net_tcp_info info;
    assert_int_equal(net_stream_info(sock_at(fd)->stream, &info), 0);
    return (enum net_tcp_cc)net_tcp_cc_find(info.congestion);
}

/* One socket's, before it connects and after; the others keep theirs. An accepted one has its listener's. */
static void test_congestion_of_one(void **state)
{
    (void)state;
    struct sockaddr_in to = address_of(1, 11);
    int fds[2], other;
    pair_connect(fds, &other);
    on(1);
    int listener = polar_socket(AF_INET, SOCK_STREAM, 0);
    name_set(listener, "newreno");
    assert_ok(polar_bind(listener, (struct sockaddr *)&to, sizeof to));
    assert_ok(polar_listen(listener, 1));
    on(0);
    int fd = polar_socket(AF_INET, SOCK_STREAM, 0);
    assert_fails(polar_setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nosuch", 6), ENOENT);
    assert_fails(polar_setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "", 0), EINVAL);
    name_set(fd, "dctcp");
    assert_ok(polar_connect(fd, (struct sockaddr *)&to, sizeof to));
    assert_int_equal(congestion_in_force(fd), NET_TCP_DCTCP);
    name_check(fd, "dctcp");
    name_set(fd, "reno");
    name_check(fd, "newreno");
    assert_int_equal(congestion_in_force(fd), NET_TCP_NEWRENO);
    assert_int_equal(congestion_in_force(fds[0]), NET_TCP_CUBIC);
    on(1);
    int accepted = polar_accept(listener, NULL, NULL);
    name_check(accepted, "newreno");
    assert_int_equal(congestion_in_force(accepted), NET_TCP_NEWRENO);
}

static void test_quick_ack(void **state)
{
    (void)state;
    int fds[2], listener;
    char text[10] = "";
    pair_connect(fds, &listener);
    on(1);
    assert_int_equal(get(fds[1], IPPROTO_TCP, TCP_QUICKACK), 0);
    set(fds[1], IPPROTO_TCP, TCP_QUICKACK, 1);
    assert_int_equal(get(fds[1], IPPROTO_TCP, TCP_QUICKACK), 1);
    on(0);
    for (unsigned i = 0; i < 20; i++) { /* far less than a delayed ACK takes: 1 ms */
        assert_int_equal(polar_send(fds[0], text, sizeof text, 0), sizeof text);
        pair_run(MS / 2);
        struct tcp_info info;
        socklen_t len = sizeof info;
        assert_ok(polar_getsockopt(fds[0], IPPROTO_TCP, TCP_INFO, &info, &len));
        assert_int_equal(info.tcpi_unacked, 0);
    }
}

static void test_inherited(void **state)
{
    (void)state;
    struct sockaddr_in to = address_of(1, 9);
    on(1);
    int listener = polar_socket(AF_INET, SOCK_STREAM, 0);
    set(listener, SOL_SOCKET, SO_SNDBUF, 12345);
    set(listener, SOL_SOCKET, SO_KEEPALIVE, 1);
    assert_ok(polar_bind(listener, (struct sockaddr *)&to, sizeof to));
    assert_ok(polar_listen(listener, 1));
    on(0);
    int fd = polar_socket(AF_INET, SOCK_STREAM, 0);
    assert_ok(polar_connect(fd, (struct sockaddr *)&to, sizeof to));
    on(1);
    int accepted = polar_accept(listener, NULL, NULL);
    struct net_tcp_tuning tuning;
    net_tcp_tuning_of(sock_at(accepted)->stream, &tuning);
    assert_true(tuning.keepalive);
    assert_int_equal(get(accepted, SOL_SOCKET, SO_SNDBUF), 12345);
}

static void test_info(void **state)
{
    (void)state;
    int fds[2], listener;
    char text[100];
    struct tcp_info info;
    socklen_t len = sizeof info;
    pair_connect(fds, &listener);
    assert_int_equal(polar_send(fds[0], text, sizeof text, 0), sizeof text);
    assert_ok(polar_getsockopt(fds[0], IPPROTO_TCP, TCP_INFO, &info, &len));
    assert_int_equal(len, sizeof info);
    assert_int_equal(info.tcpi_state, TCP_ESTABLISHED);
    assert_int_equal(info.tcpi_options & (TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE), 7);
    assert_int_equal(info.tcpi_snd_mss, 1448);
    assert_true(info.tcpi_unacked >= 1);
    assert_int_equal(info.tcpi_snd_cwnd, 10); /* RFC 6928 */
    assert_in_range(info.tcpi_rtt, 1, 1000);
    pair_run(10 * MS);
    len = 4; /* less is cut off */
    assert_ok(polar_getsockopt(fds[0], IPPROTO_TCP, TCP_INFO, &info, &len));
    assert_int_equal(len, 4);
    assert_ok(polar_shutdown(fds[0], SHUT_WR));
    pair_run(10 * MS);
    len = sizeof info;
    assert_ok(polar_getsockopt(fds[0], IPPROTO_TCP, TCP_INFO, &info, &len));
    assert_int_equal(info.tcpi_state, TCP_FIN_WAIT2);
    assert_int_equal(info.tcpi_unacked, 0);
    on(1);
    len = sizeof info;
    assert_ok(polar_getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &len));
    assert_int_equal(info.tcpi_state, TCP_LISTEN);
    assert_ok(polar_getsockopt(fds[1], IPPROTO_TCP, TCP_INFO, &info, &len));
    assert_int_equal(info.tcpi_state, TCP_CLOSE_WAIT);
}

static void test_configuration(void **state)
{
    (void)state;
    struct polar_config c;
    polar_config_default(&c);
    assert_ok(polar_config_set(&c, "vdev", "net_tap0"));
    assert_string_equal(c.vdev, "net_tap0");
    assert_ok(polar_config_set(&c, "max-sockets", "100"));
    assert_ok(polar_config_set(&c, "memory_mib", "64"));
    assert_ok(polar_config_set(&c, "huge-pages", "yes"));
    assert_int_equal(c.max_sockets, 100);
    assert_int_equal(c.memory_mib, 64);
    assert_true(c.huge_pages);
    assert_fails(polar_config_set(&c, "max-socket", "100"), EINVAL);
    assert_fails(polar_config_set(&c, "max-sockets-", "100"), EINVAL);
    assert_fails(polar_config_set(&c, "buffers", "-1"), EINVAL);
    assert_fails(polar_config_set(&c, "buffers", "1k"), EINVAL);
    assert_fails(polar_config_set(&c, "buffers", "4294967296"), EINVAL);
    assert_fails(polar_config_set(&c, "huge-pages", "1"), EINVAL);
}

static void refused(struct polar_config *c, const char *text)
{
    assert_fails(polar_init(c), EINVAL);
    assert_non_null(strstr(polar_init_error(), text));
}

static void test_configurations_that_cannot_be(void **state)
{
    (void)state;
    struct polar_config c;
    polar_config_default(&c);
    refused(&c, "vdev or pci");
    c.vdev = "net_memif0,zero-copy=yes";
    refused(&c, "address");
    c.address = "10.0.0.1";
    refused(&c, "10.0.0.1 is not of the form");
    c.address = "10.0.0.1/24";
    c.threads = 0;
    refused(&c, "threads 0");
    c.threads = POLAR_THREADS_MAX + 1;
    refused(&c, "threads 65");
    c.threads = 1;
    c.buffers = 10;
    refused(&c, "buffers 10");
    c.buffers = 16384;
    c.max_sockets = 0;
    refused(&c, "max_sockets 0");
    c.max_sockets = 10;
    c.mtu = 70000;
    refused(&c, "mtu 70000");
    c.mtu = 1500;
    c.port_first = 5, c.port_last = 4;
    refused(&c, "5..4");
    c.port_last = 6;
    refused(&c, "zero-copy"); /* what port_check_vdev says */
    c.vdev = "net_ring0";
    c.share_address = "perhaps";
    refused(&c, "share_address perhaps");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, pair_set_up, pair_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_there_is_to_read),
        TEST(test_what_is_set_is_read),
        TEST(test_refusals),
        TEST(test_keepalive),
        TEST(test_user_timeout),
        TEST(test_congestion),
        TEST(test_congestion_of_one),
        TEST(test_quick_ack),
        TEST(test_inherited),
        TEST(test_info),
        cmocka_unit_test(test_configuration),
        cmocka_unit_test(test_configurations_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
