/*
 * Frames change cores: each arrives once, in order, at the core it is for; and what that core sends comes back to the owner
 * of the queue. The frames are the test's own memory, whose marks only the rings may carry from thread to thread.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/eal.h"
#include "base/buf.h"
#include "net/spread.h"

#define FRAMES 20000u
#define BYTES 64u
#define BURST 16u

struct frame {
    struct rte_mbuf m;
    uint8_t bytes[BYTES];
    uint32_t number;
    uint16_t home;
    bool seen, returned;
};

static struct frame *frames;
static struct spread *spread;
static _Atomic unsigned taken[2];
static _Atomic unsigned wakes[2];
static unsigned out_of_order[2];
static struct buf_pools pools;

static void wake(void *arg, unsigned core)
{
    (void)arg;
    wakes[core]++;
}

struct numbers {
    uint64_t out, in, copies, dropped;
};

static struct spread_counts counts_of(struct numbers *n)
{
    return (struct spread_counts){&n->out, &n->in, &n->copies, &n->dropped};
}

static void frame_make(struct frame *f, uint32_t number)
{
    uint16_t port = (uint16_t)(1000 + number % 60000);
    memset(f, 0, sizeof *f);
    f->m.buf_addr = f->bytes;
    f->m.buf_len = BYTES;
    f->m.data_len = BYTES;
    f->m.pkt_len = BYTES;
    f->m.nb_segs = 1;
    f->number = number;
    f->bytes[12] = 8;
    f->bytes[14] = 0x45;
    f->bytes[23] = 6;
    f->bytes[34] = (uint8_t)(port >> 8);
    f->bytes[35] = (uint8_t)port;
    f->bytes[36] = 11211 >> 8;
    f->bytes[37] = 11211 & 0xff;
}

static struct frame *frame_of(struct rte_mbuf *m) { return (struct frame *)m; }

static void take(unsigned core, struct rte_mbuf **burst, uint16_t n, uint32_t *last)
{
    for (uint16_t i = 0; i < n; i++) {
        struct frame *f = frame_of(burst[i]);
        out_of_order[core] += f->number + 1 <= *last || f->seen;
        *last = f->number + 1;
        f->seen = true;
        f->home = (uint16_t)core;
    }
    taken[core] += n;
}

/* Core 1: without a queue. Sends back each frame that it gets. */
static void *core_one(void *arg)
{
    struct numbers *n = arg;
    struct spread_counts counts = counts_of(n);
    struct rte_mbuf *burst[BURST];
    uint32_t last = 0;
    while (taken[0] + taken[1] + n->dropped < FRAMES) {
        uint16_t got = spread_receive(spread, 1, burst, BURST, &counts);
        if (got == 0) {
            sched_yield();
            continue;
        }
        take(1, burst, got, &last);
        spread_transmit(spread, 1, burst, got, &counts);
    }
    return NULL;
}

static void collect_returned(unsigned *returned)
{
    struct rte_mbuf *burst[BURST];
    for (uint16_t n; (n = spread_to_transmit(spread, 0, burst, BURST)) > 0; *returned += n)
        for (uint16_t i = 0; i < n; i++) frame_of(burst[i])->returned = true;
}

static void every_frame_once_and_in_order(void **state)
{
    (void)state;
    struct numbers numbers[2] = {0};
    struct spread_counts counts = counts_of(&numbers[0]);
    uint32_t last = 0;
    unsigned returned = 0;
    pthread_t other;
    frames = calloc(FRAMES, sizeof *frames);
    assert_non_null(frames);
    for (uint32_t i = 0; i < FRAMES; i++) frame_make(&frames[i], i);
    assert_int_equal(pthread_create(&other, NULL, core_one, &numbers[1]), 0);
    for (uint32_t i = 0; i < FRAMES; i += BURST) {
        struct rte_mbuf *burst[BURST];
        for (uint32_t k = 0; k < BURST; k++) burst[k] = &frames[i + k].m;
        while (numbers[0].out - taken[1] > SPREAD_RING / 2) { /* a wire that waits, so that nothing is lost here */
            collect_returned(&returned);
            sched_yield();
        }
        take(0, burst, spread_split(spread, 0, burst, BURST, NULL, &counts), &last);
        collect_returned(&returned);
    }
    pthread_join(other, NULL);
    collect_returned(&returned);
    assert_int_equal(numbers[0].dropped + numbers[1].dropped, 0);
    assert_int_equal(out_of_order[0] + out_of_order[1], 0);
    assert_int_equal(taken[0] + taken[1], FRAMES);
    assert_in_range(taken[1], FRAMES / 3, 2 * FRAMES / 3);
    assert_int_equal(numbers[0].out, taken[1]);
    assert_int_equal(numbers[1].in, taken[1]);
    assert_int_equal(returned, taken[1]);
    assert_true(wakes[0] > 0 && wakes[1] > 0);
    for (uint32_t i = 0; i < FRAMES; i++) {
        assert_true(frames[i].seen);
        assert_int_equal(frames[i].home, steer_home(spread_steer(spread), &frames[i].m, 0));
        assert_int_equal(frames[i].returned, frames[i].home == 1);
    }
    free(frames);
}

