/* TCP's parts to one another and to the stack: for net/ only. Everything is for the core of the stack. */
#ifndef POLAR_NET_TCP_TCP_H
#define POLAR_NET_TCP_TCP_H

#include <stdbool.h>
#include <stdint.h>
#include <rte_mbuf.h>
#include "net/stack_impl.h"
#include "net/tcp/conn.h"
#include "net/tcp/tcp_reassembly.h"
#include "net/tcp/tcp_syncache.h"
#include "net/tcp/tcp_tuple.h"

#define TCP_FIN 0x01u
#define TCP_SYN 0x02u
#define TCP_RST 0x04u
#define TCP_PSH 0x08u
#define TCP_ACK 0x10u
#define TCP_URG 0x20u
#define TCP_ECE 0x40u
#define TCP_CWR 0x80u
#define TCP_CE 0x100u                 /* not of the header: the packet met a congestion mark (RFC 3168 5) */
#define TCP_FAST_OPEN_ASKED 0x200u     /* nor this: the answer to a SYN carries a cookie (RFC 7413 4.1.2) */

#define TCP_HEADER_BYTES 20u
#define TCP_IPV4_BYTES 20u             /* IP headers as we send them: no options */
#define TCP_IPV6_BYTES 40u
#define TCP_FRAME_HEADER_MAX 78u       /* Ethernet, VLAN tag, IPv6, TCP without options */
#define TCP_TS_BYTES 12u               /* NOP NOP TS */
#define TCP_OPTIONS_MAX 40u
#define TCP_MSS_DEFAULT 536u           /* of a peer that does not say: RFC 9293 3.7.1; over IPv6: */
#define TCP_MSS_DEFAULT_V6 1220u
#define TCP_MSS_LEAST 64u              /* a smaller MSS is not believed: it would cost more headers than payload */
#define TCP_SCALE_MAX 14u              /* RFC 7323 2.3 */
#define TCP_RETRIES_DATA 15u
#define TCP_RETRIES_SYN 7u            /* 1, 2, 4 ... 32, 60, 60 s: three minutes, RFC 9293 3.8.3 */
#define TCP_LINGER_NS UINT64_C(30000000000) /* an orphan without progress is reset after so long */
#define TCP_SCARCE_WINDOW 4096u       /* bytes offered, at most, while received bytes hold most of the memory */
#define TCP_NO_BUFFER_NS UINT64_C(100000)   /* another try after buffers ran out */
#define TCP_OOO_MAX 512u               /* buffers held out of order, a connection */
#define TCP_CHALLENGES 10u             /* challenge ACKs of a connection, at most, ... */
#define TCP_CHALLENGE_SHIFT 12u        /* ... in 2^12 ticks of the timestamp clock, 4.3 s: RFC 5961 7 */

/* What frames outside of a connection begin with, up to the two ports: tcp_frame.c. */
struct tcp_header {
    uint8_t bytes[TCP_HEADER_TEMPLATE];
    uint64_t pseudo_sum;     /* of addresses and protocol */
    uint64_t ip_sum;         /* of the IPv4 header, its total length zero; IPv6: 0 */
    bool v6;
};

/* A received segment; numbers in host byte order. */
struct tcp_segment {
    struct rte_mbuf *m;    /* NULL once its payload has been taken */
    uint64_t key;          /* tcp_tuple.h */
    uint32_t guess;        /* what the connection table probably says */
    uint32_t ports;        /* as they lie in the segment */
    tcp_seq seq, ack;
    uint32_t len;          /* payload bytes */
    uint32_t payload_off;  /* in m */
    uint32_t ts_val, ts_ecr; /* valid with has_ts */
    uint16_t wnd;          /* as in the header, not scaled */
    uint8_t ip_at;         /* in m */
    bool v6;
    uint16_t flags;        /* and TCP_CE */
    uint8_t options_len;
    bool has_ts;
    const uint8_t *frame;  /* Ethernet header */
    const uint8_t *options;
};

struct tcp_options {
    uint16_t mss;          /* 0: not given */
    uint8_t scale;         /* valid with has_scale */
    bool has_scale, has_ts, sack_permitted;
    bool has_fast_open;       /* RFC 7413 2.1.1 */
    uint8_t fast_open_len;    /* of the cookie: 4..16; 0: one is asked for */
    uint32_t ts_val, ts_ecr;
    const uint8_t *fast_open; /* the cookie, where it lies */
};

