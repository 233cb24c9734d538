/*
 * TCP fast open (RFC 7413), by option and off by default: data on a SYN, which the application may answer a round trip
 * early. Core of the stack only; memory is bounded, and nothing here allocates after the start.
 *
 * The server proves by a cookie, a keyed hash of the client's address, that the client has been reached there before.
 * The key is derived anew each epoch (73 minutes); a cookie is good in its own epoch and the next, and each answer to a
 * cookie, good or not, carries a fresh one. A connection that a SYN with a good cookie has opened is ESTABLISHED for
 * its application, with TCPF_FAST_OPEN until its SYN-ACK is acknowledged. Of these a listener bears only so many at a
 * time (one that is reset keeps its place for a while: RFC 7413 5.1), and none while its stack's table of half-open
 * connections is full or every SYN gets a SYN cookie. Else, or with a bad cookie, the SYN is as any other and its data
 * is ignored: it comes again.
 *
 * The client keeps a bounded number of cookies, by server address. A SYN whose cookie is there carries what the
 * application has queued; without one it asks for one. What the SYN-ACK does not acknowledge is sent again at once. A
 * SYN that is not answered is repeated without data and option, and that server is not tried again for a while.
 */
#ifndef POLAR_NET_TCP_TCP_FAST_OPEN_H
#define POLAR_NET_TCP_TCP_FAST_OPEN_H

#include <stdbool.h>
#include <stdint.h>
#include "net/addr.h"
#include "net/tcp/tcp_known.h"

#define TCP_FAST_OPEN_COOKIE 8u /* bytes of our own */
#define TCP_FAST_OPEN_COOKIE_LEAST 4u
#define TCP_FAST_OPEN_COOKIE_MOST 16u
#define TCP_FAST_OPEN_PENDING_MOST 1024u

struct net_stack;
struct tcp_conn;
struct tcp_listener;
struct tcp_options;
struct tcp_segment;

/* What a client knows of a server. */
struct tcp_fast_open_server {
    struct tcp_known known_by;
    uint64_t blocked_until; /* ns: SYNs with the option go unanswered */
    uint16_t mss;           /* the server's */
    uint8_t len;            /* of the cookie; 0: none */
    uint8_t failures;       /* in a row */
    uint8_t cookie[TCP_FAST_OPEN_COOKIE_MOST];
};

struct tcp_fast_open {
    uint64_t secret[2];
    uint64_t epochs[2]; /* that each key is for, by its parity; UINT64_MAX: none yet */
    uint64_t keys[2][2];
    uint32_t pending; /* connections with TCPF_FAST_OPEN, opened by a peer */
    uint32_t resets, reset_first;
    uint64_t reset_until[TCP_FAST_OPEN_PENDING_MOST]; /* ns: of those that were reset, a ring, in order */
    struct tcp_fast_open_server *servers;
};

int tcp_fast_open_servers_init(struct tcp_fast_open *fo); /* 0 or -ENOMEM; resident as it is used */
void tcp_fast_open_servers_fini(struct tcp_fast_open *fo);
/* The configuration stands. 0 or -ENOMEM. */
int tcp_fast_open_init(struct net_stack *st);
void tcp_fast_open_fini(struct net_stack *st);

/* Server. */

/* Our cookie for a client. */
void tcp_fast_open_cookie(struct net_stack *st, const struct net_addr *client, uint8_t cookie[TCP_FAST_OPEN_COOKIE]);
/* A SYN for l, which bears fast opens. True: it has opened a connection, s->m may be taken. Else it is to be treated as
 * any other; s->flags has TCP_FAST_OPEN_ASKED when the answer is to carry a cookie. */
bool tcp_fast_open_rx(struct net_stack *st, const struct tcp_listener *l, struct tcp_segment *s);
/* A segment for a connection with TCPF_FAST_OPEN, before its sequence number is looked at. False: it was the SYN again,
 * and is answered. */
bool tcp_fast_open_again(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s);
/* Its first acceptable ACK: the handshake is complete. False: it acknowledges nothing of ours, and is answered. */
bool tcp_fast_open_ack(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s);
/* Its SYN-ACK is due. False: no buffer. */
bool tcp_fast_open_answer(struct net_stack *st, struct tcp_conn *c);
/* It goes before its SYN-ACK was acknowledged; reset: by the peer. */
void tcp_fast_open_end(struct net_stack *st, struct tcp_conn *c, bool reset);

/* Client. */

/* For a SYN that is sent for the first time: the option into o. Returns how many bytes of txq it may carry. */
uint32_t tcp_fast_open_ask(struct net_stack *st, struct tcp_conn *c, struct tcp_options *o);
/* The SYN-ACK has come; c is established, and nothing but its SYN counts as sent. sent: bytes that the SYN carried. */
void tcp_fast_open_answered(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s, uint32_t sent);
/* Our SYN was not answered in time. */
void tcp_fast_open_unanswered(struct net_stack *st, struct tcp_conn *c);

#endif
