/* Registered memory, sending from it with a call-back at the last acknowledgement, and receiving in the buffers. */
#include "tests/net/polar/pair.h"

#include <sys/mman.h>

#define PAGE 4096u
#define BYTES (64u * PAGE)

struct done {
    unsigned calls;
    const void *data;
    size_t len;
    int error;
};

static uint8_t *memory;

static int set_up(void **state)
{
    memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    for (size_t i = 0; i < BYTES; i++) memory[i] = (uint8_t)(i * 13 + (i >> 8));
    return pair_set_up(state);
}

static int tear_down(void **state)
{
    int rc = pair_tear_down(state);
    polar_mem_unregister(memory);
    munmap(memory, BYTES);
    return rc;
}

static void on_done(void *arg, const void *data, size_t len, int error)
{
    struct done *d = arg;
    *d = (struct done){.calls = d->calls + 1, .data = data, .len = len, .error = error};
}

static void test_register(void **state)
{
    (void)state;
    assert_fails(polar_mem_register(memory + 1, PAGE), EINVAL);
    assert_fails(polar_mem_register(memory, PAGE - 1), EINVAL);
    assert_fails(polar_mem_register(NULL, PAGE), EINVAL);
    assert_fails(polar_mem_register(memory, 0), EINVAL);
    assert_ok(polar_mem_register(memory, 2 * PAGE));
    assert_fails(polar_mem_register(memory + PAGE, 2 * PAGE), EEXIST);
    assert_ok(polar_mem_register(memory + 2 * PAGE, PAGE));
    assert_fails(polar_mem_unregister(memory + PAGE), EINVAL);
    assert_ok(polar_mem_unregister(memory + 2 * PAGE));
    assert_fails(polar_mem_unregister(memory + 2 * PAGE), EINVAL);
}

static void test_send(void **state)
{
    (void)state;
    int fds[2], listener;
    struct done d = {0};
    static uint8_t got[50000];
    pair_connect(fds, &listener);
    assert_fails(polar_send_zc(fds[0], memory, 10, 0, on_done, &d), EFAULT);
    assert_ok(polar_mem_register(memory, BYTES));
    assert_fails(polar_send_zc(fds[0], memory + BYTES - 5, 10, 0, on_done, &d), EFAULT);
    assert_fails(polar_send_zc(fds[0], memory, 0, 0, on_done, &d), EINVAL);
    assert_fails(polar_send_zc(fds[0], memory, 1, 0, NULL, NULL), EINVAL);
    assert_fails(polar_send_zc(fds[0], memory, 1, MSG_OOB, on_done, &d), EOPNOTSUPP);
    uint64_t copied = polar_self->metrics.tx_copied_bytes;
    assert_int_equal(polar_send_zc(fds[0], memory + 77, sizeof got, 0, on_done, &d), sizeof got);
    assert_int_equal(d.calls, 0); /* nothing is acknowledged yet */
    assert_fails(polar_mem_unregister(memory), EBUSY);
    on(1);
    assert_int_equal(polar_recv(fds[1], got, sizeof got, MSG_WAITALL), sizeof got);
    assert_memory_equal(got, memory + 77, sizeof got);
    on(0);
    pair_run(5 * MS);
    assert_int_equal(d.calls, 1);
    assert_int_equal(d.error, 0);
    assert_ptr_equal(d.data, memory + 77);
    assert_int_equal(d.len, sizeof got);
    assert_int_equal(polar_self->metrics.tx_copied_bytes, copied);
    assert_ok(polar_mem_unregister(memory));
}

