/* A token bucket for answers that a stranger can ask for: ICMP echo, challenge ACKs. */
#ifndef POLAR_NET_RATE_H
#define POLAR_NET_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct rate_limit {
    uint64_t interval_ns; /* one token comes back after so long */
    uint64_t burst;       /* tokens at most */
    uint64_t spent_until; /* ns at which the bucket is full again */
};

/* Takes a token; false: none is left. */
static inline bool rate_take(struct rate_limit *r, uint64_t now_ns)
{
    uint64_t from = r->spent_until > now_ns ? r->spent_until : now_ns;
    if (from - now_ns >= r->interval_ns * r->burst) return false;
    r->spent_until = from + r->interval_ns;
    return true;
}

#endif
