/*
 * The simulation: sim --seeds N [--first S] runs the worlds of N seeds; sim --seed S [--trace] repeats one and prints
 * what its connections sent. Ends with 1 when something did not hold; the seed and the end of the failed connection's
 * trace are on the standard error.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "tests/net/sim/world.h"

#define FAILURES_MOST 10u

static int usage(const char *program)
{
    fprintf(stderr, "usage: %s [--seeds N] [--first S] [--seed S] [--trace]\n", program);
    return 2;
}

static bool number(const char *text, uint64_t *value)
{
    char *end;
    errno = 0;
    *value = text ? strtoull(text, &end, 10) : 0;
    return text && *text && !*end && errno == 0;
}

static void progress(uint64_t done, uint64_t seeds, unsigned failures)
{
    static time_t last;
    time_t now = time(NULL);
    if (!isatty(STDERR_FILENO) && now < last + 10) return;
    if (now == last && done < seeds) return;
    last = now;
    fprintf(stderr, "%s%lu of %lu seeds, %u failed%s", isatty(STDERR_FILENO) ? "\r" : "", (unsigned long)done,
            (unsigned long)seeds, failures, isatty(STDERR_FILENO) && done < seeds ? "" : "\n");
}

static unsigned run(struct world *w, uint64_t first, uint64_t seeds)
{
    unsigned failures = 0;
    for (uint64_t i = 0; i < seeds && failures < FAILURES_MOST; i++) {
        if (!world_run(w, first + i)) {
            failures++;
            fprintf(stderr, "\nseed %lu: %s (again: --seed %lu --trace)\n", (unsigned long)(first + i), w->why,
                    (unsigned long)(first + i));
        }
        progress(i + 1, seeds, failures);
    }
    return failures;
}

int main(int argc, char **argv)
{
    uint64_t seeds = 100, first = 1;
    bool trace = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--trace") == 0) {
            trace = true;
            continue;
        }
        bool one = strcmp(argv[i], "--seed") == 0;
        uint64_t *value = strcmp(argv[i], "--seeds") == 0 ? &seeds : &first;
        if (value == &first && !one && strcmp(argv[i], "--first") != 0) return usage(argv[0]);
        if (++i == argc || !number(argv[i], value)) return usage(argv[0]);
        if (one) seeds = 1;
    }
    struct world *w = calloc(1, sizeof *w);
    if (!w) return 2;
    w->trace_all = trace;
    unsigned failures = run(w, first, seeds);
    printf("%lu seeds, %u failed; %.1f MB carried in %.0f virtual seconds, %lu frames sent, %lu segments sent again\n",
           (unsigned long)seeds, failures, (double)w->bytes / 1e6, (double)w->virtual_ns / 1e9,
           (unsigned long)w->frames, (unsigned long)w->retransmits);
    printf("worlds of IPv6: %lu, with VLAN tags: %lu, with jumbo frames: %lu; hosts that lost their power: %lu\n",
           (unsigned long)w->worlds_v6, (unsigned long)w->worlds_vlan, (unsigned long)w->worlds_jumbo,
           (unsigned long)w->reboots);
    world_free(w);
    free(w);
    return failures != 0;
}