/* tcp_options.c. False: malformed (the segment is to be dropped). */
bool tcp_options_parse(const uint8_t *p, uint32_t len, struct tcp_options *out);
/* MSS, SACK-permitted, timestamps, scale and fast open of a SYN; returns the bytes written, a multiple of 4, and adds
 * their sum (checksum.h). */
uint32_t tcp_options_write_syn(uint8_t *p, const struct tcp_options *o, uint64_t *sum);

/* tcp_rx.c. Takes s->m. */
void tcp_input(struct net_stack *st, struct tcp_segment *s);

/* tcp_ack.c */
/* Everything up to ack, within (snd_una, snd_max], has arrived. */
void tcp_ack_advance(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s);
/* RFC 9293 3.10.7.4, fifth. False: the segment is not to be processed further. */
bool tcp_ack_rx(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s);
/* RFC 6298 2.2, 2.3. */
void tcp_rtt_sample(struct net_stack *st, struct tcp_conn *c, uint64_t rtt_ns);

/* tcp_reassembly.c */
/* Payload of s, which begins at rcv_nxt or before and fits the window, goes to the stream. Takes s->m. */
void tcp_deliver(struct net_stack *st, struct tcp_conn *c, struct tcp_segment *s);
void tcp_payload_rx(struct net_stack *st, struct tcp_conn *c, struct tcp_segment *s);
/* A segment outside the window: what of it has come before is to be reported. RFC 2883 4. */
void tcp_payload_old(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s);
void tcp_ooo_free(struct tcp_conn *c);
/* Ranges held out of order, the newest first (RFC 2018 4); returns how many. */
unsigned tcp_ooo_ranges(const struct tcp_conn *c, struct tcp_range *out, unsigned max);

/* tcp_output.c */
/* Sends what the connection has to say. */
void tcp_output(struct net_stack *st, struct tcp_conn *c);
/* The window to put into a header sent now; raises rcv_adv. */
uint16_t tcp_window_offer(const struct net_stack *st, struct tcp_conn *c, uint8_t scale);
/* snd_nxt goes back to snd_una: all that is in flight is sent again as the window allows. */
void tcp_output_rewind(struct tcp_conn *c);
/* The opposite: nothing that was sent needs to be sent again. */
void tcp_output_forward(struct tcp_conn *c);
/* An ACK in this turn for s, which is not to be taken: back to where s came from. The connection's own way stays: a forged
 * segment must not move it, and a peer that has come back elsewhere must hear us all the same. */
void tcp_output_answer(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s);
/* The n bytes at the head of txq are acknowledged. */
void tcp_output_consume(struct tcp_conn *c, uint32_t n);

/* tcp_frame.c: headers. */
void tcp_templates_init(struct net_stack *st);
void tcp_header_write(const struct net_stack *st, struct tcp_header *h, const struct tcp_tuple *t, const uint8_t *mac);
/* Of the answer to s: back to where it came from, at the link too. */
void tcp_header_reply(const struct net_stack *st, struct tcp_header *h, const struct tcp_segment *s);
void tcp_segment_tuple(const struct tcp_segment *s, struct tcp_tuple *t);
/* The tuple of a connection from a packet that we sent: its IP header at ip, len bytes of it. False: no such packet. */
bool tcp_tuple_of_sent(const uint8_t *ip, uint32_t len, struct tcp_tuple *t);

/* The payload of a full segment without options. */
static inline uint16_t tcp_mss_local(const struct net_stack *st, bool v6)
{
    return (uint16_t)(st->config.mtu - (v6 ? TCP_IPV6_BYTES : TCP_IPV4_BYTES) - TCP_HEADER_BYTES);
}

