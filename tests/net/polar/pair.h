/*
 * Two cores of the library in one thread, back to back over a wire in memory and in virtual time: 10.0.0.1 and 10.0.0.2.
 * on(host) makes one of them the caller. Each turn of the caller's is a turn of the other too, and so many nanoseconds
 * later.
 */
#ifndef POLAR_TESTS_NET_POLAR_PAIR_H
#define POLAR_TESTS_NET_POLAR_PAIR_H

#include "tests/net/sim/cmocka_all.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>
#include "net/polar/polar_impl.h"

#define PAIR_TURN_NS UINT64_C(20000)
#define PAIR_QUEUE 8192u
#define PAIR_BUFFERS 1023u
#define MS UINT64_C(1000000)

struct pair_host {
    unsigned index;
    struct net_stack *stack;
    struct stream_loop loop;
    struct buf_pools pools;
    struct clock clock;
    struct polar_thread *thread;
    struct rte_mbuf *queue[PAIR_QUEUE];
    unsigned head, tail;
    bool deaf;             /* frames to it are lost */
};

struct pair {
    struct pair_host hosts[2];
    uint64_t now;
    bool nested;
};

extern struct pair pair;

/* cmocka set-up and tear-down; the latter fails when a buffer has leaked. */
int pair_set_up(void **state);
int pair_tear_down(void **state);
void on(unsigned host);
struct sockaddr_in address_of(unsigned host, uint16_t port);
struct sockaddr_in address_at(const char *text, uint16_t port);
/* Both hosts run for so long. */
void pair_run(uint64_t ns);
/* A connection: fds[0] of host 0 opened it, fds[1] of host 1 accepted it at port 7, where *listener listens. */
void pair_connect(int fds[2], int *listener);
/* As the fields of a call that must fail. */
#define assert_fails(call, error)            \
    do {                                     \
        errno = 0;                           \
        assert_int_equal((call), -1);        \
        assert_int_equal(errno, (error));    \
    } while (0)
#define assert_ok(call) assert_int_equal((call), 0)

#endif
