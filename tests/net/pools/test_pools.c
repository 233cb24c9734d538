/*
 * No buffer, in turn at every place that takes one: a short transfer both ways is run again and again, and in run k the
 * k-th step of one host finds one of its pools empty, or with one or two buffers left; then once more, and in run k the
 * k-th allocation of all fails, of a buffer as of a scoreboard, a reassembly queue, a connection. Each run must end as
 * if nothing had been: every byte there, both sides closed, no buffer lost. And no memory, in turn at every place that
 * asks for it when a stack is made.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>
#include "net/stack_impl.h"
#include "net/tcp/tcp.h"
#include "net/tcp/tcp_board.h"
#include "tests/net/sim/wire.h"

#define BYTES 20000u
#define POOLS 3u
#define LEFT_MOST 2u
#define BUFFERS 255u
#define TIME_LIMIT_NS UINT64_C(60000000000)
#define STEPS_MAX 2000u

/* ---- allocations that fail ---- */

#define SITES_MAX 64u
#define SITES_LEAST 8u
#define NEVER UINT32_MAX

static unsigned allocations, fails_at = NEVER;
static bool failed_now;
static const void *sites[SITES_MAX]; /* where one has failed */
static unsigned site_count;

/* Whether the allocation that `site` asks for is the one to fail. */
static bool fault(const void *site)
{
    if (allocations++ != fails_at) return false;
    failed_now = true;
    unsigned i = 0;
    while (i < site_count && sites[i] != site) i++;
    if (i == site_count && i < SITES_MAX) sites[site_count++] = site;
    return true;
}

#define FAULT() fault(__builtin_return_address(0))

void *__real_calloc(size_t n, size_t size);
void *__real_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
struct tcp_board *__real_tcp_board_get(struct net_stack *st, struct tcp_conn *c);
void __real_tcp_board_room(struct net_stack *st, struct tcp_board *b);
struct tcp_ooo *__real_tcp_ooo_get(struct net_stack *st, struct tcp_conn *c);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
struct tcp_board *__wrap_tcp_board_get(struct net_stack *st, struct tcp_conn *c);
void __wrap_tcp_board_room(struct net_stack *st, struct tcp_board *b);
struct tcp_ooo *__wrap_tcp_ooo_get(struct net_stack *st, struct tcp_conn *c);

void *__wrap_calloc(size_t n, size_t size)
{
    return FAULT() ? NULL : __real_calloc(n, size);
}

void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    if (!FAULT()) return __real_mmap(at, bytes, protection, flags, fd, offset);
    errno = ENOMEM;
    return MAP_FAILED;
}

struct tcp_board *__wrap_tcp_board_get(struct net_stack *st, struct tcp_conn *c)
{
    return FAULT() ? NULL : __real_tcp_board_get(st, c);
}

void __wrap_tcp_board_room(struct net_stack *st, struct tcp_board *b)
{
    if (!FAULT()) __real_tcp_board_room(st, b);
}

struct tcp_ooo *__wrap_tcp_ooo_get(struct net_stack *st, struct tcp_conn *c)
{
    if (c->ooo) return c->ooo; /* takes none */
    return FAULT() ? NULL : __real_tcp_ooo_get(st, c);
}

static rte_mempool_dequeue_t buffers_get;

static int buffers_get_or_fail(struct rte_mempool *pool, void **objects, unsigned n)
{
    return FAULT() ? -ENOBUFS : buffers_get(pool, objects, n);
}

/* The pools of this test have no cache: each buffer that is taken comes from there. */
static void buffers_watch(const struct rte_mempool *pool, bool on)
{
    struct rte_mempool_ops *ops = rte_mempool_get_ops(pool->ops_index);
    assert_int_equal(pool->cache_size, 0);
    if (on) buffers_get = ops->dequeue;
    ops->dequeue = on ? buffers_get_or_fail : buffers_get;
}

struct side {
    struct sim_host *host;
    struct stream *stream;
    uint32_t sent, received;
    bool bad, eof, failed, closed;
};

static uint8_t pattern(uint32_t i)
{
    return (uint8_t)(i * 7 + (i >> 8));
}

