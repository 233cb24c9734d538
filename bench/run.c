#include "bench/run.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <rte_cycles.h>
#include "base/clock.h"
#include "base/log.h"
#include "bench/report.h"
#include "bench/worker.h"

#define IDLE_SPIN_US 50u
#define NAP_US 20u
#define FD_INTERVAL_US 100u
#define LOOK_NS 20000000 /* between two looks at the threads */
#define AFTER_HARD_STOP_S 15u

struct run;

struct run_thread {
    struct run *run;
    pthread_t thread;
    struct clock_tsc clock;
    struct reactor *reactor;
    struct transport transport;
    struct poller poller;
    bool have_transport, have_worker;
};

struct run {
    const struct bench_plan *plan;
    struct transport_set set;
    struct zipf *zipf;
    struct worker_gate gate;
    struct run_thread *threads;
    struct worker *workers;
    _Atomic uint32_t running;
};

static uint64_t read_tsc(void)
{
    return rte_rdtsc();
}

static unsigned worker_poll(void *arg, const struct tick *now)
{
    return worker_turn(arg, now);
}

static uint64_t worker_poll_deadline(void *arg)
{
    return worker_deadline_ns(arg);
}

static void worker_done(void *arg)
{
    reactor_stop(arg);
}

static void *thread_main(void *arg)
{
    struct run_thread *t = arg;
    reactor_run(t->reactor);
    atomic_fetch_sub(&t->run->running, 1);
    return NULL;
}

static int thread_reactor(struct run *run, uint32_t i)
{
    struct run_thread *t = &run->threads[i];
    clock_tsc_init(&t->clock);
    struct reactor_config config = {.core = i,
                                    .cpu = run->plan->cpus[i],
                                    .poll = run->plan->poll,
                                    .idle_spin_us = IDLE_SPIN_US,
                                    .nap_us = NAP_US,
                                    .fd_interval_us = FD_INTERVAL_US,
                                    .clock = &t->clock.clock};
    return reactor_create(&t->reactor, &config);
}

static int thread_worker(struct run *run, uint32_t i)
{
    struct run_thread *t = &run->threads[i];
    const struct bench_plan *plan = run->plan;
    uint32_t share = plan->connections / plan->threads + (i < plan->connections % plan->threads);
    uint32_t idle = (uint32_t)plan->options.idle_connections;
    struct worker_config config = {.plan = plan,
                                   .thread = i,
                                   .connections = share,
                                   .idle = idle / plan->threads + (i < idle % plan->threads),
                                   .zipf = run->zipf,
                                   .gate = &run->gate,
                                   .pools = &run->set.pools[i],
                                   .transport = &t->transport,
                                   .tsc_hz = clock_tsc_hz(),
                                   .read_tsc = read_tsc,
                                   .done = worker_done,
                                   .done_arg = t->reactor};
    return worker_init(&run->workers[i], &config, t->reactor);
}

static void thread_pollers(struct run *run, uint32_t i)
{
    struct run_thread *t = &run->threads[i];
    t->poller = (struct poller){
        .name = "kvbench", .run = worker_poll, .deadline = worker_poll_deadline, .arg = &run->workers[i]};
    if (t->transport.input.run) reactor_add_poller(t->reactor, &t->transport.input);
    reactor_add_poller(t->reactor, &t->poller);
    reactor_add_poller(t->reactor, &t->transport.output);
}

static int thread_create(struct run *run, uint32_t i)
{
    struct run_thread *t = &run->threads[i];
    int rc = thread_reactor(run, i);
    if (rc == 0) rc = transport_create(&t->transport, &run->set, i, t->reactor);
    if (rc != 0) return rc;
    t->have_transport = true;
    rc = thread_worker(run, i);
    if (rc != 0) return rc;
    t->have_worker = true;
    const struct request_source *source = &run->workers[i].source;
    if (t->transport.add_memory) rc = t->transport.add_memory(&t->transport, source->pattern, source->pattern_len);
    if (rc == 0) thread_pollers(run, i);
    return rc;
}

static void threads_destroy(struct run *run)
{
    for (uint32_t i = 0; run->threads && i < run->plan->threads; i++) {
        struct run_thread *t = &run->threads[i];
        if (t->have_transport) t->transport.destroy(&t->transport);
        if (t->have_worker) worker_fini(&run->workers[i]);
        reactor_destroy(&t->reactor);
    }
    free(run->workers);
    free(run->threads);
}

/* Each poller's thread ends when its worker is done: after the hard stop at the latest. A signal makes them end now. */
static void threads_wait(struct run *run)
{
    sigset_t signals;
    struct timespec pause = {.tv_nsec = LOOK_NS};
    uint64_t end = rte_rdtsc() + (run->plan->hard_stop_ns / 1000000000u + AFTER_HARD_STOP_S) * clock_tsc_hz();
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    while (atomic_load(&run->running) > 0) {
        if (sigtimedwait(&signals, NULL, &pause) > 0) atomic_store(&run->gate.failed, true);
        if (rte_rdtsc() > end) {
            log_error("a thread does not end: giving up");
            abort();
        }
    }
}

static int threads_run(struct run *run)
{
    uint32_t started = 0;
    int rc = 0;
    while (started < run->plan->threads) {
        struct run_thread *t = &run->threads[started];
        t->run = run;
        atomic_fetch_add(&run->running, 1);
        rc = -pthread_create(&t->thread, NULL, thread_main, t);
        if (rc != 0) break;
        started++;
    }
    if (rc != 0) {
        log_error("threads: %s", strerror(-rc));
        atomic_fetch_sub(&run->running, 1);
        atomic_store(&run->gate.failed, true);
    }
    threads_wait(run);
    for (uint32_t i = 0; i < started; i++) pthread_join(run->threads[i].thread, NULL);
    return rc;
}

static int report(const struct run *run)
{
    struct report *r = calloc(1, sizeof *r);
    if (!r) return -ENOMEM;
    const char *path = run->plan->options.json;
    report_make(r, run->plan, run->workers, run->plan->threads);
    bool to_stdout = strcmp(path, "-") == 0, good = report_is_good(r);
    if (!to_stdout) report_print(r, stdout);
    FILE *out = to_stdout ? stdout : *path ? fopen(path, "w") : NULL;
    int rc = *path && !out ? -errno : good ? 0 : -EBADMSG;
    if (*path && !out) log_error("%s: %s", path, strerror(errno));
    if (out) report_print_json(r, out);
    if (out && out != stdout && fclose(out) != 0) rc = -errno;
    free(r);
    return rc;
}

static int run_create(struct run *run, const struct bench_plan *plan)
{
    *run = (struct run){.plan = plan, .gate.threads = plan->threads};
    run->threads = calloc(plan->threads, sizeof *run->threads);
    run->workers = calloc(plan->threads, sizeof *run->workers);
    if (!run->threads || !run->workers) return -ENOMEM;
    if (strcmp(plan->options.distribution, "zipf") == 0) {
        run->zipf = zipf_create(plan->keys, plan->options.zipf_theta);
        if (!run->zipf) return -ENOMEM;
    }
    int rc = transport_set_open(&run->set, plan);
    for (uint32_t i = 0; rc == 0 && i < plan->threads; i++) rc = thread_create(run, i);
    return rc;
}

int run_load(const struct bench_plan *plan)
{
    struct run run;
    int rc = run_create(&run, plan);
    if (rc == 0) rc = threads_run(&run);
    if (rc == 0) rc = report(&run);
    threads_destroy(&run);
    transport_set_close(&run.set);
    zipf_destroy(&run.zipf);
    return rc;
}
