/*
 * Inside the library: sockets over streams. polar_init.c is the process, polar_thread.c a core's turn, polar_fd.c its
 * descriptors; each other file is a group of calls.
 *
 * States of a socket and who moves it:
 *
 *   NEW -> LISTENING                 polar_listen    polar_open.c
 *   NEW -> CONNECTING                polar_connect   polar_open.c
 *   CONNECTING -> CONNECTED | NEW    sock_event      polar_event.c  (NEW: the open failed; error says why)
 *   (none) -> CONNECTED              sock_accepted   polar_open.c
 *   CONNECTED -> FAILED              sock_event      polar_event.c  (rx may still hold bytes)
 *   NEW -> KERNEL                    sock_delegate   polar_kernel.c
 *   any -> FREE                      polar_close     polar_close.c
 */
#ifndef POLAR_NET_POLAR_IMPL_H
#define POLAR_NET_POLAR_IMPL_H

#include <errno.h>
#include <netinet/in.h>
#include "base/clock.h"
#include "net/polar/polar.h"
#include "net/stack.h"

#define POLAR_INDEX_BITS 20u
#define POLAR_SOCKETS_MOST (1u << POLAR_INDEX_BITS)
#define POLAR_ACCEPT_MOST 4096u /* backlog */
#define POLAR_PORTS 65536u

struct polar_thread;
struct polar_set;
struct polar_sock;

enum sock_state { SOCK_FREE, SOCK_NEW, SOCK_LISTENING, SOCK_CONNECTING, SOCK_CONNECTED, SOCK_FAILED, SOCK_KERNEL, SOCK_SET };

/* One socket's membership in one set. */
struct polar_watch {
    struct polar_sock *sock;
    struct polar_set *set;
    uint32_t events;
    epoll_data_t data;
    bool off;                                /* EPOLLONESHOT has fired */
    bool ready;                              /* on the set's ready list */
    struct polar_watch *next_of_sock;
    struct polar_watch *prev_ready, *next_ready;
    struct polar_watch *prev_of_set, *next_of_set;
};

struct polar_sock {
    struct polar_thread *thread;
    struct stream *stream;       /* CONNECTING, CONNECTED, FAILED */
    struct polar_watch *watches;
    struct polar_watch first_watch; /* most sockets are in one set */
    struct polar_set *set;       /* SOCK_SET */
    uint32_t next_free;          /* index + 1 */
    uint32_t serial;             /* of the descriptor's users, so that an old reference is known */
    uint8_t state;               /* enum sock_state */
    bool nonblock;
    bool bound;                  /* bound_at.port is taken in thread->ports */
    bool rx_shut, tx_shut;
    bool eof;
    bool tx_full;                /* a sender found no room: not writable before STREAM_WRITABLE */
    bool starved;                /* a sender found no buffer: on thread->starved */
    bool reuse_address, reuse_port;
    bool linger;
    bool held;                   /* CONNECTING: the SYN waits for the first bytes (TCP_FASTOPEN_CONNECT) */
    bool tuned;                  /* tuning differs from the stack's */
    int error;                   /* SO_ERROR, pending */
    int kernel_fd;               /* SOCK_KERNEL */
    struct net_tcp_tuning tuning;
    uint32_t linger_s;
    uint32_t send_buffer, receive_low;
    uint64_t receive_timeout_ns, send_timeout_ns; /* 0: none */
    struct net_endpoint local, peer, bound_at;
    uint8_t family;              /* AF_INET, or AF_INET6: of both families unless only_v6 */
    bool only_v6;
    struct polar_sock *next_starved;
    struct polar_sock *accept_head, *accept_tail, *accept_next; /* listener: established, not yet accepted */
    uint32_t accept_count, backlog;
    uint32_t fast_open;          /* listener: TCP_FASTOPEN */
};

/* What moves a thread's frames: a port's queue, or a test's wire. Both are called once a turn. */
struct polar_link {
    unsigned (*rx)(void *arg, const struct tick *now); /* a burst, the stack's input and timers; returns work done */
    unsigned (*tx)(void *arg, const struct tick *now); /* the stack's output */
    void *arg;
};

