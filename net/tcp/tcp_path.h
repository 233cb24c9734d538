/*
 * The largest packet that passes to a destination, found with real data (packetization-layer path MTU discovery). What
 * a connection's segments were shortened to, and by option what they begin with, is tested upward: one segment longer
 * than the others. If it is acknowledged, all of the destination's connections send as long ones; if it alone is lost,
 * its bytes go again in short ones and nothing is held against the path's capacity.
 *
 * The search begins with the longest that both ends take; then by the usual MTUs between what passes and what does not,
 * then by halves; a message from a router cuts it short. It rests when what is left is not worth it, and begins anew
 * after TCP_PATH_RAISE_NS. Destinations are remembered in a small table of the stack: new connections begin with what
 * is known, and the one longest unused makes room. A connection pays only while its segments are shorter than they
 * might be (TCPF_PATH), and probes only with data to follow, so that SACK shows the loss. RFC 4821, 8899 5, 8201 5.2,
 * 1191 6.3. Core of the stack only.
 */
#ifndef POLAR_NET_TCP_TCP_PATH_H
#define POLAR_NET_TCP_TCP_PATH_H

#include <stdbool.h>
#include <stdint.h>
#include "net/tcp/seq.h"
#include "net/tcp/tcp_known.h"

#define TCP_PATHS 256u
#define TCP_PATH_BASE 1280u                      /* every path takes it: RFC 8899 5.1.2, 8200 5 */
#define TCP_PATH_TRIES 3u                        /* MAX_PROBES: RFC 8899 5.1.2 */
#define TCP_PATH_STEP 10u                        /* bytes: what is less is not searched for */
#define TCP_PATH_WAIT_NS UINT64_C(100000000)     /* between a probe that was lost and the next */
#define TCP_PATH_SUSPECT_NS UINT64_C(1000000000) /* between a suspicion and the first probe */
#define TCP_PATH_RAISE_NS UINT64_C(600000000000) /* PMTU_RAISE_TIMER: RFC 8899 5.1.1 */
#define TCP_PATH_STALE_NS UINT64_C(10000000000)  /* a probe whose connection has gone */

struct net_stack;
struct tcp_conn;

struct tcp_path {
    struct tcp_known known_by;
    uint64_t next_at;   /* ns: not probed before */
    uint64_t sent_at;   /* ns: the last probe */
    uint64_t prober;    /* whose probe is out; 0: none is */
    tcp_seq start, end; /* of the probe that is out */
    uint16_t mtu;       /* IP bytes: what passes */
    uint16_t most;      /* what has not been ruled out; UINT16_MAX: nothing has */
    uint16_t probe;     /* of the last probe */
    uint8_t tries;      /* probes of that size lost */
    bool known;         /* a message or a search has shown mtu, not a suspicion: new connections begin with it */
    bool told;          /* most is a router's word */
    bool lost;          /* the probe that is out is lost, and not all of it has been sent again */
};

struct tcp_paths {
    struct tcp_path entries[TCP_PATHS];
    uint32_t used; /* entries in use */
};

/* A handshake is complete, and c->mss what both ends take: it comes down to what is known of the destination. */
void tcp_path_begin(struct net_stack *st, struct tcp_conn *c);
/* c's segments were shortened: a router has told so, or it is suspected. */
void tcp_path_lowered(struct net_stack *st, struct tcp_conn *c, bool told);
/* A router says that mtu is the most. True: this is about c's probe, and dealt with. */
bool tcp_path_too_big(struct net_stack *st, struct tcp_conn *c, uint32_t mtu);
/* c, with TCPF_PATH, is about to send: takes note of how its probe fared, raises c->mss. Returns the payload bytes of
 * the probe to be sent now; 0: none. */
uint32_t tcp_path_probe(struct net_stack *st, struct tcp_conn *c);
/* It was sent, and ends at snd_nxt. */
void tcp_path_probe_sent(struct net_stack *st, struct tcp_conn *c, uint32_t len);
/* True: all that c's board takes for lost is its probe. */
bool tcp_path_probe_lost(struct net_stack *st, struct tcp_conn *c);
/* A retransmission timeout of c. */
void tcp_path_timeout(struct net_stack *st, struct tcp_conn *c);

#endif
