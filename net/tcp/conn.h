/*
 * One TCP connection. The first lines are what a segment of an established connection touches; the rest is for set-up,
 * loss and tear-down. Connections come from the stack's pool (stack_impl.h) and go back to it with tcp_conn_free.
 *
 * States and who moves them (RFC 9293 3.3.2):
 *
 *   (none) -> SYN_SENT                   net_connect             tcp_open.c
 *   (none) -> SYN_RCVD                   the ACK of a handshake  tcp_syncache.c, tcp_cookie.c (half-open ones are theirs)
 *   SYN_SENT -> ESTABLISHED | SYN_RCVD   tcp_syn_sent_rx         tcp_open.c
 *   SYN_RCVD -> ESTABLISHED              tcp_established         tcp_open.c
 *   ESTABLISHED -> FIN_WAIT_1, CLOSE_WAIT -> LAST_ACK            tcp_close_send     tcp_close.c
 *   ESTABLISHED -> CLOSE_WAIT, FIN_WAIT_1 -> CLOSING, FIN_WAIT_2 -> TIME-WAIT   tcp_fin_rx         tcp_close.c
 *   FIN_WAIT_1 -> FIN_WAIT_2, CLOSING -> TIME-WAIT, LAST_ACK -> CLOSED          tcp_fin_acked      tcp_close.c
 *   any -> CLOSED                        tcp_conn_fail           tcp_close.c
 *
 * TIME-WAIT is no state of this struct but a small record (tcp_time_wait.h). CLOSED is gone from the wire and waits for
 * its handler to close or abort the stream.
 */
#ifndef POLAR_NET_TCP_CONN_H
#define POLAR_NET_TCP_CONN_H

#include <stddef.h>
#include <stdint.h>
#include "base/stream.h"
#include "net/tcp/seq.h"
#include "net/tcp/wheel.h"

enum tcp_state {
    TCPS_FREE,
    TCPS_CLOSED,
    TCPS_SYN_SENT,
    TCPS_SYN_RCVD,
    TCPS_ESTABLISHED,
    TCPS_FIN_WAIT_1,
    TCPS_FIN_WAIT_2,
    TCPS_CLOSE_WAIT,
    TCPS_CLOSING,
    TCPS_LAST_ACK,
};

enum tcp_conn_flag {
    TCPF_TS = 1u << 0,            /* timestamps negotiated */
    TCPF_SACK = 1u << 1,          /* the peer takes SACK blocks */
    TCPF_SLOW = 1u << 2,          /* in recovery: no header prediction */
    TCPF_DIRTY = 1u << 3,         /* on the list for net_stack_output */
    TCPF_ACK_NOW = 1u << 4,       /* an ACK is owed in this turn */
    TCPF_FIN_QUEUED = 1u << 5,    /* FIN follows the last byte of txq */
    TCPF_SYN_DUE = 1u << 6,       /* SYN or SYN-ACK to be sent (again) */
    TCPF_RESEND_HEAD = 1u << 7,   /* the segment at snd_una to be sent again */
    TCPF_PERSIST = 1u << 8,       /* rexmt_at is the next window probe */
    TCPF_PROBE_DUE = 1u << 9,     /* a window probe to be sent */
    TCPF_ORPHAN = 1u << 10,       /* the handler has closed the stream */
    TCPF_EOF = 1u << 11,          /* the peer's FIN is in */
    TCPF_TIMING = 1u << 12,       /* rtt_seq is being timed */
    TCPF_PASSIVE = 1u << 14,      /* opened by the peer */
    TCPF_SCALE = 1u << 15,        /* window scale negotiated */
    TCPF_FIN_SEEN = 1u << 16,     /* the peer's FIN came out of order; fin_seq is its number */
    TCPF_NAGLE = 1u << 17,        /* a small segment waits while something is in flight */
    TCPF_RX_FULL = 1u << 18,      /* received bytes hold all the memory that they may */
    TCPF_PATH = 1u << 19,         /* segments are shorter than they may be: tcp_path.h */
    TCPF_ECN = 1u << 24,          /* see tcp_ecn.h */
    TCPF_ECE = 1u << 25,
    TCPF_CWR = 1u << 26,
    TCPF_BOARD = 1u << 27,        /* the board knows what is in flight */
    TCPF_PTO = 1u << 28,          /* rexmt_at is the tail loss probe's */
    TCPF_REO = 1u << 29,          /* rexmt_at is when RACK looks again */
    TCPF_TLP_DUE = 1u << 30,      /* a tail loss probe to be sent */
};

#define TCP_NEVER UINT64_MAX
#define TCP_CONN_BYTES 448u         /* seven cache lines; what only trouble needs is lent: tcp_pools.h */
#define TCP_CC_WORDS 6u
#define TCP_TS_SHIFT 20u           /* a tick of our timestamp clock is 2^20 ns */
#define TCP_HEADER_TEMPLATE 64u /* at most: Ethernet, VLAN tag, IPv6, the two ports; and room to copy by whole words */