/* tcp_flow.c: whose a connection is. */
/* True: of IPv6; memory is taken for them, and there is some for each connection and half-open one. */
bool tcp_addrs_set(struct net_stack *st, union tcp_addrs *a, const struct tcp_tuple *t);
void tcp_addrs_drop(struct net_stack *st, union tcp_addrs *a, bool v6); /* gives it back */
/* t's addresses; not its ports. */
void tcp_addrs_tuple(const union tcp_addrs *a, bool v6, struct tcp_tuple *t);
static inline bool tcp_conn_v6(const struct tcp_conn *c) { return c->flags & TCPF_V6; }
static inline void tcp_conn_set_mac(struct tcp_conn *c, const uint8_t *mac) { memcpy(c->mac, mac, sizeof c->mac); }
void tcp_conn_set_tuple(struct net_stack *st, struct tcp_conn *c, const struct tcp_tuple *t);
void tcp_conn_drop_tuple(struct net_stack *st, struct tcp_conn *c);
void tcp_conn_tuple(const struct tcp_conn *c, struct tcp_tuple *t);
struct net_addr tcp_conn_remote(const struct tcp_conn *c);
uint64_t tcp_conn_key(const struct net_stack *st, const struct tcp_conn *c); /* tcp_tuple.h */
bool tcp_conn_matches_v6(const struct tcp_conn *c, const struct tcp_segment *s);

/* Whether s belongs to c's flow. */
static inline bool tcp_conn_matches(const struct tcp_conn *c, const struct tcp_segment *s)
{
    if (c->ports != (s->ports << 16 | s->ports >> 16)) return false;
    if (unlikely(s->v6)) return tcp_conn_matches_v6(c, s);
    uint64_t ours, theirs;
    memcpy(&ours, c->addrs.v4, sizeof ours);
    memcpy(&theirs, s->frame + s->ip_at + 12, sizeof theirs);
    return ours == (theirs << 32 | theirs >> 32) && !tcp_conn_v6(c);
}

/* The connection of t in any state but TIME-WAIT, or NULL. */
struct tcp_conn *tcp_conn_find(struct net_stack *st, const struct tcp_tuple *t);

/* tcp_frame.c: building frames. False: no buffer; nothing was sent. */
/* len bytes of txq from byte off of segment m on. */
bool tcp_frame_send(struct net_stack *st, struct tcp_conn *c, tcp_seq seq, uint8_t flags, const struct rte_mbuf *m,
                    uint32_t off, uint32_t len);
/* Returns how many bytes of txq it carries (fast open), or -ENOBUFS. */
int tcp_frame_send_syn(struct net_stack *st, struct tcp_conn *c);
/* The answer to a SYN before there is a connection. ts_val: our timestamp, where the peer has them too. */
bool tcp_frame_send_syn_ack(struct net_stack *st, const struct tcp_header *h, const struct tcp_handshake *hs,
                            uint32_t ts_val);
/* The same for the SYN s that has just come, back to where it came from; in its own buffer where that will do, which is
 * taken then. */
bool tcp_frame_answer_syn(struct net_stack *st, struct tcp_segment *s, const struct tcp_handshake *hs, uint32_t ts_val);
/* A segment of c without payload, window and options. False: no buffer. */
bool tcp_frame_send_alone(struct net_stack *st, const struct tcp_conn *c, tcp_seq seq, tcp_seq ack, uint8_t flags);
/* A segment that stands alone. ts: NULL, or val and ecr. */
bool tcp_frame_send_bare(struct net_stack *st, const struct tcp_header *h, tcp_seq seq, tcp_seq ack, uint8_t flags,
                         const uint32_t *ts);
/* The answer to a segment for no connection: RFC 9293 3.10.7.1. Rate-limited: who scans or floods is not echoed. */
void tcp_frame_refuse(struct net_stack *st, const struct tcp_segment *s);

/* tcp_timer.c */
/* The connection's deadlines have changed. */
void tcp_timer_rearm(struct net_stack *st, struct tcp_conn *c);
unsigned tcp_timers(struct net_stack *st);
/* linger_at so many ns from now; a connection lingers, or is watched, for milliseconds at least. */
void tcp_linger_set(struct net_stack *st, struct tcp_conn *c, uint64_t after_ns);
tcp_tick tcp_linger_tick(const struct net_stack *st, const struct tcp_conn *c); /* linger_at is not 0 */
/* Starts it anew: the timer for what is in flight, a tail loss probe's where one is allowed. */
void tcp_rexmt_start(struct net_stack *st, struct tcp_conn *c);
uint64_t tcp_rto(const struct net_stack *st, const struct tcp_conn *c); /* ns, with backoff */

