/*
 * Half-open connections of passive opens, as small entries in a table of their own: a connection is taken from the pool
 * only when the handshake is complete, so no flood of SYNs eats connections. RFC 4987 3.4. When the table is full, SYNs
 * are answered by cookies (tcp_cookie.h) that need no memory; where those are switched off, the oldest entry goes.
 *
 * Entries wait in one list for each time their SYN-ACK was sent. All in a list wait equally long, so the first is due
 * first and the timer needs no wheel. Core of the stack only.
 */
#ifndef POLAR_NET_TCP_SYNCACHE_H
#define POLAR_NET_TCP_SYNCACHE_H

#include <stdbool.h>
#include <stdint.h>
#include "net/tcp/seq.h"
#include "net/tcp/tcp_tuple.h"

#define TCP_REF_SYN (1u << 30)  /* in the connection table: not a connection but an entry; bit 31 is TIME-WAIT's */
#define TCP_SYN_ACK_SENDS 6u    /* 1, 2, 4 ... 32 s apart, then the entry goes */

struct net_stack;
struct tcp_conn;
struct tcp_segment;

enum tcp_handshake_flag {
    TCP_HS_TS = 1u << 0,
    TCP_HS_SACK = 1u << 1,
    TCP_HS_SCALE = 1u << 2,
    TCP_HS_ECN = 1u << 3,
    TCP_HS_FAST_OPEN = 1u << 4, /* our answer carries a fast open cookie */
};

/* What a SYN and the answer to it agree on: all that a connection is opened from. */
struct tcp_handshake {
    tcp_seq iss, irs;
    uint32_t ts_val; /* the peer's, with TCP_HS_TS */
    uint16_t wnd;    /* the peer's, not scaled */
    uint16_t mss;    /* the peer's */
    uint8_t flags;   /* enum tcp_handshake_flag */
    uint8_t scale;   /* the peer's, with TCP_HS_SCALE */
};

/* What the SYN s says, and what it leaves out. False: malformed options. */
bool tcp_handshake_take(struct tcp_handshake *hs, const struct tcp_segment *s);

struct tcp_syn_entry {
    union tcp_addrs addrs; /* v6 with the bit */
    uint32_t ports;        /* as in tcp_tuple.h */
    uint32_t sent_at;      /* 16 ns: the SYN-ACK by the timer; 32 s later at most it is due again, or the end */
    tcp_seq iss, irs;      /* this, and some of what follows: as in tcp_handshake */
    uint32_t ts_val;
    uint32_t next, prev;   /* index + 1 */
    uint16_t wnd, mss;
    uint8_t mac[6];        /* where the SYN came from */
    uint8_t scale : 4;
    uint8_t sent : 3;      /* SYN-ACKs by the timer, the first included: the list that it is in, + 1; 0: free */
    uint8_t asked_again : 1; /* the SYN came more than once: the round trip is not known (Karn) */
    uint8_t flags : 7;
    uint8_t v6 : 1;
};
_Static_assert(sizeof(struct tcp_syn_entry) == 48, "small");
_Static_assert(TCP_SYN_ACK_SENDS < 8, "fits its bits");

struct tcp_syncache {
    struct tcp_syn_entry *entries;
    struct {
        uint32_t oldest, newest; /* index + 1 */
    } lists[TCP_SYN_ACK_SENDS];
    uint32_t free;               /* index + 1, linked by next */
    uint32_t used, max;          /* entries ever used; entries */
    uint32_t count;              /* entries in use */
};

int tcp_syncache_init(struct tcp_syncache *sc, uint32_t max); /* 0 or -ENOMEM; touches no memory but its own struct */
void tcp_syncache_fini(struct tcp_syncache *sc);

/* A SYN for a listener: an entry and its SYN-ACK, or a cookie; may take s->m. above: NULL, or what our initial number must lie above;
 * no cookie then. */
void tcp_syncache_open(struct net_stack *st, struct tcp_segment *s, const tcp_seq *above);
/* A segment for entry ref. Not NULL: it completes the handshake; the connection, in SYN_RCVD, is to process it. */
struct tcp_conn *tcp_syncache_rx(struct net_stack *st, uint32_t ref, const struct tcp_segment *s);
unsigned tcp_syncache_timers(struct net_stack *st); /* a bounded number of entries a call; returns how many */
uint64_t tcp_syncache_deadline(const struct net_stack *st);
void tcp_syn_entry_tuple(const struct tcp_syn_entry *e, struct tcp_tuple *t);
uint64_t tcp_syn_entry_key(const struct net_stack *st, const struct tcp_syn_entry *e);

#endif
