/*
 * Connections that are opened before the load and then say nothing to its end: what a server pays for those that are
 * merely there. One thread's.
 */
#ifndef POLAR_BENCH_IDLE_H
#define POLAR_BENCH_IDLE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/stream.h"
#include "bench/transport.h"

struct idle_conns {
    struct stream **streams; /* [want], of them those that are connected; NULL: lost, or closed */
    uint32_t want, opened, connected, failed;
    uint32_t lost;   /* while they should have stayed */
    uint32_t closed; /* places gone through by idle_conns_close */
    int error;       /* errno value of the latest failure */
    bool closing;
};

/* 0 or -ENOMEM. want may be 0. */
int idle_conns_init(struct idle_conns *idle, uint32_t want);
void idle_conns_fini(struct idle_conns *idle);
/* Starts opening some more; true when all have come or failed. */
bool idle_conns_open(struct idle_conns *idle, struct transport *t, uint64_t now_ns);
/* Those that have not come are given up. */
void idle_conns_give_up(struct idle_conns *idle);
/* Events of a stream whose user is idle. */
void idle_conns_on_events(struct idle_conns *idle, struct stream *s);
/* Resets some more of them, so that no ring overflows; true when none is left. */
bool idle_conns_close(struct idle_conns *idle);

#endif
