/* SACK and D-SACK blocks of an ACK, as a peer sent them. RFC 2018, 2883. */
#ifndef POLAR_NET_TCP_TCP_SACK_H
#define POLAR_NET_TCP_TCP_SACK_H

#include "net/tcp/tcp.h"

#define TCP_SACK_BLOCKS 4u

struct tcp_sack {
    unsigned count;
    struct tcp_range block[TCP_SACK_BLOCKS]; /* ascending; each within (una, nxt] */
    bool has_dup;
    struct tcp_range dup;                    /* D-SACK */
};

/*
 * What the segment's blocks say, those that say nothing left out. A block outside of what is in flight is the peer's
 * fault: counted in sack_invalid, otherwise ignored. The segment's acknowledgement is taken for snd_una.
 */
void tcp_sack_parse(struct net_stack *st, const struct tcp_conn *c, const struct tcp_segment *s, struct tcp_sack *out);

/* Is there a block that parse would take? Counts nothing. */
bool tcp_sack_tells(const struct tcp_conn *c, const struct tcp_segment *s);

/* Blocks to be sent: a duplicate first, then what is held out of order, the newest first. Returns how many. */
unsigned tcp_sack_blocks(struct tcp_conn *c, struct tcp_range *out, unsigned max);
/* [start, end) has come once more; to be reported with the next ACK: RFC 2883 4. */
void tcp_sack_duplicate(struct net_stack *st, struct tcp_conn *c, tcp_seq start, tcp_seq end);

#endif
