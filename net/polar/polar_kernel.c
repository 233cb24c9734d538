/* TCP sockets that turn out not to be ours: loopback, and addresses of the host's other interfaces. */
#include <string.h>
#include <unistd.h>
#include <netinet/tcp.h>
#include "net/polar/polar_impl.h"

bool addr_is_loopback(const struct net_addr *addr)
{
    static const struct net_addr loopback = {.bytes = {[15] = 1}};
    return net_addr_is_v4(addr) ? addr->bytes[12] == IN_LOOPBACKNET : net_addr_equal(addr, &loopback);
}

static struct timeval timeval_of(uint64_t ns)
{
    return (struct timeval){.tv_sec = (time_t)(ns / 1000000000), .tv_usec = (suseconds_t)(ns % 1000000000 / 1000)};
}

static void tuning_replay(const struct net_tcp_tuning *t, int fd)
{
    int keepalive = t->keepalive, idle = (int)(t->keep_idle_ns / 1000000000), count = (int)t->keep_count;
    int interval = (int)(t->keep_interval_ns / 1000000000), no_delay = !t->nagle, on = 1;
    unsigned timeout_ms = (unsigned)(t->user_timeout_ns / 1000000);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &keepalive, sizeof keepalive);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, sizeof no_delay);
    if (t->fast_open) setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on);
    if (t->quick_ack) setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

/* Only what differs from the usual: the kernel's own default may be another. */
static void congestion_replay(const struct polar_sock *s, int fd)
{
    struct net_tcp_tuning usual;
    net_stack_tuning(s->thread->stack, &usual);
    if (s->tuning.tcp_cc == usual.tcp_cc) return;
    const char *name = s->tuning.tcp_cc == NET_TCP_NEWRENO ? "reno" : congestion_name(s->tuning.tcp_cc);
    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name));
}

/* What was asked for before the kernel had it. A refusal is the kernel's to make later, as with its own sockets. */
static void options_replay(const struct polar_sock *s, int fd)
{
    struct linger linger = {.l_onoff = s->linger, .l_linger = (int)s->linger_s};
    struct timeval receive = timeval_of(s->receive_timeout_ns), send = timeval_of(s->send_timeout_ns);
    int on = 1, low = (int)s->receive_low;
    if (s->reuse_address) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (s->reuse_port) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (s->only_v6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (s->linger) setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &receive, sizeof receive);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &send, sizeof send);
    if (s->fast_open) setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &s->fast_open, sizeof s->fast_open);
    tuning_replay(&s->tuning, fd);
    congestion_replay(s, fd);
}

int sock_delegate(struct polar_sock *s)
{
    int fd = socket(s->family, SOCK_STREAM | SOCK_CLOEXEC | (s->nonblock ? SOCK_NONBLOCK : 0), 0);
    if (fd < 0) return -errno;
    options_replay(s, fd);
    s->kernel_fd = fd;
    int rc = watch_delegate(s);
    if (rc != 0) {
        close(fd);
        s->kernel_fd = -1;
        return rc;
    }
    sock_port_release(s);
    s->state = SOCK_KERNEL;
    metric_add(&s->thread->metrics.delegated, 1);
    return 0;
}