/* While a frame is lost the memory is still needed: the call-back waits for the retransmission's acknowledgement. */
static void test_not_before_the_acknowledgement(void **state)
{
    (void)state;
    int fds[2], listener;
    struct done d = {0};
    uint8_t got[1000];
    pair_connect(fds, &listener);
    assert_ok(polar_mem_register(memory, BYTES));
    pair.hosts[1].deaf = true;
    assert_int_equal(polar_send_zc(fds[0], memory, sizeof got, 0, on_done, &d), sizeof got);
    pair_run(50 * MS);
    assert_int_equal(d.calls, 0);
    pair.hosts[1].deaf = false;
    on(1);
    assert_int_equal(polar_recv(fds[1], got, sizeof got, MSG_WAITALL), sizeof got);
    assert_memory_equal(got, memory, sizeof got);
    on(0);
    pair_run(5 * MS);
    assert_int_equal(d.calls, 1);
    assert_int_equal(d.error, 0);
}

static void test_failures_give_the_memory_back(void **state)
{
    (void)state;
    int fds[2], listener, more[2], second;
    struct done reset = {0}, closed = {0};
    struct linger now = {.l_onoff = 1};
    pair_connect(fds, &listener);
    assert_ok(polar_mem_register(memory, BYTES));
    on(1);
    assert_ok(polar_close(listener));
    pair_connect(more, &second);
    pair.hosts[1].deaf = true;
    assert_int_equal(polar_send_zc(more[0], memory, 3000, 0, on_done, &closed), 3000);
    assert_int_equal(polar_send_zc(fds[0], memory, 3000, 0, on_done, &reset), 3000);
    assert_ok(polar_setsockopt(more[0], SOL_SOCKET, SO_LINGER, &now, sizeof now));
    assert_ok(polar_close(more[0])); /* reset by us */
    on(1);
    assert_ok(polar_setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &now, sizeof now));
    assert_ok(polar_close(fds[1])); /* reset by the peer */
    on(0);
    pair_run(MS);
    assert_int_equal(closed.calls, 1);
    assert_int_equal(closed.error, ECONNABORTED);
    assert_int_equal(reset.calls, 1);
    assert_int_equal(reset.error, ECONNRESET);
    assert_ok(polar_mem_unregister(memory));
}

static void test_backpressure_and_order(void **state)
{
    (void)state;
    static uint8_t got[BYTES];
    int fds[2], listener, room = 20000;
    struct done d[64] = {0};
    size_t sent = 0, received = 0;
    unsigned sends = 0;
    pair_connect(fds, &listener);
    assert_ok(polar_mem_register(memory, BYTES));
    assert_ok(polar_setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room));
    while (received < BYTES) {
        assert_true(sends < 64);
        on(0);
        ssize_t n = sent < BYTES ? polar_send_zc(fds[0], memory + sent, BYTES - sent, MSG_DONTWAIT, on_done, &d[sends]) : 0;
        if (n < 0) assert_int_equal(errno, EAGAIN);
        assert_true(n <= room);
        if (n > 0) sent += (size_t)n, sends++;
        pair_run(MS);
        on(1);
        n = polar_recv(fds[1], got + received, BYTES - received, MSG_DONTWAIT);
        if (n > 0) received += (size_t)n;
    }
    assert_memory_equal(got, memory, BYTES);
    on(0);
    pair_run(5 * MS);
    for (unsigned i = 0; i < sends; i++) assert_int_equal(d[i].calls, 1);
}

static int reply_fd;

static void reply(void *arg, const void *data, size_t len, int error)
{
    struct done *d = arg;
    char byte;
    on_done(arg, data, len, error);
    assert_int_equal(polar_send(reply_fd, "done", 4, 0), 4);
    assert_fails(polar_recv(reply_fd, &byte, 1, 0), EAGAIN); /* it must not wait in here */
    assert_int_equal(d->calls, 1);
}

static void test_call_back_may_send(void **state)
{
    (void)state;
    int fds[2], listener;
    struct done d = {0};
    char text[104];
    pair_connect(fds, &listener);
    reply_fd = fds[0];
    assert_ok(polar_mem_register(memory, BYTES));
    assert_int_equal(polar_send_zc(fds[0], memory, 100, 0, reply, &d), 100);
    on(1);
    assert_int_equal(polar_recv(fds[1], text, sizeof text, 0), 100);
    pair_run(5 * MS); /* the other runs too, and its call-back as itself */
    assert_int_equal(polar_recv(fds[1], text, sizeof text, 0), 4);
    assert_int_equal(d.calls, 1);
}