/* The earliest of them; 0: none. */
static inline tcp_tick tcp_conn_deadline(const struct net_stack *st, const struct tcp_conn *c)
{
    tcp_tick at = tcp_tick_min(c->rexmt_at, c->output_at);
    return likely(!c->linger_at) ? at : tcp_tick_min(at, tcp_linger_tick(st, c));
}

/* The wheel is only touched when at lies before what it is armed for. */
static inline void tcp_timer_by(struct net_stack *st, struct tcp_conn *c, tcp_tick at)
{
    if (!c->timer.tick || tcp_tick_before(at, c->timer.tick)) tcp_timer_rearm(st, c);
}

/* tcp_open.c */
/* NULL: none free. */
struct tcp_conn *tcp_conn_alloc(struct net_stack *st, uint64_t key, const struct tcp_tuple *t, const uint8_t *mac);
bool tcp_conns_full(const struct net_stack *st);
/* A segment of no connection. Not NULL: it completes a handshake; the connection, in SYN_RCVD, is to process it. */
struct tcp_conn *tcp_listen_rx(struct net_stack *st, struct tcp_segment *s);
/* A listener's connection, in SYN_RCVD, for the ACK s of a handshake. There is room: tcp_conns_full has said so. */
struct tcp_conn *tcp_open_passive(struct net_stack *st, const struct tcp_segment *s, const struct tcp_handshake *hs);
void tcp_syn_sent_rx(struct net_stack *st, struct tcp_conn *c, struct tcp_segment *s);
/* The handshake is complete. False: the connection is gone. */
bool tcp_established(struct net_stack *st, struct tcp_conn *c);
/* Who takes a SYN to this address and port of ours, or NULL. */
struct tcp_listener *tcp_listener_find(struct net_stack *st, const struct net_addr *addr, uint16_t port);
/* Who takes s, or NULL. */
struct tcp_listener *tcp_listener_of(struct net_stack *st, const struct tcp_segment *s);
/* The window of our SYN or SYN-ACK, which is never scaled: RFC 7323 2.2. */
static inline uint16_t tcp_syn_window(const struct net_stack *st)
{
    return (uint16_t)RTE_MIN(st->config.rx_window, (uint32_t)UINT16_MAX);
}

/* tcp_isn.c. RFC 6528. */
tcp_seq tcp_isn(const struct net_stack *st, uint64_t key);
uint64_t siphash(const uint64_t secret[2], const void *data, uint32_t len);
/* The same of 15 bytes, the second word's highest being 0: a hash of as few rounds as two words can have. */
uint64_t siphash_15(const uint64_t secret[2], uint64_t first, uint64_t second);

/* tcp_close.c */
/* Half-close: FIN behind what is queued. */
void tcp_close_send(struct net_stack *st, struct tcp_conn *c);
void tcp_fin_rx(struct net_stack *st, struct tcp_conn *c);
/* Our FIN is acknowledged. False: the connection is gone from the wire. */
bool tcp_fin_acked(struct net_stack *st, struct tcp_conn *c);
/* Gone from the wire without grace; the handler learns err (an errno value), an orphan is freed. */
void tcp_conn_fail(struct net_stack *st, struct tcp_conn *c, int err);
/* Gone from the wire in good order: an orphan is freed, else it waits for its handler. */
void tcp_conn_done(struct net_stack *st, struct tcp_conn *c);
void tcp_conn_reset(struct net_stack *st, struct tcp_conn *c); /* sends an RST; the state stays */
void tcp_conn_free(struct net_stack *st, struct tcp_conn *c);
/* RFC 5961; limited in rate, which counts what is withheld. */
void tcp_challenge(struct net_stack *st, struct tcp_conn *c, const struct tcp_segment *s);

/* tcp_stream.c: what each stack has a copy of, so that a connection knows its stack by its stream's ops. */
extern const struct stream_ops tcp_stream_ops;

static inline struct net_stack *tcp_stack_of(const struct tcp_conn *c)
{
    return (struct net_stack *)(void *)((char *)(uintptr_t)c->stream.ops - offsetof(struct net_stack, stream_ops));
}

static inline void tcp_raise(struct tcp_conn *c, uint32_t events)
{
    if (!(c->flags & TCPF_ORPHAN)) stream_raise(&c->stream, events);
}

#endif
