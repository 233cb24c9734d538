/*
 * SYN cookies: the handshake's state in our initial sequence number, where no entry is to be had. RFC 4987 3.6.
 *
 *     31                      4   3      2..0
 *     keyed hash, 28 bits       epoch   MSS index
 *
 * The key is derived anew each epoch (69 s); a cookie is good in its own epoch and the next. Window scale,
 * SACK-permitted and ECN ride in the low bits of our timestamp, which the peer echoes; a peer without timestamps gets
 * none of them. Core of the stack only.
 */
#ifndef POLAR_NET_TCP_COOKIE_H
#define POLAR_NET_TCP_COOKIE_H

#include <stdbool.h>
#include <stdint.h>
#include "net/tcp/tcp_syncache.h"

struct tcp_cookies {
    uint64_t epoch[2];   /* that each key is for, by its parity; UINT64_MAX: none yet */
    uint64_t keys[2][2];
    uint64_t good_until; /* ns: no cookie that was sent is good after */
};

void tcp_cookies_init(struct tcp_cookies *ck);
/* Our initial sequence number for s; hs loses what a cookie cannot keep. Returns the timestamp to send with it. */
uint32_t tcp_cookie_make(struct net_stack *st, const struct tcp_segment *s, struct tcp_handshake *hs);
/* Whether s acknowledges a cookie of ours; fills hs. A peer has one chance in 2^28 to guess one. */
bool tcp_cookie_check(struct net_stack *st, const struct tcp_segment *s, struct tcp_handshake *hs);

#endif