struct polar_metrics {
#define METRIC(name, kind, help) uint64_t name;
#include "net/polar/metrics.def"
#undef METRIC
};

struct polar_sends; /* polar_zc.c */

struct polar_thread {
    unsigned index;
    struct net_stack *stack;
    struct buf_pools *pools;
    struct stream_loop *loop;    /* the stack's */
    struct polar_link link;
    struct clock *clock;
    struct polar_metrics metrics;
    uint32_t max_sockets;
    uint32_t send_buffer, receive_buffer;
    uint32_t nap_us, linger_ms;
    uint64_t now;                /* ns, of the last turn */
    uint32_t idle_turns;
    bool calling_back;
    struct polar_sock *socks;    /* [max_sockets], mapped */
    uint32_t socks_used, socks_free, socks_open;
    struct polar_sock *starved;
    struct polar_sends *sends;
    uint32_t port_next;
    uint64_t ports[2][POLAR_PORTS / 64]; /* bits: bound by a socket, for IPv4, for IPv6 */
};

struct polar_thread_config {
    unsigned index;
    struct net_stack *stack;
    struct buf_pools *pools;
    struct stream_loop *loop;
    struct polar_link link;
    struct clock *clock;
    uint32_t max_sockets, send_buffer, receive_buffer, nap_us, linger_ms;
};

/* The calling thread's core; NULL: none. */
extern __thread struct polar_thread *polar_self;

/* polar_thread.c. Borrows what config points to for the thread's life. 0 or -errno. */
int thread_create(struct polar_thread **out, const struct polar_thread_config *config);
/* After its sockets were closed and its stack destroyed. */
void thread_destroy(struct polar_thread **thread);
void thread_turn(struct polar_thread *t);
/* Sends what is queued, without looking at what came. */
void thread_push(struct polar_thread *t);
/* Sleeps a little when the last turns found nothing, not beyond deadline (ns). */
void thread_idle(struct polar_thread *t, uint64_t deadline);
/* Turns until done(s) or timeout_ns (0: for ever) has passed. False: it passed, or waiting is not allowed here. */
bool thread_wait(struct polar_thread *t, struct polar_sock *s, bool (*done)(struct polar_sock *s), uint64_t timeout_ns);
/* As thread_wait, but for a call that must not block: one turn at most, and none when the last was just now. */
bool thread_look(struct polar_thread *t, struct polar_sock *s, bool (*done)(struct polar_sock *s));
/* Buffers are so short that what is left is for receiving. */
bool thread_short_of_buffers(const struct polar_thread *t);

/* polar_fd.c */
struct polar_sock *sock_alloc(struct polar_thread *t, enum sock_state state); /* NULL with errno EMFILE */
void sock_free(struct polar_sock *s);
int sock_fd(const struct polar_sock *s);
/* The place of a descriptor of ours that sock_resolve has taken, also when the kernel carries it. */
struct polar_sock *sock_at(int fd);
/*
 * What a descriptor stands for. Returns a kernel descriptor to pass the call on to; else -1, and *out is our socket, or
 * NULL with errno EBADF, or EPERM (another thread's, or no core).
 */
int sock_resolve(int fd, struct polar_sock **out);
static inline int fail_with(int error)
{
    errno = error;
    return -1;
}
/* 0 or -errno to 0 or -1 with errno. */
static inline int result(int rc) { return rc < 0 ? fail_with(-rc) : rc; }

/* polar_event.c */
void thread_events(struct polar_thread *t); /* the loop's ready streams */
uint32_t sock_readiness(const struct polar_sock *s); /* EPOLL bits */
/* Takes the pending error: 0 or errno value. */
int sock_take_error(struct polar_sock *s);

/* polar_open.c */
stream_accept_fn sock_accepted; /* arg: struct polar_sock *, the listener */
void sock_unlisten(struct polar_sock *s);
/* The SYN goes, with what is queued. */
void sock_release(struct polar_sock *s);
/*
 * MSG_FASTOPEN: begins to connect to a name. 0: bytes can be queued, and go with the SYN or after it; above 0: the kernel's
 * descriptor, which carries the socket from now on; or -errno: -EINPROGRESS: the connection begins without them.
 */
