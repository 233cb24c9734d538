/* Socket options: one row each, with how it is set and read. What the stack does not have is ENOPROTOOPT. */
#include <string.h>
#include <netinet/tcp.h>
#include <sys/time.h>
#include "net/polar/polar_impl.h"

#define SEND_BUFFER_LEAST 2048u
#define SEND_BUFFER_MOST (1u << 30)
#define CONGESTION_NAME 16u /* bytes, as in Linux */
#define MS_NS UINT64_C(1000000)
#define SECOND_NS UINT64_C(1000000000)

/* A value on its way: len is what the caller has room for, or gave. */
struct option_value {
    void *data;
    socklen_t len;
};

struct option_row {
    int level, name;
    socklen_t least; /* bytes that a set needs; 0: it cannot be set */
    int (*set)(struct polar_sock *s, const void *data, socklen_t len);
    int (*get)(struct polar_sock *s, struct option_value *out);
};

static int value_int(const void *data)
{
    int v;
    memcpy(&v, data, sizeof v);
    return v;
}

/* Cut to the room there is, as getsockopt does. */
static int put(struct option_value *out, const void *data, size_t len)
{
    out->len = (socklen_t)RTE_MIN(len, (size_t)out->len);
    memcpy(out->data, data, out->len);
    return 0;
}

static int put_int(struct option_value *out, int v) { return put(out, &v, sizeof v); }

static int get_error(struct polar_sock *s, struct option_value *out) { return put_int(out, sock_take_error(s)); }

static int get_type(struct polar_sock *s, struct option_value *out)
{
    (void)s;
    return put_int(out, SOCK_STREAM);
}

static int get_domain(struct polar_sock *s, struct option_value *out)
{
    return put_int(out, s->family);
}

static int get_protocol(struct polar_sock *s, struct option_value *out)
{
    (void)s;
    return put_int(out, IPPROTO_TCP);
}

static int get_accepting(struct polar_sock *s, struct option_value *out)
{
    return put_int(out, s->state == SOCK_LISTENING);
}

static int set_reuse_address(struct polar_sock *s, const void *data, socklen_t len)
{
    (void)len;
    s->reuse_address = value_int(data) != 0;
    return 0;
}

static int get_reuse_address(struct polar_sock *s, struct option_value *out) { return put_int(out, s->reuse_address); }

static int set_reuse_port(struct polar_sock *s, const void *data, socklen_t len)
{
    (void)len;
    s->reuse_port = value_int(data) != 0;
    return 0;
}

static int get_reuse_port(struct polar_sock *s, struct option_value *out) { return put_int(out, s->reuse_port); }

static int set_only_v6(struct polar_sock *s, const void *data, socklen_t len)
{
    (void)len;
    if (s->family != AF_INET6) return -ENOPROTOOPT;
    if (s->state != SOCK_NEW || s->bound) return -EINVAL;
    s->only_v6 = value_int(data) != 0;
    return 0;
}

static int get_only_v6(struct polar_sock *s, struct option_value *out)
{
    return s->family == AF_INET6 ? put_int(out, s->only_v6) : -ENOPROTOOPT;
}

static int set_linger(struct polar_sock *s, const void *data, socklen_t len)
{
    struct linger l;
    (void)len;
    memcpy(&l, data, sizeof l);
    if (l.l_onoff && l.l_linger < 0) return -EINVAL;
    s->linger = l.l_onoff != 0;
    s->linger_s = s->linger ? (uint32_t)l.l_linger : 0;
    return 0;
}

static int get_linger(struct polar_sock *s, struct option_value *out)
{
    struct linger l = {.l_onoff = s->linger, .l_linger = (int)s->linger_s};
    return put(out, &l, sizeof l);
}

static int set_send_buffer(struct polar_sock *s, const void *data, socklen_t len)
{
    int v = value_int(data);
    (void)len;
    s->send_buffer = v < 0 ? SEND_BUFFER_MOST : RTE_MIN(RTE_MAX((uint32_t)v, SEND_BUFFER_LEAST), SEND_BUFFER_MOST);
    if (s->stream) s->stream->tx_low_water = s->send_buffer / 2;
    return 0;
}

