/*
 * HyStart++ (RFC 9406): ends slow start when round trips get longer, before the queue that makes them longer is full.
 * A pure object over a connection's cwnd; times in nanoseconds.
 */
#ifndef POLAR_NET_TCP_TCP_HYSTART_H
#define POLAR_NET_TCP_TCP_HYSTART_H

#include <stdbool.h>
#include <stdint.h>
#include "net/tcp/conn.h"

#define HYSTART_RTT_NONE UINT32_MAX

struct hystart {
    tcp_seq round_end;             /* the round is over when snd_una reaches this */
    uint32_t last_min, round_min;  /* ns, of the round before and of this one; HYSTART_RTT_NONE: no sample */
    uint32_t baseline;             /* ns: below it conservative slow start was a false alarm */
    uint8_t samples, last_samples; /* in this round and in the one before, up to what is enough */
    uint8_t css_rounds;            /* rounds begun in conservative slow start; 0: not in it */
};

void hystart_init(struct hystart *h, const struct tcp_conn *c);
/* Grows cwnd by an ACK. rtt_ns 0: no sample. True: slow start is over. */
bool hystart_on_ack(struct hystart *h, struct tcp_conn *c, uint32_t acked, uint64_t rtt_ns);

#endif