int sock_fast_open(struct polar_sock *s, const struct sockaddr *address, socklen_t len, int flags);
void sock_port_release(struct polar_sock *s);

/* polar_close.c */
void thread_close_all(struct polar_thread *t); /* waits for none */

/* polar_kernel.c */
/* The kernel carries s from now on. 0 or -errno. */
int sock_delegate(struct polar_sock *s);
bool addr_is_loopback(const struct net_addr *addr);

/* polar_name.c */
/* As a socket of this family takes it: an IPv6 one takes IPv4 mapped too. 0, -EINVAL, -EAFNOSUPPORT. */
int name_parse(uint8_t family, const struct sockaddr *address, socklen_t len, struct net_endpoint *out);
/* In the form of the family, cut to *len as getsockname does; address may be NULL. */
int name_write(uint8_t family, const struct net_endpoint *name, struct sockaddr *address, socklen_t *len);

/* polar_poll.c */
void watch_notify(struct polar_sock *s, uint32_t events);
void watch_drop_all(struct polar_sock *s); /* s leaves its sets */
int watch_delegate(struct polar_sock *s);  /* s becomes kernel_fd in its sets; 0 or -errno, then it is in them as before */
void set_destroy(struct polar_set *set);

/* polar_send.c */
bool sock_may_send(struct polar_sock *s);       /* thread_wait: room, or a reason not to wait */
/* 0, or -errno: why nothing can be sent now: -EPIPE, -ENOTCONN, -EAGAIN, or the pending error, which is taken. */
int sock_send_check(struct polar_sock *s);
/* Waits as the socket and flags say until something can be sent. 0 or -errno. */
int sock_send_wait(struct polar_sock *s, int flags);
/* Something was queued: it leaves soon, and a full buffer is noted. */
void sock_sent(struct polar_sock *s, int flags);
void sock_tx_exhausted(struct polar_sock *s);   /* no buffer: woken when there are some again */
void thread_starved_wake(struct polar_thread *t);

/* polar_recv.c */
void sock_drop_received(struct polar_sock *s);
bool sock_may_receive(struct polar_sock *s);
/* Waits as the socket and flags say. 0: bytes are in rx, or it is the peer's end; or -errno. */
int sock_receive_wait(struct polar_sock *s, int flags, bool (*done)(struct polar_sock *s));

/* polar_mem.c. Regions of the process. */
struct polar_region;
struct polar_region *region_find(const void *data, size_t len); /* that holds all of it; counts one user more */
void region_put(struct polar_region *region);
/* The memory is known to the port that opens now, or to all when there is one already. polar_init.c */
int process_map(void *base, size_t len);
void process_unmap(void *base, size_t len);

/* polar_zc.c */
int thread_sends_init(struct polar_thread *t);
void thread_sends_fini(struct polar_thread *t);
void thread_completions(struct polar_thread *t);

/* polar_info.c */
struct tcp_info;
void sock_info(const struct polar_sock *s, struct tcp_info *out);

/* polar_stack.c: what the library needs to know of a connection beyond its stream. */
void stream_names(const struct stream *s, struct net_endpoint *local, struct net_endpoint *peer);
bool stack_has(const struct net_stack *st, const struct net_addr *addr); /* one of our addresses */
/* Frames to this port are ours, where the kernel shares the address; until the end. 0 or -errno. */
int stack_claim(struct net_stack *st, uint16_t port);
const char *congestion_name(enum net_tcp_cc cc);
/* Payload bytes of a full segment. */
uint16_t stream_mss(const struct stream *s);
/* Bytes that were put behind what is queued, into the room of its last buffer; 0: they need one of their own. */
uint32_t stream_tail_append(struct stream *s, const void *data, uint32_t len);
/* A place behind the last queued byte, for stream_acked; and whether that connection, if it is still it, has passed it. */
struct stream_mark {
    const struct stream *stream;
    uint32_t identity, end;
};
struct stream_mark stream_mark_end(const struct stream *s);
bool stream_acked(const struct stream_mark *mark);
int stream_mark_error(const struct stream_mark *mark); /* errno value; 0: none, or not that connection any more */

#endif
