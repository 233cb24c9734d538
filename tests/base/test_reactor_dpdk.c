/* A reactor's thread as DPDK sees it: apart from test_reactor, which does without DPDK for the thread sanitizer. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <rte_lcore.h>
#include <cmocka.h>
#include "base/reactor.h"
#include "tests/support/eal.h"

struct look {
    struct reactor *reactor;
    struct buf_pools *pools;
    unsigned lcore;
    int cpus;
    char name[16];
    unsigned cached; /* buffers in this thread's cache after one was given back */
};

static unsigned look_run(void *arg, const struct tick *now)
{
    struct look *l = arg;
    cpu_set_t cpus;
    (void)now;
    l->lcore = rte_lcore_id();
    sched_getaffinity(0, sizeof cpus, &cpus);
    l->cpus = CPU_COUNT(&cpus);
    pthread_getname_np(pthread_self(), l->name, sizeof l->name);
    rte_pktmbuf_free(rte_pktmbuf_alloc(l->pools->frame));
    struct rte_mempool_cache *cache = rte_mempool_default_cache(l->pools->frame, l->lcore);
    l->cached = cache ? cache->len : 0;
    reactor_stop(l->reactor);
    return 1;
}

static void *run(void *arg)
{
    reactor_run(arg);
    return (void *)(uintptr_t)(rte_lcore_id() == LCORE_ID_ANY); /* the number was given back */
}

static int first_cpu(void)
{
    cpu_set_t cpus;
    int cpu = 0;
    sched_getaffinity(0, sizeof cpus, &cpus);
    while (!CPU_ISSET(cpu, &cpus)) cpu++;
    return cpu;
}

static void its_thread_is_pinned_named_and_has_buffer_caches(void **state)
{
    struct clock_tsc clock;
    clock_tsc_init(&clock);
    for (unsigned round = 0; round < 3; round++) {
        struct reactor_config config = {.core = 7, .cpu = first_cpu(), .poll = REACTOR_ADAPTIVE, .clock = &clock.clock};
        struct look look = {.pools = *state};
        assert_int_equal(reactor_create(&look.reactor, &config), 0);
        assert_int_equal(reactor_core(look.reactor), 7);
        struct poller poller = {.name = "look", .run = look_run, .arg = &look};
        reactor_add_poller(look.reactor, &poller);
        pthread_t thread;
        void *given_back;
        assert_int_equal(pthread_create(&thread, NULL, run, look.reactor), 0);
        assert_int_equal(pthread_join(thread, &given_back), 0);
        assert_true((uintptr_t)given_back);
        assert_true(look.lcore != LCORE_ID_ANY && look.lcore != rte_get_main_lcore());
        assert_int_equal(look.cpus, 1);
        assert_string_equal(look.name, "core-7");
        assert_true(look.cached > 0);
        reactor_destroy(&look.reactor);
    }
}

int main(void)
{
    struct buf_pools pools;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(its_thread_is_pinned_named_and_has_buffer_caches, &pools),
    };
    test_eal_start();
    test_pools_create(&pools, 1024, 2048);
    int failed = cmocka_run_group_tests_name("reactor with DPDK", tests, NULL, NULL);
    buf_pools_destroy(&pools);
    return failed;
}
