#include "server/crew.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <time.h>
#include "base/log.h"
#include "server/core.h"

#define LOOK_NS 50000000u    /* between two looks at the progress */
#define QUIET_NS 1000000000u /* what is over sooner is not talked about */

struct member {
    struct core *core;
    crew_fn *fn;
    void *arg;
    sem_t *done;
    int rc;
    bool started;
    pthread_t thread;
};

static void pin(const struct core *core)
{
    int cpu = core->config->core_cpus[core->index];
    cpu_set_t cpus;
    if (cpu < 0 || cpu >= CPU_SETSIZE) return;
    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    pthread_setaffinity_np(pthread_self(), sizeof cpus,
                           &cpus); /* memory then comes from its node; without: from ours */
}

static void *member_main(void *arg)
{
    struct member *m = arg;
    pin(m->core);
    m->rc = m->fn(m->core, m->arg);
    sem_post(m->done);
    return NULL;
}

static uint64_t monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void progress_say(const struct crew_progress *p, uint64_t start_ns, unsigned *tenths)
{
    uint64_t done = __atomic_load_n(&p->done, __ATOMIC_RELAXED);
    if (p->total == 0 || monotonic_ns() - start_ns < QUIET_NS) return;
    unsigned now = (unsigned)((double)done / (double)p->total * 10);
    if (now <= *tenths || now >= 10) return;
    *tenths = now;
    log_info("%u0%% of %llu MiB %s", now, (unsigned long long)p->total >> 20, p->what);
}

static void wait_all(sem_t *done, unsigned count, const struct crew_progress *p)
{
    uint64_t start_ns = monotonic_ns();
    unsigned tenths = 0;
    while (count > 0) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += LOOK_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (sem_timedwait(done, &until) == 0) count--;
        if (p) progress_say(p, start_ns, &tenths);
    }
}

int crew_run(struct server *server, crew_fn *fn, void *arg, struct crew_progress *progress)
{
    struct member members[CONFIG_CORES_MAX];
    unsigned count = server->config->core_count, started = 0;
    sem_t done;
    int rc = 0;
    sem_init(&done, 0, 0);
    for (unsigned i = 0; i < count; i++) {
        struct member *m = &members[i];
        *m = (struct member){.core = &server->cores[i], .fn = fn, .arg = arg, .done = &done};
        int failed = pthread_create(&m->thread, NULL, member_main, m);
        m->started = failed == 0;
        if (failed) m->rc = -failed; /* else it is the thread's, which may have ended */
        started += m->started;
    }
    wait_all(&done, started, progress);
    for (unsigned i = 0; i < count; i++) {
        if (members[i].started) pthread_join(members[i].thread, NULL);
        if (rc == 0) rc = members[i].rc;
    }
    sem_destroy(&done);
    return rc;
}
