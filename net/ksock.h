/*
 * Kernel sockets behind the stream interface: the embedded default, and the baseline that ratios are measured against.
 * One instance a core, on that core's reactor (level-triggered epoll). Listeners use SO_REUSEPORT, one a core.
 * Sends are vectored, straight from the chain's segments. Core of the instance only.
 *
 * A request that is not pipelined costs one receive and one send call, and its share of an epoll_wait.
 */
#ifndef POLAR_NET_KSOCK_H
#define POLAR_NET_KSOCK_H

#include <stdint.h>
#include "base/buf.h"
#include "base/metrics.h"
#include "base/reactor.h"
#include "base/stream.h"

struct ksock;

struct ksock_metrics {
#define METRIC(name, kind, help) uint64_t name;
#include "net/ksock_metrics.def"
#undef METRIC
};
extern const struct metric_row ksock_metric_rows[];
extern const size_t ksock_metric_row_count;

struct ksock_config {
    struct reactor *reactor;
    struct stream_loop *loop;
    struct buf_pools *pools;
    uint32_t max_connections; /* on this core; a connection over it is closed at once and counted */
    uint32_t rx_limit;        /* bytes of unconsumed rx at which a stream stops reading (at least one more read fits) */
    /* Of accepted connections, rounded up to what the kernel takes: see struct net_tcp_tuning. 0: no keepalive, no bound. */
    uint64_t keep_idle_ns, keep_interval_ns;
    uint32_t keep_count;
    uint64_t user_timeout_ns;
};

int ksock_create(struct ksock **out, const struct ksock_config *config); /* 0 or -errno */
/* Closes every listener and stream, also those that handlers hold. Before its reactor is destroyed. */
void ksock_destroy(struct ksock **ksock);
/*
 * 0 when nobody has the address and port, -EADDRINUSE when somebody does, be it with SO_REUSEPORT: the listeners of the
 * cores would quietly share the port with him. Called once, on the control thread, before the first core listens.
 */
int ksock_probe_address(const char *address, uint16_t port);
/*
 * address: numeric IPv4 or IPv6 (IPv6 alone: "::" does not take 0.0.0.0 along); port 0 picks one. bound_port (may be
 * NULL) gets the port. With SO_REUSEPORT, so each core listens on the same port. 0 or -errno.
 */
int ksock_listen(struct ksock *ksock, const char *address, uint16_t port, stream_accept_fn *accept, void *arg,
                 uint16_t *bound_port);
/*
 * Non-blocking connect; STREAM_CONNECTED or STREAM_ERROR follows. 0, -EINVAL (not a numeric address), -EMFILE and such,
 * -EADDRNOTAVAIL over max_connections.
 */
int ksock_connect(struct ksock *ksock, const char *address, uint16_t port, struct stream **out);
/*
 * The same by TCP fast open (RFC 7413): to a server that has given the kernel a cookie STREAM_CONNECTED comes at once, and
 * the SYN leaves with what is sent first. Else as ksock_connect, and a cookie is asked for.
 */
int ksock_connect_early(struct ksock *ksock, const char *address, uint16_t port, struct stream **out);
/* The end of the turn: sends for the streams that were flushed. Returns how many. Registered as a poller by the owner. */
unsigned ksock_output(struct ksock *ksock);
/* Empty buffers that the instance keeps for the next receive call: out of their pool, but nobody's. */
uint32_t ksock_spare_buffers(const struct ksock *ksock);
const struct ksock_metrics *ksock_get_metrics(const struct ksock *ksock);

#endif