/* As the application's own buffers may be what is missing: the rest is sent when there are some again. */
static void side_send(struct side *s)
{
    struct stream *t = s->stream;
    struct buf_chain chain;
    buf_chain_init(&chain);
    while (s->sent < BYTES) {
        uint32_t n = RTE_MIN(BYTES - s->sent, s->sent % 3 ? 200u : 1301u);
        struct rte_mbuf *m = rte_pktmbuf_alloc(s->host->pools.frame);
        if (!m) break;
        uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)n);
        for (uint32_t i = 0; i < n; i++) p[i] = pattern(s->sent + i);
        buf_chain_append(&chain, m);
        s->sent += n;
    }
    if (chain.len) t->ops->send(t, &chain);
    if (s->sent == BYTES) t->ops->shutdown(t);
    t->ops->flush(t);
}

static void side_receive(struct side *s)
{
    struct stream *t = s->stream;
    uint32_t n = t->rx.len;
    struct buf_cursor at = buf_chain_begin(&t->rx);
    for (uint32_t i = 0; i < n; i++) {
        uint8_t byte;
        s->bad |= buf_cursor_read(&at, &byte, 1) != 1 || byte != pattern(s->received + i);
    }
    s->received += n;
    buf_chain_consume(&t->rx, n);
    t->ops->consumed(t, n);
}

static void side_turn(void *arg, struct stream_loop *loop)
{
    struct side *s = arg;
    struct stream *t;
    while ((t = stream_loop_pop(loop)) != NULL) {
        uint32_t events = t->events;
        t->events = 0;
        s->failed |= (events & STREAM_ERROR) != 0;
        s->eof |= (events & STREAM_EOF) != 0;
        if (events & STREAM_READABLE) side_receive(s);
    }
    if (!s->stream || s->closed || s->failed) return;
    if (s->sent < BYTES) side_send(s);
    if (s->eof && s->sent == BYTES && s->stream->tx_queued == 0) {
        s->stream->ops->close(s->stream);
        s->closed = true;
    }
}

static void side_accept(void *arg, struct stream *t)
{
    ((struct side *)arg)->stream = t;
}

static struct rte_mempool *pool_of(struct sim_host *h, unsigned pool)
{
    return pool == 0 ? h->pools.frame : pool == 1 ? h->pools.small : h->pools.ref;
}

struct drought {
    unsigned host, pool, left, step;
    bool v6;
    unsigned allocation; /* this one fails, if watched */
    bool watched;
};

static bool step_dry(struct sim_wire *w, const struct drought *d, uint64_t until)
{
    static struct rte_mbuf *taken[BUFFERS];
    struct rte_mempool *pool = pool_of(&w->hosts[d->host], d->pool);
    uint32_t n = 0;
    while (n < BUFFERS && (taken[n] = rte_pktmbuf_alloc(pool)) != NULL) n++;
    uint32_t keep = RTE_MIN(n, d->left);
    rte_pktmbuf_free_bulk(taken, keep);
    bool more = sim_wire_step(w, until);
    rte_pktmbuf_free_bulk(taken + keep, n - keep);
    return more;
}

static struct net_stack_config kept; /* what a host of the wire was made with */

static struct net_addr addr_v6(unsigned host)
{
    return (struct net_addr){.bytes = {0x20, 1, 0x0d, 0xb8, [15] = (uint8_t)(1 + host)}};
}

static void configure(unsigned host, struct net_stack_config *config)
{
    net_stack_config_address(config, addr_v6(host), 64);
    kept = *config;
    config->max_connections = 16;
    config->rto_initial_ns = 10000000; /* a lost SYN costs little virtual time */
}

static void watch_begin(const struct sim_wire *w, const struct drought *d)
{
    if (!d->watched) return;
    allocations = 0;
    fails_at = d->allocation;
    buffers_watch(w->hosts[0].pools.frame, true);
}

static void watch_end(const struct sim_wire *w, const struct drought *d)
{
    if (!d->watched) return;
    fails_at = NEVER;
    buffers_watch(w->hosts[0].pools.frame, false);
}