static int get_send_buffer(struct polar_sock *s, struct option_value *out)
{
    return put_int(out, (int)s->send_buffer);
}

/* The window is the thread's: a wish for another is heard and not granted, as the kernel does beyond its limit. */
static int set_receive_buffer(struct polar_sock *s, const void *data, socklen_t len)
{
    (void)s, (void)data, (void)len;
    return 0;
}

static int get_receive_buffer(struct polar_sock *s, struct option_value *out)
{
    return put_int(out, (int)s->thread->receive_buffer);
}

static int set_receive_low(struct polar_sock *s, const void *data, socklen_t len)
{
    int v = value_int(data);
    (void)len;
    s->receive_low = v < 1 ? 1 : RTE_MIN((uint32_t)v, s->thread->receive_buffer / 2); /* more might never come */
    return 0;
}

static int get_receive_low(struct polar_sock *s, struct option_value *out) { return put_int(out, (int)s->receive_low); }

static int timeout_parse(const void *data, uint64_t *ns)
{
    struct timeval v;
    memcpy(&v, data, sizeof v);
    if (v.tv_usec < 0 || v.tv_usec >= 1000000) return -EDOM;
    *ns = v.tv_sec < 0 ? 1 : (uint64_t)v.tv_sec * 1000000000 + (uint64_t)v.tv_usec * 1000;
    return 0;
}

static int put_timeout(struct option_value *out, uint64_t ns)
{
    struct timeval v = {.tv_sec = (time_t)(ns / 1000000000), .tv_usec = (suseconds_t)(ns % 1000000000 / 1000)};
    return put(out, &v, sizeof v);
}

static int set_receive_timeout(struct polar_sock *s, const void *data, socklen_t len)
{
    (void)len;
    return timeout_parse(data, &s->receive_timeout_ns);
}

static int get_receive_timeout(struct polar_sock *s, struct option_value *out)
{
    return put_timeout(out, s->receive_timeout_ns);
}

static int set_send_timeout(struct polar_sock *s, const void *data, socklen_t len)
{
    (void)len;
    return timeout_parse(data, &s->send_timeout_ns);
}

static int get_send_timeout(struct polar_sock *s, struct option_value *out)
{
    return put_timeout(out, s->send_timeout_ns);
}

/* A changed tuning is in force at once on a connection; else when there is one. */
static int tune(struct polar_sock *s, const struct net_tcp_tuning *t)
{
    int rc = s->stream ? net_tcp_tune(s->stream, t) : 0;
    if (rc == -ENOSPC) return -ENOBUFS;
    if (rc != 0) return rc;
    s->tuning = *t;
    s->tuned = true;
    return 0;
}

static int set_no_delay(struct polar_sock *s, const void *data, socklen_t len)
{
    struct net_tcp_tuning t = s->tuning;
    (void)len;
    t.nagle = !value_int(data);
    return tune(s, &t);
}

static int get_no_delay(struct polar_sock *s, struct option_value *out) { return put_int(out, !s->tuning.nagle); }

static int set_keepalive(struct polar_sock *s, const void *data, socklen_t len)
{
    struct net_tcp_tuning t = s->tuning;
    (void)len;
    t.keepalive = value_int(data) != 0;
    return tune(s, &t);
}

static int get_keepalive(struct polar_sock *s, struct option_value *out) { return put_int(out, s->tuning.keepalive); }

/* Seconds, in Linux's range. */
static int seconds_parse(const void *data, uint64_t *ns)
{
    int v = value_int(data);
    if (v < 1 || v > 32767) return -EINVAL;
    *ns = (uint64_t)v * SECOND_NS;
    return 0;
}

static int set_keep_idle(struct polar_sock *s, const void *data, socklen_t len)
{
    struct net_tcp_tuning t = s->tuning;
    (void)len;
    int rc = seconds_parse(data, &t.keep_idle_ns);
    return rc ? rc : tune(s, &t);
}

static int get_keep_idle(struct polar_sock *s, struct option_value *out)
{
    return put_int(out, (int)(s->tuning.keep_idle_ns / SECOND_NS));
}

