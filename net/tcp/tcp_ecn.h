/*
 * Explicit congestion notification: RFC 3168, and RFC 8257 3.2 for algorithms that want each mark.
 *
 * TCPF_ECN: both sides agreed; while our SYN is unanswered, that it asked. TCPF_ECE: our ACKs carry an echo. TCPF_CWR:
 * the next new data says that we have slowed down. A segment whose packet was marked on the way carries TCP_CE.
 */
#ifndef POLAR_NET_TCP_TCP_ECN_H
#define POLAR_NET_TCP_TCP_ECN_H

#include <stdbool.h>
#include <stdint.h>
#include "net/tcp/tcp.h"

/* Flags to add to a SYN or SYN-ACK that is sent now. A SYN that is sent again does not ask: its answer may have been
 * lost for the question's sake. RFC 3168 6.1.1.1. */
uint8_t tcp_ecn_syn_flags(const struct net_stack *st, struct tcp_conn *c);
/* Whether a SYN with these flags is answered with consent. For those that keep no connection for it. */
bool tcp_ecn_syn_accepts(const struct net_stack *st, uint16_t flags);
/* The peer's SYN or SYN-ACK: agreed or not. */
void tcp_ecn_syn_rx(const struct net_stack *st, struct tcp_conn *c, uint16_t flags);
/* An acceptable segment of a connection with TCPF_ECN, before its ACK and payload are taken. */
void tcp_ecn_rx(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s);
/* A segment that is sent now with TCPF_ECN: its TCP flags. *ip_sum and the IP header at ip become ECN-capable if it is
 * new data (not what is sent again, no probe, no bare ACK: RFC 3168 6.1.4 to 6.1.6). */
uint8_t tcp_ecn_tx(const struct tcp_conn *c, tcp_seq seq, uint32_t len, uint8_t *ip, uint64_t *ip_sum);
/* SYN, SYN-ACK or RST of a connection whose ends agree, or are to agree, under an algorithm that wants each mark: where
 * queues are kept short by marks, what cannot be marked is dropped. RFC 8257 3.5; elsewhere RFC 3168 6.1.1 forbids it. */
void tcp_ecn_capable(uint8_t *ip, uint64_t *ip_sum);
bool tcp_ecn_exact(const struct net_stack *st); /* of connections that are not there yet */
/* Whether the packet with this IP header met a mark: RFC 3168 5. In IPv6 the traffic class lies four bits later. */
static inline bool tcp_ecn_marked(const uint8_t *ip, bool v6) { return ((v6 ? ip[1] >> 4 : ip[1]) & 3) == 3; }

/* cwnd is coming down, for whatever reason: the receiver is told, and echoes of this window change nothing more. */
void tcp_ecn_reduced(struct tcp_conn *c);

#endif
