/*
 * One core's TCP/IP instance on one interface. Pure logic: frames and the time in, frames out; no device, no clock of
 * its own, no globals. So two of them run against each other in a test over a simulated wire.
 *
 * A turn: net_stack_input(burst) -> streams on the loop's ready list -> their handlers run -> net_stack_output.
 * Core of the stack only.
 */
#ifndef POLAR_NET_STACK_H
#define POLAR_NET_STACK_H

#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/stream.h"
#include "net/addr.h"
#include "net/metrics.h"
#include "net/route.h"

#define NET_ROUTES_MAX 32u

struct net_stack;

/* When a SYN is answered by a cookie (RFC 4987 3.6) instead of an entry of the SYN cache. */
enum net_syn_cookies {
    NET_SYN_COOKIES_FULL,  /* when the cache is full */
    NET_SYN_COOKIES_NEVER, /* the oldest entry makes room */
    NET_SYN_COOKIES_ALWAYS,
};

/* When longer packets are tried than a path is known to take (net/tcp/tcp_path.h). */
enum net_mtu_probing {
    NET_MTU_PROBE_LOWERED, /* after a message or a black hole has shortened them */
    NET_MTU_PROBE_NEVER,
    NET_MTU_PROBE_ALWAYS,  /* connections begin with short ones */
};

/* Addresses of prefixes that routers announce (net/autoconf.h): none, from the MAC, from a secret (RFC 7217). */
enum net_autoconf { NET_AUTOCONF_OFF, NET_AUTOCONF_EUI64, NET_AUTOCONF_STABLE };

/* Sends frames; takes all of them. */
typedef void net_tx_fn(void *arg, struct rte_mbuf **frames, uint16_t n);

enum net_tcp_cc { NET_TCP_CUBIC, NET_TCP_NEWRENO, NET_TCP_DCTCP, NET_TCP_CC_COUNT };

/* Explicit congestion notification: agreed to when the peer asks, never, asked for. DCTCP always asks. */
enum net_tcp_ecn { NET_TCP_ECN_PASSIVE, NET_TCP_ECN_OFF, NET_TCP_ECN_ON };

/* What may differ from connection to connection. */
struct net_tcp_tuning {
    bool keepalive;            /* probe an idle peer: RFC 1122 4.2.3.6 */
    bool nagle;                /* RFC 9293 3.7.4, in Minshall's form: only behind another small segment */
    bool fast_open;            /* our SYN carries what is queued, to servers that have given us a cookie: RFC 7413 */
    bool quick_ack;            /* each segment is acknowledged at once */
    enum net_tcp_cc tcp_cc;    /* congestion control; of net_stack_config's tuning it is net_stack_config.tcp_cc */
    uint64_t keep_idle_ns;     /* after so long without a word from the peer */
    uint64_t keep_interval_ns; /* between probes */
    uint32_t keep_count;       /* so many without an answer: it is given up; at most 255 */
    uint64_t user_timeout_ns;  /* bytes unacknowledged, or probes unanswered, for so long: given up; 0: no such bound */
};

/* A port is to be listened on (claim), or is no more: whoever shares our address with us is told. 0 or -errno. */
typedef int net_claim_fn(void *arg, uint16_t port, bool claim);