static int set_keep_interval(struct polar_sock *s, const void *data, socklen_t len)
{
    struct net_tcp_tuning t = s->tuning;
    (void)len;
    int rc = seconds_parse(data, &t.keep_interval_ns);
    return rc ? rc : tune(s, &t);
}

static int get_keep_interval(struct polar_sock *s, struct option_value *out)
{
    return put_int(out, (int)(s->tuning.keep_interval_ns / SECOND_NS));
}

static int set_keep_count(struct polar_sock *s, const void *data, socklen_t len)
{
    struct net_tcp_tuning t = s->tuning;
    int v = value_int(data);
    (void)len;
    if (v < 1 || v > 127) return -EINVAL;
    t.keep_count = (uint32_t)v;
    return tune(s, &t);
}

static int get_keep_count(struct polar_sock *s, struct option_value *out)
{
    return put_int(out, (int)s->tuning.keep_count);
}

/* Milliseconds: RFC 5482. */
static int set_user_timeout(struct polar_sock *s, const void *data, socklen_t len)
{
    struct net_tcp_tuning t = s->tuning;
    int v = value_int(data);
    (void)len;
    if (v < 0) return -EINVAL;
    t.user_timeout_ns = (uint64_t)v * MS_NS;
    return tune(s, &t);
}

static int get_user_timeout(struct polar_sock *s, struct option_value *out)
{
    return put_int(out, (int)(s->tuning.user_timeout_ns / MS_NS));
}

static int get_max_segment(struct polar_sock *s, struct option_value *out)
{
    return put_int(out, s->stream ? stream_mss(s->stream) : 536); /* RFC 9293 3.7.1 */
}

static int get_info(struct polar_sock *s, struct option_value *out)
{
    struct tcp_info info;
    sock_info(s, &info);
    return put(out, &info, sizeof info);
}

/* By name, as Linux knows it: "reno" is RFC 6582's. The name need not end with a zero byte. */
static int set_congestion(struct polar_sock *s, const void *data, socklen_t len)
{
    struct net_tcp_tuning t = s->tuning;
    char name[CONGESTION_NAME];
    size_t n = RTE_MIN((size_t)len, sizeof name - 1);
    memcpy(name, data, n);
    name[n] = '\0';
    int cc = net_tcp_cc_find(strcmp(name, "reno") == 0 ? "newreno" : name);
    if (cc < 0) return -ENOENT;
    t.tcp_cc = (enum net_tcp_cc)cc;
    return tune(s, &t);
}

static int get_congestion(struct polar_sock *s, struct option_value *out)
{
    const char *name = congestion_name(s->tuning.tcp_cc);
    return put(out, name, strlen(name) + 1);
}

static int set_quick_ack(struct polar_sock *s, const void *data, socklen_t len)
{
    struct net_tcp_tuning t = s->tuning;
    (void)len;
    t.quick_ack = value_int(data) != 0;
    return tune(s, &t);
}

static int get_quick_ack(struct polar_sock *s, struct option_value *out) { return put_int(out, s->tuning.quick_ack); }

/* Connections opened by a SYN with data that may wait for their handshake's end: RFC 7413 5.1. 0: none. */
static int set_fast_open(struct polar_sock *s, const void *data, socklen_t len)
{
    int v = value_int(data);
    (void)len;
    if (v < 0 || (s->state != SOCK_NEW && s->state != SOCK_LISTENING)) return -EINVAL;
    s->fast_open = (uint32_t)v;
    return s->state == SOCK_LISTENING ? net_fast_open(s->thread->stack, &s->bound_at, s->fast_open) : 0;
}

static int get_fast_open(struct polar_sock *s, struct option_value *out) { return put_int(out, (int)s->fast_open); }

static int set_fast_open_connect(struct polar_sock *s, const void *data, socklen_t len)
{
    struct net_tcp_tuning t = s->tuning;
    int v = value_int(data);
    (void)len;
    if (v < 0 || v > 1 || s->state != SOCK_NEW) return -EINVAL;
    t.fast_open = v;
    return tune(s, &t);
}

static int get_fast_open_connect(struct polar_sock *s, struct option_value *out)
{
    return put_int(out, s->tuning.fast_open);
}

