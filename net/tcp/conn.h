/*
 * One TCP connection. The first lines are what a segment of an established connection touches; the rest is for set-up,
 * loss and tear-down. Connections come from the stack's pool (stack_impl.h) and go back to it with tcp_conn_free.
 *
 * States and who moves them (RFC 9293 3.3.2):
 *
 *   (none) -> SYN_SENT                   net_connect             tcp_open.c
 *   (none) -> SYN_RCVD                   the ACK of a handshake  tcp_syncache.c, tcp_cookie.c (half-open ones are theirs)
 *   (none) -> ESTABLISHED                a SYN with data         tcp_fast_open.c, with TCPF_FAST_OPEN
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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/stream.h"
#include "net/tcp/seq.h"
#include "net/tcp/tcp_tuple.h"
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
    TCPF_PATH = 1u << 13,         /* segments are shorter than they may be: tcp_path.h */
    TCPF_PASSIVE = 1u << 14,      /* opened by the peer */
    TCPF_SCALE = 1u << 15,        /* window scale negotiated */
    TCPF_FIN_SEEN = 1u << 16,     /* the peer's FIN came out of order; fin_seq is its number */
    TCPF_NAGLE = 1u << 17,        /* a small segment waits while something is in flight */
    TCPF_RX_FULL = 1u << 18,      /* received bytes hold all the memory that they may */
    TCPF_V6 = 1u << 19,
    TCPF_QUICK = 7u << 20,        /* so many ACKs more are not delayed; TCP_QUICK_ALWAYS: none ever is */
    TCPF_FAST_OPEN = 1u << 23,    /* opened by a SYN with data, whose SYN-ACK is not acknowledged: tcp_fast_open.h */
    TCPF_ECN = 1u << 24,          /* see tcp_ecn.h */
    TCPF_ECE = 1u << 25,
    TCPF_CWR = 1u << 26,
    TCPF_BOARD = 1u << 27,        /* the board knows what is in flight */
    TCPF_PTO = 1u << 28,          /* rexmt_at is the tail loss probe's */
    TCPF_REO = 1u << 29,          /* rexmt_at is when RACK looks again */
    TCPF_TLP_DUE = 1u << 30,      /* a tail loss probe to be sent */
    TCPF_SMALL = 1u << 31,        /* with TCPF_NAGLE: a small segment is in flight, or was when there was last none */
};

#define TCP_QUICK_ONE (1u << 20) /* a unit of TCPF_QUICK */
#define TCP_QUICK_ALWAYS 7u
#define TCP_CONN_BYTES 320u       /* five cache lines; what only trouble needs is lent: tcp_pools.h */
#define TCP_CONN_HOT_LINES 4u     /* what an undisturbed segment touches */
#define TCP_CC_WORDS 6u
#define TCP_TS_SHIFT 20u          /* a tick of our timestamp clock is 2^20 ns */
#define TCP_FINE_SHIFT 4u         /* the unit of tcp_fine is 2^4 ns */
#define TCP_FINE_MAX_NS ((uint64_t)UINT32_MAX << TCP_FINE_SHIFT) /* 68 s */

struct net_stack;

/*
 * A connection's times have 32 bits each:
 *   tcp_tick   when something is due, in ticks of the wheel (2^14 ns), up to 9 hours ahead; 0: not at all
 *   tcp_fine   when something was, in 16 ns, up to 68 s ago; or a span of as much
 *   and in ticks of the timestamp clock, up to 26 days from now, where milliseconds will do
 */
typedef uint32_t tcp_tick;
typedef uint32_t tcp_fine;

/* A byte queue of segments, as a buf_chain; off is the sender's place in it. */
struct tcp_queue {
    struct rte_mbuf *head, *tail;
    uint32_t len;            /* bytes */
    uint32_t off;            /* in tx_m: the byte at snd_nxt */
};

struct tcp_conn {
    /* whose segments they are, and what the expected next one touches */
    union tcp_addrs addrs;   /* v6 with TCPF_V6 */
    uint32_t ports;          /* as they lie in what we send: ours, then the peer's */
    uint8_t mac[6];          /* where frames go */
    uint8_t state;
    uint8_t snd_scale;
    uint32_t flags;          /* enum tcp_conn_flag */
    tcp_seq rcv_nxt;
    tcp_seq rcv_adv;         /* right edge of the widest window that was offered */
    tcp_seq last_ack;        /* rcv_nxt of the last ACK sent */
    tcp_seq snd_una;
    tcp_seq snd_nxt;
    tcp_seq snd_max;         /* highest snd_nxt; they differ while what was lost is sent again */
    uint32_t ts_recent;
    uint32_t snd_wnd;        /* bytes */
    uint32_t next_dirty;     /* pool index + 1 */
    uint16_t mss;            /* payload bytes of a full segment we send, options deducted */
    uint8_t rcv_scale;
    uint8_t dupacks;

