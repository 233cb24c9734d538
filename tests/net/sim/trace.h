/* The last events of a run, by connection (the server's port). */
#ifndef POLAR_TESTS_NET_SIM_TRACE_H
#define POLAR_TESTS_NET_SIM_TRACE_H

#include <stdint.h>
#include <stdio.h>
#include "tests/net/sim/fabric.h"
#include "tests/net/sim/segment.h"

#define TRACE_EVENTS 65536u

struct trace_event {
    uint64_t at;
    enum fabric_fate fate;
    uint8_t host;
    struct segment segment;
};

struct trace {
    struct trace_event events[TRACE_EVENTS];
    uint64_t count;
};

void trace_add(struct trace *t, uint64_t at, enum fabric_fate fate, unsigned host, const struct segment *s);
/* The last `most` events with that port; 0: of all connections. */
void trace_print(const struct trace *t, uint16_t port, unsigned most, FILE *out);

#endif
