#include "server/map_ahead.h"

#include <pthread.h>
#include <stdlib.h>
#include "base/log.h"
#include "server/core.h"

struct map_ahead {
    struct server *server;
    int stop; /* atomic */
    pthread_t thread;
};

/* A piece of each shard in turn: all of them are being asked. */
static void *thread_main(void *arg)
{
    struct map_ahead *m = arg;
    size_t at[CONFIG_CORES_MAX] = {0};
    bool ended[CONFIG_CORES_MAX] = {false};
    unsigned count = m->server->config->core_count;
    pthread_setname_np(pthread_self(), "map-ahead");
    for (unsigned left = count; left > 0;)
        for (unsigned i = 0; i < count; i++) {
            if (__atomic_load_n(&m->stop, __ATOMIC_RELAXED)) return NULL;
            if (ended[i] || store_map_ahead(m->server->cores[i].store, &at[i])) continue;
            ended[i] = true;
            left--;
        }
    log_info("all memory is mapped");
    return NULL;
}

void map_ahead_start(struct server *server)
{
    struct map_ahead *m = calloc(1, sizeof *m);
    if (!m) return;
    m->server = server;
    if (pthread_create(&m->thread, NULL, thread_main, m) != 0) {
        free(m);
        return;
    }
    server->map_ahead = m;
}

void map_ahead_stop(struct server *server)
{
    struct map_ahead *m = server->map_ahead;
    if (!m) return;
    __atomic_store_n(&m->stop, 1, __ATOMIC_RELAXED);
    pthread_join(m->thread, NULL);
    free(m);
    server->map_ahead = NULL;
}
