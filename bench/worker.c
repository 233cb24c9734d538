#include "bench/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define LOAD_DEPTH 16u
#define LOAD_IN_FLIGHT 512u /* of all connections: a preload must not overrun a device's ring */

static uint32_t round_up_power(uint32_t n)
{
    uint32_t power = 1;
    while (power < n) power *= 2;
    return power;
}

static uint32_t load_depth(const struct worker_config *config)
{
    uint32_t depth = RTE_MAX(config->plan->pipeline, LOAD_DEPTH), fair = LOAD_IN_FLIGHT / config->connections;
    return RTE_MAX(1u, RTE_MIN(depth, fair));
}

static void conns_init(struct worker *w)
{
    const struct bench_plan *plan = w->config.plan;
    for (uint32_t i = 0; i < w->config.connections; i++) {
        struct conn *c = &w->conns[i];
        c->worker = w;
        c->left = UINT64_MAX; /* a preload does not reconnect */
        c->ops = w->ops + (size_t)i * (w->ops_mask + 1);
        reply_reader_init(&c->reader, &w->source, plan->verify, plan->value_min, plan->value_max);
        if (w->looks) conn_looks_init(c, w->looks + (size_t)i * plan->pipeline);
    }
}

static void workload_start(struct worker *w)
{
    const struct bench_plan *plan = w->config.plan;
    uint64_t seed = plan->options.seed * BENCH_THREADS_MAX + w->config.thread;
    struct workload_config config = {.keys = plan->keys,
                                     .zipf = w->config.zipf,
                                     .sets = plan->sets,
                                     .gets = plan->gets,
                                     .value_min = plan->value_min,
                                     .value_max = plan->value_max,
                                     .seed = seed};
    workload_init(&w->workload, &config);
    w->arrivals.state = rng_mix(~seed);
    if (plan->options.rate > 0) w->mean_gap_tsc = (double)w->config.tsc_hz * plan->threads / plan->options.rate;
}

int worker_init(struct worker *w, const struct worker_config *config, const struct reactor *reactor)
{
    *w = (struct worker){.config = *config, .reactor = reactor, .loop = &loop_closed};
    w->depth = load_depth(config);
    w->ops_mask = round_up_power(RTE_MAX(w->depth, config->plan->pipeline)) - 1;
    w->load_next = config->thread;
    w->ns_per_tsc_32 = (uint64_t)(1e9 / (double)config->tsc_hz * 4294967296.0);
    histogram_init(&w->get_ns);
    histogram_init(&w->set_ns);
    w->conns = calloc(config->connections, sizeof *w->conns);
    w->ops = calloc((size_t)config->connections * (w->ops_mask + 1), sizeof *w->ops);
    bool looks = config->transport->onesided != NULL;
    if (looks) w->looks = calloc((size_t)config->connections * config->plan->pipeline, sizeof *w->looks);
    if (!w->conns || !w->ops || (looks && !w->looks) || idle_conns_init(&w->idle, config->idle) != 0) goto free_conns;
    if (request_source_init(&w->source, config->plan->protocol, config->pools, config->plan->key_len,
                            config->plan->value_max) != 0)
        goto free_conns;
    if (config->plan->options.server_stats && config->thread == 0 && server_stats_create(&w->stats, config->pools) != 0)
        goto free_source;
    conns_init(w);
    workload_start(w);
    return 0;
free_source:
    request_source_fini(&w->source);
free_conns:
    idle_conns_fini(&w->idle);
    free(w->looks);
    free(w->ops);
    free(w->conns);
    return -ENOMEM;
}

void worker_fini(struct worker *w)
{
    server_stats_destroy(&w->stats);
    request_source_fini(&w->source);
    idle_conns_fini(&w->idle);
    free(w->looks);
    free(w->ops);
    free(w->conns);
}

void worker_wait_push(struct worker *w, struct conn *c)
{
    if (c->waiting) return;
    c->waiting = true;
    c->next_waiting = NULL;
    if (w->waiting_tail)
        w->waiting_tail->next_waiting = c;
    else
        w->waiting_head = c;
    w->waiting_tail = c;
}

struct conn *worker_wait_pop(struct worker *w)
{
    struct conn *c = w->waiting_head;
    if (!c) return NULL;
    w->waiting_head = c->next_waiting;
    if (!w->waiting_head) w->waiting_tail = NULL;
    c->waiting = false;
    return c;
}

bool worker_plan(struct worker *w, struct planned_op *op)
{
    if (worker_is_asking(w)) {
        *op = *workload_next(&w->workload);
        return true;
    }
    if (w->phase != WORKER_LOADING || w->load_next >= w->config.plan->keys) return false;
    *op = workload_load_op(&w->workload, w->load_next);
    return true;
}

void worker_note_error(struct worker *w, const char *text)
{
    if (!*w->error_text) snprintf(w->error_text, sizeof w->error_text, "%s", text);
}

void worker_note_lag(struct worker *w, uint64_t lag_tsc)
{
    w->lag_tsc += lag_tsc;
    w->lag_count++;
    if (lag_tsc > w->lag_worst_tsc) w->lag_worst_tsc = lag_tsc;
}

#define GATE_LOOK_NS 1000000u /* other threads do not wake this one */

uint64_t worker_deadline_ns(const struct worker *w)
{
    uint64_t gate_ns = w->now.ns + GATE_LOOK_NS, due_tsc = w->phase_end_tsc;
    if (w->phase == WORKER_CONNECTING || w->phase == WORKER_LOADING || w->phase == WORKER_CLOSING) return gate_ns;
    if (w->loop == &loop_open && w->waiting_head && w->due_tsc < due_tsc) due_tsc = w->due_tsc;
    if (due_tsc <= w->now.tsc) return w->now.ns;
    return w->now.ns + (uint64_t)((double)(due_tsc - w->now.tsc) * 1e9 / (double)w->config.tsc_hz);
}

unsigned worker_turn(struct worker *w, const struct tick *now)
{
    unsigned work = 0;
    struct stream *s;
    w->now = *now;
    if (w->looks_starved) conn_looks_again(w);
    while ((s = stream_loop_pop(&w->config.transport->loop)) != NULL) {
        if (s->user == w->stats)
            server_stats_on_events(w->stats, s);
        else if (s->user == &w->idle)
            idle_conns_on_events(&w->idle, s);
        else
            conn_on_events(s->user, s, w->config.read_tsc());
        work++;
    }
    work += w->loop->turn(w, now->tsc);
    worker_phase_turn(w, now->tsc, now->ns);
    return work;
}
