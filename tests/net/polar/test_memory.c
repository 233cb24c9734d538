/*
 * No memory, in turn at every place of the library that asks for some: a buffer while two sockets connect, talk and
 * close, the heap for sets of readiness. A call says so or does without, and the same call works later.
 */
#include "tests/net/polar/pair.h"

#include <stdlib.h>
#include <sys/epoll.h>

#define BYTES 6000u
#define TRIES 10000u
#define NEVER UINT32_MAX

static unsigned allocations, fails_at = NEVER;
static rte_mempool_dequeue_t buffers_get;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);

static bool fault(void)
{
    return fails_at != NEVER && allocations++ == fails_at;
}

void *__wrap_malloc(size_t size)
{
    return fault() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fault() ? NULL : __real_calloc(n, size);
}

static int buffers_get_or_fail(struct rte_mempool *pool, void **objects, unsigned n)
{
    return fault() ? -ENOBUFS : buffers_get(pool, objects, n);
}

/* Without caches, so that each buffer that is taken comes from there. */
static void buffers_watch(bool on)
{
    for (unsigned i = 0; i < 2; i++) {
        struct buf_pools *p = &pair.hosts[i].pools;
        p->frame->cache_size = p->small->cache_size = p->ref->cache_size = 0;
    }
    struct rte_mempool_ops *ops = rte_mempool_get_ops(pair.hosts[0].pools.frame->ops_index);
    if (on) buffers_get = ops->dequeue;
    ops->dequeue = on ? buffers_get_or_fail : buffers_get;
}

static int listen_at_7(void)
{
    struct sockaddr_in at = address_of(1, 7);
    on(1);
    int listener = polar_socket(AF_INET, SOCK_STREAM, 0);
    assert_ok(polar_bind(listener, (struct sockaddr *)&at, sizeof at));
    assert_ok(polar_listen(listener, 16));
    return listener;
}

static void talk(int from, int to)
{
    static uint8_t data[BYTES], got[BYTES];
    size_t sent = 0, received = 0;
    for (unsigned i = 0; i < BYTES; i++) data[i] = (uint8_t)(i * 7 + (i >> 8));
    for (unsigned i = 0; i < TRIES && received < BYTES; i++) {
        on(0);
        ssize_t n = sent < BYTES ? polar_send(from, data + sent, BYTES - sent, MSG_DONTWAIT) : 0;
        assert_true(n >= 0 || errno == EAGAIN || errno == ENOBUFS);
        if (n > 0) sent += (size_t)n;
        pair_run(MS);
        on(1);
        n = polar_recv(to, got + received, BYTES - received, MSG_DONTWAIT);
        assert_true(n > 0 || (n < 0 && errno == EAGAIN));
        if (n > 0) received += (size_t)n;
    }
    assert_int_equal(received, BYTES);
    assert_memory_equal(data, got, BYTES);
}

static void test_each_buffer(void **state)
{
    (void)state;
    struct sockaddr_in at = address_of(1, 7);
    int listener = listen_at_7();
    buffers_watch(true);
    unsigned n = 0;
    do {
        allocations = 0;
        fails_at = n;
        on(0);
        int from = polar_socket(AF_INET, SOCK_STREAM, 0);
        assert_ok(polar_connect(from, (struct sockaddr *)&at, sizeof at));
        on(1);
        int to = polar_accept(listener, NULL, NULL);
        assert_true(to >= POLAR_FD_BASE);
        talk(from, to);
        assert_ok(polar_close(to));
        on(0);
        assert_ok(polar_close(from));
        pair_run(100 * MS);
    } while (allocations > n++);
    fails_at = NEVER;
    buffers_watch(false);
    print_message("%u buffers failed in turn\n", n - 1);
    assert_true(n > 10);
}

/* Sets, and a second watch of the same socket, which is what takes memory. False: one of the calls had none. */
static bool sets_open(int fd, int set[2])
{
    for (unsigned i = 0; i < 2; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        if ((set[i] = polar_poll_create()) < 0 || polar_poll_ctl(set[i], EPOLL_CTL_ADD, fd, &event) != 0) {
            assert_int_equal(errno, ENOMEM);
            return false;
        }
    }
    return true;
}

static void test_each_set_and_watch(void **state)
{
    (void)state;
    int listener = listen_at_7();
    unsigned n = 0, refused = 0;
    bool whole;
    do {
        int set[2] = {-1, -1};
        allocations = 0;
        fails_at = n++;
        whole = sets_open(listener, set);
        refused += !whole;
        fails_at = NEVER;
        for (unsigned i = 0; i < 2; i++)
            if (set[i] >= 0) assert_ok(polar_close(set[i]));
    } while (!whole);
    assert_int_equal(refused, 3);
    assert_ok(polar_close(listener));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_buffer, pair_set_up, pair_tear_down),
        cmocka_unit_test_setup_teardown(test_each_set_and_watch, pair_set_up, pair_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
