/* RACK: what is lost, by time. RFC 8985 6. */
#ifndef POLAR_NET_TCP_TCP_RACK_H
#define POLAR_NET_TCP_TCP_RACK_H

#include "net/tcp/tcp_board.h"

/* An ACK has come: how closely they follow one another. srtt: ns. */
void tcp_rack_heard(struct tcp_board *b, uint64_t now, uint64_t srtt);
/* A D-SACK has come: the window was too narrow. Once a round trip. */
void tcp_rack_dsack(struct tcp_board *b, tcp_seq una, tcp_seq nxt);
/* A recovery has ended: RFC 8985 6.2 step 4. */
void tcp_rack_recovered(struct tcp_board *b);
/* How long after its turn a segment may arrive. ns. mss: bytes. */
uint64_t tcp_rack_window(const struct tcp_board *b, uint64_t srtt, uint32_t mss);
/* Marks what is lost. Returns the ns until the next of those still waited for may be lost; 0: there is none. */
uint64_t tcp_rack_detect(struct tcp_board *b, uint64_t now, uint64_t window);
/* After a timeout: the first segment is lost, and what was sent so long ago that it must be. RFC 8985 6.3. */
void tcp_rack_timeout(struct tcp_board *b, uint64_t now, uint64_t window);

#endif