static const struct option_row rows[] = {
    {SOL_SOCKET, SO_ERROR, 0, NULL, get_error},
    {SOL_SOCKET, SO_TYPE, 0, NULL, get_type},
    {SOL_SOCKET, SO_DOMAIN, 0, NULL, get_domain},
    {SOL_SOCKET, SO_PROTOCOL, 0, NULL, get_protocol},
    {SOL_SOCKET, SO_ACCEPTCONN, 0, NULL, get_accepting},
    {SOL_SOCKET, SO_REUSEADDR, sizeof(int), set_reuse_address, get_reuse_address},
    {SOL_SOCKET, SO_REUSEPORT, sizeof(int), set_reuse_port, get_reuse_port},
    {SOL_SOCKET, SO_LINGER, sizeof(struct linger), set_linger, get_linger},
    {SOL_SOCKET, SO_SNDBUF, sizeof(int), set_send_buffer, get_send_buffer},
    {SOL_SOCKET, SO_RCVBUF, sizeof(int), set_receive_buffer, get_receive_buffer},
    {SOL_SOCKET, SO_RCVLOWAT, sizeof(int), set_receive_low, get_receive_low},
    {SOL_SOCKET, SO_RCVTIMEO, sizeof(struct timeval), set_receive_timeout, get_receive_timeout},
    {SOL_SOCKET, SO_SNDTIMEO, sizeof(struct timeval), set_send_timeout, get_send_timeout},
    {IPPROTO_IPV6, IPV6_V6ONLY, sizeof(int), set_only_v6, get_only_v6},
    {IPPROTO_TCP, TCP_NODELAY, sizeof(int), set_no_delay, get_no_delay},
    {SOL_SOCKET, SO_KEEPALIVE, sizeof(int), set_keepalive, get_keepalive},
    {IPPROTO_TCP, TCP_KEEPIDLE, sizeof(int), set_keep_idle, get_keep_idle},
    {IPPROTO_TCP, TCP_KEEPINTVL, sizeof(int), set_keep_interval, get_keep_interval},
    {IPPROTO_TCP, TCP_KEEPCNT, sizeof(int), set_keep_count, get_keep_count},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, sizeof(int), set_user_timeout, get_user_timeout},
    {IPPROTO_TCP, TCP_FASTOPEN, sizeof(int), set_fast_open, get_fast_open},
    {IPPROTO_TCP, TCP_FASTOPEN_CONNECT, sizeof(int), set_fast_open_connect, get_fast_open_connect},
    {IPPROTO_TCP, TCP_MAXSEG, 0, NULL, get_max_segment},
    {IPPROTO_TCP, TCP_INFO, 0, NULL, get_info},
    {IPPROTO_TCP, TCP_CONGESTION, 1, set_congestion, get_congestion},
    {IPPROTO_TCP, TCP_QUICKACK, sizeof(int), set_quick_ack, get_quick_ack},
};

static const struct option_row *row_find(int level, int name)
{
    for (size_t i = 0; i < RTE_DIM(rows); i++)
        if (rows[i].level == level && rows[i].name == name) return &rows[i];
    return NULL;
}

int polar_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    struct polar_sock *s;
    int kernel = sock_resolve(fd, &s);
    if (kernel >= 0) return setsockopt(kernel, level, name, value, len);
    if (!s) return -1;
    if (s->state == SOCK_SET) return fail_with(ENOTSOCK);
    const struct option_row *row = row_find(level, name);
    if (!row || !row->set) return fail_with(ENOPROTOOPT);
    if (!value) return fail_with(EFAULT);
    if (len < row->least) return fail_with(EINVAL);
    return result(row->set(s, value, len));
}

int polar_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    struct polar_sock *s;
    int kernel = sock_resolve(fd, &s);
    if (kernel >= 0) return getsockopt(kernel, level, name, value, len);
    if (!s) return -1;
    if (s->state == SOCK_SET) return fail_with(ENOTSOCK);
    const struct option_row *row = row_find(level, name);
    if (!row) return fail_with(ENOPROTOOPT);
    if (!value || !len) return fail_with(EFAULT);
    struct option_value out = {.data = value, .len = *len};
    int rc = row->get(s, &out);
    if (rc != 0) return fail_with(-rc);
    *len = out.len;
    return 0;
}
