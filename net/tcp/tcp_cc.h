/*
 * Congestion control: what a connection tells it, and what it may change (cwnd, ssthresh). One file an algorithm,
 * chosen by net_stack_config.tcp_cc. A round trip may be as short as 200 ns: windows are in bytes, times in
 * nanoseconds.
 *
 * Loss recovery decides when there is congestion and how cwnd comes down to ssthresh (tcp_ack.c); the algorithm decides
 * how far down, and how it grows after. Core of the stack only; nothing here allocates.
 */
#ifndef POLAR_NET_TCP_TCP_CC_H
#define POLAR_NET_TCP_TCP_CC_H

#include <stdbool.h>
#include <stdint.h>
#include "net/stack.h"
#include "net/tcp/conn.h"

#define TCP_CWND_MAX (1u << 30) /* bytes */

enum tcp_cc_event {
    TCP_CC_LOSS,    /* recovery begins */
    TCP_CC_TIMEOUT, /* the first timeout of a segment */
    TCP_CC_MARK,    /* the peer echoes a congestion mark, for the first time in a round trip */
};

struct tcp_cc {
    const char *name;
    bool exact_marks; /* needs ECN, and from the receiver an echo of each mark: RFC 8257 3.2 */
    void (*init)(struct tcp_conn *c); /* cc_state is all zero, cwnd the initial window. May be NULL */
    /* New bytes; no recovery; the window was the limit. rtt_ns: a sample that ended with this ACK; 0: none did. */
    void (*on_ack)(struct tcp_conn *c, uint32_t acked, uint64_t rtt_ns);
    /* Returns the new ssthresh, at least two segments. flight: bytes sent and not acknowledged before. */
    uint32_t (*on_congestion)(struct tcp_conn *c, uint32_t flight, enum tcp_cc_event event);
    /* Each ACK with an echo, before on_congestion. acked: new bytes. May be NULL. */
    void (*on_mark)(struct tcp_conn *c, uint32_t acked);
    void (*on_idle)(struct tcp_conn *c); /* sending again after longer than an RTO. May be NULL */
};

/* What undoes a needless reduction: taken before tcp_cc_congestion, given back when it proves needless. */
struct tcp_cc_saved {
    uint32_t cwnd, ssthresh;
    uint32_t state[TCP_CC_WORDS];
};

extern const struct tcp_cc tcp_cc_cubic, tcp_cc_newreno, tcp_cc_dctcp;
extern const struct tcp_cc *const tcp_cc_table[]; /* by enum net_tcp_cc */

static inline const struct tcp_cc *tcp_cc_of(const struct tcp_conn *c) { return tcp_cc_table[c->cc]; }

/* cwnd and ssthresh of a new connection; the MSS is known. c->cc says by which algorithm. */
void tcp_cc_init(struct tcp_conn *c);
/* Another algorithm from now on; cwnd and ssthresh stay as they are. */
void tcp_cc_change(struct tcp_conn *c, enum net_tcp_cc cc);
/* Sets ssthresh; cwnd is left to the caller, which brings it down at once or by and by. */
void tcp_cc_congestion(struct tcp_conn *c, uint32_t flight, enum tcp_cc_event event);
/* Sending again after longer than an RTO: RFC 5681 4.1. */
void tcp_cc_idle(struct tcp_conn *c);
void tcp_cc_save(const struct tcp_conn *c, struct tcp_cc_saved *saved);
void tcp_cc_undo(struct tcp_conn *c, const struct tcp_cc_saved *saved); /* cwnd does not fall by it */

/* For algorithms. */
uint32_t tcp_cc_initial_window(const struct tcp_conn *c); /* bytes: RFC 6928 */
/* Slow start by `acked` bytes; not beyond ssthresh. */
void tcp_cc_slow_start(struct tcp_conn *c, uint32_t acked);
/* A segment a round trip: RFC 5681 3.1, with bytes counted (RFC 3465). credit: acknowledged bytes not yet used. */
void tcp_cc_additive(struct tcp_conn *c, uint32_t acked, uint32_t *credit);

#endif