static void test_receive(void **state)
{
    (void)state;
    int fds[2], listener;
    struct polar_zc zc, rest;
    uint8_t *from = memory;
    pair_connect(fds, &listener);
    on(1);
    assert_fails(polar_recv_zc(fds[1], &zc, MSG_DONTWAIT), EAGAIN);
    assert_fails(polar_recv_zc(fds[1], &zc, MSG_PEEK), EOPNOTSUPP);
    assert_fails(polar_recv_zc(fds[1], NULL, 0), EFAULT);
    on(0);
    assert_int_equal(polar_send(fds[0], memory, 40000, 0), 40000);
    pair_run(5 * MS);
    on(1);
    uint32_t window = sock_at(fds[1])->stream->rx.len;
    assert_int_equal(window, 40000);
    ssize_t n = polar_recv_zc(fds[1], &zc, 0);
    assert_int_equal(zc.count, POLAR_ZC_PIECES);
    ssize_t all = 0;
    for (int i = 0; i < zc.count; i++) {
        assert_memory_equal(zc.pieces[i].iov_base, from, zc.pieces[i].iov_len);
        from += zc.pieces[i].iov_len;
        all += (ssize_t)zc.pieces[i].iov_len;
    }
    assert_int_equal(all, n);
    assert_true(polar_recv_zc(fds[1], &rest, 0) > 0);
    assert_memory_equal(rest.pieces[0].iov_base, from, rest.pieces[0].iov_len);
    assert_memory_equal(zc.pieces[0].iov_base, memory, zc.pieces[0].iov_len); /* still ours */
    assert_ok(polar_recv_zc_release(&zc));
    assert_ok(polar_recv_zc_release(&zc)); /* of nothing */
    on(0);
    assert_ok(polar_close(fds[0]));
    on(1);
    struct polar_zc last;
    while ((n = polar_recv_zc(fds[1], &last, 0)) > 0) assert_ok(polar_recv_zc_release(&last));
    assert_int_equal(n, 0); /* the end */
    assert_ok(polar_close(fds[1]));
    assert_ok(polar_recv_zc_release(&rest)); /* after the close */
    assert_fails(polar_recv_zc(fds[1], &zc, 0), EBADF);
}

/* What is held counts against the window: a peer cannot fill our memory through an application that gives nothing back. */
static void test_held_buffers_close_the_window(void **state)
{
    (void)state;
    static struct polar_zc held[200];
    static uint8_t data[400000];
    int fds[2], listener;
    unsigned n = 0;
    size_t sent = 0, got = 0;
    pair_connect(fds, &listener);
    for (unsigned round = 0; round < 150; round++) {
        on(0);
        ssize_t k = polar_send(fds[0], data, 20000, MSG_DONTWAIT);
        if (k > 0) sent += (size_t)k;
        pair_run(MS);
        on(1);
        k = polar_recv_zc(fds[1], &held[n], MSG_DONTWAIT);
        if (k > 0) got += (size_t)k, n++;
    }
    assert_in_range(got, 100u << 10, 128u << 10); /* the window, and no more */
    assert_true(sent > got);
    for (unsigned i = 0; i < n; i++) assert_ok(polar_recv_zc_release(&held[i]));
    assert_int_equal(polar_recv(fds[1], data, sent - got, MSG_WAITALL), sent - got); /* it opened again */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_register),
        TEST(test_send),
        TEST(test_not_before_the_acknowledgement),
        TEST(test_failures_give_the_memory_back),
        TEST(test_backpressure_and_order),
        TEST(test_call_back_may_send),
        TEST(test_receive),
        TEST(test_held_buffers_close_the_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
