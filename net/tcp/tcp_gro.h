/*
 * Segments of one connection that follow one another in a receive burst become one, in software, as a device with LRO
 * makes them: buffers are chained, nothing is copied. What would not mean the same is left alone: another flag than ACK
 * and PSH, a congestion mark, options beside the timestamp, another timestamp, acknowledgement or window, a packet with
 * another TTL or traffic class. PSH ends what is joined. A joined segment carries RTE_MBUF_F_RX_LRO and tso_segsz, so
 * that it counts as the several that it was (tcp_segment_piece). Checksums have been verified before.
 */
#ifndef POLAR_NET_TCP_TCP_GRO_H
#define POLAR_NET_TCP_TCP_GRO_H

#include "net/tcp/tcp.h"

#define TCP_GRO_LEAST 513u  /* payload: small slices join their predecessor's buffer instead (tcp_reassembly.c) */
#define TCP_GRO_MOST 32768u /* payload of what is joined */

uint16_t tcp_gro_join(struct net_stack *st, struct tcp_segment *s, uint16_t left);

/* s[0] and those of the `left` segments there that follow it and can be joined to it. Returns how many s[0] now is. */
static inline uint16_t tcp_gro(struct net_stack *st, struct tcp_segment *s, uint16_t left)
{
    if (left < 2 || s[1].key != s[0].key || s[0].len < TCP_GRO_LEAST) return 1;
    return tcp_gro_join(st, s, left);
}

/* Payload of one of the segments that s is made of: joined here or by the device, or one alone. */
static inline uint32_t tcp_segment_piece(const struct tcp_segment *s)
{
    bool joined = s->m->ol_flags & RTE_MBUF_F_RX_LRO && s->m->tso_segsz && s->m->tso_segsz < s->len;
    return joined ? s->m->tso_segsz : s->len;
}

#endif
