#include "server/inquiry.h"

#include <errno.h>
#include <semaphore.h>
#include <stddef.h>
#include "server/core.h"

struct inquiry {
    inquiry_fn *fn;
    void *arg;
    sem_t done;
};

void inquiry_ask(struct core *core, inquiry_fn *fn, void *arg)
{
    struct inquiry q = {.fn = fn, .arg = arg};
    sem_init(&q.done, 0, 0);
    __atomic_store_n(&core->inquiry, &q, __ATOMIC_RELEASE);
    reactor_wake(core->reactor);
    while (sem_wait(&q.done) != 0 && errno == EINTR) continue;
    sem_destroy(&q.done);
}

unsigned inquiry_answer(struct core *core)
{
    struct inquiry *q = __atomic_load_n(&core->inquiry, __ATOMIC_ACQUIRE);
    if (!q) return 0;
    __atomic_store_n(&core->inquiry, NULL, __ATOMIC_RELAXED); /* the next one is asked only after this is answered */
    q->fn(core, q->arg);
    sem_post(&q->done);
    return 1;
}
