/*
 * Recovery of what was lost, for peers that take SACK blocks; others are served by NewReno (tcp_newreno.c).
 *
 * A connection begins without a scoreboard: what is in flight was sent at rtt_start and sent_at, and that is enough until
 * a SACK block, a tail loss probe or a timeout comes. Only then it takes a board, and gives it back when it has been calm
 * for a while. So undisturbed connections pay nothing, and a hundred thousand unanswered replies need no pool.
 *
 *   OPEN -> RECOVERY   RACK finds a loss             tcp_loss_ack, tcp_loss_reo
 *   any -> LOSS        retransmission timeout        tcp_loss_timeout
 *   RECOVERY, LOSS -> OPEN   all that was in flight has arrived, or the reduction is undone (tcp_undo.c)
 *
 * In board mode snd_nxt stays at snd_max (but for a window probe's byte). RFC 6675, 8985, 6937, 5682, 3522, 3708.
 */
#ifndef POLAR_NET_TCP_TCP_RECOVERY_H
#define POLAR_NET_TCP_TCP_RECOVERY_H

#include "net/tcp/tcp.h"
#include "net/tcp/tcp_board.h"
#include "net/tcp/tcp_sack.h"

/* What tcp_loss_ack knows of the ACK at hand. */
struct tcp_loss_event {
    const struct tcp_segment *s;
    uint32_t acked;   /* bytes by which snd_una has advanced */
    uint32_t flight;  /* bytes in flight before */
    bool dupack;      /* neither data, nor FIN, nor a window that changed */
    struct tcp_sack sack;
    struct tcp_news news;
};

/* The connection's scoreboard, taken and filled if it has none. NULL: the pool is empty. */
struct tcp_board *tcp_board_begin(struct net_stack *st, struct tcp_conn *c);
/* A segment whose options may hold SACK blocks: takes a board if they say something new. Before snd_una moves. */
void tcp_sack_rx(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s);
/* An ACK of a connection with a board; snd_una has been moved. acked, flight, rtt: as in tcp_cc.h. */
void tcp_loss_ack(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s, uint32_t acked, uint32_t flight,
                  bool dupack);
/* len sequence numbers up to snd_nxt were sent, for the first time. */
void tcp_loss_sent(struct net_stack *st, struct tcp_conn *c, uint32_t len);
/* [start, end) was sent again. */
void tcp_loss_resent(struct net_stack *st, struct tcp_conn *c, tcp_seq start, tcp_seq end);
/* May what is lost be sent again now? False while F-RTO tries with new data. */
bool tcp_loss_may_resend(const struct tcp_conn *c);
void tcp_loss_timeout(struct net_stack *st, struct tcp_conn *c);
void tcp_loss_reo(struct net_stack *st, struct tcp_conn *c);

/* tcp_prr.c. RFC 6937. */
void tcp_prr_begin(struct tcp_conn *c, uint32_t flight);
/* delivered: bytes. clean: snd_una advanced and nothing more is lost. Sets cwnd. */
void tcp_prr_ack(struct tcp_conn *c, uint32_t delivered, bool clean);

/* tcp_undo.c */
/* Before the congestion window comes down. */
void tcp_undo_save(struct net_stack *st, struct tcp_conn *c);
/* The bytes are sent again. */
void tcp_undo_resent(struct net_stack *st, struct tcp_board *b, uint32_t bytes);
/* True: the ACK's timestamp shows that what was sent again had arrived at first. RFC 3522. */
bool tcp_undo_eifel(struct tcp_board *b, const struct tcp_segment *s);
/* True: with this D-SACK all that was sent again since has been reported as duplicate. RFC 3708. */
bool tcp_undo_dsack(struct tcp_board *b, const struct tcp_range *dup, tcp_seq recover);
/* Gives back what the reduction took. RFC 4015. */
void tcp_undo(struct net_stack *st, struct tcp_conn *c);
/* The round trip by the ACK's timestamp, at most twice the timeout that has proved too short: RFC 4015 3. */
void tcp_undo_rtt(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s);

/* tcp_tlp.c. RFC 8985 7. */
/* ns until a probe of the tail; 0: none, but the retransmission timeout. */
uint64_t tcp_tlp_delay(const struct net_stack *st, const struct tcp_conn *c);
/* The probe is due: it is left to the output. False: it cannot be sent. */
bool tcp_tlp_due(struct net_stack *st, struct tcp_conn *c);
void tcp_tlp_sent(struct net_stack *st, struct tcp_conn *c, bool again);
/* True: the probe has mended a loss that nothing else shows, so the window is to come down. */
bool tcp_tlp_ack(struct tcp_conn *c, const struct tcp_loss_event *e);

/* tcp_newreno.c: peers without SACK, or with the pool empty. RFC 5681, 6582. */
void tcp_newreno_duplicate(struct net_stack *st, struct tcp_conn *c);
/* An ACK during recovery; snd_una has been moved by acked bytes. */
void tcp_newreno_ack(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s, uint32_t acked);
void tcp_newreno_timeout(struct net_stack *st, struct tcp_conn *c);

#endif