struct net_stack;

/* What each frame of a flow begins with, up to the two ports: tcp_frame.c. */
struct tcp_header {
    uint8_t bytes[TCP_HEADER_TEMPLATE];
    uint16_t pseudo_sum;     /* of addresses and protocol, folded */
    uint16_t ip_sum;         /* of the IPv4 header, its total length zero, folded; IPv6: 0 */
    uint8_t ip_at, tcp_at;   /* offsets */
};

struct tcp_conn {
    /* receive and acknowledge */
    uint64_t key;            /* tcp_tuple.h; 0: not in the table */
    tcp_seq rcv_nxt;
    tcp_seq rcv_adv;         /* right edge of the widest window that was offered */
    tcp_seq last_ack;        /* rcv_nxt of the last ACK sent */
    tcp_seq snd_una;
    tcp_seq snd_nxt;
    tcp_seq snd_max;         /* highest snd_nxt; they differ while what was lost is sent again */
    uint32_t snd_wnd;        /* bytes */
    uint32_t ts_recent;
    uint32_t cwnd;           /* bytes */
    tcp_seq rtt_seq;         /* the sample ends when snd_una passes this */
    uint32_t flags;          /* enum tcp_conn_flag */
    uint16_t mss;            /* payload bytes of a full segment we send, options deducted */
    uint8_t state;
    uint8_t snd_scale, rcv_scale;
    uint8_t dupacks;
    uint8_t retries;         /* of the same segment or probe: the backoff */
    uint8_t probes;          /* not answered */
    uint32_t next_dirty;     /* pool index + 1 */

    /* send queue and deadlines */
    struct buf_chain txq;    /* from snd_una on: sent and not acknowledged, then not yet sent */
    struct rte_mbuf *tx_m;   /* segment of txq that holds the byte at snd_nxt; NULL: the end of the queue at that time */
    uint32_t tx_off;
    uint32_t rx_held;        /* bytes given to the stream and not yet consumed */
    uint64_t rexmt_at;       /* ns: retransmission, or probe with TCPF_PERSIST */
    uint64_t output_at;      /* ns: delayed ACK, or another try after buffers ran out */
    uint64_t armed_at;       /* ns for which the wheel is armed; at most the earliest deadline */

    /* the handler's view, and what every sent frame begins with */
    struct stream stream;
    struct tcp_header header;

    /* round trip and congestion */
    uint64_t rtt_start;      /* ns */
    uint64_t sent_at;        /* ns of the last data segment sent for the first time */
    uint64_t srtt, rttvar, rto; /* ns */
    struct net_stack *stack;
    tcp_seq snd_wl1;         /* of the last window update; its ACK was at most snd_una: RFC 9293's SND.WL2 would say no more */
    uint32_t heard;          /* our timestamp clock at the last acceptable segment */
    uint32_t ssthresh;       /* bytes */
    tcp_seq recover;         /* recovery ends when snd_una reaches this */

    /* seldom used */
    struct wheel_node timer;
    uint64_t linger_at;      /* ns: an orphan is reset; another is looked at (tcp_keepalive.c) */
    struct tcp_ooo *ooo;     /* received out of order or twice; NULL: nothing */
    struct tcp_board *board; /* what is in flight, once something is amiss (TCPF_BOARD), or only what to undo; or NULL */
    uint32_t rx_memory;      /* bytes of the buffers that hold rx_held */
    uint32_t snd_wnd_max;
    tcp_seq iss, fin_seq;
    uint32_t ts_recent_age;  /* about seconds, when ts_recent was taken */
    uint16_t rcv_mss;        /* longest segment seen */
    uint16_t peer_mss;
    uint32_t retransmits;    /* segments sent again */
    tcp_seq cwr_seq;         /* snd_max when cwnd last came down, with TCPF_ECN */
    tcp_seq watch_una;       /* snd_una at the last look */
    uint8_t stalls;          /* looks without progress */
    uint8_t tuning;          /* index of what the application has set: tcp_tuning.h */
    uint8_t cc;              /* enum net_tcp_cc */
    uint32_t cc_state[TCP_CC_WORDS]; /* the algorithm's own */
};

_Static_assert(sizeof(struct tcp_conn) <= TCP_CONN_BYTES, "fits its slot of the pool");
_Static_assert(offsetof(struct tcp_conn, txq) == 64, "first line");
_Static_assert(offsetof(struct tcp_conn, stream) == 128, "second line");

static inline struct tcp_conn *tcp_conn_of(struct stream *s)
{
    return (struct tcp_conn *)((char *)s - offsetof(struct tcp_conn, stream));
}

#endif
