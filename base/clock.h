/*
 * Time is handed in, never read deep inside, so that a simulation can be the clock. A tick is made once a turn of the
 * loop and passed to every poller.
 */
#ifndef POLAR_BASE_CLOCK_H
#define POLAR_BASE_CLOCK_H

#include <stdint.h>

struct tick {
    uint64_t tsc;     /* time stamp counter at the start of the turn */
    uint64_t ns;      /* monotonic nanoseconds, from an arbitrary start above 0 */
    uint64_t unix_ms; /* wall clock, milliseconds since 1970 */
};

/* The source of ticks. The real one reads the TSC (calibrated once); a test's steps by hand. */
struct clock {
    void (*now)(struct clock *clock, struct tick *out);
};

struct clock_tsc {
    struct clock clock;
    uint64_t tsc_start;
    uint64_t ns_start;
    uint64_t unix_ms_start;
    uint64_t resync_tsc; /* wall clock is read again now and then: it may be stepped */
    double ns_per_tsc;
};

void clock_tsc_init(struct clock_tsc *clock);
/* Ticks of the TSC a second, measured once. */
uint64_t clock_tsc_hz(void);

#endif