/* Returns the steps that the run took. */
static unsigned transfer(const struct drought *d)
{
    struct sim_wire w;
    struct sim_faults faults = {.latency_ns = 20000, .jitter_ns = 60000, .loss = 100};
    struct side sides[SIM_HOSTS] = {0};
    sim_wire_create(&w, 7, BUFFERS, &faults, configure);
    for (unsigned i = 0; i < SIM_HOSTS; i++) {
        sides[i].host = &w.hosts[i];
        w.hosts[i].turn = side_turn;
        w.hosts[i].turn_arg = &sides[i];
    }
    assert_int_equal(net_listen(w.hosts[1].stack, 7, side_accept, &sides[1]), 0);
    struct net_endpoint to = {d->v6 ? addr_v6(1) : net_addr_v4(sim_ip(1)), 7};
    assert_int_equal(net_connect(w.hosts[0].stack, to, w.now, &sides[0].stream), 0);
    watch_begin(&w, d);
    uint64_t until = w.now + TIME_LIMIT_NS;
    unsigned steps = 0;
    bool more = true;
    for (; more && steps < 100 * STEPS_MAX; steps++) {
        more = steps == d->step ? step_dry(&w, d, until) : sim_wire_step(&w, until);
        if (steps == d->step || failed_now) sim_wire_turn(&w); /* the applications look again */
        failed_now = false;
    }
    watch_end(&w, d);
    bool good = true;
    for (unsigned i = 0; i < SIM_HOSTS; i++)
        good = good && sides[i].received == BYTES && !sides[i].bad && !sides[i].failed && sides[i].closed;
    uint32_t leaked = sim_wire_destroy(&w);
    if (!good || leaked)
        fail_msg("allocation %u; host %u, pool %u with %u left in step %u: received %u and %u of %u, failed %d %d, %u "
                 "buffers lost",
                 d->watched ? d->allocation : 0, d->host, d->pool, d->left, d->step, sides[0].received,
                 sides[1].received, BYTES, sides[0].failed, sides[1].failed, leaked);
    return steps;
}

static void test_each_step_without_buffers(void **state)
{
    (void)state;
    unsigned steps = RTE_MIN(transfer(&(struct drought){.step = UINT32_MAX}), STEPS_MAX);
    assert_true(steps > 20);
    for (unsigned host = 0; host < SIM_HOSTS; host++)
        for (unsigned pool = 0; pool < POOLS; pool++)
            for (unsigned left = 0; left <= LEFT_MOST; left++)
                for (unsigned step = 0; step < steps; step++)
                    transfer(&(struct drought){.host = host, .pool = pool, .left = left, .step = step});
}

static void test_each_allocation_of_a_transfer_fails(void **state)
{
    (void)state;
    for (unsigned v6 = 0; v6 < 2; v6++) {
        unsigned n = 0;
        site_count = 0;
        do {
            transfer(&(struct drought){.step = UINT32_MAX, .v6 = v6, .watched = true, .allocation = n});
        } while (allocations > n++);
        print_message("IPv%u: %u allocations failed in turn, at %u places\n", v6 ? 6 : 4, n - 1, site_count);
        assert_true(n > 100);
        assert_in_range(site_count, SITES_LEAST, SITES_MAX - 1);
    }
}

/* ---- memory for a new stack ---- */

static void transmit_none(void *arg, struct rte_mbuf **frames, uint16_t n)
{
    (void)arg;
    rte_pktmbuf_free_bulk(frames, n);
}

static void test_each_allocation_of_a_stack_fails(void **state)
{
    (void)state;
    struct sim_wire w; /* for its pools and its loop */
    struct sim_faults faults = {.latency_ns = 1000};
    sim_wire_create(&w, 1, BUFFERS, &faults, configure);
    struct net_stack_config config = kept;
    config.tx = transmit_none;
    struct net_stack *stack = NULL;
    unsigned refused = 0;
    for (fails_at = 0;; fails_at++) {
        allocations = 0;
        int rc = net_stack_create(&stack, &config);
        if (rc == 0 && allocations <= fails_at) break;
        if (rc == 0)
            net_stack_destroy(&stack); /* it can do without that one */
        else
            assert_int_equal(rc, -ENOMEM);
        refused += rc != 0;
    }
    fails_at = NEVER;
    net_stack_destroy(&stack);
    assert_true(refused >= 4);
    assert_int_equal(sim_wire_destroy(&w), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_step_without_buffers),
        cmocka_unit_test(test_each_allocation_of_a_transfer_fails),
        cmocka_unit_test(test_each_allocation_of_a_stack_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
