#include "bench/idle.h"

#include <errno.h>
#include <stdlib.h>

#define OPEN_AT_ONCE 128u
#define CLOSE_AT_ONCE 64u

int idle_conns_init(struct idle_conns *idle, uint32_t want)
{
    *idle = (struct idle_conns){.want = want};
    if (want == 0) return 0;
    idle->streams = calloc(want, sizeof(struct stream *));
    return idle->streams ? 0 : -ENOMEM;
}

void idle_conns_fini(struct idle_conns *idle)
{
    free(idle->streams);
    idle->streams = NULL;
}

bool idle_conns_open(struct idle_conns *idle, struct transport *t, uint64_t now_ns)
{
    while (idle->opened < idle->want && idle->opened - idle->connected - idle->failed < OPEN_AT_ONCE) {
        struct stream *s;
        int rc = t->connect(t, now_ns, false, &s);
        idle->opened++;
        if (rc != 0) {
            idle->failed++;
            idle->error = -rc;
            continue;
        }
        s->user = idle;
    }
    return idle->connected + idle->failed >= idle->want;
}

void idle_conns_give_up(struct idle_conns *idle)
{
    uint32_t missing = idle->want - idle->connected - idle->failed;
    if (missing == 0) return;
    idle->failed += missing;
    idle->error = ETIMEDOUT;
    idle->opened = idle->want;
}

/* Rare, so a search will do. */
static void forget(struct idle_conns *idle, struct stream *s)
{
    for (uint32_t i = 0; i < idle->connected; i++)
        if (idle->streams[i] == s) idle->streams[i] = NULL;
    s->ops->abort(s);
}

void idle_conns_on_events(struct idle_conns *idle, struct stream *s)
{
    uint32_t events = s->events;
    s->events = 0;
    if (events & STREAM_CONNECTED) idle->streams[idle->connected++] = s;
    if (!(events & (STREAM_ERROR | STREAM_EOF | STREAM_READABLE))) return;
    /* Nobody asked: what comes is a refusal. */
    if (idle->connected + idle->failed < idle->want && !(events & (STREAM_EOF | STREAM_READABLE)))
        idle->failed++;
    else if (!idle->closing)
        idle->lost++;
    if (events & STREAM_ERROR) idle->error = s->error;
    forget(idle, s);
}

bool idle_conns_close(struct idle_conns *idle)
{
    idle->closing = true;
    for (uint32_t n = 0; idle->closed < idle->connected && n < CLOSE_AT_ONCE; idle->closed++) {
        struct stream *s = idle->streams[idle->closed];
        if (!s) continue;
        s->ops->abort(s);
        idle->streams[idle->closed] = NULL;
        n++;
    }
    return idle->closed >= idle->connected;
}
