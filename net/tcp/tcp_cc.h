/*
 * Congestion control: what a connection tells it, and what it may change (cwnd, ssthresh). One file an algorithm.
 * A round trip may be as short as 200 ns: windows are in bytes, times in nanoseconds.
 */
#ifndef POLAR_NET_TCP_TCP_CC_H
#define POLAR_NET_TCP_TCP_CC_H

#include <stdint.h>
#include "net/tcp/conn.h"

struct tcp_cc {
    const char *name;
    void (*init)(struct tcp_conn *c);                    /* the MSS is known */
    void (*on_ack)(struct tcp_conn *c, uint32_t acked);  /* new bytes, no recovery, the window was the limit */
    void (*on_loss)(struct tcp_conn *c, uint32_t flight); /* recovery begins: sets ssthresh and cwnd */
    void (*on_timeout)(struct tcp_conn *c, uint32_t flight); /* first timeout of a segment */
    void (*on_idle)(struct tcp_conn *c);                 /* sending again after longer than an RTO */
};

extern const struct tcp_cc tcp_cc_newreno;

#endif
