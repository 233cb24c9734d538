/* Work at start that each core does on its own part: all at once, on threads pinned as the cores will be. */
#ifndef POLAR_SERVER_CREW_H
#define POLAR_SERVER_CREW_H

#include <stdint.h>

struct core;
struct server;

struct crew_progress {
    const char *what; /* "memory touched" */
    uint64_t total;   /* bytes; 0: nothing is said */
    uint64_t done;    /* atomic, relaxed: the crew adds */
};

/* 0 or -errno. May block. */
typedef int crew_fn(struct core *core, void *arg);

/*
 * Runs fn for every core and waits for all. Logs each tenth of the way once it has taken a second. The first rc that is
 * not 0, in the order of the cores. Control thread, while no core runs.
 */
int crew_run(struct server *server, crew_fn *fn, void *arg, struct crew_progress *progress);

#endif