struct net_stack_config {
    unsigned core;
    uint8_t mac[6];
    struct net_prefix addrs[NET_ADDRS_MAX]; /* ours, of both families; at least one */
    unsigned addr_count;
    struct net_route routes[NET_ROUTES_MAX]; /* beside the prefixes of addrs; a default gateway is a route to 0.0.0.0/0 */
    unsigned route_count;
    uint16_t mtu;
    uint16_t vlan;         /* 1..4094: frames carry this tag, and others are dropped; 0: no tag */
    bool announce;         /* addresses are probed for and announced at the start: one stack of a port does it */
    bool follows;          /* another stack of the port does; this one goes the same way without a word */
    bool router_discovery; /* routers of IPv6 are asked for and believed */
    enum net_autoconf autoconf;  /* addresses of the prefixes that they announce */
    uint64_t autoconf_secret[2]; /* key of stable ones: of host and interface, the same for all stacks of a port */
    bool shared;           /* the kernel has our addresses too: what is not TCP is its business */
    bool tx_ip_checksum;   /* the port fills it in */
    bool tx_tcp_checksum;
    uint32_t tso_most;     /* payload of a frame that the port cuts into segments; 0: it does not */
    bool rx_checksum;      /* the port verifies */
    uint64_t secret[2];    /* keys for the connection hash, initial sequence numbers, ports: random, or a test's seed */
    uint16_t port_first, port_last; /* source ports for active opens */
    uint32_t max_connections;
    uint32_t max_half_open; /* entries of the SYN cache, of 48 bytes; 88 with IPv6 */
    enum net_syn_cookies syn_cookies;
    uint32_t syn_rate_full; /* SYNs a second that are answered at least while the core cannot keep up, of those that come:
                             * net/tcp/tcp_shed.h; 0: all are */
    uint32_t fast_open;        /* of each listener, connections opened by a SYN with data (RFC 7413) that wait for their
                                * handshake's end at a time, at most 1024; 0: it takes no data with a SYN */
    uint64_t fast_open_secret[2]; /* key of its cookies: the same for stacks of one address; 0, 0: drawn from secret */
    uint32_t max_boards;   /* connections in loss recovery at a time that get a scoreboard; 0: by max_connections */
    uint32_t rx_window;    /* bytes of receive buffer a connection, at most */
    uint64_t rx_memory;    /* bytes of buffers that all connections' unread payload may hold; 0: half of the frame pool */
    uint32_t tx_inline;    /* payloads up to so many bytes are copied beside the header instead of referenced */
    uint64_t rto_min_ns, rto_max_ns, rto_initial_ns;
    uint64_t tlp_min_ns;       /* least time until a probe of the tail: far below rto_min_ns */
    uint64_t tlp_ack_delay_ns; /* how long peers hold back an ACK: a lone segment is probed so much later */
    uint64_t time_wait_ns;
    struct net_tcp_tuning tuning; /* of each new connection */
    uint64_t delayed_ack_ns;
    unsigned quick_acks; /* of a new connection, the first so many (at most 6) are not delayed: a slow starter grows by them */
    enum net_tcp_cc tcp_cc; /* congestion control */
    enum net_tcp_ecn tcp_ecn;
    enum net_mtu_probing mtu_probing;
    struct buf_pools *pools;
    struct stream_loop *loop;
    /* Whether the answers to an active open from this port come to this core's queue. NULL: any does. */
    bool (*port_fits)(void *arg, uint32_t remote_be, uint32_t local_be, uint16_t remote_port_be, uint16_t local_port_be);
    void *port_fits_arg;
    net_claim_fn *claim;   /* may be NULL */
    void *claim_arg;
    net_tx_fn *tx;
    void *tx_arg;
};

/* Sensible defaults for a data centre; the caller then sets mac, an address, pools, loop, tx. */
void net_stack_config_default(struct net_stack_config *config);
/* Adds an address; a default gateway. -ENOSPC: too many. */
int net_stack_config_address(struct net_stack_config *config, struct net_addr addr, uint8_t prefix_len);
int net_stack_config_gateway(struct net_stack_config *config, struct net_addr via);

int net_stack_create(struct net_stack **out, const struct net_stack_config *config); /* 0 or -errno */
void net_stack_destroy(struct net_stack **stack); /* frees every connection and buffer; streams are gone after */

/* Once a millisecond: whether the core was full, so that its receive queue was hardly ever emptied. Returns whether surplus
 * SYNs are to be dropped: net_stack_shed, until the next call. */
bool net_stack_load(struct net_stack *stack, bool full);
/* Drops surplus SYNs of a burst as it was received, before net_stack_input gets it. Returns how many frames are left, at the
 * front and in their order. net/tcp/tcp_shed.h */
