#include "tests/net/sim/trace.h"

#include <inttypes.h>
#include <rte_common.h>

void trace_add(struct trace *t, uint64_t at, enum fabric_fate fate, unsigned host, const struct segment *s)
{
    t->events[t->count++ % TRACE_EVENTS] =
        (struct trace_event){.at = at, .fate = fate, .host = (uint8_t)host, .segment = *s};
}

static const char *const fates[] = {
    [FABRIC_SENT] = "sent",          [FABRIC_LOST] = "lost",       [FABRIC_QUEUE_FULL] = "queue full",
    [FABRIC_DOWN] = "partition",     [FABRIC_TOO_BIG] = "too big", [FABRIC_ARRIVED] = "arrived",
    [FABRIC_NO_BUFFER] = "no buffer"};

static void event_print(const struct trace_event *e, FILE *out)
{
    static const char letters[] = "FSRPAUEC";
    const struct segment *s = &e->segment;
    char flags[9];
    unsigned n = 0;
    for (unsigned i = 0; i < 8; i++)
        if (s->flags & 1u << i) flags[n++] = letters[i];
    flags[n] = '\0';
    fprintf(out,
            "%14.6f ms  %u:%-5u > %u:%-5u %-5s seq %10" PRIu32 " ack %10" PRIu32 " len %5" PRIu32 " wnd %5u%s%s  %s\n",
            (double)e->at / 1e6, s->from, s->source, s->to, s->target, flags, s->seq, s->ack, s->len, s->wnd,
            s->code == 3 ? " CE"
            : s->code    ? " ECT"
                         : "",
            s->scale >= 0 ? " scaled" : "", fates[e->fate]);
}

static bool matches(const struct trace_event *e, uint16_t port)
{
    return !port || e->segment.source == port || e->segment.target == port;
}

void trace_print(const struct trace *t, uint16_t port, unsigned most, FILE *out)
{
    uint64_t oldest = t->count > TRACE_EVENTS ? t->count - TRACE_EVENTS : 0, from = t->count;
    for (unsigned n = 0; from > oldest && n < most; from--) n += matches(&t->events[(from - 1) % TRACE_EVENTS], port);
    for (uint64_t i = from; i < t->count; i++)
        if (matches(&t->events[i % TRACE_EVENTS], port)) event_print(&t->events[i % TRACE_EVENTS], out);
}
