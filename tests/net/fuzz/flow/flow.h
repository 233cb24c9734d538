/*
 * A peer for a fuzzer that knows its connections: what it sends is placed relative to what each of them has sent,
 * received and offered. All bytes of a stream are a function of their sequence number, so what arrives, on either side,
 * however often and in whatever pieces, can be told to be right.
 */
#ifndef POLAR_TESTS_NET_FUZZ_FLOW_FLOW_H
#define POLAR_TESTS_NET_FUZZ_FLOW_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/stream.h"
#include "net/stack.h"

#define FLOW_PEERS 4u
#define FLOW_FRAME 2048u
#define FLOW_PORT 7u         /* where the stack listens */
#define FLOW_PEER_PORT 4000u /* of the first peer; of active opens as well */
#define FLOW_HOSTAGES 1024u

enum { FLOW_FIN = 1, FLOW_SYN = 2, FLOW_RST = 4, FLOW_PSH = 8, FLOW_ACK = 16 };

/* A connection as its peer sees it, also when there is none. */
struct flow_peer {
    uint16_t port, stack_port;
    uint32_t iss, nxt;                        /* ours: first, next number */
    uint32_t stack_iss, stack_nxt, stack_ack; /* the stack's, as seen in its segments */
    uint32_t acked;                           /* what we acknowledged last */
    uint32_t edge;                            /* of the window that it offers, unscaled */
    uint32_t ts_val, ts_stack;
    bool ts;               /* our segments carry timestamps */
    struct stream *stream; /* the application's; NULL: none */
    bool eof, shut;        /* the application has seen the end, has said its own */
};

struct flow {
    struct net_stack *stack;
    struct stream_loop loop;
    uint64_t now;
    bool v6, answers; /* answers: neighbour requests are answered by themselves */
    uint16_t vlan;
    uint16_t mtu;
    uint8_t mac[6]; /* the peer's at present */
    bool asked;     /* for that */
    /* of the next segment only */
    uint8_t extension;     /* protocol number of a header before TCP, IPv6; 0: none */
    uint8_t flip_at, flip; /* a byte of its header is changed; 0: none */
    struct flow_peer peers[FLOW_PEERS];
    struct rte_mbuf *hostages[FLOW_HOSTAGES];
    unsigned hostage_count;
};

/* What a flow is made with: all from the fuzzer's input. */
struct flow_setup {
    bool v6, vlan, answers, rx_checksum, small_mtu, keepalive;
    uint8_t cookies, cc, ecn, window, connections, ts;
};

/* flow.c */
void flow_open(struct flow *f, const struct flow_setup *setup);
void flow_close(struct flow *f); /* aborts when a buffer is lost */
struct buf_pools *flow_pools(void);
/* Applications, timers after wait_ns, output; and what must hold then. */
void flow_turn(struct flow *f, uint64_t wait_ns);

/* flow_wire.c: frames out of the stack, and into it. Checksums of what goes in are right. */
void flow_seen(void *flow, struct rte_mbuf **frames, uint16_t n);
void flow_segment(struct flow *f, struct flow_peer *p, uint8_t flags, uint32_t seq, uint32_t ack, uint16_t wnd,
                  const uint8_t *options, uint32_t options_len, uint32_t len);
/* type, code, rest: of an ICMP or ICMPv6 message that quotes the stack's segment with number seq. */
void flow_icmp(struct flow *f, const struct flow_peer *p, uint8_t type, uint8_t code, uint32_t rest, uint32_t seq);
/* ARP or a neighbour advertisement (kind even) or solicitation; others of its fields by kind. */
void flow_neighbour(struct flow *f, uint8_t kind);

struct net_addr flow_addr(const struct flow *f, unsigned host); /* 1: the stack, 2: the peer */
uint8_t flow_byte(uint32_t seq, bool by_peer);
void flow_require(bool holds);

#endif