static struct rte_mbuf *arp_request(void)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(pools.frame);
    uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, 60);
    memset(p, 0, 60);
    p[12] = 8;
    p[13] = 6;
    p[21] = 1; /* request */
    return m;
}

/* Every core learns what an ARP request tells, one answers it; a full ring loses and counts. */
static void arp_is_for_all_and_answered_by_one(void **state)
{
    (void)state;
    struct numbers numbers[2] = {0};
    struct spread_counts counts[2] = {counts_of(&numbers[0]), counts_of(&numbers[1])};
    uint32_t before = buf_pools_in_use(&pools);
    struct rte_mbuf *m = arp_request(), *copy;
    assert_int_equal(spread_split(spread, 0, &m, 1, pools.frame, &counts[0]), 1);
    assert_int_equal(rte_pktmbuf_mtod(m, uint8_t *)[21], 1);
    assert_int_equal(spread_receive(spread, 1, &copy, 1, &counts[1]), 1);
    assert_int_equal(rte_pktmbuf_mtod(copy, uint8_t *)[21], 2);
    assert_int_equal(copy->pkt_len, 60);
    rte_pktmbuf_free(copy);
    for (unsigned i = 0; i < SPREAD_RING + 10; i++) assert_int_equal(spread_split(spread, 0, &m, 1, pools.frame, &counts[0]), 1);
    assert_int_equal(numbers[0].dropped, 10);
    assert_int_equal(numbers[0].copies, SPREAD_RING + 11);
    while (spread_receive(spread, 1, &copy, 1, &counts[1]) == 1) rte_pktmbuf_free(copy);
    rte_pktmbuf_free(m);
    assert_int_equal(buf_pools_in_use(&pools), before);
}

static void what_is_under_way_is_freed_at_the_end(void **state)
{
    (void)state;
    struct numbers numbers = {0};
    struct spread_counts counts = counts_of(&numbers);
    struct spread *own;
    struct spread_config config = {.cores = 4, .queues = 2, .by_hash = true, .client_first = 32768, .client_last = 60999};
    uint32_t before = buf_pools_in_use(&pools);
    assert_int_equal(spread_create(&own, &config), 0);
    assert_true(spread_owns_queue(own, 1));
    assert_false(spread_owns_queue(own, 2));
    assert_int_equal(spread_queue(own, 3), 1);
    struct rte_mbuf *m = arp_request(), *out;
    assert_int_equal(spread_split(own, 1, &m, 1, pools.frame, &counts), 1);
    spread_transmit(own, 3, &m, 1, &counts);
    assert_int_equal(spread_to_transmit(own, 0, &out, 1), 0);
    spread_destroy(&own);
    assert_int_equal(buf_pools_in_use(&pools), before);
    config.queues = 5;
    assert_int_equal(spread_create(&own, &config), -EINVAL);
}

int main(void)
{
    struct eal_config eal = {.program = "test_spread", .memory_mib = 64};
    struct buf_pools_config config = {.frame_count = 4096, .small_count = 64, .ref_count = 64, .frame_room = 2048};
    struct spread_config two = {
        .cores = 2, .queues = 1, .by_hash = true, .client_first = 32768, .client_last = 60999, .secret = 7, .wake = wake};
    if (eal_start(&eal) != 0 || buf_pools_create(&pools, &config) != 0 || spread_create(&spread, &two) != 0) return 3;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_frame_once_and_in_order),
        cmocka_unit_test(arp_is_for_all_and_answered_by_one),
        cmocka_unit_test(what_is_under_way_is_freed_at_the_end),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    spread_destroy(&spread);
    return failed;
}