uint16_t net_stack_shed(struct net_stack *stack, struct rte_mbuf **frames, uint16_t n);
/* Takes the frames of one burst. now_ns: monotonic. */
void net_stack_input(struct net_stack *stack, struct rte_mbuf **frames, uint16_t n, uint64_t now_ns);
/* Sends what connections have to say: each touched connection once. Returns frames sent. */
unsigned net_stack_output(struct net_stack *stack, uint64_t now_ns);
/* Fires timers that are due. Returns how many. */
unsigned net_stack_timers(struct net_stack *stack, uint64_t now_ns);
/* When the next timer is due, or UINT64_MAX. */
uint64_t net_stack_deadline(const struct net_stack *stack);

/* On all addresses of both families. accept is called when the handshake is complete. 0, -EINVAL (port 0), -EADDRINUSE,
 * -ENOSPC. */
int net_listen(struct net_stack *stack, uint16_t port, stream_accept_fn *accept, void *arg);
/* No more connections at what net_listen_at was given: those in their handshake are reset, others stay, and for their
 * sake the claim on the port is kept. */
void net_unlisten(struct net_stack *stack, const struct net_endpoint *at);
/* On one of our addresses, on all of IPv4 (0.0.0.0), or on all (::). The most exact listener takes a SYN.
 * -EADDRNOTAVAIL: the address is not ours. */
int net_listen_at(struct net_stack *stack, const struct net_endpoint *at, stream_accept_fn *accept, void *arg);
/* Starts an active open; the stream is the caller's at once (set user before the next input); STREAM_CONNECTED or
 * STREAM_ERROR follows. 0, -EINVAL, -EADDRNOTAVAIL (no free port), -ENETUNREACH (no route), -ENOMEM. */
int net_connect(struct net_stack *stack, struct net_endpoint to, uint64_t now_ns, struct stream **out);
/* The same from an address of ours (any: chosen) and a port (0: chosen). -EADDRINUSE: from and to are taken together. */
int net_connect_from(struct net_stack *stack, struct net_endpoint from, struct net_endpoint to, uint64_t now_ns,
                     struct stream **out);

/* At the listener that net_listen_at was given this: net_stack_config.fast_open of its own. 0 or -ENOENT. */
int net_fast_open(struct net_stack *stack, const struct net_endpoint *at, uint32_t pending);
/* A stream of net_connect, in the same turn, with fast_open in its tuning. True: there is a cookie for its server, and its
 * SYN waits for net_connect_go, so that data can be queued for it first. */
bool net_connect_hold(struct stream *s);
void net_connect_go(struct stream *s);

/* enum values of "cubic" and the like, of "passive", "off", "on"; -EINVAL: no such name. */
int net_tcp_cc_find(const char *name);
int net_tcp_ecn_find(const char *name);
/* Of "no", "eui64", "stable". */
int net_autoconf_find(const char *name);
/* Of "full", "never", "always". */
int net_syn_cookies_find(const char *name);
/* enum value of "lowered", "never", "always". */
int net_mtu_probing_find(const char *name);

/* All off, cubic; two hours, 75 s, 9 probes; no user timeout. */
void net_tcp_tuning_default(struct net_tcp_tuning *t);
/* For a stream of this stack. 0; -EINVAL; -ENOSPC: too many different settings are in use at a time (255). Its timers
 * begin anew. */
int net_tcp_tune(struct stream *s, const struct net_tcp_tuning *t);
void net_tcp_tuning_of(const struct stream *s, struct net_tcp_tuning *t); /* what is in force */
void net_stack_tuning(const struct net_stack *stack, struct net_tcp_tuning *t); /* of each new connection */

const struct net_metrics *net_stack_metrics(const struct net_stack *stack);
/* Connections in any state but TIME-WAIT and half-open. */
uint32_t net_stack_connections(const struct net_stack *stack);

#endif
