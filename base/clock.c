#include "base/clock.h"

#include <time.h>
#include <rte_cycles.h>

#define CALIBRATE_NS 20000000u  /* long enough for one part in ten thousand */
#define RESYNC_SECONDS 1u

static uint64_t monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

uint64_t clock_tsc_hz(void)
{
    static uint64_t hz;
    if (hz) return hz;
    uint64_t ns0 = monotonic_ns(), tsc0 = rte_rdtsc(), ns1, tsc1;
    do {
        ns1 = monotonic_ns();
        tsc1 = rte_rdtsc();
    } while (ns1 - ns0 < CALIBRATE_NS);
    hz = (uint64_t)((double)(tsc1 - tsc0) * 1e9 / (double)(ns1 - ns0));
    return hz;
}

static void clock_tsc_now(struct clock *clock, struct tick *out)
{
    struct clock_tsc *c = (struct clock_tsc *)clock;
    out->tsc = rte_rdtsc();
    out->ns = c->ns_start + (uint64_t)((double)(out->tsc - c->tsc_start) * c->ns_per_tsc);
    if (out->tsc >= c->resync_tsc) {
        c->unix_ms_start = wall_ms() - (out->ns - c->ns_start) / 1000000u;
        c->resync_tsc = out->tsc + RESYNC_SECONDS * clock_tsc_hz();
    }
    out->unix_ms = c->unix_ms_start + (out->ns - c->ns_start) / 1000000u;
}

void clock_tsc_init(struct clock_tsc *clock)
{
    clock->clock.now = clock_tsc_now;
    clock->ns_per_tsc = 1e9 / (double)clock_tsc_hz();
    clock->tsc_start = rte_rdtsc();
    clock->ns_start = monotonic_ns();
    clock->unix_ms_start = wall_ms();
    clock->resync_tsc = clock->tsc_start + RESYNC_SECONDS * clock_tsc_hz();
}