    /* send queue, receive memory, deadlines */
    struct tcp_queue txq;    /* from snd_una on: sent and not acknowledged, then not yet sent */
    struct rte_mbuf *tx_m;   /* segment of txq that holds the byte at snd_nxt; NULL: the end of the queue at that time */
    uint32_t rx_held;        /* bytes given to the stream and not yet consumed */
    uint32_t rx_memory;      /* bytes of the buffers that hold rx_held */
    uint32_t cwnd;           /* bytes */
    tcp_seq rtt_seq;         /* the sample ends when snd_una passes this */
    tcp_fine rtt_start;
    tcp_fine sent_at;        /* the last data segment sent for the first time */
    tcp_tick rexmt_at;       /* retransmission, or probe with TCPF_PERSIST */
    tcp_tick output_at;      /* delayed ACK, or another try after buffers ran out */

    /* round trip and congestion */
    uint32_t srtt, rttvar;   /* ns, up to 4 s */
    tcp_fine rto;            /* without backoff: up to 68 s */
    tcp_seq snd_wl1;         /* of the last window update; its ACK was at most snd_una: RFC 9293's SND.WL2 would say no more */
    uint32_t heard;          /* our timestamp clock at the last acceptable segment */
    uint32_t snd_wnd_max;
    struct wheel_node timer; /* armed for the earliest deadline or for less */
    uint16_t rcv_mss;        /* longest segment seen */
    uint8_t retries;         /* of the same segment or probe: the backoff */
    uint8_t probes;          /* not answered */
    uint32_t ssthresh;       /* bytes */
    tcp_seq recover;         /* recovery ends when snd_una reaches this */
    struct tcp_ooo *ooo;     /* received out of order or twice; NULL: nothing */

    struct stream stream;    /* the handler's view; its ops are the stack's own: tcp_stack_of */

    /* seldom used */
    struct tcp_board *board; /* what is in flight, once something is amiss (TCPF_BOARD), or only what to undo; or NULL */
    uint32_t linger_at;      /* timestamp clock: an orphan is reset; another is looked at (tcp_keepalive.c); 0: never */
    tcp_seq iss, fin_seq;
    tcp_seq cwr_seq;         /* snd_max when cwnd last came down, with TCPF_ECN */
    tcp_seq watch_una;       /* snd_una at the last look */
    uint32_t retransmits;    /* segments sent again */
    uint32_t cc_state[TCP_CC_WORDS]; /* the algorithm's own */
    uint16_t peer_mss; /* as it came in its SYN */
    uint8_t stalls;          /* looks without progress */
    uint8_t challenges, challenge_span; /* sent, in which span of time: tcp_challenge */
    uint8_t tuning;          /* index of what the application has set: tcp_tuning.h */
    uint8_t cc;              /* enum net_tcp_cc */
};

_Static_assert(sizeof(struct tcp_conn) <= TCP_CONN_BYTES, "fits its slot of the pool");
_Static_assert(offsetof(struct tcp_conn, txq) == 64, "first line");
_Static_assert(offsetof(struct tcp_conn, srtt) == 128, "second line");
_Static_assert(offsetof(struct tcp_conn, board) == 64 * TCP_CONN_HOT_LINES, "fourth line");

static inline tcp_tick tcp_tick_at(uint64_t ns) { return wheel_tick(ns); }
static inline bool tcp_tick_before(tcp_tick a, tcp_tick b) { return (int32_t)(a - b) < 0; }
/* The earlier of two, either of which may be none. */
static inline tcp_tick tcp_tick_min(tcp_tick a, tcp_tick b)
{
    if (!a || !b) return a | b;
    return tcp_tick_before(b, a) ? b : a;
}
static inline bool tcp_tick_due(tcp_tick at, tcp_tick now) { return at && !tcp_tick_before(now, at); }

static inline tcp_fine tcp_fine_at(uint64_t ns) { return (tcp_fine)(ns >> TCP_FINE_SHIFT); }
static inline uint64_t tcp_fine_since(tcp_fine at, uint64_t now_ns)
{
    return (uint64_t)(tcp_fine_at(now_ns) - at) << TCP_FINE_SHIFT;
}
static inline uint64_t tcp_fine_ns(tcp_fine span) { return (uint64_t)span << TCP_FINE_SHIFT; }

static inline struct tcp_conn *tcp_conn_of(struct stream *s)
{
    return (struct tcp_conn *)((char *)s - offsetof(struct tcp_conn, stream));
}

#endif
