/*
 * libpolarnet: TCP in user space over a DPDK port, behind calls that an application knows from BSD sockets.
 *
 * Life: polar_init once a process; then each thread that calls makes itself a core with polar_thread_init: a stack and a
 * queue of the port of its own. Nothing is shared: a socket belongs to the thread that made it, and any other thread gets
 * EPERM for it. Calls are not cancellation points and not for signal handlers.
 *
 * Every call returns -1 with errno where it fails, as its namesake does; the manual page of each lists what is different.
 * No call raises SIGPIPE. A thread's connections make progress within its calls: within one that waits (polar_poll_wait,
 * or any call on a blocking socket), and within one that fails with EAGAIN.
 *
 * Descriptors of ours are numbers from POLAR_FD_BASE on. What is not ours is the kernel's: polar_socket for anything but
 * TCP returns the kernel's own descriptor, every call here takes such descriptors too and passes them on, and a TCP socket
 * bound or connected to loopback, or bound to an address that is not the port's, is carried by the kernel from then on.
 */
#ifndef POLAR_POLAR_H
#define POLAR_POLAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define POLAR_FD_BASE 0x40000000
#define POLAR_THREADS_MAX 64

/* Strings are borrowed until polar_init returns. */
struct polar_config {
    const char *vdev;        /* DPDK's --vdev argument: "net_af_xdp0,iface=eth0"; NULL: none */
    const char *pci;         /* PCI address of the device; NULL: none */
    const char *port;        /* ethdev name; NULL: the name in vdev, or pci */
    const char *address;     /* "10.9.0.1/24"; several separated by commas, of both families; must be given */
    const char *gateway;     /* "10.9.0.254"; NULL: none */
    uint32_t mtu;            /* IP bytes; 0: the device's own */
    uint32_t threads;        /* cores: threads that will call polar_thread_init at the same time */
    uint32_t buffers;        /* of each kind, a thread */
    uint32_t memory_mib;     /* for all buffers; 0: what they need */
    uint32_t max_sockets;    /* a thread */
    uint32_t send_buffer;    /* bytes: SO_SNDBUF of a new socket */
    uint32_t receive_buffer; /* bytes: the largest window that a connection offers */
    uint32_t nap_us;         /* a waiting call sleeps so long between looks when nothing comes; 0: it never sleeps */
    uint32_t linger_ms;      /* polar_thread_fini waits so long, at most, for what was sent before a close to arrive */
    uint32_t port_first, port_last; /* source ports of active opens; where the address is shared, not the kernel's too */
    const char *share_address; /* with the kernel, which then has all that is not ours: "yes", "no", "auto" or NULL: where
                                * net_af_xdp's interface has the address in the kernel */
    const char *tap;           /* name of the TAP device where sharing needs one; NULL: some */
    bool huge_pages;
};

/* Defaults; address, and a vdev or pci, are left to set. */
void polar_config_default(struct polar_config *config);
/* Sets a field by its name with '-' for '_' ("max-sockets"), as from a command line. value is borrowed. EINVAL. */
int polar_config_set(struct polar_config *config, const char *name, const char *value);

/* Starts DPDK's environment and the port. Once a process; EALREADY. */
int polar_init(const struct polar_config *config);
/* One line on why polar_init or polar_thread_init failed last in this process; "" before. */
const char *polar_init_error(void);
/* Closes the port. EBUSY while a thread is a core. */
int polar_fini(void);

/* The calling thread becomes a core. EALREADY; ENODEV when the port has no queue left; EPERM before polar_init. */
int polar_thread_init(void);
/* Closes every socket of the thread, waits up to linger_ms for what is under way, and gives the queue back. */
int polar_thread_fini(void);

int polar_socket(int domain, int type, int protocol);
int polar_bind(int fd, const struct sockaddr *address, socklen_t len);
int polar_listen(int fd, int backlog);
int polar_accept(int fd, struct sockaddr *address, socklen_t *len);
int polar_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags);
int polar_connect(int fd, const struct sockaddr *address, socklen_t len);
ssize_t polar_send(int fd, const void *data, size_t len, int flags);
ssize_t polar_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t polar_recv(int fd, void *data, size_t len, int flags);
ssize_t polar_recvmsg(int fd, struct msghdr *message, int flags);
int polar_shutdown(int fd, int how);
int polar_close(int fd);
int polar_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int polar_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int polar_getsockname(int fd, struct sockaddr *address, socklen_t *len);
int polar_getpeername(int fd, struct sockaddr *address, socklen_t *len);
/* F_GETFL and F_SETFL with O_NONBLOCK. */
int polar_fcntl(int fd, int command, int argument);

/*
 * Readiness: epoll's events (EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLERR, EPOLLHUP; EPOLLET, EPOLLONESHOT) and operations. Only
 * connections to which something happened are looked at. Kernel descriptors may be members too.
 */
int polar_poll_create(void);
int polar_poll_ctl(int set, int operation, int fd, struct epoll_event *event);
/* timeout_ms: -1: for ever. Returns how many events. */
int polar_poll_wait(int set, struct epoll_event *events, int max, int timeout_ms);

/* Makes memory known to the port, so that it can be sent from without a copy. Page-aligned; any thread. */
int polar_mem_register(void *base, size_t len);
/* EBUSY while something that was sent from it is under way. */
int polar_mem_unregister(void *base);

/*
 * error: 0 when the last byte was acknowledged, else why it never was (ECONNRESET, ETIMEDOUT, ECONNABORTED). Called once
 * for each polar_send_zc that returned above 0, on the socket's thread, from within a later call of the library. It may
 * call the library; what would wait there fails with EAGAIN.
 */
typedef void polar_zc_done(void *arg, const void *data, size_t len, int error);
/* As polar_send, from registered memory, which must stay unchanged until done. Returns the bytes taken. */
ssize_t polar_send_zc(int fd, const void *data, size_t len, int flags, polar_zc_done *done, void *arg);

#define POLAR_ZC_PIECES 16

/* Received bytes where they lie. Between polar_recv_zc and polar_recv_zc_release they are the application's to read. */
struct polar_zc {
    struct iovec pieces[POLAR_ZC_PIECES];
    int count;
    int fd;           /* the library's, like what follows */
    uint32_t serial;
    uint32_t len;
    void *buffers;
};

/* As polar_recv, without the copy: up to POLAR_ZC_PIECES whole buffers. Returns the bytes in pieces; 0: the peer's end. */
ssize_t polar_recv_zc(int fd, struct polar_zc *zc, int flags);
/* Gives the buffers back, and to the peer as much window. Also after fd was closed. */
int polar_recv_zc_release(struct polar_zc *zc);

typedef void polar_metric(void *arg, const char *group, const char *name, uint64_t value);
/* Calls fn for each counter of the process: group "net", "netcore", "polar". */
int polar_metrics_each(polar_metric *fn, void *arg);

#ifdef __cplusplus
}
#endif

#endif
