/* A core of the library: its turn, and how a call waits. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <rte_mempool.h>
#include "net/polar/polar_impl.h"
#include "net/region.h"

#define SPIN_TURNS 1000u    /* that found nothing, before a waiting call naps */
#define RESERVE_SHARE 4u    /* this part of the buffers is for receiving alone */
#define LOOK_NS UINT64_C(20000) /* a call that would block takes a turn when the last is so long ago */

__thread struct polar_thread *polar_self;

int thread_create(struct polar_thread **out, const struct polar_thread_config *config)
{
    struct polar_thread *t = calloc(1, sizeof *t);
    if (!t) return -ENOMEM;
    t->index = config->index;
    t->stack = config->stack;
    t->pools = config->pools;
    t->loop = config->loop;
    t->link = config->link;
    t->clock = config->clock;
    t->max_sockets = config->max_sockets;
    t->send_buffer = config->send_buffer;
    t->receive_buffer = config->receive_buffer;
    t->nap_us = config->nap_us;
    t->linger_ms = config->linger_ms;
    t->socks = net_region_map((size_t)t->max_sockets * sizeof *t->socks);
    if (!t->socks) goto free_thread;
    if (thread_sends_init(t) != 0) goto unmap_socks;
    *out = t;
    return 0;
unmap_socks:
    net_region_unmap(t->socks, (size_t)t->max_sockets * sizeof *t->socks);
free_thread:
    free(t);
    return -ENOMEM;
}

void thread_destroy(struct polar_thread **thread)
{
    struct polar_thread *t = *thread;
    *thread = NULL;
    thread_sends_fini(t);
    net_region_unmap(t->socks, (size_t)t->max_sockets * sizeof *t->socks);
    free(t);
}

static uint64_t clock_ns(struct polar_thread *t)
{
    struct tick now;
    t->clock->now(t->clock, &now);
    return now.ns;
}

void thread_turn(struct polar_thread *t)
{
    struct tick now;
    if (t->calling_back) return;
    t->clock->now(t->clock, &now);
    t->now = now.ns;
    unsigned work = t->link.rx(t->link.arg, &now);
    thread_events(t);
    thread_completions(t);
    if (t->starved && !thread_short_of_buffers(t)) thread_starved_wake(t);
    work += t->link.tx(t->link.arg, &now);
    metric_add(&t->metrics.turns, 1);
    t->idle_turns = work ? 0 : t->idle_turns + 1;
}

void thread_push(struct polar_thread *t)
{
    struct tick now;
    if (t->calling_back) return;
    t->clock->now(t->clock, &now);
    t->link.tx(t->link.arg, &now);
}

void thread_idle(struct polar_thread *t, uint64_t deadline)
{
    if (t->nap_us == 0 || t->idle_turns < SPIN_TURNS) return;
    uint64_t until = t->now + t->nap_us * UINT64_C(1000), timer = net_stack_deadline(t->stack);
    if (timer < until) until = timer;
    if (deadline < until) until = deadline;
    if (until <= t->now) return;
    struct timespec nap = {.tv_nsec = (long)(until - t->now)};
    metric_add(&t->metrics.naps, 1);
    nanosleep(&nap, NULL);
}

bool thread_wait(struct polar_thread *t, struct polar_sock *s, bool (*done)(struct polar_sock *s), uint64_t timeout_ns)
{
    if (done(s)) return true;
    if (t->calling_back) return false;
    uint64_t deadline = timeout_ns ? clock_ns(t) + timeout_ns : UINT64_MAX;
    for (;;) {
        thread_turn(t);
        if (done(s)) return true;
        if (t->now >= deadline) return false;
        thread_idle(t, deadline);
    }
}

bool thread_look(struct polar_thread *t, struct polar_sock *s, bool (*done)(struct polar_sock *s))
{
    if (done(s)) return true;
    if (t->calling_back || clock_ns(t) - t->now < LOOK_NS) return false;
    thread_turn(t);
    return done(s);
}

/* The common ring's count: what caches hold beside it is little, and counting it means a walk over all lcores. */
static bool pool_short(const struct rte_mempool *pool)
{
    return rte_mempool_get_ops(pool->ops_index)->get_count(pool) < pool->size / RESERVE_SHARE;
}

bool thread_short_of_buffers(const struct polar_thread *t)
{
    return pool_short(t->pools->frame) || pool_short(t->pools->small) || pool_short(t->pools->ref);
}
