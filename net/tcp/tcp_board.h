/*
 * The sender's scoreboard: all bytes in flight, [start, end), as runs that share a fate and a time of sending. A segment
 * is not an entry: what one turn sends is one run, what a SACK block covers another, so that few entries describe a
 * large window. A connection has a board only while something is amiss (tcp_recovery.h); pools: tcp_pools.h.
 *
 * Runs are limited. When there is no room for another, the two neighbours of like fate that were sent closest together
 * become one, with the later time: what is lost is then noticed later, never wrongly. RFC 2018, 6675, 8985.
 */
#ifndef POLAR_NET_TCP_TCP_BOARD_H
#define POLAR_NET_TCP_TCP_BOARD_H

#include <stdbool.h>
#include <stdint.h>
#include "net/tcp/seq.h"
#include "net/tcp/tcp_cc.h"

#define TCP_BOARD_FEW 24u   /* runs that a board holds itself */
#define TCP_BOARD_PAGE 256u /* runs of a page, which it gets when those are used up */

enum tcp_sent_flag {
    TCP_SENT_SACKED = 1u << 0,
    TCP_SENT_LOST = 1u << 1,    /* to be sent again; not counted as in flight */
    TCP_SENT_AGAIN = 1u << 2,   /* sent more than once: says nothing about the round trip (Karn) */
    TCP_SENT_GUESSED = 1u << 3, /* at is the latest that it can have been */
};

struct tcp_sent {
    uint64_t at;    /* ns, of the last sending */
    tcp_seq end;    /* exclusive; a run starts where the one before it ends */
    uint32_t flags; /* enum tcp_sent_flag */
};

/* RFC 8985 6.2. */
struct tcp_rack {
    uint64_t at, rtt;       /* ns: when the most recently sent of what has arrived was sent, and its round trip */
    uint64_t min_rtt;       /* ns; 0: not known */
    uint64_t heard_at;      /* ns: the last ACK */
    uint64_t spacing;       /* ns: between turns that bring ACKs, smoothed */
    tcp_seq end;            /* with at */
    tcp_seq fack;           /* highest byte known to have arrived */
    tcp_seq sample_seq;     /* the next round-trip sample when snd_una passes this */
    tcp_seq dsack_round;    /* a D-SACK widens the window once a round trip */
    uint8_t multiplier;     /* of min_rtt / 4 */
    uint8_t persist;        /* recoveries until the multiplier falls back */
    bool reordering;        /* has been seen */
};

enum tcp_board_state { TCP_BOARD_OPEN, TCP_BOARD_RECOVERY, TCP_BOARD_LOSS };

struct tcp_board {
    struct tcp_conn *owner;
    struct tcp_board *next, *prev; /* in the pool's lists */
    struct tcp_sent *sent;         /* few, or a page */
    uint16_t first, count, cap;    /* the runs are sent[first, first + count) */
    uint8_t state;                 /* enum tcp_board_state */
    uint8_t calm;                  /* times in a row that nothing was left in flight and nothing had gone amiss */
    bool quiet;                    /* nothing in flight: another connection may have the board */
    tcp_seq start;
    uint32_t sacked, lost;         /* bytes */
    struct tcp_rack rack;

    /* PRR: RFC 6937. Bytes. */
    uint32_t prr_delivered, prr_out, prr_flight;

    /* What a needless reduction took away, and what will show that it was needless. RFC 3522, 3708, 5682. */
    struct tcp_cc_saved undo;
    uint32_t undo_bytes;   /* sent again since, and not yet reported as a duplicate */
    uint32_t undo_ts;      /* our timestamp of the first of them */
    tcp_seq undo_from;     /* snd_una at that time */
    bool undo_valid;
    bool undo_sent;        /* something was sent again since */
    bool undo_by_ts;       /* the first ACK that advances tells */
    uint8_t frto;          /* step of RFC 5682 2.1; 0: not in use */

    /* The tail loss probe that is out: RFC 8985 7. */
    tcp_seq tlp_end;
    bool tlp_out;
    bool tlp_again;        /* it was a retransmission */

    struct tcp_sent few[TCP_BOARD_FEW];
};

/* What one ACK says. */
struct tcp_news {
    uint64_t now;       /* ns; set by the caller */
    tcp_seq limit;      /* set by the caller: `original` looks at bytes below it */
    bool has_echo;      /* set by the caller, with the next two: the ACK carries a timestamp */
    uint32_t echo, clock_offset; /* ticks of 2^20 ns */
    uint32_t delivered; /* bytes newly known to have arrived */
    uint64_t rtt;       /* ns, of the last byte sent once whose time is known exactly; 0: none */
    bool original;      /* something that was sent only once, and below limit */
};

/* Empties the board; the next byte to be sent is start. */
void tcp_board_reset(struct tcp_board *b, tcp_seq start);
tcp_seq tcp_board_end(const struct tcp_board *b);
/* Bytes believed to be on their way: RFC 6675 4. */
static inline uint32_t tcp_board_pipe(const struct tcp_board *b) { return tcp_board_end(b) - b->start - b->sacked - b->lost; }

/* Bytes up to end are sent for the first time. */
void tcp_board_sent(struct tcp_board *b, tcp_seq end, uint64_t at, uint32_t flags);
/* [start, end) is sent again. */
void tcp_board_resent(struct tcp_board *b, tcp_seq start, tcp_seq end, uint64_t at);
/* Everything up to ack has arrived. */
void tcp_board_ack(struct tcp_board *b, tcp_seq ack, struct tcp_news *news);
/* [start, end), within the board, has arrived. False: no room to note all of it. */
bool tcp_board_sack(struct tcp_board *b, tcp_seq start, tcp_seq end, struct tcp_news *news);
/* The peer has taken back what it reported (RFC 2018 8): nothing is known to have arrived. */
void tcp_board_renege(struct tcp_board *b);
/* The first lost run from byte `from` on; false: none. */
bool tcp_board_lost_next(const struct tcp_board *b, tcp_seq from, tcp_seq *start, tcp_seq *end);
void tcp_board_lose(struct tcp_board *b, uint32_t run);
/* Nothing is taken for lost any more. */
void tcp_board_lost_clear(struct tcp_board *b);
bool tcp_board_head_sacked(const struct tcp_board *b);

/* tcp_rack.c: a part of the board, sent at `at` and ending at `end`, has newly arrived. */
void tcp_rack_delivered(struct tcp_board *b, uint64_t at, tcp_seq end, uint32_t flags, struct tcp_news *news);

#endif
